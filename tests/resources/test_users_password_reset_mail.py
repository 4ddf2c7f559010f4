"""A forgotten password from end to end: a real server, its chores, and the mail, from a mail server or a file."""

import email
import re
from email import policy

import pytest
from aiosmtpd.controller import Controller
from helpers import PASSWORD, as_url, bearer, eventually, free_port
from test_outbox_mail import Mailbox
from test_users_password_reset import CONFIRM, NEW, RESET, SHOPFRONT, TOKEN, everything

ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}


@pytest.fixture
def mailbox():
    """The mailbox of a mail server on loopback; `port`: where it is."""
    box = Mailbox()
    server = Controller(box, "127.0.0.1", free_port())
    server.start()
    box.port = server.port
    yield box
    server.stop()


def log_in(real, password):
    return real.request("/api/users/login", "POST", {"username": "alice", "password": password})


def forget_and_reset(real, mails, pattern):
    """Register, forget the password, and set a new one by the mail; return the token. `mails()`: what came so far."""
    assert real.request("/api/users/register", "POST", ALICE).status == 201
    phone = log_in(real, PASSWORD).json["data"]["token"]
    for address in ("nobody@example.com", "alice@example.com"):
        assert real.request(RESET, "POST", {"email": address}).status == 202

    assert eventually(lambda: len(mails()) == 1), real.log
    token = re.search(pattern, mails()[0].get_content())[1]
    done = real.request(CONFIRM, "POST", {"token": token, "password": NEW})

    assert (done.status, done.json["data"]) == (200, {"ended": 1})
    assert [log_in(real, password).status for password in (PASSWORD, NEW)] == [401, 200]
    assert real.request("/api/users/me", **bearer(phone)).status == 401
    assert real.request(CONFIRM, "POST", {"token": token, "password": PASSWORD}).status == 400
    assert eventually(lambda: len(mails()) == 2), real.log
    assert mails()[1]["Subject"] == "Your account at Bodega has a new password"
    assert {mail["To"] for mail in mails()} == {"alice@example.com"}
    assert token not in real.log and "example.com" not in real.log
    return token


@pytest.mark.slow
def test_a_forgotten_password_is_replaced_by_a_mail_of_a_mail_server(start, accounts, sql, mailbox):
    real = start(
        "--workers",
        "1",
        "--threads",
        "2",
        DATABASE_URL=as_url(accounts.application),
        CHORES="on",
        SMTP_URL=f"smtp://127.0.0.1:{mailbox.port}?tls=off",
        MAIL_FROM="Bodega <shop@bodega.example>",
        STOREFRONT_URL=f"{SHOPFRONT}/",
    )

    token = forget_and_reset(real, lambda: mailbox.mails, rf"(?m)^{SHOPFRONT}/password-reset#token=({TOKEN})\r?$")

    assert mailbox.mails[0]["Subject"] == "A new password for your account at Bodega"
    assert "your account alice at Bodega" in mailbox.mails[0].get_content()
    stored = everything(sql, "outbox") + everything(sql, "sessions") + everything(sql, "idempotency_keys")
    assert stored and not [row for row in stored if token in str(row)]


@pytest.mark.slow
def test_without_a_mail_server_the_mail_of_the_private_database_is_a_file(start, tmp_path):
    real = start("--workers", "1", "--threads", "2", DATA_DIR=str(tmp_path / "data"), CHORES="on")

    def mails():
        paths = sorted((tmp_path / "data" / "mail").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]

    forget_and_reset(real, mails, rf"(?m)^http://localhost:{real.port}/password-reset#token=({TOKEN})\r?$")
