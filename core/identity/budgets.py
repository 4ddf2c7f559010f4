"""What requests cost the database: a budget for each address, and few expensive ones at a time.

A route declares `budget=Budget("search", "600000/minute")`, and its handler names `spend`: before it runs a statement,
it says what that will cost, in rows that the database looks at (5 to 10 µs each), by what is known of it. What costs
next to nothing is let through; what costs more is counted. What is dear (words too short for the index, words that
tens of thousands have) also takes one of few places, or waits for one: the threads, and the database's time, that are
left are for those who look at lists, products and carts. Whoever is over the budget gets a 429, whoever finds all
places taken a 503, both with Retry-After. What is answered from memory costs nothing.

Measured with a million products on 2 cores, in a flood of expensive searches from 20 addresses: docs/performance.md.
"""

import contextlib
import threading

from core.errors import ServiceUnavailable
from core.identity.limits import Limit

FREE = 2_000  # rows that a request may cost before it is counted
DEAR = 9_000  # rows from which on it needs a place: searches by words that are too short cost more, others seldom
ENTRIES = 50  # entries of an index that are passed over in the time that a row takes
WAIT = 1  # seconds for a place
FULL = "Many searches are under way. Try again in a moment, or search for rarer or longer words."


class Budget(Limit):
    """What each address may spend on a route, in rows: `Budget("search", "600000/minute")`."""


class Budgets:
    """The plugin that gives a handler `spend(rows)`, where the route declares a `budget`.

    `limits`: the core.identity.limits.Limits that counts. `threads`: those of this worker. One request for eight of
    them may be dear at once, and half of them may work on such a request or wait for its place.
    """

    name = "spending"
    api = 2

    def __init__(self, limits, threads):
        self._limits = limits
        self._places = threading.BoundedSemaphore(max(1, threads // 8))
        self._engaged = threading.BoundedSemaphore(max(2, threads // 2))  # who has a place, and who waits for one

    def apply(self, callback, route):
        """Wrap the routes that declare a budget."""
        budget = route.config.get("budget")
        if not budget:
            return callback

        def within(**arguments):
            spent = 0
            with contextlib.ExitStack() as place:

                def spend(rows):
                    nonlocal spent
                    before, spent = spent, spent + rows
                    if spent >= FREE:
                        self._limits.spend(budget, rows if before >= FREE else spent)
                    if before < DEAR <= spent:
                        place.enter_context(self._place())

                return callback(**arguments, spend=spend)

        return within

    @contextlib.contextmanager
    def _place(self):
        """Hold a place; raise ServiceUnavailable where none becomes free in time."""
        if not self._engaged.acquire(blocking=False):
            raise ServiceUnavailable(FULL)
        try:
            if not self._places.acquire(timeout=WAIT):
                raise ServiceUnavailable(FULL)
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._engaged.release()


class Priced:
    """`db` for reading at a price: how many rows it costs comes first, and is spent unless the answer is in memory."""

    def __init__(self, db, spend):
        self._db = db
        self._spend = spend

    def one(self, rows, name, /, **params):
        """Return the first row, as `db.one` does."""
        self._pay(rows, name, params)
        return self._db.one(name, **params)

    def many(self, rows, name, /, **params):
        """Return all rows, as `db.many` does."""
        self._pay(rows, name, params)
        return self._db.many(name, **params)

    def _pay(self, rows, name, params):
        if not self._db.is_cached(name, **params):
            self._spend(rows)
