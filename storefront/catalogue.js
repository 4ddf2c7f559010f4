// The products: filtered, searched, sorted, scrolled without an end; its address is that of what is seen.
import { call } from "./api.js";
import { buy, hint } from "./buy.js";
import { announce, fill, h, icon } from "./dom.js";
import { facets } from "./facets.js";
import { count, money } from "./format.js";
import { readdress } from "./router.js";
import { follow, list } from "./search.js";
import { virtual } from "./virtual.js";

const FILTERS = ["search", "category_id", "min_price", "max_price", "in_stock", "sort"]; // named as the API's parameters
const ORDERS = { price: "Price: low to high", "-price": "Price: high to low", name: "Name: A to Z", "-name": "Name: Z to A", oldest: "Oldest first" };
const EAGER = 8; // pictures that are in the first view
const REST = 250; // ms without scrolling, until the address says the place
const SHORT = 4000; // ms that a card says that it was added

/**
 * Return the page. `kept`: {at, above, after, total, focus} of a visit that one comes back to.
 *
 * The address has the filters, and below the first row also the place: `at`, the number of the first product in the
 * window, and `after`, the API's cursor of its page. Who gets the address sees the same products, also where others have
 * come before them; those above them are loaded by the numbers of their pages when one scrolls up.
 */
export function page({ query, kept }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const at = Math.max(0, parseInt(query.get("at"))) || 0;
  const place = kept ?? (at ? { at, after: query.get("after") ?? undefined } : null);
  let here = location.pathname + location.search; // the address, as this page has it
  let asked = false; // whether the facets of these filters were asked for
  let meant; // what was perhaps meant, where nothing is found
  let resting;
  let unfollow;

  const heading = h("h1", {});
  const said = h("p", { class: "quiet" }, "…");
  const sort = h("select", { "aria-label": "Sort by", onchange: () => apply({ sort: sort.value }) });
  const grid = h("ul", { class: "grid", role: "list", "aria-label": "Products" });
  const notice = h("div", { class: "problem", role: "alert", hidden: true });
  const more = h("p", { class: "quiet", hidden: true }, "The list ends here. For other products, search or filter.");
  const choices = facets(apply);
  const items = virtual(grid, { load, show, told });
  const node = h("div", { class: "catalogue" }, choices.aside,
    h("section", { "aria-label": "Results" },
      h("div", { class: "head" }, h("div", {}, heading, said), choices.opener, h("label", { class: "sort" }, h("span", { "aria-hidden": "true" }, "Sort by"), sort)),
      choices.chips, grid, notice, more), choices.dialog);
  const page = { node, keep, leave, top: place && (() => items.scroll(place)) };

  async function load(where, signal) {
    const first = !asked;
    asked = true;
    try {
      const { data } = await call("GET", "/api/products", { query: { ...filters, ...where, facets: first || null }, signal });
      const { total, next, total_is_exact: exact = true } = data.pagination;
      meant = data.did_you_mean;
      if (first) choices.show(filters, data.facets, total);
      if (first) describe();
      return { items: data.items, next, total, exact };
    } catch (problem) {
      if (first) asked = false;
      throw problem;
    }
  }

  /** Fill a card; without a product it is still being loaded. */
  function show(li, product, index) {
    li.className = "goods";
    if (!product) return fill(li, ["picture", "name", "kind", "cost", "buy"].map((part) => h("span", { class: `${part} skeleton` })));
    const { name, price, image_url: src, category_name: category, stock_quantity: stock } = product;
    const answer = h("p", { class: "answer", hidden: true });
    const add = async () => {
      const { said, bad } = await buy(product);
      answer.hidden = false;
      answer.classList.toggle("bad", Boolean(bad));
      answer.textContent = said;
      if (!bad) setTimeout(() => (answer.hidden = true), SHORT);
    };
    const soon = index < EAGER ? { fetchpriority: index < 4 ? "high" : null } : { loading: "lazy" };
    fill(li,
      h("div", { class: "picture" }, src && h("img", { ...soon, src, alt: "", width: 400, height: 400, decoding: "async", onerror: ({ target }) => target.remove() })),
      h("h2", { class: "name" }, h("a", { href: `/shop/products/${product.id}` }, name)),
      h("p", { class: "kind quiet" }, category),
      h("p", { class: "cost" }, h("strong", {}, money(price)), h("span", { class: stock ? "few" : "few quiet" }, hint(product))),
      h("button", { class: "buy", disabled: stock === 0, "aria-label": `Add to cart: ${name}`, onclick: add }, "Add to cart"),
      answer);
  }

  /** Say what the list is of, and how it can be sorted. */
  function describe() {
    const { search, category_id: ids } = filters;
    const name = ids.includes(",") ? "Several categories" : choices.name(ids) ?? "Products";
    heading.textContent = search ? `Results for “${search}”` : ids ? name : "All products";
    page.title = heading.textContent;
    if (node.isConnected) document.title = page.title;
    const orders = { "": search ? "Best match" : "Newest first", ...(search && { newest: "Newest first" }), ...ORDERS };
    fill(sort, Object.entries(orders).map(([value, text]) => h("option", { value, selected: value === filters.sort }, text)));
  }

  /** An answer came: say how many there are; or what went wrong, in place, with a way on. */
  function told({ total, exact = true, problem, reached }) {
    notice.hidden = !problem && total !== 0;
    grid.setAttribute("role", total === 0 ? "group" : "list"); // a list has items
    if (problem) {
      fill(notice, h("p", {}, icon("warning"), problem.message), h("p", { class: "row" },
        h("button", { class: "primary", onclick: items.retry }, "Try again"),
        problem.status === 400 && h("a", { class: "button", href: "/shop" }, "See all products")));
      return;
    }
    if (total === 0) {
      const filtered = FILTERS.slice(1, 5).some((name) => filters[name]);
      fill(notice, h("p", {}, "No product is like that."), h("p", { class: "row" },
        meant && h("button", { class: "primary", onclick: () => apply({ search: meant }) }, `Did you mean “${meant}”?`),
        filtered && h("button", { onclick: () => apply({ category_id: "", min_price: "", max_price: "", in_stock: "" }) }, "Clear the filters"),
        h("a", { class: "button", href: "/shop" }, "See all products")));
    }
    more.hidden = !(reached < total);
    scrolled(); // a cursor that the address lacks may be known now
    const text = total === null ? said.textContent : `${exact ? "" : "At least "}${count(total, "product")}`;
    if (said.textContent !== text && node.isConnected) announce(text);
    said.textContent = text;
  }

  /** Show the list of other filters. */
  function apply(changes, step = true) {
    const next = { ...filters, ...changes };
    if (FILTERS.every((name) => filters[name] === (next[name] = String(next[name])))) return;
    const address = addressOf(next);
    readdress(address, { step });
    here = address;
    Object.assign(filters, next);
    asked = false;
    notice.hidden = true;
    choices.show(filters);
    describe();
    search();
    items.begin();
  }

  /** Hear what is typed into the search. The first letter is a step in the history; the others are not. */
  function search() {
    unfollow = follow(filters.search, (text) => apply({ search: text }, !filters.search));
  }

  function addressOf(filters, { at, after } = {}) {
    const parts = new URLSearchParams(FILTERS.filter((name) => filters[name]).map((name) => [name, filters[name]]));
    if (at) parts.set("at", at);
    if (at && after) parts.set("after", after);
    return location.pathname + (parts.size ? `?${parts}`.replaceAll("%2C", ",") : "");
  }

  /** Let the address say what is seen; unless another page has come, which is only not there yet. */
  function settle() {
    clearTimeout(resting);
    if (here !== location.pathname + location.search || !node.isConnected || !items.total()) return;
    here = addressOf(filters, items.place());
    readdress(here);
  }

  function keep() {
    list.address = addressOf(filters, items.place());
    return { ...items.place(), total: items.total(), focus: document.activeElement?.closest(".grid > li")?.index };
  }

  const scrolled = () => {
    clearTimeout(resting);
    resting = setTimeout(settle, REST);
  };
  addEventListener("scroll", scrolled, { passive: true });

  function leave() {
    clearTimeout(resting);
    removeEventListener("scroll", scrolled);
    unfollow();
    items.leave();
  }

  list.address = here;
  search();
  choices.show(filters);
  describe();
  const begun = items.begin(place ?? {});
  if (place && place.total == null) page.ready = begun; // until then it is not known how high the page is
  if (kept?.focus != null) {
    begun.then(() => document.activeElement === heading && items.find(kept.focus)?.querySelector("a")?.focus({ preventScroll: true }));
  }
  return page;
}
