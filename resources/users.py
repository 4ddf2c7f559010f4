"""Accounts: registering, logging in and out, and looking after one's own. Administrators reach every account."""

import contextlib
import re

from bottle import request, response
from email_validator import EmailNotValidError, validate_email

from core import errors
from core.app import app
from core.contract.shapes import Shape
from core.contract.validation import Body, OptionalBody, Query
from core.identity import audit
from core.identity.auth import (
    ADMIN,
    INVALID_TOKEN,
    LONGEST_PASSWORD,
    OWNER,
    PUBLIC,
    UNACCEPTABLE,
    USER,
    is_acceptable,
    is_reserved,
)
from core.identity.limits import Guess, Limit

TAG = "Accounts"
USERNAME = {
    "type": "string",
    "maxlength": 50,
    "regex": r"[A-Za-z0-9_]{3,50}\Z",
    "meta": {"issue": "Must be 3 to 50 characters of A-Z, a-z, 0-9 and _.", "example": "alice"},
}
EMAIL_ISSUE = "Must be a valid e-mail address of at most 255 characters."
LONGEST_EMAIL = 255
EMAIL = {"type": "string", "maxlength": LONGEST_EMAIL, "meta": {"issue": EMAIL_ISSUE, "example": "alice@example.com"}}
PASSWORD = {
    "type": "string",
    "minlength": 8,
    "maxlength": LONGEST_PASSWORD,
    "meta": {"issue": UNACCEPTABLE, "example": "Blue-Door-42"},
}
TYPED = {  # at a login any text is just wrong
    "type": "string",
    "minlength": 1,
    "maxlength": 1000,
    "meta": {"issue": "Must be text of 1 to 1000 characters."},
}

NEW_USER = Body(
    username={**USERNAME, "required": True}, email={**EMAIL, "required": True}, password={**PASSWORD, "required": True}
)
OWN_ISSUE = "Must be the password of whoever is logged in; needed where that login is older than REAUTH_AFTER."
CURRENT_PASSWORD = {**TYPED, "meta": {**PASSWORD["meta"], "issue": OWN_ISSUE}}
CHANGED_USER = Body(username=USERNAME, email=EMAIL, password=PASSWORD, current_password=CURRENT_PASSWORD)
REMOVED_USER = OptionalBody(current_password=CURRENT_PASSWORD)
CREDENTIALS = Body(  # the example is the one of NEW_USER, by name: a request has either name or e-mail address
    username={**TYPED, "meta": {**TYPED["meta"], "example": USERNAME["meta"]["example"]}},
    email=TYPED,
    password={**TYPED, "required": True, "meta": {**TYPED["meta"], "example": PASSWORD["meta"]["example"]}},
)
ACCOUNT = Shape(
    "Account",
    id={"type": "integer", "meta": {"example": 1}},
    username={"type": "string", "meta": {"example": "alice"}},
    email={"type": "string", "meta": {"example": "alice@example.com"}},
    role={"type": "string", "allowed": ["customer", "admin"], "meta": {"example": "customer"}},
    created_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
    updated_at={"type": "datetime", "meta": {"example": "2026-01-31T12:00:00Z"}},
)
SESSION = Shape(
    "Session",
    user={"type": "dict", "shape": ACCOUNT},
    token={"type": "string", "meta": {"example": "pVz0d1yfK1mXyJ3b0Yc2J1l8b6gk9mUQ4yq6yQ0m3mE"}},
    expires_at={"type": "datetime", "meta": {"example": "2026-02-07T12:00:00Z"}},
)
ENDED = Shape("EndedSessions", ended={"type": "integer", "meta": {"example": 3}})
TAKEN = {"uq_users_username": errors.DuplicateUsername, "uq_users_email": errors.DuplicateEmail}

WHERE = Query(everywhere={"type": "boolean", "default": False})

REGISTERING = Limit("register", "30/minute; 300/hour")
LOGGING_IN = Limit("login", "60/minute; 1000/hour")
CHANGING = Limit("account", "60/minute; 120/hour")  # by the hour, as it tells which names and addresses are taken


@app.post(
    "/api/users/register",
    auth=PUBLIC,
    limit=REGISTERING,
    body=NEW_USER,
    returns=ACCOUNT,
    clashes=TAKEN,
    status=201,
    message="Account created.",
)
def register(db, body, passwords):
    """Create an account."""
    name, email = unreserved(body["username"]), address_of(body["email"])
    chosen(body["password"], name, email)
    # The hash is made before the row: whoever waited for the row would wait for the hash of another.
    if db.one("users/login_by_username", username=name):
        raise errors.DuplicateUsername()
    if db.one("users/login_by_email", email=email):
        raise errors.DuplicateEmail()
    with passwords.budget():
        hashed = passwords.hash(body["password"])
    id = db.add("users/add", username=name, email=email, password_hash=hashed)
    response.set_header("Location", f"/api/users/{id}")
    audit.note("register", user_id=id)
    return db.one("users/get", id=id)


