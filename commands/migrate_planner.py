"""What a migration would do to those who use the shop meanwhile: for each statement, whom the server makes wait.

The server itself is asked. Each statement runs on an empty copy of the tables (migrate_scratch.py), with the best
ALGORITHM and LOCK first, until it takes one; the next statement finds there what the former ones made. There are no
guesses: a statement of another form is not tried, and counts as one that makes writers wait.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

from commands.migrate_rows import LARGE, Rows
from commands.migrate_scratch import MayNot, copy, scratch, tables_of
from commands.migrate_text import GIVEN, MAKES, RENAMES, change_of, kind, one_line, parts
from core.database_url import DatabaseUrl
from core.db import effects
from core.db.drivers import DatabaseError, connect
from core.db.migrations import Move
from core.db.migrator import ALL_WORDS, LONGEST_STATEMENT

COMBINATIONS = (  # from what nobody notices to what stops everybody; what a server does not know, it refuses
    ("INSTANT", ""),
    ("NOCOPY", "NONE"),
    ("INPLACE", "NONE"),
    ("NOCOPY", "SHARED"),
    ("INPLACE", "SHARED"),
    ("COPY", "NONE"),
    ("COPY", "SHARED"),
    ("COPY", "EXCLUSIVE"),
)
WHO = {"": "nobody waits", "NONE": "nobody waits", "SHARED": "writers wait", "EXCLUSIVE": "readers and writers wait"}
TIES = re.compile(r"\b(?:FOREIGN|REFERENCES|FULLTEXT)\b", re.I)
TIED = (
    "SELECT constraint_name FROM information_schema.referential_constraints "
    "WHERE constraint_schema = DATABASE() AND %s IN (table_name, referenced_table_name) "
    "UNION ALL SELECT index_name FROM information_schema.statistics "
    "WHERE table_schema = DATABASE() AND table_name = %s AND index_type = 'FULLTEXT'"
)
REFERS = (
    "SELECT constraint_name FROM information_schema.referential_constraints "
    "WHERE constraint_schema = DATABASE() AND table_name = %s"
)


@dataclasses.dataclass(frozen=True)
class Step:
    """One statement of a move, and what it does.

    `algorithm`, `lock`: what the server grants, "" where that is no question or has no answer. `held`: the statement
    with both, which the server refuses where it cannot keep to them. `rows`: of the table, or that it reads; `counted`:
    they are no estimate. `tied`: the table has foreign keys or a FULLTEXT index, or gets one. `who`: a clause on who
    waits; `stops`: whether writers do, for as long as it runs. `error`: what the server says against it.
    """

    move: Move
    text: str
    table: str = ""
    rows: int = 0
    counted: bool = True
    algorithm: str = ""
    lock: str = ""
    held: str = ""
    tied: bool = False
    who: str = "nobody waits"
    stops: bool = False
    error: str = ""

    @property
    def blocks(self) -> bool:
        """Whether writers would wait for it, and for long."""
        return self.stops and self.rows > LARGE


def held(steps: Iterable[Step]) -> dict[Move, str]:
    """Return the text of each move, with large tables changed as granted: the server keeps to that, or refuses."""
    texts: dict[Move, list[str]] = {}
    for step in steps:
        texts.setdefault(step.move, []).append(step.held if step.held and step.rows > LARGE else step.text)
    return {move: ";\n".join(statements) for move, statements in texts.items()}


@contextlib.contextmanager
def planner(url: DatabaseUrl) -> Iterator["Planner"]:
    """Give a Planner for this database; where the account may not make the copy, its `denied` says so."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(connect(url, 10, statement_timeout=LONGEST_STATEMENT)))
        live = stack.enter_context(connection.cursor())
        try:
            tried = stack.enter_context(scratch(url))
        except MayNot as error:
            yield Planner(live, None, str(error))
        else:
            copy(tables_of(live), tried)
            yield Planner(live, tried)


