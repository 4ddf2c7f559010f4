"""Payments by card, as a worked example: docs/payments.md goes through it.

The provider is made up, and like most: JSON over HTTPS, amounts in cents, a header that makes a repeated request safe,
a one-time token in place of the card (made by the provider's own script in the customer's browser, so that no card
number ever comes near the shop), and webhooks that are signed. Copy it to resources/orders_card.py, and change what is
otherwise at your provider.
"""

import hmac
import http.client
import json
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from core.cli import CommandError
from core.config import Config
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
    Unavailable,
)

API, KEY, SECRET = "PAYMENT_CARD_API", "PAYMENT_CARD_KEY", "PAYMENT_CARD_SECRET"  # in .env
TIMEOUT = 8  # seconds: a customer waits for it
LONGEST = 1 << 20  # bytes of an answer
TOLERANCE = 300  # seconds that a webhook may be old or early
STATUSES: dict[str, Status] = {
    "requires_action": PENDING,
    "authorized": AUTHORIZED,
    "captured": CAPTURED,
    "declined": DECLINED,
    "canceled": CANCELED,
}
REFUNDS: dict[str, Literal["done", "pending", "failed"]] = {
    "succeeded": "done",
    "pending": "pending",
    "failed": "failed",
}


class Card:
    """The provider `card`: authorize, then capture; with a redirect where the bank wants to see the customer."""

    name: ClassVar[str] = "card"
    fields: ClassVar[Mapping[str, dict[str, Any]]] = {
        "card_token": {
            "type": "string",
            "required": True,
            "maxlength": 200,
            "regex": r"[A-Za-z0-9_-]+\Z",
            "meta": {
                "issue": "Must be the token that the card provider's script has made.",
                "description": "With card: the one-time token that the card provider's script has made of a card.",
                "example": "tok_4242",
            },
        }
    }
    by_hand: ClassVar[bool] = False

    def __init__(self, api: str, key: str, secret: str) -> None:
        parts = urlsplit(api)
        if not parts.hostname or parts.scheme not in ("https", "http"):
            raise CommandError(f"{API} is {api!r}; wanted is an address such as https://api.example.com.")
        if parts.scheme == "http" and parts.hostname != "127.0.0.1":  # the key would be readable on the way
            raise CommandError(f"{API} begins with http:; use https:, except for 127.0.0.1.")
        self.hold: int | None = None
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._key, self._secret = key, secret.encode()

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return it with its three settings."""
        given = config.payment_settings
        for name in (API, KEY, SECRET):
            if not given.get(name):
                raise CommandError(f"{name} is not set, which PAYMENT_PROVIDERS with card needs. Set it in .env.")
        return cls(given[API], given[KEY], given[SECRET])

    def create(self, payment: Payment) -> Outcome:
        """Authorize the card. A repeated request gets the first answer again: where it stands now is asked for."""
        body = {
            "amount": cents(payment.amount),
            "currency": payment.currency,
            "source": payment.fields["card_token"],
            "statement": payment.order,
        }
        key = f"bodega-payment-{payment.id}"
        told, refused, repeated = self._ask("POST", "/v1/payments", key, body, refusals=(402, 422))
        if refused:  # by the bank, or the token is none: the customer may try another card
            return Outcome(DECLINED, told.get("id"))
        return self._present(payment, told["id"]) if repeated else outcome(payment, told)

    def capture(self, payment: Payment) -> Outcome:
        """Take what was authorized."""
        return self._change(payment, "capture")

    def cancel(self, payment: Payment) -> Outcome:
        """Let go of what was authorized."""
        return self._change(payment, "cancel")

    def refund(self, payment: Payment, refund: Refund) -> Refunded:
        """Give back. One that takes days is asked for again, under the same key, until it is there."""
        body = {"payment": payment.reference, "amount": cents(refund.amount)}
        told, refused, repeated = self._ask("POST", "/v1/refunds", f"bodega-refund-{refund.id}", body, refusals=(422,))
        if repeated and not refused:
            told, _, _ = self._ask("GET", f"/v1/refunds/{told['id']}")
        status: Literal["done", "pending", "failed"] = "failed" if refused else REFUNDS[told["status"]]
        return Refunded(status, told.get("id"))

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Read `{"payment": {"id", "status", …}}`; Card-Signature is t=TIME,v1=HMAC of "TIME.BODY"."""
        match = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", headers.get("card-signature", ""))
        if not match:
            raise Forged("it has no signature")
        expected = hmac.new(self._secret, f"{match[1]}.".encode() + body, "sha256").hexdigest()
        if not hmac.compare_digest(expected, match[2]):
            raise Forged("the signature is another one")
        if abs(time.time() - int(match[1])) > TOLERANCE:  # somebody sends again what he has overheard
            raise Forged("it is too old")
        told = json.loads(body)
        payment = told.get("payment", {})
        if payment.get("status") not in STATUSES:
            return None  # of something else, such as a refund
        return Event(payment["id"], Outcome(STATUSES[payment["status"]], next_action=action_of(payment)))

    def _change(self, payment: Payment, verb: str) -> Outcome:
        """Capture or cancel. Where that cannot be done any more (409), the answer is where the payment stands."""
        path = f"/v1/payments/{payment.reference}/{verb}"
        told, refused, _ = self._ask("POST", path, refusals=(409,))
        return self._present(payment, payment.reference) if refused else outcome(payment, told)

    def _present(self, payment: Payment, reference: str | None) -> Outcome:
        told, _, _ = self._ask("GET", f"/v1/payments/{reference}")
        return outcome(payment, told)

    def _ask(
        self,
        method: str,
        path: str,
        key: str | None = None,
        body: Mapping[str, Any] | None = None,
        refusals: tuple[int, ...] = (),
    ) -> tuple[dict[str, Any], bool, bool]:
        """Return the document, whether it is a refusal, and whether it was stored for this key. Raises Unavailable.

        `refusals`: the statuses that say for certain that it was not done. All else but 200 and 201 (a wrong key, too
        many requests, a provider that is down) leaves open what happened.
        """
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        connection = self._connection(self._host, self._port, timeout=TIMEOUT)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            told = json.loads(response.read(LONGEST))
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no JSON
            raise Unavailable(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if response.status not in (200, 201, *refusals):
            raise Unavailable(f"{method} {path}: {response.status}")
        return told, response.status in refusals, response.headers["Idempotent-Replayed"] == "true"


def cents(amount: Decimal) -> int:
    """Return an amount (a Decimal with two places) as card providers have it: 19.90 is 1990."""
    return int(amount * 100)


def outcome(payment: Payment, told: Mapping[str, Any]) -> Outcome:
    """Return where a payment stands. One of another amount is not the one that was asked for: a person has to look."""
    if (told["amount"], told["currency"]) != (cents(payment.amount), payment.currency):
        raise Unavailable(f"payment {payment.id} has the amount {told['amount']} {told['currency']} at the provider")
    return Outcome(STATUSES[told["status"]], told["id"], action_of(told))


def action_of(told: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what the customer has to do: go where the bank asks whether it is really him."""
    return {"type": "redirect", "url": told["redirect_url"]} if told["status"] == "requires_action" else None
