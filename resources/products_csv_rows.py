"""The rows of a table of products: read, and checked by the rules that the fields have in JSON."""

import csv
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.contract import fields
from core.contract.sentences import sentence, suggestion
from core.db.database import Row
from core.errors import InvalidRows, ValidationError
from resources.products_fields import FIELDS, NO_CATEGORY, REQUIRED

Rows = list[tuple[int, Row]]  # (number of the row, as a spreadsheet counts; its values by column)

MOST_ROWS = 50_000
MOST_PROBLEMS = 1000  # that are listed
PATTERNS = {"integer": r"[0-9]+", "amount": r"[0-9]+(\.[0-9]{1,2})?", "boolean": r"(?i:true|false|1|0)"}
CONVERTERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "amount": Decimal,
    "boolean": lambda text: text.lower() in ("true", "1"),
}


def cell(rules: dict[str, Any], issue: str | None = None) -> Callable[[str], Any]:
    """Return what turns a cell into a value by the rules of a JSON field, or raises ValueError with a sentence."""
    pattern = re.compile(rules.get("regex") or PATTERNS[rules["type"]])
    longest = rules.get("maxlength", 12)
    convert = CONVERTERS[rules["type"]]
    least, most = (Decimal(str(rules.get(bound, 0))) for bound in ("min", "max"))
    refusal = issue or sentence(rules)

    def converted(text: str) -> Any:
        if len(text) > longest or not pattern.fullmatch(text):
            raise ValueError(refusal)
        value = convert(text)
        if most and not least <= value <= most:
            raise ValueError(refusal)
        return value

    return converted


COLUMNS = {"id": cell(fields.ID, "Must be empty or the id of a product.")}
for _name, _rules in FIELDS.items():
    if _name == "category_id":  # by name, or by id
        COLUMNS |= {"category": cell(fields.line(100, ""), NO_CATEGORY), _name: cell(_rules, NO_CATEGORY)}
    else:
        COLUMNS[_name] = cell(_rules)
EXPORTED = [name for name in COLUMNS if name != "category_id"]
NULLABLE = {"category", *(name for name, rules in FIELDS.items() if rules.get("nullable"))}


class Problems:
    """What is wrong with the rows: all are counted, and the first MOST_PROBLEMS listed."""

    def __init__(self) -> None:
        self.listed: list[tuple[int, str, str]] = []
        self.total = 0

    def add(self, row: int, field: str, issue: str) -> None:
        """Add one."""
        self.total += 1
        if len(self.listed) < MOST_PROBLEMS:
            self.listed.append((row, field, issue))

    def require_none(self) -> None:
        """Raise InvalidRows if there are any."""
        if self.total:
            raise InvalidRows(sorted(self.listed, key=lambda problem: problem[0]), self.total)


def read(upload: bytes, problems: Problems) -> Rows:
    """Return the good rows of a table; raise ValidationError if it is not a table at all."""
    try:
        text = upload.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValidationError(("file", "Must be text in UTF-8.")) from None
    if "\x00" in text:
        raise ValidationError(("file", "Must not contain NUL characters."))
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: Rows = []
    ids: set[int] = set()
    number = 0
    try:
        columns = header(next(table, []))
        for number, cells in enumerate(table, 2):
            if number > MOST_ROWS + 1:
                raise ValidationError(("file", f"Must have at most {MOST_ROWS} rows. Split it."))
            if not cells:  # an empty line
                continue
            if len(cells) != len(columns):
                issue = f"Must have {len(columns)} cells, as the first row has; it has {len(cells)}."
                problems.add(number, "row", issue)
            elif (row := values(number, dict(zip(columns, cells, strict=True)), problems)) is not None:
                if row.get("id") in ids:
                    problems.add(number, "id", "Must stand in one row only; it stands in an earlier one too.")
                ids.add(row.get("id", -number))
                found.append((number, row))
    except csv.Error:
        where = f"Cannot be read behind row {max(number, 1)}: "
        why = "a quote is not closed, not doubled, or a cell is too long."
        raise ValidationError(("file", where + why)) from None
    return found


def header(cells: list[str]) -> list[str]:
    """Return the names of the columns; raise ValidationError."""
    columns = [cell.strip().lower() for cell in cells]
    for column in columns:
        if column not in COLUMNS:
            known = f"Columns are {', '.join(COLUMNS)}, with commas between them."
            raise ValidationError(("file", f"Unknown column {column[:100]!r}{suggestion(column, COLUMNS)} {known}"))
        if columns.count(column) > 1:
            raise ValidationError(("file", f"The column {column} must be there once."))
    if not columns:
        raise ValidationError(("file", "Must begin with a row that names the columns."))
    if {"category", "category_id"} <= set(columns):
        raise ValidationError(("file", "Must have category or category_id, not both."))
    return columns


def values(number: int, cells: dict[str, str], problems: Problems) -> Row | None:
    """Return the values of one row, or None if something is wrong with them."""
    row: Row = {}
    before = problems.total
    for column, text in cells.items():
        if text:
            try:
                row[column] = COLUMNS[column](text)
            except ValueError as error:
                problems.add(number, column, str(error))
        elif column in NULLABLE:
            row[column] = None
    for column in REQUIRED if not cells.get("id") else ():
        if not cells.get(column):
            problems.add(number, column, "Is required for a new product.")
    return row if problems.total == before else None
