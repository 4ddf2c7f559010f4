"""Make the products' table anew, and with it the index of words, which search uses.

InnoDB keeps the entries of what was deleted or changed, and passes over them in every search. With 100,000 products
(MariaDB, 2 busy cores), a word that none has takes 0.1 ms, and 9, 60 and 99 ms after one, two and three changes of
every description. What was tried, on both servers: `ALTER TABLE … FORCE` leaves 0.1 ms. A new index alone leaves 1 to
28, as the list of what was deleted is the table's; `OPTIMIZE TABLE` with `innodb_optimize_fulltext_only` left 10 in
twice the time, and needs rights on the whole server.

And an index that was made while the server's stop words were on (by `ALTER TABLE`, `OPTIMIZE TABLE`, or from a dump)
has no "that" and no "with", and searches for them find nothing. One that is made here has them.
"""

import contextlib
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.cli import confirm, say
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.database import Session
from core.db.drivers import connect
from core.db.migrations import ALL_WORDS, LONGEST_STATEMENT
from core.db.owner import in_transaction, owner_url
from core.db.statements import Statements

HELP = "make the index of words anew: after very many changes, or where it leaves words out"
REBUILD = "ALTER TABLE products FORCE"  # whole: not before it is done do searches use the new one
PER_PRODUCT = 300e-6  # seconds; on 2 busy cores a million took MariaDB 100 s, and 20,000 took MySQL 6
NOBODYS = "+qzxjvkwqzxjvkw"  # a word that no product has
DUE = 0.02  # seconds that every search takes longer


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--yes", action="store_true", help="begin without asking")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Say how long it takes and whom it holds up; do it, and say what it brought."""
    with owner_url(config) as url:
        products, before = in_transaction(url, lambda db: ((db.one("seed/counts") or {})["products"], delay(db)))
        seconds = max(1, round(products * PER_PRODUCT))
        question = (
            f"Making the table and the index of words of {products} products anew takes up to {seconds} s on 2 cores. "
            "Meanwhile products can be read, searched and put into carts; changes of products get a 503 after "
            "DATABASE_TIMEOUT. It takes as much room on the disk again as the table does. Go on?"
        )
        if not options.yes:
            confirm(question, "optimize --yes")
        began = time.monotonic()
        rebuild(url)
        after = in_transaction(url, delay)
    say(
        f"The index of words is new, after {time.monotonic() - began:.1f} s. A search for a word that no product has "
        f"took {before * 1000:.1f} ms, and takes {after * 1000:.1f} ms."
    )
    return 0


def rebuild(url: DatabaseUrl) -> None:
    """Make the table and its index anew, in one step; with all words, whatever the server leaves out."""
    with (
        contextlib.closing(connect(url, 10, statement_timeout=LONGEST_STATEMENT)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(ALL_WORDS)
        cursor.execute(REBUILD)


def delay(db: Session) -> float:
    """Return the seconds that every search takes at least: what finding nothing takes, the least of three tries."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        db.one("products/has_word", words=NOBODYS)
        times.append(time.perf_counter() - began)
    return min(times)


def due(url: DatabaseUrl) -> str | None:
    """Return the sentence that says that it is time to optimize, or None."""
    seconds = in_transaction(url, delay)
    if seconds < DUE:
        return None
    return (
        f"Every search takes {seconds * 1000:.0f} ms longer than it should, for what was changed or deleted since the "
        "index of words was made. At a quiet hour, type: python3 server.py optimize"
    )


def left_out(db: Session) -> str | None:
    """Return the sentence on a word that products have and the index of words has not, or None.

    Nothing can be said where none of the newest products has a word that a server may leave out.
    """
    for row in db.many("products/stop_words")[:1]:
        if not (db.one("products/has_word", words=f"+{row['word']}") or {})["found"]:
            return (
                f"The index of words leaves out words such as {row['word']!r}, and searches for them find nothing: it "
                "was made anew (by ALTER TABLE, OPTIMIZE TABLE, or from a dump) with the server's stop words on. Type: "
                "python3 server.py optimize"
            )
    return None


def warning(url: DatabaseUrl, timeout: float, statements: Statements) -> str | None:
    """Return what `left_out` says, asked on a connection of its own; `timeout`: seconds. Raises DatabaseError."""
    with contextlib.closing(connect(url, timeout)) as connection, connection.cursor() as cursor:
        return left_out(Session(cursor, statements))
