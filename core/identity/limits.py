"""How often an address may ask: a route declares `limit=Limit(…)`.

A refusal is a 429 with Retry-After and the RateLimit headers of draft-ietf-httpapi-ratelimit-headers.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from bottle import Route, request
from limits import RateLimitItem, parse_many
from limits.storage import Storage

from core.config import Network
from core.errors import RateLimited
from core.identity.client_address import client_address
from core.identity.counters import Counters


class Limit:
    """A route's limit for each address: `Limit("login", "30/minute; 300/hour")`."""

    def __init__(self, name: str, windows: str) -> None:
        self.name = name
        self.items = parse_many(windows)


class Limits:
    """The plugin that applies a route's limit, and notes the client's address.

    `enabled`: RATE_LIMITS. `trusted_proxies`: their addresses.
    """

    name = "limits"
    api = 2

    def __init__(self, counters: Counters, enabled: bool = True, trusted_proxies: tuple[Network, ...] = ()) -> None:
        self._counters = counters
        self.enabled = enabled
        self._trusted = trusted_proxies

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap every route."""
        limit = route.config.get("limit")

        def limited(**arguments: Any) -> Any:
            request.environ["bodega.address"] = client_address(request.environ, self._trusted)
            if limit and self.enabled:
                self._hit(limit, request.environ["bodega.address"])
            return callback(**arguments)

        return limited

    def spend(self, budget: Limit, cost: int) -> None:
        """Count what a request costs its address; raise RateLimited past the budget (a budgets.Budget)."""
        if self.enabled:
            headers = request.environ["bodega.headers"]
            headers[:] = [header for header in headers if not header[1].startswith(f'"{budget.name}";')]
            self._hit(budget, request.environ["bodega.address"], cost)

    def _hit(self, limit: Limit, address: str, cost: int = 1) -> None:
        """Count one try, or its cost, and set the headers; raise RateLimited past the limit."""

        def hit(counters: Storage, _: Storage) -> tuple[int, RateLimitItem, int]:
            found = []
            for item in limit.items:
                key = item.key_for(limit.name, address)
                found.append((item.amount - counters.incr(key, item.get_expiry(), cost), item, key))
                if found[-1][0] < 0:
                    break
            left, item, key = min(found, key=lambda window: window[0])
            return left, item, wait(counters, item, key)

        if (counted := self._counters.ask(hit)) is None:
            return
        left, item, seconds = counted
        request.environ["bodega.headers"] += [  # for errors too
            ("RateLimit-Policy", f'"{limit.name}";q={item.amount};w={item.get_expiry()}'),
            ("RateLimit", f'"{limit.name}";r={max(0, left)};t={seconds}'),
        ]
        if left < 0:
            raise RateLimited(seconds)


def wait(counters: Storage, item: RateLimitItem, key: str) -> int:
    """Return the whole seconds until a window ends, from 1; within bounds, even if the time of day is set."""
    return min(item.get_expiry(), max(1, math.ceil(counters.get_expiry(key) - time.time())))
