// The account: name, address, password, logins, and the ways out.
import { call } from "./api.js";
import { left } from "./cart.js";
import { announce, fill, h, styles } from "./dom.js";
import { form, loginAddress, sentence } from "./forms.js";
import { time } from "./format.js";
import { NEW_PASSWORD, RULE } from "./register.js";
import { go } from "./router.js";
import { user } from "./state.js";

const CURRENT = ["current_password", "Current password", { type: "password", autocomplete: "current-password", required: true, later: true }];

export async function page() {
  await styles("shopping.css");
  const { data: who } = await call("GET", "/api/users/me");
  user.value = who;
  const own = `/api/users/${who.id}`;
  const said = h("p", { class: "told", role: "status", hidden: true });
  const tell = (text) => {
    said.hidden = false;
    fill(said, text);
    said.scrollIntoView({ block: "nearest" });
  };

  const out = async () => {
    stop();
    await left();
    go("/shop");
  };
  const end = (everywhere) => async () => {
    await call("POST", "/api/users/logout", { query: { everywhere } }).catch((problem) => {
      if (problem.status !== 401) throw problem; // it has ended already
    }).then(out, (problem) => tell(sentence(problem)));
  };
  const change = (label, what) => async (values) => {
    ({ data: user.value } = await call("PUT", own, { body: values }));
    tell(`${label} is changed.${what ? " All other logins have ended." : ""}`);
    logins();
  };

  const list = h("ul", { class: "orders" });
  async function logins() {
    const { data } = await call("GET", "/api/users/me/sessions");
    fill(list, data.map(({ id, created_at: at, last_used_at: used, address, is_current: here }) =>
      h("li", {}, h("span", {}, here ? "This login" : "Login", ` of ${time(at)}`), h("span", { class: "quiet" }, `last used ${time(used)}${address ? ` from ${address}` : ""}`),
        !here && h("button", { "aria-label": `End the login of ${time(at)}`, onclick: () => call("DELETE", `/api/users/me/sessions/${id}`).then(logins).then(() => announce("The login has ended."), (problem) => tell(sentence(problem))) }, "End"))));
  }
  await logins();

  const part = (title, ...children) => h("details", { class: "card" }, h("summary", {}, title), children);
  const stop = user.watch((now) => now || setTimeout(() => go(`${loginAddress()}&ended`, { replace: true })));
  return {
    title: "Account",
    leave: stop,
    node: h("section", { class: "narrow account" },
      h("h1", {}, `Hello, ${who.username}`), said,
      h("p", { class: "row" }, h("a", { class: "button primary", href: "/shop/orders" }, "Your orders"), h("button", { onclick: end(false) }, "Log out"), h("button", { onclick: end(true) }, "Log out everywhere")),
      part("User name and e-mail", form([
        ["username", "User name", { value: who.username, autocomplete: "username", required: true }],
        ["email", "E-mail", { value: who.email, type: "email", autocomplete: "email", required: true }], CURRENT], "Save", change("Your account"))),
      part("Password", form([["password", "New password", { ...NEW_PASSWORD, hint: RULE }], CURRENT], "Change the password", change("Your password", true))),
      h("h2", {}, "Where you are logged in"), list,
      part("Delete the account", h("p", {}, "Your orders stay with the shop, without your name and address. This cannot be undone."),
        form([CURRENT], "Delete the account", (values) => call("DELETE", own, { body: values }).then(out), { danger: true }))),
  };
}
