// An address of the shop without a page.
import * as trouble from "./trouble.js";

/** Return the page. */
export function page() {
  return trouble.page({ status: 404, message: "The address is misspelt, or what it showed is gone." });
}
