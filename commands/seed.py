"""Fill the catalogue with believable products; asks before it touches one that has rows."""

import contextlib
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import orjson
from tqdm import tqdm

from commands import seed_catalogue
from core.cli import CommandError, say
from core.db.owner import in_transaction, owner_url
from core.errors import Conflict

HELP = "fill the catalogue with believable products"
MOST = 10_000_000
BATCH = 2_000
TRIES = 5


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--products", type=count, default=500, metavar="N", help="how many products (default 500)")
    parser.add_argument("--yes", action="store_true", help="replace a catalogue that has rows without asking")


def count(text):
    """Parse --products."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise CommandError(f"--products is {text!r}; wanted is a whole number from 1 to {MOST}.", code=2)
    return int(text)


def run(options, config, shop):
    """Fill the catalogue, or leave it as it is."""
    with owner_url(config) as url:
        held = in_transaction(url, lambda db: db.one("seed/counts"))
        if any(held.values()) and not options.yes and not _confirmed(held):
            raise CommandError("Nothing was changed.")
        fill(url, options.products, clear=any(held.values()))
    return 0


def _confirmed(held):
    question = (
        f"The catalogue has {held['products']} products in {held['categories']} categories, and {held['cart_lines']} "
        "lines lie in carts. Remove all of them and fill it anew?"
    )
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is here to answer; if you mean it, type: python3 server.py seed --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def fill(url, products, clear=False):
    """Put `products` products and their categories into an empty catalogue, or in place of what it holds.

    It is one transaction: whatever ends it early (Ctrl-C, a crash) leaves what was there. Where the shop, which may
    serve meanwhile, is in the way, all of it is done again; raises CommandError where that does not help.
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


def _fill(db, products, clear):
    """Replace the catalogue; while the database works on one batch, the next one is made."""
    db.one("imports/lock")
    if clear:
        db.one("seed/lock_products")  # nobody puts one into a cart from here on, so that they can go after the carts
        db.run("seed/clear_import_parts")
        db.run("seed/clear_cart_items")
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
            progress.update(len(batch))


def _batch(rows):
    return list(itertools.islice(rows, BATCH))
