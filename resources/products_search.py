"""Search: the cheapest way to find the products that have every word that a person typed.

By the full-text index: where few have the words, judging by a sample. All hits are found at once (0.5 µs for each
product that has one of the words, 4 µs for each that has all of them), so their number is exact.

By reading: where many have them. The first products in the order asked for are read, about 4 µs each, hits or not: a
word that one of a hundred has fills a page within 1,500 to 3,000 products. It is the only way for words that are not
in the index: too short or too long for it. The total is a lower bound. If those read have too few hits (a brand, sorted
by name), the index sorts all; if it cannot be asked, or would take too long, a page may have fewer products than it
should, and the next page reads on behind the last product that was read.

What each costs at a million products, and how to measure it again: docs/performance.md.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from core.contract.pagination import Place
from core.db.database import Row
from core.identity.budgets import Priced
from resources.products_orders import NOWHERE, ORDERS, RELEVANCE, behind
from resources.products_typed import Word, searched, splits, words_of

MOST_INDEXED = 16  # words; 100 characters have up to 25 words, and each one costs a look-up in the index
MOST_SHORT = 3  # of words that are all too short for the index
MOST_HITS = 4_000  # ids that are found at once
COMMON = 4_000  # rows that finding all hits by the index may cost; reading costs as much then
MOST_ASKED = 100_000  # rows that the index may cost where reading finds too little: 0.4 s
UNSETTLED = 8  # a word for which the index gives texts that do not have it costs as much as so many others
PASSED = 0.1  # rows: what a product costs in the index that has one word, and maybe not the others
ESTIMATED = 1_000  # rows that an estimate looks at
SPARE = 1.5  # times as many rows are read as should have enough hits
LEAST_READ, MOST_READ = 1_000, 7_000  # rows that are read, if the index could be asked too
RANKED = 2_000  # rows, the newest, of which the hits are ranked by relevance
FEWEST_RANKED = 30  # hits; if there are fewer among these, the index ranks
READ_UNINDEXED = 6_000  # rows that are read for a word that has no other way
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
        self._products = bounds["products_at_most"]
        words = searched(typed, self._parts(typed), bounds["shortest"], bounds["longest"])
        indexed = [word for word in words if word.asked][:MOST_INDEXED]
        unindexed = [word for word in words if not word.asked and not word.short][:MOST_INDEXED]
        self.words = indexed + unindexed or words[:MOST_SHORT]
        self._categories: dict[Word, list[int]] = {word: [] for word in self.words}
        for row in db.many(1, "categories/having_words", in_text=_patterns(self.words)):
            self._categories[self.words[row["word"].bit_length() - 1]].append(row["id"])
        self._sample: list[Row] = []
        if indexed:
            # What the index gives beyond that, by a second bit of each word: see _given.
            apart = [[1 << len(self.words) + n, None, like] for n, word in enumerate(self.words) for like in word.apart]
            in_text = json.dumps(json.loads(self._test()["in_text"]) + apart)
            self._sample = db.many(ESTIMATED, "products/word_estimate", in_text=in_text)
        # Asked for all words that follow the rarest, or for one alone together with the categories that it names.
        by_number = sorted((word for word in indexed if not self._categories[word]), key=lambda w: self._having([w]))
        sortable = self._cheapest(list(itertools.accumulate([[word] for word in by_number])))
        self._sortable = sortable if self._cost(sortable) < MOST_ASKED else []
        self._asked = self._cheapest([self._sortable, *([word] for word in indexed if self._categories[word])])

    def _parts(self, typed: list[str]) -> list[list[tuple[str, str]]]:
        """Return, of each word, the ways to split it in two words that names have."""
        parts = [(number, *split) for number, word in enumerate(typed) for split in splits(word)]
        known = self._db.many(1, "products/known_parts", parts=json.dumps(parts)) if parts else []
        return [[(r["first_part"], r["second_part"]) for r in known if r["word"] == n] for n in range(len(typed))]

    @property
    def ranks(self) -> bool:
        """Whether there is an order by relevance: only where the index knows a word."""
        return any(word.asked for word in self.words)

    def page(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page. `place`: as products_orders.place_of returns it."""
        if not place["reads"] and self._is_rare(place["per_page"] + 1):
            ids = self._hits(filters)
            if ids is not None:
                items, position = self._page(ids, sort, place)
                return Found(items, position, len(ids), True, lambda: self._facets(filters))
        if sort != RELEVANCE:
            return self._in_order(filters, sort, place)
        if self._sortable and place["after_id"] is not None and not place["reads"]:  # in the way of its first page
            return self._sorted(filters, sort, place, 0)
        return self._ranked(filters, sort, place)

    def _is_rare(self, wanted: int) -> bool:
        """Whether the index finds all hits sooner than reading finds as many as are wanted."""
        return bool(self._asked) and self._cost(self._asked) < max(COMMON, min(MOST_ASKED, self._rows_for(wanted)))

    def _having(self, words: list[Word]) -> int:
        """Return about how many products have all of these words."""
        return self._sampled([self._bit(word) for word in words])

    def _bit(self, word: Word) -> int:
        return 1 << self.words.index(word)

    def _cost(self, words: list[Word]) -> float:
        """Return what it takes to find these words by the index and the others in the texts of the hits, in rows."""
        others = len(self.words) - len(words) + UNSETTLED * sum(not word.settled for word in words)
        return sum(self._given([word]) for word in words) * PASSED + self._given(words) * (1 + others / 2)

    def _given(self, words: list[Word]) -> int:
        """Return about how many products the index gives for these words. It does not see what stands beside a word."""
        return self._sampled([self._bit(word) * (1 | 1 << len(self.words)) for word in words])

    def _sampled(self, ways: list[int]) -> int:
        """Return about how many products have, of each way, one of the bits."""
        return sum(row["products"] for row in self._sample if all((row["words"] or 0) & way for way in ways))

    def _cheapest(self, choices: list[list[Word]]) -> list[Word]:
        return min(filter(None, choices), key=self._cost, default=[])

    def _test(self, words: list[Word] | None = None) -> Row:
        """Return the parameters by which a statement looks for words in texts; without words: all of them."""
        words = self.words if words is None else words
        if not words:
            return dict.fromkeys(("in_text", "all_words", "stem", "stem_as_one", "stem_categories"))
        rarest = min(words, key=lambda word: (self._having([word]), -len(word.stem)))
        named = [[self._bit(word), id] for word in words for id in self._categories[word]]
        return {
            "in_text": _patterns(self.words, words, named),
            "all_words": sum(self._bit(word) for word in words),
            "stem": rarest.quick[0],
            "stem_as_one": rarest.quick[1],
            "stem_categories": ",".join(map(str, self._categories[rarest])),
        }

    # By the index

    def _index(self, asked: list[Word], filters: Row) -> Row:
        rest = [word for word in self.words if word not in asked or not word.settled]
        return {**filters, "words": " ".join(word.asked or "" for word in asked), **self._test(rest)}

    def _hits(self, filters: Row) -> list[int] | None:
        """Return the ids of all products that have the words; None if they are too many to be found at once."""
        given = self._index(self._asked, filters)
        ids = set(self._ids(self._cost(self._asked), "products/search_ids", {**given, "limit": MOST_HITS + 1}))
        for id in self._categories[self._asked[0]]:
            if _within(filters, id):
                inside = {**filters, "category_ids": (id,)}
                if self._end_of_window(inside, "newest", NOWHERE, MOST_HITS):
                    return None
                ids.update(self._read(inside, "newest", NOWHERE, MOST_HITS))
        return sorted(ids) if len(ids) <= MOST_HITS else None

    def _sorted(self, filters: Row, sort: str, place: Place, least: int) -> Found:
        """Return the page from the index, which sorts all hits; `least`: a lower bound of their number."""
        rows = self._sort(self._sortable, filters, _keys(sort, place), _limits(place))
        items, position = self._shown(rows, sort, place)
        ends = position is None and place["after_id"] is None and (items or not place["offset"])
        total = place["offset"] + len(items) if ends else max(least, place["shown"] + len(rows) if rows else 0)
        return Found(items, position, total, bool(ends), lambda: self._facets(filters))

    def _sort(self, asked: list[Word], filters: Row, keys: Row, limits: Row) -> list[Row]:
        given = {**self._index(asked, filters), "in_name": _patterns(self.words), **keys, **limits}
        return self._db.many(int(self._cost(asked)), "products/search_sorted", **given)

    def _first_of_categories(self, filters: Row, sort: str, place: Place) -> list[int] | None:
        """Return ids, the page's among them, where all words name the same categories; None where they do not."""
        named = self._categories[self._asked[0]]
        if any(self._categories[word] != named for word in self.words):
            return None
        wanted = place["offset"] + place["per_page"] + 1
        rows = self._sort(self._asked, filters, _keys(sort, place), {"limit": wanted, "offset": 0})
        order = ORDERS[sort]
        after = {"after_id": place["after_id"], "after_value": place[order.after.parameter]}
        for id in named:
            if _within(filters, id):
                inside = {**filters, **after, "category_ids": (id,), "in_order": None}
                rows += self._db.many(1, order.statement, **inside, limit=wanted, offset=0)
        return sorted({row["id"] for row in rows})

    # By reading

    def _in_order(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page by reading in the order asked for; if that finds too little, by the index."""
        wanted = place["offset"] + place["per_page"] + 1
        read, left = self._window_of(LEAST_READ, wanted), max(MOST_READ, min(MOST_ASKED, self._having(self.words)))
        if self._sortable and read > left:
            return self._sorted(filters, sort, place, 0)
        read = min(read, left)
        begins = place["after_id"] is None or self._end_of_window(filters, sort, NOWHERE, read) is None  # few in all
        ids: list[int] = []
        start, end, found = NOWHERE if begins else place, None, wanted
        while len(ids) < wanted and found >= wanted / 4 and left > 0:  # fewer by far: they are elsewhere
            end = self._end_of_window(filters, sort, start, read)
            window = self._read(filters, sort, start, read, end)
            ids, found, left = ids + window, len(window), (left - read if self.ranks else 0)
            if end is None:
                break
            start = {**NOWHERE, "after_id": end["id"], ORDERS[sort].after.parameter: str(end[ORDERS[sort].column])}
        all_found = end is None
        if end and len(ids) < wanted and self._sortable:
            return self._sorted(filters, sort, place, len(ids))
        if end and len(ids) < wanted and self._asked:
            firsts = self._first_of_categories(filters, sort, place)
            if firsts is not None:
                ids, end, all_found = firsts, None, len(firsts) < wanted
        items, position = self._page(ids, sort, place)
        if position is None and end and (items or not place["offset"]):  # page numbers do not continue behind it
            position = behind(end, ORDERS[sort])
        total = len(ids) if begins else place["shown"] + len(ids)
        return Found(items, position, total, begins and all_found, lambda: self._facets(filters))

    def _ranked(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page by relevance: hits are ranked within a window of products, then comes the next window."""
        start = {**NOWHERE, "after_id": place.get("from_id"), "after_time": place.get("from_time")}
        read = self._window_of(RANKED, max(2 * FEWEST_RANKED, place["per_page"] + 1))
        end = self._end_of_window(filters, "newest", start, min(read, MOST_READ))
        ids = self._read(filters, "newest", start, min(read, MOST_READ), end)
        if end and len(ids) < FEWEST_RANKED and self._sortable and not place["reads"]:
            return self._sorted(filters, sort, place, len(ids))
        items, position = self._page(ids, sort, place)
        if position:
            position = (*position, start["after_time"], start["after_id"])
        elif end and (items or place["reads"] or not place["offset"]):  # page numbers do not continue behind it
            position = (None, None, None, *behind(end, ORDERS["newest"]))
        if start["after_id"] is None:
            return Found(items, position, len(ids), end is None, lambda: self._facets(filters))
        total = place["shown"] + len(items) + bool(position and len(items) == place["per_page"])
        return Found(items, position, total, False, lambda: self._facets(filters))

    def _rows_for(self, hits: int) -> int:
        """Return how many rows to read for so many hits, with some to spare."""
        having = self._having(self.words)
        return int(SPARE * hits * self._products / having) if having else int(SPARE * 10**9)

    def _window_of(self, least: int, hits: int) -> int:
        if not self.ranks:
            return max(1, READ_UNINDEXED // len(self.words))  # each word costs as much again
        return max(least, self._rows_for(hits))

    def _end_of_window(self, filters: Row, sort: str, start: Place, read: int) -> Row | None:
        """Return the last of the next `read` products, hits or not; None if fewer are left."""
        order = ORDERS[sort]
        after = {"after_id": start["after_id"], "after_value": start[order.after.parameter]}
        found = self._db.many(1, order.statement, **filters, **after, in_order=None, limit=2, offset=read - 1)
        return found[0] if len(found) > 1 else None

    def _read(self, filters: Row, sort: str, start: Place, read: int, end: Row | None = None) -> list[int]:
        """Return the ids of the next `read` products that have the words; with `end`, up to it."""
        until: Row = dict.fromkeys(("until_id", "until_time", "until_price", "until_name"))
        if end:
            until = {"until_id": end["id"], "until_time": end["created_at"]}
            until |= {"until_price": end["price"], "until_name": end["name"]}
        keys = _only(_keys(sort, start), "sort", "after_id", "after_time", "after_price", "after_name")
        given = {**filters, **self._test(), **keys, **until, "read": read + COME_SINCE}
        dearer = 1 if self.ranks else 2 + len(self.words)  # nearly all texts pass the quick test
        return self._ids(min(read, self._products) * dearer, "products/read_ids", given)

    # By either

    def _ids(self, cost: float, statement: str, given: Row) -> list[int]:
        return json.loads(self._db.one(int(cost), statement, **given)["ids"] or "[]")

    def _page(self, ids: list[int], sort: str, place: Place) -> tuple[list[Row], tuple[Any, ...] | None]:
        """Return the page of these hits, and the position of the next one."""
        if place["offset"] >= len(ids):
            return [], None
        given = {"ids": json.dumps(ids), "in_name": _patterns(self.words)}
        rows = self._db.many(len(ids) // 2, "products/search", **given, **_keys(sort, place), **_limits(place))
        return self._shown(rows, sort, place)

    def _shown(self, rows: list[Row], sort: str, place: Place) -> tuple[list[Row], tuple[Any, ...] | None]:
        items = rows[: place["per_page"]]
        ranks = [row.pop("relevance") for row in rows]
        if len(rows) <= len(items):
            return items, None
        position = behind(items[-1], ORDERS["newest" if sort == RELEVANCE else sort])
        return items, (ranks[len(items) - 1], *position) if sort == RELEVANCE else position

    def _facets(self, filters: Row) -> list[Row]:
        """Count what could be chosen instead: without the filters by category and price, among the newest if many."""
        everywhere = {**filters, "category_ids": EVERY, "min_price": None, "max_price": None}
        ids = self._hits(everywhere) if self._is_rare(0) else None
        if ids is None:
            read = min(MOST_READ, self._window_of(RANKED, 2 * FEWEST_RANKED))
            ids = self._read(everywhere, "newest", NOWHERE, read)
        prices = _only(filters, "min_price", "max_price")
        return self._db.many(len(ids) // 2, "products/search_facets", ids=json.dumps(ids), **prices)


def _within(filters: Row, category_id: int) -> bool:
    return filters["category_ids"] == EVERY or category_id in filters["category_ids"]


def _keys(sort: str, place: Place) -> Row:
    return {"sort": sort, **_only(place, *NOWHERE)}


def _limits(place: Place) -> Row:
    return {"limit": place["per_page"] + 1, "offset": place["offset"]}


def _only(given: Row, *names: str) -> Row:
    return {name: given[name] for name in names}


def _patterns(words: list[Word], some: list[Word] | None = None, more: list[list[Any]] | None = None) -> str:
    """Return the parameter in_text: for some of the words, or for all."""
    numbered = [(1 << number, word) for number, word in enumerate(words) if some is None or word in some]
    return json.dumps(
        [[bit, None, pattern, word.stem] for bit, word in numbered for pattern in word.patterns] + (more or [])
    )
