"""What a statement does: which tables it changes, and that one which is to read does nothing else.

There are no guesses. A statement is read word by word, and has to have one of a few forms whose effect is known;
whatever is written otherwise is refused (ValueError), although a server may take it. For if a change were not seen,
it would run without a transaction, and what is kept in memory would not be voided.
"""

import re

TOKEN = re.compile(  # as the servers part a statement, under the sql_mode of core/db/drivers.py
    r"""(?P<gap> [ \t\n\r\f\v]+ | --(?=[\x00-\x20]|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?\*/ )
      | (?P<text> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
      | (?P<param> %\([a-z][a-z0-9_]*\)s )
      | (?P<name> `[^`]+` )
      | (?P<word> [\w$]+ )
      | (?P<open> ['"`] | /\* )
      | (?P<sign> . )""",
    re.S | re.X,
)
BEHIND = r"AS|FORCE|FROM|IGNORE|JOIN|LATERAL|LIMIT|ON|ORDER|PARTITION|SET|STRAIGHT_JOIN|USE|USING|WHERE"
BEHIND += r"|CROSS|INNER|LEFT|NATURAL|OUTER|RIGHT"  # words that may stand behind a table, and are not its alias
NAME = rf"(?:`[\w$]+`|(?!(?:{BEHIND})\b)[\w$]+)"
WITH = rf"{NAME}(?: …)? AS …"  # a common table expression; … is what stood in parentheses
READS = re.compile(rf"(?:WITH (?:RECURSIVE )?{WITH}(?: , {WITH})* )?SELECT\b.*", re.I)


def _modified(verb, *words):
    """Return the pattern of a verb with all the words behind it that only modify it.

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
    "what it changes cannot be told for sure. Write it plainly: INSERT, UPDATE or DELETE (not REPLACE, nor WITH in "
    "front), each table by its name alone, and where tables are joined, the owner of each column that is set"
)


def bare(text):
    """Return a statement with spaces for comments and quotes for what is quoted, so that places in it stay right."""
    return TOKEN.sub(_blank, text)


def _blank(token):
    filler = {"gap": " ", "text": "'", "name": "'"}.get(token.lastgroup)
    return re.sub(r"[^\n]", filler, token[0]) if filler else token[0]


def unclosed(text):
    """Return where a quote or a comment begins that is not closed, or a comment that a server runs; or None."""
    return next((token.start() for token in TOKEN.finditer(text) if token.lastgroup == "open"), None)


def outline(text):
    """Return a text in one line: a space between its parts, … for what is in parentheses, '' for a value."""
    parts = []
    for token in TOKEN.finditer(text):
        if token.lastgroup == "name":
            parts.append(token[0] if re.fullmatch(r"`[\w$]+`", token[0]) else "`?`")
        elif token.lastgroup != "gap":
            parts.append("''" if token.lastgroup in ("text", "param") else token[0])
    flat, deeper = " ".join(parts), None
    while flat != deeper:
        flat, deeper = re.sub(r"\([^()]*\)", "…", flat), flat
    return re.sub(r" ?\. ?", ".", flat)


def changed_by(text):
    """Return the names of the tables that INSERT, UPDATE, DELETE or TRUNCATE changes; raise ValueError."""
    flat = outline(text)
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
        every = [table for table in tables.values() if table]  # a column without an owner may be any one's
        names = [name for owner in owners for name in ([tables.get(_name(owner))] if owner else every)]
    else:
        raise ValueError(FORMS)
    if not names or None in names:
        raise ValueError(FORMS)
    return frozenset(names)


def _tables(joined):
    """Return {alias or name: table} of what UPDATE or FROM names; None for what is no table, as a JSON document."""
    found = {}
    for part in JOIN.split(joined):
        table, alias, made = _part(TABLE, part).groups()
        found[_name(alias or table or made)] = table and _name(table)
    return found


def _name(word):
    return word.strip("`")


def _part(form, text):
    match = form.fullmatch(text)
    if not match:
        raise ValueError(FORMS)
    return match


def only_reads(text):
    """Whether a statement is a SELECT, or WITH … SELECT, that puts what it reads nowhere."""
    return bool(READS.fullmatch(outline(text)) and not STORES.search(bare(text)))
