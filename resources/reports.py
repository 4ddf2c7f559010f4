"""Reports: what a shopkeeper asks every week, each a file of reports/. For administrators."""

import functools
import threading
from collections.abc import Iterable
from typing import Any

from bottle import HTTPResponse, request, response

from core.app import app
from core.contract.accept import prefers
from core.contract.csv_table import pieces
from core.contract.report_files import Report, cells, columns_of, reports_of
from core.contract.shapes import Shape, field
from core.db.database import Database, Row
from core.db.statement import Problem, Statement
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.identity.auth import ADMIN
from core.setup.system import ROOT

FOLDER = "reports"
CSV = "text/csv"
FORMAT = {
    "type": "string",
    "allowed": ["json", "csv"],
    "meta": {
        "description": "In which form: csv is a table (RFC 4180), as with Accept: text/csv. Its cells are what is "
        "stored, also one like =1+1, which a spreadsheet would calculate: import its columns as text.",
        "example": "csv",
    },
}
PARAMETER = Shape(
    "ReportParameter",
    name=field("string", "What it is called in the query.", "days"),
    description=field("string", "What it means.", "How many days, back from now."),
    min=field("integer", "Of a number: the least. Of a day: null.", 1, nullable=True),
    max=field("integer", "Of a number: the greatest. Of a day: null.", 92, nullable=True),
    default=field("integer", "What counts where it is left out; null: nothing.", 30, nullable=True),
)
COLUMN = Shape(
    "ReportColumn",
    name=field("string", "What it is called in each row.", "pieces"),
    type=field("string", "What it holds.", "number", allowed=["integer", "number", "string", "date", "datetime"]),
)
NAMED: dict[str, dict[str, Any]] = {
    "name": field("string", "The last part of its address.", "best_sellers"),
    "title": field("string", "What it is called.", "Best sellers"),
    "columns": field("list", "The columns, in order.", items=COLUMN),
}
LISTED = Shape(
    "ReportInfo",
    **NAMED,
    description=field("string", "What it says, and what counts.", "the products that sold best"),
    parameters=field("list", "What may be asked for.", items=PARAMETER),
)
REPORT = Shape(
    "Report",
    **NAMED,
    parameters={
        "type": "dict",
        "meta": {"description": "What was asked for, with the defaults.", "example": {"days": 30, "limit": 20}},
    },
    rows=field(
        "list",
        "The rows, each an object with the columns.",
        items={"type": "dict", "meta": {"example": {"product_id": 2, "name": "Desk Lamp", "pieces": 41}}},
    ),
)
# One at a time in each worker: a report may take seconds of a core, and has a connection of its own.
RUNNING = threading.BoundedSemaphore(1)
WAIT = 2  # seconds

REPORTS, _ = reports_of(Statements(ROOT / FOLDER), FOLDER)  # what is wrong with the others, `problems` says


def problems(statements: Iterable[Statement]) -> list[Problem]:
    """Return what is wrong with the reports among these statements. A route has the parameters of the start."""
    found, wrong = reports_of(statements, FOLDER)
    for name in found.keys() & REPORTS.keys():
        statement = found[name].statement
        if found[name].rules != REPORTS[name].rules or found[name].timeout != REPORTS[name].timeout:
            what = "it has other parameters, or another timeout, than at the start: that takes a restart"
            wrong.append(Problem(statement.path, 1, what))
    gone = [path for name in REPORTS if not (path := ROOT / FOLDER / f"{name}.sql").exists()]
    what = "it is gone, and its route is not: that takes a restart"
    return wrong + [Problem(f"{FOLDER}/{path.name}", 1, what) for path in gone]


@app.get("/api/reports", auth=ADMIN, returns=LISTED.many, compress=True, message="Reports listed.")
def list_reports(database: Database) -> list[Row]:
    """List the reports that there are, with what may be asked for."""
    return [
        {
            **_named(report, database.statements),
            "description": report.about,
            "parameters": [
                {"name": name, "description": rules["meta"]["description"]}
                | {limit: rules.get(limit) for limit in ("min", "max", "default")}
                for name, rules in report.rules.items()
            ],
        }
        for report in REPORTS.values()
    ]


def _add_route(report: Report) -> None:
    """Add the route of one report."""

    def get(
        database: Database, query: Row, report: Report = report
    ) -> Row:  # no closure: Bottle takes it for a decorator
        as_csv = query.pop("format", None)
        values = report.values(query)
        rows = _rows(database, report, values)
        named = _named(report, database.statements)
        response.set_header("Vary", "Accept")
        if as_csv == "csv" or (as_csv is None and prefers(request.get_header("Accept", ""), CSV)):
            disposition = f'attachment; filename="{report.name}.csv"'
            headers = {"Content-Type": f"{CSV}; charset=utf-8", "Cache-Control": "no-store", "Vary": "Accept"}
            table = b"".join(pieces([column["name"] for column in named["columns"]], [map(cells, rows)]))
            raise HTTPResponse(table, headers={**headers, "Content-Disposition": disposition})
        return {**named, "parameters": values, "rows": rows}

    get.__name__ = f"report_{report.name}"
    get.__doc__ = f"{report.title}.\n\n{report.about[:1].upper()}{report.about[1:]}"
    app.get(
        f"/api/{FOLDER}/{report.name}",
        auth=ADMIN,
        query=report.query(format=FORMAT),
        returns=REPORT,
        also_produces=CSV,
        compress=True,
        message="Report made.",
        callback=get,
    )


for _report in REPORTS.values():
    _add_route(_report)


def _named(report: Report, statements: Statements) -> Row:
    """Return its name and title, and the columns of the file that is in use: an edit may have added some."""
    columns = columns_of(statements[report.statement.name])
    return {"name": report.name, "title": report.title, "columns": [{"name": n, "type": t} for n, t in columns.items()]}


def _rows(database: Database, report: Report, values: Row) -> list[Row]:
    """Return the rows; raise ServiceUnavailable where another report is being made, or this one takes too long.

    The connection is opened only when it is this one's turn: those that wait have none.
    """
    if not RUNNING.acquire(timeout=WAIT):
        raise ServiceUnavailable("Another report is being made. Try again in a moment.", retry_after=2)
    try:
        return report.rows(database, values, functools.partial(ServiceUnavailable, retry_after=60))
    finally:
        RUNNING.release()
