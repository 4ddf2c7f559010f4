"""The audit trail. An event of an account is a line of the log: who, from where, and how it ended. A change of the
catalogue is a row of the database: who, what, before and after.

A handler notes an event; the line is written when its transaction has ended, and says `failure` where that was rolled
back. Nothing secret is ever noted: no password, no token, and no name that was typed at a login.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from bottle import Route, request

from core.errors import Forbidden
from core.identity.auth import PUBLIC
from core.json_text import dump

log = logging.getLogger("bodega.audit")

Record = Callable[..., None]  # what a handler that names `record` gets: Audit.record
NOTES = "bodega.audit"
LARGEST_BATCH = 1024 * 1024  # bytes of one statement's rows, as JSON; max_allowed_packet is 16 MiB on MariaDB
MOST_ROWS = 1000


def note(event: str, outcome: str = "success", **who: Any) -> None:
    """Note an event of this request; `who`: user_id, by, role. The same event noted again replaces the first."""
    request.environ.setdefault(NOTES, {})[event] = {"outcome": outcome, **who}


class Audit:
    """The plugin that writes what a handler noted, and which accounts were refused.

    A handler that names `record` gets what stores changes of the catalogue. `add`: the statement that does it, for
    rows as JSON: [[entity, entity_id, action, before, after], …].
    """

    name = "audit"
    api = 2

    def __init__(self, add: str) -> None:
        self._add = add

    def record(self, db: Any, user: dict[str, Any], changes: Iterable[tuple]) -> None:
        """Store a row for each change, in the transaction of `db`: all or nothing, together with the changes.

        `user`: who did it (id, username). `changes`: (entity, entity_id, action, before, after), the last two as dicts
        or None. Few statements store many rows.
        """
        batch: list[list[Any]] = []
        size = 0
        for entity, id, action, before, after in changes:
            states = [None if state is None else dump(state).decode() for state in (before, after)]
            batch.append([entity, id, action, *states])
            size += sum(len(state) for state in states if state)
            if size > LARGEST_BATCH or len(batch) == MOST_ROWS:
                self._store(db, user, batch)
                batch, size = [], 0
        if batch:
            self._store(db, user, batch)

    def _store(self, db: Any, user: dict[str, Any], batch: list[list[Any]]) -> None:
        db.run(self._add, user_id=user["id"], user_name=user["username"], rows=dump(batch).decode())

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap every route."""
        if "record" in inspect.signature(route.callback).parameters:
            callback = functools.partial(callback, record=self.record)
        refused = f"{route.config.get('auth', PUBLIC)}_access"

        def audited(**arguments: Any) -> Any:
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


def write(event: str, **fields: Any) -> None:
    """Write one line now; for commands, which have no request."""
    log.info("", extra={"event": event, **fields})
