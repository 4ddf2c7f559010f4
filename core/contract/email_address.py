"""E-mail addresses: which are valid, and the form in which they are stored and compared."""

import contextlib

from email_validator import EmailNotValidError, validate_email

EMAIL_ISSUE = "Must be a valid e-mail address of at most 255 characters."
LONGEST_EMAIL = 255


def address_of(typed: str) -> str | None:
    """Return an e-mail address in the form in which it is stored; None for what is none."""
    with contextlib.suppress(EmailNotValidError):
        if len(typed) <= LONGEST_EMAIL:  # before it is normalised, which takes quadratic time
            found = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
            if len(found) <= LONGEST_EMAIL:
                return found
    return None
