"""Shoppers who write down all that they were promised, and a comparison with the database afterwards.

    with shopping(shop.url, products, rate=200) as load:   # a process of its own
        …                                                  # break something
    load.audit(sql)                    # nothing acknowledged lost, nothing twice, each failure a 503 as promised
    load.took("list", since=began)     # seconds of each request

A visit lists, looks, and sometimes (`buys`, a share) adds to a cart, orders, pays and looks at the order. Orders,
payments and half of the adds have an Idempotency-Key: a shopper repeats them until they are answered. The other adds
may have happened where no answer came. By hand: python3 tests/faults/load.py URL --products 1,2,3 --rate 100
"""

import argparse
import collections
import contextlib
import dataclasses
import gc
import http.client
import itertools
import json
import os
import pathlib
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LONG_FORM = os.environ.get("FAULTS") == "long"
STOCK = 1_000_000  # pieces of each product, to begin with
PATIENCE = 30  # seconds for which a shopper repeats what has a key
BETWEEN = 0.1  # seconds between two tries
PATIENT = {"QUEUE_TIMEOUT": "10"}  # of a shop that must refuse nobody, though its machine may stand still for a second
CONSERVED = """
    SELECT p.id, p.stock_quantity + COALESCE(SUM(i.quantity - i.restocked), 0) AS pieces
    FROM products AS p LEFT JOIN order_items AS i ON i.product_id = p.id
    GROUP BY p.id, p.stock_quantity
"""


class Asked(NamedTuple):
    """A request: its kind, when it began (monotonic), how long it took, and the answer; status 0: none came."""

    kind: str
    at: float
    seconds: float
    status: int
    code: str | None  # of a failure, or what broke the connection
    wrong: str | None  # what is wrong with the form of a failure
    certain: bool = True  # whether this shopper knows what the cart holds


class Visit(NamedTuple):
    """What a shopper knows of a purchase. `added`: (product, quantity, whether it is certain)."""

    buyer: str
    added: list
    ordered: str  # "yes", "no", or "perhaps"
    number: str | None
    total: str | None
    paid: str


def wrong_form(status: int, headers: Any, body: bytes) -> str | None:
    """Return what is wrong with an answer that says no: it has the envelope, a 503 and 429 Retry-After too."""
    try:
        told = json.loads(body)
        error = told["error"]
        if told["success"] is not False or not isinstance(error["details"], dict) or not error["message"]:
            return f"the envelope is another one: {body[:200]!r}"
        if not isinstance(error["code"], str):
            return f"there is no code: {body[:200]!r}"
    except (ValueError, KeyError, TypeError):
        return f"it is no envelope: {body[:200]!r}"
    if status in (429, 503) and not (headers.get("Retry-After") or "").isdigit():
        return "there is no Retry-After"
    return None if headers.get("X-Request-ID") else "there is no X-Request-ID"


