"""The audit trail: what happened to accounts, a line each in the log, with who, from where, and how it ended.

A handler notes an event; the line is written when its transaction has ended, and says `failure` where it was rolled
back. Nothing secret is ever noted: no password, no token, and no name that somebody typed at a login.
"""

import logging

from bottle import request

log = logging.getLogger("bodega.audit")

NOTES = "bodega.audit"


def note(event, outcome="success", **who):
    """Note an event of this request; `who`: user_id, by, role. The same event noted again replaces the first."""
    request.environ.setdefault(NOTES, {})[event] = {"outcome": outcome, **who}


class Audit:
    """The plugin that writes what the handler noted."""

    name = "audit"
    api = 2

    def apply(self, callback, route):
        """Wrap every route."""

        def audited(**arguments):
            done = False
            try:
                result = callback(**arguments)
                done = True
                return result
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
