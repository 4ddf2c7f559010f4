"""What the outbox delivers webhooks by: signed as Standard Webhooks has it (https://www.standardwebhooks.com)."""

import base64
import functools
import hashlib
import hmac
import time
from collections.abc import Callable

from core.db.database import Row, Session
from core.outbox import Delivery, Temporary, signature
from resources.outbox_webhooks_posting import Posting

MOST = 20  # webhooks of a shop; as many are sent at once, so that one that does not answer holds up no other
GONE = 410


class Webhooks:
    """The Channel of webhooks. `key`: SECRET_KEY.

    The secret of a webhook is made of SECRET_KEY and the salt in its row: whoever reads the table can sign nothing.
    """

    threads = MOST

    def __init__(self, key: str, posting: Posting) -> None:
        self._key = hashlib.sha256(b"bodega.webhook." + key.encode()).digest()
        self._posting = posting

    @property
    def private(self) -> bool:
        """Whether http and private addresses are allowed."""
        return self._posting.private

    def secret(self, salt: bytes) -> str:
        """Return the secret as receivers get it: whsec_ and 256 bits in base64."""
        return "whsec_" + base64.b64encode(self._secret(salt)).decode()

    def prepare(self, db: Session, delivery: Delivery) -> Callable[[], None] | None:
        """Return what makes one attempt to deliver; see core.outbox.Channel.

        A webhook that is off keeps what waits for it. Of one that was deleted, what still waits is removed.
        """
        id = int(delivery.address)
        webhook = db.one("webhooks/get", id=id)
        if webhook is None:
            db.run("webhooks/remove_messages", id=id)
            return None
        if not webhook["is_active"]:
            raise Temporary("The webhook is off: its is_active is false.")
        return functools.partial(self._deliver, webhook, delivery)

    def _deliver(self, webhook: Row, delivery: Delivery) -> None:
        body = delivery.payload.encode()
        secret = self._secret(webhook["salt"])
        headers = signed(secret, delivery.message_id, body)
        if delivery.trace:
            headers["Traceparent"] = str(delivery.trace)
        status = self._posting.post(webhook["url"], headers, body)
        if 200 <= status < 300:
            return
        if status == GONE:
            off = {"id": webhook["id"], "url": webhook["url"]}
            raise Temporary("It answered 410: the webhook is off now.", lambda db: db.run("webhooks/switch_off", **off))
        moved = ", and redirects are not followed" if 300 <= status < 400 else ""
        raise Temporary(f"It answered {status}{moved}.")

    def _secret(self, salt: bytes) -> bytes:
        return hmac.digest(self._key, salt, "sha256")


def signed(secret: bytes, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of a message that is sent now."""
    timestamp = str(int(time.time()))
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": timestamp,
        "Webhook-Signature": signature(secret, message_id, timestamp, body),
    }
