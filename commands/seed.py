"""Fill the catalogue with believable products; asks before it touches one that has rows."""

import contextlib
import itertools
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from tqdm import tqdm

from commands import seed_catalogue
from core.cli import CommandError, confirm, say
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.owner import in_transaction, owner_url
from core.db.session import Row, Session
from core.errors import Conflict

HELP = "fill the catalogue with believable products"
MOST = 10_000_000
BATCH = 2_000
TRIES = 5


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--products", type=count, default=500, metavar="N", help="how many products (default 500)")
    parser.add_argument("--yes", action="store_true", help="replace a catalogue that has rows without asking")


def count(text: str) -> int:
    """Parse --products."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise CommandError(f"--products is {text!r}; wanted is a whole number from 1 to {MOST}.", code=2)
    return int(text)


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Fill the catalogue, or leave it as it is."""
    with owner_url(config) as url:
        found = in_transaction(url, counts)
        filled = any(found.values())
        if filled and not options.yes:
            confirm(
                f"The catalogue has {found['products']} products in {found['categories']} categories, and carts have "
                f"{found['cart_lines']} lines. Remove all of them and fill it anew?",
                "seed --yes",
            )
        fill(url, options.products, clear=filled)
    return 0


def counts(db: Session) -> Row:
    """Return how many products, categories and lines of carts (`cart_lines`) there are."""
    return db.one("seed/counts")


def fill(url: DatabaseUrl, products: int, clear: bool = False) -> None:
    """Put so many products and their categories into an empty catalogue; with `clear`, replace the catalogue.

    It is one transaction: if it ends early (Ctrl-C, a crash), the old catalogue stays. The shop may serve meanwhile;
    after a conflict with it all is done again, TRIES times at most. Then it raises CommandError.
    """
    say(f"Filling the catalogue with {products} products. Until it is done, it stays as it is; Ctrl-C leaves it so.")
    for _ in range(TRIES):
        with contextlib.suppress(Conflict):
            in_transaction(url, lambda db: _fill(db, products, clear))
            break
    else:
        raise CommandError(
            "The catalogue was changed by others again and again. Nothing was changed here; try again later."
        )
    say(f"The catalogue has {products} products in {len(seed_catalogue.KINDS)} categories.")


def _fill(db: Session, products: int, clear: bool) -> None:
    """Replace the catalogue. A thread makes the next batch while the database works on this one."""
    db.one("imports/lock")
    if clear:
        db.one("seed/lock_products")  # from here on none is put into a cart: they can go after the carts
        db.run("seed/clear_import_parts")
        db.run("seed/clear_cart_items")
        db.run("seed/clear_words")
        db.run("seed/clear_known_words")
        db.run("seed/clear_products")
        db.run("seed/clear_categories")
    db.run("seed/add_categories", rows=orjson.dumps(seed_catalogue.categories()).decode())
    rows = seed_catalogue.products(products)
    with (
        ThreadPoolExecutor(1) as maker,
        tqdm(total=products, unit=" products", disable=None, leave=False) as progress,
    ):
        coming = maker.submit(_batch, rows)
        while batch := coming.result():
            coming = maker.submit(_batch, rows)
            db.run("seed/add_products", rows=orjson.dumps(batch).decode())
            ids = orjson.dumps([row[0] for row in batch]).decode()
            db.run("products/add_words", ids=ids)
            db.run("products/add_known_words", ids=ids)
            progress.update(len(batch))


def _batch(rows: Iterator[list[Any]]) -> list[list[Any]]:
    return list(itertools.islice(rows, BATCH))
