"""Migrations: what is applied, what is pending, and the way up and down.

A migration is migrations/NNNN_name.up.sql and .down.sql, plain SQL that the mysql client runs too. DDL commits by
itself, so a file holds one statement where it can; a file that breaks off half-way stays recorded as begun
(finished_at is NULL), and no other migration runs before somebody has put that right.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from core.cli import CommandError
from core.config import ROOT
from core.database_url import DatabaseUrl
from core.db import effects
from core.db.drivers import DatabaseError, connect, number
from core.db.mysql_errors import LOST
from core.db.session import Row, Session
from core.db.statements import Statements

FOLDER = ROOT / "migrations"
NAME = re.compile(r"(?P<version>[0-9]{4})_[a-z0-9_]+\.(?P<way>up|down)\.sql\Z")
NAMES = re.compile(rf"\b(TABLE|VIEW|TO)(?: IF(?: NOT)? EXISTS)? ({effects.NAME})", re.I)
NO_SUCH_TABLE = 1146
TAKES = re.compile(r"^-- takes: (.+)$", re.M)  # said before it begins: a line of a file that takes its time
LOCK_TIMEOUT = 120  # seconds that one `migrate` waits for another
LONGEST_STATEMENT = 24 * 3600  # seconds; an index on a large table takes its time
ALL_WORDS = "SET SESSION innodb_ft_enable_stopword = OFF"  # an index of words made in this session has them all
TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     INT          NOT NULL,
    name        VARCHAR(255) NOT NULL,
    checksum    CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    started_at  TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    finished_at TIMESTAMP    NULL DEFAULT NULL,
    PRIMARY KEY (version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci
"""


@dataclasses.dataclass(frozen=True)
class Migration:
    """Both directions of one change; `checksum` is the SHA-256 of the way up, in hexadecimal."""

    version: int
    name: str
    up: str
    down: str
    checksum: str


def files(folder: pathlib.Path = FOLDER) -> list[Migration]:
    """Read the folder and return its migrations in order; raise CommandError for a name or a number that is wrong."""
    ways: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = NAME.match(path.name)
        if not parts:
            raise CommandError(
                f"migrations/{path.name} should be called NNNN_name.up.sql or NNNN_name.down.sql. Rename it."
            )
        name = path.name.removesuffix(f".{parts['way']}.sql")
        try:
            ways.setdefault(name, {})[parts["way"]] = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise CommandError(f"migrations/{path.name} is not UTF-8. Save it as UTF-8.") from None
    found: list[Migration] = []
    for name, texts in sorted(ways.items()):
        for way in ("up", "down"):
            if way not in texts:
                raise CommandError(f"migrations/{name}.{way}.sql is missing. Write the other direction of {name}.")
        version = int(name[:4])
        if found and found[-1].version == version:
            raise CommandError(f"Two migrations have the number {name[:4]}: {found[-1].name} and {name}. Renumber one.")
        checksum = hashlib.sha256(texts["up"].encode()).hexdigest()
        found.append(Migration(version, name, texts["up"], texts["down"], checksum))
    return found


def tables(migrations: Iterable[Migration]) -> set[str]:
    """Return the names of the tables that these migrations create, or rename to, without views.

    A name too many does no harm: the server refuses a table that is not there.
    """
    found: set[str] = set()
    for migration in migrations:
        for kind, name in NAMES.findall(effects.outline(migration.up)):
            (found.discard if kind.upper() == "VIEW" else found.add)(name.strip("`"))
    return found


def applied(db: Session) -> list[Row]:
    """Return the rows of schema_migrations in their order; [] before the first migration."""
    try:
        return db.many("schema/migrations")
    except DatabaseError as error:
        if number(error) == NO_SUCH_TABLE:
            return []
        raise


class State:
    """The files beside what the database has seen.

    `pending`: migrations to apply. `problem`: a sentence on why nothing can be applied, or None. Versions that only the
    database knows are of a newer release, and no problem: it migrates first, while older ones still serve.
    """

    def __init__(self, migrations: list[Migration], rows: list[Row]) -> None:
        self.migrations = migrations
        self.rows = {row["version"]: row for row in rows}
        self.pending = [m for m in migrations if m.version not in self.rows]
        self.unknown = [row for row in rows if row["version"] not in {m.version for m in migrations}]
        self.problem = next(filter(None, map(self._problem, migrations)), None)

    def word(self, migration: Migration) -> str:
        """Return the state of one migration in a word."""
        row = self.rows.get(migration.version)
        if row is None:
            return "pending"
        if row["finished_at"] is None:
            return "half-applied"
        return "applied" if row["checksum"] == migration.checksum else "edited"

    def _problem(self, migration: Migration) -> str | None:
        name, version = migration.name, migration.version
        return {
            "half-applied": f"Migration {name} broke off half-way. Look at what of its statements is there. Then "
            f"either do by hand what is missing of {name}.up.sql and type: UPDATE schema_migrations SET "
            f"finished_at = NOW() WHERE version = {version}; or undo by hand what is there of it and type: "
            f"DELETE FROM schema_migrations WHERE version = {version};",
            "edited": f"Migration {name} was edited after it had been applied. Put the file back as it was and write a "
            "new migration. If the database is right as it is, type: UPDATE schema_migrations SET checksum = "
            f"'{migration.checksum}' WHERE version = {version};",
        }.get(self.word(migration))


