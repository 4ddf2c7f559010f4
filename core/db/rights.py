"""The least rights that the statements of sql/ need, by table and verb, read from the statements themselves.

    rights = of(statements, tables)             {"products": {"SELECT", "UPDATE"}, …}
    grants(rights, "shop", "shop@localhost")    ["GRANT SELECT, UPDATE ON `shop`.`products` TO `shop`@`localhost`", …]

As in effects.py there are no guesses: a statement is read token by token, with all that stands in its parentheses, and
one whose tables are not certain is refused. What the servers want: SELECT for each table that is read, which UPDATE
does, and DELETE with a condition; INSERT, UPDATE and SELECT for INSERT … ON DUPLICATE KEY UPDATE; on MySQL, UPDATE or
DELETE beside SELECT for FOR UPDATE (dev.mysql.com/doc/refman/8.4/en/innodb-locking-reads.html).
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator

from core.database_url import DatabaseUrl
from core.db import effects
from core.db.drivers import connect
from core.db.statement import Problem, Statement

Rights = dict[str, set[str]]  # table → verbs

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")
LOCK = "LOCK"  # no right of the servers, but UPDATE or DELETE, whichever is needed anyway
BARE = r"(?<![.`])\b"  # before a keyword: p.from and `from` are columns
INNERMOST = re.compile(r"\(([^()]*)\)")
QUERY = re.compile(r"(?:SELECT|WITH|VALUES)\b|…(?: (?:UNION|EXCEPT|INTERSECT|ORDER|LIMIT)\b.*)?\Z", re.I)
SET_OPERATION = re.compile(rf"{BARE}(?:UNION|EXCEPT|INTERSECT)\b", re.I)
FROM = re.compile(
    rf"{BARE}FROM (?P<joined>.+?)"
    r"(?P<rest> (?:WHERE|GROUP|HAVING|WINDOW|ORDER|LIMIT|OFFSET|FETCH|FOR (?:UPDATE|SHARE)|LOCK IN)\b.*)?\Z",
    re.I,
)
JOINED = re.compile(rf"{BARE}(?:FROM|JOIN|STRAIGHT_JOIN)\b", re.I)
LOCKS = re.compile(rf"{BARE}FOR UPDATE\b", re.I)
UNCERTAIN = re.compile(rf"{BARE}(?:TABLE|(?:INDEX|KEY) FOR)\b", re.I)  # TABLE t reads, USE INDEX FOR ORDER BY goes on
TABLE = re.compile(  # … is a query in parentheses, ‥ is what else stands in some
    rf"(?:({effects.NAME})(?: (?:AS )?{effects.NAME})?|(?:LATERAL )?… (?:AS )?{effects.NAME}(?: ‥)?"
    rf"|JSON_TABLE ‥ (?:AS )?{effects.NAME})(?: (?:ON|USING|USE|FORCE|IGNORE) .*)?",
    re.I,
)
NAMED = re.compile(rf"(?:\bWITH(?: RECURSIVE)?| ,) ({effects.NAME})(?: ‥)? AS …", re.I)  # common table expressions
UPSERT = re.compile(r" ON DUPLICATE KEY UPDATE ", re.I)
OWNERS = re.compile(r"(?:(?:python3 )?server\.py (?!serve\b|chores\b)[a-z]+(?: NAME)?(?:, (?:and )?| and |\Z))+\Z")
FORMS = (
    "which tables it reads is not certain. Write it plainly: after FROM and JOIN each table by its name alone, without "
    "parentheses around it"
)


def for_owner(used_by: str) -> bool:
    """Whether only commands of the database's owner run a statement: what its header says after "used by:"."""
    return bool(OWNERS.match(used_by))


@functools.lru_cache(1024)
def needed(text: str, tables: frozenset[str]) -> Rights:
    """Return the rights that one statement needs, not to be changed; raise ValueError where that is not certain.

    `tables`: all tables and views that there are. The verbs of a table in FOR UPDATE have LOCK among them.
    """
    *groups, whole = _groups(text)
    if any(map(UNCERTAIN.search, (*groups, whole))):
        raise ValueError(FORMS)
    verb = whole.split(" ")[0].upper()
    changed = effects.changed_by(text) if verb in VERBS[1:] else frozenset()
    found = [(table, verb) for table in changed]
    for group in (group for group in groups if QUERY.match(group)):
        found += _query(group)
    if verb == "INSERT":
        source, *assignments = UPSERT.split(whole, maxsplit=1)
        found += _query(source) + [(table, right) for table in changed for right in ("SELECT", "UPDATE") if assignments]
    elif verb == "UPDATE" and (parts := effects.UPDATES.fullmatch(whole)):
        found += _joined(parts[1])
    elif verb == "DELETE" and (parts := effects.DELETES_OF.fullmatch(whole)):
        found += _joined(parts[3])
    elif verb == "DELETE":
        found += [(table, "SELECT") for table in changed if re.search(r" (?:WHERE|ORDER) ", whole, re.I)]
    elif verb in ("SELECT", "WITH"):
        found += _query(whole)
    else:
        raise ValueError("the shop's account may SELECT, INSERT, UPDATE and DELETE, and gets no other right")
    named = {name.strip("`") for part in (*groups, whole) for name in NAMED.findall(part)}
    if twice := sorted(named & tables):
        raise ValueError(f"{twice[0]} is a table, and here a name for something else too; give that another one")
    rights: Rights = {}
    for table, right in found:
        if table not in tables | named:
            raise ValueError(f"reads {table}, which no migration creates; write a table's name as it is written there")
        if table in tables:
            rights.setdefault(table, set()).add(right)
    return rights


