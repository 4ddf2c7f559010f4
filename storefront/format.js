// How things are said: money, times, numbers, plurals. The browser's language decides on the form.
import { shop } from "./state.js";

const LANGUAGE = navigator.language;

/** An amount in the shop's currency, or in the order's own: "€19.90". */
export function money(amount, currency = shop.value?.currency ?? document.documentElement.dataset.currency) {
  return new Intl.NumberFormat(LANGUAGE, { style: "currency", currency }).format(amount);
}

/** A moment of the API ("2026-11-26T18:42:05Z") as a person's day and time. */
export function time(moment) {
  return new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" }).format(new Date(moment));
}

/** 12345 as "12,345". */
export function number(value) {
  return new Intl.NumberFormat(LANGUAGE).format(value);
}

/** count(1, "piece") is "1 piece", count(2, "piece") is "2 pieces". */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}
