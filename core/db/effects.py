"""What a statement does: which tables it changes, and whether a statement that should only read does nothing else.

There are no guesses. A statement is read token by token, and must have one of a few forms whose effect is known;
everything else is refused (ValueError), although a server may take it. A change that is not seen would run without a
transaction, and the cache would not be voided.
"""

import re

TOKEN = re.compile(  # as the servers read a statement, under the sql_mode of core/db/drivers.py
    r"""(?P<gap> [ \t\n\r\f\v]+ | --(?=[\x00-\x20]|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?\*/ )
      | (?P<text> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
      | (?P<param> %\([a-z][a-z0-9_]*\)s )
      | (?P<name> `[^`]+` )
      | (?P<word> [\w$]+ )
      | (?P<open> ['"`] | /\* )
      | (?P<sign> . )""",
    re.S | re.X,
)
AFTER = r"AS|FORCE|FROM|IGNORE|JOIN|LATERAL|LIMIT|ON|ORDER|PARTITION|SET|STRAIGHT_JOIN|USE|USING|WHERE"
AFTER += r"|CROSS|INNER|LEFT|NATURAL|OUTER|RIGHT"  # words that may follow a table, and are not its alias
NAME = rf"(?:`[\w$]+`|(?!(?:{AFTER})\b)[\w$]+)"
WITH = rf"{NAME}(?: …)? AS …"  # a common table expression; … is what was in parentheses
READS = re.compile(rf"(?:WITH (?:RECURSIVE )?{WITH}(?: , {WITH})* )?SELECT\b.*", re.I)


def _modified(verb: str, *words: str) -> str:
    """Return the pattern of a verb with all the words after it that only modify it.

    Without a possessive `*+`, which Python 3.11.2, Debian 12's, takes for something else.
    """
    word = rf" (?:{'|'.join(words)})\b"
    return rf"{verb}(?:{word})*(?!{word})"


INSERTS = re.compile(
    _modified("INSERT", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO")
    + rf" ({NAME})(?: .*)?|TRUNCATE(?: TABLE)? ({NAME})",
    re.I,
)
UPDATES = re.compile(
    _modified("UPDATE", "LOW_PRIORITY", "IGNORE") + r" (.+?) SET (.+?)(?: (?:WHERE|ORDER|LIMIT)\b.*)?", re.I
)
DELETES = _modified("DELETE", "LOW_PRIORITY", "QUICK", "IGNORE")
DELETES_FROM = re.compile(rf"{DELETES} FROM ({NAME})(?: (?:AS )?{NAME})?(?: (?:PARTITION|WHERE|ORDER|LIMIT) .*)?", re.I)
DELETES_OF = re.compile(rf"{DELETES} (?:FROM (.+?) USING|(?!FROM )(.+?) FROM) (.+?)(?: WHERE .*)?", re.I)
JOIN = re.compile(r" , | (?:(?:INNER|CROSS|NATURAL|LEFT|RIGHT|OUTER) )*(?:STRAIGHT_)?JOIN ", re.I)
TABLE = re.compile(
    rf"(?:({NAME})(?: (?:AS )?({NAME}))?|(?:(?:LATERAL|{NAME}) )?… (?:AS )?({NAME}))"
    r"(?: (?:ON|USING|USE|FORCE|IGNORE|PARTITION) .*)?",
    re.I,
)
SETS = re.compile(rf"(?:({NAME})\.)?(?:`[^`]+`|[\w$]+) = .+", re.I)
TARGET = re.compile(rf"({NAME})", re.I)
STORES = re.compile(r"\bINTO\b|:=", re.I)  # files and variables, also those of the session, which others get
FORMS = (
    "what it changes is not certain. Write it plainly: INSERT, UPDATE or DELETE (not REPLACE, nor WITH in "
    "front), each table by its name alone, and where tables are joined, the owner of each column that is set"
)


def bare(text: str) -> str:
    """Return a statement with spaces for comments and quotes for what is quoted; its length stays the same."""
    return TOKEN.sub(_blank, text)


def _blank(token: re.Match[str]) -> str:
    filler = {"gap": " ", "text": "'", "name": "'"}.get(token.lastgroup or "")
    return re.sub(r"[^\n]", filler, token[0]) if filler else token[0]


def unclosed(text: str) -> int | None:
    """Return where a quote or a comment begins that is not closed, or a comment that a server runs."""
    return next((token.start() for token in TOKEN.finditer(text) if token.lastgroup == "open"), None)


def flat(text: str) -> str:
    """Return a text in one line: a space between its parts, '' for a value."""
    parts = []
    for token in TOKEN.finditer(text):
        if token.lastgroup == "name":
            parts.append(token[0] if re.fullmatch(r"`[\w$]+`", token[0]) else "`?`")
        elif token.lastgroup != "gap":
            parts.append("''" if token.lastgroup in ("text", "param") else token[0])
    return re.sub(r" ?\. ?", ".", " ".join(parts))


def outline(text: str) -> str:
    """Return a text in one line, as `flat` does, with … for what is in parentheses."""
    line, deeper = flat(text), ""
    while line != deeper:  # from the innermost parentheses outwards
        line, deeper = re.sub(r"\([^()]*\)", "…", line), line
    return line


def changed_by(text: str) -> frozenset[str]:
    """Return the names of the tables that INSERT, UPDATE, DELETE or TRUNCATE changes; raise ValueError."""
    flat = outline(text)
    names: list[str | None]
    if found := INSERTS.fullmatch(flat):
        names = [_name(found[1] or found[2])]
    elif found := DELETES_FROM.fullmatch(flat):
        names = [_name(found[1])]
    elif found := DELETES_OF.fullmatch(flat):
        tables = _tables(found[3])
        names = [tables.get(_name(_part(TARGET, target)[1])) for target in (found[1] or found[2]).split(" , ")]
    elif found := UPDATES.fullmatch(flat):
        tables = _tables(found[1])
        owners = {_part(SETS, assignment)[1] for assignment in found[2].split(" , ")}
        every = [table for table in tables.values() if table]  # a column without an owner may be of any of them
        names = [name for owner in owners for name in ([tables.get(_name(owner))] if owner else every)]
    else:
        raise ValueError(FORMS)
    known = frozenset(name for name in names if name)
    if not known or None in names:
        raise ValueError(FORMS)
    return known


def _tables(joined: str) -> dict[str, str | None]:
    """Return {alias or name: table} of what UPDATE or FROM names; None for what is no table, as a JSON document."""
    found = {}
    for part in JOIN.split(joined):
        table, alias, made = _part(TABLE, part).groups()
        found[_name(alias or table or made)] = table and _name(table)
    return found


def _name(word: str) -> str:
    return word.strip("`")


def _part(form: re.Pattern[str], text: str) -> re.Match[str]:
    match = form.fullmatch(text)
    if not match:
        raise ValueError(FORMS)
    return match


def only_reads(text: str) -> bool:
    """Whether a statement is a SELECT, or WITH … SELECT, that puts what it reads nowhere."""
    return bool(READS.fullmatch(outline(text)) and not STORES.search(bare(text)))
