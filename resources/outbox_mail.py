"""Mails of the outbox: made of a template and its values, and handed to a mail server, or to files."""

import contextlib
import email
import functools
import ipaddress
import json
import logging
import os
import pathlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from core.config import Config
from core.contract.email_address import wire_form
from core.db.database import Session
from core.mails import Mails
from core.outbox import Definite, Delivery, Temporary
from core.smtp_url import SmtpUrl
from resources.outbox_webhooks_posting import client_tls

TIMEOUT = 15  # seconds for each answer of the mail server
LONGEST = 45  # seconds for all of a mail
OURS = {530, 534, 535, 538}  # answers to a recipient that mean our login, and not the recipient

Send = Callable[[EmailMessage, str], None]  # raises Temporary or Definite

log = logging.getLogger("bodega.outbox")


class MailChannel:
    """The Channel of mails. `send(message, address)` hands one over."""

    threads = 4

    def __init__(self, send: Send, mails: Mails, sender: Address) -> None:
        self._send = send
        self._mails = mails
        self._sender = sender

    def prepare(self, db: Session, delivery: Delivery) -> Callable[[], None]:
        """Return what sends the mail."""
        address = wire_form(delivery.address)
        if address is None:
            raise Definite("This is not an e-mail address.")
        values = json.loads(delivery.payload)
        message = composed(*self._mails.render(delivery.topic, values), self._sender, address, delivery)
        return functools.partial(self._send, message, address)


def composed(subject: str, text: str, sender: Address, address: str, delivery: Delivery) -> EmailMessage:
    """Return the mail. Another attempt makes the same: its Message-ID tells a repeated one."""
    message = EmailMessage(policy.SMTP if address.isascii() else policy.SMTPUTF8)
    message["From"] = sender
    local, _, domain = address.rpartition("@")
    message["To"] = Address(username=local, domain=domain)  # from `addr_spec` it takes no letters beyond ASCII
    message["Subject"] = subject.replace("=?", "= ?")  # EmailMessage decodes =?utf-8?q?…?=, with line ends in it
    message["Date"] = format_datetime(delivery.created_at.replace(tzinfo=UTC))
    message["Message-ID"] = f"<{delivery.message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answer comes back
    message.set_content(text, charset="utf-8", cte="quoted-printable")
    if email.message_from_bytes(message.as_bytes()).keys() != message.keys():
        raise Definite("Its subject or address would add a header of its own.")
    return message


class Files:
    """Writes mails to a folder, for a shop that nobody but its developer uses."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def __call__(self, message: EmailMessage, address: str) -> None:
        """Write a mail; the same one again replaces itself."""
        name = message["Message-ID"].strip("<>").partition("@")[0]
        new, path = self._folder / f"{name}.new", self._folder / f"{name}.eml"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.write_bytes(message.as_bytes())
            new.rename(path)
        except OSError as error:  # the disk is full, say
            raise Temporary(f"The mail cannot be written to a file: {error.strerror}") from error
        log.info(f"SMTP_URL is not set; a mail is in {os.path.relpath(path)}.")


class _Limited(smtplib.SMTP):
    """A connection that is cut off after LONGEST seconds, also from a server that drips."""

    def connect(self, *args: Any, **options: Any) -> Any:
        """Connect, as smtplib does."""
        self._limit = threading.Timer(LONGEST, self._cut)
        self._limit.daemon = True
        self._limit.start()
        try:
            return super().connect(*args, **options)
        except BaseException:
            self._limit.cancel()
            raise

    def close(self) -> None:
        """Close the connection, as smtplib does."""
        self._limit.cancel()
        super().close()

    def _cut(self) -> None:
        if self.sock:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _LimitedTls(_Limited, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class Server:
    """Hands mails to a mail server, a connection each."""

    def __init__(self, url: SmtpUrl) -> None:
        self._url = url

    def __call__(self, message: EmailMessage, address: str) -> None:
        """Hand a mail over. Returns once the server has taken it; raises Temporary or Definite."""
        try:
            smtp = self._connected()
        except ssl.SSLCertVerificationError as error:
            why = f"The mail server does not prove that it is {self._url.host}: {error.verify_message}"
            raise Temporary(why) from error
        except smtplib.SMTPResponseException as error:
            why = f"The mail server does not let us in: {_said(error.smtp_code, error.smtp_error)}"
            raise Temporary(why) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Temporary(f"The mail server cannot be used: {error}") from error
        try:
            options = () if address.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
            # Not send_message, which writes ">From" where a line begins with "From".
            smtp.sendmail(message["From"].addresses[0].addr_spec, [address], message.as_bytes(), options)
        except smtplib.SMTPNotSupportedError as error:
            raise Definite("The mail server takes no addresses with letters beyond ASCII (SMTPUTF8).") from error
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[address]
            kind = Definite if code >= 500 and code not in OURS else Temporary
            raise kind(f"The mail server refuses the address: {_said(code, text)}") from error
        except smtplib.SMTPDataError as error:
            kind = Definite if error.smtp_code >= 500 else Temporary
            raise kind(f"The mail server refuses the mail: {_said(error.smtp_code, error.smtp_error)}") from error
        except smtplib.SMTPResponseException as error:  # the sender, or a greeting: ours to correct
            raise Temporary(f"The mail server refuses us: {_said(error.smtp_code, error.smtp_error)}") from error
        except (OSError, smtplib.SMTPException) as error:  # it may have taken it: then it comes twice
            raise Temporary(f"The mail server broke off: {error}") from error
        else:
            with contextlib.suppress(OSError, smtplib.SMTPException):  # the mail has gone
                smtp.quit()
        finally:
            smtp.close()

    def _connected(self) -> smtplib.SMTP:
        """Return a connection that is secured and logged in."""
        url = self._url
        name = socket.gethostname() if "." in socket.gethostname() else "[127.0.0.1]"  # getfqdn could ask DNS for long
        if url.tls == "tls":
            smtp: smtplib.SMTP = _LimitedTls(url.host, url.port, name, timeout=TIMEOUT, context=client_tls())
        else:
            smtp = _Limited(url.host, url.port, name, timeout=TIMEOUT)
        try:
            if url.tls == "starttls":
                smtp.starttls(context=client_tls())  # raises where the server does not offer it
            elif url.tls == "off" and smtp.sock:
                _require_private(smtp.sock.getpeername()[0])
            if url.user:
                smtp.login(url.user, url.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _require_private(address: str) -> None:
    if not ipaddress.ip_address(address.partition("%")[0]).is_private:
        raise smtplib.SMTPException(f"{address} is not in a private network, and tls=off is for those alone")


def _said(code: int, text: bytes | str) -> str:
    """Return a server's answer in one line."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(shown.split())}"


def way_of(settings: Config) -> Send | None:
    """Return how mails leave; None where they have to wait, and then say in the log what is to be set."""
    if settings.smtp:
        return Server(settings.smtp)
    if settings.database is None:
        return Files(settings.data_dir / "mail")
    log.warning("SMTP_URL is not set: mails wait in the outbox until it is. .env.example says what it looks like.")
    return None
