"""Remove expired sessions and abandoned carts; safe while the shop serves."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import optimize
from core.cli import say
from core.config import Config
from core.db.database import Database, Session
from core.db.owner import owner_url
from core.db.statements import Statements
from core.setup.system import ROOT

HELP = "remove expired sessions and abandoned carts"
BATCH = 500  # rows in one transaction: it locks them only for a moment


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Purge, and say how many."""
    with owner_url(config) as url:
        database = Database(url, Statements(ROOT / "sql"), 10)
        sessions = purge_sessions(database, config.session_idle)
        carts = purge_carts(database, config.cart_ttl)
        say(f"{sessions} sessions and {carts} carts removed.")
        if sentence := optimize.due(url):
            say(sentence)
    return 0


def purge_sessions(database: Database, idle: int) -> int:
    """Remove expired and idle sessions in batches; return how many."""
    return _in_batches(database, "sessions/purge_expired") + _in_batches(database, "sessions/purge_idle", idle=idle)


def _in_batches(database: Database, statement: str, **params: Any) -> int:
    removed = 0
    while count := database.transaction(lambda db: db.run(statement, limit=BATCH, **params)):
        removed += count
    return removed


def purge_carts(database: Database, age: int) -> int:
    """Remove the carts that have no line changed in the last `age` seconds; return how many."""
    removed = 0
    place: dict[str, Any] = {"after_time": None, "after_id": None}
    while True:
        read = {"age": age, "limit": BATCH, **place}
        lines = database.transaction(lambda db: db.many("cart/stale_lines", **read))  # noqa: B023 - runs at once
        for session_id in dict.fromkeys(line["session_id"] for line in lines):
            removed += database.transaction(lambda db: _purge_cart(db, session_id, age))  # noqa: B023
        if len(lines) < BATCH:
            return removed
        place = {"after_time": lines[-1]["updated_at"], "after_id": lines[-1]["id"]}


def _purge_cart(db: Session, session_id: str, age: int) -> int:
    """Remove a cart if it is still stale, now that its lines are locked; return 1 or 0.

    A line that is added only now is not locked. It stays, because it is new.
    """
    lines = db.many("cart/lock", session_id=session_id)
    if not lines or min(line["untouched_for"] for line in lines) < age:
        return 0
    db.run("cart/clear_stale", session_id=session_id, age=age)
    return 1
