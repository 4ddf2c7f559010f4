"""The worked example of docs/payments.md, against a card provider on loopback that counts the money."""

import dataclasses
import time
from decimal import Decimal

import pytest
from card_api import KEY, SECRET, CardApi, wired_in
from helpers import ROOT, as_url, at_once, eventually, servers

from core import config
from core.cli import CommandError
from examples.card_provider import Card
from resources.orders_providers import Event, Forged, Outcome, Payment, Refund, Refunded, Unavailable

SETTINGS = {"PAYMENT_CARD_API": "https://api.cards.example", "PAYMENT_CARD_KEY": KEY, "PAYMENT_CARD_SECRET": SECRET}


@pytest.fixture
def api():
    """The provider's side."""
    with CardApi() as running:
        yield running


@pytest.fixture
def card(api):
    """Our side."""
    return Card(api.url, KEY, SECRET)


def payment(card="tok_visa", id=1, reference=None):
    """Return a payment of 19.90."""
    return Payment(id, "K7Q2M-4XH9P", Decimal("19.90"), "EUR", {"card_token": card}, reference)


def begun(card, *source):
    """Create a payment; return it with its reference."""
    new = payment(*source)
    return dataclasses.replace(new, reference=card.create(new).reference)


# The four calls


def test_a_card_is_authorized_and_then_captured_in_cents(api, card):
    assert card.create(payment()) == Outcome("authorized", "pay_1")
    assert card.capture(payment(reference="pay_1")) == Outcome("captured", "pay_1")
    assert api.net("K7Q2M-4XH9P") == (1990, 1)


@pytest.mark.parametrize("token", ["tok_declined", "no-token"])
def test_what_the_bank_or_the_provider_refuses_is_declined(card, token):
    assert card.create(payment(token)).status == "declined"


def test_a_customer_whom_the_bank_wants_to_see_is_sent_there(api, card):
    outcome = card.create(payment("tok_3ds"))

    assert (outcome.status, outcome.next_action) == ("pending", {"type": "redirect", "url": f"{api.url}/3ds/pay_1"})


def test_each_call_may_be_repeated_and_then_says_where_the_payment_stands_now(api, card):
    pay = begun(card, "tok_3ds")
    api.customer(pay.reference)
    assert card.create(payment("tok_3ds")) == Outcome("authorized", "pay_1")
    assert [card.capture(pay).status for _ in range(2)] == ["captured"] * 2
    assert card.create(payment("tok_3ds")).status == card.cancel(pay).status == "captured"
    assert [card.refund(pay, Refund(7, Decimal("5.00"), "EUR")) for _ in range(2)] == [Refunded("done", "ref_1")] * 2

    assert (len(api.payments), api.net("K7Q2M-4XH9P")) == (1, (1490, 1))


def test_what_is_let_go_is_not_captured(api, card):
    pay = begun(card)

    assert [card.cancel(pay).status, card.cancel(pay).status, card.capture(pay).status] == ["canceled"] * 3
    assert api.net("K7Q2M-4XH9P") == (0, 0)


def test_no_more_goes_back_than_was_paid(api, card):
    pay = begun(card)
    card.capture(pay)

    given = [card.refund(pay, Refund(id, Decimal("19.90"), "EUR")).status for id in (1, 2)]

    assert given == ["done", "failed"]


def test_a_refund_that_takes_days_is_there_in_the_end(api, card):
    pay, refund = begun(card), Refund(1, Decimal("19.90"), "EUR")
    card.capture(pay)
    api.refunds_wait = True

    assert card.refund(pay, refund).status == "pending"
    api.refunds["ref_1"]["status"] = "succeeded"
    assert card.refund(pay, refund) == Refunded("done", "ref_1")


@pytest.mark.parametrize("call", ["create", "capture", "cancel", "refund"])
def test_an_answer_that_is_lost_leaves_open_what_happened(api, card, call):
    pay = payment() if call == "create" else begun(card)
    more = [Refund(1, Decimal("1.00"), "EUR")] if call == "refund" else []
    if call == "refund":
        card.capture(pay)
    api.lose = 1.0

    with pytest.raises(Unavailable):
        getattr(card, call)(pay, *more)

    api.lose = 0.0
    assert getattr(card, call)(pay, *more).status != "declined"
    assert len(api.payments) == 1 and len(api.refunds) == len(more)


