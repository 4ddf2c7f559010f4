"""SMTP_URL and MAIL_FROM: what is meant, and what is wrong, without a password in the message."""

import pytest
from test_config import refused, settings

from core.smtp_url import SmtpUrl, parse


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("smtp://mail.example", SmtpUrl("mail.example", 587)),
        ("smtps://mail.example/", SmtpUrl("mail.example", 465, tls="tls")),
        ("smtp://u:p%40ss%2F@mail.example:2525", SmtpUrl("mail.example", 2525, "u", "p@ss/")),
        ("smtp://a%40b.example:pw@mail.example", SmtpUrl("mail.example", 587, "a@b.example", "pw")),
        ("smtp://[::1]:25?tls=off", SmtpUrl("::1", 25, tls="off")),
    ],
)
def test_a_mail_server_is_reached_as_its_url_says(text, wanted):
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "mail.example",
        "http://u:Secret-1@mail.example",
        "smtp://",
        "smtp://u:Secret-1@",
        "smtp://u:Secret-1@host:port",
        "smtp://u:Secret-1@host:99999",
        "smtp://u:Secret-1/x@host",
        "smtp://u:Secret-1@host/path",
        "smtp://u:Secret-1@host#x",
        "smtp://u:Secret-1@host?tls=on",
        "smtp://u:Secret-1@host?tls=off&tls=off",
        "smtps://u:Secret-1@host?tls=off",
        "smtp://Secret-1@host",
        "smtp://:Secret-1@host",
    ],
)
def test_what_is_wrong_is_said_without_the_password(text):
    said = refused(SMTP_URL=text, MAIL_FROM="shop@example.com")

    assert said.startswith("SMTP_URL ") and "Wanted is smtp://user:password@host:587" in said
    assert "Secret" not in said


def test_the_password_is_in_no_repr():
    assert "Secret-1" not in repr(settings(SMTP_URL="smtp://u:Secret-1@host", MAIL_FROM="a@b.example"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop@example.com", "shop@example.com"),
        ("Bodega <shop@example.com>", "Bodega <shop@example.com>"),
        ('"Bodega, Ltd." <shop@example.com>', '"Bodega, Ltd." <shop@example.com>'),
        ("Café Λ <shop@example.com>", "Café Λ <shop@example.com>"),
    ],
)
def test_mails_leave_in_this_name(text, shown):
    assert str(settings(MAIL_FROM=text).mail_from) == shown


@pytest.mark.parametrize(
    "text",
    ["shop", "shop@", "<shop@example.com", "shop@example.com>", "a@b, c@d", "A\nB <a@b.example>", "é@example.com"],
)
def test_a_sender_that_is_none_is_refused(text):
    assert refused(MAIL_FROM=text).startswith("MAIL_FROM ")


def test_a_mail_server_needs_a_sender():
    assert refused(SMTP_URL="smtp://host").startswith("MAIL_FROM is not set, and SMTP_URL is")
