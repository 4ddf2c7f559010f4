"""The catalogue in and out, as a table (CSV, RFC 4180). For administrators.

What the columns are is told at `import_products`.

Cells are kept exactly as they are, also one like =1+1 that a spreadsheet would calculate: the table is for another
shop, a script or a backup. Whoever opens it in a spreadsheet imports the columns as text.
"""

import csv
import io
import json
import re
from decimal import Decimal

from bottle import response

from core.app import LARGEST_ID, app
from core.contract import fields
from core.contract.sentences import sentence, suggestion
from core.contract.shapes import Shape
from core.contract.validation import Query, Upload
from core.errors import Conflict, InvalidRows, ValidationError
from core.identity.auth import ADMIN
from core.json_text import dump

CSV = "text/csv"
MOST_ROWS = 50_000
MOST_PROBLEMS = 1000  # that are listed
BATCH = 1000  # rows of one statement that reads
PART = 200  # rows of one transaction: whoever wants a product that it changes waits for some 20 ms
LARGEST_BATCH = 512 * 1024  # characters of one statement's rows
STATEMENT_TIMEOUT = 120  # seconds for one statement: a second import waits for the first
STATE = ("name", "description", "price", "image_url", "category_id", "stock_quantity", "is_active")
EXPORTED = ("id", "name", "description", "price", "image_url", "category", "stock_quantity", "is_active")
DEFAULTS = {"description": None, "image_url": None, "category_id": None, "stock_quantity": 0, "is_active": True}
WRITTEN = {"price": str, "is_active": int}  # exact, and as JSON_TABLE takes them
READ = {"price": Decimal, "is_active": bool}
NULLABLE = ("description", "image_url", "category", "category_id")
NO_CATEGORY = "There is no such category. GET /api/categories lists them."

FILE = Upload(CSV, 32 * 1024 * 1024, "id,name,price,category,stock_quantity\r\n,Desk Lamp,19.90,Home & Living,12\r\n")
REHEARSAL = Query(dry_run={"type": "boolean", "default": False})
RESULT = Shape(
    "ImportResult",
    created={"type": "integer", "meta": {"example": 1}},
    updated={"type": "integer", "meta": {"example": 0}},
    dry_run={"type": "boolean", "meta": {"example": False}},
)


def cell(rules, issue=None):
    """Return what turns a cell into a value by the rules of a JSON field, or raises ValueError with a sentence."""
    pattern = re.compile(rules.get("regex") or PATTERNS[rules["type"]])
    longest = rules.get("maxlength", 12)
    convert = CONVERTERS[rules["type"]]
    least, most = (Decimal(str(rules[bound])) if bound in rules else None for bound in ("min", "max"))
    said = issue or sentence(rules)

    def converted(text):
        if len(text) > longest or not pattern.match(text):
            raise ValueError(said)
        value = convert(text)
        if least is not None and not least <= value <= most:
            raise ValueError(said)
        return value

    return converted


PATTERNS = {"integer": r"[0-9]+\Z", "amount": r"[0-9]+(\.[0-9]{1,2})?\Z", "boolean": r"(?i:true|false|1|0)\Z"}
CONVERTERS = {"string": str, "integer": int, "amount": Decimal, "boolean": lambda text: text.lower() in ("true", "1")}
COLUMNS = {  # resources/products.py has the same for JSON
    "id": cell(fields.ID, "Must be empty or the id of a product."),
    "name": cell(fields.line(255, "")),
    "description": cell(fields.text("")),
    "price": cell(fields.AMOUNT),
    "image_url": cell(fields.address(500, "")),
    "category": cell(fields.line(100, ""), NO_CATEGORY),
    "category_id": cell(fields.ID, NO_CATEGORY),
    "stock_quantity": cell(fields.COUNT),
    "is_active": cell(fields.FLAG),
}


