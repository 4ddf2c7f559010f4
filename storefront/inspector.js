// The drawer that shows the API calls of this page: times, caches, SQL files, and each call as curl and as TypeScript.
import { calls } from "./api.js";
import { announce, fill, h, styles } from "./dom.js";
import { count, number } from "./format.js";
import { curl, masked, typescript } from "./inspector_code.js";

let drawer, list, opener;

/** Return the parts of a Server-Timing header: [{name, desc, dur}]. */
function timing(call) {
  const parts = (call.answered?.get("Server-Timing") ?? "").split(", ").filter(Boolean);
  return parts.map((part) => {
    const [, name, desc = "", dur = 0] = /^(\w+)(?:;desc="([^"]*)")?(?:;dur=([\d.]+))?/.exec(part);
    return { name, desc, dur: Number(dur) };
  });
}

/** Where an answer came from, in two words: this browser's memory, a 304, the shop's memory, or the database. */
function source(call) {
  const entry = performance.getEntriesByName(new URL(call.url, location.origin).href)
    .findLast((one) => one.startTime >= call.at - 5 && one.startTime <= call.at + call.ms);
  const size = entry?.decodedBodySize ?? 0;
  if (entry && size && !entry.transferSize) return { how: "browser’s memory", own: true, size };
  const shop = timing(call).find(({ name }) => name === "cache")?.desc;
  const how = shop === "hit" ? "shop’s memory" : shop === "stale" ? "shop’s memory, old" : "";
  if (entry && size && entry.transferSize <= 300) return { how: how ? `304, ${how}` : "304", size };
  return { how, size: entry?.transferSize || JSON.stringify(call.answer ?? "").length };
}

function ms(value) {
  return `${number(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))} ms`;
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${number(Math.round(bytes / 100) / 10)} KB`;
}

/** A text in a frame, with a button that copies it. */
function code(title, text) {
  const shown = h("pre", { tabindex: 0, role: "group", "aria-label": title }, text);
  const copy = h("button", { type: "button", "aria-label": `Copy ${title}`, onclick: async () => {
    getSelection().selectAllChildren(shown); // where the clipboard is closed to pages, it can be copied by hand
    await navigator.clipboard?.writeText(text).then(() => {
      copy.textContent = "Copied";
      announce("Copied.");
    }, () => {});
  } }, "Copy");
  return h("section", {}, h("div", { class: "row" }, h("h3", {}, title), copy), shown);
}

function pretty(value) {
  const text = JSON.stringify(value, masked, 2) ?? "";
  return text.length > 20000 ? `${text.slice(0, 20000)}\n… ${number(text.length - 20000)} characters more` : text;
}

/** All about a call, for its row when that is opened. */
async function about(call) {
  const sql = source(call).own ? [] : timing(call).filter(({ name }) => name === "sql");
  const body = call.body && pretty(JSON.parse(call.body));
  const headers = Object.entries(call.headers).map(([name, value]) => `${name}: ${masked(name, value)}`);
  return [
    sql.length ? h("section", {}, h("h3", {}, "SQL that it ran"),
      h("ul", {}, sql.map(({ desc, dur }) => {
        const [name, times = ""] = desc.split(" ");
        return h("li", {}, h("a", { href: `/docs/sql/${name}`, target: "_blank" }, `sql/${name}.sql`), ` ${times} ${ms(dur)}`);
      }))) : null,
    code("curl", curl(call)),
    code("TypeScript", await typescript(call)),
    headers.length || body ? code("Request", [...headers, body].filter(Boolean).join("\n")) : null,
    code("Answer", pretty(call.answer)),
  ];
}

/** The row of a call. */
function row(call) {
  const { how, size: bytes } = source(call);
  const sql = timing(call).filter(({ name }) => name === "sql").length;
  const state = call.aborted ? "ended" : call.status || "offline";
  const inside = h("div", { class: "about" });
  const details = h("details", { ontoggle: async () => {
    if (details.open && !inside.firstChild) fill(inside, await about(call));
  } },
  h("summary", {},
    h("b", { class: `method ${call.method}` }, call.method), " ", h("span", { class: "url" }, decodeURIComponent(call.url)), " ",
    h("span", { class: call.status >= 200 && call.status < 400 ? "good" : "bad" }, state), " ",
    h("span", { class: "quiet" }, [ms(call.ms), size(bytes), how || (sql ? count(sql, "SQL file") : "")].filter(Boolean).join(" · "))),
  inside);
  return h("li", {}, details);
}

/** Show a call that was made, the newest first; a moment later, when the browser has its times. */
function show(call) {
  setTimeout(() => {
    list.prepend(row(call));
    if (list.children.length > 50) list.lastChild.remove();
  }, 50);
}

function made() {
  list = h("ol", {});
  const close = h("button", { type: "button", onclick: toggle }, "Close");
  const node = h("aside", { id: "inspector", "aria-label": "API calls", hidden: true, onkeydown: (event) => event.key === "Escape" && toggle() },
    h("div", { class: "row" }, h("h2", {}, "API calls"), h("span", { class: "quiet" }, "All that this shop does, newest first. "),
      h("button", { type: "button", onclick: () => fill(list) }, "Clear"), close),
    list);
  for (const call of calls.past) show(call);
  calls.addEventListener("call", ({ detail }) => show(detail));
  performance.addEventListener("resourcetimingbufferfull", () => performance.clearResourceTimings());
  document.body.append(node);
  return node;
}

/** Open the drawer, or close it; what is beside it can be used all the while. */
function toggle({ currentTarget } = {}) {
  drawer ??= made();
  drawer.hidden = !drawer.hidden;
  document.body.classList.toggle("inspected", !drawer.hidden);
  for (const button of document.querySelectorAll(".inspect")) button.setAttribute("aria-expanded", !drawer.hidden);
  if (drawer.hidden) return opener?.focus();
  opener = currentTarget;
  drawer.querySelector("summary, button").focus();
}

/** Wire the button at the foot, and put a tab at the edge. */
export async function start() {
  await styles("inspector.css");
  const foot = document.getElementById("inspect");
  const tab = h("button", { type: "button", class: "inspect tab", "aria-expanded": "false", "aria-label": "API calls of this page", onclick: toggle }, "API");
  foot.classList.add("inspect");
  foot.setAttribute("aria-expanded", "false");
  foot.addEventListener("click", toggle);
  foot.closest("footer").append(tab);
}
