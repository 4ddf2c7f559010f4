"""Fill the catalogue with believable products; asks before it touches one that has rows."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import orjson
from tqdm import tqdm

from commands import catalogue
from commands.embedded import owner_url
from commands.transaction import in_transaction
from core.system import Stop, say

HELP = "fill the catalogue with believable products"
MOST = 10_000_000
BATCH = 2_000
AT_ONCE = 2  # connections that insert: while the database works on one batch, the next one is made


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--products", type=count, default=500, metavar="N", help="how many products (default 500)")
    parser.add_argument("--yes", action="store_true", help="replace a catalogue that has rows without asking")


def count(text):
    """Parse --products."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise Stop(f"--products is {text!r}; wanted is a whole number from 1 to {MOST}.", code=2)
    return int(text)


def run(options, config, shop):
    """Fill the catalogue, or leave it as it is."""
    with owner_url(config) as url:
        held = in_transaction(url, lambda db: db.one("seed/counts"))
        if any(held.values()) and not options.yes and not _confirmed(held):
            raise Stop("Nothing was changed.")
        fill(url, options.products, clear=any(held.values()))
    return 0


def _confirmed(held):
    question = (
        f"The catalogue has {held['products']} products in {held['categories']} categories, and {held['cart_lines']} "
        "lines lie in carts. Remove all of them and fill it anew?"
    )
    if not sys.stdin.isatty():
        raise Stop(f"{question} Nobody is here to answer; if you mean it, type: python3 server.py seed --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def fill(url, products, clear=False):
    """Put `products` products and their categories into an empty catalogue, or in place of what it holds."""
    say(f"Filling the catalogue with {products} products.")
    in_transaction(url, lambda db: _begin(db, clear))
    rows = catalogue.products(products)
    batches = iter(lambda: list(itertools.islice(rows, BATCH)), [])
    with (
        ThreadPoolExecutor(AT_ONCE) as pool,
        tqdm(total=products, unit=" products", disable=None, leave=False) as progress,
    ):
        waiting = []
        for batch in batches:
            text = orjson.dumps(batch).decode()
            waiting.append((len(batch), pool.submit(in_transaction, url, _adding(text))))
            if len(waiting) > AT_ONCE:
                _finish(waiting.pop(0), progress)
        for job in waiting:
            _finish(job, progress)
    say(f"The catalogue has {products} products in {len(catalogue.KINDS)} categories.")


def _finish(job, progress):
    size, future = job
    future.result()
    progress.update(size)


def _adding(text):
    return lambda db: db.run("seed/add_products", rows=text)


def _begin(db, clear):
    if clear:
        for statement in ("seed/clear_cart_items", "seed/clear_products", "seed/clear_categories"):
            db.run(statement)
    db.run("seed/add_categories", rows=orjson.dumps(catalogue.categories()).decode())
