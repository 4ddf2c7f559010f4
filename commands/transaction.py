"""How a command runs statements of sql/: in a transaction on a connection of its own, which may take its time."""

import functools

from core.db.database import Session, connect
from core.db.statements import Statements, require_sound
from core.setup.system import ROOT

PATIENCE = 600  # seconds for one statement


@functools.cache
def _statements():
    statements = Statements(ROOT / "sql")
    require_sound(statements.problems)
    return statements


def in_transaction(url, work):
    """Return what `work(db)` returns, committed; roll back where it raises. Raises DatabaseError."""
    with connect(url, 10, patience=PATIENCE) as connection, connection.cursor() as cursor:
        result = work(Session(cursor, _statements()))
        connection.commit()
        return result
