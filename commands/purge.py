"""Remove what is over: sessions, password resets, abandoned carts, old keys, delivered messages, unused words, what
nobody looks for any more; and old entries of the audit trail, which are archived first (purge_audit.py).

And note where the words of products are that came by another way than the shop's. Safe while the shop serves; the
chores do the same every hour, but for the audit trail, of which they only say that it is due.
"""

import dataclasses
import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import backup_logs, optimize, purge_audit
from commands.seed import fill_zones
from core.cli import CommandError, say
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.database import Database
from core.db.owner import owner_url
from core.db.session import Session
from core.db.statements import Statements
from core.setup.embedded import user
from core.setup.system import ROOT

HELP = "remove expired sessions, abandoned carts, delivered messages and the like; archive old audit entries"
BATCH = 500  # rows in one transaction: it locks them only for a moment
KEYS_FOR = 24 * 3600  # seconds that the answer to an Idempotency-Key is stored at least
BEATS_FOR = 24 * 3600  # seconds that the row of a host stays that reads from no replica any more
MISSED_FOR = 90 * 24 * 3600  # seconds that searches without a hit are remembered
MOST_MISSED = 10_000  # of them
MESSAGES_FOR = {"delivered": 7 * 24 * 3600, "dead": 90 * 24 * 3600}  # seconds that the outbox keeps them, by state

log = logging.getLogger("bodega.chores")


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Purge, and say how many."""
    with owner_url(config) as url:
        database = Database(url, Statements(ROOT / "sql", tuned=config.sql_overlay), 10)
        say(f"{removed(database, config)} removed.")
        _archive_audit(url, config)
        if logs := purge_logs(database, config):
            say(f"{logs} binary logs removed: there were more than {backup_logs.MOST >> 20} MiB of them.")
        fill_zones(database.transaction)
        if sentence := optimize.due(url):
            say(sentence)
    return 0


def removed(database: Database, config: Config) -> str:
    """Remove all of it; return how much, in words."""
    sessions, resets = purge_sessions(database, config.session_idle), purge_resets(database)
    carts = purge_carts(database, config.cart_ttl)
    purge_beats(database)
    keys, messages, words = purge_keys(database), purge_messages(database), purge_words(database)
    return (
        f"{sessions} sessions, {resets} password resets, {carts} carts, {keys} idempotency keys, {messages} messages, "
        f"{words} words that no product has and {purge_missed(database)} searches without a hit"
    )


def _archive_audit(url: DatabaseUrl, config: Config) -> None:
    """Archive and remove old entries of the audit trail, and say how many; or that this account may not."""
    quiet = Database(url, Statements(ROOT / "sql"), 10, report=lambda *_: None)
    folder = config.data_dir / "audit"
    try:
        archived = purge_audit.archive(quiet, folder, config.audit_ttl)
    except OSError as error:
        raise CommandError(f"The audit trail cannot be archived in {folder}: {error}. Nothing was removed.") from None
    if archived is None:
        say(purge_audit.NOT_ALLOWED)
    elif archived:
        say(f"{archived} audit entries archived in {folder} and removed.")


def everything(database: Database, config: Config) -> bool:
    """Remove all of it, as a chore; there is no more to do then."""
    log.info(f"Purged: {removed(database, config)}.")
    if logs := purge_logs(database, config):
        log.info(f"Purged: {logs} binary logs.")
    fill_zones(database.transaction)
    if sentence := optimize.due(database.url):
        log.warning(sentence)
    if purge_audit.due(database, config.audit_ttl):
        log.warning(purge_audit.DUE)
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


def purge_beats(database: Database) -> int:
    """Remove the rows of hosts that have read from no replica for BEATS_FOR, in batches; return how many."""
    return _in_batches(database, "replica/purge", age=BEATS_FOR)


def purge_missed(database: Database) -> int:
    """Remove what nobody has looked for lately, and all over MOST_MISSED, in batches; return how many."""
    removed = _in_batches(database, "missed_searches/purge", age=MISSED_FOR)

    def shrink(db: Session) -> int:
        more = min(BATCH, db.one("missed_searches/count")["total"] - MOST_MISSED)
        return db.run("missed_searches/shrink", limit=more) if more > 0 else 0

    while count := database.transaction(shrink):
        removed += count
    return removed


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


def purge_logs(database: Database, config: Config, most: int = backup_logs.MOST) -> int:
    """Remove the oldest binary logs of the private database, if they have more bytes than that; return how many."""
    url = database.url
    private = config.data_dir / "run" / "s"
    if not (url.unix_socket and private.exists() and private.samefile(url.unix_socket)):  # another's logs
        return 0
    return backup_logs.purge(dataclasses.replace(url, user=user(), password=""), most)


def _in_batches(database: Database, statement: str, **params: Any) -> int:
    removed = 0
    while count := database.transaction(lambda db: db.run(statement, limit=BATCH, **params)):
        removed += count
    return removed
