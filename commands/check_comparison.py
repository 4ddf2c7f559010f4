"""Runs two versions of a statement, and sees what each returns, changes and costs.

Both run with the samples of both headers, on one database, in one transaction that is rolled back: one sees what the
other saw. Before them the rows of check_scene.py are added there, so that a sample sees something. A sample whose LIMIT
is not reached is tried with a smaller one, too; and one that looks for the last row of a table with the first, one
parameter at a time: so >= in place of =, and a filter that is gone, are seen (of a cart's line: another's line). The
clock stands still, so that CURRENT_TIMESTAMP is the same for both.
"""

import contextlib
import dataclasses
import datetime
import itertools
import re
import time
from collections.abc import Iterator
from typing import Any

from commands.check_differences import Line, Outcome, of_costs, of_runs, order_of
from commands.check_samples import FAILURES, raise_if_lost, reads_of, samples_of, values_of
from commands.check_scene import Scene
from commands.check_touched import Sums, Touched, change
from core.cli import say
from core.db.database import DatabaseError, Session
from core.db.drivers import number
from core.db.mysql_errors import RETRYABLE
from core.db.plan_hints import NO_LIST, Query, Sample
from core.db.statement import Problem, Statement
from core.db.statements import Statements

MOST = 10_000  # rows of a result that are compared; the others are counted
TRIES = 5  # of each version, in turns
LONGEST = 1.0  # seconds for these together, after the first
AGAIN = 15  # tries, where the first ones look slow
NO_SCENE: tuple[type[Exception], ...] = (*FAILURES, KeyError, TypeError)  # another schema, another release
EDGE = re.compile(r"\b(?:MAX|MIN)\(|\bDESC\b")  # what a sample's (SELECT …) looks for, at the one end or the other
OTHER_END = {"MAX(": "MIN(", "MIN(": "MAX(", "DESC": "ASC"}
LIMIT = re.compile(r"\bLIMIT\s+%\((\w+)\)s", re.I)

Values = dict[str, Any]
Pair = tuple[tuple[Statement, Values], tuple[Statement, Values]]  # released, edited; each with a sample's values


@dataclasses.dataclass
class Seen:
    """What a comparison of one file has seen."""

    different: list[tuple[str, list[Line]]] = dataclasses.field(default_factory=list)  # by the sample's text
    blind: list[str] = dataclasses.field(default_factory=list)  # samples for which no version saw a row
    samples: int = 0
    rows: int = 0
    released: Outcome = dataclasses.field(default_factory=Outcome)  # all costs together
    edited: Outcome = dataclasses.field(default_factory=Outcome)


def elsewhere(sample: Sample) -> Iterator[Sample]:
    """Yield the sample with one of its queries at the other end of its table: MIN for MAX, ascending for DESC."""
    for name, value in sample.values.items():
        if isinstance(value, Query) and EDGE.search(value.text):
            text = EDGE.sub(lambda found: OTHER_END[found[0]], value.text)
            yield dataclasses.replace(
                sample,
                values=sample.values | {name: Query(text)},
                text=f"{sample.text}; but here {name}=({text})",
            )


