"""Payments that nobody but a person sees: a bank transfer, cash. An administrator says when the money came."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from core.config import Config
from resources.orders_providers import CANCELED, CAPTURED, PENDING, Event, Forged, Outcome, Payment, Refund, Refunded


class Manual:
    """The provider `manual`. A refund is noted as done: whoever decides it sends the money."""

    name: ClassVar[str] = "manual"
    fields: ClassVar[Mapping[str, dict[str, Any]]] = {}
    by_hand: ClassVar[bool] = True

    def __init__(self, hold: int) -> None:
        self.hold: int | None = hold

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return it with MANUAL_HOLD."""
        return cls(config.manual_hold)

    def create(self, payment: Payment) -> Outcome:
        """Wait for the money; the purpose of the transfer is the number of the order."""
        action = {"type": "transfer", "purpose": payment.order, "amount": payment.amount, "currency": payment.currency}
        return Outcome(PENDING, f"manual-{payment.id}", action)

    def capture(self, payment: Payment) -> Outcome:
        """Take an administrator's word for it."""
        return Outcome(CAPTURED)

    def cancel(self, payment: Payment) -> Outcome:
        """Wait no longer."""
        return Outcome(CANCELED)

    def refund(self, payment: Payment, refund: Refund) -> Refunded:
        """Take it as sent."""
        return Refunded("done", f"manual-refund-{refund.id}")

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Refuse all: nobody sends any."""
        raise Forged("manual payments have no webhook")
