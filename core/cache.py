"""What is cached in memory for a few seconds: whole answers of routes, and counts that cost too much each time.

A change of a table through this shop voids all that shows the table, at once and in all worker processes of this host
(by a number in shared memory, see `Generation`): clients see their own writes. A change from elsewhere (another host,
or by hand in the database) is seen when the few seconds are over; by another host at once, where they share a Redis
(core/identity/changes.py). While the database is out of reach, or cannot finish, answers are given although they are
void or older, up to an age of CACHE_STALE.

What it buys: docs/performance.md. To measure it again, compare with CACHE_TTL=0 and COUNT_CACHE_TTL=0.
"""

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from typing import Any

from cachetools import FIFOCache

REVALIDATE = "public, max-age=0, must-revalidate"  # clients store it, and ask by its ETag before each use
COUNTS_SIZE = 4 * 1024 * 1024  # bytes, estimated, for each worker
ESTIMATES_FOR = 600  # seconds; changes do not void an estimate
ROW_SIZE = 600  # bytes that a row of a few columns takes as a dict, about, besides its texts
FOLLOW_TIMEOUT = 5  # seconds to wait for another request that makes the same
FOLLOWERS = 2  # requests of each worker that wait so for an answer; each occupies a thread meanwhile


class Cached:
    """A route's `cache` whose answers are cached in memory: `cache=Cached("table", …)`.

    `tables`: all tables that the answers show; a change of one of them through this shop voids the answers. `control`:
    the Cache-Control of the answers.
    """

    def __init__(self, *tables: str, control: str = REVALIDATE) -> None:
        self.tables = frozenset(tables)
        self.control = self._control = control

    def may_be_stale(self, seconds: int) -> None:
        """Let other caches, too, give an answer of this age where the shop cannot (RFC 5861); 0: never."""
        if self._control == REVALIDATE and self.tables:  # must-revalidate would forbid it (RFC 9111, 4.2.4)
            self.control = f"public, max-age=0, stale-if-error={seconds}" if seconds else REVALIDATE


class Generation:
    """A number in memory that all forked processes share; each change of a cached table replaces it.

    A reader notes the number before it reads the database, and caches the result with it. A writer replaces the number
    after its COMMIT and before its answer leaves: from then on, results with the old number are not used. The numbers
    are random, not counted. So two writers at once need no lock: either number differs from all earlier ones.
    """

    def __init__(self) -> None:
        self.host = os.urandom(16)  # of all hosts, this one: see core/identity/changes.py
        self._memory = mmap.mmap(-1, 8)
        self._number = memoryview(self._memory).cast("Q")  # read and written in one piece: 8 bytes, aligned

    @property
    def number(self) -> int:
        """The present number."""
        return self._number[0]

    def advance(self) -> None:
        """Void what is cached."""
        self._number[0] = int.from_bytes(os.urandom(8), "little")


