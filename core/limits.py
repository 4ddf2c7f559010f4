"""How often something may be tried: limits per address on routes, and growing delays after failed logins.

The package `limits` counts, in memory that all workers of this host share, or in RATE_LIMIT_STORAGE (redis://…) for
several hosts. A refusal is a 429 with Retry-After and the RateLimit headers of draft-ietf-httpapi-ratelimit-headers.
"""

import contextlib
import inspect
import ipaddress
import logging
import math
import re
import sys
import time

from bottle import request
from limits import parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from core.errors import RateLimited
from core.shared import SharedMemoryStorage
from core.system import Stop

log = logging.getLogger("bodega.limits")


class Limit:
    """A route's limit for each address: `Limit("login", "30/minute; 300/hour")`."""

    def __init__(self, name, windows):
        self.name = name
        self.items = parse_many(windows)


# Failed logins. For one account from one address the delay grows with each window, up to an hour. All addresses
# together can slow an account down too, for a minute at a time; an address from which somebody logged in to it before
# is spared that, so that strangers do not lock its owner out. An account is what was typed: whether there is one must
# not show.
PAIR_FAILURES = Limit("login-pair", "5/10 seconds; 10/minute; 20/10 minutes; 40/hour")
ACCOUNT_FAILURES = Limit("login-account", "20/minute")
KNOWN = Limit("login-known", "1000000/30 days")  # not a limit: notes who has logged in from where
ADDRESS_FAILURES = Limit("login-address", "50/minute; 200/10 minutes")


class Limits:
    """The plugin that holds a route to its `limit=Limit(…)`. It counts failed logins too: a handler names `limits`.

    `storage`: its address; None for the memory of this host, which is `shared` where there is one already.
    """

    name = "limits"
    api = 2

    def __init__(self, enabled=True, storage=None, trusted_proxies=(), shared=None):
        self.enabled = enabled
        self.trusted = trusted_proxies
        self.storage = _connected(storage) if storage else shared or SharedMemoryStorage(wrap_exceptions=True)
        self._limiter = FixedWindowRateLimiter(self.storage)

    def apply(self, callback, route):
        """Wrap the routes that declare a limit; note the client's address on all of them."""
        limit = route.config.get("limit")
        names_us = "limits" in inspect.signature(route.callback).parameters

        def limited(**arguments):
            request.environ["bodega.address"] = client_address(request.environ, self.trusted)
            if names_us:
                arguments["limits"] = self
            if limit and self.enabled:
                self._hit(limit, request.environ["bodega.address"])
            return callback(**arguments)

        return limited

    def _hit(self, limit, *who):
        """Count one try and set the headers; raise RateLimited past the limit."""
        tightest = None
        with _tolerant():
            for item in limit.items:
                allowed = self._limiter.hit(item, limit.name, *who)
                remaining, wait = self._window(item, limit.name, *who)
                if not allowed:
                    self._tell(limit, item, 0, wait)
                    raise RateLimited(wait)
                if tightest is None or remaining < tightest[1]:
                    tightest = (item, remaining, wait)
            self._tell(limit, *tightest)

    def _window(self, item, *who):
        """Return how many tries are left in a window, and the whole seconds until it ends."""
        stats = self._limiter.get_window_stats(item, *who)
        return stats.remaining, max(1, math.ceil(stats.reset_time - time.time()))

    @staticmethod
    def _tell(limit, item, remaining, wait):
        """Set the headers of one window, for errors too."""
        request.environ["bodega.headers"] += [
            ("RateLimit-Policy", f'"{limit.name}";q={item.amount};w={item.get_expiry()}'),
            ("RateLimit", f'"{limit.name}";r={remaining};t={wait}'),
        ]

    def before_login(self, account, address):
        """Raise RateLimited while the delay after failed logins lasts. `account`: what names it, in one form."""
        waits = []
        with _tolerant():
            known = self.enabled and self.storage.get(KNOWN.items[0].key_for(KNOWN.name, account, address))
            for name, item, who in self._failures(account, address):
                spared = known and name == ACCOUNT_FAILURES.name
                if not spared and not self._limiter.test(item, name, *who):
                    waits.append(self._window(item, name, *who)[1])
            if waits:
                raise RateLimited(max(waits))

    def login_failed(self, account, address):
        """Count a failed login."""
        with _tolerant():
            for name, item, who in self._failures(account, address):
                self._limiter.hit(item, name, *who)

    def login_succeeded(self, account, address):
        """Forget the failures of this account from this address, and remember the address."""
        if not self.enabled:
            return
        with _tolerant():
            self._limiter.hit(KNOWN.items[0], KNOWN.name, account, address)
            for item in PAIR_FAILURES.items:
                self._limiter.clear(item, PAIR_FAILURES.name, account, address)

    def _failures(self, account, address):
        """Return the windows that count a failed login: (limit's name, window, who); none where limits are off."""
        counted = {PAIR_FAILURES: (account, address), ACCOUNT_FAILURES: (account,), ADDRESS_FAILURES: (address,)}
        return [(limit.name, item, who) for limit, who in counted.items() for item in limit.items if self.enabled]


@contextlib.contextmanager
def _tolerant():
    """Go on where the storage does not answer: better to serve without limits than not at all."""
    try:
        yield
    except StorageError as error:
        log.error("The storage of the rate limits does not answer: %s", error.storage_error)


def _connected(address):
    """Return the storage at this address; raise Stop where its client is not installed."""
    try:
        return storage_from_string(address, wrap_exceptions=True, socket_timeout=0.5, socket_connect_timeout=0.5)
    except ConfigurationError:
        raise Stop(
            "RATE_LIMIT_STORAGE needs a package that is not installed. Type this, then start again:\n\n"
            f"    {sys.executable} -m pip install 'limits[redis]'\n"
        ) from None


def client_address(environ, trusted):
    """Return the client's address: the connection's, or what a trusted proxy says in X-Forwarded-For.

    The header is read from the right, as each proxy appends whom it saw: the first that is no trusted proxy is the
    client. Of an IPv6 address the /64 counts, which is what one customer has.
    """
    address = environ.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and _is_trusted(address, trusted):
        address = re.sub(r"\A\[(.*)\](:[0-9]+)?\Z|\A([0-9.]+):[0-9]+\Z", r"\1\3", hops.pop())  # some write the port
    return _shortened(address)


def _is_trusted(address, trusted):
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in trusted)


def _shortened(address):
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64] or "unknown"
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
