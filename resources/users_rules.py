"""Names, addresses and passwords of accounts: what may be chosen, and in which form it is stored."""

import re
from typing import Any

from core import outbox
from core.contract.email_address import EMAIL_ISSUE, LONGEST_EMAIL, address_of
from core.contract.forms import Problem
from core.contract.shapes import Shape, field
from core.db.database import Row, Session
from core.errors import DuplicateEmail, DuplicateUsername
from core.identity.passwords import LONGEST_PASSWORD, SHORTEST_HINT, is_acceptable
from core.mails import declare
from core.shop import Shop

RESERVED = re.compile(  # names that people take for the shop, or that have a meaning for mail (RFC 2142) and programs
    r"_*(abuse|accounts?|admin|administrator|api|billing|contact|customer_?service|guest|help|helpdesk|hostmaster"
    r"|info|mail|mailer_?daemon|me|moderator|no_?reply|nobody|null|office|official|operator|orders|owner|payments?"
    r"|postmaster|privacy|root|sales|security|service|shop|staff|store|superuser|support|sysadmin|system|team|undefined"
    r"|webmaster|www)_*\Z",
    re.I,
)
PASSWORD_CHANGED = declare("password_changed", "shop", "username")  # mails to the owner
EMAIL_CHANGED = declare("email_changed", "shop", "username")
UNACCEPTABLE = (
    "Must be 8 to 128 characters, with an upper-case letter, a lower-case letter and a digit, none of the commonest "
    "passwords, and without your name, the first part of your e-mail address or the shop's name."
)
USERNAME: dict[str, Any] = {
    "type": "string",
    "maxlength": 50,
    "regex": r"[A-Za-z0-9_]{3,50}\Z",
    "meta": {
        "issue": "Must be 3 to 50 characters of A-Z, a-z, 0-9 and _.",
        "description": "What the account is called: 3 to 50 letters, digits and underscores, unlike any other's in "
        "whatever case.",
        "example": "alice",
    },
}
EMAIL: dict[str, Any] = {
    "type": "string",
    "maxlength": LONGEST_EMAIL,
    "meta": {
        "issue": EMAIL_ISSUE,
        "description": "The e-mail address: of one account only, and stored in lower case.",
        "example": "alice@example.com",
    },
}
PASSWORD: dict[str, Any] = {
    "type": "string",
    "minlength": 8,
    "maxlength": LONGEST_PASSWORD,
    "meta": {
        "issue": UNACCEPTABLE,
        "description": "The password: 8 to 128 characters, with an upper-case letter, a lower-case letter and a digit, "
        "and hard to guess. It is stored as a hash, and never shown.",
        "example": "Blue-Door-42",
    },
}
TYPED: dict[str, Any] = {  # at a login, any other text is only wrong
    "type": "string",
    "minlength": 1,
    "maxlength": 1000,
    "meta": {"issue": "Must be text of 1 to 1000 characters."},
}

ACCOUNT = Shape(
    "Account",
    id=field("integer", "The account's number, as addresses name it.", 1),
    username=field("string", "What the account is called.", "alice"),
    email=field("string", "Its e-mail address, in lower case.", "alice@example.com"),
    role=field(
        "string", "Whether it is a customer's or an administrator's.", "customer", allowed=["customer", "admin"]
    ),
    created_at=field("datetime", "When it was created.", "2026-01-31T12:00:00Z"),
    updated_at=field("datetime", "When it was changed last.", "2026-01-31T12:00:00Z"),
)


def problems_of(db: Session, body: Row, shop: Shop, present: Row | None = None) -> list[Problem]:
    """Return what stands against an account with these fields; `present`: what it is so far."""
    before: Row = present or {"id": None, "username": "", "email": ""}
    name = body.get("username") or before["username"]
    email = address_of(body["email"]) if "email" in body else before["email"]
    found: dict[str, str] = {}
    if name.lower() != before["username"].lower() and _is_reserved(name, shop):
        found["username"] = "Is reserved for the shop. Choose another one."
    if email is None:
        found["email"] = EMAIL_ISSUE
    known = (name, email, before["username"], before["email"])
    if "password" in body and not _may_be_chosen(body["password"], shop, *(text for text in known if text)):
        found["password"] = UNACCEPTABLE
    taken = {row["field"] for row in db.many("users/taken", id=before["id"], username=name, email=email)}
    clashes = [clash for clash in (DuplicateUsername, DuplicateEmail) if clash.field in taken - found.keys()]
    return [*found.items(), *clashes]


def notice(mail: str, account: Row, shop: Shop) -> outbox.Message:
    """Return the mail that tells the owner of an account what was changed (ASVS 6.3.7): PASSWORD_CHANGED, ….

    `account`: as it was, so that it reaches whom the account was taken from.
    """
    return outbox.mail(account["email"], mail, {"shop": shop.name, "username": account["username"]})


def normal(typed: str) -> str:
    """Return an e-mail address as it would be stored; for what is none, something that nobody has."""
    return address_of(typed) or "nobody " + typed[:200].lower()


def _is_reserved(name: str, shop: Shop) -> bool:
    """Whether people would take this name for the shop's own."""
    return bool(RESERVED.match(name)) or _plain(name) == _plain(shop.name)


def _may_be_chosen(password: str, shop: Shop, *known: str) -> bool:
    """Whether an account with these names and addresses may have this password."""
    shops = _plain(shop.name)
    holds_shop = len(shops) >= SHORTEST_HINT and shops in _plain(password)
    return not holds_shop and is_acceptable(password, *(re.split("[@+]", text)[0] for text in known))


def _plain(name: str) -> str:
    """Return a name as people tell it apart: Ada's Shop, adas_shop and AdasShop are one."""
    return re.sub(r"[\W_]", "", name).lower()
