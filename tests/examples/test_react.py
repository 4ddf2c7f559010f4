"""The storefront in React: typed by the running shop's document, built, and clicked through from another origin."""

import functools
import json
import pathlib
import re
import threading
from decimal import Decimal
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from accessibility import axe, violations  # noqa: F401
from helpers import PASSWORD, as_url, free_port, servers
from npm import installed, require_exact_versions, run
from visitor import Visitor

from core.config import Config
from core.setup.system import ROOT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "react"
SOURCES = [*EXAMPLE.glob("src/*.tsx"), *EXAMPLE.glob("src/*.css"), EXAMPLE / "src/shop.ts", EXAMPLE / "vite.config.ts"]
MOST = 400  # lines
OLDEST = 20  # the node that Vite needs
ADDRESS = {"Name": "Ada Lovelace", "Street and number": "12 St James's Square", "City": "London"}
RENAMED = {  # what is found under another name in the document: that name, and what the compiler says then
    "stock_quantity: number": ("stock: number", "Property 'stock_quantity' does not exist"),
    "payment_providers: string": ("providers: string", "Property 'payment_providers' does not exist"),
    "available: number": ("left: number", "Property 'available' does not exist"),
    'code: "CART_CHANGED"': ('code: "CART_IS_OTHER"', "'\"CART_CHANGED\"' have no overlap"),
    '"Idempotency-Key": string': ('"Once-Key": string', "'\"Idempotency-Key\"' does not exist"),
    "search?: string": ("words?: string", "'search' does not exist in type"),
}


@pytest.fixture(scope="module")
def real(accounts, tmp_path_factory):
    """A real shop that lets one other origin in, on the tests' database."""
    origin = f"http://localhost:{free_port()}"
    settings = {"CORS_ORIGINS": origin, "PAYMENT_PROVIDERS": "dummy", "CACHE_TTL": "0", "COUNT_CACHE_TTL": "0"}
    with servers(tmp_path_factory.mktemp("server")) as begin:
        yield begin("--workers", "1", "--threads", "8", DATABASE_URL=as_url(accounts.application), **settings), origin


@pytest.fixture(scope="module")
def project(real, tmp_path_factory):
    """The example in a folder of its own, with its packages and with the types of the running shop."""
    shop, _ = real
    folder = installed("react", tmp_path_factory.mktemp("react"), OLDEST, EXAMPLE.parent)
    typed = run(folder, "npm", "run", "types", VITE_API=shop.url)
    assert typed.returncode == 0, typed.stdout + typed.stderr
    return folder


