"""The texts of mails: one file each, mails/NAME.txt, which a person may edit.

The first line is `Subject: …`, the second is blank, the rest is the text, with placeholders of string.Template:
`$number`, or `${number}` before a letter; `$$` is a dollar. Who writes a mail declares which placeholders it has:
`declare("order_placed", "shop", "number")`. A file that does not fit stops the start, with its name and line.
"""

import pathlib
import re
from collections.abc import Mapping
from string import Template
from typing import Any, NamedTuple

from core.config import ROOT

FOLDER = ROOT / "mails"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
SUBJECT = "Subject: "
PLACEHOLDERS: dict[str, frozenset[str]] = {}  # name of a mail → what its text may name


class Problem(ValueError):
    """Something is wrong in a file; reads "mails/order_placed.txt:7: what is wrong"."""


class Mail(NamedTuple):
    """The text of a mail."""

    subject: Template
    text: Template


def declare(name: str, *placeholders: str) -> str:
    """Declare a mail and its placeholders; return its name."""
    PLACEHOLDERS[name] = frozenset(placeholders)
    return name


class Mails:
    """All mails that were declared, by name. `problems`: what is wrong with the files, all at once."""

    def __init__(self, folder: pathlib.Path = FOLDER, declared: Mapping[str, frozenset[str]] = PLACEHOLDERS) -> None:
        self.problems: list[Problem] = []
        self._mails: dict[str, Mail] = {}
        for name, placeholders in declared.items():
            shown = f"{folder.name}/{name}.txt"
            try:
                self._mails[name] = _read(folder / f"{name}.txt", shown, placeholders)
            except Problem as problem:
                self.problems.append(problem)

    def render(self, name: str, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the subject, in one line whatever comes, and the text; raise KeyError for a value that is missing."""
        mail = self._mails[name]
        clean = {key: CONTROL.sub(" ", str(value)) for key, value in values.items()}
        return " ".join(mail.subject.substitute(clean).split()), mail.text.substitute(clean)


def _read(path: pathlib.Path, shown: str, placeholders: frozenset[str]) -> Mail:
    """Read a file; raise Problem for the first thing that is wrong."""
    try:
        source = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{shown}:1: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    first, _, rest = source.partition("\n")
    blank, _, text = rest.partition("\n")
    if not first.startswith(SUBJECT) or not first.removeprefix(SUBJECT).strip():
        raise Problem(f"{shown}:1: the first line is not 'Subject: ' and a subject")
    if blank.strip() or not text.strip():
        raise Problem(f"{shown}:2: after the subject there is a blank line, then the text")
    for found in Template.pattern.finditer(source):
        name = found["named"] or found["braced"]
        line = source.count("\n", 0, found.start()) + 1
        if found["invalid"] is not None:
            raise Problem(f"{shown}:{line}: a lone $ would be taken for a placeholder: write $$")
        if name and name not in placeholders:
            known = ", ".join(f"${known}" for known in sorted(placeholders))
            raise Problem(f"{shown}:{line}: there is no placeholder ${name}; there are {known}")
    return Mail(Template(first.removeprefix(SUBJECT)), Template(text))
