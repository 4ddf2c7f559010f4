"""Accounts: registering, logging in and out, and looking after one's own. Administrators reach every account."""

import re

from bottle import request, response
from email_validator import EmailNotValidError, validate_email

from core import audit
from core.app import app
from core.auth import LONGEST_PASSWORD, OWNER, PUBLIC, UNACCEPTABLE, USER, is_acceptable
from core.errors import DuplicateEmail, DuplicateUsername, InvalidCredentials, NotFound, ValidationError
from core.limits import Limit
from core.validation import Body, Query, Shape

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
CHANGED_USER = Body(username=USERNAME, email=EMAIL, password=PASSWORD)
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
TAKEN = (DuplicateUsername, DuplicateEmail)

WHERE = Query(everywhere={"type": "boolean", "default": False})

REGISTERING = Limit("register", "30/minute; 300/hour")
LOGGING_IN = Limit("login", "60/minute; 1000/hour")
CHANGING = Limit("account", "60/minute")


@app.post(
    "/api/users/register",
    auth=PUBLIC,
    limit=REGISTERING,
    body=NEW_USER,
    returns=ACCOUNT,
    raises=TAKEN,
    status=201,
    message="Account created.",
)
def register(db, body, passwords):
    """Create an account."""
    email, _ = address_of(body["email"]), chosen(body["password"])
    # The name is taken first and the hash made afterwards: of several at once for one name, the others wait for the
    # first and are told that it is taken, without a hash of theirs.
    id = db.add("users/add", username=body["username"], email=email, password_hash="*")  # noqa: S106 - no password
    with passwords.budget():
        hashed = passwords.hash(body["password"])
    db.run("users/update", id=id, username=None, email=None, password_hash=hashed)
    response.set_header("Location", f"/api/users/{id}")
    audit.note("register", user_id=id)
    return db.one("users/get", id=id)


@app.post(
    "/api/users/login",
    auth=PUBLIC,
    limit=LOGGING_IN,
    body=CREDENTIALS,
    returns=SESSION,
    raises=(InvalidCredentials,),
    message="Logged in.",
)
def login(db, body, passwords, tokens, limits):
    """Log in with a name or an e-mail address; the answer has the token, which is shown this once."""
    if ("username" in body) == ("email" in body):
        raise ValidationError(("username", "Send either username or email, with the password."))
    address = request.environ["bodega.address"]
    account = f"name {body['username'].lower()}" if "username" in body else f"email {normal(body['email'])}"
    with passwords.budget():  # before anything is asked of the database: a flood is turned away here
        limits.before_login(account, address)
        found = credentials(db, body)
        stored = found["password_hash"] if found else None
        if not passwords.verify(body["password"], stored):  # as slow for an unknown name
            limits.login_failed(account, address)
            audit.note("login", outcome="failure", user_id=found["id"] if found else "unknown")
            raise InvalidCredentials()
        renewed = passwords.hash(body["password"]) if passwords.is_outdated(stored) else stored
    if renewed != stored:
        db.run("users/rehash", id=found["id"], verified=stored, renewed=renewed)
    token, token_hash = tokens.new()
    if not db.run("sessions/add", token_hash=token_hash, user_id=found["id"], verified=renewed, ttl=tokens.ttl):
        audit.note("login", outcome="failure", user_id=found["id"])
        raise InvalidCredentials()  # the password was changed while this one was checked
    limits.login_succeeded(account, address)
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


@app.get("/api/users/me", auth=USER, returns=ACCOUNT, raises=(NotFound,), message="Account found.")
def me(db, user):
    """Show the account that is logged in."""
    return show(db, user["id"])


@app.get("/api/users/<id:id>", auth=OWNER, returns=ACCOUNT, message="Account found.")
def show(db, id):
    """Show an account: one's own, or any for an administrator."""
    account = db.one("users/get", id=id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


@app.put(
    "/api/users/<id:id>",
    auth=OWNER,
    limit=CHANGING,
    body=CHANGED_USER,
    returns=ACCOUNT,
    raises=TAKEN,
    message="Account changed.",
)
def update(db, id, body, user, passwords):
    """Change name, e-mail address or password. A new password ends every other session of the account."""
    if not body:
        raise ValidationError(("username", "Send at least one of username, email and password."))
    email = address_of(body["email"]) if "email" in body else None
    hashed = None
    if "password" in body:
        chosen(body["password"])
        show(db, id)  # no hash for an account that is not there
        with passwords.budget():
            hashed = passwords.hash(body["password"])
    db.run("users/update", id=id, username=body.get("username"), email=email, password_hash=hashed)
    account = show(db, id)
    if hashed:
        db.run("sessions/end_all", user_id=id, but=user["token"])
    audit.note("password_change" if hashed else "account_change", user_id=id, by=user["id"])
    return account


@app.delete("/api/users/<id:id>", auth=OWNER, message="Account deleted.")
def remove(db, id, user):
    """Delete an account and its sessions."""
    if not db.run("users/remove", id=id):
        raise NotFound("There is no such account.")
    audit.note("account_deletion", user_id=id, by=user["id"])


def credentials(db, body):
    """Return the account that a login names, with its hash, or None."""
    if "email" in body:
        return db.one("users/login_by_email", email=normal(body["email"]))
    if not re.match(USERNAME["regex"], body["username"]):
        return db.one("users/login_by_username", username="")  # as slow as one that could be there
    return db.one("users/login_by_username", username=body["username"])


def normal(typed):
    """Return an e-mail address as it would be stored; for what is none, something that nobody has."""
    try:
        return address_of(typed)
    except ValidationError:
        return "nobody " + typed[:200].lower()


def address_of(typed):
    """Return an e-mail address in the form in which it is stored; raise ValidationError."""
    if len(typed) > LONGEST_EMAIL:  # before it is normalised, which takes time by the square
        raise ValidationError(("email", EMAIL_ISSUE))
    try:
        found = validate_email(typed, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        raise ValidationError(("email", EMAIL_ISSUE)) from None
    if len(found) > LONGEST_EMAIL:
        raise ValidationError(("email", EMAIL_ISSUE))
    return found


def chosen(password):
    """Return a password that may be chosen; raise ValidationError."""
    if not is_acceptable(password):
        raise ValidationError(("password", UNACCEPTABLE))
    return password
