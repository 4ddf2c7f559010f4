"""`server.py purge`: what is over goes, what is in use stays."""

import threading

import pytest
from helpers import as_url, command

from commands.purge import purge_carts, purge_sessions
from core.db.database import Database, Session
from core.db.statements import Statements
from core.setup.system import ROOT

DAY = 86400


@pytest.fixture
def db(accounts, sql):
    """The database as the command uses it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


def line(sql, session, product, days):
    """Put a line into a cart that was touched so many days ago."""
    sql(
        "INSERT INTO cart_items (session_id, product_id, quantity, created_at, updated_at) "
        "VALUES (%s, %s, 1, '2020-01-01', CURRENT_TIMESTAMP - INTERVAL %s DAY)",
        [session, product, days],
    )


def sessions_of_carts(sql):
    """Return whose carts are left."""
    return [row["session_id"] for row in sql("SELECT DISTINCT session_id FROM cart_items ORDER BY session_id")]


def test_carts_go_whole_and_only_when_none_of_their_lines_was_touched(db, make, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 2)  # several batches
    tea, cup = make.product(), make.product()
    for session, tea_days, cup_days in (
        ("old", 31, 40),
        ("older", 99, 98),
        ("half", 31, 1),
        ("new", 1, 2),
        ("edge", 29, 29),
    ):
        line(sql, session, tea, tea_days)
        line(sql, session, cup, cup_days)

    removed = purge_carts(db, 30 * DAY)

    assert removed == 2
    assert sessions_of_carts(sql) == ["edge", "half", "new"]
    assert sql("SELECT COUNT(*) AS n FROM cart_items WHERE session_id = 'half'") == [{"n": 2}]


def test_sessions_go_when_over_or_unused(db, client, sql):
    body = {"username": "alice", "email": "a@example.com", "password": "Correct-Horse-7"}
    id = client.post_json("/api/users/register", body).json["data"]["id"]
    for name, used, expires in (("expired", 0, -1), ("idle", 2 * DAY, 9), ("fine", 10, 9)):
        sql(
            "INSERT INTO sessions (token_hash, user_id, last_used_at, expires_at) VALUES (%s, %s, "
            "CURRENT_TIMESTAMP - INTERVAL %s SECOND, CURRENT_TIMESTAMP + INTERVAL %s SECOND)",
            [name, id, used, expires * 1000],
        )

    removed = purge_sessions(db, DAY)

    assert removed == 2
    assert sql("SELECT token_hash FROM sessions") == [{"token_hash": "fine"}]


def test_a_cart_that_is_touched_meanwhile_stays(db, accounts, make, sql):
    tea, cup = make.product(), make.product()
    line(sql, "back", tea, 99)
    found = threading.Event()
    real = db.transaction

    def between(work):
        result = real(work)
        if not found.is_set():  # after the stale lines are read, before their cart is locked
            found.set()
            line(sql, "back", cup, 0)
        return result

    db.transaction = between

    assert purge_carts(db, 30 * DAY) == 0
    assert sessions_of_carts(sql) == ["back"]


def test_a_line_that_comes_while_its_cart_is_removed_stays(db, make, sql, monkeypatch):
    tea, cup = make.product(), make.product()
    line(sql, "back", tea, 99)
    plainly = Session.many

    def between(session, statement, /, **params):
        rows = plainly(session, statement, **params)
        if statement == "cart/lock":
            line(sql, "back", cup, 0)
        return rows

    monkeypatch.setattr(Session, "many", between)

    purge_carts(db, 30 * DAY)

    assert sql("SELECT product_id FROM cart_items") == [{"product_id": cup}]


def test_purging_goes_past_a_batch_of_lines_of_one_second(db, make, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 2)
    products = make.products(6)
    for product in products:
        line(sql, "in-use", product, 0)
    sql("UPDATE cart_items SET updated_at = '2020-01-01' WHERE product_id <> %s", [products[-1]])
    line(sql, "old", products[0], 31)
    plainly, batches = db.transaction, []

    def counted(work):
        batches.append(work)
        assert len(batches) < 20, "the same lines are read again and again"
        return plainly(work)

    db.transaction = counted

    assert purge_carts(db, 30 * DAY) == 1
    assert sessions_of_carts(sql) == ["in-use"]


@pytest.mark.slow
def test_the_command_says_how_many(accounts, make, sql):
    line(sql, "old", make.product(), 99)

    done = command("purge", DATABASE_URL=as_url(accounts.application), CART_TTL="30d")

    assert (done.returncode, done.stdout.strip()) == (0, "0 sessions and 1 carts removed.")


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        ("cart/stale_lines", "ix_cart_items_updated"),
        ("sessions/purge_expired", "ix_sessions_expires"),
        ("sessions/purge_idle", "ix_sessions_last_used"),
    ],
)
def test_purging_goes_by_index(sql, accounts, statement, key):
    text = Statements(ROOT / "sql")[statement].text.replace("DELETE FROM sessions", "SELECT expires_at FROM sessions")
    text = text.replace("cart_items\n", f"cart_items FORCE INDEX ({key})\n").replace(
        "FROM sessions", f"FROM sessions FORCE INDEX ({key})"
    )

    plan = sql(
        f"EXPLAIN FORMAT=TRADITIONAL {text}", {"age": 5, "idle": 5, "limit": 9, "after_time": None, "after_id": None}
    )

    assert plan[0]["key"] == key
    assert "filesort" not in (plan[0]["Extra"] or "")
