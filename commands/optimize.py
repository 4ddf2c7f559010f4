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
import sys
import time

from core.cli import CommandError, say
from core.db.database import Session
from core.db.drivers import connect
from core.db.migrations import ALL_WORDS, LONGEST_STATEMENT
from core.db.owner import in_transaction, owner_url

HELP = "make the index of words anew: after very many changes, or where it leaves words out"
REBUILD = "ALTER TABLE products FORCE"  # whole: not before it is done do searches use the new one
PER_PRODUCT = 300e-6  # seconds; on 2 busy cores a million took MariaDB 100 s, and 20,000 took MySQL 6
NOBODYS = "+qzxjvkwqzxjvkw"  # a word that no product has
DUE = 0.02  # seconds that every search takes longer


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--yes", action="store_true", help="begin without asking")


def run(options, config, shop):
    """Say how long it takes and whom it holds up; do it, and say what it brought."""
    with owner_url(config) as url:
        products, before = in_transaction(url, lambda db: (db.one("seed/counts")["products"], delay(db)))
        seconds = max(1, round(products * PER_PRODUCT))
        told = (
            f"Making the table and the index of words of {products} products anew takes up to {seconds} s on 2 cores. "
            "Meanwhile products can be read, searched and put into carts; changes of products get a 503 after "
            "DATABASE_TIMEOUT. It takes as much room on the disk again as the table does."
        )
        if not options.yes and not _confirmed(told):
            raise CommandError("Nothing was changed.")
        began = time.monotonic()
        rebuild(url)
        after = in_transaction(url, delay)
    say(
        f"The index of words is new, after {time.monotonic() - began:.1f} s. A search for a word that no product has "
        f"took {before * 1000:.1f} ms, and takes {after * 1000:.1f} ms."
    )
    return 0


def _confirmed(told):
    if not sys.stdin.isatty():
        raise CommandError(f"{told} Nobody is here to answer; if you mean it: python3 server.py optimize --yes")
    return input(f"{told} Go on? [y/N] ").strip().lower() in ("y", "yes")


def rebuild(url):
    """Make the table and its index anew, in one step; with all words, whatever the server leaves out."""
    with (
        contextlib.closing(connect(url, 10, statement_timeout=LONGEST_STATEMENT)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(ALL_WORDS)
        cursor.execute(REBUILD)


def delay(db):
    """Return the seconds that every search takes at least: what finding nothing takes, the least of three tries."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        db.one("products/has_word", words=NOBODYS)
        times.append(time.perf_counter() - began)
    return min(times)


def due(url):
    """Return the sentence that says that it is time to optimize, or None."""
    seconds = in_transaction(url, delay)
    if seconds < DUE:
        return None
    return (
        f"Every search takes {seconds * 1000:.0f} ms longer than it should, for what was changed or deleted since the "
        "index of words was made. At a quiet hour, type: python3 server.py optimize"
    )


def left_out(db):
    """Return the sentence on a word that products have and the index of words has not, or None.

    Nothing can be said where none of the newest products has a word that a server may leave out.
    """
    for row in db.many("products/stop_words")[:1]:
        if not db.one("products/has_word", words=f"+{row['word']}")["found"]:
            return (
                f"The index of words leaves out words such as {row['word']!r}, and searches for them find nothing: it "
                "was made anew (by ALTER TABLE, OPTIMIZE TABLE, or from a dump) with the server's stop words on. Type: "
                "python3 server.py optimize"
            )
    return None


def warning(url, timeout, statements):
    """Return what `left_out` says, asked on a connection of its own; `timeout`: seconds. Raises DatabaseError."""
    with contextlib.closing(connect(url, timeout)) as connection, connection.cursor() as cursor:
        return left_out(Session(cursor, statements))