def _groups(text: str) -> Iterator[str]:
    """Yield in one line each what is in a pair of parentheses, from the inside outwards, and at last the statement."""
    line = effects.flat(text)
    while found := INNERMOST.search(line):
        inner = found[1].strip()
        yield inner
        line = line[: found.start()] + ("…" if QUERY.match(inner) else "‥") + line[found.end() :]
    yield line


def _query(query: str) -> list[tuple[str, str]]:
    """Return [(table, verb)] of a SELECT, of several with UNION between them, or of what INSERT inserts."""
    found = []
    for block in SET_OPERATION.split(query):
        if parts := FROM.search(block.strip()):
            if JOINED.search(parts["rest"] or ""):
                raise ValueError(FORMS)
            tables = _joined(parts["joined"])
            found += tables + [(table, LOCK) for table, _ in tables if LOCKS.search(parts["rest"] or "")]
        elif JOINED.search(block):
            raise ValueError(FORMS)
    return found


def _joined(text: str) -> list[tuple[str, str]]:
    """Return [(table, "SELECT")] of what stands after FROM or UPDATE."""
    found = [TABLE.fullmatch(part) for part in effects.JOIN.split(text)]
    if None in found:
        raise ValueError(FORMS)
    names = [part[1] for part in found if part and part[1]]
    return [(name.strip("`"), "SELECT") for name in names if name.upper() != "DUAL"]


def of(statements: Iterable[Statement], tables: frozenset[str]) -> Rights:
    """Return the rights that statements need together, without those of the owner's; raise Problem if not certain.

    `tables`: all tables and views that there are.
    """
    rights: Rights = {}
    for statement in statements:
        if for_owner(statement.header.used_by):
            continue
        try:
            for table, verbs in needed(statement.body, tables).items():
                rights.setdefault(table, set()).update(verbs)
        except ValueError as error:
            raise Problem(statement.path, statement.first_line, str(error)) from None
    for verbs in rights.values():
        if LOCK in verbs and not verbs & {"UPDATE", "DELETE"}:
            verbs.add("UPDATE")
        verbs.discard(LOCK)
    return rights


def uncertain(statements: Iterable[Statement], tables: frozenset[str]) -> list[Problem]:
    """Return the Problem of each statement whose rights are not certain."""
    found = []
    for statement in statements:
        try:
            of([statement], tables)
        except Problem as problem:
            found.append(problem)
    return found


def grants(rights: Rights, database: str, account: str) -> list[str]:
    """Return the GRANT statements, a table each. `account`: NAME, or NAME@HOST; raise ValueError for what is none."""
    to = account_name(account)
    return [
        f"GRANT {', '.join(verb for verb in VERBS if verb in verbs)} ON {quoted(database)}.{quoted(table)} TO {to}"
        for table, verbs in sorted(rights.items())
    ]


def account_name(account: str) -> str:
    """Return NAME or NAME@HOST as SQL, with the host % where there is none; raise ValueError for what is no account."""
    name, at, host = account.rpartition("@")
    name, host = (name, host) if at else (host, "%")
    if not name or not host or not account.isprintable():
        raise ValueError(f"{account!r} is no account; wanted is NAME or NAME@HOST")
    return f"{quoted(name)}@{quoted(host)}"


def quoted(name: str) -> str:
    """Return a name as SQL, whatever its characters and the server's sql_mode are."""
    return "`" + name.replace("`", "``") + "`"


def give(owner: DatabaseUrl, rights: Rights, account: str) -> None:
    """Give the account these rights; it keeps those that it has. Raises DatabaseError."""
    with contextlib.closing(connect(owner, 10)) as connection, connection.cursor() as cursor:
        for grant in grants(rights, owner.database, account):
            cursor.execute(grant)
