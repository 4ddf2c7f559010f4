"""How often an address may ask: a route declares `limit=Limit(…)`.

A refusal is a 429 with Retry-After and the RateLimit headers of draft-ietf-httpapi-ratelimit-headers. They tell of the
policy that refused, and of no other: none may seem to say that there are tries left. A delay after failed logins tells
none: which of its windows refused would say something about the account.
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

QUOTA = ("RateLimit-Policy", "RateLimit")


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
            try:
                if limit and self.enabled:
                    self._hit(limit)
                return callback(**arguments)
            except RateLimited as refused:  # by this limit, a budget, or whatever else counts
                _tell(refused.quota, in_place_of='"')
                raise

        return limited

    def spend(self, budget: Limit, cost: int) -> None:
        """Count what a request costs its address; raise RateLimited past the budget (a budgets.Budget)."""
        if self.enabled:
            self._hit(budget, cost)

    def _hit(self, limit: Limit, cost: int = 1) -> None:
        """Count one try, or its cost, and set the headers; raise RateLimited past the limit."""
        address = request.environ["bodega.address"]

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
        quota = [
            ("RateLimit-Policy", f'"{limit.name}";q={item.amount};w={item.get_expiry()}'),
            ("RateLimit", f'"{limit.name}";r={max(0, left)};t={seconds}'),
        ]
        if left < 0:
            raise RateLimited(seconds, quota)
        _tell(quota, in_place_of=f'"{limit.name}";')


def _tell(quota: list[tuple[str, str]], in_place_of: str) -> None:
    """Give the answer, also an error, these headers in place of those of policies that begin like this."""
    headers = request.environ["bodega.headers"]
    headers[:] = [(n, value) for n, value in headers if n not in QUOTA or not value.startswith(in_place_of)] + quota


def wait(counters: Storage, item: RateLimitItem, key: str) -> int:
    """Return the whole seconds until a window ends, from 1; within bounds, even if the time of day is set."""
    return min(item.get_expiry(), max(1, math.ceil(counters.get_expiry(key) - time.time())))
