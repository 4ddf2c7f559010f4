"""Runs migrations, one `migrate` at a time."""

import contextlib
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.cli import CommandError
from core.config import ROOT
from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect, number
from core.db.migrations import FOLDER, TABLE, Migration, Move, State, applied, files
from core.db.mysql_errors import LOST
from core.db.session import Session
from core.db.statements import Statements

TAKES = re.compile(r"^-- takes: (.+)$", re.M)  # said before it begins: a line of a file that takes its time
LOCK_TIMEOUT = 120  # seconds that one `migrate` waits for another
LONGEST_STATEMENT = 24 * 3600  # seconds; an index on a large table takes its time
ALL_WORDS = "SET SESSION innodb_ft_enable_stopword = OFF"  # an index of words made in this session has them all


class Migrator:
    """Applies migrations and takes them back, one `migrate` at a time; `say(line)` gets its progress.

    Its methods raise CommandError for what is wrong with a migration, and DatabaseError.
    """

    def __init__(self, url: DatabaseUrl, say: Callable[[str], None], folder: pathlib.Path = FOLDER) -> None:
        self.url = url
        self.say = say
        self.folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[Any]:
        """Give a cursor that may run scripts and holds the lock; wait LOCK_TIMEOUT for another `migrate`."""
        # Lock names are the server's, not the database's, and hold 64 characters at most.
        name = "bodega." + hashlib.sha256(self.url.database.encode()).hexdigest()[:32]
        connection = connect(self.url, 10, statement_timeout=LONGEST_STATEMENT, scripts=True)
        with contextlib.closing(connection), connection.cursor() as cursor:  # after an error it ends the lock
            cursor.execute("SELECT GET_LOCK(%s, 0) AS held", (name,))
            if not cursor.fetchone()["held"]:
                self.say("Another migration is running; waiting for it.")
                cursor.execute("SELECT GET_LOCK(%s, %s) AS held", (name, LOCK_TIMEOUT))
                if not cursor.fetchone()["held"]:
                    raise CommandError(
                        f"Another migration has been running for {LOCK_TIMEOUT} s. Try again when it is done."
                    )
            yield cursor
            cursor.execute("SELECT RELEASE_LOCK(%s)", (name,))  # at once; a server may notice the end later

    def state(self) -> State:
        """Return the State; changes nothing."""
        with contextlib.closing(connect(self.url, 10)) as connection, connection.cursor() as cursor:
            return self.read(cursor)

    def read(self, cursor: Any) -> State:
        """Return the State that this cursor sees."""
        return State(files(self.folder), applied(Session(cursor, Statements(ROOT / "sql"))))

    def up(self) -> list[str]:
        """Apply what is pending, in order; return the names."""
        return [move.migration.name for move in self.go("up")]

    def down(self) -> str | None:
        """Take back the newest applied migration; return its name, or None where nothing is applied."""
        return next((move.migration.name for move in self.go("down")), None)

    def go(self, way: str, to: int | None = None, texts: Mapping[Move, str] | None = None) -> list[Move]:
        """Do what `State.moves` says; return it. `texts`: SQL to run in place of that of a file."""
        with self.locked() as cursor:
            moves = self.read(cursor).moves(way, to)
            if moves:
                cursor.execute(TABLE)
            for move in moves:
                text = (texts or {}).get(move, move.text)
                (self._apply if move.way == "up" else self._take_back)(cursor, move, text)
            return moves

    def _apply(self, cursor: Any, move: Move, text: str) -> None:
        migration = move.migration
        takes = TAKES.search(migration.up)
        self.say(f"Applying {migration.name}" + (f", which takes {takes[1]}." if takes else "."))
        self.record(cursor, migration)
        self._run(cursor, move, text)
        self.finish(cursor, migration)

    def _take_back(self, cursor: Any, move: Move, text: str) -> None:
        migration = move.migration
        self.say(f"Taking back {migration.name}.")
        cursor.execute("UPDATE schema_migrations SET finished_at = NULL WHERE version = %s", (migration.version,))
        self._run(cursor, move, text)
        cursor.execute("DELETE FROM schema_migrations WHERE version = %s", (migration.version,))

    def record(self, cursor: Any, migration: Migration) -> None:
        """Record that a migration was begun."""
        cursor.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )

    def finish(self, cursor: Any, migration: Migration) -> None:
        """Record that a migration that was begun is done."""
        cursor.execute(
            "UPDATE schema_migrations SET finished_at = CURRENT_TIMESTAMP WHERE version = %s", (migration.version,)
        )

    def _run(self, cursor: Any, move: Move, text: str) -> None:
        """Run one file, whose statements the server parts; raise CommandError where one fails."""
        cursor.execute(ALL_WORDS)  # each time: a file may set it back, and any ALTER may rebuild an index
        done = 0
        try:
            cursor.execute(text)
            done += 1
            while cursor.nextset():
                done += 1
        except DatabaseError as error:
            failed = f"{move.file}: statement {done + 1} failed: {error.args[-1]}."
            lost = number(error) in LOST  # then the server may have done it all the same
            if done == 0 and not lost and self._recorded_as_before(cursor, move):
                raise CommandError(
                    f"{failed} Nothing was changed. Correct the file, then type: python3 server.py migrate {move.way}"
                ) from None
            begun = {"version": move.migration.version, "finished_at": None, "checksum": ""}
            raise CommandError(
                f"{failed} {done} statement(s) before it are done{', and it may be done too' if lost else ''}. "
                f"{State([move.migration], [begun]).problem}"
            ) from None

    def _recorded_as_before(self, cursor: Any, move: Move) -> bool:
        """Take back what was recorded when the file began, and return whether that worked."""
        undo = {
            "up": "DELETE FROM schema_migrations WHERE version = %s",
            "down": "UPDATE schema_migrations SET finished_at = CURRENT_TIMESTAMP WHERE version = %s",
        }
        try:
            cursor.execute(undo[move.way], (move.migration.version,))
        except DatabaseError:
            return False
        return True
