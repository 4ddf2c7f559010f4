"""Whether the shop can work: its database answers, the schema is the one it needs, and every statement fits it.

What is judged is what runs: the migrations as they were at the start, and the statements as they are in use. What else
comes to lie in the folders (the files of the next version, say) changes nothing before it is loaded.
"""

import contextlib
import functools
import hashlib
import inspect
import logging
import mmap
import time

from core.cli import CommandError
from core.db.database import DatabaseError, Session
from core.db.drivers import connect
from core.db.migrations import State, applied
from core.db.mysql_errors import refusal
from core.db.session import prepare, problem_of

log = logging.getLogger("bodega.serve")

SOUND = slice(0, 1)  # of the shared memory: 1 once every statement fits
TOLD = slice(1, 9)  # the hash of what the log has been told
PAUSE = 1  # seconds between two looks at a shop that is not ready


class NotYet(Exception):
    """Nothing can be said of the statements, as the database is away or its schema is behind; says which."""


class Readiness:
    """Lets the server PREPARE every statement as soon as it can. A plugin: a handler that names `readiness` gets it.

    Made before the workers are forked, which share what it finds. `migrations`: those of the start.
    """

    name = "readiness"
    api = 2

    def __init__(self, url, timeout, statements, migrations):
        self.url = url
        self.timeout = timeout  # seconds, see `connect`
        self.statements = statements
        self.migrations = migrations
        self._shared = mmap.mmap(-1, 9)

    def apply(self, callback, route):
        """Wrap the routes whose handler names `readiness`."""
        names = inspect.signature(route.callback).parameters
        return functools.partial(callback, readiness=self) if "readiness" in names else callback

    @property
    def is_sound(self):
        """Whether every statement fits the schema; once they did, an edit that does not is not taken."""
        return self._shared[SOUND] == b"\1"

    def look(self):
        """Return whether every statement fits the schema; what speaks against it is logged, once."""
        if not self.is_sound:
            try:
                problems = self._problems()
            except NotYet as reason:
                self._tell(logging.WARNING, [str(reason)])
            else:
                self._tell(logging.ERROR, problems)
                self._shared[SOUND] = b"\0" if problems else b"\1"
        return self.is_sound

    def wait(self):
        """Look again and again, until all is well."""
        while not self.look():
            time.sleep(PAUSE)

    def replace(self, other):
        """Take the place of another one; raise CommandError where the statements do not fit, or nobody knows."""
        try:
            problems = self._problems()
        except NotYet as reason:
            if other.is_sound and self._texts() != other._texts():
                raise CommandError(f"The files of sql/ were edited, and cannot be checked now. {reason}") from None
            return
        if problems:
            raise CommandError("\n".join(problems))
        self._shared[SOUND] = b"\1"

    def _texts(self):
        return {statement.name: statement.text for statement in self.statements}

    def _tell(self, level, lines):
        """Log the lines, if the log has not been told the same by the last look of any worker."""
        told = hashlib.blake2b("\n".join(lines).encode(), digest_size=8).digest()
        if self._shared[TOLD] != told:
            self._shared[TOLD] = told
            for line in lines:
                log.log(level, line)

    def _problems(self):
        """Return a sentence for each statement that does not fit the schema; raise NotYet."""
        try:
            with contextlib.closing(connect(self.url, self.timeout)) as connection, connection.cursor() as cursor:
                state = State(self.migrations, applied(Session(cursor, self.statements)))
                if state.problem:
                    raise NotYet(state.problem)
                if state.pending:
                    names = ", ".join(migration.name for migration in state.pending)
                    until = "The shop answers 503 until you type: python3 server.py migrate"
                    raise NotYet(f"Migrations are pending: {names}. {until}")
                renewed = functools.partial(prepare, cursor)
                statements = [self.statements.get(name, renewed) for name in self._texts()]
                return [str(problem) for statement in statements if (problem := problem_of(cursor, statement))]
        except DatabaseError as error:
            away = "The shop starts, and answers 503 until it can be reached."
            raise NotYet(f"{refusal(self.url, error)} {away}") from None
