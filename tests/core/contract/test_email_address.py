"""E-mail addresses: what they are stored as, and what mail servers know them by."""

import pytest

from core.contract.email_address import address_of, wire_form


@pytest.mark.parametrize("take", [address_of, wire_form])
@pytest.mark.parametrize(
    "typed", ["", "ada", "a@b@c", "=?utf-8?q?eve=40evil=2Eexample=3E?=@a.example", "a@" + "b" * 300]
)
def test_what_is_no_address_or_could_be_read_as_another_is_refused(take, typed):
    assert take(typed) is None


@pytest.mark.parametrize(
    ("typed", "stored", "sent"),
    [
        ("Ada@Example.COM", "ada@example.com", "ada@example.com"),
        ("ada@BÜCHER.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("rené@example.com", "rené@example.com", "rené@example.com"),
    ],
)
def test_an_address_is_stored_in_one_form_and_sent_with_its_domain_in_ascii(typed, stored, sent):
    assert address_of(typed) == stored
    assert wire_form(stored) == sent
