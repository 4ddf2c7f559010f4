"""Search: the words that a person typed, and the way of finding what has them that costs least.

By the index of words: about 4 µs a hit, on every page alike. Right for rare words; a word that a third of a million
products have takes a second and more.

By reading: the first products in the order asked for are read through, about 10 µs each, whatever they hold. Right
for common words, of which any few hundred products have plenty, and all there is for words too short for the index.
Where too few of those read have the words (a brand, sorted by name), the index is asked after all.

Both at once, where rare and common words stand together: the index finds the rare ones, and the common words are
looked for in the text of its hits.
"""

import json
import re
import unicodedata
from typing import NamedTuple

SHORTEST_INDEXED = 3  # characters; innodb_ft_min_token_size, which can only be set when a server starts
MOST_INDEXED = 16  # words; a hundred characters hold 25, and each one more costs a look-up in the index
MOST_SHORT = 3  # of words that are all too short for the index
COMMON = 20_000  # rows; from so many on a word is common
READ = 3_000  # rows that are read through, if nothing more is known
READ_SHORT = 10_000  # the same for short words, which have no other way
LEAST_READ, MOST_READ = 500, 20_000
TWO_AS_ONE = re.compile("ae|oe|æ|œ")  # one letter, or two: to the index that is the same, to LIKE it is not
RELEVANCE = "relevance"
FEWEST_RANKED = 50  # hits among those read: with fewer, the index ranks


class Found(NamedTuple):
    """A page: its rows, and one more where there is a next page; the total, a lower bound where not `exact`.

    `facets`: the statement that counts them by category, and its parameters besides the filters.
    """

    items: list
    total: int
    exact: bool
    facets: tuple


class SearchStatements(NamedTuple):
    """The statements to search with, by name; a page's as (name, parameters besides the filters and the words)."""

    estimate: str
    index: dict  # order → its page
    index_count: str
    index_facets: str
    read: tuple
    read_count: str
    read_facets: str


class Search:
    """What was typed, as words: letters, digits and inner underscores; everything else parts words.

    `words` is empty for nothing but punctuation, which searches for nothing. `db` is asked how common each word is.
    """

    def __init__(self, text, db, statements):
        words = re.findall(r"[^\W_]+(?:_+[^\W_]+)*", unicodedata.normalize("NFC", text))
        words = list(dict.fromkeys(word.lower() for word in words))
        self._db, self._statements = db, statements
        self._indexed = [word for word in words if len(word) >= SHORTEST_INDEXED][:MOST_INDEXED]
        counts = {word: self._estimate(word) for word in self._indexed}
        self._rare = [word for word in self._indexed if counts[word] < COMMON]
        common = sorted((word for word in self._indexed if counts[word] >= COMMON), key=counts.get)
        self._in_text = common if self._indexed else words[:MOST_SHORT]
        self.words = self._indexed or self._in_text

    def _estimate(self, word):
        """Return about how many rows have a word; 0 for one that only the index can find."""
        if TWO_AS_ONE.search(word):
            return 0
        return self._db.one(self._statements.estimate, word=_pattern(word))["products"]

    @property
    def ranks(self):
        """Whether there is an order by relevance: not for short words alone."""
        return bool(self._indexed)

    def page(self, filters, sort, place):
        """Return what is Found. `place`: as listing.place_of returns it."""
        if self._rare:
            return self._by_index(self._rare, self._in_text, filters, sort, place=place)
        return self._by_reading(filters, sort, place)

    def _by_index(self, words, in_text, filters, sort, *, place, total=None):
        """Return the page; `total`: what is known to be a lower bound, if they need not be counted."""
        given = {**filters, "words": " ".join(f"+{word}*" for word in words), "in_text": _patterns(in_text)}
        exact = total is None
        if exact:
            total = self._db.one(self._statements.index_count, **given)["total"]
        items = []
        if place["offset"] < total or not exact:
            items = self._page(self._statements.index[sort], given, sort, place)
        return Found(
            items, total if exact else _shown(total, place, items), exact, (self._statements.index_facets, given)
        )

    def _by_reading(self, filters, sort, place):
        short = not self._indexed
        most = READ_SHORT if short else READ
        given = {**filters, "in_text": _patterns(self._in_text)}
        seen = self._db.one(self._statements.read_count, **given, read=most)
        all_read = seen["products_read"] < most
        bounded = all_read or short or sort == RELEVANCE  # there is nothing to be found beyond `most`
        if bounded:
            read = most
        else:  # four times as many as should do, by what the newest are like
            wanted = place["offset"] + place["per_page"] + 1
            read = max(LEAST_READ, 4 * wanted * seen["products_read"] // max(1, seen["total"]))
        too_few = not bounded and read > MOST_READ
        if not too_few and (sort != RELEVANCE or all_read or seen["total"] >= FEWEST_RANKED):
            items = self._page(self._statements.read, {**given, "read": read}, sort, place)
            if bounded or len(items) > place["per_page"]:
                facets = (self._statements.read_facets, {**given, "read": most})
                return Found(items, _shown(seen["total"], place, items), all_read, facets)
        # The index after all: by the rarest word, the others are looked for in the text.
        return self._by_index(self._in_text[:1], self._in_text[1:], filters, sort, place=place, total=seen["total"])

    def _page(self, statement, given, sort, place):
        """Run a statement, given as (name, what it takes of the order and the place)."""
        name, taken = statement
        known = {"sort": sort, **place}
        rest = {parameter: known[parameter] for parameter in taken}
        return self._db.many(name, **given, **rest, limit=place["per_page"] + 1, offset=place["offset"])


def _shown(total, place, items):
    """Return a lower bound of the total that is not below what has been shown, up to this page."""
    return max(total, (place["page"] - 1) * place["per_page"] + len(items) if items else 0)


def _pattern(word):
    return word.replace("ß", "ss").replace("_", r"\_")  # LIKE takes a bare _ for any character


def _patterns(words):
    """Return the parameter in_text: a JSON array, or None for no words."""
    return json.dumps([_pattern(word) for word in words]) if words else None
