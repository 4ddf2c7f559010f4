// The filters: what can be chosen, with how many products each choice leaves, and what is chosen, as chips.
import { call } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { count, money, number } from "./format.js";

const SLOW = 250; // ms without a change, until a price counts
const NONE = { category_id: "", min_price: "", max_price: "", in_stock: "" };
const names = new Map(); // category id, as text → its name; of all lists so far
const wide = matchMedia("(min-width: 60rem)");

const ids = (filters) => filters.category_id.split(",").filter(Boolean);

/**
 * Make the filters. `apply(changes)` is called with what a person chooses: {category_id: "3,5"}.
 *
 * Returns {aside, opener, chips, show}: the column at the side, the button that opens the filters where there is no room
 * for it, what is chosen, and `show(filters, facets, total)`, to be called with what the address and the API say.
 */
export function facets(apply) {
  let low = 0; // the ends of the slider
  let high = 0;
  let slow;
  let counted = new Map(); // category id → how many products it would have
  const boxes = new Map(); // category id → {box, counted}
  const choices = h("div", {});
  const stock = h("input", { type: "checkbox", onchange: () => apply({ in_stock: stock.checked ? "true" : "" }) });
  const range = (label) => h("input", { type: "range", "aria-label": label, oninput: slid });
  const field = (label) => h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", "aria-label": label, onchange: typed });
  const [least, most] = [range("Lowest price"), range("Highest price")];
  const [from, to] = [field("Price from"), field("Price to")];
  const slider = h("div", { class: "slider" }, least, most);

  const body = h("div", { class: "filters" },
    h("label", { class: "choice" }, stock, h("span", {}, "In stock only")),
    h("fieldset", {}, h("legend", {}, "Price"), slider, h("div", { class: "row" }, from, h("span", { "aria-hidden": "true" }, "–"), to)),
    h("fieldset", {}, h("legend", {}, "Category"), choices));

  const aside = h("aside", { "aria-label": "Filters" });
  const done = h("button", { class: "primary", onclick: () => dialog.close() }, "Show products");
  const dialog = h("dialog", { class: "drawer choose", "aria-label": "Filters" },
    h("header", { class: "row" }, h("h2", {}, "Filters"), h("button", { "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
    h("div", { class: "choose-body" }), h("footer", {}, done));
  const opener = h("button", { class: "opener", "aria-haspopup": "dialog", onclick: () => dialog.showModal() }, icon("filter"), h("span", {}, "Filters"));
  const chips = h("div", { class: "row chips" });

  wide.onchange = () => {
    if (wide.matches) dialog.close();
    (wide.matches ? aside : dialog.children[1]).append(body);
  };
  wide.onchange();

  /** A thumb was moved: it does not pass the other one. */
  function slid({ target }) {
    if (Number(least.value) > Number(most.value)) target.value = (target === least ? most : least).value;
    mark();
    clearTimeout(slow);
    slow = setTimeout(priced, SLOW, least.value, most.value);
  }

  function typed() {
    const amounts = [from.value || low, to.value || high].map(Number);
    priced(Math.min(...amounts), Math.max(...amounts));
  }

  function priced(min, max) {
    apply({ min_price: min > low ? min : "", max_price: max < high ? max : "" });
  }

  /** Show the prices of the thumbs in the fields, and between them a bar. */
  function mark() {
    for (const [thumb, amount] of [[least, from], [most, to]]) {
      thumb.setAttribute("aria-valuetext", money(thumb.value));
      amount.value = thumb.value;
    }
    const share = (thumb) => (thumb.value - low) / (high - low || 1);
    slider.style.setProperty("--from", share(least));
    slider.style.setProperty("--to", share(most));
  }

  function prices({ min_price, max_price }, facet) {
    clearTimeout(slow);
    if (facet?.min != null) [low, high] = [Math.floor(facet.min), Math.ceil(facet.max)];
    const [min, max] = [min_price || low, max_price || high].map((amount) => Number(amount) || 0);
    const ends = [Math.min(low, min), Math.max(high, max)];
    for (const [thumb, value] of [[least, min], [most, max]]) {
      Object.assign(thumb, { min: ends[0], max: ends[1], step: ends[1] - ends[0] > 20 ? 1 : 0.01 });
      thumb.value = value;
    }
    [low, high] = ends;
    mark();
  }

  /** Show a category for each that there is; one that is there stays the same element, so it keeps the focus. */
  function categories(chosen) {
    for (const id of new Set([...names.keys(), ...chosen])) {
      if (!boxes.has(id)) {
        const box = h("input", { type: "checkbox", value: id, onchange: choose });
        const parts = { box, name: h("span", {}), number: h("span", { class: "quiet" }) };
        parts.label = h("label", { class: "choice" }, box, parts.name, parts.number);
        boxes.set(id, parts);
      }
      const { box, name, number: shown } = boxes.get(id);
      name.textContent = names.get(id) ?? "…";
      box.checked = chosen.includes(id);
      shown.textContent = number(counted.get(id) ?? 0);
    }
    const inOrder = [...boxes.values()].sort((a, b) => a.name.textContent.localeCompare(b.name.textContent)).map(({ label }) => label);
    if (inOrder.some((label, i) => choices.children[i] !== label)) fill(choices, inOrder);
  }

  const choose = () => apply({ category_id: [...boxes.values()].filter(({ box }) => box.checked).map(({ box }) => box.value).join(",") });

  /** What is chosen, each with a button that takes it back. */
  function chosen(filters) {
    const { min_price: min, max_price: max } = filters;
    const without = (id) => ids(filters).filter((other) => other !== id).join(",");
    const all = [
      filters.search && [`“${filters.search}”`, { search: "" }],
      ...ids(filters).map((id) => [names.get(id) ?? "…", { category_id: without(id) }]),
      (min || max) && [min && max ? `${money(min)} – ${money(max)}` : min ? `From ${money(min)}` : `Up to ${money(max)}`, { min_price: "", max_price: "" }],
      filters.in_stock && ["In stock", { in_stock: "" }],
    ].filter(Boolean);
    const focused = chips.contains(document.activeElement);
    fill(chips,
      all.map(([text, changes]) => h("button", { class: "chip", "aria-label": `Remove filter: ${text}`, onclick: () => apply(changes) }, text, icon("close"))),
      all.length > 0 && h("button", { class: "plain", onclick: () => apply({ ...NONE, search: "" }) }, "Clear all"));
    if (focused) (chips.firstChild ?? document.querySelector("h1")).focus();
    const filtering = all.length - (filters.search ? 1 : 0);
    opener.lastChild.textContent = filtering ? `Filters (${filtering})` : "Filters";
  }

  function show(filters, found, total) {
    for (const { category_id: id, category_name: name } of found?.categories ?? []) if (id) names.set(String(id), name);
    if (found && ids(filters).some((id) => !names.has(id))) {
      call("GET", "/api/categories").then(({ data }) => {
        for (const { id, name } of data) names.set(String(id), name);
        show(filters, null, total);
      }, () => null); // they stay without a name
    }
    stock.checked = filters.in_stock === "true";
    prices(filters, found?.price);
    if (found) counted = new Map(found.categories.map((each) => [String(each.category_id), each.count]));
    categories(ids(filters));
    chosen(filters);
    done.textContent = total == null ? "Show products" : `Show ${count(total, "product")}`;
  }

  return { aside, opener, dialog, chips, show, name: (id) => names.get(id) };
}
