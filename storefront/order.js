// One order: where it stands, how it is paid or canceled, what happened to it. A guest's token opens it after a reload, too.
import { call } from "./api.js";
import { newKey } from "./cart.js";
import { announce, fill, h, styles } from "./dom.js";
import { loginAddress, sentence } from "./forms.js";
import { count, money, time } from "./format.js";
import { orderTokens, shop } from "./state.js";

const WAYS = { // provider → [outcome, what is shown]; of others the name is shown
  manual: [["", "Bank transfer"]],
  dummy: [["pay", "Test payment that is made at once"], ["decline", "Test payment that is declined"], ["later", "Test payment that comes later"]],
};
const HAPPENED = {
  placed: "Placed", paid: "Paid", payment_declined: "A payment was declined", payment_late: "A payment came too late, and goes back",
  fulfilled: "Sent", canceled: "Canceled", expired: "Canceled: it was not paid in time", refunded: "Given back", refund_failed: "Giving back did not work; the shop sees to it",
};
const LONGEST = 60_000; // ms between two questions whether a payment has come
const PAYABLE = ["unpaid", "pending"];

export const tokensKept = () => JSON.parse(orderTokens.value ?? "{}");

/** Where an order stands, in words. */
export function standing({ status, payment_status: money }) {
  if (status === "canceled") return money === "refunded" || money === "partly_refunded" ? "Canceled, refunded" : "Canceled";
  if (status === "fulfilled") return money === "refunded" ? "Sent, refunded" : "Sent";
  return { unpaid: "Not paid yet", pending: "Payment under way", paid: "Paid", partly_refunded: "Paid, refunded in part", refunded: "Refunded" }[money];
}

/** "14:30" today, else with its day. */
function until(moment) {
  const at = new Date(moment);
  return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString(navigator.language, { timeStyle: "short" }) : time(moment);
}

/** What the customer has to know, or to do, about the money. */
function next(order) {
  const { number, currency, total, refunded, expires_at: end } = order;
  if (order.status === "canceled") return refunded ? `${money(refunded, currency)} goes back to you, the way it came.` : "Nothing was paid.";
  const held = end && `It is held for you until ${until(end)}.`;
  if (order.payment_status === "unpaid") return held;
  if (order.payment_status !== "pending") return order.tracking ? `The parcel's number is ${order.tracking}.` : order.status === "placed" && "The shop gets it ready for you.";
  const action = order.payments.findLast(({ status }) => status === "pending")?.next_action ?? {};
  if (action.type === "transfer") return [`Transfer ${money(action.amount ?? total, currency)} to the shop, and write `, h("strong", {}, action.purpose ?? number), ` on it. ${held}`];
  if (action.type === "redirect" && /^https?:/.test(action.url)) return h("a", { class: "button primary", href: action.url }, "Go on to pay");
  return `The payment is on its way: this page says when it is there. ${held}`;
}

