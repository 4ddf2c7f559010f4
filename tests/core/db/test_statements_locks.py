"""The locks of sql/: what each of them keeps from others, and what stays free; two connections, one after the other.

A statement that would have to wait says NOWAIT and is refused at once, so that no test waits.
"""

import contextlib
from datetime import UTC, datetime

import pytest
from test_products_csv import take_in

from core.db.database import DatabaseError, Session
from core.db.drivers import connect, number
from core.db.statement import LOCKS
from core.db.statements import Statements
from core.setup.system import ROOT

STATEMENTS = {statement.name: statement for statement in Statements(ROOT / "sql")}
KEYS = {"known_words": "word"}  # of tables whose key is not an id
BUSY = {1205, 3572}  # what NOWAIT is told by MariaDB, by MySQL
WRITE, READ = "FOR UPDATE", "LOCK IN SHARE MODE"

# statement → how it is called with the ids of `rows`, which rows of which table it locks, and against what
LOCKED = {
    "categories/lock_many": (
        lambda db, ids: db.many("categories/lock_many", ids=f"[{ids['categories'][0]}]"),
        ("categories", (0,), (WRITE,)),
    ),
    "categories/lock": (
        lambda db, ids: db.one("categories/lock", id=ids["categories"][0]),
        ("categories", (0,), (WRITE, READ)),
    ),
    "imports/lock": (lambda db, ids: db.one("imports/lock"), ("import_parts", (0,), (WRITE, READ))),
    "imports/next": (lambda db, ids: db.one("imports/next"), ("import_parts", (1,), (WRITE, READ))),
    "orders/lock": (
        lambda db, ids: db.one("orders/lock", number="AAAAA-00001"),
        ("orders", (1,), (WRITE, READ)),
    ),
    "orders/lock_cart": (
        lambda db, ids: db.many("orders/lock_cart", session_id="s"),
        ("products", (0, 1), (WRITE, READ)),
    ),
    "password_resets/lock_account": (
        lambda db, ids: db.one(
            "password_resets/lock_account", email="u1", requested_at=datetime(2037, 1, 1, tzinfo=UTC), ttl=60
        ),
        ("users", (1,), (WRITE, READ)),
    ),
    "products/lock": (
        lambda db, ids: db.one("products/lock", id=ids["products"][1]),
        ("products", (1,), (WRITE, READ)),
    ),
    "products/lock_many": (
        lambda db, ids: db.many("products/lock_many", ids=f"[{ids['products'][2]}, {ids['products'][0]}]"),
        ("products", (0, 2), (WRITE, READ)),
    ),
    "products/lock_known_words": (
        lambda db, ids: db.many("products/lock_known_words", after="w0", limit=1),
        ("known_words", (1,), (WRITE, READ)),
    ),
    "products/lock_zones_until": (
        lambda db, ids: db.one("products/lock_zones_until"),
        ("word_zones_until", (0,), (WRITE, READ)),
    ),
    "seed/lock_products": (lambda db, ids: db.one("seed/lock_products"), ("products", (0, 1, 2, 3), (WRITE, READ))),
    "sessions/add": (
        lambda db, ids: db.run(
            "sessions/add", token_hash="0a", user_id=ids["users"][0], email="u0", verified="*", ttl=60, address="::1"
        ),
        ("users", (0,), (WRITE, READ)),
    ),
    "webhooks/count_before": (
        lambda db, ids: db.one("webhooks/count_before", id=ids["webhooks"][1]),
        ("webhooks", (0,), (WRITE,)),
    ),
    "webhooks/lock": (
        lambda db, ids: db.one("webhooks/lock", id=ids["webhooks"][1]),
        ("webhooks", (1,), (WRITE, READ)),
    ),
    "users/lock": (lambda db, ids: db.one("users/lock", id=ids["users"][1]), ("users", (1,), (WRITE, READ))),
}


