"""The values that `server.py sql` gives a statement: those typed, and its first sample's for the others."""

import difflib
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from commands.check_samples import samples_of, values_of
from core.cli import CommandError
from core.db import plan_hints
from core.db.plan_hints import Sample
from core.db.statement import Statement

NUMBERS = re.compile(r"\(?\s*(\d+(?:\s*,\s*\d+)*)\s*\)?")  # a list, with or without what a shell takes for its own
Number = int | Decimal


def close_to(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with what a mistyped word may stand for, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else "."


def split(statement: Statement, words: list[str]) -> dict[str, str]:
    """Return {parameter: text} of words such as limit=5; raise CommandError with what is wrong with one.

    `category_id=3` stands for `category_ids=3` where a statement has the list alone.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CommandError(f"{word!r} is no parameter: write name=value, as in limit=5.", code=2)
        if name not in statement.params and f"{name}s" in statement.lists:
            name += "s"
        if name not in statement.params:
            known = ", ".join(statement.params) or "none"
            hint = close_to(name, statement.params)
            raise CommandError(f"{statement.path} has no parameter {name!r}{hint} It has {known}.", code=2)
        if name in found:
            raise CommandError(f"{name} is given twice.", code=2)
        found[name] = text
    return found


def values(cursor: Any, statement: Statement, typed: dict[str, str], write: bool = False) -> dict[str, Any]:
    """Return {parameter: value} for the statement: those typed, and for the others its first sample's.

    The database is asked for values that are queries. `write`: samples are for looking, so all have to be typed.
    Raises CommandError for what is missing or has no such form, Problem for a query that gives no value.
    """
    absent = [name for name in statement.params if name not in typed]
    if absent and (write or not statement.samples):
        why = "--write takes no value from a sample" if write else "its header has no sample"
        raise CommandError(f"{statement.path} needs {', '.join(absent)} too: {why}.", code=2)
    first = samples_of(statement)[0]
    given = {name: _value(cursor, statement, name, text) for name, text in typed.items()}
    return values_of(cursor, statement, Sample({**first.values, **given}, first.text, first.line))


def told(statement: Statement, typed: dict[str, str], values: dict[str, Any]) -> str:
    """Return in one line which file is run with which values, and which of them nobody has typed."""
    sampled = [name for name in statement.params if name not in typed]
    null = [name for name in sampled if values[name] is None]
    parts = [
        ("", [f"{name}={short(values[name])}" for name in statement.params if name in typed]),
        ("from its sample: ", [f"{name}={short(values[name])}" for name in sampled if name not in null]),
        ("NULL: ", null),
    ]
    said = "; ".join(before + ", ".join(names) for before, names in parts if names)
    return f"{statement.path}: {said}" if said else statement.path


def short(value: Any) -> str:
    """Return a value as it is written in a sample, in a few words."""
    text = "NULL" if value is None else repr(value) if isinstance(value, bytes) else str(value)
    text = f"({', '.join(map(str, value))})" if isinstance(value, tuple) else text
    text = text if len(text) <= 40 else text[:39] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def _value(cursor: Any, statement: Statement, name: str, text: str) -> Any:
    """Return the value that was typed for a parameter: as in a sample, but a text needs no quotes."""
    if not _is_utf8(text):
        raise CommandError(f"The value of {name} is no UTF-8.", code=2)
    if name in statement.lists:
        return _list(name, text)
    try:
        value = plan_hints.value(text, name)
    except ValueError as error:
        if text.startswith(("'", "(SELECT ")):
            raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.", code=2) from None
        value = None if text.upper() == "NULL" else text
    if isinstance(value, tuple):
        value = text
    example = _example(cursor, statement, name) if _is_doubtful(value, text) else None
    if isinstance(value, str) and isinstance(example, Number) and text[:1] != "'":
        raise CommandError(f"{name} wants a number, as {example} in its sample; {text!r} is none.", code=2)
    return text if isinstance(value, Number) and isinstance(example, str) else value


def _list(name: str, text: str) -> Any:
    if text.startswith("(SELECT "):
        return plan_hints.value(text, name)
    found = NUMBERS.fullmatch(text.strip())
    if not found:
        raise CommandError(f"{name} wants numbers, as in {name}=3,4; {text!r} are none.", code=2)
    return tuple(map(int, found[1].split(",")))


def _is_doubtful(value: Any, text: str) -> bool:
    """Whether a text may have been meant as a number, or a number as a text."""
    return isinstance(value, Number) or (isinstance(value, str) and text[:1] != "'")


def _example(cursor: Any, statement: Statement, name: str) -> Any:
    """Return a value that some sample of the header has for this parameter; None where none has."""
    for sample in statement.samples:
        if sample.values[name] is not None:
            one = Sample({name: sample.values[name]}, sample.text, sample.line)
            value = values_of(cursor, statement, one)[name]
            if value is not None:
                return value
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
