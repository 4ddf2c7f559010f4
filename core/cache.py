"""What is kept in memory for a few seconds: whole answers of routes, and counts that would cost too much each time.

Everything is voided at once, in all worker processes of this host, by whatever changes the tables that it shows (a
number in shared memory, see `Generation`), so that whoever has written sees their own writes. What changes elsewhere
(on another host, or by hand in the database) is seen when its few seconds are over.
"""

import contextlib
import mmap
import os
import threading
import time
from concurrent.futures import Future

from cachetools import FIFOCache

REVALIDATE = "public, max-age=0, must-revalidate"  # keep it, and ask by its ETag before each use
COUNTS_SIZE = 4 * 1024 * 1024  # bytes, estimated, for each worker
ESTIMATES_FOR = 600  # seconds, whatever changes meanwhile
ROW_SIZE = 600  # bytes that a row of a few columns takes as a dict, about
FOLLOW_TIMEOUT = 5  # seconds to wait for somebody who is making the same
FOLLOWERS = 2  # who wait for answers so in each worker; each holds a thread, and what is awaited may take its time


class Cached:
    """A route's `cache` that keeps its answers in memory: `cache=Cached("products", "categories")`.

    `tables`: all that the answers show; a change of one of them through this shop voids the answers.
    """

    control = REVALIDATE

    def __init__(self, *tables):
        self.tables = frozenset(tables)


class Generation:
    """A number that all processes which inherit it share; it is another one after each change of what is kept.

    Whoever keeps something notes the number from before it was read. A writer changes it after its COMMIT and before
    its answer leaves: what was read earlier has an older number then, and is not used any more. Numbers are random and
    not counted: of two changes at once either may stay, as both differ from all before, and so nobody waits for a lock.
    """

    def __init__(self):
        self._memory = mmap.mmap(-1, 8)
        self._number = memoryview(self._memory).cast("Q")  # read and written in one piece: 8 bytes, aligned

    @property
    def number(self):
        """The present number."""
        return self._number[0]

    def advance(self):
        """Void what is kept."""
        self._number[0] = int.from_bytes(os.urandom(8), "little")


class Memory:
    """A bounded memory: each thing by its key, for at most `seconds`, of `largest` bytes in all.

    Things are what `fetch` is given to make; `size_of` says their bytes. The oldest leave first. An age is counted from
    before the thing was made: from when what it shows may have changed.
    """

    def __init__(self, seconds, largest, size_of, generation, followers=1000):
        self.seconds = seconds
        self._following = threading.BoundedSemaphore(followers)
        self._generation = generation
        self._entries = FIFOCache(largest, lambda entry: size_of(entry[2]))
        self._lock = threading.Lock()
        self._making = {}  # (key, generation) → the Future of whoever is at it

    def peek(self, key):
        """Return (the thing, its age in seconds), or None where there is none that may be used."""
        try:  # not get(), which looks twice: another thread may remove it in between, as nothing is locked here
            entry = self._entries[key]
        except KeyError:
            return None
        if entry[0] != self._generation.number:
            return None
        age = time.monotonic() - entry[1]
        return (entry[2], age) if age < self.seconds else None

    def fetch(self, key, make):
        """Return (the thing, its age); `make()` it where there is none. Simultaneous requests make it once.

        At most `followers` wait for others who are at it; whoever comes then makes it too.

        What `make` raises goes to its caller, and the others that wait try for themselves; what it returns with
        `cacheable` False (an attribute, if there is one) is not kept, nor given to others.
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

    def _follow(self, theirs):
        """Return what another request makes, and since when; None where it fails, or is not to be waited for."""
        if not self._following.acquire(blocking=False):
            return None
        try:
            with contextlib.suppress(TimeoutError):
                return theirs.result(FOLLOW_TIMEOUT)
        finally:
            self._following.release()
        return None


class Cache:
    """All that is kept, and what voids it.

    `answers_for`, `counts_for`: seconds; 0 keeps none. `largest`: bytes of answers, for each worker. `generation`: the
    one of the workers that serve beside those which get this.
    """

    def __init__(self, answers_for, counts_for, largest, generation=None):
        self.generation = generation or Generation()
        self.tables = set()  # what the kept answers show, by their routes
        answers = Memory(answers_for, largest, lambda answer: answer.size, self.generation, FOLLOWERS)
        self.answers = answers if answers_for else None
        self.counts = Memory(counts_for, COUNTS_SIZE, _size_of_rows, self.generation) if counts_for else None
        estimates = Memory(ESTIMATES_FOR, COUNTS_SIZE, _size_of_rows, Generation()) if counts_for else None
        self.rows = {"count": self.counts, "estimate": estimates}  # by what the header of a statement lets be kept

    def changed(self, tables):
        """Void all that is kept if it shows one of these tables; to be called when the change is committed."""
        if not self.tables.isdisjoint(tables):
            self.generation.advance()


def _size_of_rows(rows):
    return ROW_SIZE * (1 + len(rows) if isinstance(rows, list) else 1)
