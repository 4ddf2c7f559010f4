"""Remove expired sessions, abandoned carts of guests, and old Idempotency-Keys; safe while the shop serves."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import optimize
from core.cli import say
from core.config import Config
from core.db.database import Database
from core.db.owner import owner_url
from core.db.statements import Statements
from core.setup.system import ROOT

HELP = "remove expired sessions, abandoned carts and old idempotency keys"
BATCH = 500  # rows in one transaction: it locks them only for a moment
KEYS_FOR = 24 * 3600  # seconds that the answer to an Idempotency-Key is stored at least


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Purge, and say how many."""
    with owner_url(config) as url:
        database = Database(url, Statements(ROOT / "sql"), 10)
        sessions = purge_sessions(database, config.session_idle)
        carts, keys = purge_carts(database, config.cart_ttl), purge_keys(database)
        say(f"{sessions} sessions, {carts} carts and {keys} idempotency keys removed.")
        if sentence := optimize.due(url):
            say(sentence)
    return 0


def purge_sessions(database: Database, idle: int) -> int:
    """Remove expired and idle sessions in batches; return how many."""
    return _in_batches(database, "sessions/purge_expired") + _in_batches(database, "sessions/purge_idle", idle=idle)


def purge_carts(database: Database, age: int) -> int:
    """Remove the carts of guests that nobody changed in the last `age` seconds, in batches; return how many."""
    return _in_batches(database, "cart/purge", age=age)


def purge_keys(database: Database) -> int:
    """Remove the answers to Idempotency-Keys that are older than KEYS_FOR, in batches; return how many."""
    return _in_batches(database, "idempotency_keys/purge", age=KEYS_FOR)


def _in_batches(database: Database, statement: str, **params: Any) -> int:
    removed = 0
    while count := database.transaction(lambda db: db.run(statement, limit=BATCH, **params)):
        removed += count
    return removed
