"""Sell pieces of products until there are none, from many threads; print what was promised as a line of JSON.

    python3 -m tests.cluster.sellers URL --products 1,2,3 --threads 8            # as the shop does it
    python3 -m tests.cluster.sellers URL --products 1,2,3 --read-then-write      # as it must not be done

As the shop does it: in the shop's own transaction, with its choice of the server and its rules of repeating, by the
shop's statement, up to four products in one. `acknowledged`: pieces whose COMMIT was confirmed; `uncertain`: those of
which the shop would say that they may have been stored; `refused`: transactions that failed.
"""

import argparse
import contextlib
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from core.database_url import DatabaseUrl, parse
from core.db import drivers
from core.db.database import Database
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.setup.system import ROOT

AT_ONCE = 4  # products of a transaction
LARGEST = 2**31 - 1
UNCONFIRMED = "The database did not confirm"  # the shop's word where COMMIT was not answered
PAUSE = 0.05  # seconds after a refusal


class Sellers:
    """`sell(seed)` sells in this thread, until nothing is left."""

    def __init__(self, url: DatabaseUrl, products: list[int]) -> None:
        self.products = products
        self.acknowledged = self.uncertain = self.refused = 0
        self.lock = threading.Lock()
        self.database = Database(url, Statements(ROOT / "sql"), timeout=2, report=lambda *_: None)

    def sell(self, seed: int) -> None:
        """Take a piece of each of some products; leave out those that are sold out."""
        dice, left = random.Random(seed), set(self.products)
        taken: list[int] = []

        def take(db):
            taken.clear()  # it runs again after a deadlock
            for product in sorted(dice.sample(sorted(left), min(AT_ONCE, len(left)))):
                if db.run("products/change_stock", id=product, change=-1, largest=LARGEST):
                    taken.append(product)
                else:
                    left.discard(product)

        while left:
            try:
                self.database.transaction(take)
                self.note(acknowledged=len(taken))
            except ServiceUnavailable as refusal:
                unsure = refusal.message.startswith(UNCONFIRMED)
                self.note(uncertain=len(taken) if unsure else 0, refused=1)
                time.sleep(PAUSE)

    def note(self, acknowledged: int = 0, uncertain: int = 0, refused: int = 0) -> None:
        """Count."""
        with self.lock:
            self.acknowledged += acknowledged
            self.uncertain += uncertain
            self.refused += refused


class Careless(Sellers):
    """They read the stock, and write what they think that it is now: on this server, whichever it is."""

    def __init__(self, url: DatabaseUrl, products: list[int]) -> None:
        super().__init__(url, products)
        self.url = url

    def sell(self, seed: int) -> None:
        """Take a piece of a product."""
        dice, left = random.Random(seed), set(self.products)
        with contextlib.closing(drivers.connect(self.url, 20)) as connection, connection.cursor() as cursor:
            while left:
                product = dice.choice(sorted(left))
                try:
                    connection.begin()
                    cursor.execute("SELECT stock_quantity AS n FROM products WHERE id = %s", [product])
                    there = cursor.fetchone()["n"]
                    if there:
                        cursor.execute("UPDATE products SET stock_quantity = %s WHERE id = %s", [there - 1, product])
                    else:
                        left.discard(product)
                    connection.commit()
                    self.note(acknowledged=min(1, there))
                except drivers.DatabaseError:  # 1213: another node was first, so it is surely undone
                    connection.rollback()
                    self.note(refused=1)


def main() -> None:
    """Sell, and print what was promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--products", type=lambda text: list(map(int, text.split(","))), required=True)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--read-then-write", action="store_true")
    options = parser.parse_args()
    sellers = (Careless if options.read_then_write else Sellers)(parse(options.url), options.products)
    with ThreadPoolExecutor(options.threads) as pool:
        list(pool.map(sellers.sell, range(options.seed * 1000, options.seed * 1000 + options.threads)))
    names = ("acknowledged", "uncertain", "refused")
    print(json.dumps({name: getattr(sellers, name) for name in names}))


if __name__ == "__main__":
    main()
