"""Migrations: the files, what is applied of them, and what is pending.

A migration is migrations/NNNN_name.up.sql and .down.sql, plain SQL that the mysql client runs too. DDL commits by
itself, so a file holds one statement where it can; a file that breaks off half-way stays recorded as begun
(finished_at is NULL), and no other migration runs before somebody has put that right.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from core.cli import CommandError
from core.config import ROOT
from core.db import effects
from core.db.drivers import DatabaseError, number
from core.db.session import Row, Session

FOLDER = ROOT / "migrations"
NAME = re.compile(r"(?P<version>[0-9]{4})_[a-z0-9_]+\.(?P<way>up|down)\.sql\Z")
NAMES = re.compile(rf"\b(TABLE|VIEW|TO)(?: IF(?: NOT)? EXISTS)? ({effects.NAME})", re.I)
NO_SUCH_TABLE = 1146
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


def relations(migrations: Iterable[Migration]) -> frozenset[str]:
    """Return the names of all that may be read: these tables and views, and the table of migrations."""
    texts = [TABLE, *(migration.up for migration in migrations)]
    return frozenset(name.strip("`") for text in texts for _, name in NAMES.findall(effects.outline(text)))


def applied(db: Session) -> list[Row]:
    """Return the rows of schema_migrations in their order; [] before the first migration."""
    try:
        return db.many("schema/migrations")
    except DatabaseError as error:
        if number(error) == NO_SUCH_TABLE:
            return []
        raise


class Move(NamedTuple):
    """One step of the schema: `way` is "up" or "down"."""

    way: str
    migration: Migration

    @property
    def text(self) -> str:
        """Return the SQL that it runs."""
        return self.migration.up if self.way == "up" else self.migration.down

    @property
    def file(self) -> str:
        """Return the path of its file, for people."""
        return f"migrations/{self.migration.name}.{self.way}.sql"

    @property
    def record(self) -> str:
        """Return what to type where it was done by hand."""
        version = self.migration.version
        if self.way == "up":
            return f"python3 server.py migrate baseline {version}"
        return f"DELETE FROM schema_migrations WHERE version = {version};"


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

    def moves(self, way: str = "up", to: int | None = None) -> list[Move]:
        """Return what is to be done, in order: what is pending, the newest one down, or all `to` a version.

        Raises CommandError where there is no such version (0: before the first), or something stands in the way.
        """
        if self.problem:
            raise CommandError(self.problem)
        done = [migration for migration in self.migrations if migration.version in self.rows]
        downs, ups = done[-1:] if way == "down" else [], self.pending if way == "up" else []
        if to is not None:
            if to not in {0, *(migration.version for migration in self.migrations)}:
                raise CommandError(f"There is no migration {to:04}. python3 server.py migrate status lists them.")
            downs, ups = [m for m in done if m.version > to], [m for m in self.pending if m.version <= to]
        if downs and self.unknown:
            newer = self.unknown[-1]["name"]
            raise CommandError(f"{newer} comes from a newer release; go back with that release's files.")
        return [Move("down", each) for each in reversed(downs)] + [Move("up", each) for each in ups]

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
