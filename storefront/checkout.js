// The checkout: address, what is ordered, and the order, which is placed once however often it is sent.
import { call } from "./api.js";
import { load, newKey } from "./cart.js";
import { lines } from "./cart_drawer.js";
import { announce, fill, h, styles } from "./dom.js";
import { form, sentence } from "./forms.js";
import { money } from "./format.js";
import { tokensKept } from "./order.js";
import { go } from "./router.js";
import { cart, orderTokens, session, user } from "./state.js";

const SENT = "shop.order"; // in sessionStorage: {key, session, bodies, form} of an order that is not answered yet
const NO_COUNTRY = /^(AC|CP|CQ|DG|EA|EU|EZ|IC|QO|TA|UN|XA|XB|ZZ)$/; // codes that have a name, and no post

let typed = {}; // what stood in the fields when the page was left, for a login

/** The countries that the browser knows by name, as [code, name]. */
function countries() {
  const names = new Intl.DisplayNames(undefined, { type: "region", fallback: "none" });
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  return letters.flatMap((a) => letters.map((b) => a + b))
    .filter((code) => !NO_COUNTRY.test(code) && names.of(code) && new Intl.Locale(`und-${code}`).region === code)
    .map((code) => [code, names.of(code)])
    .sort(([, a], [, b]) => a.localeCompare(b));
}

const FIELDS = [ // name, label, what is in autocomplete, more
  ["email", "E-mail", "email", { type: "email", required: true, hint: "The confirmation goes there." }],
  ["phone", "Telephone, for the carrier", "shipping tel", { type: "tel" }],
  ["name", "Name", "shipping name", { required: true }],
  ["company", "Company", "shipping organization"],
  ["line1", "Street and number", "shipping address-line1", { required: true }],
  ["line2", "Flat, floor, entrance", "shipping address-line2"],
  ["postal_code", "Postal code", "shipping postal-code"],
  ["city", "Town", "shipping address-level2", { required: true }],
  ["region", "State, province or county", "shipping address-level1"],
  ["country", "Country", "shipping country", { required: true }],
  ["note", "Note to the shop", "off", { rows: 3, maxlength: 1000, half: false }],
];

/**
 * Send the order, which is noted until it is answered, and go to it. What was sent before under the same key, and may
 * have been taken, is asked for if it was: then the key is refused for anything else.
 */
async function place(sent) {
  sessionStorage.setItem(SENT, JSON.stringify(sent));
  for (const body of sent.bodies) {
    try {
      const { data } = await call("POST", "/api/orders", { body, key: sent.key, headers: sent.session ? { "Session-ID": sent.session } : {} });
      sessionStorage.removeItem(SENT);
      if (data.access_token) orderTokens.value = JSON.stringify({ ...tokensKept(), [data.number]: data.access_token });
      load().catch(() => null); // it is empty now
      return await go(`/shop/orders/${data.number}?placed`, { replace: true });
    } catch (problem) {
      if (problem.code === "IDEMPOTENCY_KEY_REUSED") continue;
      const isOpen = !problem.status || problem.status >= 500 || problem.code === "IN_PROGRESS";
      if (!isOpen && sent.bodies.length === 1) sessionStorage.removeItem(SENT); // refused: nothing was ordered
      for (const one of problem.details?.errors ?? []) one.field = one.field.replace("shipping_address.", "");
      throw problem;
    }
  }
}

export async function page({ kept }) {
  await Promise.all([styles("shopping.css"), user.asked]);
  const pending = sessionStorage.getItem(SENT);
  if (!pending) await load();
  const before = pending ? JSON.parse(pending).form : kept ?? typed;
  const notice = h("p", { class: "told", role: "status", hidden: true });
  const total = h("p", { class: "total" });
  const list = lines();
  const here = new Intl.Locale(navigator.language).maximize().region;

  async function order(values) {
    const open = JSON.parse(sessionStorage.getItem(SENT));
    const { email, note, ...shipping_address } = values;
    const body = cart.value?.item_count ? [{ expected_total: cart.value.total, email, note, shipping_address }] : [];
    const bodies = [...body, ...(open?.bodies ?? [])];
    notice.hidden = true;
    const seen = cart.value?.total;
    try {
      await place({ key: open?.key ?? newKey(), session: open ? open.session : session.value, bodies, form: values });
    } catch (problem) {
      if (problem.code !== "CART_CHANGED") throw problem;
      cart.value = problem.details.cart;
      const now = cart.value.total;
      fill(notice, "Your cart has changed: nothing is ordered yet. ", now === seen ? "" : `The total was ${money(seen)} and is ${money(now)} now. `, "Look at the lines, then place the order again.");
      notice.hidden = false;
      notice.scrollIntoView({ block: "nearest" });
      announce(notice.textContent);
    }
  }

  const fields = FIELDS.map(([name, label, autocomplete, more]) => [name, label, {
    half: true, autocomplete, ...more,
    value: before[name] ?? { email: user.value?.email, country: here }[name],
    ...(name === "country" && { options: countries() }),
  }]);
  const address = form(fields, "Place order", order);
  const summary = h("section", { class: "card summary", "aria-label": "What you order" }, h("h2", {}, "Your order"), list.node, total, address.end);
  const whole = h("div", { class: "checkout" }, h("div", {}, notice, address), summary);
  const empty = h("p", { class: "row" }, "There is nothing in your cart. ", h("a", { class: "button primary", href: "/shop" }, "See all products"));
  const stop = cart.watch((now) => {
    whole.hidden = !pending && !now?.item_count;
    empty.hidden = !whole.hidden;
    fill(total, h("span", {}, "Total"), h("strong", {}, now ? money(now.total) : ""));
  });
  address.addEventListener("change", () => history.replaceState({ ...history.state, kept: address.values() }, "")); // for a reload
  if (pending) setTimeout(address.send); // it was sent, and the page reloaded before the answer
  return {
    title: "Checkout",
    node: h("section", {}, h("h1", {}, "Checkout"), user.value ? null : h("p", {}, h("a", { href: "/shop/login?to=/shop/checkout" }, "Log in"), " if you have an account, or order as a guest."), whole, empty),
    keep: address.values,
    leave() {
      typed = address.values();
      stop();
      list.stop();
    },
  };
}
