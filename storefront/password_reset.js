// A forgotten password: asking for the mail, and the page that its link leads to (/password-reset#token=…).
import { call } from "./api.js";
import { left } from "./cart.js";
import { announce, fill, h, styles } from "./dom.js";
import { form } from "./forms.js";
import { NEW_PASSWORD, RULE } from "./register.js";
import { token as login } from "./state.js";

export async function page({ hash, kept }) {
  const token = new URLSearchParams(hash).get("token") ?? kept;
  if (hash) history.replaceState({ ...history.state, kept: token }, "", location.pathname); // it is a secret: out of the address, and of what is shared
  await styles("shopping.css");
  const said = (...sentences) => {
    fill(box, sentences.map((sentence) => h("p", {}, sentence)));
    box.focus();
    announce(box.textContent);
  };
  const ask = form([["email", "E-mail of the account", { type: "email", autocomplete: "email", required: true }]], "Send the mail", async (values) => {
    const { message, data } = await call("POST", "/api/users/password-reset", { body: values });
    said(message, `Its link works for ${Math.round(data.expires_in / 60)} minutes.`);
  });
  const choose = form([["password", "New password", { ...NEW_PASSWORD, hint: RULE }]], "Set the password", async ({ password }) => {
    const { message } = await call("POST", "/api/users/password-reset/confirm", { body: { token, password } });
    if (login.value) left(); // all logins of the account have ended
    said(message, h("a", { class: "button primary", href: "/shop/login" }, "Log in"));
  });
  const box = h("div", { tabindex: "-1" }, token ? choose : ask);
  return {
    title: "Reset the password",
    node: h("section", { class: "narrow" },
      h("h1", {}, token ? "Choose a new password" : "Forgot the password?"),
      token ? null : h("p", {}, "Say which address the account has. A link to choose a new one comes by mail."),
      box,
      token ? h("p", { class: "below" }, h("a", { href: "/shop/password-reset" }, "Ask for another mail")) : null),
    keep: () => token,
  };
}
