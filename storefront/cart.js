// The cart: its calls, one after another in the order of the clicks. `state.cart` is what the API has said last.
import { call, Refusal } from "./api.js";
import { cart, cartVersion, session, token, user } from "./state.js";

const EMPTY = { version: 0, items: [], item_count: 0, line_count: 0, total: 0 };
const ENDED = { code: "AUTHENTICATION_REQUIRED", message: "Your login has ended. Log in again: your cart is kept." };
export const wanted = new Map(); // product id → the quantity that was clicked and is not confirmed yet
let last = Promise.resolve(); // the end of the queue

/** A new Idempotency-Key: 128 random bits (randomUUID is missing where a test shop is visited without TLS). */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");

/** Put more of a product into the cart: add(product, 1). Resolves to the cart; throws Refusal. */
export function add(product, quantity) {
  return write("POST", "/api/cart/items", { body: { product_id: product.id, quantity }, key: newKey() });
}

/** Set how many of a product the cart holds. Of many clicks only the last that waits is sent. */
export function set(id, quantity) {
  wanted.set(id, quantity);
  return inTurn(async () => {
    const now = wanted.get(id);
    if (now === undefined) return cart.value; // an earlier turn has sent it
    try {
      return await send("PUT", `/api/cart/items/${id}`, { body: { quantity: now } }, () => wanted.get(id) === now && wanted.delete(id));
    } catch (problem) {
      wanted.delete(id);
      cart.value = cart.value; // shown as it was
      throw problem;
    }
  });
}

/** Take a product out of the cart. */
export function remove(id) {
  wanted.delete(id);
  return write("DELETE", `/api/cart/items/${id}`).catch((problem) => {
    if (problem.status !== 404) throw problem; // it is gone already
  });
}

/** Ask for the cart as it is now. */
export const load = () => inTurn(read);

/** Take over a login's answer: who it is, and the cart with what the guest had put in. */
export async function entered({ user: who, token: text, cart: merged }) {
  token.value = text;
  user.value = who;
  session.value = merged?.session_id;
  return merged ? told(merged) : load();
}

/** Forget who was here, and whose cart it was. */
export function left() {
  token.value = session.value = user.value = null;
  return told(EMPTY);
}

const write = (...request) => inTurn(() => send(...request));

/** Do a piece of work after all that was asked for before it. */
function inTurn(work) {
  const turn = last.then(() => mend(work));
  last = turn.catch(() => null); // who asked is told
  return turn;
}

/** Do it; once more if the session id was another account's. Where the login has ended, say so: then one is a guest. */
async function mend(work) {
  try {
    return await work();
  } catch (problem) {
    if (!["FORBIDDEN", "AUTHENTICATION_REQUIRED"].includes(problem.code)) throw problem;
    session.value = null;
    if (token.value) await call("GET", "/api/users/me").catch(() => null); // a token that is over is forgotten by this
    if (token.value) return work();
    told(EMPTY);
    throw new Refusal(401, ENDED);
  }
}

/** Send a change. After a refusal the cart is read again: another tab, or the shop, was first. */
async function send(method, path, request, answered = () => null) {
  await open();
  try {
    const { data } = await call(method, path, request);
    answered();
    return told(data.cart);
  } catch (problem) {
    if ([404, 409].includes(problem.status)) await read();
    throw problem;
  }
}

async function read() {
  if (!session.value && !token.value) return (cart.value = EMPTY);
  await open();
  return (cart.value = (await call("GET", "/api/cart")).data);
}

/** Get a session id when the first one is needed. */
async function open() {
  if (session.value) return;
  const { data } = await call("POST", "/api/cart");
  session.value ??= data.session_id; // another tab may have got one meanwhile
}

/** Show a changed cart here, and let the other tabs know. */
function told(changed) {
  cartVersion.value = changed.version;
  return (cart.value = changed);
}

addEventListener("storage", ({ key }) => {
  if (key === "shop.token" && token.value) call("GET", "/api/users/me").then(({ data }) => (user.value = data), () => (user.value = null));
  if (!token.value) user.value = null;
  if (key === null || ["shop.session", "shop.cart"].includes(key)) load().catch(() => null);
});
document.addEventListener("visibilitychange", () => document.hidden || load().catch(() => null)); // other devices
