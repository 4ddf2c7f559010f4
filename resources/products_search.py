"""Search: the words that a person typed, and the way of finding what has them that costs least.

By the index of words: about 4 µs a hit, on every page alike. Right for rare words; a word that a third of a million
products have takes a second and more.

By reading: the first products in the order asked for are read through, about 10 µs each, whatever they hold. Right
for common words, of which any few hundred products have plenty, and all there is for words that the index has not: too
short or too long for it, or with characters at which it parts words. Where too few of those read have a common word (a
brand, sorted by name), the index is asked after all; where it cannot be, a page may hold less than it should, and the
next one reads on behind the last product that was read.

Both at once, where rare and common words stand together: the index finds the rare ones, and the common words are
looked for in the text of its hits.
"""

import json
import re
import unicodedata
from typing import NamedTuple

from core.contract.pagination import KEYS, last_of

MOST_INDEXED = 16  # words; a hundred characters hold 25, and each one more costs a look-up in the index
MOST_SHORT = 3  # of words that are all too short for the index
COMMON = 20_000  # rows; from so many on a word is common
ESTIMATED = 1_000  # rows that an estimate looks at
READ = 3_000  # rows that are read through, if nothing more is known
READ_UNINDEXED = 10_000  # the same for a word that has no other way
LEAST_READ, MOST_READ = 500, 20_000
COME_SINCE = 1_000  # rows that may come while a page is read, between two that are known
TWO_AS_ONE = re.compile("ae|oe|æ|œ", re.I)  # one letter, or two: to the index that is the same, to LIKE it is not
PARTING = set("ß\u02ec\u0374\u17b4\u17b5")  # see _stem; ß, because the index parts words at the capital one
RELEVANCE = "relevance"
FEWEST_RANKED = 50  # hits among those read: with fewer, the index ranks


class Found(NamedTuple):
    """A page: its rows; the total, a lower bound where not `exact`.

    `behind`: what listing.pagination_of takes to continue, or None where nothing is left. `facets`: what counts them
    by category: rows that it looks at, statement, and parameters.
    """

    items: list
    behind: tuple | None
    total: int
    exact: bool
    facets: tuple


class SearchStatements(NamedTuple):
    """The statements to search with, by name; a page's as (name, parameters besides the filters and the words)."""

    bounds: str
    estimate: str
    lists: dict  # order → (what lists all products in it, its column)
    index: dict  # order → its page
    index_count: str
    index_facets: str
    read: tuple
    read_count: str
    read_facets: str


