// A call as text that others can run: a line of curl, and openapi-fetch on generated types. No secret is in either.
const SECRET = /^(password|current_password|token|access_token|authorization|order-token)$/i;

/** The value of a field or header as it may be shown. For JSON.stringify, too. */
export function masked(name, value) {
  return SECRET.test(name) && typeof value === "string" ? `${value.startsWith("Bearer ") ? "Bearer " : ""}…` : value;
}

/** The shell's variable that stands for a secret: $PASSWORD; a token of the login is $TOKEN. */
const variable = (name) => `$${name === "Authorization" ? "TOKEN" : name.replace("-", "_").toUpperCase()}`;

/** Quote a text for a shell; what stands between \0 is a variable, which it fills in. */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`).replace(/\0(.+?)\0/g, `'"$1"'`)}'`;
}

/** Return the call as a command. Secrets are $TOKEN, $ORDER_TOKEN, $PASSWORD. */
export function curl({ method, url, headers, body }) {
  const hide = (name, value) => (SECRET.test(name) ? value.replace(/[^ ]+$/, () => `\0${variable(name)}\0`) : value);
  const parts = [`curl${method === "GET" ? "" : ` -X ${method}`} ${quoted(location.origin + url)}`];
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${hide(name, value)}`)}`);
  if (body) {
    const text = JSON.stringify(JSON.parse(body, (name, value) => (SECRET.test(name) ? `\0${variable(name)}\0` : value)));
    parts.push(`--data-raw ${quoted(text.replaceAll("\\u0000", "\0"))}`);
  }
  return parts.join(" \\\n  ");
}

let asked; // the API document, once

/** A value of an address as what the API document says it is. */
function typed({ type, items }, text) {
  if (type === "array") return text.split(",").map((one) => typed(items, one));
  return ["integer", "number"].includes(type) ? Number(text) : type === "boolean" ? text === "true" : text;
}

/** Return the call as TypeScript, for openapi-fetch. */
export async function typescript({ method, url, headers, body }) {
  asked ??= fetch("/api/openapi.json").then((answer) => answer.json());
  const { paths, components } = await asked;
  const { pathname, searchParams } = new URL(url, location.origin);
  let found = [pathname, {}];
  for (const path of Object.keys(paths)) {
    const names = [...path.matchAll(/{(\w+)}/g)].map(([, name]) => name);
    const match = new RegExp(`^${path.replace(/{\w+}/g, "([^/]+)")}$`).exec(pathname);
    if (match && paths[path][method.toLowerCase()] && (found[0] === pathname || !names.length)) {
      found = [path, Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(match[i + 1])]))];
    }
  }
  const whole = (one) => (one.$ref ? components.parameters[one.$ref.split("/").pop()] : one);
  const operation = paths[found[0]]?.[method.toLowerCase()];
  const declared = [...(paths[found[0]]?.parameters ?? []), ...(operation?.parameters ?? [])].map(whole);
  const given = { path: found[1], query: Object.fromEntries(searchParams), header: headers };
  const params = {};
  for (const { name, in: place, schema } of declared) {
    if (given[place]?.[name] !== undefined) {
      (params[place] ??= {})[name] = typed(schema, given[place][name]);
    }
  }
  const secret = (name, value) => (SECRET.test(name) && typeof value === "string" ? `\0${name}\0` : value);
  const options = { ...(Object.keys(params).length && { params }), ...(body && { body: JSON.parse(body) }) };
  if (headers.Authorization) options.headers = { Authorization: headers.Authorization };
  const text = JSON.stringify(options, secret, 2)
    .replace(/"\\u0000(.+?)\\u0000"/g, (_, name) => (name === "Authorization" ? "`Bearer ${token}`" : name.replace("-", "_")))
    .replace(/^(\s*)"([a-z_]\w*)":/gim, "$1$2:");
  return `import createClient from "openapi-fetch";
import type { paths } from "./api";

const client = createClient<paths>({ baseUrl: ${JSON.stringify(location.origin)} });
const { data, error } = await client.${method}(${JSON.stringify(found[0])}${text !== "{}" ? `, ${text}` : ""});
`;
}
