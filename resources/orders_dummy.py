"""Payments without money, for tests and for a storefront that is being built: pay, decline, or pay later by webhook.

What it is told it remembers nowhere: where a payment stands follows from what was asked for.
"""

import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from core.config import Config
from core.outbox import signature
from resources.orders_providers import (
    AUTHORIZED,
    CANCELED,
    CAPTURED,
    DECLINED,
    PENDING,
    Event,
    Forged,
    Outcome,
    Payment,
    Refund,
    Refunded,
    Status,
)

TOLERANCE = 300  # seconds that a webhook may be old or early
OUTCOMES: dict[str, Status] = {"pay": CAPTURED, "authorize": AUTHORIZED, "decline": DECLINED, "later": PENDING}
REPORTS: tuple[Status, ...] = (PENDING, AUTHORIZED, CAPTURED, DECLINED, CANCELED)


class Dummy:
    """The provider `dummy`. Its webhooks are signed as Standard Webhooks has it, under a key made of SECRET_KEY."""

    name: ClassVar[str] = "dummy"
    fields: ClassVar[Mapping[str, dict[str, Any]]] = {
        "outcome": {
            "type": "string",
            "allowed": list(OUTCOMES),
            "meta": {
                "description": "With dummy: whether the payment is made at once, made in two steps, declined, or waits "
                "for the webhook. Without it, it is made at once.",
                "example": "pay",
            },
        }
    }
    by_hand: ClassVar[bool] = False
    hold: int | None = None

    def __init__(self, secret: str) -> None:
        self.key = hmac.digest(secret.encode(), b"bodega.dummy", "sha256")

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return it with SECRET_KEY."""
        return cls(config.secret_key or "")

    def create(self, payment: Payment) -> Outcome:
        """Do what the client wanted."""
        status = OUTCOMES[payment.fields.get("outcome", "pay")]
        action = {"type": "wait"} if status == PENDING else None
        return Outcome(status, f"dummy-{payment.id}", action)

    def capture(self, payment: Payment) -> Outcome:
        """Take it."""
        return Outcome(CAPTURED)

    def cancel(self, payment: Payment) -> Outcome:
        """Let go of it."""
        return Outcome(CANCELED)

    def refund(self, payment: Payment, refund: Refund) -> Refunded:
        """Give it back."""
        return Refunded("done", f"dummy-refund-{refund.id}")

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Read `{"reference", "status"}`, signed by `signed`."""
        expected = self.signed(headers.get("webhook-id", ""), headers.get("webhook-timestamp", ""), body)
        given = headers.get("webhook-signature", "").split(" ")
        if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
            raise Forged("the signature is another one")
        if abs(time.time() - int(headers["webhook-timestamp"])) > TOLERANCE:
            raise Forged("it is too old")
        told = json.loads(body)  # its own: whoever signs it writes JSON
        return Event(told["reference"], Outcome(told["status"])) if told["status"] in REPORTS else None

    def signed(self, id: str, timestamp: str, body: bytes) -> str:
        """Return the signature of a webhook."""
        return signature(self.key, id, timestamp, body)
