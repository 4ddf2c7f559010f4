// A shopper's visit, typed by the API's own document: a misspelt field or a forgotten header does not compile.
//
//   npm ci
//   python3 server.py openapi > openapi.json    (or download /api/openapi.json)
//   npm run types && npm run build
//   node built/shopper.js http://127.0.0.1:8080 alice Blue-Door-42

import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { argv: string[]; exitCode: number }; // of node; a browser has no need of it

type Answers = paths["/api/cart/items"]["post"]["responses"];
type Problem = Exclude<Answers[keyof Answers]["content"]["application/json"], { success: true }>;

/** Say what went wrong when something was put into the cart. Every code that the document promises has its case. */
function explain({ error }: Problem): string {
  switch (error.code) {
    case "INSUFFICIENT_STOCK":
      return `only ${error.details.available} left`;
    case "VALIDATION_ERROR":
      return error.details.errors.map(({ field, issue }) => `${field}: ${issue}`).join(" ");
    case "NOT_FOUND":
    case "CART_FULL":
    case "FORBIDDEN":
    case "PRECONDITION_FAILED":
      return error.message;
    case "IN_PROGRESS":
    case "RATE_LIMITED":
    case "SERVICE_UNAVAILABLE":
    case "INTERNAL_ERROR":
      return "try again later";
    case "IDEMPOTENCY_KEY_REUSED":
    case "MALFORMED_JSON":
    case "PAYLOAD_TOO_LARGE":
    case "UNSUPPORTED_MEDIA_TYPE":
      return `a bug in this program: ${error.message}`;
    default:
      return unheardOf(error);
  }
}

/** Does not compile where a case is missing. */
function unheardOf(error: never): never {
  throw new Error(`The document does not know ${JSON.stringify(error)}`);
}

/** Return what a call gave, or throw its error. */
function given<T>(answer: { data?: { data: T }; error?: { error: { code: string; message: string } } }): T {
  if (answer.data) return answer.data.data;
  throw new Error(answer.error ? `${answer.error.error.code}: ${answer.error.error.message}` : "no answer");
}

async function visit(baseUrl: string, username: string, password: string): Promise<void> {
  // Several ids are one parameter with commas, which this library wants to be told: category_id=1,2
  const shop = createClient<paths>({ baseUrl, querySerializer: { array: { style: "form", explode: false } } });

  const page = given(await shop.GET("/api/products", { params: { query: { sort: "price", per_page: 2 } } }));
  console.log(`${page.pagination.total} products, the cheapest:`);
  for (const { name, price } of page.items) console.log(`  ${name} ${price.toFixed(2)}`);

  const dearestFirst = page.items.map(({ id }) => id).reverse();
  const seen = given(await shop.GET("/api/products", { params: { query: { ids: dearestFirst } } }));
  console.log(`seen lately: ${seen.items.map(({ name }) => name).join(", ")}`);

  const first = page.items[0];
  if (!first) throw new Error("nothing is on sale");
  const product = given(await shop.GET("/api/products/{id}", { params: { path: { id: first.id } } }));
  console.log(`${product.name}: ${product.stock_quantity} in stock, ${product.description ?? "no description"}`);

  const { session_id } = given(await shop.POST("/api/cart"));
  const params = { header: { "Session-ID": session_id } };
  const added = given(await shop.POST("/api/cart/items", { params, body: { product_id: product.id, quantity: 2 } }));
  console.log(`in the cart: ${added.quantity} × ${added.product.name} = ${added.line_total.toFixed(2)}`);

  for (const quantity of [999, 0]) {
    const { error } = await shop.POST("/api/cart/items", { params, body: { product_id: product.id, quantity } });
    if (error) console.log(`${quantity} more: ${explain(error)}`);
  }
  const cart = given(await shop.GET("/api/cart", { params }));
  console.log(`to pay: ${cart.total.toFixed(2)}`);
  const line = { path: { product_id: product.id }, ...params };
  const left = given(await shop.DELETE("/api/cart/items/{product_id}", { params: line }));
  console.log(`taken out again: ${left.cart.line_count} lines`);

  const session = given(await shop.POST("/api/users/login", { body: { username, password } }));
  shop.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${session.token}`);
      return request;
    },
  });
  const me = given(await shop.GET("/api/users/me"));
  console.log(`logged in: ${me.username} <${me.email}>, ${me.role}`);

  const own = { header: { "Session-ID": given(await shop.POST("/api/cart")).session_id } };
  const filled = given(
    await shop.POST("/api/cart/items", { params: own, body: { product_id: product.id, quantity: 3 } }),
  ).cart;
  const address = { name: "Alice Liddell", line1: "3 Folly Bridge", city: "Oxford", country: "GB" };
  const keyed = { header: { ...own.header, "Idempotency-Key": `order-${Date.now()}-${Math.random()}` } };
  const order = { expected_total: filled.total, shipping_address: address };
  const placed = given(await shop.POST("/api/orders", { params: keyed, body: order }));
  const again = given(await shop.POST("/api/orders", { params: keyed, body: order }));
  console.log(`ordered: ${placed.items.length} line for ${placed.total.toFixed(2)}, ${placed.payment_status}`);
  console.log(`ordered once: ${again.number === placed.number}`);

  const path = { number: placed.number };
  const declined = await shop.POST("/api/orders/{number}/payments", {
    params: { path },
    body: { provider: "dummy", outcome: "decline" },
  });
  if (declined.error) console.log(`first try: ${declined.error.error.code}`);
  const payment = given(await shop.POST("/api/orders/{number}/payments", { params: { path }, body: { provider: "dummy" } }));
  console.log(`paid: ${payment.amount.toFixed(2)} by ${payment.provider}, ${payment.status}`);
  const paid = given(await shop.GET("/api/orders/{number}", { params: { path } }));
  console.log(`what happened: ${paid.history.map(({ what, by }) => `${what} by ${by}`).join(", ")}`);

  const late = await shop.POST("/api/orders", { params: { header: { ...keyed.header, "Idempotency-Key": "2" } }, body: order });
  if (late.error) console.log(`again: ${late.error.error.code}`);
  const orders = given(await shop.GET("/api/orders", { params: { query: { status: "placed", from: "2026-01-31" } } }));
  console.log(`my orders: ${orders.items.map(({ total, payment_status }) => `${total.toFixed(2)} ${payment_status}`).join(", ")}`);
}

const [, , baseUrl = "http://127.0.0.1:8080", username = "alice", password = "Blue-Door-42"] = process.argv;
visit(baseUrl, username, password).catch((error: unknown) => {
  console.log(String(error));
  process.exitCode = 1;
});
