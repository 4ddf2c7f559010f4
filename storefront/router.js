// Addresses and pages. A page is a module with `page(visit)`, loaded when its address is first seen.
import { fill } from "./dom.js";

const BASE = "/shop";
const ROUTES = [
  ["", () => import("./catalogue.js")],
  ["/products/:id", () => import("./product.js")],
  ["/checkout", () => import("./checkout.js")],
  ["/orders", () => import("./orders.js")],
  ["/orders/:number", () => import("./order.js")],
  ["/account", () => import("./account.js")],
  ["/login", () => import("./login.js")],
  ["/register", () => import("./register.js")],
  ["/password-reset", () => import("./password_reset.js")],
];

let current = null; // the page that is shown
let visits = 0; // the newest navigation wins

/** Return {load, params} of a path, or null where there is no page. */
function find(path) {
  const inside = path === "/" ? "" : path === "/password-reset" ? path : path.startsWith(BASE) ? path.slice(BASE.length) : null;
  for (const [pattern, load] of inside === null ? [] : ROUTES) {
    const names = [];
    const expression = pattern.replace(/:(\w+)/g, (_, name) => names.push(name) && "([^/]+)");
    const found = new RegExp(`^${expression}/?$`).exec(inside);
    if (found) return { load, params: Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])])) };
  }
  return null;
}

/** Go to an address of the shop: go("/shop/products/3"). `replace`: without a step in the history. */
export function go(address, { replace = false } = {}) {
  keep();
  history[replace ? "replaceState" : "pushState"]({}, "", address);
  return show();
}

/** Change the address of this page without showing it anew (filters, the search); `step`: "back" leads to what it was. */
export function readdress(address, { step = false } = {}) {
  keep(); // what is kept while a page is being left is lost by a reload
  history[step ? "pushState" : "replaceState"](step ? {} : history.state, "", address);
}

/** Write down, in the history, where this page was scrolled to and what it wants back: page.keep(). */
function keep() {
  if (current) history.replaceState({ scroll: scrollY, kept: current.keep?.() }, "");
}

/**
 * Show the page of the address.
 *
 * `page({params, query, hash, kept})` returns {title, node, focus?, ready?, top?, keep?, leave?}: the element for <main>; what has
 * the focus (default: its h1); a promise that resolves when it is high enough to be scrolled; how far, if the page knows
 * better; what goes into the history and comes back as `kept`; what is called when it is left.
 */
async function show(first = false) {
  const visit = ++visits;
  const main = document.getElementById("main");
  const route = find(location.pathname) ?? { load: () => import("./missing.js"), params: {} };
  main.setAttribute("aria-busy", "true");
  let page;
  try {
    const module = await route.load().catch(renew);
    const query = new URLSearchParams(location.search);
    page = await module.page({ params: route.params, query, hash: location.hash.slice(1), kept: history.state?.kept });
  } catch (problem) {
    page = (await import("./trouble.js")).page(problem, () => show());
  }
  if (visit !== visits) return page.leave?.();
  current?.leave?.();
  current = page;
  document.title = page.title;
  fill(main, page.node);
  main.removeAttribute("aria-busy");
  await page.ready;
  if (visit !== visits) return;
  const focus = page.focus ?? main.querySelector("h1");
  if (!first && focus) {
    if (!focus.matches("a, button, input, select, textarea")) focus.tabIndex = -1;
    focus.focus({ preventScroll: true });
  }
  scrollTo(0, page.top?.() ?? history.state?.scroll ?? 0);
}

/** A module could not be had. After an upgrade of the shop its old version may be gone: load this very page anew, once. */
async function renew(problem) {
  const there = await fetch(location.href, { method: "HEAD" }).catch(() => null);
  if (!there?.ok || history.state?.renewed) throw problem;
  history.replaceState({ ...history.state, renewed: true }, "");
  current = null; // which would write that over
  location.reload();
  return new Promise(() => {}); // nothing else is shown meanwhile
}

/** Take over links inside the shop, back and forward, and show the first page. */
export function start() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => show());
  addEventListener("pagehide", keep);
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || event.defaultPrevented || link.target || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    if (!find(link.pathname)) return;
    event.preventDefault();
    go(link.pathname + link.search + link.hash);
  });
  return show(true);
}
