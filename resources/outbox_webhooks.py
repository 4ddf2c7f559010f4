"""Webhooks: which addresses are told of what happens in the shop, and of what. For administrators."""

import json
import secrets
from typing import Any

from bottle import response

from core import outbox
from core.app import app
from core.contract import fields
from core.contract.forms import Problem
from core.contract.shapes import Shape, described, field
from core.contract.validation import Body, Changes
from core.db.database import Row, Session
from core.errors import Conflict, NotFound
from core.identity import audit
from core.identity.auth import ADMIN
from core.json_text import dump
from resources.outbox_webhooks_channel import MOST, Webhooks
from resources.outbox_webhooks_url import FORM, LONGEST, target_of

TAG = "Webhooks"
TOPICS = ["order.placed", "order.paid", "order.canceled", "order.refunded", "order.fulfilled", "product.changed"]
SALT_BYTES = 16
UNKNOWN = "There is no such webhook."
FULL = f"There are {MOST} webhooks, as many as there may be. Delete one that is not needed."
URL = {
    "type": "string",
    "maxlength": LONGEST,
    "meta": {
        "issue": FORM,
        "description": "Where the events are sent: an https address with a public host, and the port 443, 80, or one "
        "from 1024. With the setting WEBHOOKS_PRIVATE also http, and hosts of a private network.",
        "example": "https://erp.example/hooks/shop",
    },
}
WANTED = {
    "type": "list",
    "minlength": 1,
    "maxlength": len(TOPICS),
    "schema": {"type": "string", "allowed": TOPICS},
    "meta": {
        "issue": f"Must be a list of at least one of {', '.join(TOPICS)}.",
        "description": "The events that are sent there.",
        "example": ["order.paid", "order.fulfilled"],
    },
}
ACTIVE = described(fields.FLAG, "Whether events are sent there. What waits when it is turned off waits on.")
NEW_WEBHOOK = Body(url={**URL, "required": True}, topics={**WANTED, "required": True})
CHANGED_WEBHOOK = Changes(url=URL, topics=WANTED, is_active=ACTIVE)
WEBHOOK_FIELDS: dict[str, dict[str, Any]] = {
    "id": field("integer", "The webhook's number. In the outbox its receiver is called `webhook 7`.", 7),
    "url": field("string", "Where the events are sent.", "https://erp.example/hooks/shop"),
    "topics": field(
        "list",
        "The events that are sent there.",
        items={"type": "string", "allowed": TOPICS, "meta": {"example": "order.paid"}},
    ),
    "is_active": field("boolean", "Whether they are. The answer 410 from there turns it off.", True),
    "created_at": field("datetime", "When it was added.", "2026-01-31T12:00:00Z"),
    "updated_at": field("datetime", "When it was changed last.", "2026-01-31T12:00:00Z"),
}
WEBHOOK = Shape("Webhook", **WEBHOOK_FIELDS)
WITH_SECRET = Shape(
    "WebhookWithSecret",
    **WEBHOOK_FIELDS,
    secret=field(
        "string",
        "What the receiver checks the signatures with. It is shown this once.",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0kGqR3h1nEE=",
    ),
)
SENT = Shape(
    "WebhookTest",
    message_id=field("string", "The webhook-id that it has, and its id in the outbox.", "msg_" + "5f" * 16),
)
DELETED = Shape("DeletedWebhook", deleted=field("integer", "The number of the webhook that is gone.", 7))


def problems_of(body: Row, webhooks: Webhooks) -> list[Problem]:
    """Return what stands against an address."""
    try:
        if "url" in body:
            target_of(body["url"], webhooks.private)
    except ValueError as error:
        return [("url", str(error))]
    return []


