"""The rows that `check --compare` adds before it runs a sample, so that samples see something; they are rolled back.

They stand where an edit is seen: at the edges of every order, in pairs that only their ids tell apart, exactly at the
bounds that samples name, withdrawn and on sale, in stock and sold out, in each state, due and not due, of today and of
long ago. The shop's own statements add them. So a comparison also says something in a shop that is nearly empty.
"""

import datetime
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import orjson

from core.db.session import Session

DAY = 86400  # seconds
HALF_AN_HOUR = 1800
LONG_AGO = 400 * DAY
FIRST = 30 * 365 * DAY  # before any shop
PRODUCTS = (  # age in seconds, name, price: what sorts first, what is at the bounds of samples, what sorts last
    (FIRST, "! Lamp Desk", "0.11"),
    (LONG_AGO, "Arc Wireless Lamp", "20.00"),
    (LONG_AGO, "Small Desk Case", "80.00"),
    (0, "zzz Small Lamp Sneakers", "99999999.99"),
)
TEXT = "A small case with lamps. It comes in audio colours."
CART = "zzzz-sample"
TOKEN = "f" * 62
NOT_A_HASH = "*"


class Scene:
    """Adds the rows through `db`, whose transaction has begun; `at(age)` lets it be so many seconds ago."""

    def __init__(self, db: Session, at: Callable[[float], datetime.datetime]) -> None:
        self.db = db
        self.at = at

    def play(self) -> None:
        """Add all rows. Raises DatabaseError where the shop has such a row, or another schema."""
        self.accounts()
        self.catalogue()
        self.carts()
        self.orders()
        self.messages()
        self.others()
        self.at(0)

    def accounts(self) -> None:
        """Add accounts; the last one has sessions and tokens for a new password that are in use, unused and over."""
        db = self.db
        self.at(LONG_AGO)
        names = ("xxx_sample", "yyy_sample", "zzz_sample")
        first, *self.users = [
            db.add("users/add", username=name, email=f"{name}@example.com", password_hash=NOT_A_HASH) for name in names
        ]
        db.run("cart/add_own", session_id="zzzv-own", user_id=first)
        ages = (0, LONG_AGO, 30 * DAY, DAY, HALF_AN_HOUR, 60, 0)  # those between are what samples give as a time
        for number, (age, user) in enumerate(itertools.product(ages, self.users)):
            self.at(age)
            token = f"{TOKEN}{number:02}"
            person = {
                "user_id": user,
                "email": f"{names[1:][self.users.index(user)]}@example.com",
                "verified": NOT_A_HASH,
            }
            ttl = 60 * DAY if number > 1 else 0  # the first end at this very moment
            db.run("sessions/add", token_hash=token, ttl=ttl, address="203.0.113.9", **person)
            if number == 8:  # between others: a session that is in use, with the first token, of the first account
                whose = {"user_id": first, "email": f"{names[0]}@example.com", "verified": NOT_A_HASH}
                db.run("sessions/add", token_hash="0" * 64, ttl=60 * DAY, address="203.0.113.9", **whose)
            message = {"message_id": f"msg_sample_{number}", "user_id": user, "token_hash": token}
            db.run("password_resets/add", ttl=HALF_AN_HOUR, most=9, **message)

    def catalogue(self) -> None:
        """Add categories, and products of each kind in each of them, with their words."""
        db = self.db
        listed = db.many("categories/list")
        self.categories = [
            db.add("categories/add", name=name, description=None) for name in ("! Audio", "zzz Kitchen", "zzz None")
        ]
        first = min([row["id"] for row in listed], default=None)
        places = [category for category in (first, *self.categories[:2]) if category] + [None]
        self.products: list[int] = []
        for (age, name, price), category, stock, active in itertools.product(PRODUCTS, places, (0, 5), (1, 0)):
            self.at(age)
            row = {"name": name, "price": price, "category_id": category, "stock_quantity": stock, "is_active": active}
            self.products.append(db.add("products/add", description=TEXT, image_url=None, **row))
        ids = orjson.dumps(self.products).decode()
        for note in ("products/add_words", "products/add_known_words", "products/add_name_zones", "products/add_zones"):
            db.run(note, ids=ids)
        new = {"description": TEXT, "image_url": None, "category_id": self.categories[0], "stock_quantity": 5}
        for active in (0, 1):  # their words are not noted
            id = db.add(
                "products/add", name=f"Qux{active} Zyx{active} Zyx{active} --", price="50.00", is_active=active, **new
            )
        db.run("products/note_zones_until", product_id=id, complete=1)

    def carts(self) -> None:
        """Add carts of guests and of an account, with lines of what can be had, and of what cannot any more."""
        db = self.db
        db.run("cart/add_own", session_id="zzzz-own", user_id=self.users[-1])
        carts = ((LONG_AGO, "zzzw-sample"), (30 * DAY, "zzzx-sample"), (0, "zzzy-sample"), (0, CART))
        for age, cart in carts:  # what sorts last, as samples ask for MAX(session_id)
            self.at(age)
            db.add("cart/lock", session_id=cart, user_id=None)
            chosen = [self.products[n] for n in (2, 3, 4, 10)]  # can be had, is withdrawn, is sold out, can be had
            pieces = (4, 3, 2, 5) if cart == CART else (1, 1, 1, 1)  # 5 is all that there is
            lines = [
                {"product_id": id, "quantity": count, "price": "19.90"}
                for id, count in zip(chosen, pieces, strict=True)
            ]
            db.run("cart/set_many", session_id=cart, lines=orjson.dumps(lines).decode())

    def orders(self) -> None:
        """Add orders of a guest and of an account in each state, with lines, history, payments and refunds."""
        db = self.db
        cases = [
            (status, payment, user)
            for status in ("canceled", "fulfilled", "placed")
            for payment in ("unpaid", "pending", "paid", "partly_refunded", "refunded")
            for user in (None, self.users[-1])
        ]
        self.order_ids: list[int] = []
        self._order("ZZZZZ-ZZZZZ", None, self.at(0))
        for n, (status, payment, user) in enumerate(cases):
            moment = self.at((LONG_AGO, HALF_AN_HOUR, 60)[n % 3])
            order = self._order(f"ZZZZZ-ZZZ{n:02}", user, moment)
            db.run("orders/add_items", number=f"ZZZZZ-ZZZ{n:02}", session_id=CART)
            first, second = (line["product_id"] for line in db.many("orders/items", id=order)[:2])
            back = [{"product_id": first, "quantity": 1}, {"product_id": second, "quantity": 3}]  # in part, and all
            db.run("orders/note_restocked", id=order, lines=orjson.dumps(back).decode())
            money = {"paid": "0.00" if payment in ("unpaid", "pending") else "100.00"}
            money["refunded"] = {"partly_refunded": "40.00", "refunded": "100.00"}.get(payment, "0.00")
            over = moment + datetime.timedelta(seconds=HALF_AN_HOUR) if status == "placed" else None
            db.run("orders/update_payment", id=order, payment_status=payment, expires_at=over, **money)
            for what in ("paid", "refunded"):
                db.run("orders/add_history", id=order, what=what, by_whom="admin", amount=money[what])
            self._pay(order, n)
            if status == "canceled":
                db.run("orders/cancel", id=order)
            elif status == "fulfilled":
                db.run("orders/fulfil", id=order, tracking="1Z 999")

    def _order(self, number: str, user: int | None, moment: datetime.datetime) -> int:
        order = self.db.add(
            "orders/add", number=number, user_id=user, token_hash=None if user else f"{TOKEN}00", currency="EUR",
            total="100.00", item_count=3, email="ada@example.com" if user else "eve@example.com", shipping_address="{}",
            note="Ring twice.", placed_at=moment, expires_at=moment + datetime.timedelta(seconds=HALF_AN_HOUR),
        )  # fmt: skip
        self.order_ids.append(order)
        return order

    def _pay(self, order: int, n: int) -> None:
        db = self.db
        row = {"order_id": order, "currency": "EUR", "delay": 60 * (n % 2)}
        for part in range(2):
            payment = db.add("payments/add", provider="dummy", amount="100.00", fields="{}", **row)
            status = ("captured", "declined") if n % 2 else ("declined", "pending")
            given = {
                "reference": f"zzz_{n:02}_{part}",
                "next_action": None,
                "attempts": 1,
                "delay": 0 if n % 4 else None,
            }
            db.run("payments/update", id=payment, status=status[part], **given)
            db.add("refunds/add", payment_id=payment, reason="requested", amount="5.00", **row)

    def messages(self) -> None:
        """Add webhooks, and messages for them and by mail: waiting, due and not due, delivered, given up."""
        db = self.db
        topics = '["order.paid", "product.changed"]'
        url = "https://erp.example/hooks"
        hooks = [db.add("webhooks/add", url=url, topics=topics, salt=bytes(range(16))) for _ in range(3)]
        db.run("webhooks/update", id=hooks[0], url=url, topics=topics, is_active=0)
        states = itertools.product((LONG_AGO, 7 * DAY, 0), ("waiting", "dead", "delivered", "later", "tried"), range(2))
        for n, (age, state, _) in enumerate(states):
            self.at(age)
            receivers = [
                "mail ada@example.com",
                "reset ada@example.com",
                "mail zzz@example.com",
                f"webhook {hooks[-1]}",
            ]
            rows: list[list[str | None]] = []
            rows += [[f"msg_zzz_{n}_{m}", receiver, "order_placed", "{}"] for m, receiver in enumerate(receivers)]
            rows.append([f"msg_zzz_{n}", None, "order.paid", "{}"])
            db.run("outbox/add", messages=orjson.dumps(rows).decode())
            waiting = db.many(
                "outbox/list", state="waiting", topic=None, receiver=None, after=None, limit=len(rows) + 1
            )
            for row in waiting if state != "waiting" else ():
                db.run("outbox/claim", id=row["id"], lease=0 if state == "tried" else 90)
                if state == "delivered":
                    db.run("outbox/deliver", id=row["id"])
                elif state == "dead":
                    db.run("outbox/fail", id=row["id"], attempt=1, error="There is no such mailbox.")

    def others(self) -> None:
        """Add entries of the audit trail, parts of an import, and keys of requests."""
        db = self.db
        who: dict[str, Any] = {"user_id": self.users[-1], "user_name": "zzz_sample"}
        kinds = (("product", self.products), ("category", self.categories), ("order", self.order_ids))
        rows = [
            [kind, id, action, "{}", "{}"] for kind, ids in kinds for action in ("create", "update") for id in ids[-3:]
        ]
        for age in (LONG_AGO, 0):
            self.at(age)
            db.run("audit/add", rows=orjson.dumps(rows).decode(), **who)
            db.add("imports/add", document='[{"id": 1, "price": "19.90"}]', **who)
            for text in ("sample", "another"):
                key = hashlib.sha256(f"{text} of {age}".encode() if age else text.encode()).digest()
                db.run("idempotency_keys/add", id=key, fingerprint=key)
                db.run("idempotency_keys/store", id=key, answer=b"answer")
            key = hashlib.sha256(f"under way since {age}".encode()).digest()
            db.run("idempotency_keys/add", id=key, fingerprint=key)
