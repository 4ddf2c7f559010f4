"""The words of a search: what a person typed, in the forms in which the index and the texts may have it."""

import itertools
import re
import unicodedata
from typing import NamedTuple

AS_TWO = (("ß", "ss"), ("ẞ", "ss"), ("æ", "ae"), ("Æ", "ae"), ("œ", "oe"), ("Œ", "oe"))  # what the statements replace
AS_ONE = (("ß", "ss"), ("æ", "ae"), ("œ", "oe"))
PARTING = set("ß\u02ec\u0374\u17b4\u17b5")  # see _indexed; ß, because the index parts words at the capital one
PLURALS = (  # how a word ends, and how it does in the other number; a final s goes by itself
    (r"ies\Z", "y"),
    (r"([sxz]|ch|sh|\w{3}o)es\Z", r"\1"),
    (r"ives\Z", "ife"),
    (r"([lr]|ea|ie|oa|oo)ves\Z", r"\1f"),
    (r"([b-df-hj-np-tv-z])y\Z", r"\1ies"),
    (r"ife\Z", "ives"),
    (r"([lr]|ea|ie|oa|oo)f\Z", r"\1ves"),
)
EDGES = ("", "_", "__")  # the index takes underscores in front of a word for a part of it; more have none
SHORTEST_PART = 4  # letters, of a word that is split: "the", "for" and "can" are everywhere
IRREGULAR = (("man", "men"), ("woman", "women"), ("foot", "feet"), ("tooth", "teeth"), ("mouse", "mice"))


class Word(NamedTuple):
    """A word to be found, with its other forms.

    `asked`: for the full-text index in boolean mode; None: it does not have the word. `settled`: whether the index
    decides, or the hits' texts have to be looked at. `short`: whether it is too short for the index. `patterns`: for
    LIKE, see sql/products/read_ids.sql. `stem`: what all patterns have in common, as a pattern. `quick`: the same, and
    sharper: the one or the other. `beginnings`, `wholes`: what words of a text begin with, or are, wherever a pattern
    finds it; written as in word_zones. `given`: the beginning that the index knows, where that is another one.
    """

    asked: str | None
    settled: bool
    short: bool
    patterns: tuple[str, ...]
    stem: str
    quick: tuple[str, str | None]
    beginnings: tuple[str, ...]
    wholes: tuple[str, ...]
    given: str | None


def words_of(text: str) -> list[str]:
    """Return the words of a text of at most some hundred characters, each once, in order.

    Letters, numbers, the marks on them, and inner underscores make a word; all else parts words.
    """
    parted = ""
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)[0]
        belongs = kind in "LN" or character == "_" or (kind == "M" and parted[-1:].strip())  # no mark without a letter
        parted += character if belongs else " "
    return list(dict.fromkeys(word.strip("_") for word in parted.split() if word.strip("_")))


def forms(word: str) -> list[str]:
    """Return what an English noun may be in the other number, where the word does not begin so.

    Rules and no dictionary: some of what they make is no word, which finds nothing and does no harm.

        lamps → lamp     boxes → boxe, box     batteries → batterie, battery     knives → knive, knife
        battery → batteries     knife → knives     shelf → shelves     men → man     lamp, glass, bus → none
    """
    lower = word.lower()
    other = [many for one, many in IRREGULAR if lower == one] + [one for one, many in IRREGULAR if lower == many]
    if re.search(r"(?<![sui])s\Z", lower):
        other.append(lower[:-1])
    for ending, instead in PLURALS:
        if re.search(ending, lower):
            other.append(re.sub(ending, instead, lower))
    return [form for form in other if len(form) > 1] if len(lower) == len(word) else []


def splits(word: str) -> list[tuple[str, str]]:
    """Return the ways to split a word, or its other forms, in two parts that are long enough to mean something."""
    places = range(SHORTEST_PART, len(word) - SHORTEST_PART + 1)
    return list(dict.fromkeys((form[:n], form[n:]) for form in (word, *forms(word)) for n in places if form[n + 1 :]))


def searched(typed: list[str], parts: list[list[tuple[str, str]]], shortest: int, longest: int) -> list[Word]:
    """Return what to find for these words. `parts`: of each word, the ways to split it that make sense.

    `shortest`, `longest`: in characters, the words that the index has. Two words beside each other are also found where
    they are written as one; a word also where it is written as two.
    """
    befores = ["", *typed]
    return [
        _word(word, before, split, shortest, longest)
        for word, before, split in zip(typed, befores, parts, strict=False)
    ]


def _word(word: str, before: str, split: list[tuple[str, str]], shortest: int, longest: int) -> Word:
    begins = _indexed(word, shortest, longest)
    beginnings, wholes = [word], forms(word)
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(word.lower(), *wholes, strict=False))
    common = word[: len(list(alike))]
    if before and _indexed(before + word, shortest, longest) == before + word:
        beginnings.append(before + word)
        wholes = wholes + [before + form for form in wholes]
    if begins:  # what one way does not find, the other must not
        wholes = [form for form in wholes if _indexed(form, shortest, longest) == form]
    asked = (
        [f"{edge}{form}*" for form in (begins, *beginnings[1:]) for edge in EDGES]
        + wholes
        + [f"(+{one} +{two}*)" for one, two in split]
    )
    zoned = tuple(map(_plain, beginnings)), tuple(map(_plain, [*wholes, *(one for one, _ in split)]))
    beginnings += [f"{one} {two}" for one, two in split]
    cuts = sorted({len(one) for one, _ in split if len(one) < len(common)})
    stem = "%".join(_pattern(common[a:b]) for a, b in itertools.pairwise([0, *cuts, len(common)]))
    loose, twos = re.subn("|".join(two for _, two in AS_ONE), "%", stem, flags=re.I)  # a text may have ß, æ, œ
    as_one = stem.lower()
    for one, two in AS_ONE:
        as_one = as_one.replace(two, one)
    quick = (f"%{stem}%", f"%{as_one}%" if twos else None) if twos < 2 else (f"%{loose}%", None)
    return Word(
        asked=(f"+({' '.join(asked)})" if asked[1:] else f"+{asked[0]}") if begins else None,
        settled=begins == word and not split,
        short=not begins and len(word) < shortest,
        patterns=tuple([f"% {_pattern(form)}%" for form in beginnings] + [f"% {_pattern(form)} %" for form in wholes]),
        stem=f"%{loose}%",
        quick=quick,
        beginnings=zoned[0],
        wholes=zoned[1],
        given=_plain(begins) if begins and begins != word else None,
    )


def _indexed(word: str, shortest: int, longest: int) -> str | None:
    """Return the part of a word that is in the index: its beginning, up to a character that parts words; or None.

    Letters are those of the first plane of Unicode 4. To MariaDB 10.6 to 11 and MySQL 8 and 9 all else is punctuation,
    which parts the words of the text too, so the beginning is a word of its own there.
    """
    end = next((n for n, character in enumerate(word) if _parts(character)), len(word))
    return word[:end] if shortest <= end and len(word) <= longest else None


def _parts(character: str) -> bool:
    return character in PARTING or character > "\uffff" or unicodedata.ucd_3_2_0.category(character) == "Cn"


def _pattern(word: str) -> str:
    return _plain(word).replace("_", r"\_")  # LIKE takes a bare _ for any character


def _plain(word: str) -> str:
    for one, two in AS_TWO:
        word = word.replace(one, two)
    return word
