"""`server.py purge`: what is over goes, what is in use stays."""

import json
import re
import threading

import pytest
from helpers import BY_HAND, as_url, at_once, command, register

from commands.purge import (
    purge_beats,
    purge_carts,
    purge_keys,
    purge_messages,
    purge_missed,
    purge_resets,
    purge_sessions,
    purge_words,
)
from core.db import drivers
from core.db.database import Database
from core.db.statements import Statements
from core.setup.system import ROOT
from resources.products_fields import DEFAULTS
from resources.products_words import words_kept

DAY = 86400


@pytest.fixture
def db(accounts, sql):
    """The database as the command uses it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


def cart(make, sql, session, days, *products, **columns):
    """Make a cart that was changed last so many days ago."""
    make.cart(session, *products)
    set_columns = "".join(f", {name} = {value}" for name, value in columns.items())
    sql(
        f"UPDATE carts SET updated_at = CURRENT_TIMESTAMP - INTERVAL %s DAY{set_columns} WHERE session_id = %s",
        [days, session],
    )


def carts_in(sql, table="carts"):
    """Return whose carts are left."""
    return [row["session_id"] for row in sql(f"SELECT DISTINCT session_id FROM {table} ORDER BY session_id")]


def test_carts_of_guests_go_whole_when_nobody_changed_them_for_long(db, make, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 2)  # several batches
    tea, cup = make.product(), make.product()
    for session, days in (("old", 31), ("older", 99), ("oldest", 500), ("new", 1), ("edge", 29)):
        cart(make, sql, session, days, tea, cup)
    cart(make, sql, "empty", 31)

    removed = purge_carts(db, 30 * DAY)

    assert removed == 4
    assert carts_in(sql) == carts_in(sql, "cart_items") == ["edge", "new"]


def test_carts_of_accounts_stay(db, client, make, sql):
    id = register(client).json["data"]["id"]
    cart(make, sql, "own", 500, make.product(), user_id=id)

    assert purge_carts(db, 30 * DAY) == 0
    assert carts_in(sql, "cart_items") == ["own"]


def test_a_cart_that_is_changed_while_it_would_go_stays_with_its_lines(db, accounts, make, sql):
    tea = make.product()
    cart(make, sql, "back", 99, tea)

    with drivers.connect(accounts.owner, 10) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("UPDATE carts SET version = version + 1 WHERE session_id = 'back'")  # as each change does
        purging = threading.Thread(target=purge_carts, args=[db, 30 * DAY])
        purging.start()
        purging.join(0.3)
        connection.commit()
    purging.join()

    assert carts_in(sql, "cart_items") == ["back"]


def test_answers_to_idempotency_keys_go_after_a_day(db, sql):
    for number, hours in enumerate((23, 25, 300)):
        sql(
            "INSERT INTO idempotency_keys (id, fingerprint, created_at) "
            "VALUES (%s, '', CURRENT_TIMESTAMP - INTERVAL %s HOUR)",
            [str(number), hours],
        )

    assert purge_keys(db) == 2
    assert sql("SELECT COUNT(*) AS n FROM idempotency_keys") == [{"n": 1}]


def test_the_rows_of_hosts_that_read_from_no_replica_any_more_go_after_a_day(db, sql):
    for id, hours in enumerate((23, 25, 300)):
        sql("INSERT INTO replica_beats VALUES (%s, 1, CURRENT_TIMESTAMP - INTERVAL %s HOUR)", [id, hours])

    assert purge_beats(db) == 2
    assert sql("SELECT id FROM replica_beats") == [{"id": 0}]
    sql("DELETE FROM replica_beats")


def test_delivered_messages_go_after_a_week_and_dead_letters_after_90_days(db, sql):
    for state, days in (("delivered", 6), ("delivered", 8), ("dead", 89), ("dead", 91), ("waiting", 999)):
        ended = "CURRENT_TIMESTAMP" if state != "waiting" else "NULL"
        sql(
            "INSERT INTO outbox (message_id, receiver, topic, payload, state, created_at, ended_at) "
            "VALUES (%s, 'mail a@b.example', 't', '{}', %s, CURRENT_TIMESTAMP - INTERVAL 999 DAY, "
            f"{ended} - INTERVAL %s DAY)",
            [f"{state} {days}", state, days],
        )

    removed = purge_messages(db)

    assert removed == 2
    left = sql("SELECT message_id FROM outbox ORDER BY id")
    assert [row["message_id"] for row in left] == ["delivered 6", "dead 89", "waiting 999"]


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


@pytest.mark.slow
def test_the_command_says_how_many(accounts, make, sql):
    cart(make, sql, "old", 99, make.product())

    done = command("purge", DATABASE_URL=as_url(accounts.application), CART_TTL="30d")

    assert (done.returncode, done.stdout.strip()) == (
        0,
        "0 sessions, 0 password resets, 1 carts, 0 idempotency keys, 0 messages, "
        "0 words that no product has and 0 searches without a hit removed.",
    )


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        ("idempotency_keys/purge", "ix_idempotency_keys_created"),
        ("password_resets/purge", "ix_password_resets_expires"),
        ("missed_searches/purge", "ix_missed_searches_last"),
        ("outbox/purge", "ix_outbox_ended"),
        ("sessions/purge_expired", "ix_sessions_expires"),
        ("sessions/purge_idle", "ix_sessions_last_used"),
    ],
)
def test_purging_goes_by_index(sql, accounts, statement, key):
    text = re.sub(r"/\*\+.*?\*/ ", "", Statements(ROOT / "sql")[statement].text)  # without hints for MySQL
    table = re.search(r"DELETE FROM (\w+)", text)[1]
    text = text.replace(f"DELETE FROM {table}", f"SELECT 1 FROM {table} FORCE INDEX ({key})")

    plan = sql(f"EXPLAIN FORMAT=TRADITIONAL {text}", {"age": 5, "idle": 5, "limit": 9, "state": "dead"})

    assert plan[0]["key"] == key
    assert "filesort" not in (plan[0]["Extra"] or "")


# Words


def sold(database, sql, *names):
    """Sell products with these names, as the shop does."""

    def work(db):
        with words_kept(db, []) as added:
            for name in names:
                added.append(db.add("products/add", **DEFAULTS, name=name, price=1))
        return added

    return database.transaction(work)


def words_in(sql):
    return [row["word"] for row in sql("SELECT word FROM known_words ORDER BY word")]


def test_words_that_no_product_has_any_more_go_and_the_others_stay(db, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 3)  # several batches
    sold(db, sql, "desk lamp", "red lamp")
    sql("INSERT INTO known_words (word) VALUES " + ", ".join(f"('a{n}'), ('z{n}')" for n in range(5)))

    removed = purge_words(db)

    assert removed == 10
    assert words_in(sql) == ["desk", "lamp", "red"]
    assert purge_words(db) == 0


def test_words_of_products_that_are_added_meanwhile_stay(db, sql):
    """Words come and go while products with them do: in the end each word of a product is known."""
    names = [f"w{n % 7} w{n % 5} w{n % 3}" for n in range(60)]
    BY_HAND.add("product_words")  # products without their words
    over = threading.Event()

    def add(part):
        for name in part:
            ids = [id for id in sold(db, sql, name) if id % 3 == 0]
            db.transaction(lambda own, ids=ids: own.run("products/remove_words", ids=json.dumps(ids)))

    def purge():
        while not over.is_set():
            purge_words(db)

    purger = threading.Thread(target=purge)
    purger.start()
    try:
        at_once([lambda part=names[n::4]: add(part) for n in range(4)])
    finally:
        over.set()
        purger.join()

    used = {row["word"] for row in sql("SELECT DISTINCT word FROM product_words")}
    assert used and used <= set(words_in(sql))
    purge_words(db)
    assert used == set(words_in(sql))


def test_tokens_of_password_resets_that_have_expired_go(db, client, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 2)
    id = register(client).json["data"]["id"]
    for n, minutes in enumerate((-90, -1, 0, 5)):
        sql(
            "INSERT INTO password_resets (message_id, user_id, token_hash, expires_at) "
            "VALUES (%s, %s, %s, CURRENT_TIMESTAMP + INTERVAL %s MINUTE)",
            [f"m{n}", id, f"{n}", minutes],
        )

    assert purge_resets(db) == 3
    assert sql("SELECT message_id FROM password_resets") == [{"message_id": "m3"}]


def test_searches_without_a_hit_go_after_90_days_and_all_over_a_bound(db, sql, monkeypatch):
    monkeypatch.setattr("commands.purge.BATCH", 2)
    monkeypatch.setattr("commands.purge.MOST_MISSED", 3)
    for words, searches, days in (("past", 9, 91), ("a", 9, 89), ("b", 1, 5), ("c", 2, 5), ("d", 3, 5), ("e", 1, 0)):
        sql(
            "INSERT INTO missed_searches (words, searches, first_day, last_day) "
            "VALUES (%s, %s, CURRENT_DATE - INTERVAL 99 DAY, CURRENT_DATE - INTERVAL %s DAY)",
            [words, searches, days],
        )

    assert purge_missed(db) == 3
    assert [row["words"] for row in sql("SELECT words FROM missed_searches ORDER BY words")] == ["c", "d", "e"]
