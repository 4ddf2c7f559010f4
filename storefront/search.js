// The search in the bar of all pages: suggestions while one types, and on the list of products the results too.
import { call } from "./api.js";
import { announce, fill, h, icon } from "./dom.js";
import { count } from "./format.js";
import { go } from "./router.js";

const PAUSE = 120; // ms without a key, until it is asked
export const list = { address: "/shop" }; // where the list of products was left: pages lead back there

let live = null; // takes what is typed, where the list of products is shown
let asking = new AbortController();
let pausing;
let chosen = -1; // the suggestion that the arrows have reached

const input = h("input", {
  type: "search", name: "search", maxlength: 100, placeholder: "Search", autocomplete: "off", spellcheck: "false",
  role: "combobox", "aria-label": "Search products", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list",
  oninput: typed, onkeydown: keyed, onblur: close,
});
const box = h("ul", { id: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true, onmousedown: (event) => event.preventDefault() });

/** Put the search into the bar. */
export function start() {
  const send = (event) => {
    event.preventDefault();
    search(input.value);
  };
  document.getElementById("search").append(
    h("form", { role: "search", class: "search", onsubmit: send }, input, h("button", { "aria-label": "Search" }, icon("search")), box));
}

/** Show what the list of products searches for; `changed(text)` hears what is typed from now on. Return what ends that. */
export function follow(text, changed) {
  if (document.activeElement !== input) input.value = text;
  live = changed;
  return () => live === changed && (live = null);
}

function search(text) {
  close();
  input.value = text;
  if (live) live(text.trim(), true);
  else go(`/shop?${new URLSearchParams(text.trim() ? { search: text.trim() } : {})}`);
}

function typed() {
  clearTimeout(pausing);
  asking.abort(); // an answer to less than what is typed now comes too late
  pausing = setTimeout(ask, PAUSE, input.value.trim());
}

async function ask(text) {
  live?.(text);
  if (!text) return close();
  asking = new AbortController();
  try {
    const { data } = await call("GET", "/api/products/suggest", { query: { q: text }, signal: asking.signal });
    if (document.activeElement === input) open(data);
  } catch {
    close(); // the search goes without suggestions; where the shop cannot be reached, the list says so
  }
}

function open({ suggestions, did_you_mean: meant }) {
  const options = suggestions.map(({ kind, id, name }) => kind === "category"
    ? option(() => go(`/shop?category_id=${id}`), h("span", { class: "quiet" }, "All in"), ` ${name}`)
    : option(() => go(`/shop/products/${id}`), name));
  if (meant) options.push(option(() => search(meant), h("span", { class: "quiet" }, "Did you mean"), ` ${meant}`));
  fill(box, options);
  choose(-1);
  box.hidden = options.length === 0;
  input.setAttribute("aria-expanded", String(!box.hidden));
  if (options.length) announce(count(options.length, "suggestion"));
}

const option = (onclick, ...text) => h("li", { role: "option", "aria-selected": "false", onclick: () => (close(), onclick()) }, h("span", {}, ...text));

function close() {
  clearTimeout(pausing);
  asking.abort();
  box.hidden = true;
  choose(-1);
  input.setAttribute("aria-expanded", "false");
}

/** Mark the suggestion with this number; -1: none, the text itself. */
function choose(number) {
  chosen = number;
  input.removeAttribute("aria-activedescendant");
  for (const [i, each] of [...box.children].entries()) {
    each.id = `suggestion-${i}`;
    each.setAttribute("aria-selected", String(i === number));
    if (i === number) {
      input.setAttribute("aria-activedescendant", each.id);
      each.scrollIntoView({ block: "nearest" });
    }
  }
}

function keyed(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && box.hidden) ask(input.value.trim());
  else if (step) {
    const places = box.children.length + 1; // the text itself is one of them
    choose(((chosen + 1 + step + places) % places) - 1);
  } else if (event.key === "Enter" && chosen >= 0) box.children[chosen].click();
  else if (event.key === "Escape" && !box.hidden) close();
  else return;
  event.preventDefault();
}
