"""Search: the words that a person typed, and the cheapest way to find products that have them.

By the full-text index: about 4 µs for each hit, on every page. Right for rare words. A word that a third of a million
products have takes more than a second.

By reading: the first products in the order asked for are read, about 10 µs each, hits or not. Right for common words,
because any few hundred products have many hits, and the only way for words that are not in the index: too short or too
long for it, or with characters at which it parts words. If those read have too few hits (a brand, sorted by name), the
index is asked after all. If it cannot be asked, a page may have fewer products than it should, and the next page reads
on behind the last product that was read.

By both, for rare and common words together: the index finds the rare ones, and the common words are looked for in the
text of its hits. To measure again: `server.py check` on a seeded catalogue (docs/performance.md).
"""

import json
import re
import unicodedata
from typing import Any, NamedTuple

from core.contract.pagination import Place
from core.db.database import Row
from core.identity.budgets import Priced
from resources.products_orders import ORDERS, RELEVANCE, behind

MOST_INDEXED = 16  # words; 100 characters have up to 25 words, and each one costs a look-up in the index
MOST_SHORT = 3  # of words that are all too short for the index
COMMON = 20_000  # rows; a word that so many rows have is common
ESTIMATED = 1_000  # rows that an estimate looks at
READ = 3_000  # rows that are read, if nothing more is known
READ_UNINDEXED = 10_000  # the same for a word that has no other way
LEAST_READ, MOST_READ = 500, 20_000
COME_SINCE = 1_000  # rows that others may add to a window while it is read
TWO_AS_ONE = re.compile("ae|oe|æ|œ", re.I)  # one letter, or two: to the index that is the same, to LIKE it is not
PARTING = set("ß\u02ec\u0374\u17b4\u17b5")  # see _stem; ß, because the index parts words at the capital one
FEWEST_RANKED = 50  # hits among the rows read; if there are fewer, the index ranks


class Found(NamedTuple):
    """A page: its rows; the total, a lower bound if not `exact`.

    `behind`: the position of the next page, as pagination_of takes it, or None if nothing is left. `facets`: how to
    count by category: (rows that it costs, statement, parameters).
    """

    items: list[Row]
    behind: tuple[Any, ...] | None
    total: int
    exact: bool
    facets: tuple[int, str, Row]


SORTED = ("products/search_sorted", ("sort", "after_id", "after_time", "after_price"))
INDEX = {  # order → the statement of a page, and its parameters besides filters and words
    RELEVANCE: ("products/search", ("newest_id",)),
    **dict.fromkeys(("newest", "oldest", "price", "-price"), SORTED),
    **dict.fromkeys(("name", "-name"), ("products/search_by_name", ("sort", "after_id", "after_name"))),
}
READING = ("products/read", ("sort", "after_id", "after_time", "after_price", "after_name", "newest_id"))


