"""Who is asking, and may they? Passwords, tokens, and the plugin that reads a route's `auth`.

A route says who may use it: PUBLIC (anyone), USER (whoever is logged in), OWNER (the account that the path names, or
an admin), ADMIN. One that says nothing stops the start. The rules are those of OWASP ASVS 5, level 2.
"""

import base64
import contextlib
import functools
import hashlib
import hmac
import inspect
import os
import re
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from bottle import request
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from core.errors import AuthenticationRequired, Forbidden, ServiceUnavailable

PUBLIC, USER, OWNER, ADMIN = "public", "user", "owner", "admin"
KNOWN = (PUBLIC, USER, OWNER, ADMIN)

TOKEN_BYTES = 32  # 256 bits
BEARER = re.compile(r"Bearer +([A-Za-z0-9_-]{43})\Z", re.I)
COMMONEST = frozenset(FREQUENCY_LISTS["passwords"])  # 30,000, lower case
RESERVED = re.compile(  # names that speak for the shop, or that mail and programs give a meaning (RFC 2142)
    r"_*(abuse|accounts?|admin|administrator|api|billing|bodega|contact|customer_?service|guest|help|helpdesk|hostmaster"
    r"|info|mail|mailer_?daemon|me|moderator|no_?reply|nobody|null|office|official|operator|orders|owner|payments?"
    r"|postmaster|privacy|root|sales|security|service|shop|staff|store|superuser|support|sysadmin|system|team|undefined"
    r"|webmaster|www)_*\Z",
    re.I,
)
LEAST_PRIORITY = 19
INVALID_TOKEN = "This token is not valid, or not any more. Log in again."  # noqa: S105 - a sentence
LONGEST_PASSWORD = 128  # characters
LONGEST_AUTHORIZATION = 200  # characters of the header; a token has 43
SHORTEST_HINT = 3  # characters of a name that no password may hold
SHOP = "bodega"
UNACCEPTABLE = (
    "Must be 8 to 128 characters, with an upper-case letter, a lower-case letter and a digit, none of the commonest "
    "passwords, and without your name, the first part of your e-mail address or the shop's name."
)


def require_declared(app):
    """Raise LookupError, naming the route, if one declares no `auth` or one that does not exist."""
    for route in app.routes:
        if route.config.get("auth") not in KNOWN:
            raise LookupError(f"{route.method} {route.rule} declares no auth; say who may use it: auth=PUBLIC, …")
        if route.config["auth"] == OWNER and ":id>" not in route.rule:
            raise LookupError(f"{route.method} {route.rule} says auth=OWNER, and its path names no account: <id:id>")


def is_acceptable(password, *hints):
    """Whether a password may be chosen (specification.md: 8+, upper, lower, digit; ASVS 6.2.4: not a common one).

    `hints`: what whoever knows the account would try (ASVS 6.1.2); the password must hold none of it, in any case.
    """
    guessable = [hint.lower() for hint in (*hints, SHOP) if len(hint) >= SHORTEST_HINT]
    return (
        8 <= len(password) <= LONGEST_PASSWORD
        and any(c.isupper() for c in password)
        and any(c.islower() for c in password)
        and any(c.isdecimal() for c in password)
        and password.lower() not in COMMONEST
        and not any(hint in password.lower() for hint in guessable)
    )


def is_reserved(name):
    """Whether a name may not be chosen, because others would take its owner for the shop (`admin`, `_Support_`)."""
    return RESERVED.match(name) is not None


