"""The audit trail. Of accounts: a line each in the log, with who, from where, and how it ended. Of the catalogue: a row
each in the database, with who, what, before and after.

A handler notes an event; the line is written when its transaction has ended, and says `failure` where it was rolled
back. Nothing secret is ever noted: no password, no token, and no name that somebody typed at a login.
"""

import logging

from bottle import request

from core.errors import Forbidden
from core.identity.auth import PUBLIC
from core.json_text import dump

log = logging.getLogger("bodega.audit")

NOTES = "bodega.audit"
LARGEST_BATCH = 1024 * 1024  # bytes of one statement's rows, as JSON; max_allowed_packet is 16 MiB on MariaDB
MOST_ROWS = 1000


def note(event, outcome="success", **who):
    """Note an event of this request; `who`: user_id, by, role. The same event noted again replaces the first."""
    request.environ.setdefault(NOTES, {})[event] = {"outcome": outcome, **who}


def record(db, user, changes):
    """Store a row for each change, in the transaction of `db`: all or nothing, with what it tells of.

    `user`: who did it (id, username). `changes`: (entity, entity_id, action, before, after), the last two as dicts
    or None. Many at once are stored by few statements.
    """
    batch, size = [], 0
    for entity, id, action, before, after in changes:
        states = [None if state is None else dump(state).decode() for state in (before, after)]
        batch.append([entity, id, action, *states])
        size += sum(len(state) for state in states if state)
        if size > LARGEST_BATCH or len(batch) == MOST_ROWS:
            _store(db, user, batch)
            batch, size = [], 0
    if batch:
        _store(db, user, batch)


def _store(db, user, batch):
    db.run("audit/add", user_id=user["id"], user_name=user["username"], rows=dump(batch).decode())


class Audit:
    """The plugin that writes what the handler noted, and who was not let through to it."""

    name = "audit"
    api = 2

    def apply(self, callback, route):
        """Wrap every route."""
        refused = f"{route.config.get('auth', PUBLIC)}_access"

        def audited(**arguments):
            done = False
            try:
                result = callback(**arguments)
                done = True
                return result
            except Forbidden:
                note(refused, outcome="failure", user_id=request.environ.get("bodega.user_id", "unknown"))
                raise
            finally:
                here = {
                    "address": request.environ["bodega.address"],
                    "request_id": request.environ["bodega.request_id"],
                }
                for event, noted in request.environ.get(NOTES, {}).items():
                    outcome = noted["outcome"] if done else "failure"
                    write(event, **{**noted, "outcome": outcome}, **here)

        return audited


def write(event, **fields):
    """Write one line now; for commands, which have no request."""
    log.info("", extra={"event": event, **fields})
