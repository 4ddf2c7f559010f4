"""Who is asking, and may they? Session tokens, and the plugin that reads a route's `auth`.

A route says who may use it: PUBLIC (anyone), USER (anyone who is logged in), OWNER (the account that the path names, or
an admin), ADMIN. A route that does not say it stops the start. The rules are those of OWASP ASVS 5, level 2.
"""

import functools
import hashlib
import hmac
import inspect
import re
import secrets
from collections.abc import Callable
from typing import Any

from bottle import Bottle, Route, request

from core.errors import AuthenticationRequired, Forbidden

PUBLIC, USER, OWNER, ADMIN = "public", "user", "owner", "admin"
KNOWN = (PUBLIC, USER, OWNER, ADMIN)

TOKEN_BYTES = 32  # 256 bits
BEARER = re.compile(r"Bearer +([A-Za-z0-9_-]{43})\Z", re.I)
INVALID_TOKEN = "This token is not valid, or not any more. Log in again."  # noqa: S105 - a sentence
LONGEST_AUTHORIZATION = 200  # characters of the header; a token has 43


def require_declared(app: Bottle) -> None:
    """Raise LookupError, naming the route, if one declares no `auth` or one that does not exist."""
    for route in app.routes:
        if route.config.get("auth") not in KNOWN:
            raise LookupError(f"{route.method} {route.rule} declares no auth; say who may use it: auth=PUBLIC, …")
        if route.config["auth"] == OWNER and ":id>" not in route.rule:
            raise LookupError(f"{route.method} {route.rule} says auth=OWNER, and its path names no account: <id:id>")


class Tokens:
    """Session tokens: shown once, stored as HMAC-SHA-256 under SECRET_KEY, so that a stolen table opens no session."""

    def __init__(self, key: str, ttl: int, idle: int, reauth_after: int = 0) -> None:
        self._key = hashlib.sha256(b"bodega.token." + key.encode()).digest()
        self.ttl = ttl  # seconds that a session lasts at the most
        self.idle = idle  # seconds that it may go unused
        self.reauth_after = reauth_after  # seconds since the login until the password is asked for again
        self.grain = max(1, min(300, idle // 10))  # last use is recorded this exactly, not on every request

    def new(self) -> tuple[str, str]:
        """Return a token and its hash."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return token, self.hash(token)

    def hash(self, token: str) -> str:
        """Return what the table holds of a token: 64 hexadecimal digits."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()


class Auth:
    """The plugin: lets a request through to its handler, which gets the account as `user` (with its token's hash).

    `find_user(db, token_hash, tokens)`: returns the account of a session, or None. A handler that names `tokens`, or
    one of `tools`, gets it. On a PUBLIC route `user` is None without a valid token.
    """

    name = "auth"
    api = 2

    def __init__(self, database: Any, tokens: Tokens, find_user: Callable[..., Any], **tools: Any) -> None:
        self._database = database
        self._tokens = tokens
        self._find_user = find_user
        self._tools = {"tokens": tokens, **tools}

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap every route that is not PUBLIC, and those that name a tool or `user`."""
        needed = route.config.get("auth")
        names = inspect.signature(route.callback).parameters
        names_user = "user" in names
        if tools := {name: tool for name, tool in self._tools.items() if name in names}:
            callback = functools.partial(callback, **tools)
        if needed == PUBLIC:
            return self._recognising(callback) if names_user else callback

        def authorised(**arguments: Any) -> Any:
            user = self._user()
            if needed == ADMIN and user["role"] != "admin":
                raise Forbidden("Only an administrator may do this.")
            if needed == OWNER and user["role"] != "admin" and user["id"] != arguments["id"]:
                raise Forbidden("This is another account's.")
            if names_user:
                arguments["user"] = user
            return callback(**arguments)

        return authorised

    def _recognising(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a PUBLIC route whose handler names `user`."""

        def recognised(**arguments: Any) -> Any:
            if "HTTP_AUTHORIZATION" not in request.environ:  # most often; an exception would take 10 µs
                return callback(user=None, **arguments)
            try:
                user = self._user()
            except AuthenticationRequired:
                user = None
            return callback(user=user, **arguments)

        return recognised

    def _user(self) -> dict[str, Any]:
        """Return the account that the token belongs to, with the token's hash; raise AuthenticationRequired."""
        header = request.environ.get("HTTP_AUTHORIZATION", "")
        given = BEARER.match(header) if len(header) <= LONGEST_AUTHORIZATION else None
        if not given:
            raise AuthenticationRequired()
        token = self._tokens.hash(given[1])
        found = self._database.transaction(lambda db: self._find_user(db, token, self._tokens))
        if found is None:
            raise AuthenticationRequired(INVALID_TOKEN)
        request.environ["bodega.user_id"] = found["id"]  # for the log
        return {**found, "token": token}
