"""E-mail addresses: which are valid, and the form in which they are stored and compared."""

import contextlib

from email_validator import EmailNotValidError, validate_email

EMAIL_ISSUE = "Must be a valid e-mail address of at most 255 characters."
LONGEST_EMAIL = 255
ENCODED = "=?"  # begins an encoded word (RFC 2047): some mail servers decode it, and send to another address


def address_of(typed: str) -> str | None:
    """Return an e-mail address in the form in which it is stored; None for what is none."""
    with contextlib.suppress(EmailNotValidError):
        if len(typed) <= LONGEST_EMAIL and ENCODED not in typed:  # before it is normalised, which takes quadratic time
            found = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
            if len(found) <= LONGEST_EMAIL:
                return found
    return None


def wire_form(stored: str) -> str | None:
    """Return a stored address as mail servers know it: its domain in ASCII (xn--…); None for what is no address.

    Its first part may hold letters beyond ASCII; for those, servers need SMTPUTF8 (RFC 6531).
    """
    with contextlib.suppress(EmailNotValidError):
        if len(stored) <= LONGEST_EMAIL and ENCODED not in stored:
            found = validate_email(stored, check_deliverability=False, test_environment=True)
            return f"{found.local_part}@{found.ascii_domain}"
    return None
