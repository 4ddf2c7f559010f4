"""The outbox: what the shop has told the world, or is about to. For administrators."""

from core.app import app
from core.contract.pagination import page_size
from core.contract.shapes import Shape, field
from core.contract.validation import Query
from core.db.database import Row, Session
from core.errors import Conflict, NotFound
from core.identity.auth import ADMIN

UNKNOWN = "There is no such message. What was delivered is removed after some days."
STATES = ["waiting", "delivered", "dead"]
LIST = Query(
    state={
        "type": "string",
        "allowed": STATES,
        "meta": {"description": "Only messages in this state. The dead ones were given up."},
    },
    topic={
        "type": "string",
        "maxlength": 40,
        "regex": r"[a-z_.]{1,40}\Z",
        "meta": {
            "issue": "Must be a topic: small letters, '.' and '_'.",
            "description": "Only messages of this topic: the name of a mail or of an event.",
            "example": "order_placed",
        },
    },
    receiver={
        "type": "string",
        "maxlength": 300,
        "meta": {
            "issue": "Must be a receiver, at most 300 characters: 'mail ada@example.com', 'webhook 7'.",
            "description": "Only messages for this receiver.",
            "example": "mail ada@example.com",
        },
    },
    after={
        "type": "integer",
        "min": 1,
        "max": 10**18 - 1,  # so many digits are read
        "meta": {"description": "The `next` of the page before: the page that follows it.", "example": 1042},
    },
    per_page=page_size("messages"),
)
MESSAGE = Shape(
    "OutboxMessage",
    id=field("integer", "The number of the message; later messages have higher ones.", 1043),
    message_id=field(
        "string",
        "What receivers know it by, however often it is sent: the Message-ID of a mail, the webhook-id of an event.",
        "msg_0f6b1c2d3e4f5a6b7c8d9e0f1a2b3c4d",
    ),
    receiver=field("string", "Whom it is for: a mail's address, or the number of a webhook.", "mail ada@example.com"),
    topic=field("string", "What it is: the name of a mail or of an event.", "order_placed"),
    state=field(
        "string",
        "Where it stands: it waits to be sent, perhaps again; it was delivered; or it was given up.",
        "dead",
        allowed=STATES,
    ),
    attempts=field("integer", "How often it was sent.", 3),
    due_at=field("datetime", "While it waits: when the next attempt is due.", "2026-01-31T12:00:05Z"),
    created_at=field("datetime", "When it was written.", "2026-01-31T12:00:00Z"),
    ended_at=field(
        "datetime",
        "When it was delivered or given up; null while it waits.",
        "2026-01-31T12:00:01Z",
        nullable=True,
    ),
    error=field(
        "string",
        "Why the last attempt failed, or null.",
        "The mail server refuses the address: 550 no such user",
        nullable=True,
    ),
)
PAGE = Shape(
    "OutboxPage",
    items=field("list", "The messages of this page, the newest first.", items=MESSAGE),
    pagination=field(
        "dict",
        "Where the next page is.",
        shape=Shape(
            "OutboxPagination",
            per_page=field("integer", "How many messages a full page has.", 20),
            has_next=field("boolean", "Whether a page follows.", True),
            next=field(
                "integer", "What to send as after for the next page; null on the last one.", 1024, nullable=True
            ),
        ),
    ),
)


@app.get("/api/outbox", auth=ADMIN, query=LIST, returns=PAGE, compress=True, message="Messages listed.")
def list_messages(db: Session, query: Row) -> Row:
    """List what the shop has told the world or is about to, the newest first.

    The mails and the events for webhooks, whether they wait, were delivered, or were given up (state=dead). What a
    message says is not told: that is for its receiver. What was delivered is removed after a week, what was given up
    after 90 days.
    """
    filters = {name: query.get(name) for name in ("state", "topic", "receiver", "after")}
    rows = db.many("outbox/list", **filters, limit=query["per_page"] + 1)
    items = rows[: query["per_page"]]
    following = items[-1]["id"] if len(rows) > len(items) else None
    pagination = {"per_page": query["per_page"], "has_next": following is not None, "next": following}
    return {"items": items, "pagination": pagination}


@app.post("/api/outbox/<id:id>/retry", auth=ADMIN, returns=MESSAGE, raises=(NotFound, Conflict), message="Message due.")
def retry_message(db: Session, id: int) -> Row:
    """Let a message that was given up be sent again.

    It is due at once, and the next of its receiver. One that is older than three days gets a single attempt.
    """
    retried = db.run("outbox/retry", id=id)
    found = db.one("outbox/get", id=id)
    if found is None:
        raise NotFound(UNKNOWN)
    if not retried:
        raise Conflict(f"Only a message that was given up can be sent again; this one is {found['state']}.")
    return {name: found[name] for name in MESSAGE.fields}
