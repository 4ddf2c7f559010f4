"""What other hosts of the shop are told at once: that cached tables were changed; by the Redis of RATE_LIMIT_STORAGE.

What it buys: what another host has changed is seen after 0.07 ms (the way of a message on one machine, median of 1,000;
p99 3.8), not after CACHE_TTL, which goes on to hold without a Redis and while it is away. What it costs: a write that
changes a cached table tells it before its answer leaves, 0.05 ms; counters.WITHIN at the most, once in AWAY seconds.

A message voids all that is cached, and to void twice is to void: none is numbered or kept. A host that may have missed
some, as its connection was new or silent, voids once more.
"""

import logging
import threading
import time
from typing import Any

from core import recurring
from core.cache import Generation
from core.identity.counters import AWAY, Counters, subscription

log = logging.getLogger("bodega.cache")

CHANNEL = "bodega.changed."  # and the database's name: several shops may share a Redis
SILENT = "The Redis of RATE_LIMIT_STORAGE does not tell what other hosts change; it is seen after CACHE_TTL: %s"


class Changes:
    """Tells other hosts of changes, and hears of theirs. `shop`: the database's name, the same on all hosts.

    All processes of a host share `generation`, and tell by the same `counters`; what comes from it is not heard there.
    """

    def __init__(self, counters: Counters, generation: Generation, shop: str) -> None:
        self._counters = counters
        self._generation = generation
        self._channel = CHANNEL + shop

    def tell(self) -> None:
        """Tell the others, when the change is committed. Raises nothing: without an answer they see it by CACHE_TTL."""
        self._counters.publish(self._channel, self._generation.host)

    def listen(self) -> None:
        """Begin to void what this host has cached whenever another one has changed it, on a thread of its own."""
        if address := self._counters.address:
            threading.Thread(target=self._listen, args=[address], name="changes", daemon=True).start()

    def _listen(self, address: str) -> None:
        while True:
            try:
                self._hear(subscription(address))
            except Exception as error:  # each client has kinds of its own
                recurring.failing(log, logging.WARNING, SILENT, error, key=CHANNEL, until_over=True)
            time.sleep(AWAY)

    def _hear(self, messages: Any) -> None:
        """Void at each message of another host; raise what the client raises, ConnectionError after a silence."""
        with messages:
            messages.subscribe(self._channel)
            heard = asked = time.monotonic()
            while heard >= asked - AWAY:
                message = messages.get_message(timeout=AWAY)
                now = time.monotonic()
                if message:
                    heard = now
                    if message["type"] == "subscribe":  # what was said before is not known
                        recurring.over(log, CHANNEL, "Redis tells again what other hosts change.")
                    if message["type"] != "pong" and message["data"] != self._generation.host:
                        self._generation.advance()
                if now >= asked + AWAY:
                    messages.ping()
                    asked = now
        raise ConnectionError(f"it has said nothing for {AWAY} s")