class Pace:
    """Lets requests begin at a rate, for all threads together; None: at once. What was missed is not made up for."""

    def __init__(self, rate: float | None) -> None:
        self._between = 1 / rate if rate else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the next turn."""
        with self._lock:
            self._next = turn = max(self._next + self._between, time.monotonic() - 0.05)
        time.sleep(max(0.0, turn - time.monotonic()))


class Shopper:
    """One client, on one connection."""

    def __init__(self, options, seed: int, pace: Pace, over: threading.Event, write) -> None:
        self.options, self.pace, self.over, self.write = options, pace, over, write
        self.dice = random.Random(f"{options.seed} {seed}")
        self.name = f"{options.run}-{seed}"
        address = urlsplit(options.url)
        if address.scheme == "https":
            tls = ssl.create_default_context(cafile=options.ca)
            self.connection = http.client.HTTPSConnection(
                address.hostname, address.port, timeout=options.timeout, context=tls
            )
        else:
            self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=options.timeout)

    def shop(self) -> None:
        """Make visits until it is over."""
        for number in itertools.count():
            if self.over.is_set():
                break
            self.visit(f"{self.name}-{number}")
        self.connection.close()

    def visit(self, buyer: str) -> None:
        """Look, and perhaps buy."""
        product = self.dice.choice(self.options.products)
        self.ask("list", "GET", f"/api/products?per_page=10&page={self.dice.randint(1, 3)}")
        self.ask("product", "GET", f"/api/products/{product}")
        self.ask("categories", "GET", "/api/categories")
        if self.dice.random() >= self.options.buys:
            return
        added, ordered, number, total, paid = [], "no", None, None, "no"
        mine = {"Session-ID": buyer}
        for product in self.dice.sample(self.options.products, 2):
            line = {"product_id": product, "quantity": self.dice.randint(1, 2)}
            if self.dice.random() < 0.5:
                certain = self.insist("add with key", "POST", "/api/cart/items", line, self.key(mine)) is not None
            else:
                certain = self.ask("add", "POST", "/api/cart/items", line, mine)[0] == 201
            added.append((product, line["quantity"], certain))
        cart = self.insist("cart", "GET", "/api/cart", None, mine)
        if cart and cart["items"]:
            total, certain = str(cart["total"]), all(certain for *_, certain in added)
            body = {"expected_total": cart["total"], "email": f"{buyer}@example.com"}
            order = self.insist("order", "POST", "/api/orders", body, self.key(mine), certain)
            ordered = "yes" if order else "perhaps"
            if order:
                number, opened = order["number"], {"Order-Token": order["access_token"]}
                if self.dice.random() < self.options.pays:
                    paying = f"/api/orders/{number}/payments"
                    payment = self.insist("payment", "POST", paying, {"provider": "dummy"}, self.key(opened))
                    paid = "yes" if payment and payment["status"] == "captured" else "perhaps"
                self.ask("read order", "GET", f"/api/orders/{number}", None, opened)
        self.write(Visit(buyer, added, ordered, number, total, paid))

    def key(self, headers: dict[str, str]) -> dict[str, str]:
        """Return these headers with a new Idempotency-Key."""
        return headers | {"Idempotency-Key": str(uuid.UUID(int=self.dice.getrandbits(128)))}

    def insist(self, kind: str, method: str, path: str, body: Any, headers: dict, certain: bool = True) -> Any:
        """Repeat a request until it is answered with yes or no; return its data, or None."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            status, data = self.ask(kind, method, path, body, headers, certain)
            if status in (200, 201):
                return data
            if status not in (0, 503) and data != "IN_PROGRESS":
                return None
            time.sleep(BETWEEN)
        return None

    def ask(
        self, kind: str, method: str, path: str, body: Any = None, headers: dict | None = None, certain: bool = True
    ) -> tuple[int, Any]:
        """Send a request at its turn, and write down what came; return the status and the data, or the code."""
        self.pace.wait()
        text, headers = None, headers or {}
        if body is not None:
            text, headers = json.dumps(body), headers | {"Content-Type": "application/json"}
        at = time.monotonic()
        status, code, wrong, data = 0, None, None, None
        try:
            self.connection.request(method, path, text, headers)
            answer = self.connection.getresponse()
            received = answer.read()
            status = answer.status
            if status in (200, 201):
                data = json.loads(received)["data"]
            else:
                wrong = wrong_form(status, answer.headers, received)
                data = code = None if wrong else json.loads(received)["error"]["code"]
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            code = repr(error)
        self.write(Asked(kind, at, time.monotonic() - at, status, code, wrong, certain))
        return status, data