@app.post(
    "/api/webhooks",
    auth=ADMIN,
    body=NEW_WEBHOOK,
    checks=problems_of,
    returns=WITH_SECRET,
    raises=(Conflict,),
    status=201,
    sends=("Location",),
    message="Webhook added.",
)
def create_webhook(db: Session, body: Row, user: Row, webhooks: Webhooks) -> Row:
    """Add a webhook: an address that is told of events.

    The answer holds the secret that signs them, this once. A shop has 20 webhooks at the most. The name of the host is
    looked up whenever something is sent.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    id = db.add("webhooks/add", url=body["url"], topics=stored(body["topics"]), salt=salt)
    if db.one("webhooks/count_before", id=id)["earlier"] >= MOST:
        raise Conflict(FULL)
    audit.note("webhook_creation", user_id=user["id"])
    response.set_header("Location", f"/api/webhooks/{id}")
    return shown(existing(db, id)) | {"secret": webhooks.secret(salt)}


@app.get("/api/webhooks", auth=ADMIN, returns=WEBHOOK.many, compress=True, message="Webhooks listed.")
def list_webhooks(db: Session) -> list[Row]:
    """List the webhooks, the oldest first.

    What is sent to one, or could not be, is in the outbox.
    """
    return [shown(webhook) for webhook in db.many("webhooks/list")]


@app.get("/api/webhooks/<id:id>", auth=ADMIN, returns=WEBHOOK, compress=True, message="Webhook found.")
def get_webhook(db: Session, id: int) -> Row:
    """Show one webhook, without its secret."""
    return shown(existing(db, id))


@app.put(
    "/api/webhooks/<id:id>",
    auth=ADMIN,
    body=CHANGED_WEBHOOK,
    checks=problems_of,
    returns=WEBHOOK,
    compress=True,
    message="Webhook changed.",
)
def update_webhook(db: Session, id: int, body: Row, user: Row, webhooks: Webhooks) -> Row:
    """Change the fields of a webhook that are sent.

    What waits for it goes to the new address, and the first of it is tried at once. While is_active is false it gets no
    new events, and what waited before waits on, for three days at the most.
    """
    before = db.one("webhooks/lock", id=id)
    if before is None:
        raise NotFound(UNKNOWN)
    topics = stored(body["topics"]) if "topics" in body else before["topics"]
    db.run("webhooks/update", id=id, **{**before, **body, "topics": topics})
    db.run("webhooks/hurry", id=id)
    audit.note("webhook_change", user_id=user["id"])
    return shown(existing(db, id))


@app.post(
    "/api/webhooks/<id:id>/secret",
    auth=ADMIN,
    returns=WITH_SECRET,
    message="The webhook has a new secret.",
)
def renew_webhook_secret(db: Session, id: int, user: Row, webhooks: Webhooks) -> Row:
    """Give a webhook a new secret; the old one signs nothing any more.

    The answer holds it, this once. Messages are signed when they are sent, so those that wait get signatures of the
    new secret. What the receiver refuses until it knows the new one is sent again later: nothing is lost.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    if not db.run("webhooks/renew", id=id, salt=salt):
        raise NotFound(UNKNOWN)
    audit.note("webhook_secret_change", user_id=user["id"])
    return shown(existing(db, id)) | {"secret": webhooks.secret(salt)}


@app.post(
    "/api/webhooks/<id:id>/test",
    auth=ADMIN,
    returns=SENT,
    raises=(Conflict,),
    status=202,
    compress=True,
    message="A test event is on its way.",
)
def test_webhook(db: Session, id: int) -> Row:
    """Send a webhook the event `webhook.test`.

    It goes the way of all others, behind those that wait. `listOutbox` tells by its id how it fared.
    """
    if not existing(db, id)["is_active"]:
        raise Conflict("This webhook is off. Turn it on first: is_active.")
    message_id, _, topic, payload = outbox.event("webhook.test", {"webhook": id})
    db.run("outbox/add", messages=outbox.document((message_id, f"webhook {id}", topic, payload)))
    return {"message_id": message_id}


@app.delete("/api/webhooks/<id:id>", auth=ADMIN, returns=DELETED, message="Webhook deleted.")
def delete_webhook(db: Session, id: int, user: Row) -> Row:
    """Delete a webhook. What waits for it goes too."""
    if not db.run("webhooks/remove", id=id):
        raise NotFound(UNKNOWN)
    db.run("webhooks/remove_messages", id=id)  # more than that goes when its turn has come
    audit.note("webhook_deletion", user_id=user["id"])
    return {"deleted": id}


def existing(db: Session, id: int) -> Row:
    """Return a row of webhooks/get; raise NotFound."""
    webhook = db.one("webhooks/get", id=id)
    if webhook is None:
        raise NotFound(UNKNOWN)
    return webhook


def shown(webhook: Row) -> Row:
    """Return a row as it is answered."""
    return {**{name: webhook[name] for name in WEBHOOK_FIELDS}, "topics": json.loads(webhook["topics"])}


def stored(topics: list[str]) -> str:
    """Return topics as they are stored: in one order, each once."""
    return dump([topic for topic in TOPICS if topic in topics]).decode()