@pytest.fixture
def rows(sql, make):
    """Some rows of everything that is locked: {table: [id, …]}."""
    products, others = make.products(3), make.products(1)
    for session, product in (("s", products[0]), ("s", products[1]), ("t", others[0])):
        make.cart(session, product)
    for n in range(2):
        sql("INSERT INTO import_parts (user_id, user_name, document) VALUES (1, 'a', '[]')")
        sql("INSERT INTO users (username, email, password_hash) VALUES (%s, %s, '*')", [f"u{n}", f"u{n}"])
        sql("INSERT INTO known_words (word) VALUES (%s)", [f"w{n}"])
        sql("INSERT INTO webhooks (url, topics, salt) VALUES (%s, '[]', 's')", [f"https://w{n}.example"])
        make.category(f"c{n}")
        make.order(number=f"AAAAA-0000{n}")
    tables = (
        "categories",
        "import_parts",
        "known_words",
        "orders",
        "products",
        "users",
        "webhooks",
        "word_zones_until",
    )
    keys = {table: KEYS.get(table, "id") for table in tables}
    yield {table: [row[key] for row in sql(f"SELECT {key} FROM {table} ORDER BY {key}")] for table, key in keys.items()}
    sql("DELETE FROM import_parts WHERE id > 1")


def refused(cursor, table, id, kind):
    """Return whether this lock of a row would have to wait for somebody."""
    if "MariaDB" not in cursor.connection.get_server_info():
        kind = kind.replace(READ, "FOR SHARE")  # the older words take no NOWAIT there
    cursor.execute("START TRANSACTION")
    try:
        key = KEYS.get(table, "id")
        cursor.execute(f"SELECT {key} FROM {table} WHERE {key} = %s {kind} NOWAIT", [id])
    except DatabaseError as error:
        assert number(error) in BUSY, error
        return True
    finally:
        cursor.execute("ROLLBACK")
    return False


def test_every_lock_of_sql_is_tested_here():
    assert set(LOCKED) == {name for name, statement in STATEMENTS.items() if LOCKS.search(statement.body)}


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_keeps_others_from_its_rows_until_the_end_and_from_no_others(accounts, rows, name):
    run, (table, wanted, kinds) = LOCKED[name]
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(connect(accounts.owner, 10, scripts=True)) for _ in range(2))
        cursor = stack.enter_context(theirs.cursor())
        db = Session(stack.enter_context(ours.cursor()), Statements(ROOT / "sql"))
        ask = lambda: {  # noqa: E731
            kind: [n for n, id in enumerate(rows[table]) if refused(cursor, table, id, kind)] for kind in (WRITE, READ)
        }

        run(db, rows)
        during = ask()
        ours.rollback()
        afterwards = ask()

    assert during == {kind: list(wanted) if kind in kinds else [] for kind in (WRITE, READ)}
    assert afterwards == {WRITE: [], READ: []}


# What the shop does with them


def test_of_two_changes_to_one_state_of_a_product_the_second_is_refused(client, root, make, meanwhile):
    path = f"/api/products/{make.product(stock=1)}"
    matching = {**root, "If-Match": client.get(path).headers["ETag"]}
    second = meanwhile("products/get_any", lambda: client.put_json(path, {"price": 2}, headers=matching).status_int)

    first = client.put_json(path, {"name": "First"}, headers=matching).status_int

    assert (first, second()) == (200, 412)


def test_two_changes_of_one_category_at_once_are_both_kept(client, root, make, meanwhile):
    path = f"/api/categories/{make.category('Old')}"
    second = meanwhile("categories/lock", lambda: client.put_json(path, {"description": "Light."}, headers=root))

    client.put_json(path, {"name": "New"}, headers=root)
    second()

    after = client.get(path).json["data"]
    told = [entry["before"]["name"] for entry in client.get("/api/audit", headers=root).json["data"]["items"]]
    assert (after["name"], after["description"]) == ("New", "Light.")
    assert told == ["New", "Old"]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["id", "name", "one"])
def test_a_category_is_not_deleted_under_products_that_are_coming(client, root, make, meanwhile, sql, by):
    id = make.category("Lamps")
    deleting = meanwhile(
        "categories/lock_many", lambda: client.delete(f"/api/categories/{id}", headers=root).status_int
    )

    if by == "one":
        client.post_json("/api/products", {"name": "Lamp", "price": 5, "category_id": id}, headers=root)
    else:
        column, cell = ("category", "Lamps") if by == "name" else ("category_id", id)
        take_in(client, root, f"name,price,{column}\nLamp,5,{cell}\n")

    assert deleting() == 409
    assert sql("SELECT category_id FROM products") == [{"category_id": id}]
