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
LEAST_PRIORITY = 19
LONGEST_PASSWORD = 128  # characters
LONGEST_AUTHORIZATION = 200  # characters of the header; a token has 43
UNACCEPTABLE = (
    "Must be 8 to 128 characters, with an upper-case letter, a lower-case letter and a digit, "
    "and none of the commonest passwords."
)


def require_declared(app):
    """Raise LookupError, naming the route, if one declares no `auth` or one that does not exist."""
    for route in app.routes:
        if route.config.get("auth") not in KNOWN:
            raise LookupError(f"{route.method} {route.rule} declares no auth; say who may use it: auth=PUBLIC, …")
        if route.config["auth"] == OWNER and ":id>" not in route.rule:
            raise LookupError(f"{route.method} {route.rule} says auth=OWNER, and its path names no account: <id:id>")


def is_acceptable(password):
    """Whether a password may be chosen (specification.md: 8+, upper, lower, digit; ASVS 6.2.4: not a common one)."""
    return (
        8 <= len(password) <= LONGEST_PASSWORD
        and any(c.isupper() for c in password)
        and any(c.islower() for c in password)
        and any(c.isdecimal() for c in password)
        and password.lower() not in COMMONEST
    )


class Passwords:
    """bcrypt, within a budget: in this process one hash is made at a time, at the least priority, and few wait for it.

    `places`: how many may be made or wait at once; each holds a serving thread meanwhile. A login flood costs what is
    left over, and whoever comes when all places are taken is told so at once.
    """

    def __init__(self, cost, places):
        self.cost = cost
        self._budget = threading.BoundedSemaphore(places)
        self._nobody = bcrypt.hashpw(_digest(secrets.token_hex()), bcrypt.gensalt(cost))

    @functools.cached_property
    def _pool(self):  # made in the worker that needs it: threads do not survive a fork
        return ThreadPoolExecutor(1, "bcrypt", initializer=_step_back)

    @contextlib.contextmanager
    def budget(self):
        """Reserve a place for one hash; raise ServiceUnavailable where none is free."""
        if not self._budget.acquire(blocking=False):
            raise ServiceUnavailable("Too many logins at once. Try again in a moment.")
        try:
            yield
        finally:
            self._budget.release()

    def hash(self, password):
        """Return the hash to store, as text. Call within `budget`."""
        return self._pool.submit(bcrypt.hashpw, _digest(password), bcrypt.gensalt(self.cost)).result().decode()

    def verify(self, password, stored):
        """Whether this password has this hash; with None it takes as long and is False. Call within `budget`."""
        against = stored.encode() if stored else self._nobody
        return self._pool.submit(bcrypt.checkpw, _digest(password), against).result() and stored is not None

    def is_outdated(self, stored):
        """Whether a stored hash is cheaper than BCRYPT_COST asks for by now."""
        return int(stored.split("$")[2]) < self.cost


def _digest(password):
    """Return what bcrypt gets: 64 characters without NUL, whatever the password (bcrypt takes 72 bytes)."""
    return base64.b64encode(hashlib.sha384(b"bodega.password." + password.encode()).digest())


def _step_back():
    """Give this thread the least priority. Linux has one for each thread; elsewhere it would be the whole process'."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_PRIORITY)


class Tokens:
    """Session tokens: shown once, kept as HMAC-SHA-256 under SECRET_KEY, so that a stolen table opens nothing."""

    def __init__(self, key, ttl, idle):
        self._key = hashlib.sha256(b"bodega.token." + key.encode()).digest()
        self.ttl = ttl  # seconds that a session lasts at the most
        self.idle = idle  # seconds that it may go unused
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
            raise AuthenticationRequired("This token is not valid, or not any more. Log in again.")
        return {**found, "token": token}

    def _current(self, db, token):
        found = db.one("sessions/current", token_hash=token, idle=self.tokens.idle)
        if found and found["unused_for"] >= self.tokens.grain:
            db.run("sessions/touch", token_hash=token)
        return found
