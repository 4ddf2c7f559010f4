"""The back office of examples/react-admin: built with the types of a real shop, and used by clicks (Chromium)."""

import functools
import http.server
import json
import re
import secrets
import threading
from urllib.parse import urlsplit

import pytest
from browser import Browser
from helpers import PASSWORD, ROOT, as_url, bearer, servers
from npm import installed, require_exact_versions, run
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By

EXAMPLE = ROOT / "examples" / "react-admin"
SOURCES = [path for path in (EXAMPLE / "src").iterdir() if path.name != "api.ts"]
OWNER = {"username": "keeper", "password": PASSWORD}
NAMED = """//*[self::button or self::a or self::label or @role='button' or starts-with(@role, 'menuitem')]
    [normalize-space()='{0}' or @aria-label='{0}']"""
# The button is still moving, below something that fades, or drawn anew meanwhile:
MOVING = (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException)


class _Files(http.server.SimpleHTTPRequestHandler):
    """The built files, as any web server gives them."""

    def log_message(self, *_):
        """Be quiet."""


class Office:
    """The back office in a browser, and the shop that it is for."""

    def __init__(self, browser: Browser, front: str, shop):
        self.browser = browser
        self.front = front
        self.shop = shop
        self.token = None

    def call(self, path, method="GET", body=None, **headers):
        """Call the API as the owner, beside the back office; return the data."""
        answer = self.shop.request(path, method, body, **bearer(self.token), **headers)
        assert answer.status < 400, answer.body
        return answer.json["data"]

    def text(self):
        """Return what the page shows."""
        return self.browser.run("return document.body.innerText")

    def until(self, condition, what):
        """Wait until the condition holds; fail with what was awaited, and what the page shows instead."""
        try:
            return self.browser.until(condition)
        except TimeoutException:
            pytest.fail(f"waited for {what}, but the page shows:\n{self.text()}")

    def sees(self, *texts):
        """Wait until the page shows all of this."""
        self.until(lambda: all(text in self.text() for text in texts), texts)

    def sees_no(self, text):
        """Wait until the page does not show this."""
        self.until(lambda: text not in self.text(), f"no {text}")

    def press(self, name, within="", what=NAMED):
        """Click the last button, link or choice of this name that can be clicked now."""

        def clicked():
            found = self.browser.driver.find_elements(By.XPATH, within + what.format(name))
            try:
                able = [one for one in found if one.is_displayed() and one.is_enabled()]
                for one in able[-1:]:
                    one.click()
            except MOVING:
                return []
            return able

        self.until(clicked, f"{name} to click")

    def fill(self, **fields):
        """Type into fields, by their names; `__` stands for a dot."""
        for name, text in fields.items():
            field = f"[name='{name.replace('__', '.')}']"
            self.browser.type(self.until(lambda field=field: self.browser.all(field), field)[-1], text)

    def press_in_dialog(self, name):
        """Click a button of the open dialog."""
        self.press(name, "//*[@role='dialog']")

    def press_cell(self, text):
        """Click the row of a table that has this text."""
        self.press(text, "", "//td[normalize-space()='{0}']")

    def column(self, source):
        """Return the texts of a column of a list."""
        return self.browser.run(
            "return [...document.querySelectorAll(arguments[0])].map(cell => cell.innerText)",
            f"tbody .column-{source}",
        )

    def add_filter(self, name):
        """Add a filter of a list."""
        self.press("Add filter")
        self.press(name)

    def choose(self, file):
        """Choose a file, as the dialog of the browser would."""
        self.browser.all("input[type=file]")[0].send_keys(str(file))

    def go(self, path):
        """Open a page of the back office."""
        self.browser.run("location.hash = arguments[0]", path)

    def log_in(self, who=OWNER):
        """Open the back office, and log in."""
        self.browser.open(f"{self.front}/index.html")
        self.browser.run("sessionStorage.clear()")
        self.browser.open(f"{self.front}/index.html?")
        self.fill(**who)
        self.press("Sign in")

    def refusals(self):
        """Return the statuses of answers that the browser wrote into its console; fail for all else that is there."""
        noted = self.browser.complaints()
        refused = [re.search(r"status of (\d+)", line) for line in noted]
        assert all(refused), noted
        return [int(match[1]) for match in refused]


