// What all parts of the page share: the shop, who is here, the cart; and what is remembered from visit to visit.

/** A value that tells who listens when it changes. */
class Cell {
  #listeners = new Set();
  #value;

  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }

  /** Call a listener now and after each change. Return what ends that. */
  watch(listener) {
    this.#listeners.add(listener);
    listener(this.#value);
    return () => this.#listeners.delete(listener);
  }
}

export const shop = new Cell(null); // GET /api/shop: name, currency, features, limits, payment_providers
export const user = new Cell(null); // GET /api/users/me, or null
export const cart = new Cell(null); // the cart as the last answer had it, or null: not asked for yet
export const online = new Cell(navigator.onLine);

addEventListener("online", () => (online.value = true));
addEventListener("offline", () => (online.value = false));

/** What this browser remembers, in localStorage: strings, or null. A private window that forbids it forgets. */
const kept = (name) => ({
  get value() {
    try {
      return localStorage.getItem(`shop.${name}`);
    } catch {
      return this.instead ?? null; // storage is forbidden: for as long as the page lives
    }
  },
  set value(text) {
    this.instead = text;
    try {
      if (text == null) localStorage.removeItem(`shop.${name}`);
      else localStorage.setItem(`shop.${name}`, text);
    } catch {
      console.info("This browser keeps nothing: the cart is forgotten when the page is closed.");
    }
  },
});

export const token = kept("token"); // of the login
export const session = kept("session"); // the Session-ID of the cart
export const cartVersion = kept("cart"); // its newest version, by which the other tabs hear of a change
export const orderTokens = kept("orders"); // JSON: {number: Order-Token} of a guest's orders
