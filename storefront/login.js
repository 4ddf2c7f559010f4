// Logging in: the cart that was filled before comes along.
import { call } from "./api.js";
import { entered } from "./cart.js";
import { open } from "./cart_drawer.js";
import { h, styles } from "./dom.js";
import { back, form } from "./forms.js";
import { go } from "./router.js";
import { cart, session } from "./state.js";

const CUT = {
  WITHDRAWN: () => "is no longer sold.",
  INSUFFICIENT_STOCK: ({ quantity }) => (quantity ? `only ${quantity} are there; your cart has these.` : "is sold out."),
  CART_FULL: () => "did not fit: the cart is full.",
};

/** Log in, and go on to where one came from. What was cut from the guest's cart is told. */
export async function login(credentials, to) {
  const names = new Map(cart.value?.items.map(({ product }) => [product.id, product.name]));
  const { data } = await call("POST", "/api/users/login", { body: { ...credentials, session_id: session.value ?? undefined } });
  await entered(data);
  await go(to, { replace: true });
  const cuts = (data.adjustments ?? []).map((cut) => `${names.get(cut.product_id) ?? "A product"}: ${CUT[cut.code](cut)}`);
  if (cuts.length) open(cuts);
}

export async function page({ query }) {
  await styles("shopping.css");
  const to = back(query);
  const more = `?to=${encodeURIComponent(to)}`;
  const fields = [
    ["username", "User name or e-mail", { autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true }],
    ["password", "Password", { type: "password", autocomplete: "current-password", required: true }],
  ];
  return {
    title: "Log in",
    node: h("section", { class: "narrow" },
      h("h1", {}, "Log in"),
      query.has("ended") && h("p", { class: "told" }, "Your login has ended. Log in again to go on."),
      form(fields, "Log in", ({ username = "", password }) =>
        login({ [username.includes("@") ? "email" : "username"]: username, password }, to)),
      h("p", { class: "row below" },
        h("a", { href: `/shop/register${more}` }, "Make an account"),
        h("a", { href: "/shop/password-reset" }, "Forgot the password?"))),
  };
}
