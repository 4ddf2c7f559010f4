"""Rebuild the table of products and its full-text index, which search uses.

InnoDB keeps the entries of deleted and changed rows in the index, and skips them in every search. With 100,000 products
(MariaDB, 2 busy cores), a search for a word that no product has takes 0.1 ms; after one, two and three changes of every
description it takes 9, 60 and 99 ms. `ALTER TABLE … FORCE` brings back 0.1 ms on both servers. Tried and worse: a new
index alone (1 to 28 ms, because the list of deleted rows belongs to the table), and `OPTIMIZE TABLE` with
`innodb_optimize_fulltext_only` (10 ms in twice the time, and it needs rights on the whole server).

An index that was built while the server's stop words were on (by `ALTER TABLE`, `OPTIMIZE TABLE`, or from a dump) lacks
words such as "that" and "with", and searches for them find nothing. This command builds it with all words.
"""

import contextlib
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import optimize_space, seed
from core.cli import confirm, say
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.database import Session
from core.db.drivers import connect
from core.db.migrator import ALL_WORDS, LONGEST_STATEMENT
from core.db.owner import in_transaction, owner_url
from core.db.statements import Statements

HELP = "rebuild the full-text index, and tables that are half empty: after very many changes"
REBUILD = "ALTER TABLE products FORCE"  # searches use the old table until this is done
PER_PRODUCT = 300e-6  # seconds; on 2 busy cores a million took MariaDB 100 s, and 20,000 took MySQL 6
UNUSED = "+qzxjvkwqzxjvkw"  # a word that no product has
DUE = 0.02  # seconds of extra time for every search


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--yes", action="store_true", help="begin without asking")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Say how long it takes and what waits meanwhile; rebuild, and print the gain."""
    with owner_url(config) as url:
        products, before = in_transaction(url, lambda db: (seed.counts(db)["products"], delay(db)))
        seconds = max(1, round(products * PER_PRODUCT))
        question = (
            f"Rebuilding the table and the full-text index of {products} products takes up to {seconds} s on 2 cores. "
            "Meanwhile products can be read, searched and put into carts; changes of products get a 503 after "
            "DATABASE_TIMEOUT. It needs as much free disk space as the table takes. Other tables that are half empty "
            "are built anew after it, while they are used. Go on?"
        )
        if not options.yes:
            confirm(question, "optimize --yes")
        began = time.monotonic()
        rebuild(url)
        after = in_transaction(url, delay)
        freed = list(optimize_space.give_back(url))
    say(
        f"The full-text index is new, after {time.monotonic() - began:.1f} s. A search for a word that no product has "
        f"took {before * 1000:.1f} ms, and takes {after * 1000:.1f} ms."
    )
    for name, free in freed:
        say(f"{name} is built anew: {free >> 20} MiB of it were free, since rows were removed.")
    return 0


def rebuild(url: DatabaseUrl) -> None:
    """Rebuild the table and its index in one step, with all words, whatever the server's stop words are."""
    with (
        contextlib.closing(connect(url, 10, statement_timeout=LONGEST_STATEMENT)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(ALL_WORDS)
        cursor.execute(REBUILD)


def delay(db: Session) -> float:
    """Return the seconds that every search takes at least: the least of three searches that find nothing."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        db.one("products/has_word", words=UNUSED)
        times.append(time.perf_counter() - began)
    return min(times)


def due(url: DatabaseUrl) -> str | None:
    """Return a sentence if it is time to optimize, else None."""
    seconds = in_transaction(url, delay)
    if seconds < DUE:
        return None
    return (
        f"Every search takes {seconds * 1000:.0f} ms longer than it should, because of products that were changed or "
        "deleted since the full-text index was built. At a quiet hour, type: python3 server.py optimize"
    )


def left_out(db: Session) -> str | None:
    """Return a sentence if the full-text index lacks a word that products have, else None.

    None, too, if none of the newest products has a word that a server may leave out.
    """
    for row in db.many("products/stop_words")[:1]:
        if not db.one("products/has_word", words=f"+{row['word']}")["found"]:
            return (
                f"The full-text index leaves out words such as {row['word']!r}, and searches for them find nothing: it "
                "was rebuilt (by ALTER TABLE, OPTIMIZE TABLE, or from a dump) with the server's stop words on. Type: "
                "python3 server.py optimize"
            )
    return None


def warning(url: DatabaseUrl, timeout: float, statements: Statements) -> str | None:
    """Return what `left_out` says, asked on a connection of its own; `timeout`: seconds. Raises DatabaseError."""
    with contextlib.closing(connect(url, timeout)) as connection, connection.cursor() as cursor:
        return left_out(Session(cursor, statements))
