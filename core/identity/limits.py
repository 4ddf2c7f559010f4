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
from typing import NamedTuple

from bottle import request
from limits import parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from core.cli import CommandError
from core.errors import RateLimited
from core.shared_memory import SharedMemoryStorage

AWAY = 3  # seconds for which a storage that did not answer is left alone

log = logging.getLogger("bodega.limits")


class Limit:
    """A route's limit for each address: `Limit("login", "30/minute; 300/hour")`."""

    def __init__(self, name, windows):
        self.name = name
        self.items = parse_many(windows)


# Failed logins. For one account from one address the delay grows with each window, up to a day; name and e-mail address
# count together. Only the shortest windows go by what was typed: were those together too, a few tries would tell that
# this name and that address are one account. All addresses together slow an account down too, with fewer tries a minute
# the more failed in the hour and the day, but always for a minute at a time; an address from which somebody logged in
# to it before is spared that. So strangers do not lock its owner out, wherever he is.
TYPED_FAILURES = Limit("login-typed", "5/10 seconds; 10/minute")
PAIR_FAILURES = Limit("login-pair", "20/10 minutes; 40/hour; 100/day")
ACCOUNT_FAILURES = Limit("login-account", "20/minute; 100/hour; 300/day")
AFTER_AN_HOUR_OF_IT, AFTER_A_DAY_OF_IT = 5, 2  # tries a minute, when the account's hour, its day is used up
KNOWN = Limit("login-known", "1000000/30 days")  # not a limit: notes who has logged in from where
ADDRESS_FAILURES = Limit("login-address", "50/minute; 200/10 minutes")


class Guess(NamedTuple):
    """A try to log in. `typed`: the name or e-mail address, in one form; `account`: whose it is, or again what was
    typed where there is no such account."""

    typed: str
    account: str
    address: str


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
            except CommandError:
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
        """Count what a request costs its address; raise RateLimited past the budget (budgets.Budget)."""
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

    def knows(self, guess):
        """Whether somebody has logged in to this account from this address; everybody has where limits are off."""
        return not self.enabled or bool(self._counted(lambda _, notes: notes.get(_known(guess))))

    def before_login(self, guess):
        """Raise RateLimited while the delay after failed logins lasts."""
        if not self.enabled:
            return

        def waits(counters, notes):
            known = notes.get(_known(guess))
            minute, hour, day = [(item, key) for limit, item, key in _failures(guess) if limit is ACCOUNT_FAILURES]
            allowed = minute[0].amount
            for (item, key), fewer in ((hour, AFTER_AN_HOUR_OF_IT), (day, AFTER_A_DAY_OF_IT)):
                allowed = fewer if counters.get(key) >= item.amount else allowed
            full = [] if known or counters.get(minute[1]) < allowed else [minute]
            for limit, item, key in _failures(guess):
                if limit is not ACCOUNT_FAILURES and counters.get(key) >= item.amount:
                    full.append((item, key))
            return [_wait(counters, item, key) for item, key in full]

        if found := self._counted(waits):
            raise RateLimited(max(found))

    def login_failed(self, guess):
        """Count a failed login."""
        if not self.enabled:
            return
        failures = _failures(guess)
        self._counted(lambda counters, _: [counters.incr(key, item.get_expiry()) for _, item, key in failures])

    def login_succeeded(self, guess):
        """Forget the failures of this account from this address, and remember the address."""
        if not self.enabled:
            return

        def remember(counters, notes):
            notes.incr(_known(guess), KNOWN.items[0].get_expiry())
            for limit, _, key in _failures(guess):
                if limit in (TYPED_FAILURES, PAIR_FAILURES):
                    counters.clear(key)

        self._counted(remember)


def host_memory():
    """Return where the workers of a host count, and where they note who has logged in from where.

    Two tables: notes last for a month, and anybody with an account makes as many as he has addresses.
    """
    return SharedMemoryStorage(wrap_exceptions=True), SharedMemoryStorage(wrap_exceptions=True)


def _failures(guess):
    """Return the windows that count a failed login: (limit, window, key)."""
    counted = {
        TYPED_FAILURES: (guess.typed, guess.address),
        PAIR_FAILURES: (guess.account, guess.address),
        ACCOUNT_FAILURES: (guess.account,),
        ADDRESS_FAILURES: (guess.address,),
    }
    return [(limit, item, item.key_for(limit.name, *who)) for limit, who in counted.items() for item in limit.items]


def _known(guess):
    """Return the key of the note that somebody has logged in to this account from this address."""
    return KNOWN.items[0].key_for(KNOWN.name, guess.account, guess.address)


def _wait(counters, item, key):
    """Return the whole seconds until a window ends, from 1; within bounds, whatever the clock on the wall does."""
    return min(item.get_expiry(), max(1, math.ceil(counters.get_expiry(key) - time.time())))


def _connected(address):
    """Return the storage at this address; raise CommandError where its client is not installed."""
    options = within = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    if address.startswith("redis+sentinel:"):  # else its sentinels are waited for without end, or asked for 10 s
        options = {**within, "sentinel_kwargs": {**within, "retry": None}}
    try:
        return storage_from_string(address, **options)
    except ConfigurationError:
        raise CommandError(
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
