"""Delivery of the outbox: once, in order, again after a failure, and one receiver never for another."""

import json
import threading
import time

import pytest
from helpers import eventually

from core import outbox
from core.db import drivers
from core.db.database import Database
from core.db.statements import Statements
from core.outbox import Definite, Temporary
from core.setup.system import ROOT
from resources import outbox_delivery
from resources.outbox_delivery import Delivering, delay_after


@pytest.fixture
def db(accounts, sql):
    """The database as the chores use it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


class Wire:
    """A channel that notes what it is given; `answers`: address → what is done there."""

    def __init__(self, threads=4, **answers):
        self.threads = threads
        self.answers = answers
        self.sent = []  # (address, topic, message_id, attempt)

    def prepare(self, db, delivery):
        """Return what notes the delivery."""

        def deliver():
            self.sent.append((delivery.address, delivery.topic, delivery.message_id, delivery.attempt))
            if answer := self.answers.get(delivery.address):
                answer()

        return deliver

    @property
    def topics(self):
        return [topic for _, topic, _, _ in self.sent]


def told(db, *messages):
    """Write messages, each (receiver, topic), in one transaction."""
    rows = [(outbox.event(topic, {})[0], receiver, topic, "{}") for receiver, topic in messages]
    db.transaction(lambda session: session.run("outbox/add", messages=outbox.document(*rows)))


def until_idle(delivering, db, seconds=20):
    """Run the chore until nothing is under way."""
    deadline = time.monotonic() + seconds
    while delivering.run(db):
        assert time.monotonic() < deadline


def rows(sql, columns="topic, state, attempts, error"):
    return sql(f"SELECT {columns} FROM outbox ORDER BY id")


def refuse(error):
    """Return a function that raises this."""

    def answer():
        raise error

    return answer


def test_each_receiver_gets_its_messages_once_and_in_order(db, sql):
    told(db, *((f"wire {n % 3}", f"t{n}") for n in range(30)))
    wire = Wire()

    until_idle(Delivering({"wire": wire}), db)

    for receiver in range(3):
        assert [topic for address, topic, *_ in wire.sent if address == str(receiver)] == [
            f"t{n}" for n in range(receiver, 30, 3)
        ]
    assert {(row["state"], row["attempts"]) for row in rows(sql)} == {("delivered", 1)}
    assert sql("SELECT COUNT(*) AS n FROM outbox WHERE ended_at IS NULL") == [{"n": 0}]


def test_a_failure_holds_up_the_messages_behind_it_and_is_tried_again_with_the_same_id(db, sql):
    told(db, ("wire a", "first"), ("wire a", "second"), ("wire b", "other"))
    wire = Wire(a=refuse(Temporary("The server does not answer.")))
    delivering = Delivering({"wire": wire}, delay=lambda attempt: 0)

    delivering.run(db)
    until = rows(sql)
    wire.answers.clear()
    until_idle(delivering, db)

    assert until[0] == {
        "topic": "first",
        "state": "waiting",
        "attempts": 1,
        "error": "The server does not answer.",
    }
    assert until[1]["attempts"] == 0
    firsts = [(id, attempt) for _, topic, id, attempt in wire.sent if topic == "first"]
    assert len({id for id, _ in firsts}) == 1 and [attempt for _, attempt in firsts] == list(range(1, len(firsts) + 1))
    assert wire.topics.index("second") > max(i for i, topic in enumerate(wire.topics) if topic == "first")
    assert {(row["state"], row["error"]) for row in rows(sql)} == {("delivered", None)}


def test_what_is_not_due_is_left_alone_with_all_behind_it(db, sql):
    told(db, ("wire a", "first"), ("wire a", "second"))
    sql("UPDATE outbox SET due_at = CURRENT_TIMESTAMP + INTERVAL 1 HOUR WHERE topic = 'first'")
    wire = Wire()

    until_idle(Delivering({"wire": wire}), db)

    assert wire.sent == []


def test_a_definite_refusal_is_a_dead_letter_at_once_and_lets_the_next_one_through(db, sql):
    told(db, ("wire a", "bad"), ("wire a", "good"))
    wire = Wire()
    wire.answers["a"] = lambda: wire.answers.clear() or refuse(Definite("No such mailbox."))()

    until_idle(Delivering({"wire": wire}), db)

    assert rows(sql) == [
        {"topic": "bad", "state": "dead", "attempts": 1, "error": "No such mailbox."},
        {"topic": "good", "state": "delivered", "attempts": 1, "error": None},
    ]


@pytest.mark.parametrize(
    "last",
    ["attempts = 75", "created_at = CURRENT_TIMESTAMP - INTERVAL 73 HOUR"],
    ids=["after the last attempt", "after three days"],
)
def test_what_has_failed_for_long_is_a_dead_letter(db, sql, last):
    told(db, ("wire a", "lost"))
    sql(f"UPDATE outbox SET {last}")

    until_idle(Delivering({"wire": Wire(a=refuse(Temporary("Not now.")))}), db)

    assert rows(sql, "state, error") == [{"state": "dead", "error": "Not now."}]
    assert sql("SELECT ended_at IS NULL AS open FROM outbox") == [{"open": False}]


def test_a_slow_receiver_blocks_no_other_one(db, sql):
    told(db, ("slow 1", "long"), *((f"quick {n}", "short") for n in range(20)))
    gate = threading.Event()
    slow, quick = Wire(1, **{"1": lambda: gate.wait(20)}), Wire(1)
    delivering = Delivering({"slow": slow, "quick": quick})

    try:
        assert eventually(lambda: (delivering.run(db), len(quick.sent) == 20)[1], 60)
        assert slow.topics == ["long"]
    finally:
        gate.set()
    until_idle(delivering, db)
    assert {row["state"] for row in rows(sql)} == {"delivered"}


def test_at_most_so_many_deliveries_are_under_way_as_there_are_threads(db, sql):
    told(db, *((f"wire {n}", "x") for n in range(9)))
    at_once, most, lock = [0], [0], threading.Lock()

    def answer():
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        with lock:
            at_once[0] -= 1

    wire = Wire(3, **{str(n): answer for n in range(9)})

    until_idle(Delivering({"wire": wire}), db)

    assert len(wire.sent) == 9 and most == [3]


@pytest.mark.parametrize("pages", [1, 2, 50])
def test_however_little_is_looked_at_at_a_time_every_receiver_gets_its_turn(db, sql, monkeypatch, pages):
    monkeypatch.setattr(outbox_delivery, "PAGE", 3)
    monkeypatch.setattr(outbox_delivery, "MOST_PAGES", pages)
    told(db, *(("wire b", f"b{n}") for n in range(20)), *((f"wire {name}", name) for name in "acdefgh"))
    sql("UPDATE outbox SET due_at = CURRENT_TIMESTAMP + INTERVAL 1 HOUR WHERE receiver IN ('wire c', 'wire d')")
    wire = Wire(2)
    delivering = Delivering({"wire": wire})

    assert eventually(lambda: (delivering.run(db), len(wire.sent) == 25)[1])

    assert [topic for topic in wire.topics if topic[0] == "b"] == [f"b{n}" for n in range(20)]
    assert {topic for topic in wire.topics if topic[0] != "b"} == set("aefgh")
    assert max(wire.topics.index(name) for name in "aefgh") < 20  # nobody waits for the whole queue of another


def test_a_long_queue_goes_without_a_pause(db, sql, monkeypatch):
    monkeypatch.setattr(outbox_delivery, "PAGE", 2)
    told(db, *(("wire a", f"a{n}") for n in range(9)), *(("wire b", f"b{n}") for n in range(4)))
    wire = Wire()

    until_idle(Delivering({"wire": wire}), db)

    assert len(wire.sent) == 13


def test_two_processes_at_once_deliver_each_message_once(db, accounts, sql):
    told(db, *((f"wire {n % 5}", f"t{n}") for n in range(100)))
    wire = Wire(5)
    each = [Delivering({"wire": wire}), Delivering({"wire": wire})]

    threads = [threading.Thread(target=until_idle, args=[one, db]) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    until_idle(each[0], db)

    assert sorted(wire.topics) == sorted(f"t{n}" for n in range(100))
    assert {(row["state"], row["attempts"]) for row in rows(sql)} == {("delivered", 1)}


def test_what_a_dead_process_had_begun_is_due_again_after_its_lease(db, sql):
    told(db, ("wire a", "first"), ("wire a", "second"))
    hanging = Delivering({"wire": Wire(a=lambda: time.sleep(3))})
    hanging.run(db)
    wire, lease = Wire(), outbox_delivery.LEASE

    until_idle(Delivering({"wire": wire}), db)
    during = list(wire.sent)
    sql("UPDATE outbox SET due_at = due_at - INTERVAL %s SECOND", [lease])
    until_idle(Delivering({"wire": wire}), db)

    assert during == []
    assert [(topic, attempt) for _, topic, _, attempt in wire.sent] == [("first", 2), ("second", 1)]


def test_the_lease_is_longer_than_a_delivery_may_take():
    assert outbox_delivery.LEASE > outbox.LONGEST_DELIVERY


def test_a_bug_in_one_message_blocks_no_other_one_and_tells_nothing_inside(db, sql, caplog):
    told(db, ("wire a", "bug"), ("wire b", "fine"), ("torn c", "unready"))
    wire, torn = Wire(a=refuse(KeyError("inside"))), Wire()
    torn.prepare = lambda db, delivery: {}["inside"]

    Delivering({"wire": wire, "torn": torn}).run(db)
    until_idle(Delivering({"wire": wire, "torn": torn}), db)

    states = {row["topic"]: (row["state"], row["attempts"], row["error"]) for row in rows(sql)}
    assert states == {
        "bug": ("waiting", 1, "The shop itself failed; its log says why."),
        "fine": ("delivered", 1, None),
        "unready": ("waiting", 1, "The shop itself failed; its log says why."),
    }
    assert "KeyError" in caplog.text


def test_what_a_channel_changes_before_it_fails_is_taken_back(db, sql):
    told(db, ("wire a", "x"))
    wire = Wire()

    def prepare(session, delivery):
        told_too = outbox.document((outbox.event("t", {})[0], "other 1", "t", "{}"))
        session.run("outbox/add", messages=told_too)
        raise Definite("No.")

    wire.prepare = prepare
    until_idle(Delivering({"wire": wire}), db)

    assert rows(sql, "topic, state") == [{"topic": "x", "state": "dead"}]


def test_what_a_channel_need_not_send_counts_as_delivered(db, sql):
    told(db, ("wire a", "x"))
    wire = Wire()
    wire.prepare = lambda db, delivery: None

    until_idle(Delivering({"wire": wire}), db)

    assert rows(sql, "state, error") == [{"state": "delivered", "error": None}]


def test_receivers_that_no_channel_reaches_wait(db, sql):
    told(db, ("mail ada@example.com", "x"), ("mailing list", "y"))

    until_idle(Delivering({"wire": Wire()}), db)

    assert {(row["state"], row["attempts"]) for row in rows(sql)} == {("waiting", 0)}


def test_a_channel_gets_the_message_as_it_was_written(db, sql):
    values = {"name": "Ada “Λ” 😀", "total": 19.9}
    message = outbox.mail("ada lovelace@example.com", "order_placed", values)
    db.transaction(lambda session: session.run("outbox/add", messages=outbox.document(message)))
    got = []
    wire = Wire()
    wire.prepare = lambda db, delivery: got.append(delivery)

    until_idle(Delivering({"mail": wire}), db)

    (delivery,) = got
    assert (delivery.message_id, delivery.address) == (message[0], "ada lovelace@example.com")
    assert json.loads(delivery.payload) == values


def test_a_delivery_that_cannot_be_noted_is_not_made_twice(db, sql, monkeypatch):
    """The database is away between the delivery and its note."""
    from core.errors import ServiceUnavailable

    told(db, ("wire a", "x"))
    wire, transaction, away = Wire(), db.transaction, [2]
    delivering = Delivering({"wire": wire})

    def failing(work, *args, **kwargs):
        if wire.sent and away[0]:
            away[0] -= 1
            raise ServiceUnavailable("away")
        return transaction(work, *args, **kwargs)

    monkeypatch.setattr(db, "transaction", failing)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            delivering.run(db)
    until_idle(delivering, db)

    assert wire.topics == ["x"]
    assert rows(sql, "state, attempts") == [{"state": "delivered", "attempts": 1}]


def test_deliveries_under_way_are_noted_when_the_process_ends(db, sql):
    told(db, ("wire a", "x"))
    delivering = Delivering({"wire": Wire(a=lambda: time.sleep(1.5))})
    delivering.run(db)

    delivering.finish(db)

    assert rows(sql, "state") == [{"state": "delivered"}]


def test_delays_grow_have_jitter_and_reach_three_days():
    delays = [[delay_after(attempt) for _ in range(100)] for attempt in range(1, outbox_delivery.ATTEMPTS)]

    assert all(min(delay) < max(delay) for delay in delays)
    middles = [sum(delay) / len(delay) for delay in delays]
    assert middles[:6] == sorted(middles[:6]) and min(delays[0]) >= 4 and max(delays[-1]) <= 1.2 * 3600
    assert 2.5 * 86400 < sum(middles) < 3.5 * 86400


def test_a_look_reads_no_more_than_its_limit_however_much_waits(accounts, sql):
    sql(
        "INSERT INTO outbox (message_id, receiver, topic, payload) "
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
        "SELECT CONCAT('msg_', a.i, '_', b.i), CONCAT('wire ', b.i), 'order.paid', '{}' "
        "FROM n AS a, n AS b WHERE b.i < 4"
    )
    heads = Statements(ROOT / "sql").get("outbox/heads").text

    with drivers.connect(accounts.owner, 10) as connection, connection.cursor() as cursor:

        def read():
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%%'", ())
            return sum(int(row["Value"]) for row in cursor.fetchall())

        before = read()
        cursor.execute(heads, {"after": "wire 1", "end": "wire!", "limit": 40})
        found = cursor.fetchall()
        rows_read = read() - before

    assert {row["receiver"] for row in found} == {"wire 2"}
    assert rows_read < 100  # of 2,700
