"""What requests cost the database: a budget for each address, and few expensive requests at a time.

A route declares `budget=Budget("search", "600000/minute")`, and its handler names `spend`. Before it runs a statement,
it says what that will cost: in rows that the database reads (5 to 10 µs each), estimated from what is known. A cost
below FREE is not counted. A cost of EXPENSIVE or more (words too short for the index, words that tens of thousands of
products have) also takes one of few slots, or waits for one: the other threads, and the rest of the database's time,
are for lists, products and carts. Past the budget the answer is 429; where all slots are taken it is 503; both have
Retry-After. An answer from memory costs nothing.

What it buys, with a million products on 2 cores and a flood of expensive searches from 20 addresses: visitors keep two
thirds of their answers, and without it 0.005 (docs/performance.md, with how to measure).
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from bottle import Route

from core.errors import ServiceUnavailable
from core.identity.limits import Limit, Limits

FREE = 2_000  # rows that a request may cost before it is counted
EXPENSIVE = 9_000  # rows from which on it needs a slot
ENTRIES = 50  # entries of an index that are skipped in the time that a row takes
WAIT = 1  # seconds for a slot
FULL = "Many searches are under way. Try again in a moment, or search for rarer or longer words."


class Budget(Limit):
    """What each address may spend on a route, in rows: `Budget("search", "600000/minute")`."""


class Budgets:
    """The plugin that gives a handler `spend(rows)`, where the route declares a `budget`.

    `limits`: what counts. `threads`: those of this worker. One request for each eight of them may be expensive at once;
    half of the threads may work on such a request or wait for its slot.
    """

    name = "budgets"
    api = 2

    def __init__(self, limits: Limits, threads: int) -> None:
        self._limits = limits
        self._slots = threading.BoundedSemaphore(max(1, threads // 8))
        self._engaged = threading.BoundedSemaphore(max(2, threads // 2))  # requests that have a slot, or wait for one

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the routes that declare a budget."""
        budget = route.config.get("budget")
        if not budget:
            return callback

        def within(**arguments: Any) -> Any:
            spent = 0
            with contextlib.ExitStack() as slot:

                def spend(rows: int) -> None:
                    nonlocal spent
                    before, spent = spent, spent + rows
                    if spent >= FREE:
                        self._limits.spend(budget, rows if before >= FREE else spent)
                    if before < EXPENSIVE <= spent:
                        slot.enter_context(self._slot())

                return callback(**arguments, spend=spend)

        return within

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """Occupy a slot; raise ServiceUnavailable where none becomes free in time."""
        if not self._engaged.acquire(blocking=False):
            raise ServiceUnavailable(FULL)
        try:
            if not self._slots.acquire(timeout=WAIT):
                raise ServiceUnavailable(FULL)
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._engaged.release()


class Priced:
    """`db` for reading at a price. The first argument is the cost in rows; an answer from memory costs nothing."""

    def __init__(self, db: Any, spend: Callable[[int], None]) -> None:
        self._db = db
        self._spend = spend

    def one(self, rows: int, name: str, /, **params: Any) -> Any:
        """Return the first row, as `db.one` does."""
        self._pay(rows, name, params)
        return self._db.one(name, **params)

    def many(self, rows: int, name: str, /, **params: Any) -> list[dict[str, Any]]:
        """Return all rows, as `db.many` does."""
        self._pay(rows, name, params)
        return self._db.many(name, **params)

    def _pay(self, rows: int, name: str, params: dict[str, Any]) -> None:
        if rows and not self._db.is_cached(name, **params):
            self._spend(rows)
