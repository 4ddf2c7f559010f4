"""Mails: handed to a real mail server on loopback, or written to files; safe headers; whose fault a refusal is."""

import contextlib
import email
import json
import logging
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from helpers import free_port
from test_drivers_tls import certificates
from test_outbox_delivery import rows, until_idle

from core import config, outbox
from core.db.database import Database
from core.db.statements import Statements
from core.mails import Mails
from core.outbox import Definite, Delivery, Temporary
from core.setup.system import ROOT
from core.smtp_url import SmtpUrl
from resources import outbox_mail
from resources.outbox_delivery import Delivering
from resources.outbox_mail import Files, MailChannel, Server, composed, way_of

SENDER = Address("Bodega", addr_spec="shop@example.com")
AT = datetime(2026, 1, 31, 12, 0, 0)


class Mailbox:
    """What a mail server got; `refusals`: step → its answer to that."""

    def __init__(self):
        self.mails = []
        self.recipients = []
        self.refusals = {}
        self.logins = []

    async def handle_MAIL(self, server, session, envelope, address, options):
        if answer := self.refusals.get("MAIL"):
            return answer
        envelope.mail_from = address
        envelope.mail_options += options
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if answer := self.refusals.get(address, self.refusals.get("RCPT")):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.recipients += envelope.rcpt_tos
        self.mails.append(email.message_from_bytes(envelope.content, policy=policy.default))
        return self.refusals.get("DATA", "250 OK")

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=data.password == b"Right-1", handled=False)


@pytest.fixture
def mailbox():
    """The mailbox of this test."""
    return Mailbox()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with a CA and a certificate for localhost that it has signed."""
    folder = tmp_path_factory.mktemp("keys")
    certificates(folder)
    return folder


@pytest.fixture
def tls(keys):
    """The TLS of a server that is localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys / "server.pem", keys / "server.key")
    return context


