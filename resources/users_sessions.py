"""Accounts: logging in and out, and the logins that there are."""

import re
from collections.abc import Callable
from typing import Any

from bottle import request

from core import errors
from core.app import app
from core.contract import fields
from core.contract.shapes import Shape, described, field
from core.contract.validation import Body, Query
from core.db.database import Row, Session
from core.db.replica import WRITER
from core.identity import audit
from core.identity.auth import INVALID_TOKEN, PUBLIC, USER, Tokens
from core.identity.limits import Limit
from core.identity.login_delays import Guess, LoginDelays
from core.identity.passwords import Passwords
from core.shop import Shop
from resources.users_rules import ACCOUNT, EMAIL, PASSWORD, TYPED, USERNAME, normal

TAG = "Accounts"
OWN_ISSUE = "Must be the password of whoever is logged in; needed where that login is older than REAUTH_AFTER."
CURRENT_PASSWORD = described(
    {**TYPED, "meta": {**PASSWORD["meta"], "issue": OWN_ISSUE}},
    "The password of whoever is logged in; needed where that login is older than 15 minutes, or what the shop has set.",
)


def typed_in(example: str, description: str) -> dict[str, Any]:
    """Return the rules of what is typed at a login. The example is the one of a new account."""
    return {**TYPED, "meta": {**TYPED["meta"], "example": example, "description": description}}


CREDENTIALS = Body(
    username=typed_in(USERNAME["meta"]["example"], "The name of the account, in any case."),
    email=typed_in(EMAIL["meta"]["example"], "The e-mail address of the account, instead of its name."),
    password={**typed_in(PASSWORD["meta"]["example"], "The password of the account."), "required": True},
    session_id=fields.session_id(
        "Must be the Session-ID of a cart: 1 to 255 characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'.",
        "The cart that was filled before the login: it is merged into the account's own cart.",
    ),
).with_either("username", "email")
EXPIRES_AT = field("datetime", "When the login ends at the latest, however much it is used.", "2026-02-07T12:00:00Z")
IDLE_EXPIRES_AT = field(
    "datetime", "When it ends if it is not used until then; each use puts that off.", "2026-02-01T12:00:00Z"
)
SESSION = Shape(
    "Session",
    user=field("dict", "The account that is logged in now.", shape=ACCOUNT),
    token=field(
        "string",
        "What later requests send as `Authorization: Bearer …`. It is shown this once.",
        "pVz0d1yfK1mXyJ3b0Yc2J1l8b6gk9mUQ4yq6yQ0m3mE",
    ),
    expires_at=EXPIRES_AT,
    idle_expires_at=IDLE_EXPIRES_AT,
    cart=field("dict", "With session_id: the account's cart after the merge.", refers="Cart", required=False),
    adjustments=field(
        "list",
        "With session_id: what was cut at the merge, because it cannot be had.",
        items={"type": "dict", "refers": "CartAdjustment"},
        required=False,
    ),
)
LOGIN = Shape(
    "Login",
    id=field("integer", "The number of the login, by which `endOwnSession` ends it.", 7),
    created_at=field("datetime", "When it was.", "2026-01-31T12:00:00Z"),
    last_used_at=field("datetime", "When it was used last, to five minutes.", "2026-01-31T12:00:00Z"),
    expires_at=EXPIRES_AT,
    idle_expires_at=IDLE_EXPIRES_AT,
    address=field(
        "string",
        "The address that it came from; of IPv6 the network, /64. Null where it was not recorded.",
        "203.0.113.9",
        nullable=True,
    ),
    is_current=field("boolean", "Whether it is the login that asks.", True),
)
ENDED = Shape("EndedSessions", ended=field("integer", "How many logins were ended.", 1))
WHERE = Query(
    everywhere={
        "type": "boolean",
        "default": False,
        "meta": {"description": "With true, every login of the account ends, on all devices."},
    }
)

LONGEST_ADDRESS = 45  # characters: an IPv4 address in an IPv6 one
MOST_LISTED = 100
LOGGING_IN = Limit("login", "60/minute; 1000/hour")


