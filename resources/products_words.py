"""The words of products on sale: of names, for suggestions (product_words, known_words); and of all text, the zones
that have them, so that search skips the others (word_zones).

Whoever adds a product, or changes what these depend on, changes its words in the same transaction.
"""

import contextlib
from collections.abc import Iterator

from core.db.database import Row, Session
from core.json_text import dump

SHOWN = ("name", "is_active")  # what the words of a name depend on
ZONED = ("name", "is_active", "description", "price", "category_id")  # what the zones depend on


@contextlib.contextmanager
def words_kept(db: Session, changes: list[tuple[Row, Row]]) -> Iterator[list[int]]:
    """Keep the words of names right while the block changes and adds products.

    `changes`: (before, after) of each product that it changes; they are locked. Gives a list, to which the block
    appends the ids of those that it adds.
    """
    ids, moved = ([old["id"] for old, new in changes if _differ(old, new, names)] for names in (SHOWN, ZONED))
    before = len(ids)
    if ids:
        db.run("products/remove_words", ids=dump(ids).decode())
    yield ids
    moved += ids[before:]
    if ids:
        db.run("products/add_words", ids=dump(ids).decode())
        db.run("products/add_known_words", ids=dump(ids).decode())
    if moved:
        db.run("products/add_name_zones", ids=dump(moved).decode())
        db.run("products/add_zones", ids=dump(moved).decode())


def _differ(old: Row, new: Row, names: tuple[str, ...]) -> bool:
    return any(old[name] != new[name] for name in names)