@pytest.fixture(scope="module")
def built(accounts, tmp_path_factory):
    """A real shop, and the address of the back office that was built for it, on another origin."""
    folder = installed("react-admin", tmp_path_factory.mktemp("react-admin"), 20, EXAMPLE.parent)
    handler = functools.partial(_Files, directory=folder / "dist")
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files,
        servers(tmp_path_factory.mktemp("shop")) as start,
    ):
        front = f"http://127.0.0.1:{files.server_port}"
        database = as_url(accounts.application)
        shop = start(
            "--workers",
            "2",
            DATABASE_URL=database,
            CORS_ORIGINS=front,
            PAYMENT_PROVIDERS="manual,dummy",
            RATE_LIMITS="off",
        )
        (folder / ".env.local").write_text(f"VITE_SHOP={shop.url}\n", encoding="utf-8")
        asked = folder / "package.json"
        asked.write_text(asked.read_text("utf-8").replace("http://127.0.0.1:8080", shop.url), "utf-8")
        for words in (("npm", "run", "types"), ("npm", "run", "build")):
            done = run(folder, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield shop, front
        files.shutdown()


@pytest.fixture
def office(built, chromium, sql):
    """The back office, with an administrator who is logged in."""
    shop, front = built
    opened = Office(chromium, front, shop)
    shop.request("/api/users/register", "POST", {**OWNER, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'", by_hand=False)
    opened.token = shop.request("/api/users/login", "POST", OWNER).json["data"]["token"]
    opened.log_in()
    opened.sees("Withdrawn products")
    yield opened
    assert chromium.hosts() <= {urlsplit(front).netloc, urlsplit(shop.url).netloc}


def added(office, name="Desk Lamp", price=19.9, stock=12, **fields):
    """Add a product by the API; return its id."""
    body = {"name": name, "price": price, "stock_quantity": stock, **fields}
    return office.call("/api/products", "POST", body)["id"]


def ordered(office, product, quantity=2, pay="dummy"):
    """Let a guest order a product, and pay; return the number of the order."""
    ask = functools.partial(office.shop.request, Session_ID=f"guest-{product}")
    ask("/api/cart/items", "POST", {"product_id": product, "quantity": quantity})
    total = ask("/api/cart").json["data"]["total"]
    body = {"expected_total": total, "email": "ada@example.com"}
    order = ask("/api/orders", "POST", body, Idempotency_Key=secrets.token_hex(8)).json["data"]
    if pay:
        token = {"Order_Token": order["access_token"]}
        paid = office.shop.request(f"/api/orders/{order['number']}/payments", "POST", {"provider": pay}, **token)
        assert paid.status == 201, paid.body
    return order["number"]


# Coming in


@pytest.mark.slow
def test_only_an_administrator_comes_in_and_a_login_that_has_ended_leads_out(office):
    ada = {"username": "ada", "password": PASSWORD}
    office.shop.request("/api/users/register", "POST", {**ada, "email": "ada@example.com"})

    office.call("/api/users/logout?everywhere=true", "POST")
    office.press("Orders")
    office.sees("Log in again, please.", "Sign in".upper())
    office.fill(**ada)
    office.press("Sign in")
    office.sees("This account is no administrator's.")
    office.fill(username="keeper@example.com", password=PASSWORD)
    office.press("Sign in")
    office.sees("No Orders yet")

    assert office.browser.run("return sessionStorage.length + ' ' + document.cookie") == "1 "
    assert office.refusals() == [401, 401]  # the orders, and the logout


# Products


@pytest.mark.slow
def test_products_are_filtered_and_a_new_one_has_its_problems_under_their_fields(office):
    lights = office.call("/api/categories", "POST", {"name": "Lights"})["id"]
    added(office, category_id=lights)
    added(office, "Oak Desk", 199, stock=0)
    added(office, "Wall Lamp", 49, stock=0, category_id=lights)
    office.go("/categories")
    office.go("/products")
    office.sees("Desk Lamp", "Oak Desk", "1-3 of 3")

    office.press("Price", "//thead")
    office.until(lambda: office.column("price") == ["€19.90", "€49.00", "€199.00"], "the cheapest first")
    office.fill(search="lamp")
    office.sees("1-2 of 2")
    office.add_filter("In stock")
    office.sees("1-1 of 1", "Lights")
    office.press("Create")
    office.fill(name="Stool", price="0", image_url="ftp://pictures")
    office.press("Save")
    office.sees("Must be a number from 0.01", "an http(s) URL or a path")
    office.fill(price="49.5", image_url="", stock_quantity="3")
    office.press("Save")
    office.sees("Element created")

    [stool] = office.call("/api/products?search=stool")["items"]
    assert (stool["price"], stool["stock_quantity"], stool["image_url"]) == (49.5, 3, None)
    assert office.refusals() == [400]


@pytest.mark.slow
def test_a_lost_update_is_shown_as_one_and_what_was_typed_stays(office):
    lamp = added(office)
    office.go(f"/products/{lamp}")
    office.sees("12 in stock")

    office.fill(name="Reading Lamp")
    office.call(f"/api/products/{lamp}", "PUT", {"price": 25})
    office.press("Save")
    office.sees("Somebody else changed this product meanwhile.", "price: 19.9 → 25")
    unsaved = office.call(f"/api/products/{lamp}")["name"]
    office.press("Load it")
    office.sees_no("Somebody else")
    shown = [office.browser.one(f"[name={name}]").get_attribute("value") for name in ("name", "price")]
    office.press("Save")
    office.sees("Element updated")

    saved = office.call(f"/api/products/{lamp}")
    assert unsaved == "Desk Lamp"
    assert shown == ["Reading Lamp", "25"]
    assert (saved["name"], saved["price"]) == ("Reading Lamp", 25)
    assert office.refusals() == [412]


@pytest.mark.slow
def test_a_sale_meanwhile_is_no_lost_update_and_stock_is_moved_beside_it(office):
    lamp = added(office)
    office.go(f"/products/{lamp}")
    office.sees("12 in stock")

    office.press("Move stock")
    office.fill(change="-20")
    office.press_in_dialog("Move stock")
    office.sees("Only 12 in stock.")
    office.fill(change="-2")
    office.press_in_dialog("Move stock")
    office.sees("10 in stock")
    ordered(office, lamp, quantity=3)
    office.fill(price="21")
    office.press("Save")
    office.sees("Element updated")

    saved = office.call(f"/api/products/{lamp}")
    assert (saved["price"], saved["stock_quantity"]) == (21, 7)
    assert office.refusals() == [409, 412]  # too many; then the sale, after which it was sent again


@pytest.mark.slow
def test_a_product_is_withdrawn_found_and_brought_back(office):
    lamp = added(office)
    office.go(f"/products/{lamp}")
    office.sees("12 in stock")

    office.press("Withdraw")
    office.press("Confirm")
    office.sees("The product is on sale no more.")
    withdrawn = office.shop.request(f"/api/products/{lamp}").status
    office.press("Withdrawn products")
    office.sees("Desk Lamp")
    office.press_cell("Desk Lamp")
    office.sees("12 in stock")
    office.press("On sale")
    office.press("Save")
    office.sees("Element updated")

    assert (withdrawn, office.shop.request(f"/api/products/{lamp}").status) == (404, 200)
    assert office.refusals() == []


@pytest.mark.slow
def test_a_table_is_rehearsed_and_then_taken_in(office, tmp_path):
    lamp = added(office)
    office.browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    office.go("/categories")
    office.go("/products")
    office.press("Export")
    office.sees("products.csv is among your downloads.")
    table = tmp_path / "products.csv"
    office.until(lambda: table.exists() and table.read_text("utf-8").endswith("\n"), "the file")
    exported = table.read_text("utf-8")

    office.press("Import")
    table.write_text(exported + ",Stool,,49.5x,,,3,true\n", "utf-8")
    office.choose(table)
    office.sees("row 3", "price", "Nothing was stored.")
    table.write_text(exported.replace("19.90", "18.00") + ",Stool,,49.50,,,3,true\n", "utf-8")
    office.choose(table)
    office.sees("1 new products, 1 rows that change one")
    rehearsed = office.call("/api/products?sort=name")["items"]
    office.press("Take it in")
    office.sees("Taken in: 1 new, 1 changed.", "Stool", "€18.00")

    stored = [(item["name"], item["price"]) for item in office.call("/api/products?sort=name")["items"]]
    assert [(item["id"], item["price"]) for item in rehearsed] == [(lamp, 19.9)]
    assert stored == [("Desk Lamp", 18), ("Stool", 49.5)]
    assert office.refusals() == [400]


# Categories


@pytest.mark.slow
def test_a_category_is_added_renamed_and_deleted_when_nothing_is_in_it(office):
    lights = office.call("/api/categories", "POST", {"name": "Lights"})["id"]
    lamp = added(office, category_id=lights)
    office.go("/categories/create")

    office.fill(name="lights")
    office.press("Save")
    office.sees("Is the name of another category.")
    office.fill(name="Desks", description="Oak and ash.")
    office.press("Save")
    office.sees("Element created", "Oak and ash.")
    office.go(f"/categories/{lights}")
    office.press("Delete")
    office.press("Confirm")
    office.sees("This category still has products")
    office.call(f"/api/products/{lamp}", "PUT", {"category_id": None})
    office.press("Delete")
    office.press("Confirm")
    office.sees("Element deleted")

    assert [category["name"] for category in office.call("/api/categories")] == ["Desks"]
    assert office.refusals() == [409, 409]


# Orders


@pytest.mark.slow
def test_an_order_is_found_fulfilled_and_refunded(office):
    lamp = added(office)
    number, other = ordered(office, lamp), ordered(office, lamp, pay=None)
    office.press("Orders")
    office.sees(number, other, "ada@example.com")

    office.fill(search=number[:5])  # as it is being typed
    office.sees("No Orders found")
    office.fill(search=number.lower())
    office.sees(number, "1-1 of 1")
    office.press_cell(number)
    office.press("Fulfil")
    office.fill(tracking="1Z 999")
    office.press_in_dialog("Fulfil")
    office.sees(f"{number} is fulfilled.", "1Z 999")
    office.press("Refund")
    office.fill(amount="99")
    office.press_in_dialog("Refund")
    office.sees("Must be at most 39.80")
    office.fill(amount="19.9", **{f"pieces__{lamp}": "1"})
    office.press_in_dialog("Refund")
    office.sees("€19.90 are given back", "partly_refunded")

    order = office.call(f"/api/orders/{number}")
    assert (order["status"], order["tracking"], order["refunded"]) == ("fulfilled", "1Z 999", 19.9)
    assert [event["what"] for event in order["history"]] == ["placed", "paid", "fulfilled", "refunded"]
    assert office.call(f"/api/products/{lamp}")["stock_quantity"] == 9
    assert office.refusals() == [400, 400]  # half a number, and too much money


@pytest.mark.slow
def test_an_order_is_paid_by_hand_and_another_canceled(office):
    lamp = added(office)
    number, other = ordered(office, lamp, pay=None), ordered(office, lamp)
    office.go(f"/orders/{number}/show")

    office.press("Money received")
    office.press_in_dialog("Money received")
    office.sees("Paid: €39.80.", "manual")
    office.go(f"/orders/{other}/show")
    office.sees(other)
    office.press("Cancel order")
    office.press_in_dialog("Cancel order")
    office.sees(f"{other} is canceled.")

    paid, canceled = (office.call(f"/api/orders/{each}") for each in (number, other))
    assert (paid["payment_status"], paid["payments"][0]["provider"]) == ("paid", "manual")
    assert (canceled["status"], canceled["payment_status"]) == ("canceled", "refunded")
    assert office.call(f"/api/products/{lamp}")["stock_quantity"] == 10
    assert office.refusals() == []


@pytest.mark.slow
def test_orders_are_paged_by_the_cursors_of_the_pages_before(office):
    lamp = added(office, stock=100)
    numbers = [ordered(office, lamp, quantity=1 + number, pay=None) for number in range(12)][::-1]
    office.browser.run("location.hash = '/orders?perPage=5&page=1'")
    office.sees(*numbers[:5])

    office.press("Go to next page")
    office.sees(*numbers[5:10])
    office.press("Go to next page")
    office.sees(*numbers[10:])
    third = office.column("number")
    office.browser.run("location.reload()")
    office.sees(*numbers[10:])

    assert third == numbers[10:]
    assert office.refusals() == []


# The example itself


def test_the_data_provider_is_one_page():
    assert len((EXAMPLE / "src" / "dataProvider.ts").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_compiler_is_strict_and_is_not_talked_out_of_it():
    assert '"strict": true' in (EXAMPLE / "tsconfig.json").read_text(encoding="utf-8")
    assert not [path for path in SOURCES if re.search(r"@ts-|eslint-", path.read_text(encoding="utf-8"))]


def test_the_lock_of_the_back_office_names_exact_versions_and_no_host():
    asked, locked = (json.loads((EXAMPLE / name).read_text("utf-8")) for name in ("package.json", "package-lock.json"))

    require_exact_versions(asked, locked)
