"""Fill the catalogue with believable products, and add orders; asks before it touches a catalogue that has rows."""

import contextlib
import functools
import itertools
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from tqdm import tqdm

from commands import seed_catalogue, seed_orders
from core.cli import CommandError, confirm, say
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.owner import in_transaction, owner_url
from core.db.session import Row, Session
from core.errors import Conflict

HELP = "fill the catalogue with believable products, or add orders"
PRODUCTS = 500
MOST = 10_000_000
BATCH = 2_000
TRIES = 5
PARTS = ("seed/add_orders", "seed/add_order_items", "seed/add_order_history", "seed/add_payments", "seed/add_refunds")


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    products = f"how many products (default {PRODUCTS}; with --orders: the catalogue stays as it is)"
    parser.add_argument("--products", type=count, metavar="N", help=products)
    orders = functools.partial(count, option="--orders")
    parser.add_argument("--orders", type=orders, metavar="N", help="add so many orders of the last two years")
    parser.add_argument("--yes", action="store_true", help="replace a catalogue that has rows without asking")


def count(text: str, option: str = "--products") -> int:
    """Parse --products and --orders."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise CommandError(f"{option} is {text!r}; wanted is a whole number from 1 to {MOST}.", code=2)
    return int(text)


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Fill the catalogue, or leave it as it is; add orders."""
    with owner_url(config) as url:
        if options.products or not options.orders:
            found = in_transaction(url, counts)
            filled = any(found[name] for name in ("products", "categories", "cart_lines"))
            if filled and not options.yes:
                confirm(
                    f"The catalogue has {found['products']} products in {found['categories']} categories, and carts "
                    f"have {found['cart_lines']} lines. Remove all of them and fill it anew?",
                    "seed --yes",
                )
            fill(url, options.products or PRODUCTS, clear=filled)
        if options.orders:
            add_orders(url, options.orders, config.shop.currency)
    return 0


def counts(db: Session) -> Row:
    """Return how many products, categories, lines of carts (`cart_lines`) and orders there are."""
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
    fill_zones(lambda step: in_transaction(url, step))
    say(f"The catalogue has {products} products in {len(seed_catalogue.KINDS)} categories.")


def fill_zones(transaction: Callable[[Callable[[Session], bool]], bool]) -> None:
    """Add the zones of products that have none yet: of all after a migration or `seed`, and else of few or none.

    `transaction` runs a step in one of its own.
    """

    def step(db: Session) -> bool:
        until = db.one("products/lock_zones_until")["product_id"]
        ids = [row["id"] for row in db.many("products/next_ids", after_id=until, limit=BATCH)]
        if ids:
            db.run("products/add_name_zones", ids=orjson.dumps(ids).decode())
            db.run("products/add_zones", ids=orjson.dumps(ids).decode())
        db.run("products/note_zones_until", product_id=max(ids, default=until), complete=len(ids) < BATCH)
        return len(ids) == BATCH

    while transaction(step):
        pass


def add_orders(url: DatabaseUrl, count: int, currency: str) -> None:
    """Add so many orders to those that there are, each batch in a transaction of its own; Ctrl-C leaves those it added.

    Nothing is taken out of the stock for them. Raises CommandError where there are no products.
    """
    products = in_transaction(url, lambda db: db.many("seed/goods", limit=BATCH))
    if len(products) < seed_orders.MOST_LINES:
        raise CommandError("There is too little to be ordered. First type: python3 server.py seed")
    accounts = in_transaction(url, lambda db: db.many("seed/buyers", limit=100))
    first = in_transaction(url, lambda db: db.one("seed/next_order")["id"])
    maker = seed_orders.Maker(first, count, products, accounts, currency)
    with tqdm(total=count, unit=" orders", disable=None, leave=False) as progress:
        for batch in maker.batches(BATCH):
            in_transaction(url, functools.partial(_add_orders, batch=batch))
            progress.update(len(batch.orders))
    say(f"Added {count} orders.")


def _add_orders(db: Session, batch: seed_orders.Batch) -> None:
    for rows, name in zip(batch, PARTS, strict=True):
        db.run(name, rows=orjson.dumps(rows).decode())


def _fill(db: Session, products: int, clear: bool) -> None:
    """Replace the catalogue. A thread makes the next batch while the database works on this one."""
    db.one("imports/lock")
    if clear:
        db.one("seed/lock_products")  # from here on none is put into a cart: they can go after the carts
        db.run("seed/clear_import_parts")
        db.run("seed/clear_cart_items")
        db.run("seed/clear_words")
        db.run("seed/clear_known_words")
        db.run("seed/clear_zones")
        db.run("seed/clear_products")
        db.run("seed/clear_categories")
    db.run("seed/clear_zones_until")
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
