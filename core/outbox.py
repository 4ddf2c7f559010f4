"""What the world is to hear of a change: mails, and events for webhooks.

They are rows that are written in the transaction of the change, and delivered afterwards: there is neither without the
other: `db.run("outbox/add", messages=document(event("order.paid", {…}), mail("ada@example.com", "order_placed", {…})))`

A row is delivered by the Channel of its receiver's kind, the first word of "mail ada@example.com" and "webhook 7".
"""

import base64
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from core import logs
from core.json_text import dump
from core.trace import ENVIRON_TRACE, Trace

Message = tuple[str, str | None, str, str]  # message_id, receiver (None: each webhook that wants it), topic, payload


class Temporary(Exception):
    """It could not be delivered now, and is tried again later. Why, for administrators: never a secret.

    `also(db)`: what else is stored, in a transaction before it is noted; it may be done twice.
    """

    def __init__(self, why: str, also: Callable[[Any], Any] | None = None) -> None:
        super().__init__(why)
        self.also = also


class Definite(Exception):
    """It can never be delivered, and is a dead letter at once. Why, for administrators: never a secret."""


class Delivery(NamedTuple):
    """One attempt to deliver a message."""

    message_id: str  # the same at every attempt, so that a receiver can tell a repeated one
    address: str  # the receiver without its kind: ada@example.com, 7
    topic: str
    payload: str  # JSON
    attempt: int  # 1 is the first
    created_at: datetime  # in UTC, without a zone
    trace: Trace | None = None  # of this attempt, under the span of the request that has written the message


class Channel(Protocol):
    """What delivers to one kind of receivers: server.py has the list.

    `prepare(db, delivery)` reads or changes what it needs, in the transaction that begins the attempt, and returns
    `deliver`: it is called without a transaction, in a thread that may not use the database, and takes at most
    LONGEST_DELIVERY seconds. Returning, it has delivered; else it raises Temporary or Definite. `prepare` may raise
    them too. It returns None where nothing is to be sent (any more); then the row counts as delivered.
    """

    threads: int  # so many deliveries at once at the most, each to another receiver

    def prepare(self, db: Any, delivery: Delivery) -> Callable[[], None] | None:
        """Return what makes the attempt."""


LONGEST_DELIVERY = 60  # seconds


def event(topic: str, data: dict[str, Any]) -> Message:
    """Return a message for each webhook that wants this topic: `order.paid`.

    The payload is that of Standard Webhooks: {type, timestamp, data}. Money may be Decimals; nothing personal goes in.
    """
    payload = {"type": topic, "timestamp": datetime.now(UTC).replace(tzinfo=None), "data": data}
    return _message_id(), None, topic, dump(payload).decode()


def mail(to: str, template: str, values: dict[str, Any], kind: str = "mail") -> Message:
    """Return a message for one address. `template`: the name of a file of mails/; `values`: what it names.

    `kind`: of the receiver, where it is not one of mails that are sent as they are.
    """
    return _message_id(), f"{kind} {to}", template, dump(values).decode()


def document(*messages: Message) -> str:
    """Return messages in the form that the statement takes: JSON, in the order in which each receiver gets them.

    They belong to the trace of the request that this thread works for, if it has one.
    """
    trace = (logs.SERVING.get() or {}).get(ENVIRON_TRACE)
    return dump([[*message, trace and str(trace)] for message in messages]).decode()


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a webhook as Standard Webhooks has it: v1, and HMAC-SHA-256 in base64."""
    digest = hmac.digest(secret, b".".join([message_id.encode(), timestamp.encode(), body]), "sha256")
    return "v1," + base64.b64encode(digest).decode()


def _message_id() -> str:
    return "msg_" + secrets.token_hex(16)
