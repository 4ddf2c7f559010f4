"""Whether the shop can work: its database answers, the schema is the one it needs, and every statement fits it.

It checks what runs: the migrations of the start, and the statements in use. Files that come into the folders later
(those of the next version, say) change nothing before they are loaded.
"""

import contextlib
import functools
import hashlib
import inspect
import logging
import mmap
import time
from collections.abc import Callable
from typing import Any

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect_to_check
from core.db.migrations import Migration, State, applied
from core.db.mysql_errors import refusal
from core.db.rights import for_owner
from core.db.session import Session, problem_of
from core.db.statements import Statements

log = logging.getLogger("bodega.serve")

SOUND = slice(0, 1)  # of the shared memory: 1 once every statement fits
LOGGED = slice(1, 9)  # the hash of what was logged last
PAUSE = 1  # seconds between two looks at a shop that is not ready


class NotYet(Exception):
    """The statements cannot be checked: the database cannot be reached, or its schema is behind; says which."""


class Readiness:
    """Lets the server PREPARE every statement as soon as it can. A plugin: a handler that names `readiness` gets it.

    Made before the workers are forked; they share what it finds. `migrations`: those of the start. `timeout`: seconds,
    see drivers.connect.
    """

    name = "readiness"
    api = 2

    def __init__(self, url: DatabaseUrl, timeout: float, statements: Statements, migrations: list[Migration]) -> None:
        self.url = url
        self.timeout = timeout
        self.statements = statements
        self.migrations = migrations
        self._shared = mmap.mmap(-1, 9)

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap the routes whose handler names `readiness`."""
        names = inspect.signature(route.callback).parameters
        return functools.partial(callback, readiness=self) if "readiness" in names else callback

    @property
    def is_sound(self) -> bool:
        """Whether every statement fits the schema. From then on, an edit that does not fit is not taken."""
        return self._shared[SOUND] == b"\1"

    def look(self) -> bool:
        """Return whether every statement fits the schema; log why not, once."""
        if not self.is_sound:
            try:
                problems = self._problems()
            except NotYet as reason:
                self._log_once(logging.WARNING, [str(reason)])
            else:
                self._log_once(logging.ERROR, problems)
                self._shared[SOUND] = b"\0" if problems else b"\1"
        return self.is_sound

    def wait(self) -> None:
        """Look again and again, until every statement fits."""
        while not self.look():
            time.sleep(PAUSE)

    def replace(self, other: "Readiness") -> None:
        """Take the place of another one; raise CommandError if new statements do not fit, or cannot be checked."""
        try:
            problems = self._problems()
        except NotYet as reason:
            if other.is_sound and self._texts() != other._texts():
                raise CommandError(f"The files of sql/ were edited, and cannot be checked now. {reason}") from None
            return
        if problems:
            raise CommandError("\n".join(problems))
        self._shared[SOUND] = b"\1"

    def _texts(self) -> dict[str, str]:
        return {statement.name: statement.text for statement in self.statements}

    def _log_once(self, level: int, lines: list[str]) -> None:
        """Log the lines, unless the last look of any worker has logged the same."""
        digest = hashlib.blake2b("\n".join(lines).encode(), digest_size=8).digest()
        if self._shared[LOGGED] != digest:
            self._shared[LOGGED] = digest
            for line in lines:
                log.log(level, line)

    def _problems(self) -> list[str]:
        """Return a sentence for each statement that does not fit the schema; raise NotYet."""
        try:
            with (
                contextlib.closing(connect_to_check(self.url, self.timeout)) as connection,
                connection.cursor() as cursor,
            ):
                state = State(self.migrations, applied(Session(cursor, self.statements)))
                if state.problem:
                    raise NotYet(state.problem)
                if state.pending:
                    names = ", ".join(migration.name for migration in state.pending)
                    until = "The shop answers 503 until you type: python3 server.py migrate"
                    raise NotYet(f"Migrations are pending: {names}. {until}")
                check = functools.partial(problem_of, connection)
                statements = [self.statements.get(name, check) for name in self._texts()]
                # What only the owner's commands run, this account may not even prepare; `check` does that.
                mine = [statement for statement in statements if not for_owner(statement.header.used_by)]
                return [str(problem) for problem in map(check, mine) if problem]
        except DatabaseError as error:
            away = "The shop starts, and answers 503 until it can be reached."
            raise NotYet(f"{refusal(self.url, error)} {away}") from None
