"""Edits that break a statement, and where each is noticed: by --reload, SIGHUP and start, by `check` and its options.

What has another form than its header says is refused everywhere. What has the right form and another meaning is in use
at once; `check --compare` shows it, beside the released version. What is only slower is seen there, and by `--plans`.
"""

import contextlib
import re
import shutil
import signal

import pytest
from helpers import as_url, copy_program, empty_tables, eventually, execute, options, servers

from commands import check, check_comparison, check_templates, seed
from core.config import Config
from core.setup.system import ROOT

CATEGORY, CART = "categories/get", "cart/clear"
BODY = "SELECT c.id, c.name, c.description, c.created_at\nFROM categories AS c\n"
REFUSED = {  # what an edit does → the file, the edit, the line that is named, and what is said of it
    "syntax": (CATEGORY, "FROM categories", "FORM categories", "13", "syntax error near"),
    "unknown column": (CATEGORY, "c.description,", "c.describes AS description,", "12", "Unknown column"),
    "unknown table": (CATEGORY, "FROM categories", "FROM category", "13", "no table category|category' doesn't exist"),
    "unknown index": (CATEGORY, "AS c\n", "AS c FORCE INDEX (ix_none)\n", "13", "ix_none"),
    "parameter that is not declared": (CATEGORY, "%(id)s", "%(number)s", "14", "parameter number is not declared"),
    "parameter that is not used": (CATEGORY, "--   id\n", "--   id\n--   name\n", "1", "name is declared and not used"),
    "column removed": (CATEGORY, "c.description,", "", "12", "does not return description, which"),
    "column renamed": (CATEGORY, "c.name,", "c.name AS title,", "12", "returns title, which .* does not return name"),
    "column added": (
        CATEGORY, "c.created_at\nFROM categories AS c\n",
        "c.created_at, u.password_hash\nFROM categories AS c\nJOIN users AS u ON u.id = c.id\n",
        "12", "returns password_hash, which '-- columns:' does not declare",
    ),
    "another type": (CATEGORY, "SELECT c.id,", "SELECT CONCAT(c.id, '') AS id,", "12", "id is .*, and .* declares INT"),
    "nullable": (CATEGORY, "c.name,", "NULLIF(c.name, 'x') AS name,", "12", r"name is VARCHAR\(100\) NULL, and "),
    "another table changes": (CART, "DELETE FROM cart_items", "DELETE FROM carts", "4", "statement changes carts, and"),
    "change behind a join": (
        CART, "DELETE FROM cart_items\nWHERE session_id",
        "DELETE i, c FROM cart_items AS i JOIN carts AS c USING (session_id)\nWHERE c.session_id", "4",
        "the statement changes cart_items, carts, and",
    ),
}  # fmt: skip


def edit(folder, name, old, new):
    """Edit a file there, and return its path and what it was."""
    path = folder / "sql" / f"{name}.sql"
    text = path.read_text()
    assert old in text, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new))
    return path, text


@contextlib.contextmanager
def edited(folder, name, old, new):
    """Have a file edited there for a moment."""
    path, text = edit(folder, name, old, new)
    try:
        yield path
    finally:
        path.write_text(text)


