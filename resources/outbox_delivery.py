"""Delivery of the outbox, by the chores: at least once, and in order for each receiver.

An attempt is three steps: a transaction that claims the message for LEASE seconds, the delivery itself with no
transaction open, a transaction that notes how it ended. Whatever dies in between, the message is due again when the
lease is over; its message_id stays the same, so that a receiver can tell it. A receiver whose first message cannot be
delivered holds up itself alone: each kind of receivers has threads of its own, and each receiver uses one.
"""

import contextvars
import functools
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from core import recurring
from core.db.database import Database, Row, Session
from core.errors import ServiceUnavailable
from core.logs import SERVING
from core.outbox import LONGEST_DELIVERY, Channel, Definite, Delivery, Temporary
from core.trace import ENVIRON_TRACE, taken

LEASE = LONGEST_DELIVERY + 30  # seconds
FIRST_DELAY, LONGEST_DELAY = 5, 3600  # seconds between two attempts: 5, 20, 80, … and an hour at the most
ATTEMPTS = 76  # they take about three days
LONGEST_LIFE = timedelta(days=3)  # of what is older, the next failure is the last: the queue of a dead receiver ends
PAGE = 100  # messages that are looked up at a time
MOST_PAGES = 50  # in one look, of 50 ms: where 100,000 receivers wait for a mail server, it goes around in 20 seconds
WAIT = 1.0  # seconds for a delivery to end, before it is looked whether there are others to do
DRAIN = 3.5  # seconds for deliveries under way when the process ends
LONGEST_ERROR = 300  # characters, of the column

log = logging.getLogger("bodega.outbox")


class Ended(NamedTuple):
    """An attempt that has ended. `message`: of outbox/get; `error`: None where it was delivered."""

    lane: "Lane"
    message: Row
    error: Exception | None


class Lane:
    """The receivers of one kind."""

    def __init__(self, kind: str, channel: Channel) -> None:
        self.kind = kind
        self.channel = channel
        self.start, self.end = f"{kind} ", f"{kind}!"  # its receivers are between these, by their bytes
        self.position = self.start  # the receiver that the last look has ended with
        self.candidates: list[Row] = []  # messages that are due, of outbox/heads; the last is the next
        self.busy: set[str] = set()  # receivers that a delivery is under way to

    @property
    def is_full(self) -> bool:
        """Whether no further delivery may begin."""
        return len(self.busy) >= self.channel.threads


