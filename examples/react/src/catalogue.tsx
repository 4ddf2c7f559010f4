// The list and the product. What the list shows is in its address: to share, to reload, to go back to.
import { keepPreviousData as placeholderData } from "@tanstack/react-query";
import type { ChangeEvent } from "react";
import { Link, useSearchParams } from "wouter";
import { Form, Heading, Pending } from "./parts";
import { API, api, type ListQuery, showCart, useCart, useShop } from "./shop";

const SORTS = [["", "Best match, newest"], ["price", "Cheapest"], ["-price", "Dearest"], ["name", "Name"]] as const;
export function Catalogue() {
  const { money } = useShop();
  const [address, setAddress] = useSearchParams();
  const search = address.get("search") ?? "";
  const category_id = address.getAll("category").map(Number);
  const sort = SORTS.find(([name]) => name === address.get("sort"))?.[0] || undefined;
  const query: ListQuery = { search, category_id, sort, per_page: 24 };
  const list = api.useInfiniteQuery("get", "/api/products", { params: { query } }, { placeholderData,
    pageParamName: "after", initialPageParam: null, getNextPageParam: ({ data }) => data.pagination.next,
  });
  const first = list.data?.pages[0]?.data;
  const counts: ListQuery = { search, category_id, facets: true, per_page: 1 }; // asked apart: the list need not wait
  const counted = api.useQuery("get", "/api/products", { params: { query: counts } }, { placeholderData });

  function filter({ target: { form } }: ChangeEvent<HTMLInputElement | HTMLSelectElement>) {
    const chosen = [...new FormData(form ?? undefined)].map(([name, value]) => [name, String(value)]);
    setAddress(chosen.filter(([, value]) => value), { replace: true }); // the request for the last key is given up
  }
  return (
    <>
      <Heading>Products</Heading>
      <form role="search" onSubmit={(event) => event.preventDefault()}>
        <label>Search <input type="search" name="search" value={search} onChange={filter} maxLength={100} /></label>
        <label>Sort <select name="sort" value={sort ?? ""} onChange={filter}>
          {SORTS.map(([name, label]) => <option key={name} value={name}>{label}</option>)}
        </select></label>
        <fieldset>
          <legend>Categories</legend>
          {counted.data?.data.facets?.categories.map(({ category_id: id, category_name: name, count }) => id && (
            <label key={id}>
              <input type="checkbox" name="category" value={id} checked={category_id.includes(id)} onChange={filter} />
              {name} ({count})
            </label>
          ))}
        </fieldset>
      </form>
      {first && <output>{first.pagination.total}{first.pagination.total_is_exact === false && "+"} found</output>}
      {first?.did_you_mean &&
        <Link href={`/?${new URLSearchParams({ search: first.did_you_mean })}`}>Perhaps {first.did_you_mean}?</Link>}
      <ul className="grid" aria-busy={list.isPlaceholderData}>
        {list.data?.pages.flatMap(({ data }) => data.items).map(({ id, name, price, image_url, stock_quantity }) => (
          <li key={id}>
            <Picture url={image_url} />
            <Link href={`/products/${id}`}>{name}</Link>
            {money(price)}{!stock_quantity && ", sold out"}
          </li>
        ))}
      </ul>
      {(!first || list.error) && <Pending of={list} />}
      {list.hasNextPage && <button disabled={list.isFetching} onClick={() => list.fetchNextPage()}>Load more</button>}
    </>
  );
}

const Picture = ({ url }: { url: string | null }) => (
  <div className="picture">{url && <img src={new URL(url, API).href} alt="" loading="lazy" />}</div>
);

const QUANTITY = { quantity: { label: "Quantity", type: "number", min: 1, defaultValue: 1 } };
export function ProductPage({ id }: { id: number }) {
  const { money } = useShop();
  const { params } = useCart();
  const query = api.useQuery("get", "/api/products/{id}", { params: { path: { id } } });
  const add = api.useMutation("post", "/api/cart/items", { onSuccess: showCart });
  const product = query.data?.data;
  if (!product) return <Pending of={query} />;
  const put = (quantity: number) => add.mutate({ params, body: { product_id: id, quantity } });
  return (
    <article>
      <Heading>{product.name}</Heading>
      <Picture url={product.image_url} />
      <p>{product.description}</p>
      <p>{money(product.price)}, {product.stock_quantity ? `${product.stock_quantity} in stock` : "sold out"}</p>
      <Form fields={QUANTITY} action="Add to cart" of={add} onSend={(value) => put(Number(value("quantity")))} />
      <p role="status">{add.data && `${add.data.data.quantity} in your cart.`}</p>
    </article>
  );
}
