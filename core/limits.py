"""How often something may be tried: limits per address on routes, and growing delays after failed logins.

Counted is in memory that all workers of this host share, or by the package `limits` in RATE_LIMIT_STORAGE (redis://…)
for several hosts; while that does not answer, each host counts by itself. A refusal is a 429 with Retry-After and the
RateLimit headers of draft-ietf-httpapi-ratelimit-headers.
"""

import inspect
import ipaddress
import logging
import math
import re
import sys
import threading
import time

from bottle import request
from limits import parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from core.errors import RateLimited
from core.shared import SharedMemoryStorage
from core.system import Stop

AWAY = 3  # seconds for which a storage that did not answer is left alone

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

    `storage`: the address of one for several hosts, or None. `memory`: this host's, as `host_memory` returns it, where
    there is one already.
    """

    name = "limits"
    api = 2

    def __init__(self, enabled=True, storage=None, trusted_proxies=(), memory=None):
        self.enabled = enabled
        self.trusted = trusted_proxies
        self._memory = memory or host_memory()
        self._address, self._elsewhere = storage, None
        self._away_until = 0.0  # by the monotonic clock; after a failure only
        self._asking = threading.Lock()
        self._counted(lambda *_: None)  # so that a client that is not installed stops the start

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

    def _counted(self, work):
        """Return what `work(counters, notes)` returns, of the storage that answers; None where none does.

        One that does not is left alone for AWAY seconds, and then asked by one request while the others go on without.
        """
        if self._address and self._is_to_be_asked():
            try:
                self._elsewhere = self._elsewhere or _connected(self._address)
                counted = work(self._elsewhere, self._elsewhere)
            except Stop:
                raise
            except Exception as error:  # each client has kinds of its own; a Redis Cluster's begin when it is made
                self._away_until = time.monotonic() + AWAY
                log.error("RATE_LIMIT_STORAGE does not answer; this host counts by itself: %s", error)
            else:
                self._away_until = 0.0
                return counted
        try:
            return work(*self._memory)
        except StorageError as error:  # better to serve without limits than not at all
            log.error("The memory of the rate limits cannot be used: %s", error.storage_error)
            return None

    def _is_to_be_asked(self):
        with self._asking:
            now = time.monotonic()
            if now < self._away_until:
                return False
            if self._away_until:
                self._away_until = now + AWAY  # for the others
            return True

    def spend(self, budget, cost):
        """Count what a request costs its address; raise RateLimited past the budget (a core.spending.Budget)."""
        if self.enabled:
            told = request.environ["bodega.headers"]
            told[:] = [header for header in told if not header[1].startswith(f'"{budget.name}";')]  # it is told anew
            self._hit(budget, request.environ["bodega.address"], cost=cost)

    def _hit(self, limit, *who, cost=1):
        """Count one try, or what it costs, and set the headers; raise RateLimited past the limit."""

        def hit(counters, _):
            tightest = None
            for item in limit.items:
                key = item.key_for(limit.name, *who)
                left = item.amount - counters.incr(key, item.get_expiry(), cost)
                if tightest is None or left < tightest[0]:
                    tightest = left, item, key
                if left < 0:
                    break
            left, item, key = tightest
            return left, item, _wait(counters, item, key)

        if (found := self._counted(hit)) is None:
            return
        left, item, wait = found
        request.environ["bodega.headers"] += [  # for errors too
            ("RateLimit-Policy", f'"{limit.name}";q={item.amount};w={item.get_expiry()}'),
            ("RateLimit", f'"{limit.name}";r={max(0, left)};t={wait}'),
        ]
        if left < 0:
            raise RateLimited(wait)

    def before_login(self, account, address):
        """Raise RateLimited while the delay after failed logins lasts. `account`: what names it, in one form."""
        if not self.enabled:
            return

        def waits(counters, notes):
            known = notes.get(_known(account, address))
            return [
                _wait(counters, item, key)
                for limit, item, key in _failures(account, address)
                if not (known and limit is ACCOUNT_FAILURES) and counters.get(key) >= item.amount
            ]

        if found := self._counted(waits):
            raise RateLimited(max(found))

    def login_failed(self, account, address):
        """Count a failed login."""
        if not self.enabled:
            return
        failures = _failures(account, address)
        self._counted(lambda counters, _: [counters.incr(key, item.get_expiry()) for _, item, key in failures])

    def login_succeeded(self, account, address):
        """Forget the failures of this account from this address, and remember the address."""
        if not self.enabled:
            return

        def remember(counters, notes):
            notes.incr(_known(account, address), KNOWN.items[0].get_expiry())
            for item in PAIR_FAILURES.items:
                counters.clear(item.key_for(PAIR_FAILURES.name, account, address))

        self._counted(remember)


def host_memory():
    """Return where the workers of a host count, and where they note who has logged in from where.

    Two tables: notes last for a month, and anybody with an account makes as many as he has addresses.
    """
    return SharedMemoryStorage(wrap_exceptions=True), SharedMemoryStorage(wrap_exceptions=True)


def _failures(account, address):
    """Return the windows that count a failed login: (limit, window, key)."""
    counted = {PAIR_FAILURES: (account, address), ACCOUNT_FAILURES: (account,), ADDRESS_FAILURES: (address,)}
    return [(limit, item, item.key_for(limit.name, *who)) for limit, who in counted.items() for item in limit.items]


def _known(account, address):
    """Return the key of the note that somebody has logged in to this account from this address."""
    return KNOWN.items[0].key_for(KNOWN.name, account, address)


def _wait(counters, item, key):
    """Return the whole seconds until a window ends, from 1; within bounds, whatever the clock on the wall does."""
    return min(item.get_expiry(), max(1, math.ceil(counters.get_expiry(key) - time.time())))


def _connected(address):
    """Return the storage at this address; raise Stop where its client is not installed."""
    options = within = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    if address.startswith("redis+sentinel:"):  # else its sentinels are waited for without end, or asked for 10 s
        options = {**within, "sentinel_kwargs": {**within, "retry": None}}
    try:
        return storage_from_string(address, **options)
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
        address = re.sub(
            r"\A\[(.*)\](:[0-9]+)?\Z|\A([0-9.]+):[0-9]+\Z", r"\1\3", hops.pop()[:64]
        )  # some write the port
    return _shortened(address)


def _is_trusted(address, trusted):
    """Whether a network holds this address, in either form: 10.0.0.1 is ::ffff:10.0.0.1 on a socket for both."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    other = ipaddress.ip_address(f"::ffff:{found}") if found.version == 4 else found.ipv4_mapped
    return any(found in network or (other and other in network) for network in trusted)


def _shortened(address):
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64] or "unknown"
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