class Search:
    """What was typed, as words: letters, numbers, the marks on them, and inner underscores; all else parts words.

    `words` is empty for nothing but punctuation, which searches for nothing. `db`, a core.identity.budgets.Priced, is
    asked how common each word is.
    """

    def __init__(self, text, db, statements):
        words = words_of(text)
        self._db, self._statements = db, statements
        self.words = self._rare = self._in_text = self._indexed = ()
        if not words:
            return
        bounds = db.one(1, statements.bounds)
        self._products = bounds["products_at_most"]
        self._stems = {word: _stem(word, bounds["shortest"], bounds["longest"]) for word in words}
        self._indexed = [word for word in words if self._stems[word]][:MOST_INDEXED]
        unindexed = [word for word in words if not self._stems[word] and len(word) >= bounds["shortest"]]
        self._counts = {word: self._estimate(self._stems[word]) for word in self._indexed}
        self._rare = [word for word in self._indexed if self._counts[word] < COMMON]
        common = sorted((word for word in self._indexed if self._counts[word] >= COMMON), key=self._counts.get)
        self._in_text = [*common, *unindexed[:MOST_INDEXED]] or ([] if self._rare else words[:MOST_SHORT])
        self.words = self._rare + self._in_text

    def _estimate(self, word):
        """Return about how many rows have a word; 0 for one that only the index can find."""
        if TWO_AS_ONE.search(word):
            return 0
        return self._db.one(ESTIMATED, self._statements.estimate, word=_pattern(word))["products"]

    @property
    def ranks(self):
        """Whether there is an order by relevance: only where the index knows a word."""
        return bool(self._indexed)

    def page(self, filters, sort, place):
        """Return what is Found. `place`: as listing.place_of returns it."""
        goes_on = place["newest_id"] is not None  # by relevance; then in the way in which it began
        if not place["reads"] and (self._rare or goes_on):
            return self._by_index(filters, sort, place)
        return self._by_reading(filters, sort, place)

    def _by_index(self, filters, sort, place, total=None):
        """Return the page; `total`: what is known to be a lower bound, if they need not be counted."""
        asked = self._rare or [min(self._indexed, key=self._counts.get)]
        in_text = [word for word in self.words if word not in asked or word != self._stems[word]]
        words = " ".join(f"+{self._stems[word]}*" for word in asked)
        given = {**filters, "words": words, "in_text": _patterns(in_text)}
        exact, rows = total is None, sum(self._counts[word] for word in asked)
        if exact:
            total = self._db.one(rows, self._statements.index_count, **given)["total"]
        rows = max(rows, total)
        items = []
        if place["offset"] < total or not exact:
            items = self._page(rows, self._statements.index[sort], given, sort, place)
        behind = self._behind(sort, place, items)
        facets = (rows, self._statements.index_facets, given)
        return _found(items, behind, total, exact=exact, place=place, facets=facets)

    def _by_reading(self, filters, sort, place):
        most = READ if self._indexed else max(1, READ_UNINDEXED // len(self.words))  # each word costs as much again
        given = {**filters, "in_text": _patterns(self.words)}
        seen = self._db.one(self._cost(most), self._statements.read_count, **given, read=most)
        all_read = seen["products_read"] < most
        facets = (self._cost(seen["products_read"]), self._statements.read_facets, {**given, "read": most})
        enough = sort == RELEVANCE and seen["total"] >= FEWEST_RANKED
        if all_read or enough or place["reads"] or not self._indexed:
            items, behind = self._window(given, sort, place, None if all_read else most)
            return _found(items, behind, seen["total"], exact=all_read, place=place, facets=facets)
        # Four times as many as should do, by what the newest are like.
        read = max(LEAST_READ, 4 * (place["offset"] + place["per_page"] + 1) * most // max(1, seen["total"]))
        if sort != RELEVANCE and read <= MOST_READ:
            items = self._read(read, given, sort, place)
            if len(items) > place["per_page"]:
                behind = self._behind(sort, place, items)
                return _found(items, behind, seen["total"], exact=False, place=place, facets=facets)
        return self._by_index(filters, sort, place, total=seen["total"])

    def _window(self, given, sort, place, most):
        """Return the rows among the next `most` products (None: among all), and what to continue behind.

        By relevance these are ranked among themselves, and given page by page; then come the next ones.
        """
        end = most and self._end_of_window(given, sort, place, most)
        items = self._read((most or READ_UNINDEXED) + COME_SINCE, given, sort, place, end)
        if len(items) > place["per_page"] or not end:
            return items, self._behind(sort, place, items, reads=True)
        if not items and place["offset"] and not place["reads"]:  # page numbers do not lead on from window to window
            return items, None
        if sort == RELEVANCE:
            return items, (self._newest(place, items), 0, str(end["created_at"]), end["id"])
        return items, last_of(end, self._column(sort))

    def _end_of_window(self, given, sort, place, most):
        """Return the last of the next `most` products, whatever they hold; None where fewer are left."""
        statement, column = self._statements.lists["newest" if sort == RELEVANCE else sort]
        known = {name: value for name, value in given.items() if name != "in_text"}
        known |= {"after_id": place["after_id"], "after_value": place[KEYS[column]]}
        found = self._db.many(1, statement, **known, limit=1, offset=most - 1)
        return found[0] if found else None

    def _read(self, read, given, sort, place, end=None):
        until = dict.fromkeys(("until_id", "until_time", "until_price", "until_name"))
        if end:
            until = {"until_id": end["id"], "until_time": end["created_at"]}
            until |= {"until_price": end["price"], "until_name": end["name"]}
        given = {**given, **until, "read": read}
        return self._page(self._cost(read), self._statements.read, given, sort, place)

    def _cost(self, read):
        return min(read, self._products) * len(self.words)

    def _page(self, rows, statement, given, sort, place):
        """Run a statement, given as (name, what it takes of the order and the place)."""
        name, taken = statement
        known = {"sort": sort, **place}
        rest = {parameter: known[parameter] for parameter in taken}
        return self._db.many(rows, name, **given, **rest, limit=place["per_page"] + 1, offset=place["offset"])

    def _behind(self, sort, place, items, reads=False):
        """Return what continues behind a full page; None where it is the last."""
        if len(items) <= place["per_page"]:
            return None
        if sort != RELEVANCE:
            return last_of(items[place["per_page"] - 1], self._column(sort))
        window = (place["after_time"], place["after_id"]) if reads else ()
        return (self._newest(place, items), place["offset"] + place["per_page"], *window)

    def _newest(self, place, items):
        """Return the product that was the newest when the first page by relevance was made."""
        return place["newest_id"] or items[0]["newest_id"]

    def _column(self, sort):
        return self._statements.lists[sort][1]


def words_of(text):
    """Return the words of a text of at most some hundred characters, each once, in order."""
    parted = ""
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)[0]
        belongs = kind in "LN" or character == "_" or (kind == "M" and parted[-1:].strip())  # no mark without a letter
        parted += character if belongs else " "
    return list(dict.fromkeys(word.strip("_") for word in parted.split() if word.strip("_")))


def _stem(word, shortest, longest):
    """Return what the index knows of a word: its beginning, up to where it parts words; None where that is nothing.

    It takes for letters what Unicode 4 had in the first of its planes; to MariaDB 10.6 to 11 and MySQL 8 and 9 all
    else is punctuation. Such characters part the words of the text alike, so the beginning is a word of its own there.
    """
    end = next((n for n, character in enumerate(word) if _parts(character)), len(word))
    return word[:end] if shortest <= end and len(word) <= longest else None


def _parts(character):
    return character in PARTING or character > "\uffff" or unicodedata.ucd_3_2_0.category(character) == "Cn"


def _found(items, behind, total, *, exact, place, facets):
    """Return a page as Found; a total that is a lower bound is never below what has been shown, up to this page."""
    given = items[: place["per_page"]]
    if not exact:
        total = max(total, place["shown"] + len(items) if items else 0)
    return Found(given, behind, total, exact, facets)


def _pattern(word):
    word = word.replace("ß", "ss").replace("ẞ", "ss")
    return word.replace("_", r"\_")  # LIKE takes a bare _ for any character


def _patterns(words):
    """Return the parameter in_text: a JSON array, or None for no words."""
    return json.dumps([_pattern(word) for word in words]) if words else None
