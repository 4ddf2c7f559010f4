// One product: what it is, what is left of it, and how many to buy.
import { call } from "./api.js";
import { buy, hint } from "./buy.js";
import { fill, h, icon } from "./dom.js";
import { money } from "./format.js";
import { list } from "./search.js";
import { shop } from "./state.js";
import * as trouble from "./trouble.js";

/** Return the page, at first with room for what is being loaded. */
export function page({ params }) {
  const back = h("nav", { "aria-label": "Way back" }, h("a", { class: "back", href: list.address }, icon("back"), "Back to the products"));
  const heading = h("h1", {}, h("span", { class: "unseen" }, "Product"));
  const node = h("div", { class: "product" }, back);
  const page = { title: "Product", node, focus: heading };

  function say(title) {
    page.title = title;
    if (node.isConnected) document.title = title;
  }

  async function load() {
    fill(node, back, h("div", { class: "picture skeleton" }),
      h("div", {}, heading, ["cost", "text", "buy"].map((part) => h("p", { class: `${part} skeleton` }))));
    try {
      const { data } = await call("GET", `/api/products/${params.id}`);
      say(data.name);
      fill(heading, data.name);
      show(data);
    } catch (problem) {
      const instead = trouble.page(problem, load);
      say(instead.title);
      fill(node, back, instead.node);
      if ([heading, document.body].includes(document.activeElement)) heading.isConnected || node.querySelector("h1").setAttribute("tabindex", -1);
    }
  }

  function show(product) {
    const { name, description, price, image_url: src, category_id: category, category_name: kind, stock_quantity: stock } = product;
    const most = Math.max(1, Math.min(stock, shop.value?.limits.line_quantity ?? 999));
    const answer = h("p", { class: "answer", hidden: true });
    const quantity = h("input", { type: "number", min: 1, max: most, value: 1, inputmode: "numeric", "aria-label": "Quantity", onchange: () => set(quantity.value) });
    const step = (by, label, picture) => h("button", { type: "button", "aria-label": label, onclick: () => set(Number(quantity.value) + by) }, icon(picture));
    const set = (value) => (quantity.value = Math.min(most, Math.max(1, Math.round(value) || 1)));
    const button = h("button", { class: "primary buy", disabled: stock === 0 }, "Add to cart");
    const add = async (event) => {
      event.preventDefault();
      const { said, bad } = await buy(product, Number(set(quantity.value)));
      answer.hidden = false;
      answer.classList.toggle("bad", Boolean(bad));
      fill(answer, icon(bad ? "warning" : "check"), said);
    };
    fill(node, back,
      h("div", { class: "picture" }, src && h("img", { src, alt: `Picture of ${name}`, width: 800, height: 800, fetchpriority: "high", onerror: ({ target }) => target.remove() })),
      h("div", {},
        category && h("p", {}, h("a", { href: `/shop?category_id=${category}` }, kind)),
        heading,
        h("p", { class: "cost" }, h("strong", {}, money(price)), h("span", { class: hint(product) ? "few" : "few good" }, hint(product) || "In stock")),
        (description ?? "").split(/\n+/).filter(Boolean).map((part) => h("p", { class: "text" }, part)),
        h("form", { class: "row", onsubmit: add },
          stock > 0 && h("div", { class: "stepper" }, step(-1, "One less", "minus"), quantity, step(1, "One more", "plus")), button),
        answer));
  }

  load();
  return page;
}