@app.post(
    "/api/users/login",
    auth=PUBLIC,
    limit=LOGGING_IN,
    body=CREDENTIALS,
    returns=SESSION,
    raises=(errors.InvalidCredentials,),
    message="Logged in.",
)
def login(db, body, passwords, tokens, limits):
    """Log in with a name or an e-mail address; the answer has the token, which is shown this once."""
    if ("username" in body) == ("email" in body):
        raise errors.ValidationError(("username", "Send either username or email, with the password."))
    typed, found = credentials(db, body)
    stored = found["password_hash"] if found else None
    guess = guess_of(found["id"], typed) if found else Guess(typed, typed, request.environ["bodega.address"])
    if found:
        request.environ["bodega.user_id"] = found["id"]  # for the log
    with passwords.budget(stranger=not limits.knows(guess)):
        limits.before_login(guess)
        if not passwords.verify(body["password"], stored):  # as slow for an unknown name
            limits.login_failed(guess)
            audit.note("login", outcome="failure", user_id=found["id"] if found else "unknown")
            raise errors.InvalidCredentials()
        renewed = passwords.hash(body["password"]) if passwords.is_outdated(stored) else stored
    if renewed != stored:
        db.run("users/rehash", id=found["id"], verified=stored, renewed=renewed)
    token, token_hash = tokens.new()
    checked = {"user_id": found["id"], "email": found["email"], "verified": renewed}
    if not db.run("sessions/add", token_hash=token_hash, ttl=tokens.ttl, **checked):
        audit.note("login", outcome="failure", user_id=found["id"])
        raise errors.InvalidCredentials()  # the account was changed while the password was checked
    limits.login_succeeded(guess)
    audit.note("login", user_id=found["id"])
    expires = db.one("sessions/get", token_hash=token_hash)["expires_at"]
    return {"user": db.one("users/get", id=found["id"]), "token": token, "expires_at": expires}


@app.post("/api/users/logout", auth=USER, query=WHERE, message="Logged out.")
def logout(db, user, query):
    """End this session, or with everywhere=true all sessions of the account."""
    if query["everywhere"]:
        db.run("sessions/end_all", user_id=user["id"], but=None)
    else:
        db.run("sessions/end", token_hash=user["token"])
    audit.note("logout", user_id=user["id"])


@app.get("/api/users/me", auth=USER, returns=ACCOUNT, raises=(errors.NotFound,), message="Account found.")
def get_own_account(db, user):
    """Show the account that is logged in."""
    return get_account(db, user["id"])


@app.get("/api/users/<id:id>", auth=OWNER, returns=ACCOUNT, message="Account found.")
def get_account(db, id):
    """Show an account: one's own, or any for an administrator."""
    account = db.one("users/get", id=id)
    if account is None:
        raise errors.NotFound("There is no such account.")
    return account


@app.put(
    "/api/users/<id:id>",
    auth=OWNER,
    limit=CHANGING,
    body=CHANGED_USER,
    returns=ACCOUNT,
    raises=(errors.ReauthenticationRequired,),
    clashes=TAKEN,
    message="Account changed.",
)
def update_account(db, id, body, user, *, passwords, tokens, limits):
    """Change name, e-mail address or password. A new password or address ends every other session of the account.

    Where the login is older than REAUTH_AFTER (15 minutes, unless the shop says otherwise), a new password or address
    needs current_password too: the one of whoever is logged in, an administrator's own at another's account.
    """
    if not body.keys() - {"current_password"}:
        raise errors.ValidationError(("username", "Send at least one of username, email and password."))
    name, password = body.get("username"), body.get("password")
    email = address_of(body["email"]) if "email" in body else None
    present = get_account(db, id)
    if email == present["email"]:
        email = None
    if name and name.lower() != present["username"].lower():
        unreserved(name)
    if password:
        chosen(password, present["username"], present["email"], name, email)
    sensitive = password or email
    verified = reauthenticated(db, body, user, passwords=passwords, tokens=tokens, limits=limits) if sensitive else None
    hashed = None
    if password:
        with passwords.budget(stranger=not limits.knows(guess_of(user["id"]))):
            hashed = passwords.hash(password)
    locked(db, id, user, verified)
    db.run("users/update", id=id, username=name, email=email, password_hash=hashed)
    if sensitive:
        db.run("sessions/end_all", user_id=id, but=user["token"])
    audit.note("password_change" if hashed else "account_change", user_id=id, by=user["id"])
    return get_account(db, id)


