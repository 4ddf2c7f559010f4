// A visit by the classes that openapi-generator (typescript-fetch) makes of the API document:
// node built/openapi-generator.js http://127.0.0.1:8080 alice Blue-Door-42

import { AccountsApi, CartApi, Configuration, OrdersApi, ProductsApi, ResponseError, type LoginBody } from "./generated/openapi-generator/index.js";

declare const process: { argv: string[] }; // of node; a browser has no need of it

const [, , basePath = "", username = "", password = ""] = process.argv;
let session = "";
let token = "";
let orderToken = "";
const shop = new Configuration({ basePath, accessToken: () => token, apiKey: (name) => (name === "Session-ID" ? session : orderToken) });
const [products, cart, orders, accounts] = [new ProductsApi(shop), new CartApi(shop), new OrdersApi(shop), new AccountsApi(shop)];

const { data: page } = await products.listProducts({ sort: "price", perPage: 2 });
const first = page.items[0];
if (!first) throw new Error("nothing is on sale");
const { data: product } = await products.getProduct({ id: first.id });
console.log(`${product.name} ${product.price.toFixed(2)}`);

session = (await cart.createCart()).data.sessionId;
const added = await cart.addCartItem({ addCartItemBody: { productId: product.id, quantity: 2 } });
console.log(`added: ${added.data.quantity}`);
try {
  await cart.addCartItem({ addCartItemBody: { productId: product.id, quantity: 999 } });
} catch (refused) {
  if (!(refused instanceof ResponseError)) throw refused;
  const { error } = await refused.response.json();
  console.log(`available: ${error.details.available}`);
}
const removed = await cart.removeCartItem({ productId: product.id });
console.log(`left in the cart: ${removed.data.cart.items.length}`);

await cart.addCartItem({ addCartItemBody: { productId: product.id, quantity: 1 } });
const placeOrderBody = { expectedTotal: product.price, email: `${username}@example.com` };
const { data: placed } = await orders.placeOrder({ sessionID: session, idempotencyKey: `order-${Date.now()}`, placeOrderBody });
console.log(`ordered: ${placed.total.toFixed(2)} ${placed.paymentStatus}`);
orderToken = placed.accessToken ?? "";
const { data: paid } = await orders.createPayment({ number: placed.number, createPaymentBody: { provider: "dummy" } });
console.log(`paid: ${paid.amount.toFixed(2)} ${paid.status}`);

const forms: LoginBody[] = [{ username, password }, { email: `${username}@example.com`, password }];
for (const loginBody of forms) {
  token = (await accounts.login({ loginBody })).data.token;
  const { data: me } = await accounts.getOwnAccount();
  const { data: mine } = await orders.listOrders({ status: "placed" });
  console.log(`my orders: ${mine.items.length}`);
  const { data: ended } = await accounts.logout({ everywhere: true });
  console.log(`${me.username}: ${ended.ended} ended`);
}
