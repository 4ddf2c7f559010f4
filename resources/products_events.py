"""Webhooks hear of each change of a product by an administrator: the event product.changed.

It is written in the transaction of the change. What orders take and give back is not told here: orders have events of
their own.
"""

from collections.abc import Iterable

from core import outbox
from core.db.database import Row, Session

TOPIC = "product.changed"
TOLD = ("id", "name", "price", "image_url", "category_id", "stock_quantity", "is_active")  # a description is long


def tell(db: Session, product: Row, action: str) -> None:
    """Tell of one product, as it is now. `action`: created, changed, withdrawn or stock_changed.

    It takes one statement, whether there are webhooks or not.
    """
    db.run("outbox/add", messages=outbox.document(event(product, action)))


def tell_many(db: Session, products: Iterable[tuple[Row, str]]) -> None:
    """Tell of the products of a part of an import.

    They are made into messages only where a webhook wants them: without one it takes a statement of 0.1 ms.
    """
    if db.one("webhooks/wanting", topic=TOPIC):
        db.run("outbox/add", messages=outbox.document(*(event(product, action) for product, action in products)))


def event(product: Row, action: str) -> outbox.Message:
    """Return the message for those who want it."""
    return outbox.event(TOPIC, {"action": action, **{name: product[name] for name in TOLD}})