def test_a_key_that_is_wrong_declines_no_customer(api):
    with pytest.raises(Unavailable, match="401"):
        Card(api.url, "another", SECRET).create(payment())


def test_a_provider_that_is_down_is_unavailable(api, card):
    api.__exit__()

    with pytest.raises(Unavailable):
        card.create(payment())


def test_a_payment_of_another_amount_is_never_taken_for_this_one(api, card):
    pay = begun(card)
    api.payments[pay.reference]["amount"] = 1

    with pytest.raises(Unavailable, match="has the amount 1 EUR"):
        card.capture(pay)


# Webhooks


def heard(card, api, reference="pay_1", **how):
    """Let it read a webhook, as the shop gives it."""
    body, headers = api.event(reference, **how)
    return card.event({name.lower(): value for name, value in headers.items()}, body)


def test_a_webhook_says_where_a_payment_stands(api, card):
    begun(card, "tok_3ds")

    event = heard(card, api, status="captured")

    assert event == Event("pay_1", Outcome("captured"))
    assert heard(card, api).outcome.next_action["type"] == "redirect"


def test_a_webhook_on_something_else_is_none(api, card):
    begun(card)

    assert heard(card, api, status="disputed") is None


@pytest.mark.parametrize(
    "how", [{"secret": "another"}, {"at": 0}, {"at": time.time() + 3600}, {"at": 10**11}, {"at": -5}]
)
def test_a_webhook_that_is_forged_or_old_is_refused(api, card, how):
    begun(card)

    with pytest.raises(Forged):
        heard(card, api, status="captured", **how)


@pytest.mark.parametrize("signature", ["", "t=1", "v1=" + "0" * 64, "t=1,v1=" + "ä" * 64, "t=٣,v1=" + "0" * 64])
def test_a_signature_of_another_form_is_refused(card, signature):
    with pytest.raises(Forged):
        card.event({"card-signature": signature}, b"{}")


# Settings


@pytest.mark.parametrize("missing", SETTINGS)
def test_a_setting_that_is_missing_stops_the_start_with_a_sentence(missing):
    given = {name: value for name, value in SETTINGS.items() if name != missing}

    with pytest.raises(CommandError, match=f"{missing} is not set"):
        Card.of(config.load(given, ROOT / "none"))


def test_the_settings_are_found_and_told_to_nobody():
    settings = config.load(SETTINGS, ROOT / "none")

    assert Card.of(settings).name == "card"
    assert KEY not in repr(settings) and SECRET not in repr(settings)


@pytest.mark.parametrize("address", ["http://api.cards.example", "ftp://x", "api.cards.example", "https://"])
def test_the_key_is_sent_over_https_only(address):
    with pytest.raises(CommandError, match="PAYMENT_CARD_API"):
        Card(address, KEY, SECRET)


# In the shop, wired as docs/payments.md says


@pytest.fixture
def card_shop(tmp_path, program_copy, accounts, sql, api):
    """A real server of two workers that takes cards, and its chores."""
    wired_in(program_copy)
    with servers(tmp_path, program_copy) as start:
        yield start(
            "--workers",
            "2",
            "--threads",
            "4",
            DATABASE_URL=as_url(accounts.application),
            PAYMENT_PROVIDERS="manual,card",
            CHORES="on",
            RATE_LIMITS="off",
            **api.settings,
        )


def order(shop, make):
    """Place an order of 19.90; return its number and how it is opened."""
    make.cart("cart", make.product(price="19.90"))
    named = {"Session_ID": "cart", "Idempotency_Key": "k"}
    body = {"expected_total": 19.9, "email": "ada@example.com"}
    placed = shop.request("/api/orders", "POST", body, **named).json["data"]
    return placed["number"], {"Order_Token": placed["access_token"]}


def pay(shop, number, opened, token):
    """Begin a payment by card."""
    body = {"provider": "card", "card_token": token}
    return shop.request(f"/api/orders/{number}/payments", "POST", body, **opened)


def payment_status(shop, number, opened):
    """Return the payment_status of an order."""
    return shop.request(f"/api/orders/{number}", **opened).json["data"]["payment_status"]


