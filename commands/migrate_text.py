"""Reads the statements of a migration: where each ends, and of which form it is."""

import re

from core.db import effects
from core.db.effects import NAME

IF = r"(?:IF (?:NOT )?EXISTS )?"
ALTER = re.compile(rf"ALTER (?:ONLINE )?(?:IGNORE )?TABLE {IF}({NAME}) (.+)", re.I)
ADD_INDEX = re.compile(
    rf"CREATE ((?:UNIQUE |FULLTEXT |SPATIAL )?INDEX {IF}{NAME}(?: USING \w+)?) ON ({NAME}) ?(\(.+)", re.I
)
DROP_INDEX = re.compile(rf"(DROP INDEX {IF}{NAME}) ON ({NAME})", re.I)
MAKES = re.compile(rf"CREATE TABLE {IF}({NAME}) ?\(.*", re.I)
WHOLE = re.compile(
    rf"DROP TABLE {IF}{NAME}(?: ?, ?{NAME})*|TRUNCATE (?:TABLE )?{NAME}|RENAME TABLE {NAME} TO {NAME}"
    rf"|CREATE (?:OR REPLACE )?VIEW {NAME} AS .+|DROP VIEW {IF}{NAME}",
    re.I,
)
RENAMES = re.compile(r"\bRENAME (?!COLUMN |INDEX |KEY )", re.I)
SETS = re.compile(r"SET SESSION \w+ ?= ?[\w']+", re.I)
GIVEN = re.compile(r"\b(ALGORITHM|LOCK) ?= ?(\w+)", re.I)
BODY = re.compile(  # of which a ; may be part
    r"\bBEGIN\b|\bCREATE (?:OR REPLACE )?(?:DEFINER ?= ?\S+ )?(?:TRIGGER|PROCEDURE|FUNCTION|EVENT)\b", re.I
)
ELSEWHERE = re.compile(r"[A-Za-z_$'][\w$]* ?\.")  # in bare text: a name with something in front, as a schema


def parts(text: str) -> list[str]:
    """Return the statements of a file, without comments; raise ValueError where only the server can part them."""
    if effects.unclosed(text) is not None or BODY.search(one_line(text)):
        raise ValueError("only the server can part it")
    found, gap = [""], ""
    for token in effects.TOKEN.finditer(text):
        if token.lastgroup == "gap":
            gap += token[0] if token[0].isspace() else " "
            continue
        if token[0] == ";":
            found.append("")
        else:
            indent = gap.rpartition("\n")[2]
            found[-1] += ("\n" + indent if "\n" in gap else gap[:1]) + token[0]
        gap = ""
    return [statement.strip() for statement in found if statement]


def one_line(statement: str) -> str:
    """Return a statement with a space for each gap; what is quoted stays as it is."""
    tokens = [token[0] if token.lastgroup != "gap" else None for token in effects.TOKEN.finditer(statement)]
    kept = [token or " " for place, token in enumerate(tokens) if token or (place and tokens[place - 1])]
    return "".join(kept).strip()


def kind(statement: str) -> str:
    """Return of which form a statement is, "" where it is of none that only concerns tables of its own schema.

    "change": of one table, see `change_of`; "create": of a new table; "whole": all of a table, or a view; "set": a
    variable of the session; "read": it changes nothing; "rows": of tables.
    """
    line = one_line(statement)
    if change_of(line) or MAKES.fullmatch(line):
        elsewhere = ELSEWHERE.search(effects.bare(line))
        return "" if elsewhere else "change" if change_of(line) else "create"
    if WHOLE.fullmatch(line):
        return "whole"
    if SETS.fullmatch(line):
        return "set"
    if effects.only_reads(statement):
        return "read"
    try:
        return "rows" if effects.changed_by(statement) else ""
    except ValueError:
        return ""


def change_of(line: str) -> tuple[str, str] | None:
    """Return (table, what ALTER TABLE would say of it) for a statement that changes one table or its indexes."""
    if found := ALTER.fullmatch(line):
        return found[1].strip("`"), found[2]
    if found := ADD_INDEX.fullmatch(line):
        return found[2].strip("`"), f"ADD {found[1]} {found[3]}"
    if found := DROP_INDEX.fullmatch(line):
        return found[2].strip("`"), found[1]
    return None
