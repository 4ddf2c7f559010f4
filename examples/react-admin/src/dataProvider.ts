// What react-admin asks for, as calls of the shop's API. Names, fields and values are checked against its document.

import { type DataProvider, type GetListParams, type GetListResult, HttpError, type RaRecord } from "react-admin";
import { given, type Schemas, shop } from "./shop";

export type Product = Schemas["Product"] & { etag?: string };
export type Order = Schemas["Order"] & { id: string };
type Values = Record<string, any>; // what forms and filters have in them
type Page = { items: object[]; pagination: { next: string | null; has_next: boolean } };

interface Resource {
  list(wanted: Required<Omit<GetListParams, "meta" | "signal">>): Promise<GetListResult>;
  one(id: any): Promise<RaRecord>;
  create?(values: any): Promise<RaRecord>;
  update?(id: any, values: Values, before: any): Promise<RaRecord>;
  remove?(id: any, before: any): Promise<RaRecord>;
}

export const FIELDS = ["name", "description", "price", "image_url", "category_id", "is_active"] as const;
const SORTS = { created_at: ["oldest", "newest"], price: ["price", "-price"], name: ["name", "-name"] } as const;
const pick = (values: Values, names: readonly string[]): Values =>
  Object.fromEntries(names.filter((name) => name in values).map((name) => [name, values[name]]));
const at = (id: number) => ({ params: { path: { id } } });
const unchanged = (id: number, etag = "unread") => ({ params: { path: { id }, header: { "If-Match": etag } } });
const withId = <T extends { number: string }>(order: T) => ({ ...order, id: order.number });

async function readProduct(id: number): Promise<Product> {
  const answer = await shop.GET("/api/products/{id}", at(id));
  return { ...given(answer), etag: answer.response.headers.get("ETag") ?? undefined };
}

/**
 * Change a product as it was read, or throw a 412 with the product as it is `now`, if somebody else has changed it.
 * A sale meanwhile is no lost update: the stock is never sent from here.
 */
async function unlessLost<T extends { response: Response }>(before: Product, act: (etag?: string) => Promise<T>) {
  for (let seen = before; ;) {
    const answer = await act(seen.etag);
    if (answer.response.status !== 412) return answer;
    seen = await readProduct(before.id);
    const isLost = FIELDS.some((name) => seen[name] !== before[name]);
    if (isLost) throw new HttpError("Somebody else changed this product meanwhile.", 412, { now: seen });
  }
}

const NONE: Page = { items: [], pagination: { next: null, has_next: false } };
const begins = new Map<string, (string | undefined)[]>(); // a list, with its filters → where its pages begin

/** Give a page by its number of a list that has cursors: where it begins is known from the page before. */
async function pageOf(list: string, { page, perPage }: Values, ask: (after?: string) => Promise<Page>) {
  const known = begins.get(`${list} ${perPage}`) ?? [undefined];
  begins.set(`${list} ${perPage}`, known);
  for (let number = Math.min(page, known.length); ; number++) {
    const { items, pagination } = await ask(known[number - 1]);
    if (pagination.next) known[number] = pagination.next;
    if (number < page && pagination.has_next) continue;
    const pageInfo = { hasNextPage: pagination.has_next, hasPreviousPage: page > 1 };
    const total = pagination.has_next ? undefined : (number - 1) * perPage + items.length; // known at the end
    return { data: (number === page ? items : []) as RaRecord[], pageInfo, total };
  }
}

