"""Suggestions: names and categories for what has been typed so far, and what was perhaps meant.

What is typed is the beginning of a name, or words of it, each perhaps a beginning ("desk la"). It is found

- in the index of names, by the beginning of the whole name;
- in product_words, by the beginning of any word. Words that begin so are few, even if a hundred thousand products have
  each; the newest products of those few are looked at. For several words, those of the rarest one are;
- in the names of the categories.

All of it is bounded: READ_NAMES products are looked at by name, and READ by words, of however many there are. So it
takes 1 to 5 ms at a million products (docs/performance.md). The full-text index takes 20 ms for a word in 25,000
products, however few are asked for, and 250 ms for the beginning of many words.

Where nothing is found, words that no name has are spelled anew: all spellings that are one letter away (some 50 for
each letter) are looked up, 2 to 4 µs each. So no table of misspellings has to be kept.
"""

import itertools
import unicodedata
from typing import Any

from core.app import app
from core.contract.shapes import Shape, field
from core.contract.validation import Query
from core.db.database import Row, Session
from core.identity.auth import PUBLIC
from core.json_text import dump
from resources.products_fields import CATALOGUE
from resources.products_typed import words_of

PLACES = 10  # suggestions in an answer
CATEGORY_PLACES, NAME_PLACES = 3, 4  # of these, if the other kinds need theirs
READ_NAMES = 200  # products that are looked at by name: some may have one name
READ = 500  # products that are looked at by a word, if there are further words
FIRST = 30  # of those that are found by a word: some may have one name
MOST_WORDS = 6  # typed words that are looked up; further ones are only looked for in the names that are found
LONGEST_WORD = 40  # characters, as product_words has them
MOST_BEGUN = 30  # words that begin as a typed one does
MOST_FOLLOWED = 5  # of these, whose products are looked at
LAST = "\U0010ffff"  # sorts behind every letter
MOST_MISSPELLED = 2  # words
SHORTEST_MISSPELLED = 3  # letters: everything is one letter away from a shorter word
MOST_SPELLINGS = 1_600  # of one word: of 30 letters in an alphabet of 26, or of 12 in one of 64
MOST_CATEGORIES = 500  # whose words are compared with a misspelled one
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # é counts as e in the database

TYPED = Query(
    q={
        "type": "string",
        "required": True,
        "maxlength": 100,
        "meta": {
            "issue": "Must be text of at most 100 characters.",
            "description": "What has been typed so far: the beginning of a name, or words of it. Blank: none.",
            "example": "desk la",
        },
    }
)
MEANT = field(
    "string",
    "Where nothing is found: what was typed, with words of names that are one letter away in place of those that no "
    "name has. Something is found for it. Else null.",
    "desk lamp",
    nullable=True,
)
SUGGESTION = Shape(
    "Suggestion",
    kind=field("string", "What it is the name of.", "product", allowed=["product", "category"]),
    id=field("integer", "The product's or the category's number.", 2),
    name=field("string", "What it is called.", "Desk Lamp"),
)
SUGGESTIONS = Shape(
    "Suggestions",
    suggestions=field("list", "At most 10, each name once: categories first.", items=SUGGESTION),
    did_you_mean=MEANT,
)


@app.get(
    "/api/products/suggest",
    auth=PUBLIC,
    query=TYPED,
    cache=CATALOGUE,
    returns=SUGGESTIONS,
    message="Suggestions found.",
)
def suggest_products(db: Session, query: Row) -> Row:
    """Suggest names for what is being typed.

    Products on sale and categories: names that begin with it, or that have words that begin with its words, in any
    order, case and accent. Ask with every letter; an answer takes a few milliseconds, however large the catalogue.
    """
    found = suggestions(db, query["q"])
    return {"suggestions": found, "did_you_mean": None if found else did_you_mean(db, query["q"])}


def suggestions(db: Session, text: str) -> list[Row]:
    """Return up to PLACES rows of SUGGESTION for a text of at most some hundred characters."""
    words = _typed(text)
    if not words:
        return []
    begun = " ".join(text.split())
    categories = _categories(db, words, PLACES)
    names = db.many("products/suggest_names", first=begun, last=begun + LAST, read=READ_NAMES, limit=PLACES)
    # Nearly every product has a word that begins with a given letter: names that begin so are enough then.
    with_words = [] if len(begun) == 1 and len(names) == PLACES else _with_words(db, words)
    ordered = [("category", row) for row in categories[:CATEGORY_PLACES]]
    ordered += [("product", row) for row in (*names[:NAME_PLACES], *with_words, *names[NAME_PLACES:])]
    ordered += [("category", row) for row in categories[CATEGORY_PLACES:]]
    once: dict[Any, Row] = {}
    for kind, row in ordered:
        once.setdefault((kind, row["name"].casefold()), {"kind": kind, "id": row["id"], "name": row["name"]})
    return list(once.values())[:PLACES]