export async function page({ params: { number }, query }) {
  const [, providers] = await Promise.all([styles("shopping.css"), shop.asked.then(() => shop.value?.payment_providers, () => [])]);
  const token = tokensKept()[number.toUpperCase()];
  const ask = (method, path = "", more) => call(method, `/api/orders/${encodeURIComponent(number)}${path}`, { ...more, headers: token ? { "Order-Token": token } : {} });
  const said = h("p", { role: "alert", class: "bad" });
  const box = h("div");
  let order, timer, pause, isLeft;

  /** Show the order if it is not the same; look again later while somebody else may change it. */
  function show(now) {
    if (isLeft) return;
    if (JSON.stringify(now) !== JSON.stringify(order)) {
      if (order) announce(`${standing(now)}.`);
      if (order?.payment_status !== now.payment_status) pause = 1000;
      fill(box, content((order = now)));
    }
    clearTimeout(timer);
    if (now.status !== "placed" || !PAYABLE.includes(now.payment_status)) return;
    const wait = now.payment_status === "pending" ? pause : Math.max(new Date(now.expires_at) - Date.now(), LONGEST);
    pause = Math.min(pause * 2, LONGEST);
    timer = setTimeout(() => ask("GET").then(({ data }) => show(data), () => show(order)), Math.min(wait, 2 ** 31 - 1));
  }

  /** Send a change, then show what has become of the order, and what was refused. */
  async function change(event, path, body) {
    const button = event.submitter ?? event.currentTarget;
    button.disabled = true;
    said.textContent = "";
    try {
      await ask("POST", path, { body, key: newKey() });
    } catch (problem) {
      fill(said, sentence(problem));
    }
    await ask("GET").then(({ data }) => show(data), (problem) => fill(said, sentence(problem)));
    button.disabled = false;
  }

  function payment() {
    const ways = providers.flatMap((provider) => (WAYS[provider] ?? [["", provider]]).map(([outcome, text]) => [provider, outcome, text]));
    ways.sort(([a], [b]) => (b === "dummy") - (a === "dummy"));
    const pay = (event) => {
      event.preventDefault();
      const [provider, outcome] = new FormData(event.target).get("way").split(" ");
      change(event, "/payments", { provider, ...(outcome && { outcome }) });
    };
    return h("form", { class: "card", onsubmit: pay },
      h("fieldset", {}, h("legend", {}, order.payment_status === "pending" ? "Pay in another way" : "How do you want to pay?"),
        ways.map(([provider, outcome, text], i) => h("label", { class: "choice" }, h("input", { type: "radio", name: "way", value: `${provider} ${outcome}`, checked: i === 0 }), text))),
      h("button", { class: "primary", type: "submit" }, "Pay"));
  }

  function cancellation() {
    const paid = order.paid - order.refunded > 0;
    const dialog = h("dialog", { class: "card", "aria-labelledby": "cancel-title" },
      h("h2", { id: "cancel-title" }, "Cancel this order?"),
      h("p", {}, paid ? "What you paid goes back to you." : "Nothing was paid, so nothing goes back.", " It cannot be taken up again."),
      h("p", { class: "row" },
        h("button", { class: "danger", onclick(event) {
          dialog.close();
          change(event, "/cancel");
        } }, "Cancel order"),
        h("button", { onclick: () => dialog.close() }, "Keep order")));
    return [h("button", { class: "plain", onclick: () => dialog.showModal() }, "Cancel order"), dialog];
  }

  function content({ items, currency, status, total, item_count: pieces, shipping_address: to, note, email, placed_at: placed, history }) {
    return [
      h("p", { class: `standing ${status === "canceled" ? "bad" : PAYABLE.includes(order.payment_status) ? "" : "good"}` }, standing(order)),
      h("p", {}, next(order)),
      h("div", { class: "checkout" },
        h("div", {},
          status === "placed" && PAYABLE.includes(order.payment_status) && payment(),
          h("h2", {}, "What happened"),
          h("ol", { class: "history" }, history.map(({ at, what, amount }) => h("li", {}, h("span", {}, HAPPENED[what] ?? what, amount ? ` (${money(amount, currency)})` : ""), h("time", { datetime: at, class: "quiet" }, time(at))))),
          status === "placed" && cancellation()),
        h("section", { class: "card summary", "aria-label": "What you ordered" },
          h("h2", {}, count(pieces, "piece")),
          h("ul", { class: "lines" }, items.map((item) => h("li", { class: "bought" }, h("a", { href: `/shop/products/${item.product_id}` }, item.name), h("span", { class: "quiet" }, `${item.quantity} × ${money(item.unit_price, currency)}`), h("strong", { class: "amount" }, money(item.line_total, currency))))),
          h("p", { class: "total" }, h("span", {}, "Total"), h("strong", {}, money(total, currency))),
          to && h("address", {}, [to.name, to.company, to.line1, to.line2, [to.postal_code, to.city].filter(Boolean).join(" "), to.region, to.country, to.phone].filter(Boolean).map((line) => h("div", {}, line))),
          note && h("p", {}, note),
          h("p", { class: "quiet" }, email ? `Confirmed to ${email}, ` : "", time(placed)))),
    ];
  }

  try {
    show((await ask("GET")).data);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    return { title: "Order", node: h("section", { class: "trouble" }, h("h1", {}, "This order does not open here"),
      h("p", {}, "It opens for the account that placed it; a guest's, in the browser that placed it."),
      h("p", { class: "row" }, h("a", { class: "button primary", href: loginAddress() }, "Log in"), h("a", { class: "button", href: "/shop/orders" }, "Orders of this browser"))) };
  }
  return {
    title: `Order ${order.number}`,
    node: h("section", { class: "order" }, h("h1", {}, query.has("placed") ? `Thank you. Your order is ${order.number}` : `Order ${order.number}`), said, box),
    leave() {
      isLeft = true;
      clearTimeout(timer);
    },
  };
}