const products: Resource = {
  async list({ filter: { category_id, ...others }, pagination: { page, perPage }, sort: { field, order } }) {
    const sort = SORTS[field as keyof typeof SORTS]?.[order === "ASC" ? 0 : 1];
    const query = { ...others, category_id: category_id && [category_id], sort, page, per_page: perPage };
    const { items, pagination } = given(await shop.GET("/api/products", { params: { query } }));
    const pageInfo = { hasNextPage: pagination.has_next, hasPreviousPage: pagination.has_prev };
    return { data: items, pageInfo, total: pagination.total_is_exact === false ? undefined : pagination.total };
  },
  one: readProduct,
  create: async (values) => given(await shop.POST("/api/products", { body: values })),
  async update(id, values, before) {
    const changed = FIELDS.filter((name) => values[name] !== before[name]);
    const change = (etag?: string) =>
      shop.PUT("/api/products/{id}", { ...unchanged(id, etag), body: pick(values, changed) });
    return given(await unlessLost(before, change));
  },
  async remove(id, before) {
    return given(await unlessLost(before, (etag) => shop.DELETE("/api/products/{id}", unchanged(id, etag))));
  },
};

/** Products that are not on sale: the list above has none of them. */
const withdrawn: Resource = {
  list: ({ pagination }) =>
    pageOf("withdrawn", pagination, async (after) => {
      const query = { per_page: pagination.perPage, after };
      return given(await shop.GET("/api/products/withdrawn", { params: { query } }));
    }),
  one: readProduct,
};

const categories: Resource = {
  async list({ pagination: { page, perPage }, sort: { field, order } }) {
    const all: Values[] = given(await shop.GET("/api/categories")); // on one page, by name
    all.sort((a, b) => (a[field] < b[field] ? -1 : 1) * (order === "DESC" ? -1 : 1));
    return { data: all.slice((page - 1) * perPage, page * perPage) as RaRecord[], total: all.length };
  },
  one: async (id) => given(await shop.GET("/api/categories/{id}", at(id))),
  create: async (values) => given(await shop.POST("/api/categories", { body: values })),
  update: async (id, values) =>
    given(await shop.PUT("/api/categories/{id}", { ...at(id), body: pick(values, ["name", "description"]) })),
  remove: async (id) => ({ id: given(await shop.DELETE("/api/categories/{id}", at(id))).deleted }),
};

const orders: Resource = {
  list: ({ filter, pagination }) =>
    pageOf(`orders ${JSON.stringify(filter)}`, pagination, async (after) => {
      const query = { ...filter, per_page: pagination.perPage, after };
      const answer = await shop.GET("/api/orders", { params: { query } });
      const problem = answer.error?.error;
      if (problem?.code === "VALIDATION_ERROR" && problem.details.field === "search") return NONE; // half a number
      const page = given(answer);
      return { ...page, items: page.items.map(withId) };
    }),
  one: async (number) => withId(given(await shop.GET("/api/orders/{number}", { params: { path: { number } } }))),
};

const RESOURCES: Record<string, Resource> = { products, withdrawn, categories, orders };

function the<Action extends keyof Resource>(action: Action, resource: string): NonNullable<Resource[Action]> {
  const found = RESOURCES[resource]?.[action];
  if (!found) throw new Error(`The API has no ${action} for ${resource}.`);
  return found;
}

const FIRST = { filter: {}, pagination: { page: 1, perPage: 20 }, sort: { field: "id", order: "ASC" } } as const;
const data = async (record: Promise<RaRecord>) => ({ data: (await record) as any });
const refused = async () => Promise.reject(new Error("The API changes one at a time, or a table of all: see Import."));

export const dataProvider: DataProvider = {
  getList: async (resource, params) => the("list", resource)({ ...FIRST, ...params }),
  getOne: async (resource, { id }) => data(the("one", resource)(id)),
  getMany: async (resource, { ids }) => ({ data: (await Promise.all(ids.map(the("one", resource)))) as any[] }),
  getManyReference: async (resource, { target, id, ...params }) =>
    the("list", resource)({ ...params, filter: { ...params.filter, [target]: id } }),
  create: async (resource, { data: values }) => data(the("create", resource)(values)),
  update: async (resource, params) => data(the("update", resource)(params.id, params.data, params.previousData)),
  updateMany: refused,
  delete: async (resource, { id, previousData }) => data(the("remove", resource)(id, previousData)),
  deleteMany: refused,
};
