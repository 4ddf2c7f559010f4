"""Idempotency-Key: a POST that is sent again with the same key has its effect once, and gets the same answer.

The key's row is written in the transaction of the effect, so there is neither without the other, whatever breaks. Of
simultaneous requests with one key, one inserts the row, and the others wait for its transaction: for half of
DATABASE_TIMEOUT, twice. Few may wait, see `Turns`. Only successes are stored. After a refusal the key may be used
again. The draft of a standard: draft-ietf-httpapi-idempotency-key-header.

What is stored is encrypted under SECRET_KEY and the key, because it may hold a token, and compressed: the cart of 100
lines takes 4 KB instead of 40. Whether a body is the one that was sent with the key tells of a login, and of a
registration, whether the password is right. So another body counts as a failed login there.
"""

import contextlib
import hashlib
import hmac
import inspect
import json
import re
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson
from bottle import Bottle, Route, request, response
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.db.database import DatabaseError, Session
from core.db.drivers import number
from core.db.mysql_errors import LOCK_WAIT
from core.errors import IdempotencyKeyRequired, IdempotencyKeyReused, InProgress, ValidationError
from core.identity.limits import Limit, Limits
from core.identity.login_delays import Guess, LoginDelays
from core.json_text import dump, raw

KEY = re.compile(r'(?P<bare>[!#-~]{1,255})\Z|"(?P<quoted>[ !#-~]{1,255})"\Z')
ISSUE = "Must be 1 to 255 characters of ASCII, bare or in quotes; best a new UUID for each request."
KEY_SCHEMA = {
    "type": "string",
    "pattern": '^([!#-~]{1,255}|"[ !#-~]{1,255}")$',  # as KEY has it
    "description": "Send a new UUID with each new request, and the same one when you repeat it: it then has its effect "
    "once, and the answer is the first one. Stored for 24 hours.",
    "examples": ["8e03978e-40d5-43dd-bc93-6894a57f9324"],
}
STORED_HEADERS = ("Location", "ETag", "Cache-Control")  # that handlers set
KEYS = Limit("idempotency-key", "3000/6 hours")  # for each address: each key takes up to 5 KB for a day or two
ASKER = "bodega.idempotency.asker"  # in the environ: who asked, before the handler ran
NONCE = 12  # bytes, as AES-GCM has it
STALLED = 0.25  # seconds in which no place to wait becomes free; an addition to a cart takes some milliseconds


Work = Callable[[Session], Any]


