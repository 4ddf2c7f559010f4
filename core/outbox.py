"""What the world is to hear of a change: mails, and events for webhooks.

They are rows that are written in the transaction of the change, and delivered afterwards: there is neither without the
other: `db.run("outbox/add", messages=document(event("order.paid", {…}), mail("ada@example.com", "order_placed", {…})))`
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from core.json_text import dump

Message = tuple[str, str | None, str, str]  # message_id, receiver (None: each webhook that wants it), topic, payload


def event(topic: str, data: dict[str, Any]) -> Message:
    """Return a message for each webhook that wants this topic: `order.paid`.

    The payload is that of Standard Webhooks: {type, timestamp, data}. Money may be Decimals; nothing personal goes in.
    """
    payload = {"type": topic, "timestamp": datetime.now(UTC).replace(tzinfo=None), "data": data}
    return _message_id(), None, topic, dump(payload).decode()


def mail(to: str, template: str, values: dict[str, Any]) -> Message:
    """Return a message for one address. `template`: the name of a file of mails/; `values`: what it names."""
    return _message_id(), f"mail {to}", template, dump(values).decode()


def document(*messages: Message) -> str:
    """Return messages in the form that the statement takes: JSON, in the order in which each receiver gets them."""
    return dump(messages).decode()


def _message_id() -> str:
    return "msg_" + secrets.token_hex(16)
