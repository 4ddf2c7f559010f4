"""Search: the cheapest way to find the products that have every word that a person typed.

By the full-text index: where few have the words, as their zones say (resources/products_zones.py). All hits are found
at once (0.5 µs for each product that has one of the words, 4 µs for each that has all of them), so their number is
exact.

By reading: where many have them. The products in the order asked for are read, from the first zone on that has the
words, about 4 µs each, hits or not. It is the only way for words that are not in the index: too short or too long for
it. The total is a lower bound. A page reads MOST_READ products at the most: if they have too few hits (of two words
that many have, and hardly any both), it has fewer products than it should, and the next page reads on behind them.

What each costs at a million products, and how to measure it again: docs/performance.md.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from core.contract.pagination import NOT_OURS, Place
from core.db.database import Row
from core.errors import ValidationError
from core.identity.budgets import Priced
from resources import products_zones
from resources.products_orders import NOWHERE, ORDERS, RELEVANCE, behind, place_behind
from resources.products_typed import Word, searched, splits, words_of
from resources.products_zones import Zones

MOST_INDEXED = 16  # words; 100 characters have up to 25 words, and each one costs a look-up in the index
MOST_SHORT = 3  # of words that are all too short for the index
MOST_HITS = 4_000  # ids that are found at once
COMMON = 4_000  # rows that finding all hits by the index may cost; reading costs as much then
UNSETTLED = 8  # a word for which the index gives texts that do not have it costs as much as so many others
PASSED = 0.1  # rows: what a product costs in the index that has one word, and maybe not the others
LEAST_READ, MOST_READ = 500, 3_000  # rows that are read: by the first statement, and for one page
RANKED = 1_500  # rows, the newest, of which the hits are ranked by relevance; more, if they have too few
FEWEST_RANKED = 30  # hits
WORDS = 3  # whose texts are looked through in the time of a row; more words take longer
READ_UNINDEXED = 6_000  # rows that are read for a word that has no other way
FARTHEST = 100_000  # rows that are read for a page by its number, which reads those before it too
COME_SINCE = 1_000  # rows that others may add to a window while it is read
EVERY = (0,)  # category_ids: do not filter on them


class Found(NamedTuple):
    """A page: its rows; the total, a lower bound if not `exact`.

    `behind`: the position of the next page, as pagination_of takes it, or None if nothing is left. `facets`: returns
    the rows that count by category.
    """

    items: list[Row]
    behind: tuple[Any, ...] | None
    total: int
    exact: bool
    facets: Callable[[], list[Row]]


class Search:
    """What was typed; `words` is empty for nothing but punctuation, which searches for nothing.

    `db`, a core.identity.budgets.Priced, is asked how common the words are.
    """

    def __init__(self, text: str, db: Priced) -> None:
        self._db = db
        self.words: list[Word] = []
        typed = words_of(text)
        if not typed:
            return
        bounds = db.one(1, "products/bounds")
        self._products: int = bounds["products_at_most"]
        words = searched(typed, self._parts(typed), bounds["shortest"], bounds["longest"])
        indexed = [word for word in words if word.asked][:MOST_INDEXED]
        unindexed = [word for word in words if not word.asked and not word.short][:MOST_INDEXED]
        self.words = indexed + unindexed or words[:MOST_SHORT]
        self._categories: dict[Word, list[int]] = {word: [] for word in self.words}
        for row in db.many(1, "categories/having_words", in_text=_patterns(self.words)):
            self._categories[self.words[row["word"].bit_length() - 1]].append(row["id"])
        self._zones = {word: self._zones_of(word) for word in self.words}
        self._having = {word: products_zones.products_in(zones, self._products) for word, zones in self._zones.items()}
        self._given = {word: self._given_for(word) for word in indexed}
        # Asked for all words that follow the rarest, or for one alone together with the categories that it names.
        by_number = sorted((word for word in indexed if not self._categories[word]), key=lambda w: self._having[w])
        choices = [by_number[: n + 1] for n in range(len(by_number))]
        choices += [[word] for word in indexed if self._categories[word]]
        self._asked = min(reversed(choices), key=self._cost, default=[])

    def _parts(self, typed: list[str]) -> list[list[tuple[str, str]]]:
        """Return, of each word, the ways to split it in two words that names have."""
        parts = [(number, *split) for number, word in enumerate(typed) for split in splits(word)]
        known = self._db.many(1, "products/known_parts", parts=json.dumps(parts)) if parts else []
        return [[(r["first_part"], r["second_part"]) for r in known if r["word"] == n] for n in range(len(typed))]

    def _zones_of(self, word: Word) -> Zones | None:
        named = [f"#{id}" for id in self._categories[word]]
        return products_zones.zones_of(self._db, word.beginnings, [*word.wholes, *named])

    def _given_for(self, word: Word) -> float:
        """Return about how many products the index gives for this word; it does not see all of the word."""
        if not word.given:
            return self._having[word]
        return products_zones.products_in(products_zones.zones_of(self._db, [word.given], []), self._products)

    @property
    def ranks(self) -> bool:
        """Whether there is an order by relevance: only where the index knows a word."""
        return any(word.asked for word in self.words)

    def page(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page. `place`: as products_orders.place_of returns it."""
        continues = sort == RELEVANCE and place["after_id"] is not None  # in the way of its first page
        if not place["reads"] and (continues or self._is_rare()):
            ids = self._hits(filters, 2 * MOST_HITS if continues else MOST_HITS)
            if ids is not None:
                items, position = self._page(ids, sort, place)
                return Found(items, position, len(ids), True, lambda: self._facets(filters))
            if continues:
                raise ValidationError(("after", NOT_OURS))
        read = self._ranked if sort == RELEVANCE else self._in_order
        pages, place = (
            place["offset"] // place["per_page"],
            place | {"offset": 0, "shown": place["shown"] - place["offset"]},
        )
        found = read(filters, sort, place)
        for number in range(pages):
            if found.behind is None or number * self._most_read() > FARTHEST:
                return found._replace(items=[], behind=None)
            place = place_behind(found.behind, sort, place, len(found.items))
            found = read(filters, sort, place)
        return found

    def _is_rare(self) -> bool:
        """Whether the index finds all hits sooner than reading finds a page of them."""
        return bool(self._asked) and self._cost(self._asked) < COMMON

    def _cost(self, words: list[Word]) -> float:
        """Return what it takes to find these words by the index and the others in the texts of the hits, in rows."""
        others = len(self.words) - len(words) + UNSETTLED * sum(not word.settled for word in words)
        given = [self._given[word] for word in words]
        return sum(given) * PASSED + self._together(given) * (1 + others / 2)

    def _together(self, numbers: list[float]) -> float:
        """Return how many products have all of some words, which so many have each: as if they came at random."""
        together: float = self._products
        for number in numbers:
            together *= min(1, number / max(1, self._products))
        return together

    def _test(self, words: list[Word] | None = None) -> Row:
        """Return the parameters by which a statement looks for words in texts; without words: all of them."""
        words = self.words if words is None else words
        if not words:
            return dict.fromkeys(("in_text", "all_words", "stem", "stem_as_one", "stem_categories"))
        rarest = min(words, key=lambda word: (self._having[word], -len(word.stem)))
        named = [[1 << self.words.index(word), id] for word in words for id in self._categories[word]]
        return {
            "in_text": _patterns(self.words, words, named),
            "all_words": sum(1 << self.words.index(word) for word in words),
            "stem": rarest.quick[0],
            "stem_as_one": rarest.quick[1],
            "stem_categories": ",".join(map(str, self._categories[rarest])),
        }

    # By the index

    def _hits(self, filters: Row, most: int) -> list[int] | None:
        """Return the ids of all products that have the words; None if they are more than `most`."""
        rest = [word for word in self.words if word not in self._asked or not word.settled]
        given = {**filters, "words": " ".join(word.asked or "" for word in self._asked), **self._test(rest)}
        cost = min(self._cost(self._asked), 2 * most)
        ids = set(self._ids(cost, "products/search_ids", {**given, "limit": most + 1}))
        for id in self._categories[self._asked[0]]:
            if filters["category_ids"] == EVERY or id in filters["category_ids"]:
                inside = {**filters, "category_ids": (id,)}
                if self._end_of_window(inside, "newest", NOWHERE, most):
                    return None
                ids.update(self._read(inside, "newest", NOWHERE, most))
        return sorted(ids) if len(ids) <= most else None

    # By reading

    def _in_order(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page by reading in the order asked for."""
        few = self._end_of_window(filters, sort, NOWHERE, self._most_read()) is None  # all are read, and counted
        ids, end = self._walk(filters, sort, NOWHERE if few else place, 0 if few else place["per_page"] + 1)
        begins = few or place["after_id"] is None
        items, position = self._page(ids, sort, place)
        if position is None and end:
            position = behind(end, ORDERS[sort])
        total = len(ids) if begins else place["shown"] + len(ids)
        return Found(items, position, total, begins and end is None, lambda: self._facets(filters))

    def _ranked(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page by relevance: hits are ranked within a window of products, then comes the next window."""
        start = {**NOWHERE, "after_id": place.get("from_id"), "after_time": place.get("from_time")}
        until = (place.get("until_time"), place["until_id"]) if place.get("until_id") is not None else None
        ids, end = self._walk(filters, sort, start, max(FEWEST_RANKED, place["per_page"] + 1), until)
        items, position = self._page(ids, sort, place)
        ends = behind(end, ORDERS["newest"]) if end else (None, None)
        more = position is not None
        if position:
            position = (*position, start["after_time"], start["after_id"], *ends)
        elif end:
            position = (None, None, None, *ends, None, None)
        if start["after_id"] is None:
            return Found(items, position, len(ids), end is None, lambda: self._facets(filters))
        total = place["shown"] + len(items) + more
        return Found(items, position, total, False, lambda: self._facets(filters))

    def _walk(
        self, filters: Row, sort: str, start: Place, wanted: int, until: tuple[Any, ...] | None = None
    ) -> tuple[list[int], Row | None]:
        """Return the ids of hits behind `start`, and the last product that was read; None if all were.

        Zones that lack one of the words are skipped. It ends when so many hits are wanted and found, or with the
        product `until` (its time and id); always after _most_read products, with `until` after twice as many.
        """
        order = ORDERS["newest" if sort == RELEVANCE else sort]
        chosen = None if filters["category_ids"] == EVERY else [f"#{id}" for id in filters["category_ids"]]
        in_categories = products_zones.zones_of(self._db, [], chosen) if chosen else None
        zones = products_zones.in_all([*self._zones.values(), in_categories])
        ids: list[int] = []
        left, end, at = self._most_read() * (2 if until else 1), None, products_zones.skip(self._db, zones, sort, start)
        read = left if not wanted else RANKED if sort == RELEVANCE else LEAST_READ
        # Short words are priced at once, however soon a page is full: nearly all texts pass the quick test.
        price = 1 if self.ranks else min(left, self._products) * (2 + len(self.words))
        while at:
            read = min(read, left)
            end, price = self._end_of_window(filters, sort, at, read, price), 1
            if until and (not end or (str(end["created_at"]), end["id"]) <= until):
                end = {"created_at": until[0], "id": until[1], "price": None, "name": None}
                return ids + self._read(filters, sort, at, read, end), end
            ids += self._read(filters, sort, at, read, end)
            left -= read
            if not end or left <= 0 or (wanted and len(ids) >= wanted and not until):
                return ids, end
            here = {**NOWHERE, "after_id": end["id"], order.after.parameter: str(end[order.column])}
            at, read = products_zones.skip(self._db, zones, sort, here), 2 * read
        return ids, None

    def _most_read(self) -> int:
        """Return how many products are read for a page: words that are too short are in most of the texts."""
        most = MOST_READ * WORDS // max(WORDS, len(self.words))
        return most if self.ranks else max(1, READ_UNINDEXED // len(self.words))

    def _end_of_window(self, filters: Row, sort: str, start: Place, read: int, price: int = 1) -> Row | None:
        """Return the last of the next `read` products, hits or not; None if fewer are left."""
        order = ORDERS["newest" if sort == RELEVANCE else sort]
        after = {"after_id": start["after_id"], "after_value": start[order.after.parameter]}
        found = self._db.many(price, order.statement, **filters, **after, in_order=None, limit=2, offset=read - 1)
        return found[0] if len(found) > 1 else None

    def _read(self, filters: Row, sort: str, start: Place, read: int, end: Row | None = None) -> list[int]:
        """Return the ids of the next `read` products that have the words; with `end`, up to it."""
        until: Row = dict.fromkeys(("until_id", "until_time", "until_price", "until_name"))
        if end:
            until = {"until_id": end["id"], "until_time": end["created_at"]}
            until |= {"until_price": end["price"], "until_name": end["name"]}
        keys = _only(_keys(sort, start), "sort", "after_id", "after_time", "after_price", "after_name")
        given = {**filters, **self._test(), **keys, **until, "read": read + COME_SINCE}
        return self._ids(min(read, self._products) if self.ranks else 1, "products/read_ids", given)

    # By either

    def _ids(self, cost: float, statement: str, given: Row) -> list[int]:
        return json.loads(self._db.one(int(cost), statement, **given)["ids"] or "[]")

    def _page(self, ids: list[int], sort: str, place: Place) -> tuple[list[Row], tuple[Any, ...] | None]:
        """Return the page of these hits, and the position of the next one."""
        if place["offset"] >= len(ids):
            return [], None
        given = {"ids": json.dumps(ids), "in_name": _patterns(self.words)}
        limits = {"limit": place["per_page"] + 1, "offset": place["offset"]}
        rows = self._db.many(len(ids) // 2, "products/search", **given, **_keys(sort, place), **limits)
        items = rows[: place["per_page"]]
        ranks = [row.pop("relevance") for row in rows]
        if len(rows) <= len(items):
            return items, None
        position = behind(items[-1], ORDERS["newest" if sort == RELEVANCE else sort])
        return items, (ranks[len(items) - 1], *position) if sort == RELEVANCE else position

    def _facets(self, filters: Row) -> list[Row]:
        """Count what could be chosen instead: without the filters by category and price, among the newest if many."""
        everywhere = {**filters, "category_ids": EVERY, "min_price": None, "max_price": None}
        ids = self._hits(everywhere, MOST_HITS) if self._is_rare() else None
        if ids is None:
            ids, _ = self._walk(everywhere, RELEVANCE, NOWHERE, 2 * FEWEST_RANKED)
        prices = _only(filters, "min_price", "max_price")
        return self._db.many(len(ids) // 2, "products/search_facets", ids=json.dumps(ids), **prices)


def _keys(sort: str, place: Place) -> Row:
    return {"sort": sort, **_only(place, *NOWHERE)}


def _only(given: Row, *names: str) -> Row:
    return {name: given[name] for name in names}


def _patterns(words: list[Word], some: list[Word] | None = None, more: list[list[Any]] | None = None) -> str:
    """Return the parameter in_text: for some of the words, or for all."""
    numbered = [(1 << number, word) for number, word in enumerate(words) if some is None or word in some]
    return json.dumps(
        [[bit, None, pattern, word.stem] for bit, word in numbered for pattern in word.patterns] + (more or [])
    )