class Passwords:
    """bcrypt, within a budget: in this process one hash is made at a time, at the least priority, and few wait for it.

    `places`: how many may be made or wait at once; each holds a serving thread meanwhile. A login flood costs what is
    left over, and whoever comes when all places are taken is told so at once. One place is never a stranger's, where
    there are several: a flood leaves room for those who log in to their account from where they did before.
    """

    def __init__(self, cost, places):
        self.cost = cost
        self._highest = cost  # that an account's hash was seen to have; more than `cost` where that was lowered
        self._places = threading.BoundedSemaphore(places)
        self._strangers = threading.BoundedSemaphore(max(1, places - 1))
        self._nobody = bcrypt.hashpw(_digest(secrets.token_hex()), bcrypt.gensalt(cost))

    @functools.cached_property
    def _pool(self):  # made in the worker that needs it: threads do not survive a fork
        return ThreadPoolExecutor(1, "bcrypt", initializer=_step_back)

    @contextlib.contextmanager
    def budget(self, stranger=True):
        """Reserve a place for one hash; raise ServiceUnavailable where none is free."""
        with contextlib.ExitStack() as taken:
            for places in (self._strangers, self._places) if stranger else (self._places,):
                if not places.acquire(blocking=False):
                    raise ServiceUnavailable("Too many logins at once. Try again in a moment.")
                taken.callback(places.release)
            yield

    def hash(self, password):
        """Return the hash to store, as text. Call within `budget`."""
        return self._pool.submit(bcrypt.hashpw, _digest(password), bcrypt.gensalt(self.cost)).result().decode()

    def verify(self, password, stored):
        """Whether this password has this hash; with None it takes as long and is False. Call within `budget`.

        Every False is the same work, whatever BCRYPT_COST was when the hash was made: 2^cost, as each further cost
        takes as long as all the lower ones together.
        """
        return self._pool.submit(self._is_of, _digest(password), stored).result()

    def _is_of(self, digest, stored):
        against = stored.encode() if stored else self._nobody
        self._highest = max(self._highest, _cost_of(against))
        if bcrypt.checkpw(digest, against) and stored is not None:
            return True
        for cost in range(_cost_of(against), self._highest):
            bcrypt.hashpw(digest, bcrypt.gensalt(cost))
        return False

    def is_outdated(self, stored):
        """Whether a stored hash is cheaper than BCRYPT_COST asks for by now."""
        return _cost_of(stored.encode()) < self.cost


def _cost_of(stored):
    return int(stored.split(b"$")[2])


def _digest(password):
    """Return what bcrypt gets: 64 characters without NUL, whatever the password (bcrypt takes 72 bytes)."""
    return base64.b64encode(hashlib.sha384(b"bodega.password." + password.encode()).digest())


def _step_back():
    """Give this thread the least priority. Linux has one for each thread; elsewhere it would be the whole process'."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_PRIORITY)


class Tokens:
    """Session tokens: shown once, kept as HMAC-SHA-256 under SECRET_KEY, so that a stolen table opens nothing."""

    def __init__(self, key, ttl, idle, reauth_after=0):
        self._key = hashlib.sha256(b"bodega.token." + key.encode()).digest()
        self.ttl = ttl  # seconds that a session lasts at the most
        self.idle = idle  # seconds that it may go unused
        self.reauth_after = reauth_after  # seconds since the login until the password is asked for again
        self.grain = max(1, min(300, idle // 10))  # last use is recorded this exactly, not on every request

    def new(self):
        """Return a token and its hash."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return token, self.hash(token)

    def hash(self, token):
        """Return what the table holds of a token: 64 hexadecimal digits."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()


class Auth:
    """The plugin: lets a request through to its handler, which gets the account as `user`.

    A handler that names `passwords` or `tokens` gets these too.
    """

    name = "auth"
    api = 2

    def __init__(self, database, passwords, tokens):
        self.database = database
        self.tokens = tokens
        self._tools = {"passwords": passwords, "tokens": tokens}

    def apply(self, callback, route):
        """Wrap every route that is not PUBLIC, and those that name a tool or `user`."""
        needed = route.config.get("auth")
        names = inspect.signature(route.callback).parameters
        names_user = "user" in names
        if tools := {name: tool for name, tool in self._tools.items() if name in names}:
            callback = functools.partial(callback, **tools)
        if needed == PUBLIC:
            return self._recognising(callback) if names_user else callback

        def authorised(**arguments):
            user = self._user()
            if needed == ADMIN and user["role"] != "admin":
                raise Forbidden("Only an administrator may do this.")
            if needed == OWNER and user["role"] != "admin" and user["id"] != arguments["id"]:
                raise Forbidden("This is another account's.")
            if names_user:
                arguments["user"] = user
            return callback(**arguments)

        return authorised

    def _recognising(self, callback):
        """Wrap a PUBLIC route that treats some better: its `user` is None without a valid token."""

        def recognised(**arguments):
            try:
                user = self._user()
            except AuthenticationRequired:
                user = None
            return callback(user=user, **arguments)

        return recognised

    def _user(self):
        """Return the account that the token belongs to, with the token's hash; raise AuthenticationRequired."""
        header = request.environ.get("HTTP_AUTHORIZATION", "")
        given = len(header) <= LONGEST_AUTHORIZATION and BEARER.match(header)
        if not given:
            raise AuthenticationRequired()
        token = self.tokens.hash(given[1])
        found = self.database.transaction(lambda db: self._current(db, token))
        if found is None:
            raise AuthenticationRequired(INVALID_TOKEN)
        request.environ["bodega.user_id"] = found["id"]  # for the log
        return {**found, "token": token}

    def _current(self, db, token):
        found = db.one("sessions/current", token_hash=token, idle=self.tokens.idle)
        if found and found["unused_for"] >= self.tokens.grain:
            db.run("sessions/touch", token_hash=token)
        return found
