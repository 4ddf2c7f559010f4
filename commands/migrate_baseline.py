"""Whether a database has what its migrations make: both are asked of the same server, and compared line by line."""

import re
from collections.abc import Iterable
from typing import Any

from commands.migrate_scratch import scratch, tables_of
from commands.migrate_text import kind, parts
from core.cli import CommandError
from core.db import migrations
from core.db.drivers import DatabaseError
from core.db.migrations import TABLE, Migration
from core.db.migrator import ALL_WORDS, Migrator

LATER = re.compile(r" AUTO_INCREMENT=\d+")  # the number that the next row gets
SAID_OTHERWISE = re.compile(  # names as tools for online changes leave them, what follows anyway, a client's charset
    r"(?<=KEY `)_+|(?<=CONSTRAINT `)_+|CONSTRAINT `\w+` (?=CHECK)| CHARACTER SET \w+(?= COLLATE)|\b_[a-z]\w*(?=')"
)
OPTIONS = re.compile(r"ENGINE=\w+|DEFAULT CHARSET=\w+|COLLATE=\w+")  # of a table; all others are the operator's
INDEX = re.compile(r"KEY `")  # one that is neither unique nor primary, which more may be there of
KEYS = (
    "SELECT column_name AS name FROM information_schema.key_column_usage "
    "WHERE table_schema = DATABASE() AND table_name = %s AND constraint_name = 'PRIMARY' ORDER BY ordinal_position"
)


def baseline(migrator: Migrator, to: int | None) -> tuple[list[str], list[str]]:
    """Record migrations up to a version (None: all) as applied, without running them, where nothing differs.

    Return (the names of those recorded, what differs as `differences` says it). Raises CommandError and DatabaseError.
    """
    with migrator.locked() as live:
        state = migrator.read(live)
        todo = [move.migration for move in state.moves(to=to) if move.way == "up"]
        if not todo:
            return [], []
        upto = [migration for migration in state.migrations if to is None or migration.version <= to]
        with scratch(migrator.url) as made:
            for migration in upto:
                _make(made, migration)
            found = differences(live, made, upto, state.migrations[len(upto) :])
        if not found:
            live.execute(TABLE)
            for migration in todo:
                migrator.record(live, migration)
                migrator.finish(live, migration)
        return ([] if found else [migration.name for migration in todo]), found


def _make(made: Any, migration: Migration) -> None:
    """Run a migration in an empty schema; raise CommandError where it may leave it, or fails."""
    made.execute(ALL_WORDS)
    try:
        statements = parts(migration.up)
        strange = next((statement for statement in statements if not kind(statement)), None)
    except ValueError:
        strange = "all of it"
    if strange:
        raise CommandError(f"{migration.name} was not tried: what this does cannot be told: {strange}")
    for statement in statements:
        try:
            made.execute(statement)
        except DatabaseError as error:
            raise CommandError(f"{migration.name} fails in an empty schema: {error.args[-1]}") from None


def differences(live: Any, made: Any, upto: list[Migration], later: Iterable[Migration]) -> list[str]:
    """Return lines on what the database (cursor `live`) has otherwise than a schema (`made`) with `upto` applied.

    "- " is what the migrations make, "+ " what the database has. Tables that no migration makes are not looked at, nor
    is an additional index, nor the name of a CHECK; a table that a `later` migration makes must not be there.
    """
    there, wanted = tables_of(live), tables_of(made)
    found = []
    for table, text in wanted.items():
        if table not in there:
            found.append(f"- table {table}")
            continue
        ours, theirs = lines_of(text), lines_of(there[table])
        found += [f"- {table}: {line}" for line in ours if line not in theirs]
        found += [f"+ {table}: {line}" for line in theirs if line not in ours and not INDEX.match(line)]
        found += [f"- {table}: a row with {row}" for row in _missing_rows(live, made, table)]
    too_early = migrations.tables(later) - wanted.keys()
    return found + [f"+ table {table}, which a later migration makes" for table in sorted(too_early & there.keys())]


def lines_of(text: str) -> list[str]:
    """Return the columns, indexes, constraints and options of a CREATE TABLE as the server shows it; or a view."""
    first, *lines = LATER.sub("", text).splitlines()
    if not lines:
        return [first]
    end = next(place for place, line in enumerate(lines) if line.startswith(")"))
    return [SAID_OTHERWISE.sub("", line.strip().rstrip(",")) for line in lines[:end]] + OPTIONS.findall(lines[end])


def _missing_rows(live: Any, made: Any, table: str) -> list[str]:
    """Return the keys of the rows that the migrations add to an empty database and this one does not have."""
    made.execute(KEYS, (table,))
    keys = [row["name"] for row in made.fetchall()]
    if not keys:
        return []
    names, same = ", ".join(f"`{key}`" for key in keys), " AND ".join(f"`{key}` = %s" for key in keys)
    made.execute(f"SELECT {names} FROM `{table}`")
    missing = []
    for row in made.fetchall():
        live.execute(f"SELECT 1 FROM `{table}` WHERE {same}", tuple(row.values()))
        if not live.fetchall():
            missing.append(", ".join(f"{key} = {row[key]}" for key in keys))
    return missing