class Migrator:
    """Applies migrations and takes them back, one `migrate` at a time; `say(line)` gets its progress.

    Its methods raise CommandError for what is wrong with a migration, and DatabaseError.
    """

    def __init__(self, url: DatabaseUrl, say: Callable[[str], None], folder: pathlib.Path = FOLDER) -> None:
        self.url = url
        self.say = say
        self.folder = folder

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Any]:
        """Give a cursor that may run scripts and holds the lock; wait LOCK_TIMEOUT for another `migrate`."""
        # Lock names are the server's, not the database's, and hold 64 characters at most.
        name = "bodega." + hashlib.sha256(self.url.database.encode()).hexdigest()[:32]
        connection = connect(self.url, 10, statement_timeout=LONGEST_STATEMENT, scripts=True)
        with contextlib.closing(connection), connection.cursor() as cursor:  # the lock ends with the connection
            cursor.execute("SELECT GET_LOCK(%s, 0) AS held", (name,))
            if not cursor.fetchone()["held"]:
                self.say("Another migration is running; waiting for it.")
                cursor.execute("SELECT GET_LOCK(%s, %s) AS held", (name, LOCK_TIMEOUT))
                if not cursor.fetchone()["held"]:
                    raise CommandError(
                        f"Another migration has been running for {LOCK_TIMEOUT} s. Try again when it is done."
                    )
            yield cursor

    def state(self) -> State:
        """Return the State; changes nothing."""
        with contextlib.closing(connect(self.url, 10)) as connection, connection.cursor() as cursor:
            return self._state(cursor)

    def _state(self, cursor: Any) -> State:
        return State(files(self.folder), applied(Session(cursor, Statements(ROOT / "sql"))))

    def up(self) -> list[str]:
        """Apply what is pending, in order; return the names."""
        with self._locked() as cursor:
            cursor.execute(TABLE)
            state = self._state(cursor)
            if state.problem:
                raise CommandError(state.problem)
            for migration in state.pending:
                takes = TAKES.search(migration.up)
                self.say(f"Applying {migration.name}" + (f", which takes {takes[1]}." if takes else "."))
                cursor.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                    (migration.version, migration.name, migration.checksum),
                )
                self._run(cursor, migration, "up")
                cursor.execute(
                    "UPDATE schema_migrations SET finished_at = CURRENT_TIMESTAMP WHERE version = %s",
                    (migration.version,),
                )
            return [migration.name for migration in state.pending]

    def down(self) -> str | None:
        """Take back the newest applied migration; return its name, or None where nothing is applied."""
        with self._locked() as cursor:
            state = self._state(cursor)
            if state.problem:
                raise CommandError(state.problem)
            if state.unknown:
                raise CommandError(
                    f"{state.unknown[-1]['name']} comes from a newer release; go back with that release's files."
                )
            done = [migration for migration in state.migrations if migration.version in state.rows]
            if not done:
                return None
            last = done[-1]
            self.say(f"Taking back {last.name}.")
            cursor.execute("UPDATE schema_migrations SET finished_at = NULL WHERE version = %s", (last.version,))
            self._run(cursor, last, "down")
            cursor.execute("DELETE FROM schema_migrations WHERE version = %s", (last.version,))
            return last.name

    def _run(self, cursor: Any, migration: Migration, way: str) -> None:
        """Run one file, whose statements the server parts; raise CommandError where one fails."""
        cursor.execute(ALL_WORDS)  # each time: a file may set it back, and any ALTER may rebuild an index
        done = 0
        try:
            cursor.execute(getattr(migration, way))
            done += 1
            while cursor.nextset():
                done += 1
        except DatabaseError as error:
            file = f"migrations/{migration.name}.{way}.sql"
            failed = f"{file}: statement {done + 1} failed: {error.args[-1]}."
            lost = number(error) in LOST  # then the server may have done it all the same
            if done == 0 and not lost and self._recorded_as_before(cursor, migration, way):
                raise CommandError(
                    f"{failed} Nothing was changed. Correct the file, then type: python3 server.py migrate {way}"
                ) from None
            begun = {"version": migration.version, "finished_at": None, "checksum": ""}
            raise CommandError(
                f"{failed} {done} statement(s) before it are done{', and it may be done too' if lost else ''}. "
                f"{State([migration], [begun]).problem}"
            ) from None

    def _recorded_as_before(self, cursor: Any, migration: Migration, way: str) -> bool:
        """Take back what was recorded when the file began, and return whether that worked."""
        undo = {
            "up": "DELETE FROM schema_migrations WHERE version = %s",
            "down": "UPDATE schema_migrations SET finished_at = CURRENT_TIMESTAMP WHERE version = %s",
        }
        try:
            cursor.execute(undo[way], (migration.version,))
        except DatabaseError:
            return False
        return True
