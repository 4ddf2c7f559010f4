"""SMTP_URL and MAIL_FROM: by which server mails leave, and in whose name. No message about them repeats a password."""

import dataclasses
import re
from email.headerregistry import Address
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 587, "smtps": 465}
TLS = {"smtp": "starttls", "smtps": "tls"}  # by scheme: after STARTTLS, which is required, or from the first byte
WANTED = (
    "Wanted is smtp://user:password@host:587 (with STARTTLS) or smtps://user:password@host, with special characters "
    "in the password percent-encoded (@ is %40)."
)


@dataclasses.dataclass(frozen=True)
class SmtpUrl:
    """Where the mail server is, and the login. The password is in no repr."""

    host: str
    port: int
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    tls: str = "starttls"  # or "tls", or "off": only to an address of this machine or of a private network


def parse(text: str) -> SmtpUrl:
    """Parse smtp://user:password@host:587, smtps://… or smtp://host:25?tls=off; raise ValueError without its text."""
    try:
        url = urlsplit(text)
        port = url.port or PORTS.get(url.scheme, 0)
    except ValueError:
        raise _wrong("has a host or port that cannot be read") from None
    if url.scheme not in PORTS:
        raise _wrong("does not begin with smtp:// or smtps://")
    if not url.hostname:
        raise _wrong("names no host")
    if url.path not in ("", "/") or url.fragment:
        raise _wrong("has a / or # behind the host, which must be percent-encoded in a password (%2F, %23)")
    if url.query not in ("", "tls=off"):
        raise _wrong("has an option that is not known; tls=off is")
    if url.query and url.scheme == "smtps":
        raise _wrong("says both smtps and tls=off, which exclude each other")
    if bool(url.username) != bool(url.password):
        raise _wrong("has a user without a password, or the other way round")
    tls = "off" if url.query else TLS[url.scheme]
    return SmtpUrl(url.hostname, port, unquote(url.username or ""), unquote(url.password or ""), tls)


def sender(text: str) -> Address:
    """Parse MAIL_FROM: shop@example.com, or Bodega <shop@example.com>; raise ValueError."""
    found = re.fullmatch(r"(?:\"?([^\"<>\x00-\x1f]*?)\"?\s*<)?([!-~]+@[A-Za-z0-9.-]+)>?", text)
    if not found or ("<" in text) != text.endswith(">"):
        raise ValueError(f"is {text!r}; wanted is shop@example.com, or Bodega <shop@example.com>.")
    try:
        return Address((found[1] or "").strip(), addr_spec=found[2])
    except ValueError:
        raise ValueError(f"is {text!r}; its address cannot be read.") from None


def _wrong(what: str) -> ValueError:
    return ValueError(f"{what}. {WANTED}")