class Delivering:
    """The chore. `channels`: kind of receivers → Channel. `delay(attempt)`: seconds until the next one."""

    def __init__(self, channels: Mapping[str, Channel], delay: Callable[[int], float] | None = None) -> None:
        self._lanes = [Lane(kind, channel) for kind, channel in channels.items()]
        self._delay = delay or delay_after
        self._reports: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._ended: list[Ended] = []  # not noted yet

    def run(self, database: Database) -> bool:
        """Note what has ended, and begin what is due; return whether anything is under way.

        While something is, it waits up to WAIT seconds for an end.
        """
        self._note(database)  # what the database could not take the last time
        for lane in self._lanes:
            self._begin_due(database, lane)
        if not any(lane.busy for lane in self._lanes):
            return False
        self._collect(WAIT)
        self._note(database)
        return True

    def finish(self, database: Database) -> None:
        """Note how the deliveries under way end, for DRAIN seconds at the most."""
        deadline = time.monotonic() + DRAIN
        while any(lane.busy for lane in self._lanes) and time.monotonic() < deadline:
            self._collect(0.1)
            self._note(database)

    def _begin_due(self, database: Database, lane: Lane) -> None:
        if not lane.candidates and not lane.is_full:
            self._look(database, lane)
        while lane.candidates and not lane.is_full:
            self._begin(database, lane, lane.candidates.pop()["id"])

    def _look(self, database: Database, lane: Lane) -> None:
        """Look for messages that are due, from where the last look has ended and once around, until some are found."""
        began = lane.position

        def page(db: Session) -> list[Row]:
            return db.many("outbox/heads", after=lane.position, end=lane.end, limit=PAGE)

        for _ in range(MOST_PAGES):
            rows = database.transaction(page)
            heads = {row["receiver"]: row for row in reversed(rows)}
            lane.candidates = [row for row in heads.values() if row["is_due"] and row["receiver"] not in lane.busy]
            lane.position = rows[-1]["receiver"] if len(rows) == PAGE else lane.start
            if lane.candidates or lane.position == began == lane.start:
                return
            if lane.position == lane.start:
                began = lane.start

    def _begin(self, database: Database, lane: Lane, id: int) -> None:
        """Begin an attempt, unless somebody else has."""

        def begin(db: Session) -> tuple[Row | None, Callable[[], None] | None]:
            message = _claimed(db, id)
            return message, lane.channel.prepare(db, _delivery_of(message)) if message else None

        trouble = None
        try:
            message, deliver = database.transaction(begin)
        except ServiceUnavailable:
            raise
        except Exception as error:  # of this one message: the others must not wait for it
            message, deliver, trouble = database.transaction(lambda db: _claimed(db, id)), None, error
        if message is None:
            return
        lane.busy.add(message["receiver"])
        if deliver:
            attempt = functools.partial(contextvars.copy_context().run, self._attempt, lane, message, deliver)
            threading.Thread(target=attempt, daemon=True).start()  # its lines of the log name the chore, too
        else:
            self._ended.append(Ended(lane, message, trouble))

    def _attempt(self, lane: Lane, message: Row, deliver: Callable[[], None]) -> None:
        """Deliver, in a thread of its own, and report how it ended."""
        SERVING.set({ENVIRON_TRACE: message["trace"]})
        try:
            deliver()
        except Exception as error:
            self._reports.put(Ended(lane, message, error))
        else:
            self._reports.put(Ended(lane, message, None))

    def _collect(self, wait: float) -> None:
        """Take the reports that are there; where nothing is to be noted, wait so many seconds for one."""
        while True:
            try:
                self._ended.append(self._reports.get(timeout=0 if self._ended else wait))
            except queue.Empty:
                return

    def _note(self, database: Database) -> None:
        """Note how attempts ended; what the database does not take stays for the next time."""
        while self._ended:
            lane, message, error = self._ended[-1]
            SERVING.set({ENVIRON_TRACE: message["trace"]})
            try:
                self._note_one(database, message, error)
            finally:
                SERVING.set(None)
            self._ended.pop()
            lane.busy.discard(message["receiver"])

    def _note_one(self, database: Database, message: Row, error: Exception | None) -> None:
        id, attempt = message["id"], message["attempts"]
        if error is None:
            database.transaction(lambda db: db.run("outbox/deliver", id=id))
            return
        named = f"{message['message_id']} ({message['topic']})"  # no address: the log holds no personal data
        if isinstance(error, Temporary | Definite):
            why = str(error)[:LONGEST_ERROR]
        else:
            why = "The shop itself failed; its log says why."
            recurring.failing(log, logging.ERROR, "%s could not be delivered: a bug", named, error=error)
        if isinstance(error, Temporary) and error.also:
            database.transaction(error.also)
        old = message["now"] - message["created_at"] > LONGEST_LIFE
        if isinstance(error, Definite) or attempt >= ATTEMPTS or old:
            database.transaction(lambda db: db.run("outbox/fail", id=id, attempt=attempt, error=why))
            log.error(f"{named} is a dead letter after {attempt} attempts, see GET /api/outbox?state=dead: {why}")
            return
        delay = self._delay(attempt)
        database.transaction(lambda db: db.run("outbox/delay", id=id, attempt=attempt, delay=delay, error=why))
        said, key = "%s was not delivered; attempt %d in %.0f seconds: %s", (message["receiver"].split(" ")[0], why)
        recurring.failing(log, logging.WARNING, said, named, attempt + 1, delay, why, key=key)


def delay_after(attempt: int) -> int:
    """Return how many seconds after this failed attempt (1 is the first) the next is due, with jitter of a fifth."""
    return round(min(LONGEST_DELAY, FIRST_DELAY * 4 ** (attempt - 1)) * random.uniform(0.8, 1.2))  # noqa: S311 - jitter


def _claimed(db: Session, id: int) -> Row | None:
    """Begin an attempt to deliver a message, and return it (outbox/get); None where somebody else has."""
    claimed, message = db.together("outbox/claim", "outbox/get", id=id, lease=LEASE)
    return message | {"trace": taken(message["traceparent"])} if claimed else None


def _delivery_of(message: Row) -> Delivery:
    address = message["receiver"].partition(" ")[2]
    return Delivery(
        message["message_id"],
        address,
        message["topic"],
        message["payload"],
        message["attempts"],
        message["created_at"],
        message["trace"],
    )
