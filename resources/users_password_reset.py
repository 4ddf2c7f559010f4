"""Accounts: a new password for whoever has forgotten the old one, by a token that is mailed.

The request writes one row of the outbox, whatever the address, and looks at no account: neither its answer nor its time
can tell whether there is one. The account is looked up, and the token made, when the mail is about to be sent: so the
token stands in the mail alone, and in the table as a keyed hash. The rules are those of OWASP ASVS 5 (6.3.8, 6.4.3).
"""

from collections.abc import Callable
from typing import Any

from bottle import request

from core import outbox
from core.app import app
from core.contract.email_address import EMAIL_ISSUE, address_of
from core.contract.forms import Problem
from core.contract.shapes import Shape, described, field
from core.contract.validation import Body
from core.db.database import Row, Session
from core.errors import ValidationError
from core.identity import audit
from core.identity.auth import PUBLIC, Tokens
from core.identity.limits import Limit
from core.identity.login_delays import LoginDelays
from core.identity.passwords import Passwords
from core.json_text import dump
from core.mails import declare
from core.shop import Shop
from resources.users_rules import EMAIL, PASSWORD, PASSWORD_CHANGED, notice, problems_of
from resources.users_sessions import ENDED, guess_of

TAG = "Accounts"
LIFETIME = 30 * 60  # seconds that a token lasts, from when it is mailed
MOST_OPEN = 3  # tokens of an account at once, and so mails in LIFETIME: who gets no further one has one that works
PAGE = "/password-reset#token="  # of the storefront; what stands behind # reaches no server and no log
KIND = "reset"  # of receivers: these wait in a queue of their own, and a flood of them holds up no other mail
BY_LINK = declare("password_reset", "shop", "username", "link", "expires_at")
BY_TOKEN = declare("password_reset_token", "shop", "username", "token", "expires_at")
INVALID = "Is not valid: it was used, is too old, or is not complete. Ask for a new one."

REQUEST = Body(email=described(EMAIL, "The e-mail address of the account.", required=True))
REQUESTED = Shape(
    "PasswordResetRequest",
    expires_in=field("integer", "How many seconds a token can be used after it was mailed.", LIFETIME),
)
CONFIRMATION = Body(
    token={
        "type": "string",
        "required": True,
        "minlength": 1,
        "maxlength": 100,
        "meta": {
            "issue": INVALID,
            "description": "The token of the mail.",
            "example": "pVz0d1yfK1mXyJ3b0Yc2J1l8b6gk9mUQ4yq6yQ0m3mE",
        },
    },
    password={**PASSWORD, "required": True},
)
REQUESTING = Limit("password-reset", "10/minute; 60/hour")
CONFIRMING = Limit("password-reset-confirm", "20/minute; 200/hour")


def problems_of_request(body: Row) -> list[Problem]:
    """Return what stands against an address: its form alone."""
    return [("email", EMAIL_ISSUE)] if "email" in body and address_of(body["email"]) is None else []


@app.post(
    "/api/users/password-reset",
    auth=PUBLIC,
    limit=REQUESTING,
    body=REQUEST,
    checks=problems_of_request,
    returns=REQUESTED,
    status=202,
    message="If an account has this address, a mail is on its way to it.",
)
def request_password_reset(db: Session, body: Row) -> Row:
    """Ask for a new password.

    Whatever the address, the answer is this one. If an account has it, a mail with a token goes there, by which
    `confirmPasswordReset` sets a new password, within 30 minutes. It gets at most three such mails in that time.
    """
    message = outbox.mail(str(address_of(body["email"])), "password_reset", {}, kind=KIND)
    db.run("outbox/add", messages=outbox.document(message))
    audit.note("password_reset_request")
    return {"expires_in": LIFETIME}


def problems_of_confirmation(db: Session, body: Row, shop: Shop, tokens: Tokens) -> list[Problem]:
    """Return what stands against a token and a password. That a token was used or has expired is not told apart."""
    found: list[Problem] = []
    account = db.one("password_resets/get", token_hash=tokens.hash(body["token"])) if "token" in body else None
    if "token" in body and account is None:
        audit.note("password_reset", outcome="failure", user_id="unknown")
        found = [("token", INVALID)]
    return found + problems_of(db, {name: body[name] for name in body.keys() & {"password"}}, shop, account)


