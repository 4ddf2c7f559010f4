"""`server.py check --data`: each invariant is seen when it is broken, and none of them in a shop that sells."""

import contextlib
import pathlib
import re
import threading
import uuid

import pytest
from helpers import CHECKS, TABLES, as_url, at_once, command, login, register

from commands import check_data, seed
from core.db import drivers

PRODUCT = {"name": "Desk lamp", "price": 10, "stock_quantity": 50}
LEFT = ("order_items", "order_history", "cart_items", "sessions")  # rows whose owner is gone


def key():
    """Return a new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def ordered(client, product, quantity=2, session=None):
    """Order some pieces as a guest, at 10 each; return the order's address and the headers that open it."""
    cart = {"Session-ID": session or uuid.uuid4().hex}
    client.post_json("/api/cart/items", {"product_id": product, "quantity": quantity}, headers=cart)
    body = {"expected_total": 10 * quantity, "email": "ada@example.com", "note": "Please ring."}
    data = client.post_json("/api/orders", body, headers={**cart, **key()}).json["data"]
    return f"/api/orders/{data['number']}", {"Order-Token": data["access_token"]}


def paid(client, product, **how):
    """Order, and pay by the dummy."""
    address, opened = ordered(client, product, **how)
    answer = client.post_json(f"{address}/payments", {"provider": "dummy"}, headers=opened)
    assert answer.json["data"]["status"] == "captured"
    return address, opened


@pytest.fixture
def product(client, root):
    """A product that an administrator has added by the shop."""
    return client.post_json("/api/products", PRODUCT, headers=root).json["data"]["id"]


@pytest.fixture
def scene(client, root, product):
    """A shop with orders that wait, are paid, partly refunded, canceled and fulfilled, a cart, and an account."""
    ordered(client, product)
    partly, _ = paid(client, product)
    client.post_json(f"{partly}/refunds", {"amount": 5}, headers={**root, **key()})
    canceled, opened = paid(client, product)
    client.post_json(f"{canceled}/cancel", {}, headers=opened)
    fulfilled, _ = paid(client, product)
    client.post_json(f"{fulfilled}/fulfil", {}, headers=root)
    client.post_json("/api/cart/items", {"product_id": product, "quantity": 1}, headers={"Session-ID": "a-cart"})
    register(client, "ada")
    login(client, "ada")


@pytest.fixture
def by_hand(accounts, sql):
    """`by_hand(*statements)`: run them without foreign keys; keys that went are there again after the test."""
    maria = "MariaDB" in sql("SELECT VERSION() AS v")[0]["v"]
    repairs = []

    def without(cursor, name, table):
        """Take a key or a constraint off a table; return what puts it back."""
        if name.startswith("ck_"):
            if not maria:
                cursor.execute(f"ALTER TABLE {table} ALTER CHECK {name} NOT ENFORCED")
            return "DO 0" if maria else f"ALTER TABLE {table} ALTER CHECK {name} ENFORCED"
        made = sql(f"SHOW CREATE TABLE {table}")[0]["Create Table"]
        cursor.execute(f"ALTER TABLE {table} DROP KEY {name}")
        return f"ALTER TABLE {table} ADD {re.search(rf'UNIQUE KEY `{name}` [^,]*[)]', made)[0]}"

    def run(*statements):
        with contextlib.closing(drivers.connect(accounts.owner, 10)) as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            if maria:
                cursor.execute("SET check_constraint_checks = 0")
            for statement in statements:
                guard, _, change = statement.rpartition(": ")
                if guard:
                    repairs.append(without(cursor, *guard.split()))
                sql(f"DO 0 /* {change} */")  # helpers.BY_HAND learns what is changed
                cursor.execute(change)
            connection.commit()

    yield run
    with contextlib.closing(drivers.connect(accounts.owner, 10)) as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for table in (*LEFT, *TABLES):
            cursor.execute(f"DELETE FROM {table}")
        connection.commit()
        for repair in repairs:
            cursor.execute(repair)


def found(accounts):
    """Return {check: rows} of the checks that find something."""
    return {
        pathlib.Path(check.path).stem: rows for check, rows in check_data.violations(accounts.owner, CHECKS) if rows
    }