@app.post(
    "/api/products/import",
    auth=ADMIN,
    query=REHEARSAL,
    consumes=FILE,
    returns=RESULT,
    raises=(Conflict,),
    timeout=STATEMENT_TIMEOUT,
    message="Products imported.",
)
def import_products(db, database, upload, query, *, user, record):
    """Add and change products from a CSV table: all of it or nothing.

    The first row names the columns, in any order: id, name, description, price, image_url, category (a name) or
    category_id, stock_quantity, is_active. A row with an id changes that product, one without adds a product, which
    needs name and price. An empty cell is null where null is allowed, and otherwise as if the column were missing. At
    most 50,000 rows and 32 MiB, in UTF-8. With dry_run=true it is checked and nothing is stored. The details of a 400
    list the first 1000 problems by row, as a spreadsheet counts them, and the total.

    What is checked is stored part by part, so that the shop goes on meanwhile: for some seconds others see some of it.
    Where the shop breaks down amid that, the next import stores the rest and answers 409, once.
    """
    # What `db` locks lasts until the end: other imports wait, and the categories stay. No product is locked by it.
    problems = Problems()
    rows = read(upload, problems)
    db.one("imports/lock")
    if store(database, record):
        raise Conflict("An earlier import had been cut short; the rest of it is stored now. Look, then import again.")
    find_categories(db, rows, problems)
    find_products(db, rows, problems)
    problems.settle()
    if not query["dry_run"]:
        database.transaction(lambda db: decide(db, user, rows))
        store(database, record)
    changed = sum("id" in row for _, row in rows)
    return {"created": len(rows) - changed, "updated": changed, "dry_run": query["dry_run"]}


@app.get(
    "/api/products/export", auth=ADMIN, produces="text/csv; charset=utf-8", message="All products, as a CSV table."
)
def export_products(database):
    """Export all products as a CSV table, withdrawn ones too; what comes out can be imported again.

    Each product is as it was when its row was read. Where the export breaks off, the connection is closed before the
    end of the body (the last chunk is missing), so that half a table is no whole one.
    """
    response.set_header("Content-Disposition", 'attachment; filename="products.csv"')
    return lines_of(database)


def lines_of(database):
    """Yield the table in pieces, each read in a transaction of its own: it is sent while it is made."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(EXPORTED)
    last, rows = 0, [None]
    while rows:
        rows = database.transaction(lambda db, last=last: db.many("products/export", after_id=last, limit=BATCH))
        for row in rows:
            row["is_active"] = "true" if row["is_active"] else "false"
            table.writerow([row[name] for name in EXPORTED])
            last = row["id"]
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


class Problems:
    """What is wrong with the rows, the first MOST_PROBLEMS of it."""

    def __init__(self):
        self.listed, self.total = [], 0

    def add(self, row, field, issue):
        """Note one."""
        self.total += 1
        if len(self.listed) < MOST_PROBLEMS:
            self.listed.append((row, field, issue))

    def settle(self):
        """Raise InvalidRows if there are any."""
        if self.total:
            raise InvalidRows(sorted(self.listed, key=lambda problem: problem[0]), self.total)


def read(upload, problems):
    """Return [(row number, values by column)] of the table's good rows; raise ValidationError where it is none."""
    try:
        text = upload.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValidationError(("file", "Must be text in UTF-8.")) from None
    if "\x00" in text:
        raise ValidationError(("file", "Must not contain NUL characters."))
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    found, ids, number = [], set(), 0
    try:
        columns = header(next(table, []))
        for number, cells in enumerate(table, 2):
            if number > MOST_ROWS + 1:
                raise ValidationError(("file", f"Must have at most {MOST_ROWS} rows. Split it."))
            if not cells:  # an empty line
                continue
            if len(cells) != len(columns):
                problems.add(
                    number, "row", f"Must have {len(columns)} cells, as the first row has; it has {len(cells)}."
                )
            elif (row := values(number, columns, cells, problems)) is not None:
                if row.get("id") in ids:
                    problems.add(number, "id", "Must stand in one row only; it stands in an earlier one too.")
                ids.add(row.get("id", -number))
                found.append((number, row))
    except csv.Error:
        where = (
            f"Cannot be read behind row {max(number, 1)}: a quote is not closed, not doubled, or a cell is too long."
        )
        raise ValidationError(("file", where)) from None
    return found


def header(cells):
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


def values(number, columns, cells, problems):
    """Return one row's values, or None where something is wrong with them."""
    row, before = {}, problems.total
    for column, cell in zip(columns, cells, strict=True):
        if not cell:
            if column in NULLABLE:
                row[column] = None
            continue
        try:
            row[column] = COLUMNS[column](cell)
        except ValueError as error:
            problems.add(number, column, str(error))
    given = {column for column, cell in zip(columns, cells, strict=True) if cell}
    for column in ("name", "price") if "id" not in given else ():
        if column not in given:
            problems.add(number, column, "Is required for a new product.")
    return row if problems.total == before else None