@app.post(
    "/api/users/password-reset/confirm",
    auth=PUBLIC,
    limit=CONFIRMING,
    body=CONFIRMATION,
    checks=problems_of_confirmation,
    returns=ENDED,
    message="Password changed. Log in with it.",
)
def confirm_password_reset(
    db: Session, body: Row, *, passwords: Passwords, tokens: Tokens, delays: LoginDelays, shop: Shop
) -> Row:
    """Set a new password by the token of the mail.

    A token works once; it, and every other one of the account, is void afterwards. All logins of the account end, and
    its owner is told by mail. The answer says how many logins there were.
    """
    token_hash = tokens.hash(body["token"])
    account = db.one("password_resets/get", token_hash=token_hash)
    if account is None:  # another request has used it since it was checked
        raise ValidationError(("token", INVALID))
    id = request.environ["bodega.user_id"] = account["id"]  # for the log
    with passwords.budget(stranger=False):  # few have a token, and strangers who log in must not keep them out
        hashed = passwords.hash(body["password"])
    db.one("users/lock", id=id)
    if not db.run("password_resets/use", token_hash=token_hash):
        raise ValidationError(("token", INVALID))
    db.run("users/update", id=id, username=None, email=None, password_hash=hashed)
    ended = db.run("sessions/end_all", user_id=id, but=None)
    db.run("password_resets/void", user_id=id)
    db.run("outbox/add", messages=outbox.document(notice(PASSWORD_CHANGED, account, shop)))
    # Whoever reads the account's mail is its owner, as whoever knows its password: what was mistyped from here is
    # forgotten. The delays of the account and of the address stay: they are for guesses of others, and at others.
    for typed in (f"email {account['email']}", f"name {account['username'].lower()}", None):
        delays.login_succeeded(guess_of(id, typed))
    audit.note("password_reset", user_id=id)
    return {"ended": ended}


class ResetMails:
    """The outbox's channel for these requests: makes the token of an account, and mails it.

    `mails`: the channel of all mails; None where none can leave: then requests, which anybody may send, do not pile up
    in the outbox. `storefront`: its address, for the link; without it the mail has the bare token.

    Nothing is sent where there is no such account, where it has MOST_OPEN tokens that can be used, and where the
    request is older than LIFETIME: whoever waited for it has asked again. An attempt that is repeated makes another
    token, and the former one is void.
    """

    threads = 2

    def __init__(self, mails: outbox.Channel | None, tokens: Tokens, shop: Shop, storefront: str | None = None) -> None:
        self._mails = mails
        self._tokens = tokens
        self._shop = shop
        self._storefront = storefront

    def prepare(self, db: Session, delivery: outbox.Delivery) -> Callable[[], None] | None:
        """Return what sends the mail; or None where there is none to be sent."""
        if self._mails is None:
            raise outbox.Definite("No mail can leave: SMTP_URL is not set.")
        account = db.one(
            "password_resets/lock_account",
            email=delivery.address,
            requested_at=delivery.created_at,
            ttl=LIFETIME,
        )
        if account is None:
            return None
        token, token_hash = self._tokens.new()
        row = {"message_id": delivery.message_id, "user_id": account["id"], "token_hash": token_hash}
        if not db.run("password_resets/add", **row, ttl=LIFETIME, most=MOST_OPEN):
            return None
        template = BY_LINK if self._storefront else BY_TOKEN
        values: dict[str, Any] = {"shop": self._shop.name, "username": account["username"]}
        values |= {"link": f"{self._storefront}{PAGE}{token}"} if self._storefront else {"token": token}
        values["expires_at"] = f"{account['expires_at']:%Y-%m-%d %H:%M}"
        mail = delivery._replace(
            message_id=f"{delivery.message_id}.{delivery.attempt}",  # another mail, not a repeated one to be dropped
            address=account["email"],
            topic=template,
            payload=dump(values).decode(),
        )
        send = self._mails.prepare(db, mail)
        return send and (lambda: self._send(send, account["id"]))

    @staticmethod
    def _send(send: Callable[[], None], user_id: int) -> None:
        send()
        audit.write("password_reset_mail", user_id=user_id)
