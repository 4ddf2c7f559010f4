"""The database for commands: the login that may change the schema, and a sentence for whatever goes wrong."""

import contextlib
import functools

from core.cli import CommandError
from core.config import ROOT
from core.db.database import UNFINISHED, DatabaseError, Session, connect, number, refusal
from core.db.statements import Statements, require_sound
from core.errors import ApiError
from core.setup.embedded import borrowed

STATEMENT_TIMEOUT = 600  # seconds for one statement


@contextlib.contextmanager
def owner_url(config):
    """Give a command the login that may change the schema: DATABASE_URL's, or the embedded database's owner.

    What the database refuses inside becomes a CommandError.
    """
    with contextlib.ExitStack() as stack:
        url = config.database or stack.enter_context(borrowed(config.data_dir)).owner
        stack.enter_context(explained(url))
        yield url


@contextlib.contextmanager
def explained(url):
    """Turn a DatabaseError, or what clients would be told of one, into a CommandError for the person who typed."""
    try:
        yield
    except ApiError as error:
        cause = error.__cause__
        told = _sentence(url, cause) if isinstance(cause, DatabaseError) else error.message
        raise CommandError(told) from error
    except DatabaseError as error:
        raise CommandError(_sentence(url, error)) from error


def _sentence(url, error):
    if number(error) in UNFINISHED:
        return "The tables are not there yet, or not all of them. Type: python3 server.py migrate"
    return refusal(url, error)


@functools.cache
def _statements():
    statements = Statements(ROOT / "sql")
    require_sound(statements.problems)
    return statements


def in_transaction(url, work):
    """Return what `work(db)` returns, committed; roll back where it raises. Raises DatabaseError."""
    with connect(url, 10, statement_timeout=STATEMENT_TIMEOUT) as connection, connection.cursor() as cursor:
        result = work(Session(cursor, _statements()))
        connection.commit()
        return result
