"""Accounts: registering, logging in and out, and looking after one's own. Administrators reach every account."""

from bottle import response

from core import errors, outbox
from core.app import app
from core.contract.email_address import address_of
from core.contract.forms import Problem
from core.contract.shapes import Shape, field
from core.contract.validation import Body, OptionalBody
from core.db.database import Row, Session
from core.identity import audit
from core.identity.auth import ADMIN, INVALID_TOKEN, OWNER, PUBLIC, USER, Tokens
from core.identity.limits import Limit
from core.identity.login_delays import LoginDelays
from core.identity.passwords import Passwords
from core.shop import Shop
from resources.users_rules import (
    ACCOUNT,
    EMAIL,
    EMAIL_CHANGED,
    PASSWORD,
    PASSWORD_CHANGED,
    USERNAME,
    notice,
    problems_of,
)
from resources.users_sessions import CURRENT_PASSWORD, ENDED, guess_of, reauthenticated

TAG = "Accounts"
NEW_USER = Body(
    username={**USERNAME, "required": True}, email={**EMAIL, "required": True}, password={**PASSWORD, "required": True}
)
CHANGED_USER = Body(username=USERNAME, email=EMAIL, password=PASSWORD, current_password=CURRENT_PASSWORD)
REMOVED_USER = OptionalBody(current_password=CURRENT_PASSWORD)
DELETED = Shape("DeletedAccount", deleted=field("integer", "The number of the account that is gone.", 1))
TAKEN = {"uq_users_username": errors.DuplicateUsername, "uq_users_email": errors.DuplicateEmail}

REGISTERING = Limit("register", "30/minute; 300/hour")
CHANGING = Limit("account", "60/minute; 120/hour")  # by the hour, as it tells which names and addresses are taken


def problems_of_new(db: Session, body: Row, shop: Shop) -> list[Problem]:
    """Return what stands against a new account.

    It is looked for before the password's hash is made, so that nobody waits for a row while another makes a hash.
    """
    return problems_of(db, body, shop)


@app.post(
    "/api/users/register",
    auth=PUBLIC,
    limit=REGISTERING,
    body=NEW_USER,
    checks=problems_of_new,
    returns=ACCOUNT,
    clashes=TAKEN,
    status=201,
    sends=("Location",),
    message="Account created.",
)
def register(db: Session, body: Row, passwords: Passwords, *, shop: Shop) -> Row:
    """Create an account.

    It is a customer's, and not logged in yet: `login` gives a token. Name and e-mail address must be new.
    """
    with passwords.budget():
        hashed = passwords.hash(body["password"])
    id = db.add("users/add", username=body["username"], email=address_of(body["email"]), password_hash=hashed)
    response.set_header("Location", f"/api/users/{id}")
    audit.note("register", user_id=id)
    return db.one("users/get", id=id)


@app.get("/api/users/me", auth=USER, returns=ACCOUNT, raises=(errors.NotFound,), message="Account found.")
def get_own_account(db: Session, user: Row) -> Row:
    """Show the account that is logged in.

    A storefront asks here whose token it has.
    """
    return get_account(db, user["id"])


@app.get("/api/users/<id:id>", auth=OWNER, returns=ACCOUNT, message="Account found.")
def get_account(db: Session, id: int) -> Row:
    """Show an account.

    It is one's own; an administrator sees any.
    """
    account = db.one("users/get", id=id)
    if account is None:
        raise errors.NotFound("There is no such account.")
    return account


def problems_of_change(db: Session, id: int, body: Row, shop: Shop) -> list[Problem]:
    """Return what stands against these new fields of an account."""
    return problems_of(db, body, shop, get_account(db, id))


