"""README's commands, as they stand, on a fresh shop: the tour, then /docs, then the typed client, with one account."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Operation
from helpers import command, environment, servers

from core.setup.system import ROOT, program

README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = "8080"  # of README; curl and node find the shop of the tests there
ACCOUNT = {"username": "alice", "email": "alice@example.com", "password": "Blue-Door-42"}
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".data", ".env", "node_modules", "__pycache__", ".*_cache")
CURL = """silent
connect-to = "localhost:{readme}:127.0.0.1:{port}"
write-out = "\\n%{{stderr}}%{{http_code}} %{{method}} %{{url_effective}}\\n"
"""
NODE = """const asked = fetch;
globalThis.fetch = (request, ...more) =>
  asked(new Request(request.url.replace(":{readme}/", ":{port}/"), request), ...more);
"""
pytestmark = pytest.mark.slow


def commands(title):
    """Return the commands that stand under a heading of README, as a script."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", README, re.M | re.S)[1]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


class Reader:
    """Somebody with a copy of the program, a shop of it that was started with nothing, and a shell."""

    def __init__(self, home, shop):
        self.home, self.url = home, shop.url
        (home / ".curlrc").write_text(CURL.format(readme=PORT, port=shop.port))
        (home / "port.mjs").write_text(NODE.format(readme=PORT, port=shop.port))
        self._variables = environment(
            HOME=str(home), PATH=f"{Path(sys.executable).parent}:{environment()['PATH']}", NODE_OPTIONS=self._preload
        )

    @property
    def _preload(self):
        return f"--import={(self.home / 'port.mjs').as_uri()}"

    def types(self, script):
        """Run a script of bash; return its output, and what was asked and answered: [(status, method, path)]."""
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.home, env=self._variables, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        asked = re.findall(rf"^(\d+) (\w+) \S*?localhost:{PORT}(\S+)$", done.stderr, re.M)
        numbered = re.compile(r"(?<=/orders/)[^/]+")  # another one each time
        return done.stdout, [(int(status), method, numbered.sub("N", path)) for status, method, path in asked]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader of README for whom `python3 server.py` has done everything."""
    if not (program("curl") and program("mariadbd")):
        pytest.skip("needs curl and mariadbd")
    home = tmp_path_factory.mktemp("reader") / "bodega"
    shutil.copytree(ROOT, home, ignore=NOT_COPIED)
    with servers(home.parent, home) as start:
        yield Reader(home, start())
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def tour(reader):
    """What README's tour and the management of the catalogue, in one shell, printed and asked."""
    return reader.types(commands("A tour") + "\n" + commands("Manage the catalogue"))


