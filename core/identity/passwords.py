"""Passwords: which may be chosen, and their hashes. The rules are those of OWASP ASVS 5, level 2."""

import base64
import contextlib
import functools
import hashlib
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from core.errors import ServiceUnavailable

COMMONEST = frozenset(FREQUENCY_LISTS["passwords"])  # 30,000, lower case
LONGEST_PASSWORD = 128  # characters
LOWEST_PRIORITY = 19
SHORTEST_HINT = 3  # characters of a word that no password may contain


def is_acceptable(password: str, *hints: str) -> bool:
    """Whether a password may be chosen (specification.md: 8+, upper, lower, digit; ASVS 6.2.4: not a common one).

    `hints`: words that are easily guessed for this account (ASVS 6.1.2); the password must contain none of them, in
    upper or lower case.
    """
    guessable = [hint.lower() for hint in hints if len(hint) >= SHORTEST_HINT]
    return (
        8 <= len(password) <= LONGEST_PASSWORD
        and any(c.isupper() for c in password)
        and any(c.islower() for c in password)
        and any(c.isdecimal() for c in password)
        and password.lower() not in COMMONEST
        and not any(hint in password.lower() for hint in guessable)
    )


class Passwords:
    """bcrypt, within a budget: this process makes one hash at a time, at the lowest priority, and few requests wait.

    `slots`: how many hashes may be made or wait at once; each occupies a serving thread. So a flood of logins takes
    only the time that is left over, and a login that finds no slot gets a 503 at once. One slot is never a stranger's,
    where there are several: it is for those who log in to their account from an address that they used before. What
    that buys: the product list keeps 0.40 of its speed in a flood of logins (tests/load/flood.py).
    """

    def __init__(self, cost: int, slots: int) -> None:
        self.cost = cost
        self._highest = cost  # of all hashes seen so far; more than `cost` where BCRYPT_COST was lowered
        self._slots = threading.BoundedSemaphore(slots)
        self._strangers = threading.BoundedSemaphore(max(1, slots - 1))
        self._nobody = bcrypt.hashpw(_digest(secrets.token_hex()), bcrypt.gensalt(cost))

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:  # made in the worker that needs it: threads do not survive a fork
        return ThreadPoolExecutor(1, "bcrypt", initializer=_lower_priority)

    @contextlib.contextmanager
    def budget(self, stranger: bool = True) -> Iterator[None]:
        """Reserve a slot for one hash; raise ServiceUnavailable where none is free."""
        with contextlib.ExitStack() as taken:
            for slots in (self._strangers, self._slots) if stranger else (self._slots,):
                if not slots.acquire(blocking=False):
                    raise ServiceUnavailable("Too many logins at once. Try again in a moment.")
                taken.callback(slots.release)
            yield

    def hash(self, password: str) -> str:
        """Return the hash to store, as text. Call within `budget`."""
        return self._pool.submit(bcrypt.hashpw, _digest(password), bcrypt.gensalt(self.cost)).result().decode()

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether this password has this hash; None is False after the same time. Call within `budget`.

        Every False is the same work, whatever BCRYPT_COST was when the hash was made: a hash of cost n takes 2^n, which
        is as long as all the lower costs together.
        """
        return self._pool.submit(self._is_of, _digest(password), stored).result()

    def _is_of(self, digest: bytes, stored: str | None) -> bool:
        against = stored.encode() if stored else self._nobody
        self._highest = max(self._highest, _cost_of(against))
        if bcrypt.checkpw(digest, against) and stored is not None:
            return True
        for cost in range(_cost_of(against), self._highest):
            bcrypt.hashpw(digest, bcrypt.gensalt(cost))
        return False

    def is_outdated(self, stored: str) -> bool:
        """Whether a stored hash is cheaper than BCRYPT_COST asks for by now."""
        return _cost_of(stored.encode()) < self.cost


def _cost_of(stored: bytes) -> int:
    return int(stored.split(b"$")[2])


def _digest(password: str) -> bytes:
    """Return what bcrypt gets: 64 characters without NUL, whatever the password (bcrypt takes 72 bytes)."""
    return base64.b64encode(hashlib.sha384(b"bodega.password." + password.encode()).digest())


def _lower_priority() -> None:
    """Give this thread the lowest priority. Only Linux has one for each thread; elsewhere it is the whole process'."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