@app.post(
    "/api/users/login",
    auth=PUBLIC,
    limit=LOGGING_IN,
    body=CREDENTIALS,
    returns=SESSION,
    raises=(errors.InvalidCredentials,),
    message="Logged in.",
)
def login(
    db: Session,
    body: Row,
    passwords: Passwords,
    tokens: Tokens,
    delays: LoginDelays,
    *,
    shop: Shop,
    merge_carts: Callable[..., Row],
) -> Row:
    """Log in with a name or an e-mail address.

    The answer has the token, which is shown this once. A wrong name and a wrong password are answered alike. With
    session_id, the cart of that guest is merged into the account's own, which the answer then has as well.
    """
    typed, found = credentials(db, body)
    stored = found["password_hash"] if found else None
    guess = guess_of(found["id"], typed) if found else Guess(typed, typed, request.environ["bodega.address"])
    if found:
        request.environ["bodega.user_id"] = found["id"]  # for the log
    with passwords.budget(stranger=not delays.knows(guess)):
        delays.before_login(guess)
        if not passwords.verify(body["password"], stored) or stored is None:  # as slow for an unknown name
            delays.login_failed(guess)
            audit.note("login", outcome="failure", user_id=found["id"] if found else "unknown")
            raise errors.InvalidCredentials()
        renewed = passwords.hash(body["password"]) if passwords.is_outdated(stored) else stored
    if renewed != stored:
        db.run("users/rehash", id=found["id"], verified=stored, renewed=renewed)
    token, token_hash = tokens.new()
    checked = {"user_id": found["id"], "email": found["email"], "verified": renewed}
    address = request.environ["bodega.address"][:LONGEST_ADDRESS]
    if not db.run("sessions/add", token_hash=token_hash, ttl=tokens.ttl, address=address, **checked):
        audit.note("login", outcome="failure", user_id=found["id"])
        raise errors.InvalidCredentials()  # the account was changed while the password was checked
    delays.login_succeeded(guess)
    audit.note("login", user_id=found["id"])
    ends = db.one("sessions/ends", token_hash=token_hash, idle=tokens.idle)
    merged = merge_carts(db, body["session_id"], found, shop) if "session_id" in body else {}
    return {"user": db.one("users/get", id=found["id"]), "token": token, **ends, **merged}


@app.post("/api/users/logout", auth=USER, query=WHERE, returns=ENDED, message="Logged out.")
def logout(db: Session, user: Row, query: Row) -> Row:
    """Log out.

    This token is dead at once; with everywhere=true all tokens of the account are.
    """
    if query["everywhere"]:
        ended = db.run("sessions/end_all", user_id=user["id"], but=None)
    else:
        ended = db.run("sessions/end", token_hash=user["token"])
    audit.note("logout", user_id=user["id"])
    return {"ended": ended}


@app.get("/api/users/me/sessions", auth=USER, returns=LOGIN.many, compress=True, message="Logins listed.")
def list_own_sessions(db: Session, user: Row, tokens: Tokens) -> list[Row]:
    """List the logins of one's own account.

    They are those that have not ended, the newest first, and at most 100. None shows its token.
    """
    rows = db.many("sessions/list", user_id=user["id"], token_hash=user["token"], idle=tokens.idle, limit=MOST_LISTED)
    return [{**row, "is_current": bool(row["is_current"])} for row in rows]


@app.delete("/api/users/me/sessions/<id:id>", auth=USER, returns=ENDED, message="Login ended.")
def end_own_session(db: Session, id: int, user: Row) -> Row:
    """End one login of one's own account.

    Its token is dead at once. The login that asks may end itself, as `logout` does.
    """
    if not db.run("sessions/end_own", id=id, user_id=user["id"]):
        raise errors.NotFound("Your account has no such login.")
    audit.note("session_end", user_id=user["id"])
    return {"ended": 1}


def find_user(db: Session, token_hash: str, tokens: Tokens) -> Row | None:
    """Return the account of a session that lasts, and note that it is used; None where there is none."""
    found = db.one("sessions/current", token_hash=token_hash, idle=tokens.idle)
    if found and found["unused_for"] >= tokens.grain:
        db.run("sessions/touch", token_hash=token_hash)
    if found:
        request.environ[WRITER] = token_hash, found.pop("changes")
    return found


def reauthenticated(
    db: Session, body: Row, user: Row, *, passwords: Passwords, tokens: Tokens, delays: LoginDelays
) -> str | None:
    """Return the hash that current_password was checked against, or None where it was neither needed nor sent.

    Raises ReauthenticationRequired. A wrong one counts as a failed login; else it could be guessed past the delays.
    """
    if "current_password" not in body:
        if user["logged_in_for"] >= tokens.reauth_after:
            raise errors.ReauthenticationRequired()
        return None
    account = db.one("users/login_by_id", id=user["id"])
    if account is None:
        raise errors.AuthenticationRequired(INVALID_TOKEN)
    guess = guess_of(user["id"])
    with passwords.budget(stranger=not delays.knows(guess)):
        delays.before_login(guess)
        if not passwords.verify(body["current_password"], account["password_hash"]):
            delays.login_failed(guess)
            audit.note("reauthentication", outcome="failure", user_id=user["id"])
            raise errors.ReauthenticationRequired("The current_password is wrong. Send the one that you log in with.")
    delays.login_succeeded(guess)
    return account["password_hash"]


def credentials(db: Session, body: Row) -> tuple[str, Any]:
    """Return what a login names, in one form, and the account that it is, with its hash, or None."""
    if "email" in body:
        email = normal(body["email"])
        return f"email {email}", db.one("users/login_by_email", email=email)
    name = body["username"]
    asked = name if re.match(USERNAME["regex"], name) else ""  # as slow as one that could be there
    return f"name {name.lower()}", db.one("users/login_by_username", username=asked)


def guess_of(id: int, typed: str | None = None) -> Guess:
    """Return a Guess at an account's password, from where this request comes."""
    account = f"account {id}"
    return Guess(typed or account, account, request.environ["bodega.address"])