class Planner:
    """Makes the Steps of moves. `live`, `tried`: cursors in the database and its empty copy (None: it is `denied`)."""

    def __init__(self, live: Any, tried: Any, denied: str = "") -> None:
        self.live = live
        self.tried = tried
        self.denied = denied
        self.rows = Rows(live)
        self.made: set[str] = set()  # by the statements so far: nobody uses these tables yet
        self.renamed = False  # from then on, the name of a table does not say whose rows it has
        self.cluster = self._answers(
            live, "SHOW SESSION VARIABLES WHERE Variable_name = 'wsrep_on' AND Value = 'ON'", ()
        )
        live.execute("SELECT VERSION() AS version")
        self.is_mariadb = "MariaDB" in live.fetchone()["version"]

    def steps(self, moves: Iterable[Move]) -> list[Step]:
        """Return the steps of these moves; each statement is tried after those before it."""
        found = []
        for move in moves:
            self._refusal(ALL_WORDS)
            try:
                found += [self._step(Step(move, statement)) for statement in parts(move.text)]
            except ValueError:
                found.append(self._unknown(Step(move, move.text.strip()), "only the server can part its statements"))
        return found

    def _step(self, step: Step) -> Step:
        line = one_line(step.text)
        of = kind(step.text)
        if of == "":
            return self._unknown(step, "what it does cannot be told, so it was not tried")
        if of == "change":
            return self._altered(step, *(change_of(line) or ("", "")))
        if of == "rows":
            return self._changed(step, effects.changed_by(step.text))
        if made := MAKES.fullmatch(line):
            self.made |= {made[1].strip("`")} - self.rows.about.keys()
        self.renamed |= of == "whole" and bool(RENAMES.search(line))
        if of == "whole":
            step = self._said(step, "who uses the table waits for a moment", stops=False)
        return step if of == "read" else self._ran(step)

    def _altered(self, step: Step, table: str, change: str) -> Step:
        """Return the step of a change of one table, with what the server grants."""
        rows, counted = self._rows(table)
        tied = self._answers(self.live, TIED, (table, table)) or bool(TIES.search(effects.bare(change)))
        step = dataclasses.replace(step, table=table, rows=rows, counted=counted, tied=tied)
        self.renamed |= bool(RENAMES.search(effects.bare(change)))
        given = {word.upper(): value.upper() for word, value in GIVEN.findall(effects.bare(change))}
        for algorithm, lock in COMBINATIONS if self.tried else ():
            wanted = {"ALGORITHM": algorithm, "LOCK": lock}
            if any(given.get(word, "DEFAULT") not in ("DEFAULT", value) for word, value in wanted.items()):
                continue
            clauses = [f"{word}={value}" for word, value in wanted.items() if value and given.get(word) != value]
            held = f"ALTER TABLE `{table}` {', '.join([change, *clauses])}"
            if not self._refusal(held):
                who = "the whole cluster waits" if self.cluster and algorithm != "INSTANT" else WHO[lock]
                who = "nobody waits" if self._is_new(table) else who
                step = dataclasses.replace(step, algorithm=algorithm, lock=lock, held=held)
                return self._said(step, who, stops=who != "nobody waits")
        return self._unknown(self._ran(step), "the server does not say how it does it")

    def _changed(self, step: Step, tables: Iterable[str]) -> Step:
        """Return the step of a change of rows: those that it changes, or refers to, are locked until it ends."""
        if not self.tried:
            return self._unknown(step, "it was not tried")
        error = self._refusal(f"EXPLAIN FORMAT=TRADITIONAL {step.text}")
        rows, counted = self.rows.most(self.rows.named(step.text))
        read = self.rows.read_by(step.text)
        if read is not None and read < rows / 2:  # an estimate may be half of what is true
            rows, counted = read, False
        step = dataclasses.replace(step, rows=rows, counted=counted, error=error)
        if all(self._is_new(table) and not self._answers(self.tried, REFERS, (table,)) for table in tables):
            return step
        return self._said(step, "writers of the rows that it changes, or refers to, wait until it ends", stops=True)

    @staticmethod
    def _answers(cursor: Any, query: str, params: tuple[str, ...]) -> bool:
        cursor.execute(query, params)
        return bool(cursor.fetchall())

    def _is_new(self, table: str) -> bool:
        """Whether nobody uses it yet."""
        return table in self.made and not self.renamed

    def _rows(self, table: str) -> tuple[int, bool]:
        if self.renamed or table not in self.made | self.rows.about.keys():
            return self.rows.most(self.rows.about)
        return (0, True) if self._is_new(table) else self.rows.of(table)

    def _ran(self, step: Step) -> Step:
        return dataclasses.replace(step, error=self._refusal(step.text))

    def _refusal(self, statement: str) -> str:
        """Run a statement in the copy; return what the server says against it, or ""."""
        if not self.tried:
            return ""
        try:
            self.tried.execute(statement)
        except DatabaseError as error:
            return str(error.args[-1])
        return ""

    def _unknown(self, step: Step, why: str) -> Step:
        """Return the step of a statement that counts as one that stops the writers of what it names, or of all."""
        if not step.table:
            named = [] if self.renamed else self.rows.named(step.text)
            rows, counted = self.rows.most(named or self.rows.about)
            step = dataclasses.replace(step, rows=rows, counted=counted)
        return self._said(step, f"{why}: writers may wait", stops=True)

    def _said(self, step: Step, who: str, stops: bool) -> Step:
        return dataclasses.replace(step, who=who, stops=stops)