def did_you_mean(db: Session, text: str) -> str | None:
    """Return the text with words that are one letter away in place of those that no name has; or None.

    One letter away: one more, one less, another one, or two neighbours swapped. Something is found for what it returns.
    """
    words = _typed(text)
    if len(words) > MOST_WORDS:
        return None
    wrong = [word for word in words if len(word) >= SHORTEST_MISSPELLED and not _known(db, word)]
    if not 1 <= len(wrong) <= MOST_MISSPELLED:
        return None
    meant = {word: _respelled(db, word) for word in wrong}
    corrected = " ".join(meant.get(word, word) or "" for word in words)
    return corrected if all(meant.values()) and suggestions(db, corrected) else None


def _typed(text: str) -> list[str]:
    """Return the words of a text as product_words has them."""
    words = [word.lower()[:LONGEST_WORD] for word in words_of(text.replace("_", " "))]
    return list(dict.fromkeys(words))


def _with_words(db: Session, words: list[str]) -> list[Row]:
    """Return products whose names have words that begin with all of these: some for each whole word, in turn."""
    begun = {word: _begun(db, word, MOST_BEGUN) for word in words[:MOST_WORDS]}
    if not all(begun.values()):
        return []
    # The newer the newest product with a word, the more products have it. What was cut off may be any number.
    rare = [word for word in begun if len(begun[word]) < MOST_BEGUN] or [max(begun, key=len)]
    rarest = min(rare, key=lambda word: max(row["newest_id"] for row in begun[word]))
    followed = sorted(begun[rarest], key=lambda row: -row["newest_id"])[:MOST_FOLLOWED]
    others = [word for word in words if word != rarest]
    found = [_with_word(db, row["word"], others, READ // len(followed)) for row in followed]
    return [row for rows in itertools.zip_longest(*found) for row in rows if row]


def _with_word(db: Session, word: str, others: list[str], read: int) -> list[Row]:
    """Return products that have this word, and words that begin with the others, of the newest `read`."""
    since = db.one("products/suggest_since", word=word, read=read) if others else None
    oldest = since["product_id"] if since else 0
    return db.many("products/suggest_with_word", word=word, **_parameters(others), oldest_id=oldest, limit=FIRST)


def _begun(db: Session, word: str, most: int) -> list[Row]:
    """Return words that begin so, and that products on sale have."""
    return db.many("products/suggest_words", first=word, last=word + LAST, limit=most)


def _categories(db: Session, words: list[str], most: int) -> list[Row]:
    return db.many("products/suggest_categories", **_parameters(words), limit=most)


def _parameters(words: list[str]) -> dict[str, str | None]:
    """Return the parameters in_name and likely."""
    patterns = [word.replace("ß", "ss") for word in words]
    return {"in_name": dump(patterns).decode() if patterns else None, "likely": max(patterns, key=len, default=None)}


def _known(db: Session, word: str) -> bool:
    """Whether a word of the name of a product or a category begins so."""
    return bool(_begun(db, word, 1) or _categories(db, [word], 1))


def _respelled(db: Session, word: str) -> str | None:
    """Return a word of a name that is one letter away from this one, or None."""
    spellings = spellings_of(word)
    if not spellings:
        return None
    found = db.one("products/suggest_spelling", words=dump(spellings).decode())
    if found:
        return found["word"].lower()
    names = " ".join(row["name"] for row in _categories(db, [], MOST_CATEGORIES))
    return next(iter(set(map(_plain, words_of(names))) & set(spellings)), None)


def spellings_of(word: str) -> list[str]:
    """Return all that is one letter away from a word in lower case; [] if it is too short, or they are too many.

    Digits stay as they are: another number is another thing. The letters are a to z, or those of the word's script.
    """
    if len(word) < SHORTEST_MISSPELLED or (2 * len(word) + 1) * len(letters := _letters(word)) > MOST_SPELLINGS:
        return []
    found = set()
    for at in range(len(word) + 1):
        before, here, after = word[:at], word[at : at + 1], word[at + 1 :]
        found |= {before + letter + here + after for letter in letters}
        if here and not here.isdigit():
            found |= {before + letter + after for letter in ("", *letters)}
            if after and not after[0].isdigit():
                found.add(before + after[0] + here + after[1:])
    return sorted(found - {word})


def _letters(word: str) -> str:
    """Return the small letters and the marks of the word's script: of the 128 characters around its first letter."""
    first = next((ord(letter) for letter in word if letter > "\u024f"), None)  # behind the last Latin ones
    if first is None:
        return LETTERS
    block = map(chr, range(first & ~127, (first & ~127) + 128))
    return "".join(c for c in block if unicodedata.category(c) in ("Ll", "Lo", "Mn", "Mc"))


def _plain(word: str) -> str:
    """Return a word in lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))
