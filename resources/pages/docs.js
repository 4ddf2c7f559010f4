// Swagger UI on the API document of this host. Nothing is asked of another host, and no token outlives the page.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function follow() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

dark.addEventListener("change", follow);
follow();

// What a screen reader and a keyboard miss in Swagger UI: landmarks, headings in order, links outside buttons, and a
// dialog that is one.

const part = (title, hidden) => (Original, { React: { createElement } }) => (props) =>
  createElement(
    "section",
    { "aria-label": title },
    createElement("h2", { className: hidden ? "unseen" : "part" }, title),
    createElement(Original, props),
  );

const plain = (_, { React: { createElement } }) => ({ text }) => createElement("span", null, text);

const dialog = (Original, { React: { createElement, useLayoutEffect, useRef }, authActions }) => (props) => {
  const box = useRef(null);
  const opener = useRef(document.activeElement); // a field of the dialog takes the focus before any effect runs
  useLayoutEffect(() => {
    const enter = () => (box.current.querySelector("input") ?? box.current.querySelector("button")).focus();
    const listeners = {
      focusin: ({ target }) => box.current.contains(target) || enter(),
      keydown: ({ key }) => key === "Escape" && authActions.showDefinitions(false),
    };
    for (const [event, listener] of Object.entries(listeners)) document.addEventListener(event, listener);
    enter();
    return () => {
      for (const [event, listener] of Object.entries(listeners)) document.removeEventListener(event, listener);
      opener.current.focus();
    };
  }, []);
  return createElement(
    "div",
    { ref: box, role: "dialog", "aria-modal": true, "aria-label": "Authorize" },
    createElement(Original, props),
  );
};

const reachable = {
  wrapComponents: {
    InfoContainer: (Original, { React: { createElement } }) => (props) =>
      createElement("section", { "aria-label": "About" }, createElement(Original, props)),
    AuthorizeBtnContainer: part("Authorization", true),
    operations: part("Operations", true),
    DeepLink: plain,
    authorizationPopup: dialog,
  },
};

// Attributes that Swagger UI leaves out, or has wrong: a field is named by its row, a button by what stands on it.
const scheme = (element) => element.closest(".auth-container").querySelector("h4 code").textContent;
const ATTRIBUTES = [
  ["tr[data-param-name] :is(input, select, textarea)", "aria-label", (field) => field.closest("tr").dataset.paramName],
  ["textarea.body-param__text", "aria-label", () => "Request body"],
  [".responses-table[role=region]", "aria-label", (table) => `Answers of ${table.id}`],
  [".examples-select-element", "aria-label", () => "Example"],
  [".json-schema-2020-12-accordion", "aria-label", (button) => button.textContent || "Schema"],
  [".copy-to-clipboard", "role", () => "group"],
  [".close-modal", "aria-label", () => "Close"],
  [".auth-btn-wrapper button", "aria-label", (button) => button.textContent],
  [".auth-container h6", "aria-level", () => "5"],
  [".info h1, .info h2.title", "aria-level", () => "2"],
  [".auth-container input[id^=api_key_value]", "id", (field) => `api_key_value_${scheme(field)}`],
  [".auth-container label[for^=api_key_value]", "for", (label) => `api_key_value_${scheme(label)}`],
  [".live-responses-table .highlight-code > pre", "tabindex", () => "0"],
];

function complete() {
  for (const [selector, attribute, value] of ATTRIBUTES) {
    for (const element of document.querySelectorAll(selector)) element.setAttribute(attribute, value(element));
  }
}

new MutationObserver(complete).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });

// Swagger UI takes #operations for the name of an operation.
for (const link of document.querySelectorAll("[href='#operations']")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("operations")?.focus();
  });
}

SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  plugins: [reachable],
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { theme: "obsidian" },
  validatorUrl: null,
  queryConfigEnabled: false,
});
