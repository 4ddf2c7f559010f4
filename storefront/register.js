// Making an account; it is logged in at once.
import { call } from "./api.js";
import { h, styles } from "./dom.js";
import { back, form } from "./forms.js";
import { login } from "./login.js";

export const NEW_PASSWORD = { type: "password", autocomplete: "new-password", required: true };
export const RULE = "8 characters or more, with an upper-case letter, a lower-case letter and a digit.";

export async function page({ query }) {
  await styles("shopping.css");
  const to = back(query);
  const fields = [
    ["username", "User name", { autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, hint: "3 to 50 letters, digits and _." }],
    ["email", "E-mail", { type: "email", autocomplete: "email", required: true }],
    ["password", "Password", { ...NEW_PASSWORD, hint: RULE }],
  ];
  return {
    title: "Make an account",
    node: h("section", { class: "narrow" },
      h("h1", {}, "Make an account"),
      form(fields, "Make the account", async (values) => {
        await call("POST", "/api/users/register", { body: values });
        await login({ username: values.username, password: values.password }, to);
      }),
      h("p", { class: "below" }, h("a", { href: `/shop/login?to=${encodeURIComponent(to)}` }, "Log in to an account that you have"))),
  };
}
