// Elements, made by one function. Text is always text: nothing here parses HTML.

/**
 * Make an element: h("button", {class: "primary", onclick: buy}, "Add to cart").
 *
 * Properties: on… is a listener; true and false are attributes that are there or not; null and undefined are left out.
 * Children: nodes, texts, numbers, lists of them; null, undefined and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  return fill(element, ...children);
}

/** Put children into an element in place of those that it has. Return the element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Return the picture of this name in icons.svg; screen readers are not told of it. */
export function icon(name) {
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", new URL(`icons.svg#${name}`, import.meta.url).pathname + `#${name}`);
  svg.append(use);
  return svg;
}

/** Let screen readers say a sentence, without moving the focus. */
export function announce(sentence) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  setTimeout(() => (region.textContent = sentence), 50); // the same sentence twice is said twice
}

/** Load a style sheet of this folder once; resolve when it counts. */
export function styles(name) {
  const href = new URL(name, import.meta.url).pathname;
  const known = document.head.querySelector(`link[href="${href}"]`);
  if (known) return known.sheet ? Promise.resolve() : new Promise((done) => known.addEventListener("load", done));
  return new Promise((done, failed) =>
    document.head.append(h("link", { rel: "stylesheet", href, onload: done, onerror: failed })),
  );
}
