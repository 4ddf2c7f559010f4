// The shop's API, typed by its own document (npm run types), and who is shopping.
import { QueryClient } from "@tanstack/react-query";
import createFetch from "openapi-fetch";
import createQueries from "openapi-react-query";
import { useSyncExternalStore } from "react";
import type { components, paths } from "./openapi";

export const API: string = import.meta.env.VITE_API ?? "http://127.0.0.1:8080";
export type Schemas = components["schemas"];
export type ListQuery = NonNullable<paths["/api/products"]["get"]["parameters"]["query"]>;
/** Every failure that the document knows: a union, told apart by `error.code`. */
export type Failure = {
  [Name in keyof Schemas]: Schemas[Name] extends { success: false; error: { code: string } } ? Schemas[Name] : never;
}[keyof Schemas];
declare module "@tanstack/react-query" {
  interface Register { defaultError: Failure }
}

/** Whose cart it is, a guest's or an account's, and the account's token. Every tab hears when they change. */
export const stored = (name: "session" | "token") => localStorage.getItem(name) ?? "";
export const useStored = (name: "session" | "token") => useSyncExternalStore(onStorage, () => stored(name));
function onStorage(changed: () => void) {
  addEventListener("storage", changed);
  return () => removeEventListener("storage", changed);
}
export function become(session: string, token: string) {
  Object.assign(localStorage, { session, token });
  dispatchEvent(new Event("storage"));
}
export const becomeGuest = () => become(crypto.randomUUID(), "");
if (!stored("session")) becomeGuest();

const client = createFetch<paths>({ baseUrl: API, querySerializer: { array: { style: "form", explode: false } } });
client.use({
  onRequest({ request, schemaPath }) { // the catalogue without a token: it needs no preflight, and caches may store it
    const token = schemaPath.startsWith("/api/products") ? "" : stored("token");
    if (token) request.headers.set("Authorization", `Bearer ${token}`);
  },
  onResponse({ request, response }) {
    if (response.status === 401 && request.headers.has("Authorization")) becomeGuest(); // the login is over
    const isOurs = response.headers.get("Content-Type")?.startsWith("application/json");
    return response.ok || isOurs ? response : unreachable(); // the page of some proxy
  },
  onError: unreachable,
});
function unreachable() {
  const error = { code: "SERVICE_UNAVAILABLE", message: "The shop is out of reach. Try again.", details: {} } as const;
  return Response.json({ success: false, error } satisfies Failure, { status: 503 });
}

export const api = createQueries(client);
const always = { networkMode: "always" } as const; // offline, a click fails and says so; it is not done later, unseen
const retry = (failed: number, { error }: Failure) => error.code === "SERVICE_UNAVAILABLE" && failed < 2;
export const queries = new QueryClient({ defaultOptions: { queries: { ...always, retry }, mutations: always } });

const cartOf = (session: string) => ({ params: { header: { "Session-ID": session } } });
export function useCart() {
  const init = cartOf(useStored("session"));
  return { ...init, query: api.useQuery("get", "/api/cart", init) };
}
/** Show the cart that an answer holds, unless a later one is shown already. */
export function showCart({ data: { cart: data } }: { data: { cart: Schemas["Cart"] } }) {
  const { queryKey } = api.queryOptions("get", "/api/cart", cartOf(data.session_id));
  queries.setQueryData<Schemas["CartAnswer"]>(queryKey, (shown) =>
    shown && shown.data.version > data.version ? shown : { success: true, message: "", data });
}
export function useShop() {
  const shop = api.useQuery("get", "/api/shop", {}, { staleTime: Infinity }).data?.data;
  const look = shop && { style: "currency" as const, currency: shop.currency };
  return { shop, money: (amount: number) => amount.toLocaleString(undefined, look) };
}
