// The beginning: what every page has, then the page of the address.
import { call } from "./api.js";
import { announce } from "./dom.js";
import { start } from "./router.js";
import { start as startSearch } from "./search.js";
import { online, shop, token, user } from "./state.js";

shop.asked = call("GET", "/api/shop").then(({ data }) => (shop.value = data));
if (token.value) {
  user.asked = call("GET", "/api/users/me").then(({ data }) => (user.value = data), () => (user.value = null));
}

online.watch((here) => {
  document.getElementById("offline").hidden = here;
  if (!here) announce("You are offline.");
});
user.watch((who) => {
  const link = document.getElementById("account");
  link.href = who ? "/shop/account" : "/shop/login";
  link.lastElementChild.textContent = who ? who.username : "Log in";
});

startSearch();
start();
await shop.asked.catch((problem) => console.info(problem.message)); // the page itself has name and currency
import("./cart_drawer.js").then((drawer) => drawer.start());
import("./inspector.js").then((inspector) => inspector.start());
