// What the shop says of itself: its name, its currency, the ways to pay. Read once, before anything is shown.

import { given, shop } from "./shop";

export const about = given(await shop.GET("/api/shop"));

/** How amounts are shown. */
export const MONEY = { style: "currency", currency: about.currency } as const;
export const money = (amount: number): string => amount.toLocaleString(undefined, MONEY);