class Search:
    """What was typed, as words: letters, numbers, the marks on them, and inner underscores; all else parts words.

    `words` is empty for nothing but punctuation, which searches for nothing. `db`, a core.identity.budgets.Priced, is
    asked how common each word is.
    """

    def __init__(self, text: str, db: Priced) -> None:
        words = words_of(text)
        self._db = db
        self.words: list[str] = []
        self._rare: list[str] = []
        self._indexed: list[str] = []
        if not words:
            return
        bounds = db.one(1, "products/bounds")
        self._products = bounds["products_at_most"]
        self._stems = {word: _stem(word, bounds["shortest"], bounds["longest"]) for word in words}
        self._indexed = [word for word in words if self._stems[word]][:MOST_INDEXED]
        unindexed = [word for word in words if not self._stems[word] and len(word) >= bounds["shortest"]]
        self._counts = {word: self._estimate(self._stems[word] or "") for word in self._indexed}
        self._rare = [word for word in self._indexed if self._counts[word] < COMMON]
        common = sorted((word for word in self._indexed if self._counts[word] >= COMMON), key=self._counts.__getitem__)
        in_text = [*common, *unindexed[:MOST_INDEXED]] or ([] if self._rare else words[:MOST_SHORT])
        self.words = self._rare + in_text

    def _estimate(self, word: str) -> int:
        """Return about how many rows have a word; 0 for one that only the index can find."""
        if TWO_AS_ONE.search(word):
            return 0
        return self._db.one(ESTIMATED, "products/word_estimate", word=_pattern(word))["products"]

    @property
    def ranks(self) -> bool:
        """Whether there is an order by relevance: only where the index knows a word."""
        return bool(self._indexed)

    def page(self, filters: Row, sort: str, place: Place) -> Found:
        """Return the page. `place`: as products_orders.place_of returns it."""
        continues = place["newest_id"] is not None  # by relevance: in the same way as the first page
        if not place["reads"] and (self._rare or continues):
            return self._by_index(filters, sort, place)
        return self._by_reading(filters, sort, place)

    def _by_index(self, filters: Row, sort: str, place: Place, total: int | None = None) -> Found:
        """Return the page. `total`: a lower bound, if the hits need not be counted."""
        asked = self._rare or [min(self._indexed, key=self._counts.__getitem__)]
        in_text = [word for word in self.words if word not in asked or word != self._stems[word]]
        words = " ".join(f"+{self._stems[word]}*" for word in asked)
        given = {**filters, "words": words, "in_text": _patterns(in_text)}
        exact, rows = total is None, sum(self._counts[word] for word in asked)
        if total is None:
            total = self._db.one(rows, "products/search_count", **given)["total"]
        rows = max(rows, total)
        items: list[Row] = []
        if place["offset"] < total or not exact:
            items = self._page(rows, INDEX[sort], given, sort, place)
        position = self._behind(sort, place, items)
        facets = (rows, "products/search_facets", _of_all_categories(given))
        return _found(items, position, total, exact=exact, place=place, facets=facets)

    def _by_reading(self, filters: Row, sort: str, place: Place) -> Found:
        most = READ if self._indexed else max(1, READ_UNINDEXED // len(self.words))  # each word costs as much again
        given = {**filters, "in_text": _patterns(self.words)}
        seen = self._db.one(self._cost(most), "products/read_count", **given, read=most)
        all_read = seen["products_read"] < most
        facets = (self._cost(most), "products/read_facets", _of_all_categories({**given, "read": most}))
        enough = sort == RELEVANCE and seen["total"] >= FEWEST_RANKED
        if all_read or enough or place["reads"] or not self._indexed:
            items, position = self._window(given, sort, place, None if all_read else most)
            return _found(items, position, seen["total"], exact=all_read, place=place, facets=facets)
        # Four times as many as should suffice, judging by the newest.
        read = max(LEAST_READ, 4 * (place["offset"] + place["per_page"] + 1) * most // max(1, seen["total"]))
        if sort != RELEVANCE and read <= MOST_READ:
            items = self._read(read, given, sort, place)
            if len(items) > place["per_page"]:
                position = self._behind(sort, place, items)
                return _found(items, position, seen["total"], exact=False, place=place, facets=facets)
        return self._by_index(filters, sort, place, total=seen["total"])

    def _window(
        self, given: Row, sort: str, place: Place, most: int | None
    ) -> tuple[list[Row], tuple[Any, ...] | None]:
        """Return the hits among the next `most` products (None: among all), and the position of the next page.

        By relevance the hits of one window are ranked and given page by page; then comes the next window.
        """
        end = self._end_of_window(given, sort, place, most) if most else None
        items = self._read((most or READ_UNINDEXED) + COME_SINCE, given, sort, place, end)
        if len(items) > place["per_page"] or not end:
            return items, self._behind(sort, place, items, reads=True)
        if not items and place["offset"] and not place["reads"]:  # page numbers do not continue in the next window
            return items, None
        if sort == RELEVANCE:
            return items, (self._newest(place, items), 0, str(end["created_at"]), end["id"])
        return items, behind(end, ORDERS[sort])

    def _end_of_window(self, given: Row, sort: str, place: Place, most: int) -> Row | None:
        """Return the last of the next `most` products, hits or not; None if fewer are left."""
        order = ORDERS["newest" if sort == RELEVANCE else sort]
        known = {name: value for name, value in given.items() if name != "in_text"}
        known |= {"in_order": None, "after_id": place["after_id"], "after_value": place[order.after.parameter]}
        found = self._db.many(1, order.statement, **known, limit=1, offset=most - 1)
        return found[0] if found else None

    def _read(self, read: int, given: Row, sort: str, place: Place, end: Row | None = None) -> list[Row]:
        until: Row = dict.fromkeys(("until_id", "until_time", "until_price", "until_name"))
        if end:
            until = {"until_id": end["id"], "until_time": end["created_at"]}
            until |= {"until_price": end["price"], "until_name": end["name"]}
        given = {**given, **until, "read": read}
        return self._page(self._cost(read), READING, given, sort, place)

    def _cost(self, read: int) -> int:
        return min(read, self._products) * len(self.words)

    def _page(self, rows: int, statement: tuple[str, tuple], given: Row, sort: str, place: Place) -> list[Row]:
        """Run a statement of INDEX or READING."""
        name, taken = statement
        known = {"sort": sort, **place}
        rest = {parameter: known[parameter] for parameter in taken}
        return self._db.many(rows, name, **given, **rest, limit=place["per_page"] + 1, offset=place["offset"])

    def _behind(self, sort: str, place: Place, items: list[Row], reads: bool = False) -> tuple[Any, ...] | None:
        """Return the position of the next page; None if this is the last one."""
        if len(items) <= place["per_page"]:
            return None
        if sort != RELEVANCE:
            return behind(items[place["per_page"] - 1], ORDERS[sort])
        window = (place["after_time"], place["after_id"]) if reads else ()
        return (self._newest(place, items), place["offset"] + place["per_page"], *window)

    def _newest(self, place: Place, items: list[Row]) -> str:
        """Return the id of the product that was the newest when the first page by relevance was made."""
        return str(place["newest_id"] or items[0]["newest_id"])


def words_of(text: str) -> list[str]:
    """Return the words of a text of at most some hundred characters, each once, in order."""
    parted = ""
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)[0]
        belongs = kind in "LN" or character == "_" or (kind == "M" and parted[-1:].strip())  # no mark without a letter
        parted += character if belongs else " "
    return list(dict.fromkeys(word.strip("_") for word in parted.split() if word.strip("_")))


def _stem(word: str, shortest: int, longest: int) -> str | None:
    """Return the part of a word that is in the index: its beginning, up to a character that parts words; or None.

    Letters are those of the first plane of Unicode 4. To MariaDB 10.6 to 11 and MySQL 8 and 9 all else is punctuation,
    which parts the words of the text too, so the beginning is a word of its own there.
    """
    end = next((n for n, character in enumerate(word) if _parts(character)), len(word))
    return word[:end] if shortest <= end and len(word) <= longest else None


def _parts(character: str) -> bool:
    return character in PARTING or character > "\uffff" or unicodedata.ucd_3_2_0.category(character) == "Cn"


def _of_all_categories(given: Row) -> Row:
    return {name: value for name, value in given.items() if name != "category_ids"}


def _found(
    items: list[Row],
    position: tuple[Any, ...] | None,
    total: int,
    *,
    exact: bool,
    place: Place,
    facets: tuple[int, str, Row],
) -> Found:
    """Return a page. A total that is a lower bound is never below the number of rows up to this page."""
    given = items[: place["per_page"]]
    if not exact:
        total = max(total, place["shown"] + len(items) if items else 0)
    return Found(given, position, total, exact, facets)


def _pattern(word: str) -> str:
    word = word.replace("ß", "ss").replace("ẞ", "ss")
    return word.replace("_", r"\_")  # LIKE takes a bare _ for any character


def _patterns(words: list[str]) -> str | None:
    """Return the parameter in_text: a JSON array, or None for no words."""
    return json.dumps([_pattern(word) for word in words]) if words else None
