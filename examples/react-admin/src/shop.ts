// The shop's API, typed by its own document (npm run types), and who is logged in.

import createClient from "openapi-fetch";
import { HttpError } from "react-admin";
import type { components, paths } from "./api";

export type Schemas = components["schemas"];
export type Login = Schemas["Session"];

export const SHOP: string = import.meta.env.VITE_SHOP ?? "http://127.0.0.1:8080";

const KEY = "login";

/** The login of this tab: it ends with the tab, and no other page of this browser reads it. */
export const login = {
  get: (): Login | null => JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Login | null,
  set: (given: Login): void => sessionStorage.setItem(KEY, JSON.stringify(given)),
  forget: (): void => sessionStorage.removeItem(KEY),
};

// Several ids are one parameter with commas, which this library wants to be told: category_id=1,2
export const shop = createClient<paths>({
  baseUrl: SHOP,
  querySerializer: { array: { style: "form", explode: false } },
});
shop.use({
  onRequest({ request }) {
    const token = login.get()?.token;
    if (token) request.headers.set("Authorization", `Bearer ${token}`);
  },
});

interface Failure {
  error: { code: string; message: string; details: { [name: string]: unknown } };
}
interface Answer<T> {
  data?: { data: T };
  error?: Failure;
  response: Response;
}

/** Return the data of an answer, or throw what react-admin understands: `body.errors` go under their fields. */
export function given<T>({ data, error, response }: Answer<T>): T {
  if (data) return data.data;
  throw refusal(error, response.status);
}

/** Return a failure as an error of react-admin. A problem of a row of a table has no field in a form, but a place. */
export function refusal(failure: Failure | undefined, status: number): HttpError {
  if (!failure?.error) return new HttpError(`The shop answered ${status}.`, status);
  const { code, message, details } = failure.error;
  const problems = (details.errors ?? []) as { field: string; issue: string; row?: number }[];
  const errors = problems.length ? Object.fromEntries(problems.map(({ field, issue }) => [field, issue])) : undefined;
  return new HttpError(message, status, { code, details, problems, errors });
}
