"""What a payment provider is: four calls, and the reading of what it reports by itself. docs/payments.md shows how to
write one.

The shop calls a provider while no transaction is open, and may make each call again: after a crash, or where no answer
came. So a provider takes the shop's id of the payment, or of the refund, as its idempotency key: the second call has no
second effect, and its answer is where the payment stands now.
"""

import contextlib
import dataclasses
import re
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, Protocol, Self, get_args

from core.cli import CommandError
from core.config import Config
from core.json_text import dump

PENDING: Final = "pending"
AUTHORIZED: Final = "authorized"
CAPTURED: Final = "captured"
DECLINED: Final = "declined"
CANCELED: Final = "canceled"
Status = Literal["pending", "authorized", "captured", "declined", "canceled"]
REFERENCE = re.compile(r"[!-~]{1,255}\Z")  # what the database keeps, and finds again
LONGEST_ACTION = 16 * 1024  # bytes
PATIENCE = 0.5  # seconds that a request waits for its turn at a provider


@dataclasses.dataclass(frozen=True)
class Payment:
    """What a provider is told of a payment."""

    id: int  # the idempotency key of create, capture and cancel
    order: str  # the number of the order, for the customer's statement
    amount: Decimal  # all of the order
    currency: str  # ISO 4217
    fields: Mapping[str, Any]  # what the client sent for this provider
    reference: str | None  # what the provider calls it; None until create has answered


@dataclasses.dataclass(frozen=True)
class Refund:
    """What goes back of a payment."""

    id: int  # the idempotency key of refund
    amount: Decimal  # all refunds of a payment together are never more than it
    currency: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Where a payment stands, as its provider says.

    pending: the customer has to act (next_action says how), or the money is on its way. authorized: it is reserved, and
    `capture` takes it. captured: all of it is the shop's. declined, canceled: there will be none.
    """

    status: Status
    reference: str | None = None  # of at most 255 characters of ASCII; needed from the first outcome on
    next_action: Mapping[str, Any] | None = None  # JSON for the storefront: {"type": "redirect", "url": …}

    def __post_init__(self) -> None:
        """Raise ValueError or TypeError for what cannot be stored: inside the call of the provider whose bug it is."""
        _require_storable("payment", self.status, get_args(Status), self.reference)
        if self.next_action is not None and len(dump(self.next_action)) > LONGEST_ACTION:
            raise ValueError(f"next_action is longer than {LONGEST_ACTION} bytes")


@dataclasses.dataclass(frozen=True)
class Refunded:
    """Where a refund stands. done: the money goes back. pending: asked again later. failed: it never will."""

    status: Literal["done", "pending", "failed"]
    reference: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError, as Outcome does."""
        _require_storable("refund", self.status, ("done", "pending", "failed"), self.reference)


@dataclasses.dataclass(frozen=True)
class Event:
    """What a provider reports by itself, of the payment with this reference."""

    reference: str
    outcome: Outcome


def _require_storable(what: str, status: str, statuses: tuple[str, ...], reference: str | None) -> None:
    if status not in statuses:
        raise ValueError(f"a {what} has no status {status!r}")
    if reference is not None and not REFERENCE.match(reference):
        raise ValueError(f"a reference is 1 to 255 characters of ASCII without spaces, not {reference!r}")


class Unavailable(Exception):
    """The provider gave no answer that says what happened. The call is made again later."""


class Forged(Exception):
    """What came as a webhook is not the provider's, or too old."""


class PaymentProvider(Protocol):
    """A way to pay."""

    name: ClassVar[str]  # 1 to 20 characters of a-z, 0-9 and _: as clients and addresses have it
    fields: ClassVar[Mapping[str, dict[str, Any]]]  # rules of what a client sends beside `provider`
    by_hand: ClassVar[bool]  # whether an administrator says that the money came
    hold: int | None  # seconds for which an order is held once there is such a payment; None: ORDER_HOLD

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return the provider with these settings; raise CommandError, what is missing, as a sentence."""

    def create(self, payment: Payment) -> Outcome:
        """Begin the payment, or say where it stands. Raises Unavailable."""

    def capture(self, payment: Payment) -> Outcome:
        """Take what was authorized. Raises Unavailable."""

    def cancel(self, payment: Payment) -> Outcome:
        """Let go of a payment that was not captured: canceled; or captured, if it was too late. Raises Unavailable."""

    def refund(self, payment: Payment, refund: Refund) -> Refunded:
        """Give money of a captured payment back. Raises Unavailable."""

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Read a webhook; None for one that says nothing of a payment. Raises Forged.

        `headers`: their names in lower case.
        """


class Providers:
    """The providers that PAYMENT_PROVIDERS names, by their names.

    At most `at_once` calls are under way in a process: where a provider hangs, the other threads go on selling.
    """

    def __init__(self, *providers: PaymentProvider, at_once: int = 4) -> None:
        self._by_name = {provider.name: provider for provider in providers}
        self._turns = threading.BoundedSemaphore(at_once)
        self.names = list(self._by_name)

    def get(self, name: str) -> PaymentProvider | None:
        """Return a provider, or None."""
        return self._by_name.get(name)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn to call a provider; raise Unavailable after PATIENCE seconds."""
        if not self._turns.acquire(timeout=PATIENCE):
            raise Unavailable("too many calls are under way")
        try:
            yield
        finally:
            self._turns.release()


def enabled(known: tuple[type[PaymentProvider], ...], config: Config) -> Providers:
    """Return the providers of PAYMENT_PROVIDERS; raise CommandError for one that is not known."""
    classes = {provider.name: provider for provider in known}
    if unknown := [name for name in config.payment_providers if name not in classes]:
        raise CommandError(f"PAYMENT_PROVIDERS names {unknown[0]}; there are {', '.join(classes)}. Correct it.")
    providers = (classes[name].of(config) for name in config.payment_providers)
    return Providers(*providers, at_once=max(1, config.threads // 2))
