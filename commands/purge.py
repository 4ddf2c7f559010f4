"""Remove what is over: sessions, password resets, abandoned carts, old keys, delivered messages, unused words.

And note where the words of products are that came by another way than the shop's. Safe while the shop serves; the
chores do the same every hour.
"""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import optimize
from commands.seed import fill_zones
from core.cli import say
from core.config import Config
from core.db.database import Database
from core.db.owner import owner_url
from core.db.session import Session
from core.db.statements import Statements
from core.setup.system import ROOT

HELP = "remove expired sessions, abandoned carts, old idempotency keys, delivered messages and unused words"
BATCH = 500  # rows in one transaction: it locks them only for a moment
KEYS_FOR = 24 * 3600  # seconds that the answer to an Idempotency-Key is stored at least
MESSAGES_FOR = {"delivered": 7 * 24 * 3600, "dead": 90 * 24 * 3600}  # seconds that the outbox keeps them, by state

log = logging.getLogger("bodega.chores")


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Purge, and say how many."""
    with owner_url(config) as url:
        database = Database(url, Statements(ROOT / "sql"), 10)
        say(f"{removed(database, config)} removed.")
        fill_zones(database.transaction)
        if sentence := optimize.due(url):
            say(sentence)
    return 0


def removed(database: Database, config: Config) -> str:
    """Remove all of it; return how much, in words."""
    sessions, resets = purge_sessions(database, config.session_idle), purge_resets(database)
    carts = purge_carts(database, config.cart_ttl)
    keys, messages, words = purge_keys(database), purge_messages(database), purge_words(database)
    return (
        f"{sessions} sessions, {resets} password resets, {carts} carts, {keys} idempotency keys, {messages} messages "
        f"and {words} words that no product has"
    )


def everything(database: Database, config: Config) -> bool:
    """Remove all of it, as a chore; there is no more to do then."""
    log.info(f"Purged: {removed(database, config)}.")
    fill_zones(database.transaction)
    if sentence := optimize.due(database.url):
        log.warning(sentence)
    return False


def purge_sessions(database: Database, idle: int) -> int:
    """Remove expired and idle sessions in batches; return how many."""
    return _in_batches(database, "sessions/purge_expired") + _in_batches(database, "sessions/purge_idle", idle=idle)


def purge_resets(database: Database) -> int:
    """Remove the expired tokens of password resets in batches; return how many."""
    return _in_batches(database, "password_resets/purge")


def purge_carts(database: Database, age: int) -> int:
    """Remove the carts of guests that nobody changed in the last `age` seconds, in batches; return how many."""
    return _in_batches(database, "cart/purge", age=age)


def purge_keys(database: Database) -> int:
    """Remove the answers to Idempotency-Keys that are older than KEYS_FOR, in batches; return how many."""
    return _in_batches(database, "idempotency_keys/purge", age=KEYS_FOR)


def purge_messages(database: Database) -> int:
    """Remove messages of the outbox that ended some time ago, in batches; return how many."""
    return sum(_in_batches(database, "outbox/purge", state=state, age=age) for state, age in MESSAGES_FOR.items())


def purge_words(database: Database) -> int:
    """Remove the words that no product on sale has any more, looking at BATCH words at a time; return how many."""
    removed, last = 0, ""

    def step(db: Session) -> tuple[int, str | None]:
        words = [row["word"] for row in db.many("products/lock_known_words", after=last, limit=BATCH)]
        if not words:
            return 0, None
        return db.run("products/purge_known_words", after=last, until=words[-1]), words[-1]

    while True:
        count, until = database.transaction(step)
        if until is None:
            return removed
        removed, last = removed + count, until


def _in_batches(database: Database, statement: str, **params: Any) -> int:
    removed = 0
    while count := database.transaction(lambda db: db.run(statement, limit=BATCH, **params)):
        removed += count
    return removed
