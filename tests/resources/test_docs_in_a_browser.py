"""In a real browser: the pages under their own policy, and what pages of other origins may read (Chromium)."""

import http.server
import json
import sys
import threading
from urllib.parse import urlsplit

import pytest
from browser import Operation, shown
from helpers import as_url, servers

from commands import seed_catalogue
from core.setup.system import ROOT

pytestmark = pytest.mark.slow

NARROW = 360
OPEN_THE_FIRST = """document.querySelectorAll('.opblock-tag-section').forEach(
    section => section.querySelector('.opblock-summary-control').click())"""
ACCOUNT = {"username": "alice", "email": "alice@shop.example", "password": "Correct-Horse-7"}


@pytest.fixture(scope="module")
def shop_url(accounts, tmp_path_factory):
    """The address of a real server without a storefront: its first page is the API's own."""
    with servers(tmp_path_factory.mktemp("server")) as begin:
        yield begin("--workers", "1", DATABASE_URL=as_url(accounts.application), STOREFRONT="off").url


# The pages


def test_the_page_shows_every_operation_of_the_document(chromium, shop_url):
    chromium.open_docs(shop_url)
    document = json.loads(chromium.fetch("/api/openapi.json")["text"])

    found = shown(chromium)

    declared = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert len(found) == len(declared) and set(found) == declared
    assert chromium.complaints() == []
    assert chromium.hosts() == {urlsplit(shop_url).netloc}


def test_a_cart_can_be_filled_from_the_page(chromium, shop_url, make):
    product = make.product("Desk Lamp", price="19.90", stock=5)
    chromium.open_docs(shop_url)

    opened, cart = Operation(chromium, "POST", "/api/cart").execute()
    session = cart["data"]["session_id"]
    added, _ = Operation(chromium, "POST", "/api/cart/items").execute(
        {"product_id": product, "quantity": 3}, Session_ID=session
    )
    read, cart = Operation(chromium, "GET", "/api/cart").execute(Session_ID=session)

    assert (opened, added, read) == (201, 201, 200)
    assert (cart["data"]["item_count"], cart["data"]["total"]) == (3, 59.7)
    assert chromium.complaints() == []
    assert chromium.hosts() == {urlsplit(shop_url).netloc}


def test_authorize_fills_the_session_id_of_every_cart_operation(chromium, shop_url, make):
    product = make.product("Desk Lamp", price="19.90", stock=5)
    chromium.open_docs(shop_url)
    _, cart = Operation(chromium, "POST", "/api/cart").execute()

    chromium.click(chromium.one(".btn.authorize"))
    form = next(form for form in chromium.all(".auth-container") if "Session-ID" in form.text)
    chromium.type(chromium.one("input", form), cart["data"]["session_id"])
    chromium.click(chromium.one(".auth-btn-wrapper .authorize", form))
    chromium.click(chromium.one(".auth-btn-wrapper .btn-done"))
    added, _ = Operation(chromium, "POST", "/api/cart/items").execute({"product_id": product, "quantity": 3})
    read, cart = Operation(chromium, "GET", "/api/cart").execute()

    assert (added, read, cart["data"]["item_count"]) == (201, 200, 3)
    assert chromium.complaints() == []


