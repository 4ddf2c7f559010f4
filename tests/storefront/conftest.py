"""A shop to look at, and who looks at it.

Each file has a shop of its own: a real server with a private MariaDB and seeded products, that takes dummy payments,
says in Server-Timing what it ran, writes its mails to files, and limits nobody. PRODUCTS in a file: how many it has.
"""

import email
import email.policy
import functools
import pathlib

import pytest
from browser import chromium_in
from helpers import PASSWORD, bearer, command, servers
from visitor import Visitor

from commands.seed import PRODUCTS

HERE = pathlib.Path(__file__).parent
SETTINGS = {
    "PAYMENT_PROVIDERS": "manual,dummy",
    "SERVER_TIMING": "on",
    "RATE_LIMITS": "off",
    "CHORES": "on",  # they deliver mails
}


def pytest_collection_modifyitems(items):
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slow")


class Shop:
    """The shop, and what its owner does to it by the API. `real`: its server; `data`: its DATA_DIR."""

    def __init__(self, real, data):
        self.real, self.data, self.url = real, data, real.url

    def ask(self, path, method="GET", body=None, **headers):
        """Ask the API; return the data of a success, and fail for all else."""
        answer = self.real.request(path, method, body, **headers)
        assert answer.json["success"], answer.json
        return answer.json["data"]

    def products(self, query=""):
        """Return products on sale: products("category_id=3&sort=price")."""
        return self.ask(f"/api/products?{query}")["items"]

    def add(self, **fields):
        """Add a product; return it."""
        fields = {"name": "Trial Lamp", "price": 19.9, "stock_quantity": 10, **fields}
        return self.ask("/api/products", "POST", fields, **self._owner)

    def change(self, id, **fields):
        """Change fields of a product; return it."""
        return self.ask(f"/api/products/{id}", "PUT", fields, **self._owner)

    def withdraw(self, id):
        """Withdraw a product from sale."""
        return self.ask(f"/api/products/{id}", "DELETE", **self._owner)

    def fulfil(self, number):
        """Send an order off; return it."""
        return self.ask(f"/api/orders/{number}/fulfil", "POST", {}, **self._owner)

    def mails(self, to):
        """Return the mails that were sent to an address, as email.message.EmailMessage, the oldest first."""
        files = sorted((self.data / "mail").glob("*"), key=lambda file: file.stat().st_mtime)
        read = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
        return [mail for mail in read if mail["To"] == to]

    @functools.cached_property
    def _owner(self):
        """The header of an administrator."""
        account = {"username": "keeper", "password": PASSWORD}
        self.ask("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
        made = command("admin", "keeper", DATA_DIR=str(self.data))
        assert made.returncode == 0, made.stderr
        return bearer(self.ask("/api/users/login", "POST", account)["token"])


@pytest.fixture(scope="module")
def shop(request, tmp_path_factory):
    """The shop of a file."""
    folder = tmp_path_factory.mktemp("shop")
    data, products = folder / "data", getattr(request.module, "PRODUCTS", PRODUCTS)
    with servers(folder) as begin:
        real = begin("--workers", "1", "--threads", "8", DATA_DIR=str(data), **SETTINGS)
        if products != PRODUCTS:
            seeded = command("seed", "--products", str(products), "--yes", DATA_DIR=str(data), timeout=300)
            assert seeded.returncode == 0, seeded.stderr
        yield Shop(real, data)


@pytest.fixture
def browser(chromium, shop):
    """A visitor whom the shop has never seen; at the end nothing may have been complained about, see require_peace."""
    visitor = Visitor(chromium.driver, shop.url)
    visitor.forget()
    yield visitor
    visitor.network()
    visitor.require_peace()


@pytest.fixture
def second_browser(shop, tmp_path):
    """Another visitor, in a browser of his own."""
    with chromium_in(tmp_path / "second") as another:
        visitor = Visitor(another.driver, shop.url)
        yield visitor
        visitor.require_peace()
