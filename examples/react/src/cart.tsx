// The cart, which is ordered on the same page, and the order.
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { Alert, Form, Heading, Pending, type Value } from "./parts";
import { api, queries, type Schemas, showCart, useCart, useShop, useStored } from "./shop";

const EMAIL = { email: { label: "E-mail", type: "email", autoComplete: "email" } };
const ADDRESS = {
  name: { label: "Name", autoComplete: "name" },
  line1: { label: "Street and number", autoComplete: "address-line1" },
  postal_code: { label: "Postal code", autoComplete: "postal-code", required: false },
  city: { label: "City", autoComplete: "address-level2" },
  country: { label: "Country (two letters)", autoComplete: "country" },
};

export function CartPage() {
  const [, navigate] = useLocation();
  const { money } = useShop();
  const { params, query } = useCart();
  const isGuest = !useStored("token");
  const [key] = useState(() => crypto.randomUUID()); // the same with each try: so it orders once
  const place = api.useMutation("post", "/api/orders", {
    onSuccess({ data: { number, access_token } }) {
      if (access_token) localStorage.setItem(number, access_token); // it opens a guest's order
      navigate(`/orders/${number}`);
      queries.invalidateQueries({ queryKey: ["get", "/api/cart"] });
    },
    onError: ({ error }) => error.code === "CART_CHANGED" && showCart({ data: error.details }),
  });
  const cart = query.data?.data;
  if (!cart) return <Pending of={query} />;
  const fields = isGuest ? { ...EMAIL, ...ADDRESS } : ADDRESS;
  const order = (value: Value) => {
    const [name, line1, city, country] = [value("name"), value("line1"), value("city"), value("country")];
    const shipping_address = { name, line1, city, country, postal_code: value("postal_code") || undefined };
    const body = { expected_total: cart.total, email: isGuest ? value("email") : undefined, shipping_address };
    place.mutate({ params: { header: { ...params.header, "Idempotency-Key": key } }, body });
  };
  return (
    <>
      <Heading>Cart</Heading>
      <ul className="lines">{cart.items.map((item) => <Line key={item.id} {...item} />)}</ul>
      <p role="status">{cart.line_count ? `Total: ${money(cart.total)}` : "Your cart is empty."}</p>
      {cart.line_count > 0 && (
        <Form fields={fields} action={`Place order for ${money(cart.total)}`} of={place} onSend={order} />
      )}
    </>
  );
}

function Line({ product, product_id, quantity, line_total, issue }: Schemas["CartItem"]) {
  const { money } = useShop();
  const { params } = useCart();
  const change = api.useMutation("put", "/api/cart/items/{product_id}", { onSuccess: showCart });
  const set = (to: number) => change.mutate({ params: { ...params, path: { product_id } }, body: { quantity: to } });
  const field = { quantity: { label: "Quantity", type: "number", min: 0, defaultValue: quantity } };
  return (
    <li>
      <Link href={`/products/${product_id}`}>{product.name}</Link>
      <Form fields={field} action="Change" of={change} onSend={(value) => set(Number(value("quantity")))} />
      <button aria-label={`Remove ${product.name}`} onClick={() => set(0)}>Remove</button>
      {money(line_total)}
      {issue && <p className="issue">{issue.message}</p>}
    </li>
  );
}

export function OrderPage({ number }: { number: string }) {
  const { shop, money } = useShop();
  const params = { path: { number }, header: { "Order-Token": localStorage.getItem(number) ?? undefined } };
  const query = api.useQuery("get", "/api/orders/{number}", { params });
  const pay = api.useMutation("post", "/api/orders/{number}/payments", { onSettled: () => query.refetch() });
  const order = query.data?.data;
  if (!order) return <Pending of={query} />;
  const payBy = (provider: string) => pay.mutate({ params, body: { provider } });
  const isDue = order.status === "placed" && order.payment_status === "unpaid";
  return (
    <>
      <Heading>{`Order ${order.number}`}</Heading>
      <p role="status">{order.status}, {order.payment_status}: {money(order.total)}</p>
      <ul className="lines">{order.items.map(({ product_id, name, quantity, line_total }) => (
        <li key={product_id}>{quantity} × {name} <span>{money(line_total)}</span></li>
      ))}</ul>
      {isDue && shop?.payment_providers.map((provider) => (
        <button key={provider} disabled={pay.isPending} onClick={() => payBy(provider)}>Pay by {provider}</button>
      ))}
      <Alert of={pay.error} />
    </>
  );
}