@pytest.fixture
def trusting(keys, monkeypatch):
    """This process takes the CA for one of the machine's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.pem"))


@pytest.fixture
def served(mailbox):
    """`served(**options)`: a real SMTP server with this mailbox; return its port."""
    with contextlib.ExitStack() as stack:

        def begin(**options):
            controller = Controller(mailbox, "127.0.0.1", free_port(), **options)
            controller.start()
            stack.callback(controller.stop)
            return controller.port

        yield begin


def plain(port):
    """Return what sends to a server of this machine without TLS."""
    return Server(SmtpUrl("127.0.0.1", port, tls="off"))


def delivery(address="ada@example.com", **fields):
    """Return a Delivery."""
    usual = {"message_id": "msg_0123", "address": address, "topic": "order_placed", "payload": "{}", "attempt": 1}
    return Delivery(**{**usual, "created_at": AT, **fields})


def mail(address="ada@example.com", subject="Hello", text="Text\n", **fields):
    """Return a mail, and its address."""
    return composed(subject, text, SENDER, address, delivery(address, **fields)), address


# What is sent


def test_a_mail_arrives_as_it_was_written(served, mailbox):
    text = "Dear Ada,\n\n2 × Lamp “Λ” 😀: 39.80\n.\nFrom here a line of " + "many words " * 40 + "\n"

    plain(served())(*mail(subject="Your order Ä 😀 " + "word " * 30 + "end", text=text))

    (got,) = mailbox.mails
    assert mailbox.recipients == ["ada@example.com"]
    assert got["Subject"] == "Your order Ä 😀 " + "word " * 30 + "end"
    assert got.get_content().splitlines() == text.splitlines() and got.get_content_type() == "text/plain"
    assert (got["From"], got["To"]) == ("Bodega <shop@example.com>", "ada@example.com")
    assert got["Message-ID"] == "<msg_0123@example.com>"
    assert got["Date"].datetime == AT.replace(tzinfo=UTC)
    assert got["Auto-Submitted"] == "auto-generated"


def test_a_mail_that_is_sent_again_is_the_same_to_the_byte():
    first, second = (mail(attempt=attempt)[0].as_bytes() for attempt in (1, 2))

    assert first == second


@pytest.mark.parametrize(
    "name",
    [
        "Eve\r\nBcc: all@example.com",
        "Eve\nSubject: two",
        "=?utf-8?q?Eve=0D=0ABcc=3A_all=40example=2Ecom?=",
        "Ä =?utf-8?b?RXZlDQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?= " * 9,
        "=?utf-8?q?=0D?==?utf-8?q?=0ABcc=3A_x?=",
    ],
)
def test_no_name_adds_a_header(served, mailbox, tmp_path, name):
    (tmp_path / "hello.txt").write_text("Subject: Dear $name\n\nDear $name\n")
    mails = Mails(tmp_path, {"hello": frozenset({"name"})})
    channel = MailChannel(plain(served()), mails, SENDER)

    channel.prepare(None, delivery(topic="hello", payload=json.dumps({"name": name})))()

    (got,) = mailbox.mails
    names = [key.lower() for key in got if not key.lower().startswith("x-")]
    ours = "From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type Content-Transfer-Encoding"
    assert sorted(names) == sorted(ours.lower().split())
    assert mailbox.recipients == ["ada@example.com"]


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com\r\nBcc: x@example.com",
        "ada@example.com>, <x@example.com",
        "ada",
        "",
        "a b@example.com",
        "@",
        "a@b@c",
        "=?utf-8?q?eve?=@example.com",
        "=?utf-8?q?=0D=0ABcc=3A_x?=@example.com",
    ],
)
def test_no_address_is_more_than_an_address(address):
    channel = MailChannel(None, Mails(), SENDER)

    with pytest.raises(Definite, match="not an e-mail address"):
        channel.prepare(None, delivery(address))


@pytest.mark.parametrize(
    ("address", "sent"),
    [("ada@bücher.example", "ada@xn--bcher-kva.example"), ("rené@example.com", "rené@example.com")],
)
def test_international_addresses_get_their_mail(served, mailbox, address, sent):
    channel = MailChannel(plain(served(enable_SMTPUTF8=True)), Mails(), SENDER)
    values = dict.fromkeys(("shop", "number", "lines", "total", "currency", "expires_at"), "x")

    channel.prepare(None, delivery(address, payload=json.dumps(values)))()

    assert mailbox.recipients == [sent]
    assert mailbox.mails[0]["To"] == sent


def test_a_server_without_smtputf8_cannot_take_letters_beyond_ascii(served, mailbox):
    with pytest.raises(Definite, match="SMTPUTF8"):
        plain(served(enable_SMTPUTF8=False))(*mail("rené@example.com"))

    assert mailbox.mails == []


# Whom is it sent to, and in what state


def test_starttls_comes_before_the_login(served, mailbox, tls, trusting):
    port = served(tls_context=tls, require_starttls=True, auth_required=True, authenticator=mailbox.authenticate)

    Server(SmtpUrl("localhost", port, "shop", "Right-1"))(*mail())

    assert len(mailbox.mails) == 1 and mailbox.logins == [(b"shop", b"Right-1", True)]


def test_smtps_is_tls_from_the_first_byte(served, mailbox, tls, trusting):
    Server(SmtpUrl("localhost", served(ssl_context=tls), tls="tls"))(*mail())

    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("way", ["starttls", "tls"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["an unknown CA", "another name"])
def test_a_server_that_does_not_prove_who_it_is_gets_nothing(served, mailbox, tls, way, host, request):
    if host == "127.0.0.1":  # the CA is known, but the certificate is for another name
        request.getfixturevalue("trusting")
    options = {"ssl_context": tls} if way == "tls" else {"tls_context": tls}
    port = served(**options, authenticator=mailbox.authenticate)

    with pytest.raises(Temporary, match="does not prove that it is"):
        Server(SmtpUrl(host, port, "shop", "Right-1", way))(*mail())

    assert mailbox.mails == mailbox.logins == []


def test_a_server_without_starttls_gets_neither_login_nor_mail(served, mailbox):
    port = served(auth_require_tls=False, authenticator=mailbox.authenticate)

    with pytest.raises(Temporary, match="STARTTLS"):
        Server(SmtpUrl("127.0.0.1", port, "shop", "Right-1"))(*mail())

    assert mailbox.mails == mailbox.logins == []


def test_without_tls_only_private_networks_are_spoken_to(served, mailbox, monkeypatch):
    send = plain(served())
    monkeypatch.setattr(outbox_mail.socket.socket, "getpeername", lambda self: ("203.0.113.200", 25))
    monkeypatch.setattr(outbox_mail.ipaddress, "ip_address", lambda text: type("Public", (), {"is_private": False}))

    with pytest.raises(Temporary, match="tls=off is for those alone"):
        send(*mail())

    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("::1", True),
        ("fd00::1", True),
        ("8.8.8.8", False),
        ("2606:4700::1", False),
    ],
)
def test_which_networks_are_private(address, private):
    with contextlib.nullcontext() if private else pytest.raises(Exception, match="not in a private network"):
        outbox_mail._require_private(address)


# What goes wrong


@pytest.mark.parametrize(
    ("step", "answer", "kind"),
    [
        ("RCPT", "450 4.2.0 greylisted", Temporary),
        ("RCPT", "421 4.3.2 shutting down", Temporary),
        ("RCPT", "550 5.1.1 no such user", Definite),
        ("RCPT", "553 5.1.3 bad address", Definite),
        ("RCPT", "530 5.7.0 authenticate first", Temporary),
        ("MAIL", "550 5.7.1 not in your name", Temporary),
        ("DATA", "451 4.3.0 disk full", Temporary),
        ("DATA", "554 5.7.1 spam", Definite),
    ],
)
def test_what_can_be_retried_is_temporary_and_what_the_recipient_gets_is_definite(served, mailbox, step, answer, kind):
    mailbox.refusals[step] = answer

    with pytest.raises(kind) as refused:
        plain(served())(*mail())

    assert answer in str(refused.value)


def test_a_wrong_login_is_ours_to_correct_and_its_password_is_not_told(served, mailbox, tls, trusting):
    port = served(tls_context=tls, authenticator=mailbox.authenticate)

    with pytest.raises(Temporary) as refused:
        Server(SmtpUrl("localhost", port, "shop", "Wrong-1"))(*mail())

    assert "does not let us in: 535" in str(refused.value) and "Wrong-1" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_a_server_that_is_not_there_is_temporary(host):
    with pytest.raises(Temporary, match="cannot be used"):
        Server(SmtpUrl(host, 1, tls="off"))(*mail())


@contextlib.contextmanager
def saying(*lines, after=b""):
    """A server that sends these lines as it is spoken to, then a byte of `after` every 0.1 seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    for line in lines:
                        connection.sendall(line + b"\r\n")
                        connection.recv(65536)
                    for byte in after:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
    thread.join(5)