@app.put(
    "/api/users/<id:id>",
    auth=OWNER,
    limit=CHANGING,
    body=CHANGED_USER,
    checks=problems_of_change,
    returns=ACCOUNT,
    raises=(errors.ReauthenticationRequired,),
    clashes=TAKEN,
    message="Account changed.",
)
def update_account(
    db: Session, id: int, body: Row, user: Row, *, passwords: Passwords, tokens: Tokens, delays: LoginDelays, shop: Shop
) -> Row:
    """Change name, e-mail address or password.

    What is not sent stays as it is. A new password or address ends every other login of the account, and voids the
    tokens that were mailed for a new password. Where the login is older than REAUTH_AFTER (15 minutes, unless the shop
    says otherwise), it needs current_password too: the one of whoever is logged in, an administrator's own at another's
    account. The owner is told by mail, at the address that was there before.
    """
    if not body.keys() - {"current_password"}:
        raise errors.ValidationError(("username", "Send at least one of username, email and password."))
    name, password = body.get("username"), body.get("password")
    email = address_of(body["email"]) if "email" in body else None
    before = get_account(db, id)
    if email == before["email"]:
        email = None
    sensitive = password or email
    verified = reauthenticated(db, body, user, passwords=passwords, tokens=tokens, delays=delays) if sensitive else None
    hashed = None
    if password:
        with passwords.budget(stranger=not delays.knows(guess_of(user["id"]))):
            hashed = passwords.hash(password)
    lock_account(db, id, user, verified)
    db.run("users/update", id=id, username=name, email=email, password_hash=hashed)
    if sensitive:
        db.run("sessions/end_all", user_id=id, but=user["token"])
        db.run("password_resets/void", user_id=id)
        told = [(PASSWORD_CHANGED, password), (EMAIL_CHANGED, email)]
        notices = [notice(mail, before, shop) for mail, changed in told if changed]
        db.run("outbox/add", messages=outbox.document(*notices))
    audit.note("password_change" if hashed else "account_change", user_id=id, by=user["id"])
    return get_account(db, id)


@app.delete(
    "/api/users/<id:id>",
    auth=OWNER,
    body=REMOVED_USER,
    raises=(errors.ReauthenticationRequired, errors.RateLimited),
    returns=DELETED,
    message="Account deleted.",
)
def delete_account(
    db: Session, id: int, body: Row, user: Row, *, passwords: Passwords, tokens: Tokens, delays: LoginDelays
) -> Row:
    """Delete an account and its logins.

    Its orders stay, without the person: no e-mail address, no shipping address, no note. The mails that it got are
    forgotten, too. An old login needs current_password, as at a change; otherwise no body is needed.
    """
    email = get_account(db, id)["email"]
    verified = reauthenticated(db, body, user, passwords=passwords, tokens=tokens, delays=delays)
    lock_account(db, id, user, verified)
    db.run("orders/forget", user_id=id)  # an order that is being placed waits for the lock, and then finds no account
    db.run("outbox/forget", email=email)
    db.run("users/remove", id=id)
    audit.note("account_deletion", user_id=id, by=user["id"])
    return {"deleted": id}


@app.delete("/api/users/<id:id>/sessions", auth=ADMIN, returns=ENDED, message="Sessions ended.")
def end_sessions(db: Session, id: int, user: Row) -> Row:
    """End every login of an account.

    Whoever uses it has to log in again. The answer says how many there were.
    """
    get_account(db, id)
    ended = db.run("sessions/end_all", user_id=id, but=None)
    audit.note("sessions_end", user_id=id, by=user["id"])
    return {"ended": ended}


def lock_account(db: Session, id: int, user: Row, verified: str | None) -> None:
    """Lock an account for a change by `user`; raise if the account, his session or his password is gone by now.

    Hashes take time, and another change may come first: it has ended the other sessions. A request that it overtook
    must not undo it with a token or a password that was valid before.
    """
    account = db.one("users/lock", id=id)
    if account is None:
        raise errors.NotFound("There is no such account.")
    if not db.one("sessions/get", token_hash=user["token"]):
        raise errors.AuthenticationRequired(INVALID_TOKEN)
    if verified and id == user["id"] and account["password_hash"] != verified:
        raise errors.ReauthenticationRequired("The password was changed meanwhile. Send the new one, too.")
