"""Names, addresses and passwords of accounts: what may be chosen, and in which form it is stored."""

import contextlib
import re
from typing import Any

from email_validator import EmailNotValidError, validate_email

from core.contract.shapes import Shape, field
from core.errors import ValidationError
from core.identity.passwords import LONGEST_PASSWORD, SHORTEST_HINT, is_acceptable
from core.shop import Shop

RESERVED = re.compile(  # names that people take for the shop, or that have a meaning for mail (RFC 2142) and programs
    r"_*(abuse|accounts?|admin|administrator|api|billing|contact|customer_?service|guest|help|helpdesk|hostmaster"
    r"|info|mail|mailer_?daemon|me|moderator|no_?reply|nobody|null|office|official|operator|orders|owner|payments?"
    r"|postmaster|privacy|root|sales|security|service|shop|staff|store|superuser|support|sysadmin|system|team|undefined"
    r"|webmaster|www)_*\Z",
    re.I,
)
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
EMAIL_ISSUE = "Must be a valid e-mail address of at most 255 characters."
LONGEST_EMAIL = 255
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


def normal(typed: str) -> str:
    """Return an e-mail address as it would be stored; for what is none, something that nobody has."""
    try:
        return address_of(typed)
    except ValidationError:
        return "nobody " + typed[:200].lower()


def address_of(typed: str) -> str:
    """Return an e-mail address in the form in which it is stored; raise ValidationError."""
    with contextlib.suppress(EmailNotValidError):
        if len(typed) <= LONGEST_EMAIL:  # before it is normalised, which takes quadratic time
            found = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
            if len(found) <= LONGEST_EMAIL:
                return found
    raise ValidationError(("email", EMAIL_ISSUE))


def chosen(password: str, shop: Shop, *names: str | None) -> str:
    """Return the password if an account with these names and addresses may have it; raise ValidationError."""
    hints = [re.split("[@+]", name)[0] for name in names if name]
    shops = _plain(shop.name)
    holds_shop = len(shops) >= SHORTEST_HINT and shops in _plain(password)
    if holds_shop or not is_acceptable(password, *hints):
        raise ValidationError(("password", UNACCEPTABLE))
    return password


def unreserved(name: str, shop: Shop) -> str:
    """Return the name if it may be chosen; raise ValidationError."""
    if RESERVED.match(name) or _plain(name) == _plain(shop.name):
        raise ValidationError(("username", "Is reserved for the shop. Choose another one."))
    return name


def _plain(name: str) -> str:
    """Return a name as people tell it apart: Ada's Shop, adas_shop and AdasShop are one."""
    return re.sub(r"[\W_]", "", name).lower()
