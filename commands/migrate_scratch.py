"""A scratch schema beside the database, to try statements on empty tables that nobody waits for.

There is one for each database (shop_scratch), and whoever uses it holds the lock of `migrate`. It goes when the work is
done; what a kill left, the next one removes. A schema of that name which is not ours is never touched: ours has a table
that says so, or none at all.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect, number
from core.db.mysql_errors import REFUSED

MARK = "made_by_bodega"  # the table that says whose schema it is
LONGEST_NAME = 64  # of a schema
SECONDS = 300  # for one statement; on an empty table it takes a moment, unless the server is very busy
TABLES = (
    "SELECT table_name AS name, table_type AS type FROM information_schema.tables WHERE table_schema = DATABASE() "
    "AND table_type IN ('BASE TABLE', 'VIEW') ORDER BY table_name"
)
DEFAULTS = (
    "SELECT default_character_set_name AS charset, default_collation_name AS collation "
    "FROM information_schema.schemata WHERE schema_name = DATABASE()"
)
VIEW = re.compile(r"^CREATE .*? VIEW (?=`)", re.S)  # in front of the name: algorithm and definer, who may not be there


class MayNot(CommandError):
    """The account may not make the schema; the message says which right it needs."""


def name_of(url: DatabaseUrl) -> str:
    """Return the name of the scratch schema of a database."""
    return url.database[: LONGEST_NAME - len("_scratch")] + "_scratch"


@contextlib.contextmanager
def scratch(url: DatabaseUrl) -> Iterator[Any]:
    """Give a cursor in an empty schema, with the defaults of the database; it may run scripts.

    Raises MayNot, CommandError where a schema of that name is not ours, and DatabaseError.
    """
    name = name_of(url)
    remove(url)
    try:
        with contextlib.closing(_connect(url)) as connection, connection.cursor() as cursor:
            _create(url, cursor, name)
            cursor.execute(f"USE `{name}`")
            cursor.execute(f"CREATE TABLE {MARK} (id INT NOT NULL PRIMARY KEY)")
            yield cursor
    finally:
        remove(url)


def _create(url: DatabaseUrl, cursor: Any, name: str) -> None:
    cursor.execute(DEFAULTS)
    defaults = cursor.fetchone()
    try:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET {defaults['charset']} COLLATE {defaults['collation']}")
    except DatabaseError as error:
        if number(error) not in REFUSED:
            raise
        pattern = name.replace("_", r"\_")
        raise MayNot(
            f"The account {url.user!r} may not make the schema {name}, in which statements are tried on empty tables. "
            f"Give it the right: GRANT ALL ON `{pattern}`.* TO …;"
        ) from None


def remove(url: DatabaseUrl) -> None:
    """Remove the scratch schema if there is one; raise CommandError where it is not ours."""
    name = name_of(url)
    with contextlib.closing(_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name = %s", (name,))
        if not cursor.fetchall():
            return
        cursor.execute("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = %s", (name,))
        tables = {row["name"] for row in cursor.fetchall()}
        if tables and MARK not in tables:
            raise CommandError(f"There is a schema {name} that was not made by this program, which needs its name.")
        cursor.execute(f"DROP DATABASE `{name}`")


def tables_of(cursor: Any) -> dict[str, str]:
    """Return {name of each table and view of the cursor's schema: the statement that makes it}; tables come first."""
    cursor.execute(TABLES)
    found = {}
    for row in sorted(cursor.fetchall(), key=lambda row: row["type"]):
        cursor.execute(f"SHOW CREATE TABLE `{row['name']}`")
        shown = cursor.fetchone()
        found[row["name"]] = shown.get("Create Table") or VIEW.sub("CREATE VIEW ", shown["Create View"])
    found.pop(MARK, None)
    return found


def copy(tables: dict[str, str], cursor: Any) -> None:
    """Make these tables, which may refer to each other, and views, which may use each other, without rows."""
    cursor.execute("SET SESSION foreign_key_checks = 0")
    waiting = list(tables.values())
    while waiting:
        left = []
        for text in waiting:
            try:
                cursor.execute(text)
            except DatabaseError as error:  # a view of a view that is not there yet
                left.append(text)
                failure = error
        if len(left) == len(waiting):
            raise failure
        waiting = left
    cursor.execute("SET SESSION foreign_key_checks = 1")


def _connect(url: DatabaseUrl) -> Any:
    return connect(url, 10, statement_timeout=SECONDS, scripts=True)