def named(what):
    """Return the pattern of the line that says what is wrong with an edit of REFUSED."""
    name, _, _, line, said = REFUSED[what]
    return rf"sql/{name}\.sql:{line}: .*(?:{said})"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The folder of a copy of the program, for all tests of this file."""
    return copy_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def shop_with(accounts, program, tmp_path_factory):
    """`shop_with(*words)`: a real server of the copy, with a category and a cart; the same for the same words."""
    empty_tables(accounts.owner)
    execute(accounts.owner, "INSERT INTO categories (id, name) VALUES (1, 'Lamps')")
    execute(accounts.owner, "INSERT INTO carts (session_id, version) VALUES ('cart', 1)")
    running = {}
    with servers(tmp_path_factory.mktemp("servers"), program) as start:

        def begin(*words):
            if words not in running:
                running[words] = start("--workers", "1", *words, DATABASE_URL=as_url(accounts.application))
            return running[words]

        begin.fresh = lambda: start("--workers", "1", wait=False, DATABASE_URL=as_url(accounts.application))
        yield begin
    empty_tables(accounts.owner)


def ask(real, name):
    """Send the request that runs this statement."""
    if name == CATEGORY:
        return real.request("/api/categories/1")
    return real.request("/api/cart", "DELETE", Session_ID="cart")


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_reload_refuses_it_and_the_last_good_version_serves(shop_with, program, what):
    real = shop_with("--reload")
    name, old, new, *_ = REFUSED[what]
    assert ask(real, name).status == 200

    with edited(program, name, old, new):
        answer = ask(real, name)
        real.wait_for(named(what) + ".*; the last good version stays in use")

    assert answer.status == 200
    assert ask(real, name).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_sighup_refuses_it_and_the_last_good_version_serves(shop_with, program, what):
    real = shop_with()
    name, old, new, *_ = REFUSED[what]
    before = real.log

    with edited(program, name, old, new):
        real.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: "SIGHUP changes nothing" in real.log.removeprefix(before)), real.log
        answer = ask(real, name)

    assert re.search(f"SIGHUP changes nothing: .*{named(what)}", real.log.removeprefix(before)), real.log
    assert answer.status == 200


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_the_start_refuses_it(shop_with, program, what):
    name, old, new, *_ = REFUSED[what]

    with edited(program, name, old, new):
        real = shop_with.fresh()
        real.wait_for(named(what), 60)
        ended = eventually(lambda: real.process.poll() is not None, 1)
        answer = None if ended else eventually(lambda: real.request("/api/ready").status == 503)
        real.stop()

    assert answer or real.process.returncode == 1  # what only the server can tell: not ready until it is put right


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A folder with a copy of sql/, without the templates, which would have to be edited, too."""
    folder = tmp_path_factory.mktemp("copied")
    shutil.copytree(ROOT / "sql", folder / "sql", ignore=shutil.ignore_patterns("*.template"))
    for path in (folder / "sql").glob("*/*.sql"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(check_templates.NOTE)))
    return folder


@pytest.fixture
def checked(copied, monkeypatch, capsys):
    """`checked(accounts, name, edits, **options)`: `check NAME` on an edited copy of sql/; its status and output."""
    monkeypatch.setattr(check, "ROOT", copied)
    monkeypatch.setattr(check_comparison, "TRIES", 2)

    def run(accounts, name, edits, **given):
        capsys.readouterr()
        with contextlib.ExitStack() as stack:
            for old, new in edits:
                stack.enter_context(edited(copied, name, old, new))
            status = check.run(options(check, files=[name], **given), Config(database=accounts.owner), None)
        return status, capsys.readouterr().out

    return run


@pytest.mark.parametrize("what", REFUSED)
def test_check_names_it_with_file_and_line_and_so_does_check_compare(checked, accounts, what):
    name, old, new, *_ = REFUSED[what]

    for given in ({}, {"compare": str(ROOT)}):
        status, output = checked(accounts, name, [(old, new)], **given)

        assert status == 1
        assert re.search(f"^{named(what)}", output, re.M), output


OTHER = {  # what has the right form: what an edit does → the file, the edits, and the lines that show it
    "LIMIT gone": (
        "sessions/list", [("\nLIMIT %(limit)s", ""), ("WHERE user_id", "WHERE %(limit)s > 0 AND user_id")], ["rows"],
    ),
    "LIMIT huge": (
        "products/list_price",
        [("LIMIT %(limit)s OFFSET", "LIMIT 1000000 OFFSET"), ("WHERE is_active", "WHERE %(limit)s > 0 AND is_active")],
        ["rows"],
    ),
    "filter gone": ("products/count", [("in_stock = %(in_stock)s)", "in_stock = %(in_stock)s OR 1 = 1)")], ["row"]),
    "filter neutralised": ("users/taken", [("id <> %(id)s", "id <> -%(id)s")], ["rows"]),
    "wrong order": (
        "products/list_newest", [("ORDER BY created_at DESC, id DESC", "ORDER BY created_at, id DESC")], ["row"],
    ),
    "order of ties": ("products/list_newest", [("page.id DESC", "page.id")], ["order by"]),
    "price × 1.1": (
        "products/list_price", [("p.price, p.image", "CAST(p.price * 1.1 AS DECIMAL(10, 2)) AS price, p.image")],
        [r"row id \d+: price"],
    ),
    "withdrawn products shown": ("products/list_name", [("is_active = 1", "is_active >= 0")], ["row"]),
    "a withdrawn product shown": ("products/get", [("  AND p.is_active = 1", "")], ["rows +0 +1"]),
    "join that fans out": (
        "orders/get", [("FROM orders AS o\n", "FROM orders AS o\nJOIN payments AS p ON p.order_id = o.id\n")], ["rows"],
    ),
    "OR id > 0": (
        "cart/clear", [("WHERE session_id = %(session_id)s", "WHERE session_id = %(session_id)s OR id > 0")],
        ["rows changed +4 +16", "cart_items in all +4 removed +16 removed"],
    ),
    "another sign": (
        "orders/take_stock", [("stock_quantity - i.quantity", "stock_quantity + i.quantity")],
        [r"products \d+ +.*stock_quantity 5 → 1.* +.*stock_quantity 5 → 9"],
    ),
    "lock gone": ("orders/lock", [("\nFOR UPDATE", "")], ["locks +FOR UPDATE +–"]),
}  # fmt: skip