OF_PAID = "(SELECT id FROM (SELECT MIN(id) AS id FROM orders WHERE payment_status = 'paid') AS o)"
BREAKS = {
    "stock_below_zero": ["ck_products_stock products: UPDATE products SET stock_quantity = -1"],
    "stock_against_audit": [
        "UPDATE orders SET placed_at = placed_at - INTERVAL 1 HOUR",
        "UPDATE audit_entries SET created_at = created_at - INTERVAL 2 HOUR",
        "UPDATE products SET stock_quantity = stock_quantity + 1",
    ],
    "products_without_category": ["UPDATE products SET category_id = 99"],
    "cart_lines_without_cart": ["DELETE FROM carts"],
    "carts_too_large": [
        "INSERT INTO products (name, price) VALUES " + ", ".join(["('Tea', 1)"] * 101),
        "INSERT INTO cart_items (session_id, product_id) SELECT 'a-cart', id FROM products WHERE name = 'Tea'",
    ],
    "order_sums": [f"UPDATE orders SET total = total + 0.01 WHERE id = {OF_PAID}"],
    "order_paid": [f"UPDATE payments SET status = 'declined' WHERE order_id = {OF_PAID}"],
    "order_refunded": ["UPDATE refunds SET status = 'failed' WHERE reason = 'requested'"],
    "order_payment_status": [f"UPDATE orders SET payment_status = 'refunded' WHERE id = {OF_PAID}"],
    "order_history": ["DELETE FROM order_history WHERE what = 'fulfilled'"],
    "order_expiry": ["UPDATE orders SET expires_at = NULL WHERE payment_status = 'unpaid'"],
    "order_restocked": [
        "UPDATE order_items SET restocked = 1 WHERE order_id IN (SELECT id FROM orders WHERE status = 'canceled')"
    ],
    "order_rows_without_order": ["DELETE FROM orders WHERE status = 'fulfilled'"],
    "payment_winners": [
        "uq_payments_won payments: INSERT INTO payments (order_id, provider, status, amount, currency) "
        f"SELECT id, 'manual', 'captured', total, currency FROM orders WHERE id = {OF_PAID}"
    ],
    "payment_amounts": [f"UPDATE payments SET amount = amount + 1 WHERE order_id = {OF_PAID}"],
    "late_payments": [
        "INSERT INTO payments (order_id, provider, status, amount, currency) "
        f"SELECT id, 'manual', 'late', total, currency FROM orders WHERE id = {OF_PAID}"
    ],
    "refunds_above_payment": ["UPDATE refunds SET amount = 20.01 WHERE reason = 'canceled'"],
    "rows_of_removed_users": ["DELETE FROM users WHERE username = 'ada'"],
    "orders_of_removed_users": ["UPDATE orders SET token_hash = NULL"],
    "unfinished_keys": ["UPDATE idempotency_keys SET answer = NULL"],
    "outbox_states": ["UPDATE outbox SET state = 'dead'"],
    "words_of_products": ["DELETE FROM product_words WHERE word = 'lamp'"],
    "words_left_over": ["UPDATE products SET is_active = 0"],
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named_and_was_sound_before(accounts, scene, by_hand, name):
    before = found(accounts)

    by_hand(*BREAKS[name])

    assert before == {}
    assert found(accounts)[name]


def test_every_check_has_a_break_here_and_says_what_to_do():
    names = [pathlib.Path(check.path).stem for check in CHECKS]

    assert sorted(names) == sorted(BREAKS)
    for check in CHECKS:
        assert (
            "What to do: " in check.header.title and check.returns == "many" and check.reads_only and not check.params
        )
        assert check.body.endswith(f"LIMIT {check_data.MOST + 1}") and "ORDER BY" in check.body, check.path


def test_stock_that_cannot_be_told_is_not_judged(accounts, scene, sql):
    """An order within two minutes of the last entry: which one came first is not known by the second."""
    sql("UPDATE products SET stock_quantity = stock_quantity + 1")

    assert "stock_against_audit" not in found(accounts)


def test_the_stock_follows_from_the_audit_trail_and_the_orders_since(accounts, scene, sql):
    sql("UPDATE audit_entries SET created_at = created_at - INTERVAL 1 HOUR")

    assert found(accounts) == {}


@pytest.mark.slow
def test_a_healthy_shop_under_load_gives_no_false_alarm(accounts, client, root, product):
    client.post_json(f"/api/products/{product}/stock", {"change": 10_000}, headers=root)
    over, alarms, looks = threading.Event(), [], []

    def sell(number):
        for turn in range(12):
            address, opened = (paid if turn % 2 else ordered)(client, product, quantity=1 + turn % 3)
            if turn % 3 == 0:
                client.post_json(f"{address}/cancel", {}, headers=opened)
            if turn % 4 == 1:
                client.post_json(f"{address}/refunds", {"amount": 5}, headers={**root, **key()})
            client.put_json(f"/api/products/{product}", {"name": f"Lamp {number} {turn}"}, headers=root)

    def look():
        while not over.is_set():
            looks.append(1)
            if wrong := found(accounts):
                alarms.append(wrong)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        at_once([lambda number=number: sell(number) for number in range(6)])
    finally:
        over.set()
        looking.join()

    assert alarms == [] and len(looks) > 5


def test_the_command_says_each_violation_with_its_rows_and_fails(accounts, client, product, sql):
    for _ in range(12):
        ordered(client, product, quantity=1)
    sound = command("check", "--data", DATABASE_URL=as_url(accounts.owner))
    sql("UPDATE orders SET item_count = 7")

    broken = command("check", "--data", DATABASE_URL=as_url(accounts.owner))

    last = f"{len(CHECKS)} checks of the data at {accounts.owner.place}: "
    assert (sound.returncode, sound.stdout.splitlines()[-1]) == (0, f"{last}all right.")
    assert (broken.returncode, broken.stdout.splitlines()[-1]) == (1, f"{last}1 found something.")
    first, *rows, more = broken.stdout.splitlines()[-13:-1]
    assert first.startswith("checks/order_sums.sql: 12 found. Orders whose total is not the sum of their lines")
    assert "What to do: " in first and more == "    …" and len(rows) == check_data.SHOWN
    assert all(
        re.fullmatch(r"    number=\S{11}, total=10.00, sum_of_lines=10.00, item_count=7, pieces=1", row) for row in rows
    )


def test_a_seeded_shop_has_nothing_to_be_found(accounts, sql):
    seed.fill(accounts.owner, 50)
    seed.add_orders(accounts.owner, 300, "EUR")

    assert sql("SELECT COUNT(*) > 5 AS n FROM refunds") == [{"n": 1}]
    assert found(accounts) == {}


def test_the_checks_change_nothing_and_see_one_moment(accounts, make, sql):
    make.product(stock=1)

    with check_data.snapshot(accounts.owner) as cursor:
        sql("UPDATE products SET stock_quantity = 5")
        cursor.execute("SELECT stock_quantity AS n FROM products")
        seen = cursor.fetchall()
        with pytest.raises(drivers.DatabaseError, match=r"(?i)read.only"):
            cursor.execute("UPDATE products SET stock_quantity = 9")

    assert list(seen) == [{"n": 1}]
