"""Counters that all worker processes of this host share, as a storage for the package `limits`; and their lock.

An anonymous memory map, made before the workers are forked: a table of slots, each a key's hash, when it
expires, its count, and the most that is allowed. The package's own memory storage counts in each process alone, and its
others need a further server.
"""

import fcntl
import functools
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time

from limits.storage import Storage

SLOT = struct.Struct("<QdII")  # hash of the key, end of its window (by the monotonic clock), count, the most allowed
SLOTS = 65_536  # 1.5 MiB
PROBES = 16  # slots that a key may stand in


class SharedMemoryStorage(Storage):
    """Fixed windows, exact across the processes that inherit it.

    A full table forgets what is furthest from its limit: whoever wants his own counter forgotten would have to bring
    a whole table of others to their limits first. Time is CLOCK_MONOTONIC, which all processes of a host share: windows
    last as long as they should, whatever happens to the clock on the wall.
    """

    STORAGE_SCHEME = ["bodega-shared"]  # noqa: RUF012 - the base class' form

    def __init__(self, uri=None, wrap_exceptions=False, slots=SLOTS, **_):
        super().__init__(uri, wrap_exceptions)
        self.slots = slots
        self._table = mmap.mmap(-1, slots * SLOT.size)
        self._locked = _lock()

    @property
    def base_exceptions(self):
        """Return what may go wrong in here."""
        return (OSError, ValueError)

    def incr(self, key, expiry, amount=1):
        """Count `amount` more in the key's window, which ends `expiry` seconds after its first; return the count."""
        with self._locked:
            now = time.monotonic()
            place, found = self._find(key, now)
            number, end, count, most = found or (_hash(key), now + expiry, 0, _most(key))
            SLOT.pack_into(self._table, place, number, end, count + amount, most)
            return count + amount

    def get(self, key):
        """Return the count of the key's window; 0 where there is none."""
        with self._locked:
            found = self._find(key, time.monotonic())[1]
        return found[2] if found else 0

    def get_expiry(self, key):
        """Return when the key's window ends, in seconds since 1970; now where there is none."""
        now = time.monotonic()
        with self._locked:
            found = self._find(key, now)[1]
        return time.time() + (found[1] - now if found else 0)

    def check(self):
        """Memory is always there."""
        return True

    def reset(self):
        """Forget everything."""
        with self._locked:
            self._table[:] = bytes(len(self._table))

    def clear(self, key):
        """Forget one key."""
        with self._locked:
            place, found = self._find(key, time.monotonic())
            if found:
                SLOT.pack_into(self._table, place, 0, 0.0, 0, 0)

    def _find(self, key, now):
        """Return where the key stands, or may be put, and what stands there of it (None where nothing)."""
        number = _hash(key)
        best, lowest = None, None
        for probe in range(PROBES):
            place = (number + probe) % self.slots * SLOT.size
            hashed, end, count, most = slot = SLOT.unpack_from(self._table, place)
            if end <= now:
                rank = (0, 0)  # an expired slot is as good as an empty one
            elif hashed == number:
                return place, slot
            else:
                rank = (count / most, end)
            if best is None or rank < lowest:
                best, lowest = place, rank
        return best, None


def _most(key):
    """Return how many its limit allows: the package's keys end in amount/multiple/unit."""
    return int(key.rsplit("/", 3)[1])


class SharedLock:
    """A lock between the threads of one process and all processes that inherit it. It goes with a holder that dies.

    A process must hold one of these only, see `_lock`: file locks belong to processes, and of two threads that wait for
    two files Linux may see a deadlock between processes where there is none (EDEADLK).
    """

    def __init__(self):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - locked for as long as we live
        self._number = self._file.fileno()
        self._own = threading.Lock()  # file locks do not part threads

    def __enter__(self):
        self._own.acquire()
        try:
            fcntl.lockf(self._number, fcntl.LOCK_EX)
        except BaseException:
            self._own.release()
            raise

    def __exit__(self, *_):
        try:
            fcntl.lockf(self._number, fcntl.LOCK_UN)
        finally:
            self._own.release()


@functools.cache
def _lock():
    """Return the one lock of all tables; made with the first of them, before anybody is forked who shares it."""
    return SharedLock()


def _hash(key):
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=_SALT).digest(), "little") or 1


_SALT = os.urandom(16)  # so that nobody can choose names that fall into one slot; workers inherit it