def test_one_can_register_log_in_and_be_known_and_the_page_keeps_no_token(chromium, shop_url, sql):
    chromium.open_docs(shop_url)

    registered, _ = Operation(chromium, "POST", "/api/users/register").execute(ACCOUNT)
    logged_in, session = Operation(chromium, "POST", "/api/users/login").execute(
        {name: ACCOUNT[name] for name in ("username", "password")}
    )
    chromium.click(chromium.one(".btn.authorize"))
    chromium.type(chromium.one(".auth-container input"), session["data"]["token"])
    chromium.click(chromium.one(".auth-btn-wrapper .authorize"))
    chromium.click(chromium.one(".auth-btn-wrapper .btn-done"))
    known, me = Operation(chromium, "GET", "/api/users/me").execute()

    assert (registered, logged_in, known, me["data"]["username"]) == (201, 200, 200, "alice")
    assert chromium.complaints() == []
    assert chromium.hosts() == {urlsplit(shop_url).netloc}
    assert chromium.run("return [localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]

    chromium.open_docs(shop_url)
    forgotten, _ = Operation(chromium, "GET", "/api/users/me").execute()
    assert forgotten == 401


def test_the_examples_of_the_page_work_as_they_stand(chromium, shop_url, sql):
    chromium.open_docs(shop_url)

    registered, _ = Operation(chromium, "POST", "/api/users/register").execute()
    logged_in, _ = Operation(chromium, "POST", "/api/users/login").execute()

    assert (registered, logged_in) == (201, 200)


def test_a_link_leads_to_one_operation(chromium, shop_url):
    chromium.open(shop_url + "/docs#/Service/getHealth")

    chromium.one(".opblock.is-open")

    assert shown(chromium, ".opblock.is-open") == [("GET", "/api/health")]


def test_nothing_hangs_over_on_a_telephone(chromium, shop_url, make):
    make.product()
    chromium.open_docs(shop_url, NARROW)
    closed = chromium.overhang()
    chromium.run(OPEN_THE_FIRST)
    chromium.run("document.querySelector('.models-control').click()")
    Operation(chromium, "GET", "/api/products").execute()

    assert chromium.run("return window.innerWidth") == NARROW
    assert (closed, chromium.overhang()) == (0, 0)


def test_the_first_page_is_whole_on_a_telephone(chromium, shop_url):
    chromium.open(shop_url, NARROW)

    assert chromium.one("h1").text == "An e-commerce API"
    assert chromium.run("return getComputedStyle(document.querySelector('.bar')).backgroundColor") == "rgb(122, 31, 61)"
    assert chromium.overhang() == 0
    assert chromium.complaints() == []
    assert chromium.hosts() == {urlsplit(shop_url).netloc}


@pytest.mark.parametrize("width", [NARROW, 1280])
def test_an_unknown_page_is_whole_and_leads_to_the_api(chromium, shop_url, width):
    chromium.open(shop_url + "/nowhere", width)

    assert chromium.one("h1").text == "There is nothing at this address"
    assert chromium.overhang() == 0
    assert [said for said in chromium.complaints() if "404 (Not Found)" not in said] == []

    chromium.click(chromium.one("a.button"))
    assert chromium.until(lambda: chromium.run("return location.pathname")) == "/docs"


def test_a_page_refuses_what_its_policy_refuses(chromium, shop_url):
    """That the other tests see no violation means something only if one is seen here."""
    chromium.open(shop_url)

    chromium.run("const made = document.createElement('script'); made.text = '1'; document.body.append(made)")

    assert chromium.until(lambda: chromium.run("return window.refused")) == ["script-src-elem"]


# Pages of other origins


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page of a front end's own server."""

    def do_GET(self):
        page = b"<!doctype html><title>A front end</title>"
        self.send_response(200)
        if self.path == "/isolated":  # such a page shows only what allows it (HTML, 7.1.4)
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture(scope="module")
def fronts():
    """The origins of two pages elsewhere: one for CORS_ORIGINS, and one that is not listed."""
    both = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) for _ in range(2)]
    for one in both:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{one.server_port}" for one in both]
    for one in both:
        one.shutdown()
        one.server_close()


@pytest.fixture(scope="module")
def broken(accounts, fronts, tmp_path_factory):
    """A real server of the shop with one route that breaks, for pages of the first origin."""
    variables = {"DATABASE_URL": as_url(accounts.application), "CORS_ORIGINS": fronts[0], "PYTHONPATH": str(ROOT)}
    with servers(tmp_path_factory.mktemp("broken")) as start:
        yield start(program=[sys.executable, str(ROOT / "tests" / "broken_shop.py")], **variables)


@pytest.fixture
def listed(chromium, fronts):
    """The browser on a page whose origin is in CORS_ORIGINS."""
    chromium.open(fronts[0])
    return chromium


@pytest.fixture
def unlisted(chromium, fronts):
    """The browser on a page whose origin is not."""
    chromium.open(fronts[1])
    return chromium


def code_of(seen):
    """Return status and code of an error that a page read."""
    return seen["status"], json.loads(seen["text"])["error"]["code"]