def test_an_order_is_paid_by_card_canceled_and_given_back(card_shop, make, api):
    number, opened = order(card_shop, make)

    paid = pay(card_shop, number, opened, "tok_visa")

    assert (paid.status, paid.json["data"]["status"]) == (201, "captured"), paid.body
    assert api.net(number) == (1990, 1)
    canceled = card_shop.request(f"/api/orders/{number}/cancel", "POST", {}, **opened)
    assert canceled.json["data"]["payment_status"] == "refunded"
    assert api.net(number) == (0, 1)


def test_a_customer_comes_back_from_the_bank_and_the_webhook_takes_the_money(card_shop, make, api):
    number, opened = order(card_shop, make)
    begun = pay(card_shop, number, opened, "tok_3ds").json["data"]
    api.customer(begun["reference"])

    statuses = [
        api.tell(card_shop.url, begun["reference"], status) for status in ("authorized", "requires_action", None)
    ]

    assert statuses == [200] * 3
    assert (payment_status(card_shop, number, opened), api.net(number)) == ("paid", (1990, 1))
    assert api.tell(card_shop.url, begun["reference"], secret="another") == 400


def test_a_card_that_is_declined_is_a_402_and_the_next_one_pays(card_shop, make, api):
    number, opened = order(card_shop, make)

    declined = pay(card_shop, number, opened, "tok_declined")

    assert (declined.status, declined.json["error"]["code"]) == (402, "PAYMENT_DECLINED")
    assert pay(card_shop, number, opened, "tok_visa").status == 201
    assert pay(card_shop, number, opened, "tok_visa").json["error"]["code"] == "ORDER_STATE"
    assert api.net(number) == (1990, 1)


def test_a_card_without_its_token_is_a_400(card_shop, make):
    number, opened = order(card_shop, make)

    refused = card_shop.request(f"/api/orders/{number}/payments", "POST", {"provider": "card"}, **opened)

    assert (refused.status, refused.json["error"]["details"]["field"]) == (400, "card_token")


@pytest.mark.parametrize("lost", ["payments", "capture"])
def test_where_the_answer_is_lost_the_next_request_goes_on(card_shop, make, api, lost):
    number, opened = order(card_shop, make)
    api.lose_next["POST", lost] = 1

    first, second = (pay(card_shop, number, opened, "tok_visa") for _ in range(2))

    assert first.status == (503 if lost == "payments" else 201)
    assert second.status == 201 and second.json["data"]["status"] == "captured"
    assert (payment_status(card_shop, number, opened), api.net(number)) == ("paid", (1990, 1))


def test_the_chores_go_on_with_what_was_lost_and_with_refunds(card_shop, make, api, sql):
    number, opened = order(card_shop, make)
    api.lose_next["POST", "capture"] = api.lose_next["POST", "refunds"] = 1

    pay(card_shop, number, opened, "tok_visa")
    sql("UPDATE payments SET retry_at = CURRENT_TIMESTAMP")
    assert eventually(lambda: payment_status(card_shop, number, opened) == "paid")
    card_shop.request(f"/api/orders/{number}/cancel", "POST", {}, **opened)
    assert api.net(number) == (0, 1)  # it was done; only the answer was lost
    assert sql("SELECT status FROM refunds") == [{"status": "new"}]
    sql("UPDATE refunds SET retry_at = CURRENT_TIMESTAMP")

    assert eventually(lambda: sql("SELECT status FROM refunds") == [{"status": "succeeded"}])
    assert api.net(number) == (0, 1)


def test_while_the_provider_hangs_the_shop_goes_on_selling(card_shop, make, api, lag):
    """Two workers of four threads: at most two of each wait for the provider."""
    number, opened = order(card_shop, make)
    api.gate.clear()

    def look():
        time.sleep(0.5)
        began = time.monotonic()
        answers = [card_shop.request("/api/products?in_stock=true").status for _ in range(20)]
        return set(answers), time.monotonic() - began

    *_, (statuses, seconds) = at_once([lambda: pay(card_shop, number, opened, "tok_visa").status] * 12 + [look])

    assert statuses == {200} and seconds < lag.bound(4)
    api.gate.set()
