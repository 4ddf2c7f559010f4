// The way into the cart from the list and from a product's page, and what is said of the stock.
import { announce } from "./dom.js";

const FEW = 5; // pieces; fewer than this many more are said

/** What a shopper should know of the stock: "Sold out", "Only 3 left", or "". */
export function hint({ stock_quantity: left }) {
  return left === 0 ? "Sold out" : left <= FEW ? `Only ${left} left` : "";
}

/** Put a product into the cart. Resolve to {said, bad}: the sentence that tells how it went, which is announced too. */
export async function buy(product, quantity = 1) {
  const answer = {};
  try {
    const { add } = await import("./cart.js");
    const { items } = await add(product, quantity);
    const held = items.find((item) => item.product_id === product.id)?.quantity;
    answer.said = held > quantity ? `Added: ${held} are in your cart.` : "Added to your cart.";
  } catch (problem) {
    Object.assign(answer, { said: refusal(problem), bad: true });
  }
  announce(answer.said);
  return answer;
}

function refusal({ status, code, message, details }) {
  if (status === 404 || code === "PRODUCT_WITHDRAWN") return "This product is no longer sold.";
  if (code === "INSUFFICIENT_STOCK" && details.in_stock) {
    const held = details.in_cart ? `, and ${details.in_cart} ${details.in_cart === 1 ? "is" : "are"} in your cart` : "";
    return `Only ${details.in_stock} left${held}.`;
  }
  return status === undefined ? "That did not work. Check your connection, then try again." : message;
}