def main() -> None:
    """Shop until --seconds are over, or until SIGTERM; print a line of JSON for each request and purchase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--products", type=lambda text: list(map(int, text.split(","))), required=True)
    parser.add_argument("--ca", help="the file of the CA that signs an https server's certificate")
    parser.add_argument("--rate", type=float, help="requests a second; without it, as fast as they can")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--buys", type=float, default=0.3, help="the share of visits that buy")
    parser.add_argument("--pays", type=float, default=1, help="the share of orders that are paid")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for an answer")
    parser.add_argument("--seconds", type=float, default=86400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", default="shopper", help="the beginning of the names of carts")
    options = parser.parse_args()
    over, lock, pace = threading.Event(), threading.Lock(), Pace(options.rate)

    def write(record: Asked | Visit) -> None:
        line = json.dumps([type(record).__name__, *record]) + "\n"
        with lock:
            sys.stdout.write(line)

    signal.signal(signal.SIGTERM, lambda *_: over.set())
    shoppers = [Shopper(options, number, pace, over, write) for number in range(options.clients)]
    print(flush=True)  # from now on they may be told to end
    gc.freeze()  # looking through all that is imported would hold up each client for milliseconds
    with ThreadPoolExecutor(options.clients) as pool:
        shopping = [pool.submit(shopper.shop) for shopper in shoppers]
        wait(shopping, options.seconds, FIRST_EXCEPTION)
        over.set()
    for one in shopping:
        one.result()  # raises what it has raised


@dataclasses.dataclass
class Load:
    """What the shoppers wrote down; complete when the block of `shopping` is left."""

    process: subprocess.Popen
    asked: list[Asked] = dataclasses.field(default_factory=list)
    visits: list[Visit] = dataclasses.field(default_factory=list)

    def took(self, *kinds: str, since: float = 0, until: float = float("inf"), only: Any = None) -> list[float]:
        """Return the seconds of the requests of these kinds (none: all) that began in this time, sorted."""
        chosen = [one for one in self.asked if since <= one.at < until and (not kinds or one.kind in kinds)]
        return sorted(one.seconds for one in chosen if only is None or one.status in only)

    def failed(self, since: float = 0, until: float = float("inf")) -> list[Asked]:
        """Return the requests that began in this time and were not answered with 200 or 201."""
        return [one for one in self.asked if since <= one.at < until and one.status not in (200, 201)]

    @property
    def statuses(self) -> dict[int, int]:
        """Count the answers by status; 0: the connection broke."""
        return dict(collections.Counter(one.status for one in self.asked))

    def audit(self, sql, broken: int = 0, stock: int | None = None) -> dict[str, int]:
        """Fail where a promise was not kept, with the first of them; return counts of what was kept.

        `sql`: the fixture, or another function that runs a statement. `broken`: so many connections may have been cut.
        `stock`: the pieces of each product at the beginning, which are now in stock or in orders.
        """
        problems = [f"{one} is no failure as promised" for one in self.failed() if not _allowed(one)]
        cut = [one for one in self.asked if one.status == 0]
        if len(cut) > broken:
            problems.append(f"{len(cut)} connections broke, {broken} may: {cut[:3]}")
        if stock is not None:
            problems += [f"{row}, of {stock}" for row in sql(CONSERVED) if row["pieces"] != stock]
        orders = collections.defaultdict(list)
        for row in sql("SELECT id, number, email, CAST(total AS CHAR) AS total, payment_status FROM orders"):
            orders[row["email"].partition("@")[0]].append(row)
        pieces: dict[tuple[str, int], int] = collections.Counter()
        for row in sql("SELECT session_id AS s, product_id AS p, quantity AS q FROM cart_items"):
            pieces[row["s"], row["p"]] += int(row["q"])
        bought = sql(
            "SELECT o.email, i.product_id AS p, i.quantity AS q FROM order_items AS i "
            "JOIN orders AS o ON o.id = i.order_id"
        )
        for row in bought:
            pieces[row["email"].partition("@")[0], row["p"]] += int(row["q"])
        captured = collections.Counter(
            row["order_id"] for row in sql("SELECT order_id FROM payments WHERE status = 'captured'")
        )
        for visit in self.visits:
            problems += _broken_promises(visit, orders[visit.buyer], pieces, captured)
        assert not problems, "\n".join([f"{len(problems)} problems", *problems[:10]])
        return {
            "requests": len(self.asked),
            "failures": len(self.failed()),
            "adds": sum(certain for visit in self.visits for *_, certain in visit.added),
            "orders": sum(visit.ordered == "yes" for visit in self.visits),
            "payments": sum(visit.paid == "yes" for visit in self.visits),
            "uncertain": sum(
                "perhaps" in (v.ordered, v.paid) or not all(certain for *_, certain in v.added) for v in self.visits
            ),
        }


def _allowed(one: Asked) -> bool:
    if one.status == 409:
        return one.code == "IN_PROGRESS" or (one.code == "CART_CHANGED" and not one.certain)
    return one.status == 0 or (one.status == 503 and one.code == "SERVICE_UNAVAILABLE" and not one.wrong)


def _broken_promises(visit: Visit, orders: list[dict], pieces: dict, captured: dict) -> list[str]:
    """Return what of a purchase is not in the database, or is there twice."""
    problems = []
    for product, quantity, certain in visit.added:
        there = pieces[visit.buyer, product]
        if there not in ((quantity,) if certain else (0, quantity)):
            problems.append(f"{visit}: {there} pieces of product {product} are there")
    if len(orders) > 1 or (visit.ordered == "yes" and len(orders) != 1) or (visit.ordered == "no" and orders):
        problems.append(f"{visit}: {len(orders)} orders are there")
    for order in orders:
        times = captured[order["id"]]
        if visit.number not in (None, order["number"]) or float(order["total"]) != float(visit.total or 0):
            problems.append(f"{visit}: the order is {order}")
        if times > 1 or (visit.paid == "yes" and not (times == 1 and order["payment_status"] == "paid")):
            problems.append(f"{visit}: {times} payments are captured, of {order}")
    return problems


@contextlib.contextmanager
def shopping(url: str, products: list[int], rate: float | None = 100, **options: Any):
    """Let shoppers in, in a process of their own; give a Load. They end what they are at when the block is left.

    `options` are those of the command: clients=16, buys=0.3, pays=1, timeout=30, seed=1, run="shopper", seconds=…
    """
    words = [sys.executable, __file__, url, "--products", ",".join(map(str, products))]
    given = {"rate": rate, **options}
    words += [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    with tempfile.TemporaryFile("w+") as written:
        process = subprocess.Popen(words, stdout=written, cwd=pathlib.Path(__file__).parent)
        load = Load(process)
        try:
            while not os.fstat(written.fileno()).st_size:  # on a busy machine it takes seconds to begin
                assert process.poll() is None, "the shoppers did not come"
                time.sleep(0.01)
            yield load
            process.terminate()
            assert process.wait(PATIENCE + 60) == 0, "the shoppers broke down"
        finally:
            process.kill()
            process.wait()
        written.seek(0)
        next(written)
        for kind, *fields in map(json.loads, written):
            (load.asked if kind == "Asked" else load.visits).append({"Asked": Asked, "Visit": Visit}[kind](*fields))


if __name__ == "__main__":
    main()
