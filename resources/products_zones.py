"""Zones: where in each order of the catalogue products with some words are, about.

A search that reads products in the order asked for skips the zones in which one of the words is missing: brands by
name, laptops by price, what came in one delivery. And the number of zones that have a word tells common words from rare
ones. What a zone is: migrations/0025_word_zones.up.sql. What it buys, and what it costs: docs/performance.md.
"""

import datetime
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from core.contract.pagination import Place
from core.identity.budgets import Priced
from core.json_text import dump
from resources.products_orders import NOWHERE, ORDERS, RELEVANCE

LONGEST = 40  # characters of a word in word_zones
LAST = "\U0010ffff"  # sorts behind every letter
COST = 100  # rows: what it costs to look a word up
MOST = 10_000  # entries of a beginning that are read; one that has more is common
IDS = 256  # in a zone
DAYS = 365  # by which TO_DAYS() is ahead of Python's ordinals
SLACK = 0.01  # of a cent: the server rounds in its own way
PRICES = 128  # zones of prices from one to its double
BY_ID, BY_TIME, BY_PRICE, BY_NAME = range(4)  # word_zones.sort
SORTS = {"created_at": BY_TIME, "price": BY_PRICE, "name": BY_NAME}
BACKWARDS = ("newest", RELEVANCE, "-price", "-name")

Zones = dict[int, dict[int, int]]  # {sort: {part: bits}}
EVERYWHERE: Zones = {}


def zones_of(db: Priced, beginnings: Iterable[str], wholes: Iterable[str]) -> Zones | None:
    """Return the zones of products with a word that begins so (two beginnings at most) or is one of `wholes`.

    None: nothing is known of them. EVERYWHERE, itself: there are too many to look.
    """
    first, second = [word[:LONGEST] for word in (*beginnings, "", "")][:2]
    ranges = {"first": first or None, "last": first + LAST, "joined": second or None, "joined_last": second + LAST}
    listed = dump([word[:LONGEST] for word in wholes]).decode()
    rows = db.many(COST, "products/word_zones", **ranges, wholes=listed, most=MOST)
    if not rows:
        return None
    if sum(row["entries"] for row in rows) >= MOST:
        return EVERYWHERE
    zones: Zones = {sort: {} for sort in (BY_ID, BY_TIME, BY_PRICE, BY_NAME)}
    for row in rows:
        if row["sort"] is not None:
            zones[row["sort"]][row["part"]] = row["bits"]
    return zones


def in_all(all_zones: Iterable[Zones | None]) -> Zones | None:
    """Return what is in all of these, as far as they are known; None if none is."""
    known = [zones for zones in all_zones if zones]
    if not known:
        return None
    first, *others = known
    for zones in others:
        first = {sort: _both(parts, zones[sort]) for sort, parts in first.items()}
    return first


def _both(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    return {part: bits & other[part] for part, bits in one.items() if bits & other.get(part, 0)}


def products_in(zones: Zones | None, products: int) -> float:
    """Return about how many of so many products have the word of these zones: as if it came at random.

    A word that is in all zones counts as one that all products have. 0 where nothing is known: the index says it soon.
    """
    if zones is None:
        return 0
    if zones is EVERYWHERE:
        return products
    full, having = products // IDS + 1, sum(bits.bit_count() for bits in zones[BY_ID].values())
    return products if having >= full else -full * math.log(1 - having / full)


def skip(db: Priced, zones: Zones | None, sort: str, place: Place) -> Place | None:
    """Return where products in these zones come next in the order: `place` itself, or a place behind it.

    None if none come any more.
    """
    if zones is None:
        return place
    order = ORDERS["newest" if sort == RELEVANCE else sort]
    parts, after, backwards = zones[SORTS[order.column]], order.after.parameter, sort in BACKWARDS
    begun = place["after_id"] is not None
    value: Any = place[after] if begun else None
    if order.column == "name":
        given = {"ids": dump(list(_numbers(parts))).decode(), "backwards": int(backwards), "last": LAST}
        found = db.one(1, "products/next_name_zone", **given, after_name=value)
        if found is None or found["is_there"]:
            return found and place
        return _place(after, found["prefix"] + (LAST if backwards else ""))
    number, edge = (_day, _midnight) if order.column == "created_at" else (_price_zone, _price)
    zone = _next(parts, number(value, backwards) if begun else None, backwards)
    if zone is None:
        return None
    there: Any = edge(zone, backwards)
    here: Any = type(there)(value) if begun else there  # a text or a Decimal
    return _place(after, str(there)) if not begun or (there < here if backwards else there > here) else place


def _place(after: str, value: str) -> Place:
    """Return the place in front of all products with this value, or with a value behind it."""
    return {**NOWHERE, "after_id": 0, after: value}


def _day(time: str, backwards: bool) -> int:
    return datetime.date.fromisoformat(str(time)[:10]).toordinal() + DAYS


def _midnight(day: int, backwards: bool) -> str:
    """Return the moment at which a day begins; backwards: at which it is over."""
    return f"{datetime.date.fromordinal(day - DAYS + backwards)} 00:00:00"


def _price_zone(price: str, backwards: bool) -> int:
    """Return the zone of a price, or the one before it: the server rounds in its own way."""
    return math.floor(math.log2(float(price) * 100 or 1) * PRICES) + (1 if backwards else -1)


def _price(zone: int, backwards: bool) -> Decimal:
    """Return the lowest price that a zone may have; backwards: a cent above the highest."""
    cents = math.floor(2 ** ((zone + 1) / PRICES) + SLACK) + 1 if backwards else math.ceil(2 ** (zone / PRICES) - SLACK)
    return Decimal(cents).scaleb(-2)


def _next(parts: dict[int, int], zone: int | None, backwards: bool) -> int | None:
    """Return the next of these zones, this one or behind it (None: of all); None if there is none."""
    numbers = [
        number for number in _numbers(parts) if zone is None or (number <= zone if backwards else number >= zone)
    ]
    return (max if backwards else min)(numbers, default=None)


def _numbers(parts: dict[int, int]) -> Iterable[int]:
    return (64 * part + bit for part, bits in parts.items() for bit in range(64) if bits >> bit & 1)
