"""Reports: SELECTs for people, each a file of a folder, that become a command and a route by what their headers say.

    -- Best sellers: the products of which the most pieces were ordered.      the title, and after the colon what it is
    -- params:
    --   until  day, default none; The last day.                             a day, 2026-01-31, that may be left out
    --   days   1 to 92, default 30; How many days, back from now.            a whole number
    -- rows: at most 1000                                                   what LIMIT at the end of the statement says
    -- timeout: 5s                                                           the server ends it then

So what one may ask for is bounded by the file. It only reads, and a file that says less is refused.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from core.contract.coercion import to_day
from core.contract.validation import Query
from core.db.database import Database, DatabaseError, Row, Session
from core.db.drivers import number
from core.db.header import Problem
from core.db.mysql_errors import TOO_LONG
from core.db.statement import Statement

WHOLE = re.compile(r"(\d{1,9}) to (\d{1,9}), default (\d{1,9}); (\S.*)\Z")
DAY = re.compile(r"day, default none; (\S.*)\Z")
DAY_PATTERN = r"(19[7-9][0-9]|20[0-2][0-9]|203[0-7])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z"
LIMIT = re.compile(r"\bLIMIT (?:(\d+)|%\((\w+)\)s)\Z")
MOST_ROWS = 10_000
LONGEST = 10  # seconds
FORMS = "a parameter of a report reads '1 to 92, default 30; What it means.' or 'day, default none; What it means.'"
TAKES_TOO_LONG = "The report takes longer than {:g} s. Ask for less: for fewer days, say."
TYPES = {  # how the type of a column begins → what JSON has
    **dict.fromkeys(("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"), "integer"),
    **dict.fromkeys(("DECIMAL", "FLOAT", "DOUBLE"), "number"),
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), "datetime"),
    "DATE": "date",
}


class Report:
    """One report, of its statement; raises Problem where that is none."""

    def __init__(self, statement: Statement) -> None:
        header = statement.header
        self.statement = statement
        self.name = statement.name.rpartition("/")[2]
        self.title, _, self.about = (part.strip() for part in header.title.partition(":"))
        self.rules = {name: self._rules(name, said) for name, said in statement.params.items()}
        self.columns = columns_of(statement)
        if statement.returns != "many" or not statement.reads_only:
            raise header.problem("returns", "a report returns many rows, and locks none")
        if not self.about:
            raise Problem(statement.path, 1, "begin with the title of the report, a colon, and what it is")
        if not header.timeout or header.timeout > LONGEST:
            raise header.problem("timeout", f"a report takes {LONGEST}s at the most")
        if not header.rows or self._most() > header.rows or header.rows > MOST_ROWS:
            raise header.problem(
                "rows", f"a report has at most {MOST_ROWS} rows, and ends with LIMIT and no more than it says here"
            )
        self.timeout: float = header.timeout

    def values(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the statement's parameters, of what was given and checked by the rules; NULL for what was not."""
        return {name: given.get(name) for name in self.rules}

    def rows(self, database: Database, values: dict[str, Any], refusal: Callable[[str], Exception]) -> list[Row]:
        """Run it with these parameters; raise `refusal(why)` where it takes longer than its timeout."""

        def read(db: Session) -> list[Row]:
            try:
                return db.many(self.statement.name, **values)
            except DatabaseError as error:
                if number(error) not in TOO_LONG:
                    raise
                raise refusal(TAKES_TOO_LONG.format(self.timeout)) from error

        return database.transaction(read, self.timeout * 1.2 + 1)  # the statement's own limit comes first

    def query(self, **more: dict[str, Any]) -> Query:
        """Return the checks of what is given, with further parameters."""
        return Query(**self.rules, **more)

    def _rules(self, name: str, said: str) -> dict[str, Any]:
        if whole := WHOLE.match(said):
            least, most, default = map(int, whole.groups()[:3])
            if least <= default <= most:
                return {
                    "type": "integer",
                    "min": least,
                    "max": most,
                    "default": default,
                    "meta": {"description": whole[4], "example": default},
                }
        if day := DAY.match(said):
            issue = "Must be a day such as 2026-01-31, from 1970 to 2037."
            meta = {"issue": issue, "description": day[1], "example": "2026-01-31"}
            return {"type": "string", "maxlength": 10, "coerce": to_day, "regex": DAY_PATTERN, "meta": meta}
        raise Problem(self.statement.path, self.statement.header.line("params"), f"{name}: {FORMS}")

    def _most(self) -> float:
        """Return how many rows the statement's last LIMIT allows."""
        found = LIMIT.search(self.statement.body)
        if not found:
            return float("inf")
        return int(found[1]) if found[1] else self.rules[found[2]].get("max", float("inf"))


def columns_of(statement: Statement) -> dict[str, str]:
    """Return the columns of a report's statement, in order, each with what JSON has."""
    return {name: TYPES.get(re.split(r"\W", c.type)[0], "string") for name, c in statement.columns.items()}


def reports_of(statements: Iterable[Statement], folder: str) -> tuple[dict[str, Report], list[Problem]]:
    """Return the reports of a folder's files by their names, and what is wrong with the others."""
    found, problems = {}, []
    for statement in statements:
        if statement.name.partition("/")[0] == folder:
            try:
                report = Report(statement)
                found[report.name] = report
            except Problem as problem:
                problems.append(problem)
    return found, problems


def cells(row: dict[str, Any]) -> list[Any]:
    """Return a row as the cells of a table: times in UTC with a Z; None leaves one empty."""
    return [value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "hour") else value for value in row.values()]
