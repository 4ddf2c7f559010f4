// Forms: fields from definitions; what the API says about a field stands under it, and the first of these has the focus.
import { announce, fill, h } from "./dom.js";
import { user } from "./state.js";

let forms = 0; // for ids

/** Where to log in, and to come back to afterwards. */
export const loginAddress = (to = location.pathname + location.search) => `/shop/login?to=${encodeURIComponent(to)}`;

/** An address of this shop, and no other, out of `?to=`. */
export function back(query) {
  const to = new URL(query.get("to") ?? "/shop", location.origin);
  return to.origin === location.origin && /^\/(shop(\/.*)?)?$/.test(to.pathname) ? to.pathname + to.search : "/shop";
}

/** What a refusal says, with a way on where it needs a login. */
export const sentence = (problem) =>
  problem.code === "AUTHENTICATION_REQUIRED"
    ? ["Your login has ended. ", h("a", { href: loginAddress() }, "Log in again"), " to go on."]
    : problem.message;

/**
 * Make a form: form([["email", "E-mail", {type: "email", autocomplete: "email"}], …], "Log in", send).
 *
 * A field is [name, label, attributes]; `hint`, `value`, `options` ([value, text] pairs: a select), `rows` (a text area) and
 * `later` (not there until the API asks for it) and `half` (of the width) are ours. `send(values)` has what is not empty; it
 * may throw a Refusal. What is no field stands between them as it is. Returns the form, with `values()`, `send()`, and its
 * `end`: the place for refusals, and the button, which may stand elsewhere.
 */
export function form(parts, action, send, { danger = false } = {}) {
  const id = `form-${++forms}`;
  const inputs = new Map();
  const trouble = h("p", { class: "bad", role: "alert" });
  const button = h("button", { class: danger ? "danger" : "primary", type: "submit", form: id }, action);
  const field = ([name, label, { hint, value = "", options, later, half, ...attributes }]) => {
    const own = `${id}-${name}`;
    const input = h(options ? "select" : attributes.rows ? "textarea" : "input", { id: own, name, ...attributes, ...(hint && { "aria-describedby": `${own}-hint` }) },
      (options ?? []).map(([code, text]) => h("option", { value: code }, text)));
    input.value = value;
    const problem = h("p", { class: "problem", id: `${own}-problem`, hidden: true });
    const box = h("div", { class: half ? "field half" : "field", hidden: later },
      h("label", { for: own }, label, attributes.required ? null : h("span", { class: "quiet" }, " (optional)")),
      input, hint ? h("p", { class: "hint", id: `${own}-hint` }, hint) : null, problem);
    inputs.set(name, { input, problem, box, hint });
    return box;
  };

  /** Put sentences under their fields; the rest above the button. */
  function show(problems, rest) {
    let first = null;
    for (const [name, { input, problem, box, hint }] of inputs) {
      const issue = problems[name];
      problem.textContent = issue ?? "";
      problem.hidden = !issue;
      if (issue) box.hidden = false;
      input.toggleAttribute("aria-invalid", false);
      if (issue) input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", `${issue ? `${input.id}-problem` : ""} ${hint ? `${input.id}-hint` : ""}`);
      if (issue) first ??= input;
    }
    fill(trouble, rest);
    first?.focus();
  }

  const values = () =>
    Object.fromEntries([...inputs].filter(([, { input, box }]) => input.value && !box.hidden).map(([name, { input }]) => [name, input.value]));

  async function submit(event) {
    event?.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    show({}, "");
    try {
      await send(values());
    } catch (problem) {
      if (problem.status === undefined) throw problem;
      const own = problem.code === "REAUTHENTICATION_REQUIRED" ? { current_password: problem.message } : problem.fields;
      const others = Object.entries(own).filter(([name]) => !inputs.has(name)); // of no field here: said with its name
      button.disabled = false; // before the focus moves
      show(own, Object.keys(own).length ? others.map(([name, issue]) => `${name}: ${issue} `) : sentence(problem));
      announce(Object.values(own).join(" "));
    }
    button.disabled = false;
  }

  const fields = parts.map((part) => (Array.isArray(part) ? field(part) : part));
  const whose = inputs.has("username") ? null : h("input", { hidden: true, autocomplete: "username", value: user.value?.username }); // for password managers
  return Object.assign(h("form", { id, novalidate: true, onsubmit: submit }, whose, fields, trouble, button), { values, send: submit, end: [trouble, button] });
}
