// A visit by the functions that orval makes of the API document: node built/orval.js http://127.0.0.1:8080 alice Blue-Door-42

import { addCartItem, createCart, createPayment, getOwnAccount, getProduct, listOrders, listProducts, login, logout, placeOrder, removeCartItem } from "./generated/orval.js";

declare const process: { argv: string[] }; // of node; a browser has no need of it

const [, , shop = "", username = "", password = ""] = process.argv;
const fetchAnywhere = globalThis.fetch;
globalThis.fetch = (address, init) => fetchAnywhere(new URL(String(address), shop), init);

const listed = await listProducts({ sort: "price", per_page: 2 });
if (listed.status !== 200) throw new Error(`it answered ${listed.status}`);
const first = listed.data.data.items[0];
if (!first) throw new Error("nothing is on sale");

const shown = await getProduct(first.id, {});
if (shown.status !== 200) throw new Error(`it answered ${shown.status}`);
console.log(`${shown.data.data.name} ${shown.data.data.price.toFixed(2)}`);

const opened = await createCart();
if (opened.status !== 201) throw new Error(`it answered ${opened.status}`);
const headers = { "Session-ID": opened.data.data.session_id };
const added = await addCartItem({ product_id: first.id, quantity: 2 }, headers);
if (added.status !== 201) throw new Error(`it answered ${added.status}`);
console.log(`added: ${added.data.data.quantity}`);
const refused = await addCartItem({ product_id: first.id, quantity: 999 }, headers);
if (refused.status === 409) {
  const { error } = refused.data;
  console.log(error.code === "INSUFFICIENT_STOCK" ? `available: ${error.details.available}` : error.message);
}
const removed = await removeCartItem(first.id, headers);
if (removed.status !== 200) throw new Error(`it answered ${removed.status}`);
console.log(`left in the cart: ${removed.data.data.cart.items.length}`);

await addCartItem({ product_id: first.id, quantity: 1 }, headers);
const order = { expected_total: first.price, email: `${username}@example.com` };
const placed = await placeOrder(order, { ...headers, "Idempotency-Key": `order-${Date.now()}` });
if (placed.status !== 201) throw new Error(`it answered ${placed.status}`);
console.log(`ordered: ${placed.data.data.total.toFixed(2)} ${placed.data.data.payment_status}`);
const guest = { "Order-Token": placed.data.data.access_token ?? "" };
const paid = await createPayment(placed.data.data.number, { provider: "dummy" }, guest);
if (paid.status !== 201) throw new Error(`it answered ${paid.status}`);
console.log(`paid: ${paid.data.data.amount.toFixed(2)} ${paid.data.data.status}`);

for (const who of [{ username, password }, { email: `${username}@example.com`, password }]) {
  const session = await login(who);
  if (session.status !== 200) throw new Error(`it answered ${session.status}`);
  const authorized = { headers: { Authorization: `Bearer ${session.data.data.token}` } };
  const me = await getOwnAccount(authorized);
  const orders = await listOrders({ status: "placed" }, authorized);
  if (orders.status === 200) console.log(`my orders: ${orders.data.data.items.length}`);
  const ended = await logout({ everywhere: true }, {}, authorized);
  if (me.status === 200 && ended.status === 200) console.log(`${me.data.data.username}: ${ended.data.data.ended} ended`);
}
