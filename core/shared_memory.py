"""Counters that all worker processes of this host share, as a storage for the package `limits`; and their lock.

An anonymous memory map, made before the workers are forked: a table of slots. A slot has a key's hash, when it expires,
its count, and the most that is allowed. It saves a further server: the package's own memory storage counts in each
process alone, and its other storages need Redis or the like.
"""

import fcntl
import functools
import hashlib
import math
import mmap
import os
import struct
import tempfile
import threading
import time
from typing import Any

from limits.storage import Storage

SLOT = struct.Struct("<QdII")  # hash of the key, end of its window (by the monotonic clock), count, the most allowed
SLOTS = 65_536  # 1.5 MiB
PROBES = 16  # slots that a key may stand in


class SharedMemoryStorage(Storage):
    """Fixed windows, exact across the processes that inherit it.

    A full table forgets the counter that is furthest from its limit: to make the shop forget a counter, an attacker
    would have to bring a whole table of others to their limits first. Time is CLOCK_MONOTONIC, which all processes of a
    host share: a window has its full length even if the time of day is set meanwhile.
    """

    STORAGE_SCHEME = ["bodega-shared"]  # noqa: RUF012 - the base class' form

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, slots: int = SLOTS, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self.slots = slots
        self._table = mmap.mmap(-1, slots * SLOT.size)
        self._locked = _lock()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Return the exceptions that this storage may raise."""
        return (OSError, ValueError)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more in the key's window, which ends `expiry` seconds after its first; return the count."""
        with self._locked:
            now = time.monotonic()
            place, found = self._find(key, now)
            number, end, count, most = found or (_hash(key), now + expiry, 0, _most(key))
            SLOT.pack_into(self._table, place, number, end, count + amount, most)
            return count + amount

    def get(self, key: str) -> int:
        """Return the count of the key's window; 0 where there is none."""
        with self._locked:
            found = self._find(key, time.monotonic())[1]
        return found[2] if found else 0

    def get_expiry(self, key: str) -> float:
        """Return when the key's window ends, in seconds since 1970; now where there is none."""
        now = time.monotonic()
        with self._locked:
            found = self._find(key, now)[1]
        return time.time() + (found[1] - now if found else 0)

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int | None:
        """Forget everything."""
        with self._locked:
            self._table[:] = bytes(len(self._table))
        return None

    def clear(self, key: str) -> None:
        """Forget one key."""
        with self._locked:
            place, found = self._find(key, time.monotonic())
            if found:
                SLOT.pack_into(self._table, place, 0, 0.0, 0, 0)

    def _find(self, key: str, now: float) -> tuple[int, tuple[int, float, int, int] | None]:
        """Return where the key stands, or may be put, and what stands there of it (None where nothing)."""
        number = _hash(key)
        best, lowest = 0, (math.inf, 0.0)
        for probe in range(PROBES):
            place = (number + probe) % self.slots * SLOT.size
            hashed, end, count, most = slot = SLOT.unpack_from(self._table, place)
            if end <= now:
                rank = (0.0, 0.0)  # an expired slot is as good as an empty one
            elif hashed == number:
                return place, slot
            else:
                rank = (count / most, end)
            if rank < lowest:
                best, lowest = place, rank
        return best, None


def _most(key: str) -> int:
    """Return how many its limit allows: the package's keys end in amount/multiple/unit."""
    return int(key.rsplit("/", 3)[1])


class SharedLock:
    """A lock between the threads of one process and all processes that inherit it. A process that dies releases it.

    A process must have only one, see `_lock`: file locks belong to processes, and where two threads wait for two files,
    Linux may see a deadlock between processes where there is none (EDEADLK).
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - locked while the process lives
        self._number = self._file.fileno()
        self._own = threading.Lock()  # file locks do not part threads

    def __enter__(self) -> None:
        self._own.acquire()
        try:
            fcntl.lockf(self._number, fcntl.LOCK_EX)
        except BaseException:
            self._own.release()
            raise

    def __exit__(self, *_: Any) -> None:
        try:
            fcntl.lockf(self._number, fcntl.LOCK_UN)
        finally:
            self._own.release()


@functools.cache
def _lock() -> "SharedLock":
    """Return the one lock of all tables; made with the first of them, before the workers are forked."""
    return SharedLock()


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=_SALT).digest(), "little") or 1


_SALT = os.urandom(16)  # so that nobody can choose names that fall into one slot; workers inherit it
