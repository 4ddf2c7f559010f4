"""Counters that all worker processes of this host share, as a storage for the package `limits`; and their lock.

An anonymous memory map, made before the workers are forked: a table of slots, each a key's hash, its count and when
it expires. The package's own memory storage counts in each process alone, and its others need a further server.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time

from limits.storage import Storage

SLOT = struct.Struct("<Qdq")  # hash of the key, end of its window (seconds since 1970), count
SLOTS = 16_384  # 384 KiB
PROBES = 16  # slots that a key may stand in


class SharedMemoryStorage(Storage):
    """Fixed windows, exact across the processes that inherit it. A full table forgets what would expire first."""

    STORAGE_SCHEME = ["bodega-shared"]  # noqa: RUF012 - the base class' form

    def __init__(self, uri=None, wrap_exceptions=False, slots=SLOTS, **_):
        super().__init__(uri, wrap_exceptions)
        self.slots = slots
        self._table = mmap.mmap(-1, slots * SLOT.size)
        self._locked = SharedLock()

    @property
    def base_exceptions(self):
        """Return what may go wrong in here."""
        return (OSError, ValueError)

    def incr(self, key, expiry, amount=1):
        """Count `amount` more in the key's window, which ends `expiry` seconds after its first; return the count."""
        now = time.time()
        with self._locked:
            place, found = self._find(key, now)
            number, end, count = found or (_hash(key), now + expiry, 0)
            SLOT.pack_into(self._table, place, number, end, count + amount)
            return count + amount

    def get(self, key):
        """Return the count of the key's window; 0 where there is none."""
        with self._locked:
            found = self._find(key, time.time())[1]
        return found[2] if found else 0

    def get_expiry(self, key):
        """Return when the key's window ends, in seconds since 1970; now where there is none."""
        now = time.time()
        with self._locked:
            found = self._find(key, now)[1]
        return found[1] if found else now

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
            place, found = self._find(key, time.time())
            if found:
                SLOT.pack_into(self._table, place, 0, 0.0, 0)

    def _find(self, key, now):
        """Return where the key stands, or may be put, and what stands there of it (None where nothing)."""
        number = _hash(key)
        best, best_end = None, None
        for probe in range(PROBES):
            place = (number + probe) % self.slots * SLOT.size
            slot = SLOT.unpack_from(self._table, place)
            if slot[0] == number and slot[1] > now:
                return place, slot
            end = slot[1] if slot[1] > now else 0.0  # an expired slot is as good as an empty one
            if best is None or end < best_end:
                best, best_end = place, end
        return best, None


class SharedLock:
    """A lock between the threads of one process and all processes that inherit it. It goes with a holder that dies."""

    def __init__(self):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - locked for as long as we live
        self._own = threading.Lock()  # file locks belong to processes, and do not part threads

    def __enter__(self):
        self._own.acquire()
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._own.release()


def _hash(key):
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=_SALT).digest(), "little") or 1


_SALT = os.urandom(16)  # so that nobody can choose names that fall into one slot; workers inherit it
