// What is shown in place of a page that could not be had: what happened, and a way on.
import { h } from "./dom.js";
import { loginAddress } from "./forms.js";

/** Return the page for a problem; `again` tries once more. */
export function page(problem, again) {
  const missing = problem.status === 404;
  if (problem.status === 401) {
    return {
      title: "Log in",
      node: h("section", { class: "trouble" },
        h("h1", {}, "Log in to see this"),
        h("p", {}, "There is no login in this browser, or it has ended. You come back here afterwards."),
        h("a", { class: "button primary", href: loginAddress() }, "Log in")),
    };
  }
  return {
    title: missing ? "Not found" : "That did not work",
    node: h("section", { class: "trouble" },
      h("h1", {}, missing ? "There is nothing here" : "That did not work"),
      h("p", {}, problem.status === undefined ? "A part of the shop could not be loaded. Check your connection." : problem.message),
      h("p", { class: "row" },
        missing ? null : h("button", { class: "primary", onclick: again }, "Try again"),
        h("a", { class: "button", href: "/shop" }, "See all products")),
    ),
  };
}
