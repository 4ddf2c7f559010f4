"""Where tries are counted: in memory that all workers of this host share, or in RATE_LIMIT_STORAGE for several hosts.

While that storage (redis://…, by the package `limits`) does not answer, each host counts by itself.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from limits.errors import ConfigurationError, StorageError
from limits.storage import Storage, storage_from_string

from core import recurring
from core.cli import CommandError
from core.shared_memory import SharedMemoryStorage

AWAY = 3  # seconds until a storage that did not answer is asked again
WITHIN = 0.5  # seconds in which it has to answer

log = logging.getLogger("bodega.limits")

Result = TypeVar("Result")


class HostMemory(NamedTuple):
    """What the workers of a host share. Two tables: notes last for a month, and there may be very many of them."""

    counters: Storage
    notes: Storage


def host_memory() -> HostMemory:
    """Make the memory; before the workers are forked."""
    return HostMemory(SharedMemoryStorage(wrap_exceptions=True), SharedMemoryStorage(wrap_exceptions=True))


class Counters:
    """`address`: of a storage for several hosts, or None. `memory`: this host's, where there is one already.

    Raises CommandError where the client of that storage is not installed.
    """

    def __init__(self, address: str | None = None, memory: HostMemory | None = None) -> None:
        self._memory = memory or host_memory()
        self.address = address
        self._storage: Storage | None = None
        self._away_until = 0.0  # by the monotonic clock; after a failure only
        self._asking = threading.Lock()
        self.ask(lambda *_: None)  # a client that is not installed stops the start

    def ask(self, work: Callable[[Storage, Storage], Result]) -> Result | None:
        """Return what `work(counters, notes)` returns, of the storage that answers; None where none does.

        After a failure the storage is left alone for AWAY seconds. Then one request asks it, and the others go on.
        """
        if self.address and self._is_to_be_asked():
            try:
                self._storage = self._storage or _connected(self.address)
                result = work(self._storage, self._storage)
            except CommandError:
                raise
            except Exception as error:  # each client has kinds of its own; a Redis Cluster's begin when it is made
                self._away_until = time.monotonic() + AWAY
                said = "RATE_LIMIT_STORAGE does not answer; this host counts by itself: %s"
                recurring.failing(log, logging.ERROR, said, error, key="RATE_LIMIT_STORAGE", until_over=True)
            else:
                self._away_until = 0.0
                recurring.over(log, "RATE_LIMIT_STORAGE", "RATE_LIMIT_STORAGE answers again.")
                return result
        try:
            return work(*self._memory)
        except StorageError as error:  # better to serve without limits than not at all
            said = "The memory of the rate limits cannot be used: %s"
            recurring.failing(log, logging.ERROR, said, error.storage_error)
            return None

    def publish(self, channel: str, message: bytes) -> None:
        """Send a message to all hosts, if there is a storage for several, and it answers."""
        if self.address:
            self.ask(lambda *storages: storages == self._memory or _client(storages[0]).publish(channel, message))

    def _is_to_be_asked(self) -> bool:
        with self._asking:
            now = time.monotonic()
            if now < self._away_until:
                return False
            if self._away_until:
                self._away_until = now + AWAY  # for the others
            return True


def subscription(address: str) -> Any:
    """Return a PubSub of redis-py on a connection of its own; raise what the client raises."""
    return _client(_connected(address)).pubsub()


def _client(storage: Any) -> Any:
    return storage.storage


def _connected(address: str) -> Storage:
    """Return the storage at this address; raise CommandError where its client is not installed."""
    options: dict[str, Any] = {"socket_timeout": WITHIN, "socket_connect_timeout": WITHIN}
    if address.startswith("redis+sentinel:"):  # without bounds of their own, sentinels may be asked without end
        options["sentinel_kwargs"] = {**options, "retry": None}
    try:
        return storage_from_string(address, **options)  # type: ignore[return-value] # none of the asyncio ones
    except ConfigurationError:
        raise CommandError(
            "RATE_LIMIT_STORAGE needs a package that is not installed. Type this, then start again:\n\n"
            f"    {sys.executable} -m pip install 'limits[redis]'\n"
        ) from None
