// What an owner does besides reading and changing records: each is a call of the shop's API.
// `key`: the same for each try of one wish, so that a second click, or a try after a lost answer, does nothing twice.

import { given, refusal, type Schemas, shop } from "./shop";

const order = (number: string) => ({ params: { path: { number } } });
const once = (key: string) => ({ header: { "Idempotency-Key": key } });

function table({ data, error, response }: { data?: Blob; error?: unknown; response: Response }): Blob {
  if (data) return data;
  throw refusal(error as Parameters<typeof refusal>[0], response.status);
}

export const moveStock = async (id: number, change: number, key: string) =>
  given(await shop.POST("/api/products/{id}/stock", { params: { path: { id }, ...once(key) }, body: { change } }));

/** Take in a table of products. `rehearsed`: only say what would happen. The file is sent as it is, byte for byte. */
export const importProducts = async (table: File, rehearsed: boolean, key?: string) =>
  given(
    await shop.POST("/api/products/import", {
      params: { query: { dry_run: rehearsed }, ...(key ? once(key) : {}) },
      headers: { "Content-Type": "text/csv" },
      body: table as unknown as string,
      bodySerializer: (file) => file,
    }),
  );

/** All products as a table, withdrawn ones too. */
export const exportProducts = async () => table(await shop.GET("/api/products/export", { parseAs: "blob" }));

/** The orders of these filters as a table. */
export const exportOrders = async (query: object) =>
  table(await shop.GET("/api/orders/export", { params: { query }, parseAs: "blob" }));

export const fulfil = async (number: string, tracking: string | null) =>
  given(await shop.POST("/api/orders/{number}/fulfil", { ...order(number), body: { tracking } }));

export const cancel = async (number: string) => given(await shop.POST("/api/orders/{number}/cancel", order(number)));

export const refund = async (number: string, body: Schemas["RefundOrderBody"], key: string) =>
  given(await shop.POST("/api/orders/{number}/refunds", { params: { path: { number }, ...once(key) }, body }));

/** Say that the money of an order has come: of its payment by hand, which is begun where the customer has not. */
export async function receive(number: string, begun: number | undefined) {
  const payment =
    begun ??
    given(await shop.POST("/api/orders/{number}/payments", { ...order(number), body: { provider: "manual" } })).id;
  const path = { number, id: payment };
  return given(await shop.POST("/api/orders/{number}/payments/{id}/capture", { params: { path } }));
}
