// The cart at the side: its lines, what is wrong with one, and the way to the checkout, which shows the same lines.
import { load, remove, set, wanted } from "./cart.js";
import { announce, fill, h, icon, styles } from "./dom.js";
import { sentence } from "./forms.js";
import { count, money } from "./format.js";
import { cart } from "./state.js";

const said = new Map(); // product id → {text, take}: what the API refused for a line
let drawer, notes;

/** Do what a button of a line says; a refusal is told in the line. */
async function change(item, work) {
  said.delete(item.product_id);
  try {
    await work();
  } catch (problem) {
    said.set(item.product_id, { text: sentence(problem), take: problem.details?.available });
    cart.value = cart.value; // shown anew
    announce(`${item.product.name}: ${problem.message}`);
  }
}

/** What is wrong with a line: its words, and the quantity that can be had instead. */
function issueOf({ issue, product_id: id, unit_price: now }) {
  const own = said.get(id);
  const text = own ? own.text
    : issue?.code === "PRICE_CHANGED" ? ["Price changed: was ", h("del", {}, money(issue.was)), ", now ", h("ins", {}, money(now)), "."]
    : issue?.in_stock ? `Only ${issue.in_stock} left.`
    : issue?.message;
  return { text, most: own?.take ?? issue?.in_stock };
}

/** Make a line of the cart. Its elements stay while their texts change, so that no click and no focus is lost. */
function lineOf({ product, product_id: id }) {
  let item, shown;
  const take = (pieces) => {
    change(item, () => set(id, pieces));
    cart.value = cart.value; // shows at once what is wanted
  };
  const step = (by, name, label) =>
    h("button", { "data-key": `${name}-${id}`, "aria-label": `${label} of ${product.name}`, onclick: () => take((wanted.get(id) ?? item.quantity) + by) }, icon(name));
  const minus = step(-1, "minus", "One less");
  const input = h("input", { "data-key": `quantity-${id}`, inputmode: "numeric", maxlength: 3, "aria-label": `Quantity of ${product.name}`,
    onchange: () => (/^[1-9]\d*$/.test(input.value) ? take(Number(input.value)) : update(item)) });
  const price = h("span", { class: "quiet" });
  const amount = h("strong", { class: "amount" });
  const issue = h("p");
  const node = h("li", {},
    product.image_url ? h("img", { src: product.image_url, alt: "", width: 72, height: 72, loading: "lazy" }) : h("span", { class: "picture" }),
    h("div", { class: "what" }, h("a", { href: `/shop/products/${id}` }, product.name), price),
    amount,
    h("div", { class: "stepper" }, minus, input, step(1, "plus", "One more")),
    h("button", { class: "plain", "data-key": `remove-${id}`, "aria-label": `Remove ${product.name}`, onclick: () => change(item, async () => {
      await remove(id);
      announce(`${product.name} is removed.`);
    }) }, "Remove"),
    issue);

  function update(now) {
    item = now;
    const quantity = wanted.get(id) ?? now.quantity;
    node.className = now.available ? "line" : "line out";
    node.setAttribute("aria-busy", wanted.has(id));
    price.textContent = money(now.unit_price);
    amount.textContent = money(now.line_total);
    input.value = quantity;
    if (quantity < 2 && document.activeElement === minus) input.focus();
    minus.disabled = quantity < 2;
    const what = JSON.stringify([now.issue, said.get(id)]);
    if (what === shown) return;
    shown = what;
    const { text, most } = issueOf(now);
    if (issue.contains(document.activeElement)) input.focus(); // the button is gone
    issue.hidden = !text;
    issue.className = now.available && !said.has(id) ? "issue" : "issue bad";
    fill(issue, icon("warning"), h("span", {}, text ?? ""),
      most > 0 && h("button", { "aria-label": `Take ${most} of ${product.name}`, onclick: () => take(most) }, `Take ${most}`));
  }
  return { node, update };
}

/** Keep a list of the cart's lines in step with the cart. Returns {node, stop}. */
export function lines() {
  const node = h("ul", { class: "lines", tabindex: "-1" }, h("li", { class: "skeleton line" }));
  const known = new Map();
  const stop = cart.watch((now) => {
    if (!now) return;
    node.querySelector(".skeleton")?.remove();
    for (const [id, line] of known) {
      if (now.items.some((item) => item.product_id === id)) continue;
      if (line.node.contains(document.activeElement)) node.focus();
      line.node.remove();
      known.delete(id);
    }
    for (const item of now.items) {
      const id = item.product_id;
      if (!known.has(id)) node.append(known.set(id, lineOf(item)).get(id).node);
      known.get(id).update(item);
    }
  });
  return { node, stop };
}

/** Open the drawer; `told`: sentences that stand above the lines. */
export async function open(told = []) {
  said.clear();
  fill(notes, told.map((text) => h("li", {}, text)));
  if (!drawer.open) drawer.showModal();
  try {
    await load();
  } catch (problem) {
    fill(notes, h("li", { class: "bad" }, sentence(problem)));
  }
}

/** Make the drawer, and the button's count. */
export function start() {
  const button = document.getElementById("cart");
  const badge = h("span", { class: "badge", hidden: true });
  const close = () => drawer.close();
  const foot = h("div", { class: "end" });
  const list = lines().node;
  const empty = h("div", { class: "empty", hidden: true }, icon("cart"), h("p", {}, "Your cart is empty."), h("a", { class: "button primary", href: "/shop" }, "See all products"));
  notes = h("ul", { class: "notes", "aria-live": "polite" });
  drawer = h("dialog", { class: "drawer cart", "aria-labelledby": "cart-title", onclick: (event) => (event.target === drawer || event.target.closest("a")) && close() },
    h("div", { class: "head" }, h("h2", { id: "cart-title" }, "Cart"), h("button", { class: "plain", "aria-label": "Close the cart", onclick: close }, icon("close"))),
    notes, list, empty, foot);
  document.body.append(drawer);
  button.append(badge);
  button.addEventListener("click", () => open());
  addEventListener("popstate", close);
  cart.watch((now) => {
    const pieces = now?.item_count ?? 0;
    badge.hidden = !pieces;
    badge.dataset.count = pieces;
    button.setAttribute("aria-label", pieces ? `Cart, ${count(pieces, "piece")}` : "Cart");
    list.hidden = now && !pieces;
    empty.hidden = !list.hidden;
    if (drawer.open && list.hidden) empty.querySelector("a").focus();
    fill(foot, pieces > 0 && [
      h("p", { class: "total", "aria-busy": wanted.size > 0 }, h("span", {}, `Total of ${count(pieces, "piece")}`), h("strong", {}, money(now.total))),
      now.items.some(({ available }) => !available) && h("p", { class: "quiet" }, "The total is without what cannot be had."),
      h("a", { class: "button primary", href: "/shop/checkout" }, "Checkout"),
    ]);
  });
  styles("shopping.css");
  load().catch((problem) => console.info(problem.message)); // the drawer tells it when it is opened
}
