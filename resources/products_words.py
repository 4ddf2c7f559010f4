"""The words of the names of products on sale, which suggestions are found by: product_words and known_words.

Whoever adds a product, or changes its name or whether it is on sale, changes its words in the same transaction.
"""

import contextlib
from collections.abc import Iterator

from core.db.database import Row, Session
from core.json_text import dump

SHOWN = ("name", "is_active")  # what the words of a product depend on


@contextlib.contextmanager
def words_kept(db: Session, changes: list[tuple[Row, Row]]) -> Iterator[list[int]]:
    """Keep the words of names right while the block changes and adds products.

    `changes`: (before, after) of each product that it changes; they are locked. Gives a list, to which the block
    appends the ids of those that it adds.
    """
    ids = [old["id"] for old, new in changes if any(old[name] != new[name] for name in SHOWN)]
    if ids:
        db.run("products/remove_words", ids=dump(ids).decode())
    yield ids
    if ids:
        db.run("products/add_words", ids=dump(ids).decode())
        db.run("products/add_known_words", ids=dump(ids).decode())
