"""The kinds of requests that a shop gets, as bytes to send. For costs.py."""

import itertools
import json
import random
import secrets
import uuid
from urllib.parse import quote_plus

from helpers import PASSWORD, SECRET, execute
from mix import KEPT, LINES, LISTS, MIX, PAGES, SORTS

from core.identity.auth import Tokens
from core.identity.passwords import Passwords

FEW = 20  # different ones, which are soon in memory
ACCOUNTS = 1000
COST = 12  # of a password's hash: BCRYPT_COST as shipped
WORDS = (
    "sneakers",
    "wireless",
    "velora",
    "desk+lamp",
    "cream",
    "small",
    "espresso",
    "tent",
    "wool+blanket",
    "red+shoes",
)
PAST = {"Cookie": "a=b"}  # such a request is never answered from memory


class Kinds:
    """Makes the requests of each kind. The database has products; accounts, their logins and carts are added to it."""

    def __init__(self, database, host, seed=1):
        self._database, self._host = database, host
        self._dice = random.Random(seed)
        self._numbers = itertools.count()
        self._products = execute(
            database.owner, "SELECT id, name, price, category_id FROM products WHERE is_active = 1"
        )
        self._shelves = sorted({row["category_id"] for row in self._products})
        self._dice.shuffle(self._products)  # the first are the ones most asked for
        self._tokens = self._log_in_by_hand()
        self._orders = []  # (number, token), not yet paid
        self._paid = []

    def of(self, kind, count):
        """Return so many requests of a kind, and write what they need. Answers of KEPT ones are not from memory."""
        making = getattr(self, "_" + kind.replace(" ", "_").replace(",", ""))
        return [self._bytes(*one) for one in making(count)]

    def popular(self, kind, count):
        """Return requests of one of KEPT as many shoppers send them: the n-th most popular 1/n as often."""
        sent = {"list": self._lists(), "categories": ["/api/categories"]}.get(kind) or [
            f"/api/products/{row['id']}" for row in self._products
        ]
        weights = list(itertools.accumulate(1 / place for place in range(1, len(sent) + 1)))
        return [self._bytes("GET", path) for path in self._dice.choices(sent, cum_weights=weights, k=count)]

    def mixed(self, count):
        """Return so many requests of MIX, in random order; those of one kind stay in their order."""
        made = {
            kind: (self.popular if kind in KEPT else self.of)(kind, share * count // 1000)
            for kind, share in MIX.items()
        }
        turns = [kind for kind, requests in made.items() for _ in requests]
        self._dice.shuffle(turns)
        queues = {kind: iter(requests) for kind, requests in made.items()}
        return [next(queues[kind]) for kind in turns]

    def placed(self):
        """Note the orders that have been placed since: they can be paid, and looked at."""
        tokens = dict(self._tokens)
        rows = execute(
            self._database.owner,
            "SELECT number, user_id FROM orders WHERE payment_status = 'unpaid' AND status = 'placed'",
        )
        self._orders = [(row["number"], tokens[row["user_id"]]) for row in rows if row["user_id"] in tokens]

    def _bytes(self, method, path, headers=(), body=None):
        """Return a request as it travels."""
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Accept-Encoding: gzip"]
        lines += [f"{name}: {value}" for name, value in dict(headers).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    def _lists(self):
        """Return the paths of all lists that shoppers look at: of each category, in each order, the first pages."""
        shown = [f"category_id={id}" for id in self._shelves]
        lists = [
            f"/api/products?{of}{sort}" + (f"&page={page}" if page > 1 else "")
            for page in range(1, PAGES + 1)
            for sort in SORTS
            for of in shown
        ]
        assert len(lists) == LISTS, "mix.py says how many there are"
        return lists

    def _health(self, count):
        return [("GET", "/api/health")] * count

    def _list(self, count):
        return [("GET", path, PAST) for path in self._dice.choices(self._lists(), k=count)]

    def _list_and_its_total(self, count):
        prices = (f"{next(self._numbers) % 10_000_000 / 100 + 10_000:.2f}" for _ in range(count))  # dearer than all
        paths = self._dice.choices(self._lists(), k=count)
        return [("GET", f"{path}&max_price={price}", PAST) for path, price in zip(paths, prices, strict=True)]

    def _list_from_memory(self, count):
        return [("GET", path) for path in itertools.islice(itertools.cycle(self._lists()[:FEW]), count)]

    def _product(self, count):
        return [("GET", f"/api/products/{row['id']}", PAST) for row in self._dice.choices(self._products, k=count)]

    def _product_from_memory(self, count):
        return [
            ("GET", f"/api/products/{row['id']}")
            for row in itertools.islice(itertools.cycle(self._products[:FEW]), count)
        ]

    def _categories(self, count):
        return [("GET", "/api/categories", PAST)] * count

    def _suggestions(self, count):
        names = (row["name"] for row in self._dice.choices(self._products, k=count))
        typed = (name[: self._dice.randint(2, 14)].strip() for name in names)
        return [("GET", f"/api/products/suggest?q={quote_plus(text)}") for text in typed]

    def _search(self, count):
        prices = (
            f"{next(self._numbers) % 100000 / 100 + 0.01:.2f}" for _ in range(count)
        )  # as nobody has asked before
        return [
            ("GET", f"/api/products?search={self._dice.choice(WORDS)}{self._dice.choice(SORTS)}&min_price={price}")
            for price in prices
        ]

    def _cart(self, count):
        return [("GET", "/api/cart", {"Session-ID": name}) for name, _ in self._fill_carts(count)]

    def _add_to_a_cart(self, count):
        carts = self._fill_carts(count)
        bodies = ({"product_id": row["id"], "quantity": 1} for row in self._dice.choices(self._products, k=count))
        return [("POST", "/api/cart/items", {"Session-ID": c[0]}, body) for c, body in zip(carts, bodies, strict=True)]

    def _order(self, count):
        return self._ordered(self._fill_carts(count))

    def _order_of_one_product(self, count):
        return self._ordered(self._fill_carts(count, self._products[:1]))

    def _ordered(self, carts):
        return [
            (
                "POST",
                "/api/orders",
                {**self._bearer(), "Session-ID": name, "Idempotency-Key": str(uuid.uuid4())},
                {"expected_total": float(total)},
            )
            for name, total in carts
        ]

    def _pay(self, count):
        paid, self._orders = self._orders[:count], self._orders[count:]
        self._paid += paid
        return [
            (
                "POST",
                f"/api/orders/{number}/payments",
                {**self._bearer(token), "Idempotency-Key": str(uuid.uuid4())},
                {"provider": "dummy"},
            )
            for number, token in paid
        ]

    def _an_order(self, count):
        shown = self._dice.choices(self._paid or self._orders, k=count)
        return [("GET", f"/api/orders/{number}", self._bearer(token)) for number, token in shown]

    def _account(self, count):
        return [("GET", "/api/users/me", self._bearer()) for _ in range(count)]

    def _log_in(self, count):
        names = [f"buyer{self._dice.randrange(ACCOUNTS)}" for _ in range(count)]
        return [("POST", "/api/users/login", {}, {"username": name, "password": PASSWORD}) for name in names]

    def _bearer(self, token=None):
        return {"Authorization": f"Bearer {token or self._dice.choice(self._tokens)[1]}"}

    def _log_in_by_hand(self):
        """Add accounts with a login each, without the work of so many hashes; return [(the account's id, token)]."""
        owner, hashed = self._database.owner, Passwords(COST, 1).hash(PASSWORD)
        names = [f"buyer{number}" for number in range(ACCOUNTS)]
        insert(owner, "users (username, email, password_hash)", [(n, f"{n}@example.com", hashed) for n in names])
        ids = [row["id"] for row in execute(owner, "SELECT id FROM users WHERE username LIKE 'buyer%%' ORDER BY id")]
        made = Tokens(SECRET, 7 * 86400, 86400)
        tokens = {id: made.new() for id in ids}
        rows = [(hash, id, "2037-01-01", "203.0.113.9") for id, (_, hash) in tokens.items()]
        insert(owner, "sessions (token_hash, user_id, expires_at, address)", rows)
        return [(id, token) for id, (token, _) in tokens.items()]

    def _fill_carts(self, count, products=None):
        """Add carts of LINES products each, or of these; return [(session id, total)]."""
        run = secrets.token_hex(8)
        bought = [products or self._dice.sample(self._products, LINES) for _ in range(count)]
        names = [f"{run}-{number}" for number in range(count)]
        insert(self._database.owner, "carts (session_id, version)", [(name, 1) for name in names])
        rows = [(name, row["id"], 1, row["price"]) for name, some in zip(names, bought, strict=True) for row in some]
        insert(self._database.owner, "cart_items (session_id, product_id, quantity, price_when_added)", rows)
        return [(name, sum(row["price"] for row in some)) for name, some in zip(names, bought, strict=True)]


def insert(url, columns, rows, part=1000):
    """Add rows, some at a time."""
    marks = "(" + ", ".join(["%s"] * len(rows[0])) + ")"
    for start in range(0, len(rows), part):
        some = rows[start : start + part]
        values = [value for row in some for value in row]
        execute(url, f"INSERT INTO {columns} VALUES {', '.join([marks] * len(some))}", values, by_hand=False)