@pytest.fixture
def shop(request, accounts):
    """The tests' database: with what `server.py seed` makes, or without a row, as the test asks for."""
    there = execute(accounts.owner, "SELECT COUNT(*) AS n FROM products") == [{"n": 300}]
    if request.param == "seeded shop" and not there:
        empty_tables(accounts.owner)
        seed.fill(accounts.owner, 300)
        seed.add_orders(accounts.owner, 100, "EUR")
    elif request.param == "empty shop":
        empty_tables(accounts.owner)
    return accounts


@pytest.mark.parametrize("what", OTHER)
@pytest.mark.parametrize("shop", ["seeded shop", pytest.param("empty shop", marks=pytest.mark.slow)], indirect=True)
def test_check_lets_it_pass_and_check_compare_shows_it(checked, shop, what):
    name, edits, begins = OTHER[what]
    plain, _ = checked(shop, name, edits)

    status, output = checked(shop, name, edits, compare=str(ROOT))

    assert plain == 0
    assert status == 1, output
    for begin in begins:
        assert re.search(f"^    {begin}", output, re.M), output


SLOWER = {  # what is only slower: the file, the edits, what `check --plans` says
    "another index": (
        "products/list_price",
        [("FORCE INDEX (ix_products_price, ix_products_category_price)", "FORCE INDEX (ix_products_newest)")],
        "filesort on products",
    ),
    "full scan": ("users/login_by_email", [("WHERE email = ", "WHERE CONCAT(email, '') = ")], "full scan of users"),
    "sort": ("products/list_newest", [("ORDER BY created_at", "ORDER BY created_at + 0")], "filesort on products"),
    "100 times slower": (
        "products/get", [("WHERE p.id =", "WHERE (SELECT COUNT(q.image_url) FROM products AS q) > 0 AND p.id =")],
        "full scan of (?:q|products)",
    ),
}  # fmt: skip
LARGE = 12_000  # products and orders: what --plans wants, and some more


@pytest.fixture(scope="module")
def large(accounts):
    """The tests' database with as many rows as `check --plans` wants."""
    empty_tables(accounts.owner)
    seed.fill(accounts.owner, LARGE)
    seed.add_orders(accounts.owner, LARGE, "EUR")
    execute(
        accounts.owner,
        "INSERT INTO users (username, email, password_hash) SELECT id, CONCAT(id, '@a.example'), '*' FROM products",
    )
    execute(accounts.owner, "ANALYZE TABLE products, orders, users")
    yield accounts
    empty_tables(accounts.owner)


@pytest.mark.slow
@pytest.mark.parametrize("what", SLOWER)
def test_what_is_only_slower_is_seen_by_check_plans_and_by_check_compare(checked, large, what):
    name, edits, said = SLOWER[what]

    plans, planned = checked(large, name, edits, plans=True)
    status, output = checked(large, name, edits, compare=str(ROOT))

    assert plans == 1 and re.search(said, planned), planned
    assert status == 1, output
    assert re.search(r"^    rows read +\d+ +\d+$", output, re.M), output