@app.delete(
    "/api/users/<id:id>",
    auth=OWNER,
    body=REMOVED_USER,
    raises=(errors.ReauthenticationRequired, errors.RateLimited),
    message="Account deleted.",
)
def delete_account(db, id, body, user, *, passwords, tokens, limits):
    """Delete an account and its sessions.

    An old login needs current_password, as at a change; otherwise no body is needed.
    """
    get_account(db, id)
    verified = reauthenticated(db, body, user, passwords=passwords, tokens=tokens, limits=limits)
    locked(db, id, user, verified)
    db.run("users/remove", id=id)
    audit.note("account_deletion", user_id=id, by=user["id"])


@app.delete("/api/users/<id:id>/sessions", auth=ADMIN, returns=ENDED, message="Sessions ended.")
def end_sessions(db, id, user):
    """End every session of an account: whoever uses it has to log in again. The answer says how many there were."""
    get_account(db, id)
    ended = db.run("sessions/end_all", user_id=id, but=None)
    audit.note("sessions_end", user_id=id, by=user["id"])
    return {"ended": ended}


def reauthenticated(db, body, user, *, passwords, tokens, limits):
    """Return the hash that current_password was checked against, or None where it was neither needed nor sent.

    Raises ReauthenticationRequired. A wrong one counts as a failed login; else it could be guessed past the limits.
    """
    if "current_password" not in body:
        if user["logged_in_for"] >= tokens.reauth_after:
            raise errors.ReauthenticationRequired()
        return None
    account = db.one("users/login_by_id", id=user["id"])
    if account is None:
        raise errors.AuthenticationRequired(INVALID_TOKEN)
    guess = guess_of(user["id"])
    with passwords.budget(stranger=not limits.knows(guess)):
        limits.before_login(guess)
        if not passwords.verify(body["current_password"], account["password_hash"]):
            limits.login_failed(guess)
            audit.note("reauthentication", outcome="failure", user_id=user["id"])
            raise errors.ReauthenticationRequired("The current_password is wrong. Send the one that you log in with.")
    limits.login_succeeded(guess)
    return account["password_hash"]


def locked(db, id, user, verified):
    """Lock an account for a change by `user`; raise if the account, his session or his password is gone by now.

    A change that came first has ended the sessions of all others. Whoever was overtaken by it, while hashes were made,
    must not undo it with what was good before.
    """
    account = db.one("users/lock", id=id)
    if account is None:
        raise errors.NotFound("There is no such account.")
    if not db.one("sessions/get", token_hash=user["token"]):
        raise errors.AuthenticationRequired(INVALID_TOKEN)
    if verified and id == user["id"] and account["password_hash"] != verified:
        raise errors.ReauthenticationRequired("The password was changed meanwhile. Send the new one, too.")


def credentials(db, body):
    """Return what a login names, in one form, and the account that it is, with its hash, or None."""
    if "email" in body:
        email = normal(body["email"])
        return f"email {email}", db.one("users/login_by_email", email=email)
    name = body["username"]
    asked = name if re.match(USERNAME["regex"], name) else ""  # as slow as one that could be there
    return f"name {name.lower()}", db.one("users/login_by_username", username=asked)


def guess_of(id, typed=None):
    """Return a Guess at an account's password, from where this request comes."""
    account = f"account {id}"
    return Guess(typed or account, account, request.environ["bodega.address"])


def normal(typed):
    """Return an e-mail address as it would be stored; for what is none, something that nobody has."""
    try:
        return address_of(typed)
    except errors.ValidationError:
        return "nobody " + typed[:200].lower()


def address_of(typed):
    """Return an e-mail address in the form in which it is stored; raise ValidationError."""
    with contextlib.suppress(EmailNotValidError):
        if len(typed) <= LONGEST_EMAIL:  # before it is normalised, which takes time by the square
            found = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
            if len(found) <= LONGEST_EMAIL:
                return found
    raise errors.ValidationError(("email", EMAIL_ISSUE))


def chosen(password, *names):
    """Return a password that may be chosen by whoever has these names and addresses; raise ValidationError."""
    hints = [re.split("[@+]", name)[0] for name in names if name]
    if not is_acceptable(password, *hints):
        raise errors.ValidationError(("password", UNACCEPTABLE))
    return password


def unreserved(name):
    """Return a name that may be chosen; raise ValidationError."""
    if is_reserved(name):
        raise errors.ValidationError(("username", "Is reserved for the shop. Choose another one."))
    return name
