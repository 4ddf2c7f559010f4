"""`server.py seed`: products that look real, and no row is replaced without a yes."""

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from helpers import as_url, command, environment, is_one_sentence

from commands import seed, seed_catalogue, seed_orders
from core.cli import CommandError
from core.config import Config
from core.db.database import DatabaseError, Session
from core.db.drivers import connect
from core.db.migrator import Migrator
from core.setup.system import ROOT
from resources import images

COLUMNS = (
    "id",
    "name",
    "description",
    "price",
    "image_url",
    "category_id",
    "stock_quantity",
    "is_active",
    "created_at",
)


@pytest.fixture(scope="module")
def believable():
    """Two thousand products as dicts."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in seed_catalogue.products(2000)]


def counts(sql):
    """Return how many products, categories and cart lines there are."""
    (row,) = sql(
        "SELECT (SELECT COUNT(*) FROM products) AS products, (SELECT COUNT(*) FROM categories) AS categories,"
        " (SELECT COUNT(*) FROM cart_items) AS cart_lines"
    )
    return tuple(row.values())


# The catalogue


def test_the_same_number_gives_the_same_products():
    assert list(seed_catalogue.products(300)) == list(seed_catalogue.products(300))


def test_the_first_product_is_the_same_in_every_version():
    first = dict(zip(COLUMNS, next(seed_catalogue.products(1)), strict=True))

    assert (first["name"], first["price"], first["created_at"]) == (
        "Arcadia Compact Laptop A368, Black",
        "750.99",
        "2026-01-10 18:59:05",
    )


def test_a_larger_catalogue_begins_with_the_smaller_one():
    assert list(seed_catalogue.products(300))[:50] == list(seed_catalogue.products(50))


def test_ids_count_from_one(believable):
    assert [product["id"] for product in believable] == list(range(1, 2001))


def test_prices_are_above_zero_with_two_decimals_and_fit_their_column(believable):
    for product in believable:
        assert re.fullmatch(r"[0-9]+\.[0-9]{2}", product["price"])
        assert Decimal("0") < Decimal(product["price"]) <= Decimal("99999999.99")


def test_names_fit_their_column_and_hardly_repeat(believable):
    names = [product["name"] for product in believable]

    assert all(0 < len(name) <= 255 and name == name.strip() for name in names)
    assert len(set(names)) > 0.99 * len(names)


def test_no_gap_of_a_template_is_left_open(believable):
    for product in believable:
        assert not re.search(r"[{}]|\bNone\b", product["name"] + product["description"] + product["image_url"])


def test_descriptions_are_sentences_that_do_not_say_the_same_thing_twice(believable):
    for product in believable:
        sentences = product["description"].rstrip(".").split(". ")
        assert product["description"].endswith(".") and ".." not in product["description"]
        assert len(set(sentences)) == len(sentences)


def test_every_product_has_a_picture_that_the_shop_serves(believable, client):
    for product in believable[:500]:
        answer = client.get(product["image_url"])
        assert (answer.status_int, answer.content_type) == (200, "image/svg+xml")

    paths = {product["image_url"] for product in believable}
    assert all(re.fullmatch(r"/images/v1/[a-z0-9-]+\.svg", path) for path in paths)


def test_the_picture_is_of_what_the_product_is_called(believable, client):
    for product in believable[:50]:
        thing, model, colour = re.fullmatch(r".* (\S+) ([A-Z]\d{3}), (.*)", product["name"]).groups()
        title = ElementTree.fromstring(client.get(product["image_url"]).body).find("{*}title").text
        assert title.endswith(f"{thing} {model}, {colour}") and f" {title}" in product["name"]


def test_everything_that_is_seeded_can_be_drawn():
    things = {thing.name for kind in seed_catalogue.KINDS for thing in kind.things}

    assert things == set(images.ICONS)
    assert set(seed_catalogue.COLOURS) == set(images.COLOURS)


def test_there_are_twelve_categories_and_each_has_products(believable):
    rows = seed_catalogue.categories()

    assert len(rows) == len({name for _, name, _ in rows}) == 12
    assert {product["category_id"] for product in believable} == {id for id, _, _ in rows}


def test_some_are_withdrawn_some_are_sold_out_and_most_are_on_sale(believable):
    withdrawn = sum(not product["is_active"] for product in believable)
    sold_out = sum(product["stock_quantity"] == 0 for product in believable)

    assert 0.02 < withdrawn / 2000 < 0.08
    assert 0.03 < sold_out / 2000 < 0.12
    assert all(product["stock_quantity"] >= 0 for product in believable)


def test_products_came_in_over_time(believable):
    days = {product["created_at"][:10] for product in believable}

    assert len(days) > 500
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", product["created_at"]) for product in believable)


# Filling


def test_filling_puts_all_products_in_also_when_the_last_batch_is_not_full(sql, accounts, monkeypatch):
    monkeypatch.setattr(seed, "BATCH", 60)

    seed.fill(accounts.owner, 250)

    assert counts(sql) == (250, 12, 0)
    (last,) = sql("SELECT name, price, created_at, updated_at FROM products WHERE id = 250")
    expected = dict(zip(COLUMNS, list(seed_catalogue.products(250))[-1], strict=True))
    assert last["name"] == expected["name"]
    assert f"{last['price']}" == expected["price"]
    assert str(last["created_at"]) == str(last["updated_at"]) == expected["created_at"]


def test_filling_says_what_it_does(sql, accounts, capsys):
    seed.fill(accounts.owner, 20)

    assert capsys.readouterr().out.splitlines() == [
        "Filling the catalogue with 20 products. Until it is done, it stays as it is; Ctrl-C leaves it so.",
        "The catalogue has 20 products in 12 categories.",
    ]


def test_products_added_later_get_ids_of_their_own(sql, accounts, make):
    seed.fill(accounts.owner, 20)

    assert make.product() > 20


def test_the_account_that_serves_may_not_replace_the_catalogue_and_is_told_whose_login_to_use(sql, accounts):
    if accounts.application == accounts.owner:
        pytest.skip("TEST_DATABASE_URL is an account that may do all")
    seed.fill(accounts.owner, 20)

    done = command("seed", "--products", "10", "--yes", DATABASE_URL=as_url(accounts.application))

    assert done.returncode == 1
    assert "command denied to user" in done.stderr and is_one_sentence(done.stderr)
    assert "Give this command the login of the database's owner." in done.stderr
    assert counts(sql) == (20, 12, 0)


def after(monkeypatch, name, act):
    """Let `act()` happen each time after a statement of this name has changed rows."""
    plainly = Session.run

    def run(session, statement, /, **params):
        count = plainly(session, statement, **params)
        if statement == name:
            act()
        return count

    monkeypatch.setattr(Session, "run", run)


@pytest.mark.slow
def test_what_is_put_into_carts_meanwhile_is_not_in_the_way(sql, make, accounts, monkeypatch):
    mine = make.product("Mine")

    def put():
        with contextlib.suppress(DatabaseError), connect(accounts.owner, 2) as other, other.cursor() as cursor:
            cursor.execute("INSERT INTO cart_items (session_id, product_id) VALUES ('s', %s)", [mine])

    after(monkeypatch, "seed/clear_cart_items", put)

    seed.fill(accounts.owner, 30, clear=True)

    assert counts(sql) == (30, 12, 0)


def test_where_others_are_in_the_way_all_of_it_is_done_again(sql, make, accounts, monkeypatch):
    mine, others = make.category(), []

    def put():
        if not others:
            others.append(make.product(category_id=mine))

    after(monkeypatch, "seed/clear_products", put)

    seed.fill(accounts.owner, 30, clear=True)

    assert counts(sql) == (30, 12, 0)


def test_where_others_are_in_the_way_for_good_a_sentence_says_so_and_nothing_is_changed(
    sql, make, accounts, monkeypatch
):
    mine = make.category()
    after(monkeypatch, "seed/clear_products", lambda: make.product("Mine", category_id=mine))

    with pytest.raises(CommandError, match="Nothing was changed here; try again later"):
        seed.fill(accounts.owner, 30, clear=True)

    assert counts(sql) == (seed.TRIES, 1, 0)


@pytest.mark.parametrize("statement", ["seed/clear_products", "seed/add_categories", "seed/add_products"])
def test_until_it_is_done_all_is_as_it_was_also_when_it_is_broken_off(sql, make, accounts, monkeypatch, statement):
    product = make.product("Mine", category_id=make.category())
    make.cart("s", product)
    seen = []

    def break_off():
        seen.append(counts(sql))
        raise KeyboardInterrupt

    after(monkeypatch, statement, break_off)

    with pytest.raises(KeyboardInterrupt):
        seed.fill(accounts.owner, 30, clear=True)

    assert [*seen, counts(sql)] == [(1, 1, 1), (1, 1, 1)]


# Orders


def test_orders_are_added_with_lines_history_and_payments_and_their_amounts_agree(sql, accounts, capsys):
    seed.fill(accounts.owner, 20)
    sql("INSERT INTO users (username, email, password_hash) VALUES ('ada', 'ada@example.com', '*')")

    seed.add_orders(accounts.owner, 600, "EUR")
    seed.add_orders(accounts.owner, 5, "EUR")

    assert sql("SELECT COUNT(*) AS n, COUNT(user_id) > 0 AS own FROM orders") == [{"n": 605, "own": 1}]
    assert capsys.readouterr().out.splitlines()[-2:] == ["Added 600 orders.", "Added 5 orders."]
    lines = "SELECT SUM(unit_price * quantity) FROM order_items WHERE order_id = o.id"
    assert not sql(f"SELECT id FROM orders AS o WHERE total <> ({lines})")
    pieces = "SELECT SUM(quantity) FROM order_items WHERE order_id = o.id"
    assert not sql(f"SELECT id FROM orders AS o WHERE item_count <> ({pieces})")
    captured = "SELECT COALESCE(SUM(amount), 0) FROM payments WHERE order_id = o.id AND status = 'captured'"
    assert not sql(f"SELECT id FROM orders AS o WHERE paid <> ({captured})")
    assert not sql("SELECT id FROM orders WHERE (user_id IS NULL) <> (token_hash IS NOT NULL) OR email IS NULL")


def test_seeded_orders_are_in_every_state_and_those_that_wait_expire_later(sql, accounts):
    seed.fill(accounts.owner, 20)

    seed.add_orders(accounts.owner, 2000, "EUR")

    cases = sql("SELECT status, payment_status, COUNT(*) AS n FROM orders GROUP BY status, payment_status")
    shares = {(case["status"], case["payment_status"]): case["n"] / 20 for case in cases}
    assert shares.keys() == {(status, payment_status) for _, status, payment_status, *_ in seed_orders.CASES}
    assert all(share / 3 < shares[status, payment] < share * 3 for share, status, payment, *_ in seed_orders.CASES)
    assert not sql("SELECT id FROM orders WHERE placed_at > CURRENT_TIMESTAMP OR expires_at < CURRENT_TIMESTAMP")
    open_ones = "status = 'placed' AND payment_status <> 'paid'"
    assert not sql(f"SELECT id FROM orders WHERE ({open_ones}) <> (expires_at IS NOT NULL)")


def test_orders_need_products(sql, accounts):
    with pytest.raises(CommandError, match=r"too little to be ordered\. First type: python3 server\.py seed"):
        seed.add_orders(accounts.owner, 5, "EUR")


@pytest.mark.slow
def test_the_command_adds_orders_and_leaves_the_catalogue_alone(sql, make, accounts):
    make.products(4)

    done = command("seed", "--orders", "7", DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stdout, done.stderr) == (0, "Added 7 orders.\n", "")
    assert (counts(sql), sql("SELECT COUNT(*) AS n FROM orders")) == ((4, 0, 0), [{"n": 7}])


# The command


@pytest.mark.slow
def test_ctrl_c_leaves_the_catalogue_that_there_was(sql, make, accounts):
    make.product("Mine", category_id=make.category())
    filling = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "seed", "--yes", "--products", "200000"],
        env=environment(DATABASE_URL=as_url(accounts.owner)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    adding = "SELECT id FROM information_schema.processlist WHERE info LIKE '/* seed/add_products */%'"
    deadline = time.monotonic() + 30
    while not sql(adding) and time.monotonic() < deadline:
        time.sleep(0.02)

    filling.send_signal(signal.SIGINT)
    out, err = filling.communicate(timeout=60)

    assert (filling.returncode, "Traceback" in err) == (130, False)
    assert "Ctrl-C leaves it so." in out
    assert counts(sql) == (1, 1, 0)


@pytest.mark.slow
def test_an_empty_catalogue_is_filled_without_asking(sql, accounts):
    done = command("seed", "--products", "30", DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stderr) == (0, "")
    assert counts(sql) == (30, 12, 0)


@pytest.mark.slow
def test_a_catalogue_with_rows_is_left_alone_where_nobody_can_answer(sql, make, accounts):
    make.product("Mine")

    done = command("seed", DATABASE_URL=as_url(accounts.owner), input="y\n")

    assert done.returncode == 1
    assert "if you mean it: python3 server.py seed --yes" in done.stderr
    assert "The catalogue has 1 products in 0 categories" in done.stderr
    assert "Traceback" not in done.stderr
    assert [row["name"] for row in sql("SELECT name FROM products")] == ["Mine"]


@pytest.mark.slow
def test_yes_replaces_catalogue_and_carts(sql, make, accounts):
    product = make.product("Mine", category_id=make.category())
    make.cart("s", product)

    done = command("seed", "--products", "30", "--yes", DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stderr) == (0, "")
    assert counts(sql) == (30, 12, 0)
    assert not sql("SELECT id FROM products WHERE name = 'Mine'")


@pytest.mark.parametrize(("answer", "products"), [("y", 5), (" YES", 5), ("n", 1), ("", 1), ("j", 1)])
def test_it_replaces_a_catalogue_only_after_a_yes(sql, make, accounts, monkeypatch, answer, products):
    make.product("Mine")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    with contextlib.nullcontext() if products == 5 else pytest.raises(CommandError, match=r"Nothing was changed\."):
        seed.run(argparse.Namespace(products=5, orders=None, yes=False), Config(database=accounts.owner), None)

    assert counts(sql)[0] == products


@pytest.mark.parametrize("number", ["0", "-5", "abc", "1.5", "10000001", "", "٣", "1_000"])
def test_a_number_that_makes_no_sense_gives_a_sentence(number):
    with pytest.raises(CommandError) as refused:
        seed.count(number)

    assert str(refused.value) == f"--products is {number!r}; wanted is a whole number from 1 to 10000000."
    assert refused.value.code == 2


def test_the_command_line_refuses_such_a_number_with_exit_status_2(accounts):
    done = command("seed", "--products", "0", DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--products is '0'; wanted is a whole number from 1 to 10000000.\n"


@pytest.mark.slow
def test_without_tables_it_says_which_command_makes_them(sql, accounts):
    migrator = Migrator(accounts.owner, lambda line: None)
    while migrator.down():
        pass
    try:
        done = command("seed", DATABASE_URL=as_url(accounts.owner))
    finally:
        migrator.up()

    assert done.returncode == 1
    assert done.stderr == "The tables are not there yet, or not all of them. Type: python3 server.py migrate\n"
