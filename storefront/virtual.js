// A list of any length: only what is seen is in the page, and only what is near it in memory.
import { online } from "./state.js";

const SIZE = 24; // products on a page of the API: full rows of 2, 3 and 4
const AHEAD = 2; // rows above and below the window that are in the page too, so that Tab leads on
const NEAR = 2; // pages above and below these that are remembered
const TALLEST = 12_000_000; // pixels; further down some browsers draw nothing
const SETTLED = 120; // ms: whoever drags the scrollbar past a thousand products asks for none of them

/**
 * Make a list in `node`, a <ul>. Style sheets say how many `--columns` it has, and all items are of one height.
 *
 * `load({after, page, per_page}, signal)` resolves to {items, next, total, exact}. `show(li, item, index)` fills an item;
 * without `item` it is being loaded. `told({total, problem, reached})` hears of each answer. A page is asked for by the
 * cursor that the page before gave, so that nothing repeats or is missed; where that is not known, by its number.
 */
export function virtual(node, { load, show, told }) {
  const lis = new Map(); // index → <li>
  let pages = new Map(); // number, from 0 → {items, loading, problem}
  let cursors = []; // where each page begins; they stay known when pages are forgotten
  let total = null;
  let stale = false; // the items are of the list before, until the first answer
  let arriving = false; // the window is not yet at the place where the list begins
  let columns = 0;
  let height = 400; // of a row, with its gap
  let seen = 0; // how far the window was scrolled
  let settling;

  const bar = () => document.querySelector(".bar").offsetHeight;
  const top = () => node.getBoundingClientRect().top;
  const length = () => Math.min(total ?? SIZE, columns * Math.floor(TALLEST / height));
  const pageOf = (index) => Math.floor(index / SIZE);
  const find = (index) => lis.get(index);

  /** Measure columns and rows. */
  function measure() {
    const style = getComputedStyle(node);
    columns = Number(style.getPropertyValue("--columns"));
    if (!lis.size) put(0);
    height = node.firstChild.offsetHeight + parseFloat(style.rowGap);
  }

  /** Return the first item in the window, how many pixels of its row are above it, and the cursor of its page. */
  function place() {
    const above = bar() - top();
    const row = Math.max(0, Math.floor(above / height));
    return { at: row * columns, above: Math.round(above - row * height), after: cursors[pageOf(row * columns)] };
  }

  /** Return how far the window has to be scrolled to be at a place. */
  function scroll({ at, above = 0 }) {
    if (!columns) measure();
    stretch();
    arriving = false;
    requestAnimationFrame(() => draw());
    return scrollY + top() - bar() + Math.floor(at / columns) * height + above;
  }

  /** Let the list be as high as if all its items were there. */
  function stretch() {
    node.style.setProperty("--rows", Math.ceil(length() / columns));
    node.style.setProperty("--row-height", `${height}px`);
  }

  /** Let an item be in the page, in its order, and show what it is. What has the focus keeps it. */
  function put(index) {
    const item = pages.get(pageOf(index))?.items[index % SIZE];
    let li = find(index);
    if (!li) {
      li = Object.assign(document.createElement("li"), { index });
      lis.set(index, li);
      node.insertBefore(li, [...node.children].find((other) => other.index > index) ?? null);
      show(li, item, index);
    } else if (item && li.item !== item) {
      const focus = li.contains(document.activeElement) && document.activeElement.localName;
      show(li, item, index);
      if (focus) li.querySelector(focus)?.focus({ preventScroll: true });
    }
    li.item = item ?? li.item;
    li.style.setProperty("--row", Math.floor(index / columns));
    li.style.setProperty("--column", index % columns);
    li.setAttribute("aria-posinset", index + 1);
    li.setAttribute("aria-setsize", total ?? -1);
  }

  /** Let what is in the window, and little else, be in the page and in memory. */
  function draw(hurried = false) {
    if (!node.isConnected || !columns || stale) return;
    const above = -top();
    const rows = Math.ceil(length() / columns);
    const last = Math.min(rows, Math.max(1, Math.ceil((above + innerHeight) / height) + AHEAD));
    const first = columns * Math.max(0, Math.min(last - 1, Math.floor(above / height) - AHEAD));
    const end = Math.min(length(), last * columns);
    stretch();
    for (const [index, li] of lis) {
      if (index >= first && index < end) continue;
      if (index < length() && li.contains(document.activeElement)) continue;
      li.remove();
      lis.delete(index);
    }
    for (let index = first; index < end; index++) put(index);
    if (hurried || arriving || end <= first) return;
    const [from, to] = [pageOf(first), pageOf(end - 1)];
    for (const number of pages.keys()) if (number < from - NEAR || number > to + NEAR) drop(number);
    for (let number = from; number <= to; number++) need(number);
    if (from && !cursors[from]) need(from - 1); // whose cursor makes the address hold
  }

  function drop(number) {
    pages.get(number)?.loading?.abort();
    pages.delete(number);
  }

  /** Load a page that is not there. One behind a page that is being loaded waits for that one's cursor. */
  async function need(number) {
    if (pages.has(number) || pages.get(number - 1)?.loading) return;
    const page = { items: [], loading: new AbortController() };
    pages.set(number, page);
    let after = cursors[number];
    let part;
    try {
      do { // some pages of a search have fewer products than they could, or none
        const where = after ? { after } : number ? { page: number + 1 } : {};
        part = await load({ ...where, per_page: SIZE - page.items.length }, page.loading.signal);
        page.items.push(...part.items);
        after = part.next;
      } while (after && page.items.length < SIZE);
    } catch (problem) {
      page.problem = problem;
    }
    if (pages.get(number) !== page) return; // nobody waits for it any more
    page.loading = null;
    if (page.problem?.fields?.after && cursors[number]) {
      cursors = []; // an address with a cursor of another order: go by the number
      pages.delete(number);
      return need(number);
    }
    if (stale) clear();
    if (!page.problem) {
      const known = number * SIZE + page.items.length;
      if (after) total = Math.max(part.total, known + 1, part.exact ? 0 : total);
      else total = page.items.length ? known : part.total;
      if (cursors[number + 1] && cursors[number + 1] !== after) drop(number + 1); // some came or went: it begins elsewhere
      cursors[number + 1] = after;
    }
    told({ total, exact: part?.exact, problem: page.problem, reached: length() });
    draw();
  }

  /** Throw the items of the list before away. */
  function clear() {
    stale = false;
    node.removeAttribute("aria-busy");
    node.replaceChildren();
    lis.clear();
    if (top() < bar()) scrollTo(0, scroll({ at: 0 }));
  }

  /** Begin a list, at a place in it. Resolve when what is there has come, or could not be had. */
  function begin({ at = 0, after, total: expected = null } = {}) {
    for (const number of pages.keys()) drop(number);
    pages = new Map();
    cursors = [];
    cursors[pageOf(at)] = after;
    total = expected;
    stale = lis.size > 0;
    arriving = at > 0;
    if (stale) node.setAttribute("aria-busy", "true");
    return need(pageOf(at));
  }

  /** Ask again for what could not be had. */
  function retry() {
    for (const [number, page] of pages) if (page.problem) pages.delete(number);
    told({ total, reached: length() });
    draw();
  }

  const sizes = new ResizeObserver(() => {
    const { at } = columns ? place() : { at: 0 };
    const before = columns * height;
    measure();
    if (at && before !== columns * height) scrollTo(0, scroll({ at }));
    else draw();
  });
  const onscroll = () => {
    clearTimeout(settling);
    settling = setTimeout(draw, SETTLED);
    draw(Math.abs(scrollY - seen) > innerHeight);
    seen = scrollY;
  };
  const unwatch = online.watch((here) => here && [...pages.values()].some((page) => page.problem) && retry());
  sizes.observe(node);
  addEventListener("scroll", onscroll, { passive: true });

  /** End: nothing is asked for any more. */
  function leave() {
    for (const number of pages.keys()) drop(number);
    clearTimeout(settling);
    sizes.disconnect();
    removeEventListener("scroll", onscroll);
    unwatch();
  }

  return { begin, find, leave, place, retry, scroll, total: () => total };
}
