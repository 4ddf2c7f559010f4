"""How a command runs statements of sql/: in a transaction on a connection of its own, which may take its time."""

import functools

from core.database import Session, connect
from core.statements import Statements
from core.system import ROOT, Stop

PATIENCE = 600  # seconds for one statement


@functools.cache
def _statements():
    statements = Statements(ROOT / "sql")
    if statements.problems:
        raise Stop("\n".join(map(str, statements.problems)) + "\nMend them; python3 server.py check looks again.")
    return statements


def in_transaction(url, work):
    """Return what `work(db)` returns, committed; roll back where it raises. Raises DatabaseError."""
    with connect(url, 10, patience=PATIENCE) as connection, connection.cursor() as cursor:
        result = work(Session(cursor, _statements()))
        connection.commit()
        return result