def test_a_listed_page_fills_and_reads_a_cart(listed, broken, make):
    product = make.product(price="2.50", stock=9)
    headers = {"Session-ID": "browser-cart", "Content-Type": "application/json"}
    body = json.dumps({"product_id": product, "quantity": 2})

    added = listed.fetch(f"{broken.url}/api/cart/items", method="POST", headers=headers, body=body)
    cart = listed.fetch(f"{broken.url}/api/cart", headers={"Session-ID": "browser-cart"})
    gone = listed.fetch(f"{broken.url}/api/cart", method="DELETE", headers={"Session-ID": "browser-cart"})

    assert (added["status"], cart["status"], gone["status"]) == (201, 200, 200)
    assert json.loads(cart["text"])["data"]["total"] == 5
    broken.wait_for(r"method=OPTIONS path=/api/cart status=204")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/products/99", (404, "NOT_FOUND")),
        ("/nowhere", (404, "NOT_FOUND")),
        ("/api/products?perpage=1", (400, "VALIDATION_ERROR")),
        ("/api/users/me", (401, "AUTHENTICATION_REQUIRED")),
        ("/api/broken", (500, "INTERNAL_ERROR")),
    ],
)
def test_a_listed_page_reads_what_went_wrong(listed, broken, sql, path, expected):
    seen = listed.fetch(broken.url + path)

    assert code_of(seen) == expected
    assert seen["headers"]["x-request-id"]
    assert "only the log" not in seen["text"]


def test_what_a_page_was_told_of_a_crash_is_found_in_the_log(listed, broken):
    seen = listed.fetch(f"{broken.url}/api/broken", headers={"X-Request-ID": "from-a-browser"})

    assert (seen["status"], seen["headers"]["x-request-id"]) == (500, "from-a-browser")
    broken.wait_for(r"a bug in GET /api/broken.*request_id=from-a-browser|request_id=from-a-browser")


def test_a_listed_page_asks_only_for_what_has_changed(listed, broken, make):
    url = f"{broken.url}/api/products/{make.product()}"

    first = listed.fetch(url)
    again = listed.fetch(url, headers={"If-None-Match": first["headers"]["etag"]})

    assert (first["status"], again["status"], again["text"]) == (200, 304, "")
    assert again["headers"]["etag"] == first["headers"]["etag"]


def test_a_listed_page_logs_in_and_sends_its_token(listed, broken, sql):
    kind = {"Content-Type": "application/json"}
    login = json.dumps({name: ACCOUNT[name] for name in ("email", "password")})

    made = listed.fetch(f"{broken.url}/api/users/register", method="POST", headers=kind, body=json.dumps(ACCOUNT))
    session = listed.fetch(f"{broken.url}/api/users/login", method="POST", headers=kind, body=login)
    token = json.loads(session["text"])["data"]["token"]
    me = listed.fetch(f"{broken.url}/api/users/me", headers={"Authorization": f"Bearer {token}"})

    assert made["headers"]["location"].startswith("/api/users/")
    assert json.loads(me["text"])["data"]["username"] == "alice"


SHOW = """const [address, base, done] = arguments;
const shown = document.body.appendChild(new Image());
shown.onload = () => done([shown.naturalWidth, shown.naturalHeight]);
shown.onerror = () => done("not shown");
shown.src = new URL(address, base);"""


@pytest.mark.parametrize("page", ["/", "/isolated"])
def test_any_page_shows_the_pictures_of_products(chromium, fronts, broken, page):
    *_, image = next(seed_catalogue.products(1))[:5]
    chromium.open(fronts[1] + page)

    assert chromium.driver.execute_async_script(SHOW, image, broken.url) == [800, 800]
    assert chromium.driver.execute_async_script(SHOW, "/images/v1/none.svg", broken.url) == "not shown"
    assert chromium.run("return [crossOriginIsolated, isSecureContext]")[0] is False


def test_a_picture_by_itself_is_drawn_whole_under_its_policy(chromium, broken):
    chromium.open(broken.url + "/images/v1/two-person-tent-l523-stone-grey.svg")

    assert chromium.run("return document.title") == "Two-Person Tent L523, Stone Grey"
    widths = chromium.run("return [...document.querySelectorAll('text')].map(text => text.getBBox().width)")
    assert len(widths) == 2 and all(200 < width < 760 for width in widths)
    assert chromium.complaints() == []


@pytest.mark.parametrize("path", ["/api/health", "/api/products/99", "/api/broken", "/nowhere"])
def test_a_page_that_is_not_listed_reads_nothing(unlisted, broken, sql, path):
    assert unlisted.fetch(broken.url + path) == {"error": "TypeError"}


def test_a_page_that_is_not_listed_changes_nothing(unlisted, broken, make, sql):
    product = make.product()
    headers = {"Session-ID": "stolen", "Content-Type": "application/json"}
    body = json.dumps({"product_id": product, "quantity": 1})

    seen = unlisted.fetch(f"{broken.url}/api/cart/items", method="POST", headers=headers, body=body)

    assert seen == {"error": "TypeError"}
    assert sql("SELECT COUNT(*) AS count FROM cart_items")[0]["count"] == 0