class Files(SimpleHTTPRequestHandler):
    """Built files; every other path has the page, which finds its way by the address."""

    def send_head(self):
        if not pathlib.Path(self.translate_path(self.path)).is_file():
            self.path = "/index.html"
        return super().send_head()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def built(real, project):
    """The address of the built files, served from another origin than the shop's."""
    shop, origin = real
    made = run(project, "npm", "run", "build", VITE_API=shop.url)
    assert made.returncode == 0 and "warn" not in (made.stdout + made.stderr).lower(), made.stdout + made.stderr
    handler = functools.partial(Files, directory=project / "dist")
    with ThreadingHTTPServer(("127.0.0.1", int(origin.rpartition(":")[2])), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield origin
        server.shutdown()


@pytest.fixture
def browser(chromium, built, real, sql):
    """A visitor who has never been there; at the end nobody has complained, and nobody else was asked for anything."""
    shop, origin = real
    visitor = Visitor(chromium.driver, origin)
    visitor.forget()
    yield visitor
    visitor.network()
    unexpected = [line for line in visitor.complaints_so_far() if not any(text in line for text in visitor.refusals)]
    assert unexpected == []
    assert visitor.hosts_so_far() <= {url.partition("//")[2] for url in (origin, shop.url)}


def fill(browser, label, text):
    """Type into the field that this label is of."""
    find = (
        "return [...document.querySelectorAll('label')].find(each => each.textContent.trim().startsWith(arguments[0]))"
    )
    browser.type(browser.one("input", browser.until(lambda: browser.run(find, label))), text)


def press(browser, name):
    """Click the button or link of this name."""
    browser.click(browser.button(name))


def checkout(browser, **fields):
    """Fill in where an order goes to."""
    for label, text in {**ADDRESS, "Country (two letters)": "GB", **fields}.items():
        fill(browser, label, text)


def order(sql):
    """Return the one order that there is."""
    (found,) = sql("SELECT number, total, status, payment_status, email, user_id FROM orders")
    return SimpleNamespace(**found)


def test_a_newcomer_finds_buys_and_pays(browser, make, sql):
    lamps = make.category("Lamps")
    lamp = make.product("Desk Lamp", price="19.90", stock=3, category_id=lamps, description="Warm or cool light.")
    make.products(3, price="45.00")
    browser.refusals += ["409", "400"]

    browser.visit("/")
    browser.shows("4 found")
    fill(browser, "Search", "desk la")
    browser.shows("1 found")
    press(browser, "Desk Lamp")
    browser.shows("3 in stock")
    fill(browser, "Quantity", "4")
    press(browser, "Add to cart")
    browser.shows("You can have 3 at most.")
    fill(browser, "Quantity", "1")
    press(browser, "Add to cart")
    browser.shows("1 in your cart.")
    press(browser, "Log in")
    press(browser, "I am new here")
    for label, text in {"User name": "ada", "E-mail": "nowhere", "Password": PASSWORD}.items():
        fill(browser, label, text)
    press(browser, "Register")
    browser.until(lambda: browser.focused().get_attribute("name") == "email")
    assert "Must be" in browser.text("label:has([name=email])")
    fill(browser, "E-mail", "ada@example.com")
    press(browser, "Register")
    browser.shows("Total: €19.90")
    checkout(browser)
    press(browser, "Place order for €19.90")
    browser.shows("placed, unpaid")
    press(browser, "Pay by dummy")
    browser.shows("placed, paid")

    placed = order(sql)
    assert (placed.total, placed.payment_status, placed.email) == (Decimal("19.90"), "paid", "ada@example.com")
    assert browser.text("h1") == f"Order {placed.number}"
    assert browser.text("header").endswith("Cart (0)")
    assert sql("SELECT stock_quantity FROM products WHERE id = %s", [lamp]) == [{"stock_quantity": 2}]


def test_a_guest_orders_what_the_cart_has_become(browser, make, sql):
    cheap, scarce, withdrawn = make.products(3, price="10.00", stock=5)
    browser.refusals += ["409"]
    for product in (cheap, scarce, withdrawn):
        browser.visit(f"/products/{product}")
        fill(browser, "Quantity", "2")
        press(browser, "Add to cart")
        browser.shows("2 in your cart.")
    press(browser, "Cart (6)")
    checkout(browser, **{"E-mail": "ada@example.com"})

    sql("UPDATE products SET price = 12 WHERE id = %s", [cheap], by_hand=False)
    sql("UPDATE products SET stock_quantity = 1 WHERE id = %s", [scarce], by_hand=False)
    sql("UPDATE products SET is_active = 0 WHERE id = %s", [withdrawn], by_hand=False)
    press(browser, "Place order for €60.00")
    browser.shows("The cart is not what you saw")
    assert [issue.text for issue in browser.all(".issue")] == [
        "Was 10.00 when you added it.",
        "Only 1 in stock.",
        "No longer sold. Remove it from the cart.",
    ]
    line_of_scarce, line_of_withdrawn = browser.all(".lines li")[1:]
    browser.click(browser.button("Change", line_of_withdrawn))
    browser.shows("no longer sold")
    browser.click(browser.button("Remove Product 3"))
    browser.type(browser.one("input", line_of_scarce), "1")
    browser.click(browser.button("Change", line_of_scarce))
    press(browser, "Place order for €34.00")
    browser.shows("placed, unpaid")

    placed = order(sql)
    assert (placed.total, placed.email, placed.user_id) == (34, "ada@example.com", None)


def test_what_the_list_shows_is_in_its_address(browser, make):
    lamps, chairs = make.category("Lamps"), make.category("Chairs")
    for number in range(30):
        make.product(f"Lamp {number:02}", price=f"{100 - number}.00", category_id=lamps)
    make.product("Chair", price="5.00", category_id=chairs)

    browser.visit("/?search=lamp&sort=price")
    browser.shows("30 found")
    assert browser.all(".grid li")[0].text.startswith("Lamp 29")
    press(browser, "Load more")
    browser.until(lambda: len(browser.all(".grid li")) == 30)
    assert len({item.text for item in browser.all(".grid li")}) == 30
    assert not [found for found in browser.all("button") if found.text == "Load more"]
    fill(browser, "Search", "")
    browser.shows("31 found")
    browser.click(browser.one(f"input[value='{chairs}']"))
    browser.shows("1 found")

    assert browser.address() == f"/?sort=price&category={chairs}"
    press(browser, "Chair")
    browser.shows("10 in stock")
    browser.driver.back()
    browser.shows("1 found")
    assert browser.one(f"input[value='{chairs}']").is_selected()


def test_without_a_network_it_says_so_and_goes_on_afterwards(browser, make):
    product = make.product(stock=5)
    browser.refusals += ["ERR_INTERNET_DISCONNECTED"]
    browser.visit(f"/products/{product}")
    browser.shows("5 in stock")

    browser.network(offline=True)
    browser.shows("You are offline.")
    press(browser, "Add to cart")
    browser.shows("The shop is out of reach.")
    browser.network()
    press(browser, "Add to cart")

    browser.shows("1 in your cart.")
    assert "offline" not in browser.text()


def test_a_login_that_is_over_leaves_a_guest(browser, make, sql):
    make.product()
    browser.refusals += ["401", "403"]
    browser.visit("/")
    browser.shows("1 found")
    browser.run("localStorage.token = 'over'; localStorage.session = 'not-mine'")

    browser.visit("/cart")

    browser.shows("Your cart is empty.")
    assert browser.button("Log in")
    assert browser.run("return localStorage.token") == ""


def test_what_is_not_there_is_said(browser):
    browser.refusals += ["404"]

    browser.visit("/products/7")

    browser.shows("Try again")
    browser.visit("/nowhere")
    browser.shows("There is nothing here")


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(browser, make, violations, width):  # noqa: F811
    product = make.product("Desk Lamp", category_id=make.category())
    make.product("Another", stock=0)
    found = {}
    browser.refusals += ["400"]
    for path, seen in (("/", "2 found"), (f"/products/{product}", "in stock"), ("/account", "I am new here")):
        browser.visit(path, width)
        browser.shows(seen)
        found[path] = violations()
        assert browser.overhang() == 0, path
    press(browser, "I am new here")
    press(browser, "Register")
    browser.until(lambda: browser.all("[aria-invalid=true]"))
    found["refused"] = violations()
    browser.visit(f"/products/{product}", width)
    press(browser, "Add to cart")
    browser.shows("1 in your cart.")
    press(browser, "Cart (1)")
    browser.shows("Total:")
    found["/cart"] = violations()
    assert browser.overhang() == 0

    assert found == {page: [] for page in found}


def test_where_the_document_changes_the_example_does_not_compile(project):
    types = project / "src/openapi.d.ts"
    document = types.read_text(encoding="utf-8")
    changed = document
    for name, (other, _) in RENAMED.items():
        assert name in changed, name
        changed = changed.replace(name, other)

    types.write_text(changed, encoding="utf-8")
    checked = run(project, "npx", "tsc", "--pretty", "false")
    types.write_text(document, encoding="utf-8")

    assert [said for _, said in RENAMED.values() if said not in checked.stdout] == [], checked.stdout


def test_it_is_short_and_casts_no_type_away():
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES}

    assert {path.name for path in EXAMPLE.glob("src/*")} <= {*(path.name for path in SOURCES), "openapi.d.ts"}
    assert sum(text.count("\n") for text in texts.values()) <= MOST
    for path, text in texts.items():
        assert not re.search(r"\bany\b|\bas (?!const\b)[A-Z{]|@ts-|eslint|![.;)]", text), path
        assert max(map(len, text.splitlines())) <= 120, path
    assert '"strict": true' in (EXAMPLE / "tsconfig.json").read_text(encoding="utf-8")


def test_its_origin_is_one_that_a_shop_lets_in_without_being_told():
    (port,) = re.findall(r"port: (\d+)", (EXAMPLE / "vite.config.ts").read_text(encoding="utf-8"))

    assert f"http://localhost:{port}" in Config.cors_origins


def test_the_lock_names_exact_versions_and_no_host():
    require_exact_versions(
        *(json.loads((EXAMPLE / name).read_text(encoding="utf-8")) for name in ("package.json", "package-lock.json"))
    )
