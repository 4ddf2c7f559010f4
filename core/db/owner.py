"""The database for commands: the login that may change the schema, and a sentence for what goes wrong."""

import contextlib
import functools
from collections.abc import Callable, Iterator

from core.cli import CommandError
from core.config import ROOT, Config
from core.database_url import DatabaseUrl
from core.db import migrations, rights
from core.db.database import Database, DatabaseError, Result, Session
from core.db.mysql_errors import refusal
from core.db.statements import Statements, require_sound
from core.errors import ApiError
from core.setup.embedded import borrowed

STATEMENT_TIMEOUT = 600  # seconds for one statement


@contextlib.contextmanager
def owner_url(config: Config) -> Iterator[DatabaseUrl]:
    """Give a command the login that may change the schema: DATABASE_URL's, or the embedded database's owner.

    What the database refuses inside becomes a CommandError.
    """
    with contextlib.ExitStack() as stack:
        url = config.database or stack.enter_context(borrowed(config.data_dir))
        stack.enter_context(explained(url))
        yield url


@contextlib.contextmanager
def explained(url: DatabaseUrl) -> Iterator[None]:
    """Turn a DatabaseError, or the ApiError for one, into a CommandError with a sentence for the terminal."""
    try:
        yield
    except ApiError as error:
        cause = error.__cause__
        raise CommandError(refusal(url, cause) if isinstance(cause, DatabaseError) else error.message) from error
    except DatabaseError as error:
        raise CommandError(refusal(url, error)) from error


@functools.cache
def _statements() -> Statements:
    statements = Statements(ROOT / "sql")
    require_sound(statements.problems)
    return statements


def least_rights(statements: Statements) -> rights.Rights:
    """Return what the account that serves needs for these statements; raise CommandError where that is not certain."""
    tables = migrations.relations(migrations.files())
    require_sound([*statements.problems, *rights.uncertain(statements, tables)])
    return rights.of(statements, tables)


def give_rights(url: DatabaseUrl, account: str, statements: Statements) -> None:
    """Give an account the least rights, as this owner; it keeps what it has. Raises CommandError."""
    with explained(url):
        rights.give(url, least_rights(statements), account)


def in_transaction(url: DatabaseUrl, work: Callable[[Session], Result]) -> Result:
    """Return what `work(db)` returns, committed; it may run again, and raises, as in `Database.transaction`."""
    quiet = Database(url, _statements(), 10, report=lambda *_: None)  # `explained` says it
    return quiet.transaction(work, STATEMENT_TIMEOUT)