class Idempotency:
    """The plugin that honours Idempotency-Key on every POST.

    `secret`: SECRET_KEY. `threads`: those of this worker. `add`, `get`, `store`: the statements for the row of a key.
    A key belongs to the account, the cart, or the token of the order that the request is for; of none, to the address.
    So nobody gets an answer by a key alone. It stands inside of the transaction.
    """

    name = "idempotency"
    api = 2

    def __init__(
        self, secret: str, limits: Limits, delays: LoginDelays, threads: int, *, add: str, get: str, store: str
    ) -> None:
        self._secret = hashlib.sha256(b"bodega.idempotency." + secret.encode()).digest()
        self._add, self._get, self._store = add, get, store
        self._limits, self._delays = limits, delays
        self._turns = Turns(max(1, threads // 4))

    def setup(self, app: Bottle) -> None:
        """Raise LookupError for a POST whose handler has no transaction that the key could be stored in."""
        for route in app.routes:
            if route.method == "POST" and not {"db", "once"} & inspect.signature(route.callback).parameters.keys():
                raise LookupError(f"{route.method} {route.rule}: its handler names no db to store a key in")

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the handlers of POST.

        One whose effect is decided in another transaction than its own names `once`, see `Once`.
        A route that declares `requires_key=True` refuses a request without a key.
        """
        if route.method != "POST":
            return callback
        if route.config.get("requires_key"):
            callback = _requiring_key(callback)
        if "once" in inspect.signature(route.callback).parameters:
            return lambda **arguments: callback(once=Once(self, arguments), **arguments)
        return lambda db, **arguments: Once(self, arguments)(db, lambda db: callback(db=db, **arguments))

    def once(self, sent: "Sent", db: Session, work: Work) -> Any:
        """Do what `Once` does, for what was sent with a key."""
        with self._turns.turn(sent.id, db.again):
            if not self._claim(db, sent.id, sent.fingerprint):
                return self.stored(sent, db)
            if not db.again:
                self._limits.spend(KEYS, 1)
            data = dump(work(db))
            headers = {name: value for name in STORED_HEADERS if (value := response.get_header(name))}
            db.run(self._store, id=sent.id, answer=_sealed(sent.cipher, dump(headers) + b"\n" + data))
            return raw(data)

    def sent(self, arguments: dict[str, Any]) -> "Sent | None":
        """Return what this request has sent with its key, or None where it has none; raise ValidationError."""
        environ = request.environ
        header = environ.get("HTTP_IDEMPOTENCY_KEY")
        if header is None:
            return None
        key = key_of(header)
        opened_by = [arguments.get("session_id"), arguments.get("order_token")]
        user_id = environ.setdefault(ASKER, environ.get("bodega.user_id"))  # a login sets the latter, and may run again
        stranger = environ["bodega.address"] if [user_id, *opened_by] == [None, None, None] else None
        whose = (user_id, *opened_by, stranger, environ["PATH_INFO"], key)
        upload = hashlib.sha256(arguments.get("upload", b"")).hexdigest()
        body = [arguments.get("body"), arguments.get("problems")]  # the latter are of fields that the former lacks
        fingerprint = self._digest("sent", environ.get("QUERY_STRING", ""), body, upload)
        return Sent(self._digest("id", *whose), fingerprint, AESGCM(self._digest("cipher", *whose)), stranger)

    def _claim(self, db: Session, id: bytes, fingerprint: bytes) -> bool:
        """Insert the row of the key; return False if it is there. Raises InProgress if others hold it too long."""
        try:
            return db.run(self._add, id=id, fingerprint=fingerprint) == 1
        except DatabaseError as error:
            if db.again and number(error) == LOCK_WAIT:
                raise InProgress() from error
            raise

    def stored(self, sent: "Sent", db: Session) -> Any:
        """Return the answer that is stored, its headers set; None if there is none. Raises IdempotencyKeyReused."""
        row = db.one(self._get, id=sent.id)
        if row is None:
            return None
        guess = None if sent.stranger is None else Guess(sent.id.hex(), sent.id.hex(), sent.stranger)
        if guess:  # neither is told while the delay lasts: that it is the same body, nor that it is another one
            self._delays.before_login(guess)
        if not hmac.compare_digest(row["fingerprint"], sent.fingerprint):
            if guess:
                self._delays.login_failed(guess)
            raise IdempotencyKeyReused()
        headers, _, data = _opened(sent.cipher, row["answer"]).partition(b"\n")
        for name, value in orjson.loads(headers).items():
            response.set_header(name, value)
        response.set_header("Idempotent-Replayed", "true")
        return raw(data)

    def _digest(self, use: str, *parts: Any) -> bytes:
        text = json.dumps([use, *parts], default=str, sort_keys=True)  # however the fields were ordered
        return hmac.digest(self._secret, text.encode(), "sha256")


class Sent(NamedTuple):
    """What a request has sent with its key."""

    id: bytes  # of the row
    fingerprint: bytes
    cipher: AESGCM
    stranger: str | None  # the address, of who has no account, cart or order


class Once:
    """What a handler that names `once` gets.

    `once(db, work)` returns what `work(db)` returns, or what it returned when a request with this key did it, in the
    transaction of `db`. A handler that has something to do before asks `once.answered(db)` first: for that answer, or
    None.
    """

    def __init__(self, plugin: Idempotency, arguments: dict[str, Any]) -> None:
        self._plugin = plugin
        self._arguments = arguments
        self.has_key = "HTTP_IDEMPOTENCY_KEY" in request.environ

    def __call__(self, db: Session, work: Work) -> Any:
        """Do the work once."""
        sent = self._plugin.sent(self._arguments)
        return work(db) if sent is None else self._plugin.once(sent, db, work)

    def answered(self, db: Session) -> Any:
        """Return the answer that is stored for this key, or None."""
        sent = self._plugin.sent(self._arguments)
        return sent and self._plugin.stored(sent, db)


def _requiring_key(callback: Callable[..., Any]) -> Callable[..., Any]:
    def required(**arguments: Any) -> Any:
        if "HTTP_IDEMPOTENCY_KEY" not in request.environ:
            raise IdempotencyKeyRequired()
        return callback(**arguments)

    return required


class Turns:
    """How many requests of a process wait for one with the same key: each of them occupies a serving thread.

    `places`: so many at once. Where all are taken, the next one waits for a place, as long as places become free: of
    twenty requests that take milliseconds each, all get the answer. Where none has become free for STALLED seconds,
    because the first one makes the hash of a password, further ones are refused at once. What it buys: while forty
    logins with one key wait for a hash, a worker of eight threads answers others with five of them, and with none
    before.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken_since = 0.0  # when the last place was taken
        self._under_way: list[bytes] = []
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, id: bytes, again: bool = False) -> Iterator[None]:
        """Take a place if another request with this key is under way; raise InProgress where there is none.

        `again`: it has had a turn before, and waits on whatever places there are.
        """
        with self._changed:
            waits = id in self._under_way
            if waits:
                stalled = self._taken_since + STALLED - time.monotonic()
                if not again and not self._changed.wait_for(lambda: self._places > 0, stalled):
                    raise InProgress()
                self._places -= 1
                self._taken_since = time.monotonic()
            self._under_way.append(id)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.remove(id)
                self._places += waits
                self._changed.notify()


def _sealed(cipher: AESGCM, answer: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return nonce + cipher.encrypt(nonce, zlib.compress(answer, 1), None)


def _opened(cipher: AESGCM, sealed: bytes) -> bytes:
    return zlib.decompress(cipher.decrypt(sealed[:NONCE], sealed[NONCE:], None))


def key_of(header: str) -> str:
    """Return the key that the header holds, without its quotes; raise ValidationError."""
    found = KEY.match(header)
    if not found:
        raise ValidationError(("Idempotency-Key", ISSUE))
    return found["quoted"] if found["quoted"] is not None else found["bare"]
