"""What waits in the outbox, as GET /metrics tells it: gauges that the chores set."""

import pytest
from helpers import NOWHERE

from core import metrics, metrics_file
from core.db.database import Database
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.metrics_file import File
from core.setup.system import ROOT
from resources.outbox_watch import Watching


@pytest.fixture
def database(accounts, sql):
    """The database as the chores use it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 2.0)


@pytest.fixture
def gauges():
    """`gauges()`: {(name, kind): number} of what is set, whose time is not over."""
    counts = File(None, 2)
    metrics.use(counts)
    yield lambda: {
        (record.name.removeprefix("bodega_outbox_"), *record.labels): record.words[0] - 1
        for record in metrics_file.records(counts.words)
        if record.name.startswith("bodega_outbox_")
    }
    metrics.use(None)


def write(sql, receiver, state, seconds):
    """Put a message into the outbox that was written so many seconds ago."""
    sql(
        "INSERT INTO outbox (message_id, receiver, topic, payload, state, created_at) "
        "VALUES (UUID(), %s, 'order_placed', '{}', %s, CURRENT_TIMESTAMP - INTERVAL %s SECOND)",
        [receiver, state, seconds],
    )


def test_each_kind_of_receivers_has_its_backlog_and_the_age_of_the_oldest(database, gauges, sql):
    write(sql, "mail a@example.com", "waiting", 500)
    write(sql, "mail b@example.com", "waiting", 100)
    write(sql, "mail b@example.com", "delivered", 9000)
    write(sql, "webhook 7", "dead", 700)
    write(sql, "webhook 70", "dead", 800)

    assert Watching(["mail", "webhook", "reset"]).run(database) is False

    found = gauges()
    assert 500 <= found.pop(("age_seconds", "mail")) < 530
    assert found == {
        ("waiting", "mail"): 2,
        ("dead", "mail"): 0,
        ("waiting", "webhook"): 0,
        ("dead", "webhook"): 2,
        ("age_seconds", "webhook"): 0,
        ("waiting", "reset"): 0,
        ("dead", "reset"): 0,
        ("age_seconds", "reset"): 0,
    }


def test_where_the_database_is_away_nothing_is_said(gauges):
    away = Database(NOWHERE, Statements(ROOT / "sql"), 0.5, report=lambda *_: None)

    with pytest.raises(ServiceUnavailable):
        Watching(["mail"]).run(away)

    assert gauges() == {}