class Memory:
    """A bounded cache: each thing by its key, for at most `seconds`; `largest` bytes in all, the oldest leave first.

    `size_of(thing)`: its bytes. `followers`: how many requests may wait at once for a thing that another one makes. The
    age of a thing counts from before it was made, as what it shows may change from then on.

    `stale_for`: seconds of age up to which a thing that is void or out of date may be given, where none can be made;
    while `gives_stale`, it is given to everybody.
    """

    def __init__(
        self,
        seconds: float,
        largest: int,
        size_of: Callable[[Any], int],
        generation: Generation,
        followers: int = 1000,
        *,
        stale_for: int = 0,
    ) -> None:
        self.seconds = seconds
        self.stale_for = stale_for
        self.gives_stale = False
        self._following = threading.BoundedSemaphore(followers)
        self._generation = generation
        self._entries: FIFOCache[Hashable, tuple[int, float, Any]] = FIFOCache(largest, lambda entry: size_of(entry[2]))
        self._lock = threading.Lock()
        self._making: dict[tuple[Hashable, int], Future] = {}  # (key, generation) → what another request makes

    def peek(self, key: Hashable, stale: bool = False) -> tuple[Any, float] | None:
        """Return (the thing, its age in seconds), or None where there is none that may be used.

        `stale`: no new one can be made for who asks.
        """
        try:  # not get(), which looks twice without a lock: another thread may remove it in between
            entry = self._entries[key]
        except KeyError:
            return None
        age = time.monotonic() - entry[1]
        if age < self.seconds and entry[0] == self._generation.number:
            return entry[2], age
        return (entry[2], age) if (stale or self.gives_stale) and age < self.stale_for else None

    def fetch(self, key: Hashable, make: Callable[[], Any]) -> tuple[Any, float]:
        """Return (the thing, its age in seconds); `make()` it where there is none. Simultaneous requests make it once.

        At most `followers` requests wait for the one that makes it; further ones make it too. An exception of `make`
        goes to its caller, and those who wait make it themselves. A thing whose attribute `cacheable` is False is
        neither cached nor given to others.
        """
        generation = self._generation.number  # before anything is read
        if found := self.peek(key):
            return found
        with self._lock:
            if found := self.peek(key):
                return found
            theirs = self._making.get((key, generation))
            if theirs is None:
                ours = self._making[key, generation] = Future()
        if theirs is not None:
            if made := self._follow(theirs):
                thing, began = made
                return thing, time.monotonic() - began
            return make(), 0.0
        made = None
        try:
            began = time.monotonic()
            thing = make()
            if getattr(thing, "cacheable", True):
                made = thing, began
                with self._lock, contextlib.suppress(ValueError):  # larger than all of the memory
                    self._entries[key] = (generation, began, thing)
            return thing, 0.0
        finally:
            with self._lock:
                del self._making[key, generation]
            ours.set_result(made)

    def _follow(self, theirs: Future) -> tuple[Any, float] | None:
        """Return what another request makes, and since when; None where that fails, or too many wait already."""
        if not self._following.acquire(blocking=False):
            return None
        try:
            with contextlib.suppress(TimeoutError):
                return theirs.result(FOLLOW_TIMEOUT)
        finally:
            self._following.release()
        return None


class Cache:
    """All that is cached, and what voids it.

    `answers_for`, `counts_for`: seconds; 0 caches none. `largest`: bytes of answers, for each worker. `generation`: the
    one that older workers use, which still serve during a rolling restart. `stale_for`: seconds of age up to which an
    answer is given, void or not, where no new one can be made.
    """

    def __init__(
        self,
        answers_for: float,
        counts_for: float,
        largest: int,
        generation: Generation | None = None,
        stale_for: int = 0,
    ) -> None:
        self.stale_for = stale_for
        self.generation = generation or Generation()
        self.tell: Callable[[], None] = lambda: None  # other hosts of a change
        self.tables: set[str] = set()  # that cached answers show, as their routes declare
        answers = Memory(
            answers_for, largest, lambda answer: answer.size, self.generation, FOLLOWERS, stale_for=stale_for
        )
        self.answers = answers if answers_for else None
        self.counts = Memory(counts_for, COUNTS_SIZE, _size_of_rows, self.generation) if counts_for else None
        estimates = Memory(ESTIMATES_FOR, COUNTS_SIZE, _size_of_rows, Generation()) if counts_for else None
        self.rows = {"count": self.counts, "estimate": estimates}  # by the `cache:` line of a statement's header

    def serve_stale(self, yes: bool) -> None:
        """Give answers that are void or out of date, from now on; or do not any more."""
        if self.answers:
            self.answers.gives_stale = yes

    def changed(self, tables: Iterable[str]) -> None:
        """Void all that is cached if it shows one of these tables. Call it when the change is committed."""
        if not self.tables.isdisjoint(tables):
            self.generation.advance()
            self.tell()


def _size_of_rows(rows: Any) -> int:
    """Return the bytes of a row (or None), or of a list of rows, about."""
    if isinstance(rows, list):
        return ROW_SIZE + sum(map(_size_of_rows, rows))
    return ROW_SIZE + sum(len(value) for value in (rows or {}).values() if isinstance(value, str))