@pytest.mark.parametrize(
    "lines",
    [[b"554 go away"], [b"220 hi"], [b"220 hi", b"250 hello", b"250 ok"], [b"garbage"], [b"220 hi", b"\xff\xfe"]],
)
def test_a_server_that_breaks_off_or_talks_nonsense_is_temporary(lines):
    with saying(*lines) as port, pytest.raises(Temporary):
        plain(port)(*mail())


def test_a_server_that_drips_is_cut_off(monkeypatch, lag):
    monkeypatch.setattr(outbox_mail, "LONGEST", 0.5)
    began = time.monotonic()

    with saying(b"220 hi", after=b"250-" + b"x" * 100) as port, pytest.raises(Temporary):
        plain(port)(*mail())

    assert time.monotonic() - began < lag.bound(3, began)


def test_a_mail_takes_less_time_than_a_delivery_may():
    assert outbox_mail.LONGEST + outbox_mail.TIMEOUT <= outbox.LONGEST_DELIVERY


def test_a_server_that_breaks_off_after_it_took_the_mail_has_it():
    lines = [b"220 hi", b"250 hello", b"250 sender", b"250 recipient", b"354 go on", b"250 taken"]

    with saying(*lines) as port:
        plain(port)(*mail())  # QUIT gets no answer


# From the row to the mailbox


