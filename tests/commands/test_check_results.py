"""What each statement does with its samples is what it did before: an edit that changes its meaning is noticed.

All statements run on the rows of `check --compare`, in an empty schema, at one fixed moment. What each returns,
changes, orders by and locks is recorded in results.json beside this page, as a digest for each file and kind of server.
Where a file is meant to do something else now: look at `check --compare`, then record it:

    ACCEPT_RESULTS=1 python3 server.py test tests/commands/test_check_results.py

It alone notices five of six random edits (tests/load/mutations.py), in 8 seconds.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re

import pytest

from commands import migrate_scratch
from commands.check_comparison import LIMIT, Comparison, elsewhere
from commands.check_differences import LOCK, Outcome, order_of
from commands.check_recorded import kind_of
from commands.check_samples import samples_of
from core.db import effects, migrations
from core.db.drivers import connect
from core.db.migrator import Migrator
from core.db.statement import Problem
from core.db.statements import Statements
from core.setup.system import ROOT

FILE = pathlib.Path(__file__).with_name("results.json")
PASSING = {"schema/migrations", "replica/get"}  # they return when the migrations ran, and which server it is
AGAIN = "ACCEPT_RESULTS=1 python3 server.py test tests/commands/test_check_results.py"
MOMENT = 1_800_000_000  # seconds since 1970: all rows are that old, or older


ROWS = {  # rows at which pages begin and end, and filters too: {folder: the statement, and the parameters of a column}
    "products": (
        "SELECT id, created_at, price, name FROM products WHERE is_active = 1 ORDER BY id",
        {
            "id": ("after_id", "until_id"),
            "created_at": ("after_time", "until_time", "after_value"),
            "price": ("after_price", "until_price", "min_price", "max_price", "after_value"),
            "name": ("after_name", "until_name", "after_value"),
        },
    ),
    "orders": (
        "SELECT id, placed_at FROM orders ORDER BY id",
        {"id": ("after_id",), "placed_at": ("after_time", "from_time", "to_time")},
    ),
}
KINDS = (("after",), ("until",), ("after", "until"), ("from",), ("to",), ("min",), ("max",))  # set at once
SORTS = ("newest", "oldest", "price", "-price", "name", "-name")
APART = (  # no two columns of a row are the same
    "UPDATE products SET updated_at = updated_at + INTERVAL id SECOND",
    "UPDATE users SET updated_at = updated_at + INTERVAL id SECOND",
    "UPDATE webhooks SET updated_at = updated_at + INTERVAL id SECOND",
    "UPDATE orders SET refunded = refunded / 2",
)


class Results(Comparison):
    """Runs each statement by itself, and tells what it does as one text."""

    def of_all(self, statements):
        """Return {name: what it does}; rows are added once, so that their numbers are the same each time."""
        self._cursor.execute("SET timestamp = %s", (MOMENT,))
        with self._transaction():
            for statement in APART:
                self._cursor.execute(statement)
            self._cursor.execute("SAVEPOINT compared")
            return {one.name: "\n".join(self._lines(one)) for one in statements if one.name not in PASSING}

    def _lines(self, statement):
        yield repr((order_of(statement), LOCK.findall(effects.bare(statement.body))))
        before = self._touched.sums(self._touched.tables(statement.changes))
        limits = set(LIMIT.findall(statement.body))
        for values in self._given(statement):
            outcome = self._looked_at(statement, values, before)
            yield f"{values}: {told(outcome, order_of(statement))}"
            if outcome.count > 1 and limits & values.keys():
                fewer = values | dict.fromkeys(limits & values.keys(), outcome.count - 1)
                yield f"fewer: {told(self._looked_at(statement, fewer, before), order_of(statement))}"

    def _given(self, statement):
        """Yield the values of each sample, those at the other end of its tables, and those at single rows."""
        samples, found = samples_of(statement), []
        for sample in itertools.chain(samples, itertools.chain.from_iterable(map(elsewhere, samples))):
            with contextlib.suppress(Problem):  # there is nothing at this end
                found.append(self._values(statement, sample))
        yield from found
        for values in (found[0], found[len(samples) - 1]):
            for sort in SORTS if "sort" in values else (None,):
                yield from self._at_rows(statement, values | ({"sort": sort} if sort else {}))

    def _at_rows(self, statement, values):
        folder, _, name = statement.name.partition("/")
        text, columns = ROWS.get(folder, ("", {}))
        wanted = {parameter for names in columns.values() for parameter in names} & values.keys()
        if not wanted:
            return
        self._cursor.execute(text)
        rows = list(self._cursor.fetchall())
        first, middle, last = (rows[len(rows) * part // 4] for part in (1, 2, 3))
        ordered = next((column for column in ("price", "name") if column in name), "created_at")
        bare = values | dict.fromkeys(wanted)
        for kinds, (one, other) in itertools.product(KINDS, ((first, last), (middle, middle), (last, first))):
            given = {
                parameter: row[column]
                for kind, row in zip(kinds, (one, other), strict=False)
                for column, parameters in columns.items()
                for parameter in parameters
                if parameter in wanted
                and parameter.startswith(f"{kind}_")
                and (parameter != "after_value" or column == ordered)
            }
            if given:
                yield bare | given
        if "in_stock" in values:
            yield bare | {"in_stock": 1}


def told(outcome: Outcome, ordered):
    """Return what a run did, and nothing of what it cost."""
    rows = [repr([(name, unordered(value)) for name, value in row.items()]) for row in outcome.rows]
    touched = {
        name: [
            sorted(repr(list(row.items())) for row in change.added.values()),
            sorted(repr(key) for key in change.removed),
            sorted(repr((key, list(after.items()))) for key, (_, after) in change.changed.items()),
        ]
        for name, change in outcome.touched.items()
    }
    return repr((rows if ordered else sorted(rows), outcome.count, outcome.id, touched, outcome.error))


def unordered(value):
    """Return a value; of a JSON array of numbers, which JSON_ARRAYAGG gives in any order, the sorted ones."""
    if isinstance(value, str) and re.fullmatch(r"\[[0-9, ]*\]", value):
        return sorted(json.loads(value))
    return value


@pytest.fixture(scope="module")
def schema(accounts):
    """The login of a migrated schema without a row, and the kind of its server."""
    try:
        with migrate_scratch.scratch(accounts.owner):
            login = dataclasses.replace(accounts.owner, database=migrate_scratch.name_of(accounts.owner))
            Migrator(login, say=lambda line: None).up()
            with contextlib.closing(connect(login, 10)) as connection:
                kind = kind_of(connection.get_server_info())
            yield login, kind
    except migrate_scratch.MayNot as why:
        pytest.skip(str(why))


def results(login, folder=ROOT / "sql"):
    """Return {name: what it does} of the statements in a folder."""
    statements = Statements(folder, tables=migrations.tables(migrations.files()))
    with contextlib.closing(connect(login, 10, 60, scripts=True)) as connection, connection.cursor() as cursor:
        return Results(cursor, statements).of_all(sorted(statements, key=lambda one: one.name))


def test_each_statement_does_what_it_did(schema):
    login, kind = schema
    found = {name: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for name, text in results(login).items()}
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("ACCEPT_RESULTS"):
        FILE.write_text(json.dumps({**recorded, kind: found}, indent=1, sort_keys=True) + "\n")
        recorded = {kind: found}
    if kind not in recorded:
        pytest.skip(f"{FILE.name} knows no results of {kind}")

    known = recorded[kind]
    others = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))

    assert not others, f"These do something else than before. See check --compare; if that is meant: {AGAIN}"
