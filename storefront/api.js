// One function for all calls of the API, and what it refuses with. Each call is told to who listens on `calls`.
import { online, session, token, user } from "./state.js";

export const calls = new EventTarget(); // "call" events; detail: {method, url, headers, body, status, ms, answer, at}
calls.past = []; // the newest 50 of them, for who comes later

/** The API said no, or could not be reached (status 0, code "OFFLINE"). */
export class Refusal extends Error {
  constructor(status, { code, message, details = {} }, retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, details, retryAfter });
  }

  /** {field: what to do about it}, of all fields that were refused. */
  get fields() {
    const problems = this.details.errors ?? (this.details.field ? [this.details] : []);
    return Object.fromEntries(problems.map(({ field, issue }) => [field, issue]));
  }
}

const OFFLINE = { code: "OFFLINE", message: "The shop cannot be reached. Check your connection, then try again." };
const UNREADABLE = { code: "UNREADABLE", message: "The shop's answer could not be read. Try again in a moment." };

/**
 * Call the API: call("POST", "/api/cart/items", {body: {product_id: 1, quantity: 2}, key: crypto.randomUUID()}).
 *
 * `query`: an object; null, "" and [] are left out, lists are joined by commas. `key`: the Idempotency-Key of a POST,
 * which lets it be sent again. Token and Session-ID go along where there are some. Returns {data, message, headers};
 * throws Refusal, or AbortError where `signal` ended it. What may be sent again is, once, after a 503 or a cut line.
 */
export async function call(method, path, { query, body, headers: more, key, signal } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value != null && String(value) !== "") url.searchParams.set(name, value);
  }
  const headers = { ...more };
  if (token.value) headers.Authorization = `Bearer ${token.value}`;
  if (session.value && path.startsWith("/api/cart")) headers["Session-ID"] = session.value;
  if (key) headers["Idempotency-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal };

  const again = method !== "POST" || key ? 1 : 0;
  for (let attempt = 0; ; attempt++) {
    try {
      return await once(url, request);
    } catch (problem) {
      if (!(problem instanceof Refusal) || attempt === again || ![0, 503].includes(problem.status)) throw problem;
      if (!navigator.onLine) throw problem;
      await new Promise((done) => setTimeout(done, Math.min(problem.retryAfter ?? 1, 3) * 1000));
    }
  }
}

/** Send a request once. */
async function once(url, request) {
  const at = performance.now();
  const told = { ...request, url: url.pathname + url.search, at, status: 0, answer: null };
  try {
    const response = await fetch(url, request).catch((problem) => {
      if (problem.name === "AbortError") throw problem;
      throw new Refusal(0, OFFLINE);
    });
    online.value = true;
    const answer = await response.json().catch((problem) => {
      if (problem.name === "AbortError") throw problem;
      throw new Refusal(response.status, UNREADABLE);
    });
    Object.assign(told, { status: response.status, answer, answered: response.headers });
    if (answer.success) return { data: answer.data, message: answer.message, headers: response.headers };
    if (answer.error.code === "AUTHENTICATION_REQUIRED" && token.value) {
      token.value = null; // the login has ended elsewhere, or by its age
      user.value = null;
    }
    throw new Refusal(response.status, answer.error, Number(response.headers.get("Retry-After")) || null);
  } catch (problem) {
    if (problem.name === "AbortError") told.aborted = true;
    throw problem;
  } finally {
    told.ms = performance.now() - at;
    calls.past = [...calls.past.slice(-49), told];
    calls.dispatchEvent(new CustomEvent("call", { detail: told }));
  }
}
