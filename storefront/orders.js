// The orders of the account, and those that guests have placed in this browser.
import { call } from "./api.js";
import { fill, h, styles } from "./dom.js";
import { loginAddress } from "./forms.js";
import { count, money, time } from "./format.js";
import { standing, tokensKept } from "./order.js";
import { token } from "./state.js";

const STATUSES = [["", "All"], ["placed", "Placed"], ["fulfilled", "Sent"], ["canceled", "Canceled"]];

const row = (order) =>
  h("li", {}, h("a", { href: `/shop/orders/${order.number}` }, order.number), h("span", {}, standing(order)),
    h("span", { class: "quiet" }, `${time(order.placed_at)}, ${count(order.item_count, "piece")}`), h("strong", { class: "amount" }, money(order.total, order.currency)));

export async function page({ query, kept }) {
  const loaded = styles("shopping.css");
  const status = STATUSES.some(([name]) => name === query.get("status")) ? query.get("status") : "";
  const next = (after) => call("GET", "/api/orders", { query: { status, after, mine: true } }).then(({ data }) => data);
  const list = h("ul", { class: "orders" });
  const more = h("button", {}, "Show more");
  const mine = token.value && (kept ?? (await next())); // as it was, after "back"
  const show = () => {
    fill(list, mine.items.map(row));
    more.hidden = !mine.pagination.has_next;
  };
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const { items, pagination } = await next(mine.pagination.next);
      const first = mine.items.push(...items) - items.length;
      mine.pagination = pagination;
      show();
      list.children[first]?.querySelector("a").focus();
    } catch (problem) {
      more.textContent = `${problem.message} Show more`;
    }
    more.disabled = false;
  });
  const guests = await Promise.all(Object.entries(tokensKept()).reverse().slice(0, 20).map(([number, access]) =>
    call("GET", `/api/orders/${number}`, { headers: { "Order-Token": access } }).then(({ data }) => data, () => null)));
  const here = guests.filter(Boolean).map(row);
  await loaded;
  if (mine) show();
  const filter = STATUSES.map(([name, text]) => h("a", { href: name ? `?status=${name}` : "/shop/orders", "aria-current": name === status && "page" }, text));
  return {
    title: "Orders",
    keep: () => mine || null,
    node: h("section", { class: "order" },
      h("h1", {}, "Orders"),
      mine && [h("nav", { class: "tabs", "aria-label": "Status" }, filter), mine.items.length ? [list, more] : h("p", {}, "There are none. ", h("a", { href: "/shop" }, "See all products"))],
      here.length > 0 && [h("h2", {}, "Ordered in this browser without an account"), h("ul", { class: "orders" }, here)],
      !mine && h("p", {}, here.length ? "" : "No order was placed in this browser. ", h("a", { href: loginAddress() }, "Log in"), " to see those of your account.")),
  };
}
