"""Print a report: a file of reports/, as a table, CSV or JSON. Without a name, list them with their parameters."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from core.cli import CommandError, say, say_table
from core.config import Config
from core.contract.csv_table import pieces
from core.contract.report_files import Report, cells, reports_of
from core.db.database import Database
from core.db.owner import owner_url
from core.db.statements import Statements, require_sound
from core.errors import ValidationError
from core.json_text import dump
from core.setup.system import ROOT

HELP = "print a report: sales by day, best sellers, what runs out of stock …"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which report; without it, all are listed")
    parser.add_argument("values", nargs="*", metavar="param=value", help="what the report is asked for")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV (RFC 4180)")
    form.add_argument("--json", action="store_true", help="print JSON: a list of objects")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print it; exit status 2 for a name or a value that is wrong."""
    statements = Statements(ROOT / "reports")
    reports, problems = reports_of(statements, "reports")
    require_sound([*statements.problems, *problems])
    if options.name is None:
        _list(reports)
        return 0
    report = reports.get(options.name)
    if report is None:
        raise CommandError(f"There is no report {options.name!r}. There are {', '.join(reports)}.", code=2)
    values = _checked(report, options.values)
    with owner_url(config) as url:
        rows = report.rows(Database(url, statements, 10), values, CommandError)
    if options.json:
        say(dump(rows).decode())
    elif options.csv:
        for piece in pieces([*report.columns], [map(cells, rows)]):
            sys.stdout.write(piece.decode())
    else:
        say_table([[*report.columns], *([_shown(cell) for cell in cells(row)] for row in rows)])
    return 0


def _list(reports: dict[str, Report]) -> None:
    for report in reports.values():
        say(f"{report.name}: {report.title}, {report.about}")
        for name, rules in report.rules.items():
            default = f" [{rules['min']} to {rules['max']}, default {rules['default']}]" if "min" in rules else ""
            say(f"    {name}  {rules['meta']['description']}{default}")


def _checked(report: Report, given: list[str]) -> dict[str, Any]:
    """Return the statement's parameters; raise CommandError for what is wrong, a line each."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise CommandError(f"{wrong[0]!r} is no param=value, such as days=7.", code=2)
    try:
        return report.values(report.query().check_text(urlencode([(name, value) for name, _, value in pairs])))
    except ValidationError as error:
        lines = [f"{problem['field']}: {problem['issue']}" for problem in error.details["errors"]]
        raise CommandError("\n".join(lines), code=2) from None


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
