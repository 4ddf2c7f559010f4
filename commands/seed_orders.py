"""The orders of `seed --orders`: believable ones of the last two years.

Of a hundred orders 82 are fulfilled, 10 were never paid and have expired, 3 were paid back, and 5 are open. One of a
hundred is the first account's, one the second's, up to a hundred accounts; guests have the others.
"""

import datetime
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from core.db.session import Row

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of the numbers of orders: Crockford's base 32
DAYS = 730
HOLD = datetime.timedelta(days=14)  # until an open order expires, from now
MOST_LINES = 4
STREETS = ("Harbour Street", "Mill Lane", "Station Road", "Rue du Port", "Lindenallee", "Via Garibaldi")
PAID, EXPIRED = ("paid", "provider"), ("expired", "shop")
FULFILLED, CANCELED, REFUNDED = ("fulfilled", "admin"), ("canceled", "customer"), ("refunded", "admin")
CASES = (  # how many of a hundred; status, payment_status, the part of the total that was paid back, and the history
    (80, "fulfilled", "paid", Decimal(0), (PAID, FULFILLED)),
    (2, "fulfilled", "partly_refunded", Decimal("0.5"), (PAID, FULFILLED, REFUNDED)),
    (10, "canceled", "unpaid", Decimal(0), (EXPIRED,)),
    (3, "canceled", "refunded", Decimal(1), (PAID, CANCELED, REFUNDED)),
    (3, "placed", "paid", Decimal(0), (PAID,)),
    (1, "placed", "pending", Decimal(0), ()),
    (1, "placed", "unpaid", Decimal(0), ()),
)


class Batch(NamedTuple):
    """Rows of five tables, as the statements sql/seed/add_orders.sql and its neighbours take them."""

    orders: list[list[Any]]
    items: list[list[Any]]
    history: list[list[Any]]
    payments: list[list[Any]]
    refunds: list[list[Any]]


class Maker:
    """Makes `count` orders; the same `seed` makes the same.

    `products`: what is bought (id, name, price), at least MOST_LINES. `accounts`: who buys it (id, email).
    """

    def __init__(self, seed: int, count: int, products: list[Row], accounts: list[Row], currency: str) -> None:
        self._count = count
        self._products = products
        self._accounts = accounts
        self._currency = currency
        self._chance = random.Random(seed)  # noqa: S311 - nothing secret
        self._now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the rows of all orders, the oldest first; `size`: how many orders a batch has."""
        for start in range(0, self._count, size):
            batch = Batch([], [], [], [], [])
            for place in range(start, min(start + size, self._count)):
                self._add(batch, (self._count - place) / self._count)
            yield batch

    def _add(self, batch: Batch, age: float) -> None:
        """Add an order; `age`: 1 for the oldest, near 0 for the newest."""
        chance = self._chance
        _, status, payment_status, part, history = chance.choices(CASES, [share for share, *_ in CASES])[0]
        waits = status == "placed" and payment_status != "paid"
        days = age * (1 if waits else DAYS)
        placed = str(self._now - datetime.timedelta(seconds=int(days * 86400)))
        letters = "".join(chance.choices(ALPHABET, k=10))
        number = f"{letters[:5]}-{letters[5:]}"
        bought = [(row, chance.randint(1, 3)) for row in chance.sample(self._products, chance.randint(1, MOST_LINES))]
        total = sum((row["price"] * quantity for row, quantity in bought), Decimal(0))
        paid = total if PAID in history else Decimal(0)
        refunded = (total * part).quantize(Decimal("0.01"))
        place, guest = chance.randrange(100), chance.randrange(max(1, self._count // 3))
        account = self._accounts[place] if place < len(self._accounts) else None
        street = f"{guest % 90 + 1} {chance.choice(STREETS)}"
        address = {"name": f"Guest {guest}", "line1": street, "city": "Porto", "country": "PT"}
        batch.orders.append(
            [
                number,
                account and account["id"],
                None if account else f"{chance.getrandbits(256):064x}",
                status,
                payment_status,
                self._currency,
                str(total),
                str(paid),
                str(refunded),
                sum(quantity for _, quantity in bought),
                account["email"] if account else f"guest_{guest}@example.com",
                json.dumps(address),
                placed,
                str(self._now + HOLD) if waits else None,
            ]
        )
        batch.items.extend([number, row["id"], row["name"], str(row["price"]), quantity] for row, quantity in bought)
        amounts = {"paid": str(paid), "refunded": str(refunded)}
        batch.history.extend([number, what, by, placed, amounts.get(what)] for what, by in history)
        if paid or payment_status == "pending":
            batch.payments.append([number, "captured" if paid else "pending", str(total), self._currency, placed])
        if refunded:
            reason = "canceled" if status == "canceled" else "requested"
            batch.refunds.append([number, reason, str(refunded), self._currency, placed])
