"""How much waits in the outbox: gauges that the chores set, for GET /metrics. A scrape asks no database."""

import functools
from collections.abc import Iterable

from core.db.database import Database, Row, Session
from core.metrics import Gauge

WAITING = Gauge("bodega_outbox_waiting", "Messages that are to be delivered; 100000 stands for more.", "kind")
AGE = Gauge("bodega_outbox_age_seconds", "Seconds since the oldest of them was written; 0 if there is none.", "kind")
DEAD = Gauge("bodega_outbox_dead", "Messages that were given up; 100000 stands for more.", "kind")
EVERY = 10  # seconds
LASTS = 60  # seconds: where the database is away, or another host does the chores, there are soon no figures
MOST = 100_000  # messages, of which counting takes 30 ms


class Watching:
    """The chore. `kinds`: of receivers, as in core/outbox.py."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = tuple(kinds)

    def run(self, database: Database) -> bool:
        """Look; return that there is no more to do."""
        for kind in self._kinds:
            waiting, dead = database.transaction(functools.partial(_backlogs, kind=kind))
            WAITING.set(waiting["messages"], kind, lasts=LASTS)
            AGE.set(waiting["age"] or 0, kind, lasts=LASTS)
            DEAD.set(dead["messages"], kind, lasts=LASTS)
        return False


def _backlogs(db: Session, kind: str) -> list[Row]:
    bounds = {"after": f"{kind} ", "end": f"{kind}!", "limit": MOST}
    return [db.one("outbox/backlog", state=state, **bounds) for state in ("waiting", "dead")]
