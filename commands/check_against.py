"""Whether old and new shops can run side by side: the files of each on the schema of the other, `check --against`.

An upgrade migrates first; then new shops start beside the old ones. So what the old ones run must go on after each new
migration: their statements are prepared there, and no rule may have come that refuses what they write. What of the new
files needs the new schema is said, too. All of it happens in a MariaDB of its own, on empty tables, and takes 1.0 s
(27 migrations, 177 statements on each side, 2 cores).
"""

import contextlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from commands.check_against_rules import Rules, needed_in, unfilled
from commands.check_against_server import empty_server
from commands.check_compare import release
from core.cli import CommandError, say
from core.db import migrations, rights
from core.db.drivers import DatabaseError, connect, connect_to_check
from core.db.migrations import TABLE, Migration
from core.db.migrator import ALL_WORDS
from core.db.owner import explained
from core.db.session import problem_of
from core.db.statement import Problem, Statement
from core.db.statements import Statements

SECONDS = 60  # for one statement; on empty tables it takes a moment
RULE = 'CONTRIBUTING.md, "Migrations while old and new run side by side"'
VERDICTS = (  # by exit status
    "old and new shops run side by side.",
    "they do not run side by side.",
    "nothing breaks that could be tried; look at the rest.",
)


class Files(NamedTuple):
    """What a release has: the statements that a shop runs, what is wrong with the others, and the migrations."""

    statements: list[Statement]
    problems: list[Problem]
    migrations: list[Migration]


def report(root: pathlib.Path, given: str, tuned: pathlib.Path | None) -> int:
    """Print what breaks between the release `given` and the files in `root`, and what to do; return the exit status.

    0: nothing, if the migrations run before a new shop starts. 1: something breaks. 2: something could not be told.
    `given`: a revision, or a folder. `tuned`: SQL_OVERLAY. Raises CommandError.
    """
    with release(root, given, "against") as place:
        if not all((place / name).is_dir() for name in ("sql", "migrations")):
            raise CommandError(f"{given} is no release: it has no sql/ and migrations/. Name one that has.", code=2)
        old, new = _read(place, tuned), _read(root, tuned)
        further = _further(old, new, given)
        with empty_server() as url, explained(url), contextlib.ExitStack() as stack:
            connection = stack.enter_context(contextlib.closing(connect_to_check(url, 10, SECONDS)))
            scripts = stack.enter_context(contextlib.closing(connect(url, 10, SECONDS, scripts=True)))
            trial = Trial(connection, scripts.cursor(), old)
            early = trial.problems(new.statements)
            for migration in further:
                trial.go(migration)
            unfit = trial.problems(new.statements)
            tighter = trial.tighter()
    wrong = [*new.problems, *unfit.values()]
    status = 1 if trial.broken or wrong else 2 if tighter or trial.untold else 0
    _say_old(trial, tighter, given)
    _say_new([problem for name, problem in early.items() if name not in unfit], wrong, given)
    counts = f"{len(old.statements)} statements of {given} after {len(further)} new migration(s)"
    say(f"{counts}, {len(new.statements)} of these files before: {VERDICTS[status]}")
    return status


class Trial:
    """Tries what old shops run on the schema that they know, and after each further migration.

    `broken`: [(what is wrong with a statement, the migration that does it)]. `untold`: what is wrong with old files
    that cannot be tried: they are wrong by themselves, or by the rules of these files.
    """

    def __init__(self, connection: Any, cursor: Any, old: Files) -> None:
        self._connection, self._cursor = connection, cursor
        cursor.execute(TABLE)
        for migration in old.migrations:
            _make(cursor, migration)
        self._before = Rules(cursor)
        self._going = old.statements
        self._said = self.problems(old.statements)
        # What such a file returns is part of what is said of it, and so compared all the same.
        undeclared = {one.name for one in old.statements if one.returns in ("one", "many") and not one.columns}
        self.untold = [*old.problems, *(problem for name, problem in self._said.items() if name not in undeclared)]
        self.broken: list[tuple[Problem, Migration]] = []

    def problems(self, statements: list[Statement]) -> dict[str, Problem]:
        """Return what is wrong with statements on the schema as it is by now, by their names."""
        needed = needed_in(self._cursor)
        found = {one.name: problem_of(self._connection, one) or unfilled(one, needed) for one in statements}
        return {name: problem for name, problem in found.items() if problem}

    def go(self, migration: Migration) -> None:
        """Apply a migration, and note what breaks by it."""
        _make(self._cursor, migration)
        for name, problem in self.problems(self._going).items():
            if str(problem) != str(self._said.get(name)):
                self.broken.append((problem, migration))
                self._going = [one for one in self._going if one.name != name]

    def tighter(self) -> list[str]:
        """Return the rules of the schema by now that may refuse what old shops write, a line each."""
        return Rules(self._cursor).tighter_than(self._before, self._going)


def _read(place: pathlib.Path, tuned: pathlib.Path | None) -> Files:
    found = Statements(place / "sql", tuned=tuned, more=[place / "reports"])
    serving = [one for one in found if not rights.for_owner(one.header.used_by)]
    return Files(serving, found.problems, migrations.files(place / "migrations"))


def _further(old: Files, new: Files, given: str) -> list[Migration]:
    """Return the migrations that the old files do not have; raise CommandError where theirs are not all here."""
    here = {migration.version: migration for migration in new.migrations}
    for migration in old.migrations:
        same = here.pop(migration.version, None)
        if not same:
            raise CommandError(f"{given} has migration {migration.name}, which is not here. Is {given} the newer one?")
        if same.checksum != migration.checksum:
            raise CommandError(
                f"Migration {migration.name} of {given} was edited. Put it back as it was, and write a new one."
            )
    return list(here.values())


def _make(cursor: Any, migration: Migration) -> None:
    """Apply a migration; raise CommandError where it fails."""
    cursor.execute(ALL_WORDS)
    try:
        cursor.execute(migration.up)
        while cursor.nextset():
            continue
    except DatabaseError as error:
        raise CommandError(f"{migration.name} fails on empty tables: {error.args[-1]}. Correct the file.") from None


def _say_old(trial: Trial, tighter: list[str], given: str) -> None:
    for migration in dict.fromkeys(migration for _, migration in trial.broken):
        broken = [problem for problem, by in trial.broken if by == migration]
        _list(f"The files of {given}, after migrations/{migration.name}.up.sql:", broken)
    if trial.broken:
        say(
            f"{len(trial.broken)} statement(s) of the old shops break by the migration, while they serve. Give a new "
            "column a default, or let it be NULL. What is taken away goes last: ship the code that does without it, "
            f"and this migration with the release after that. {RULE}."
        )
    _list("What the old shops write may be refused by then. Look whether they keep to it already:", tighter)
    _list(f"These files of {given} could not be tried:", trial.untold)


def _say_new(early: list[Problem], wrong: list[Problem], given: str) -> None:
    _list(f"These files, on the schema of {given}:", early)
    if early:
        say(
            f"{len(early)} statement(s) of the new shops need the new schema: migrate before one starts. Until then it "
            "answers 503 there, and /api/ready is 503."
        )
    _list("These files, on their own schema:", wrong)


def _list(title: str, lines: Sequence[object]) -> None:
    for line in [title, *(f"    {line}" for line in lines)] if lines else []:
        say(line)