def answers(printed):
    """Return the JSON among the lines that were printed."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def is_public(operation):
    """Whether an operation of the API document can be called without an account, by anybody or by who has a cart."""
    return operation and all(not {"bearer", "order"} & set(way) for way in operation["security"][:1])


def cart_of(reader):
    """Return the cart of the tour."""
    return answers(reader.types(f"curl -H 'Session-ID: my-cart' localhost:{PORT}/api/cart")[0])[0]["data"]


def test_the_tour_does_what_it_says_on_a_fresh_shop(tour):
    printed, asked = tour

    assert asked == [
        (200, "GET", "/api/products?search=wireless&max_price=100&sort=price&per_page=2"),
        (200, "GET", "/api/products/2"),
        (201, "POST", "/api/cart"),
        (201, "POST", "/api/cart/items"),
        (200, "GET", "/api/cart"),
        (201, "POST", "/api/users/register"),
        (200, "POST", "/api/users/login"),
        (200, "GET", "/api/users/me"),
        (201, "POST", "/api/cart/items"),
        (200, "GET", "/api/cart"),
        (201, "POST", "/api/orders"),
        (201, "POST", "/api/orders/N/payments"),
        (200, "GET", "/api/orders/N"),
        (400, "GET", "/api/products?perpage=5"),
        (200, "GET", "/api/products/export"),
        (200, "POST", "/api/products/import?dry_run=true"),
    ]
    found, product, opened, _, cart, _, me, _, payment, order, error, dry_run = answers(printed)
    assert len(found["data"]["items"]) == 2
    assert opened["data"]["session_id"]
    assert cart["data"]["session_id"] == "my-cart"
    assert cart["data"]["total"] == pytest.approx(3 * product["data"]["price"])
    assert me["data"]["username"] == "alice"
    assert "alice is an administrator now." in printed
    assert payment["data"]["status"] == "captured"
    assert (order["data"]["payment_status"], order["data"]["total"]) == ("paid", product["data"]["price"])
    assert dry_run["success"] is True
    assert error["error"]["message"] in README
    assert (error["error"]["code"], error["error"]["details"]["field"]) == ("VALIDATION_ERROR", "perpage")


def test_the_tour_can_be_taken_again(reader, tour):
    before = cart_of(reader)["item_count"]

    _, asked = reader.types(commands("A tour"))

    differing = {path: status for status, _, path in asked if (status, path) not in {(s, p) for s, _, p in tour[1]}}
    assert differing == {"/api/users/register": 409}  # alice is there, and logs in
    assert cart_of(reader)["item_count"] == before + 3


def test_every_public_get_of_docs_can_be_tried_on_a_fresh_shop(reader, chromium):
    chromium.open_docs(reader.url)
    paths = json.loads(chromium.fetch("/api/openapi.json")["text"])["paths"]
    chromium.authorize(cart="my-cart")

    tried = {path: Operation(chromium, "GET", path).execute()[0] for path in paths if is_public(paths[path].get("get"))}

    assert {"/api/products", "/api/products/{id}", "/api/categories/{id}", "/api/shop", "/api/cart"} <= set(tried)
    assert tried == dict.fromkeys(tried, 200)


def test_docs_goes_on_with_the_account_and_the_cart_of_the_tour(reader, tour, chromium):
    before = cart_of(reader)["item_count"]
    chromium.open_docs(reader.url)

    registered, _ = Operation(chromium, "POST", "/api/users/register").execute()
    logged_in, session = Operation(chromium, "POST", "/api/users/login").execute()
    chromium.authorize(bearer=session["data"]["token"])
    opened, own = Operation(chromium, "POST", "/api/cart").execute()
    chromium.authorize(cart=own["data"]["session_id"])
    known, me = Operation(chromium, "GET", "/api/users/me").execute()
    added, _ = Operation(chromium, "POST", "/api/cart/items").execute()
    shown, cart = Operation(chromium, "GET", "/api/cart").execute()

    assert registered == 409  # since the tour
    assert (logged_in, opened, known, added, shown) == (200, 201, 200, 201, 200)
    assert me["data"]["username"] == "alice"
    assert cart["data"]["item_count"] == before + 3


def test_the_typed_client_is_built_and_goes_shopping_as_alice(reader, tour):
    if not (program("node") and program("npm")):
        pytest.skip("needs node and npm")

    printed, asked = reader.types(commands("Call it from your front end"))

    assert asked == [(200, "GET", "/api/openapi.json")]
    assert "logged in: alice <alice@example.com>" in printed


def test_commands_can_be_pasted_into_every_shell():
    """The shell of macOS takes a # that is typed for a word, not for a comment."""
    for title in ("Start", "A tour", "Call it from your front end", "Manage the catalogue", "How fast"):
        assert "#" not in commands(title)


def test_everything_that_is_shown_has_the_same_account():
    operations = json.loads(command("openapi").stdout)["paths"]
    register, login = (
        operations[f"/api/users/{name}"]["post"]["requestBody"]["content"]["application/json"]["example"]
        for name in ("register", "login")
    )
    sample = (ROOT / "tests/client/shopper.ts").read_text(encoding="utf-8")

    assert register == ACCOUNT
    assert login == {"username": "alice", "password": ACCOUNT["password"], "session_id": "my-cart"}
    assert set(re.findall(r'"password": "([^"]+)"', README)) == {ACCOUNT["password"]}
    assert f'username = "{ACCOUNT["username"]}", password = "{ACCOUNT["password"]}"' in sample