class Comparison:
    """Runs pairs of statements in transactions that are rolled back.

    `old`: the released statements; they add the rows that samples see.
    """

    def __init__(self, cursor: Any, old: Statements) -> None:
        self._cursor = cursor
        self._old = old
        self._touched = Touched(cursor, old.tables or ())
        self._told = False

    def of(self, released: Statement, edited: Statement) -> Seen:
        """Compare two versions of a file. Raises DatabaseError, or Problem for a sample without a value."""
        for version in (released, edited):
            if version.body.upper().startswith("TRUNCATE"):
                raise Problem(version.path, version.first_line, "TRUNCATE is not run: no transaction takes it back")
        for tries in (1, 0):  # one more, if others were in the way
            try:
                with self._transaction():
                    return self._compare(released, edited)
            except DatabaseError as error:
                if not tries or number(error) not in RETRYABLE:
                    raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        execute = self._cursor.execute
        execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # others change nothing that is compared
        execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            self._play()
            execute("SAVEPOINT compared")
            yield
        finally:
            execute("ROLLBACK")
            execute("SET timestamp = DEFAULT")
            execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def _play(self) -> None:
        """Add the rows of the scene; say why not, once, where that fails."""
        self._cursor.execute("SELECT UNIX_TIMESTAMP() AS now")
        now = int(self._cursor.fetchone()["now"])

        def at(age: float) -> datetime.datetime:
            self._cursor.execute("SET timestamp = %s", (now - age,))
            return datetime.datetime.fromtimestamp(now - age, datetime.UTC).replace(tzinfo=None)

        self._cursor.execute("SAVEPOINT bare")
        db = Session(self._cursor, self._old)
        db.begun = True
        try:
            Scene(db, at).play()
        except NO_SCENE as error:
            raise_if_lost(error)
            if isinstance(error, DatabaseError) and number(error) in RETRYABLE:
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT bare")
            at(0)
            if not self._told:
                say(f"No rows could be added for the samples, which see what there is: {error.args[-1]}")
                self._told = True

    def _compare(self, released: Statement, edited: Statement) -> Seen:
        seen = Seen()
        samples = {sample.text: sample for version in (edited, released) for sample in samples_of(version)}
        before = self._touched.sums(self._touched.tables(released.changes | edited.changes))
        for sample in samples.values():
            values = [self._values(version, sample) for version in (released, edited)]
            outcomes = self._one(
                ((released, values[0]), (edited, values[1])), sample.text or "no parameters", before, seen
            )
            limits = {name for version in (released, edited) for name in LIMIT.findall(version.body)}
            reached = [value[name] for value in values for name in limits if isinstance(value.get(name), int)]
            if reached and 1 < outcomes.count < min(reached):
                fewer = [value | dict.fromkeys(limits & value.keys(), outcomes.count - 1) for value in values]
                text = f"{sample.text}; and here {', '.join(sorted(limits))}={outcomes.count - 1}"
                self._one(((released, fewer[0]), (edited, fewer[1])), text, before, seen)
        if not seen.different:  # for where it is different already, these add nothing to read
            for sample in itertools.chain.from_iterable(map(elsewhere, samples.values())):
                self._elsewhere((released, edited), sample, before, seen)
        return seen

    def _elsewhere(
        self, pair: tuple[Statement, Statement], sample: Sample, before: dict[str, Sums], seen: Seen
    ) -> None:
        """Compare with a sample that no header has; only a difference of what is done is noted, and nothing counted."""
        released, edited = pair
        try:
            values = [self._values(version, sample) for version in pair]
        except Problem:  # there is nothing at this end
            return
        is_change, ordered = released.returns in ("count", "id"), bool(order_of(released))
        first = self._looked_at(released, values[0], before)
        lines = of_runs(first, self._looked_at(edited, values[1], before), ordered, is_change)
        if lines and not of_runs(first, self._looked_at(released, values[0], before), ordered, is_change):
            seen.different.append((sample.text, lines))

    def _values(self, statement: Statement, sample: Sample) -> dict[str, Any]:
        """Return the values of a sample, of whichever version, for the parameters of a statement."""
        own = {name: sample.values.get(name) for name in statement.params}
        own |= {name: NO_LIST for name in statement.lists if own[name] is None}
        return values_of(self._cursor, statement, dataclasses.replace(sample, values=own))

    def _one(self, pair: Pair, text: str, before: dict[str, Sums], seen: Seen) -> Outcome:
        """Compare with one sample, and note what was seen; return what the released version did."""
        (released, _), _ = pair
        first, second = (self._looked_at(version, value, before) for version, value in pair)
        is_change = released.returns in ("count", "id")
        lines = of_runs(first, second, bool(order_of(released)), is_change)
        if not first.error and not second.error:
            again = first
            if max(first.seconds, second.seconds) < LONGEST:
                again = self._timed(pair, (first, second), TRIES)
            if not is_change and of_runs(first, again, bool(order_of(released)), is_change):
                lines = [("the released version", "gives another answer", "each time")]
            if again is not first and any(what == "time" for what, *_ in of_costs(first, second)):
                self._timed(pair, (first, second), AGAIN)
            lines += of_costs(first, second)
        if lines:
            seen.different.append((text, lines))
        elif not first.sees:
            seen.blind.append(text)
        seen.samples += 1
        seen.rows += first.count
        for total, outcome in ((seen.released, first), (seen.edited, second)):
            total.reads += outcome.reads
            total.seconds += outcome.seconds
        return first

    def _timed(self, pair: Pair, outcomes: tuple[Outcome, Outcome], tries: int) -> Outcome:
        """Run both in turns, and let each have the least of its times; return what the released version did at last."""
        until = time.monotonic() + LONGEST
        last = outcomes[0]
        for _ in range(tries):
            for (version, values), outcome in zip(pair, outcomes, strict=True):
                done = self._run(version, values)
                self._cursor.execute("ROLLBACK TO SAVEPOINT compared")
                outcome.seconds = min(outcome.seconds, done.seconds)
                last = done if version is pair[0][0] else last
            if time.monotonic() > until:
                break
        return last

    def _looked_at(self, statement: Statement, values: Values, before: dict[str, Sums]) -> Outcome:
        """Run a statement, see what it cost and what it did to the tables, and take it back."""
        try:
            idle, reads = reads_of(self._cursor), reads_of(self._cursor)
            done = self._run(statement, values)
        except DatabaseError as error:
            raise_if_lost(error)
            if number(error) in RETRYABLE:
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT compared")
            return Outcome(error=str(error.args[-1]))
        done.reads = reads_of(self._cursor) - reads - (reads - idle)  # looking is counted, too
        after: dict[str, Any] = {}
        for table in self._touched.tables(before):
            buckets, more = self._touched.buckets(before[table.name], table.sums(self._cursor))
            if buckets:
                after[table.name] = (table, buckets, more, table.rows(self._cursor, buckets))
        self._cursor.execute("ROLLBACK TO SAVEPOINT compared")
        for name, (table, buckets, more, rows) in after.items():
            done.touched[name] = change(table, table.rows(self._cursor, buckets), rows, more)
            if done.id in done.touched[name].numbers:
                done.id = 0
        return done

    def _run(self, statement: Statement, values: Values) -> Outcome:
        began = time.perf_counter()
        if statement.returns in ("one", "many"):
            rows, count = self._cursor.connection.first_rows(statement.text, values, MOST)
            return Outcome(rows, count, seconds=time.perf_counter() - began)
        self._cursor.execute(statement.text, values)
        seconds = time.perf_counter() - began
        return Outcome(
            count=self._cursor.rowcount, id=self._cursor.lastrowid if statement.returns == "id" else 0, seconds=seconds
        )