@pytest.fixture
def db(accounts, sql):
    """The database as the chores use it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


def placed(client, make):
    """Order something as a guest."""
    make.cart("visitor", make.product("Lamp “Λ”", price="19.90"), quantity=2)
    body = {"expected_total": 39.8, "email": "ada@example.com"}
    answer = client.post_json("/api/orders", body, headers={"Session-ID": "visitor", "Idempotency-Key": "one"})
    assert answer.status_int == 201, answer.text
    return answer.json["data"]


def test_who_orders_gets_a_mail_that_names_the_order_its_lines_and_its_total(client, make, db, sql, served, mailbox):
    order = placed(client, make)
    channel = MailChannel(plain(served()), Mails(), SENDER)

    until_idle(Delivering({"mail": channel}), db)

    (got,) = mailbox.mails
    assert order["number"] in got["Subject"] and "$" not in got.get_content()
    assert "2 × Lamp “Λ”: 39.80" in got.get_content() and "Total: 39.80 EUR" in got.get_content()
    message_id = sql("SELECT message_id FROM outbox WHERE receiver LIKE 'mail%%'")[0]["message_id"]
    assert got["Message-ID"] == f"<{message_id}@example.com>"


def test_a_refused_recipient_is_a_dead_letter_and_a_greylisted_one_gets_the_same_mail_later(db, sql, served, mailbox):
    values = dict.fromkeys(("shop", "number", "lines", "total", "currency", "expires_at"), "x")
    for address in ("bad@example.com", "grey@example.com"):
        message = outbox.document(outbox.mail(address, "order_placed", values))
        db.transaction(lambda session, message=message: session.run("outbox/add", messages=message))
    mailbox.refusals = {"bad@example.com": "550 no such user", "grey@example.com": "450 later"}
    delivering = Delivering({"mail": MailChannel(plain(served()), Mails(), SENDER)}, delay=lambda attempt: 0)

    delivering.run(db)
    delivering.run(db)
    mailbox.refusals.clear()
    until_idle(delivering, db)

    bad, grey = rows(sql)
    assert (bad["state"], bad["attempts"]) == ("dead", 1) and "550 no such user" in bad["error"]
    assert (grey["state"], grey["error"]) == ("delivered", None) and grey["attempts"] > 1
    assert mailbox.recipients == ["grey@example.com"]


# Where mails go


def test_without_a_mail_server_the_private_database_has_its_mails_in_files(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    send = way_of(config.Config(data_dir=tmp_path))

    for _ in range(2):
        send(*mail(subject="Ä"))

    (path,) = (tmp_path / "mail").iterdir()
    assert path.name == "msg_0123.eml" and (tmp_path / "mail").stat().st_mode & 0o77 == 0
    assert email.message_from_bytes(path.read_bytes(), policy=policy.default)["Subject"] == "Ä"
    assert "msg_0123.eml" in caplog.text and "ada@" not in caplog.text


def test_a_mail_that_finds_no_room_on_the_disk_waits(tmp_path):
    (tmp_path / "mail").write_text("a file where the folder should be")

    with pytest.raises(Temporary, match="The mail cannot be written to a file: "):
        Files(tmp_path / "mail")(*mail())

    (tmp_path / "mail").unlink()
    Files(tmp_path / "mail")(*mail())
    assert len(list((tmp_path / "mail").glob("*.eml"))) == 1


def test_without_a_mail_server_a_database_of_its_own_lets_mails_wait_and_the_log_says_what_to_set(accounts, caplog):
    assert way_of(config.Config(database=accounts.application)) is None

    assert "SMTP_URL is not set: mails wait" in caplog.text


def test_with_a_mail_server_mails_go_there(accounts):
    settings = config.Config(database=accounts.application, smtp=SmtpUrl("mail.example", 587))

    assert isinstance(way_of(settings), Server)
    assert not isinstance(way_of(settings), Files)
