"""How a command runs statements of sql/: in a transaction on a connection of its own, which may take its time."""

import functools

from core.database import Session, connect
from core.statements import Statements
from core.system import ROOT

PATIENCE = 600  # seconds for one statement


@functools.cache
def _statements():
    return Statements(ROOT / "sql")


def in_transaction(url, work):
    """Return what `work(db)` returns, committed; roll back where it raises. Raises DatabaseError."""
    with connect(url, 10, patience=PATIENCE) as connection, connection.cursor() as cursor:
        result = work(Session(cursor, _statements()))
        connection.commit()
        return result