def find_categories(db, rows, problems):
    """Put category_id in place of category, and lock the categories until the end: none is deleted meanwhile."""
    named = {row["category"]: None for _, row in rows if row.get("category") is not None}
    names = list(named)
    for part in parts(names, BATCH):
        for found in db.many("categories/named", names=text_of(part)):
            named[part[found["position"] - 1]] = found["id"]
    ids = sorted({*named.values(), *(row.get("category_id") for _, row in rows)} - {None})
    held = {found["id"] for part in parts(ids, BATCH) for found in db.many("categories/lock_many", ids=text_of(part))}
    for number, row in rows:
        if row.get("category_id") is not None and row["category_id"] not in held:
            problems.add(number, "category_id", NO_CATEGORY)
        if "category" in row:
            name = row.pop("category")
            row["category_id"] = named.get(name)
            if name is not None and row["category_id"] not in held:
                problems.add(number, "category", NO_CATEGORY)


def find_products(db, rows, problems):
    """Look whether the products that rows name are there; they are never deleted."""
    ids = sorted({row["id"] for _, row in rows if "id" in row})
    known = {found["id"] for part in parts(ids, BATCH) for found in db.many("products/existing", ids=text_of(part))}
    for number, row in rows:
        if "id" in row and row["id"] not in known:
            problems.add(number, "id", "There is no such product. Leave the id empty to add one.")


def decide(db, user, rows):
    """Put the rows down to be stored, all of them or none; in the order of ids, so that locks are taken in it."""
    for part in parts(sorted((row for _, row in rows), key=lambda row: row.get("id", LARGEST_ID + 1)), PART):
        db.add("imports/add", user_id=user["id"], user_name=user["username"], document=text_of(part))


def store(database, record):
    """Store what has been put down, each part in a transaction of its own; return how many parts there were."""
    done = 0
    while database.transaction(lambda db: store_part(db, record)):
        done += 1
    return done


def store_part(db, record):
    """Store the first part of what has been put down, and tell of it; return whether there was one.

    New products are added one by one: only so their ids are known for certain, since others add meanwhile. Where a
    crash came between, a category may be gone: its products have none then.
    """
    part = db.one("imports/next")
    if part is None:
        return False
    rows = [converted(row, READ) for row in json.loads(part["document"])]
    named = {row["category_id"] for row in rows if row.get("category_id") is not None}
    there = {None, *(found["id"] for found in db.many("categories/lock_many", ids=text_of(sorted(named))))}
    rows = [row if row.get("category_id") in there else row | {"category_id": None} for row in rows]
    wanted = {row["id"]: row for row in rows if "id" in row}
    before = db.many("products/lock_many", ids=text_of(sorted(wanted)))
    changes = [(old, new) for old in before if (new := old | wanted[old["id"]]) != old]
    db.run("products/import_update", rows=text_of([new for _, new in changes]))
    added = [(db.add("products/add", **new), new) for new in (DEFAULTS | row for row in rows if "id" not in row)]
    told = [("product", new["id"], "changed", state(old), state(new)) for old, new in changes]
    told += [("product", id, "created", None, state(new)) for id, new in added]
    record(db, {"id": part["user_id"], "username": part["user_name"]}, told)
    db.run("imports/remove", id=part["id"])
    return True


def parts(rows, most):
    """Yield lists of at most so many rows, and of few enough characters for one statement."""
    part, size = [], 0
    for row in rows:
        part.append(row)
        size += len(str(row))
        if len(part) == most or size > LARGEST_BATCH:
            yield part
            part, size = [], 0
    if part:
        yield part


def text_of(rows):
    """Return a document for a statement, from ids, names or rows."""
    return dump([converted(row, WRITTEN) if isinstance(row, dict) else row for row in rows]).decode()


def converted(row, how):
    """Return a row with some of its values changed, {column: function}."""
    return {name: how[name](value) if name in how else value for name, value in row.items()}


def state(product):
    """Return what the audit trail keeps of a product."""
    return {name: product[name] for name in STATE}
