"""Import and export of the catalogue as a table (CSV, RFC 4180). For administrators.

`import_products` describes the columns. Cells are stored and exported exactly as they are, also one like =1+1 that a
spreadsheet would calculate: the table is for another shop, a script or a backup. In a spreadsheet, import the columns
as text.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from bottle import response

from core.app import LARGEST_ID, app
from core.contract.csv_table import pieces
from core.contract.idempotency import Once
from core.contract.shapes import Shape, field
from core.contract.validation import Query, Upload
from core.db.database import Database, Row, Session
from core.errors import Conflict
from core.identity.audit import Record
from core.identity.auth import ADMIN
from core.json_text import dump
from resources.products_csv_rows import EXPORTED, Problems, Rows, read
from resources.products_events import tell
from resources.products_fields import DEFAULTS, NO_CATEGORY, lock_categories, state
from resources.products_words import words_kept

CSV = "text/csv"
BATCH = 1000  # rows of one statement that reads
PART = 200  # rows of one transaction: others wait some 20 ms for a product that it changes
LARGEST_BATCH = 512 * 1024  # characters of one statement's rows
STATEMENT_TIMEOUT = 120  # seconds for one statement: a second import waits for the first
WRITTEN: dict[str, Callable[[Any], Any]] = {"price": str, "is_active": int}  # exact, and as JSON_TABLE takes them
READ: dict[str, Callable[[Any], Any]] = {"price": Decimal, "is_active": bool}

FILE = Upload(CSV, 32 * 1024 * 1024, "id,name,price,category,stock_quantity\r\n,Desk Lamp,19.90,Home & Living,12\r\n")
REHEARSAL = Query(
    dry_run={
        "type": "boolean",
        "default": False,
        "meta": {"description": "With true, the table is only checked, and nothing is stored."},
    }
)
RESULT = Shape(
    "ImportResult",
    created=field("integer", "How many rows were added as new products.", 1),
    updated=field("integer", "How many rows changed a product that was there.", 0),
    dry_run=field("boolean", "Whether it was only checked, and nothing was stored.", False),
)


@app.post(
    "/api/products/import",
    auth=ADMIN,
    query=REHEARSAL,
    consumes=FILE,
    returns=RESULT,
    raises=(Conflict,),
    timeout=STATEMENT_TIMEOUT,
    compress=True,
    message="Products imported.",
)
def import_products(
    db: Session, database: Database, upload: bytes, query: Row, *, user: Row, record: Record, once: Once
) -> Row:
    """Add and change products from a CSV table: all of it or nothing.

    The first row names the columns, in any order: id, name, description, price, image_url, category (a name) or
    category_id, stock_quantity, is_active. A row with an id changes that product, one without adds a product, which
    needs name and price. An empty cell is null where null is allowed, and otherwise as if the column were missing. At
    most 50,000 rows and 32 MiB, in UTF-8. With dry_run=true it is checked and nothing is stored. The details of a 400
    list the first 1000 problems by row, as a spreadsheet counts them, and the total.

    What is checked is stored part by part, so that the shop goes on meanwhile: for some seconds others see some of it.
    Where the shop breaks down amid that, the next import stores the rest. It answers 409, once; or, with the
    Idempotency-Key of the one that broke off, what that one would have answered.
    """
    # The locks of `db` last until the end: other imports wait, and no category is deleted. It locks no product.
    problems = Problems()
    rows = read(upload, problems)
    db.one("imports/lock")
    cut_short = store(database, record)

    def decided(deciding: Session) -> Row:
        if cut_short:
            raise Conflict("An earlier import was cut short; the rest of it is stored now. Look, then import again.")
        find_categories(db, rows, problems)
        find_products(db, rows, problems)
        problems.require_none()
        if not query["dry_run"]:
            decide(deciding, user, rows)
        changed = sum("id" in row for _, row in rows)
        return {"created": len(rows) - changed, "updated": changed, "dry_run": query["dry_run"]}

    result = database.transaction(lambda deciding: once(deciding, decided))
    store(database, record)
    return result


@app.get(
    "/api/products/export",
    auth=ADMIN,
    produces="text/csv; charset=utf-8",
    compress=True,
    message="All products, as a CSV table.",
)
def export_products(database: Database) -> Iterator[bytes]:
    """Export all products as a CSV table, withdrawn ones too; what comes out can be imported again.

    Each product is as it was when its row was read. Where the export breaks off, the connection is closed before the
    end of the body (the last chunk is missing), so that half a table is no whole one.
    """
    response.set_header("Content-Disposition", 'attachment; filename="products.csv"')
    return pieces(EXPORTED, lines_of(database))


def lines_of(database: Database) -> Iterator[list[list[Any]]]:
    """Yield the rows of the table in batches, each read in a transaction of its own."""
    last, more = 0, True

    def batch(db: Session) -> list[Row]:
        return db.many("products/export", after_id=last, limit=BATCH)

    while more:
        rows = database.transaction(batch)
        more = bool(rows)
        for row in rows:
            row["is_active"] = "true" if row["is_active"] else "false"
            last = row["id"]
        yield [[row[name] for name in EXPORTED] for row in rows]


def find_categories(db: Session, rows: Rows, problems: Problems) -> None:
    """Replace category by category_id, and lock the categories, so that nobody deletes one meanwhile."""
    named = {row["category"]: None for _, row in rows if row.get("category") is not None}
    names = list(named)
    for part in parts(names, BATCH):
        for found in db.many("categories/named", names=text_of(part)):
            named[part[found["position"] - 1]] = found["id"]
    given = [*named.values(), *(row.get("category_id") for _, row in rows)]
    ids = sorted({id for id in given if id is not None})
    locked = {id for part in parts(ids, BATCH) for id in lock_categories(db, part)}
    for number, row in rows:
        if row.get("category_id") is not None and row["category_id"] not in locked:
            problems.add(number, "category_id", NO_CATEGORY)
        if "category" in row:
            name = row.pop("category")
            row["category_id"] = named.get(name)
            if name is not None and row["category_id"] not in locked:
                problems.add(number, "category", NO_CATEGORY)


def find_products(db: Session, rows: Rows, problems: Problems) -> None:
    """Check that the products of rows with an id exist; products are never deleted."""
    ids = sorted({row["id"] for _, row in rows if "id" in row})
    known = {found["id"] for part in parts(ids, BATCH) for found in db.many("products/existing", ids=text_of(part))}
    for number, row in rows:
        if "id" in row and row["id"] not in known:
            problems.add(number, "id", "There is no such product. Leave the id empty to add one.")


def decide(db: Session, user: Row, rows: Rows) -> None:
    """Add the parts that are to be stored: all of them or none, by id, so that locks are taken in this order."""
    for part in parts(sorted((row for _, row in rows), key=lambda row: row.get("id", LARGEST_ID + 1)), PART):
        db.add("imports/add", user_id=user["id"], user_name=user["username"], document=text_of(part))


def store(database: Database, record: Record) -> int:
    """Store all parts that were added, each in a transaction of its own; return how many there were."""
    done = 0
    while database.transaction(lambda db: store_part(db, record)):
        done += 1
    return done


def store_part(db: Session, record: Record) -> bool:
    """Store the first part, and record its changes; return whether there was one.

    New products are added one by one: others add products too, so only this way their ids are certain. After a crash a
    category may have been deleted: then its products have none.
    """
    part = db.one("imports/next")
    if part is None:
        return False
    rows = [converted(row, READ) for row in json.loads(part["document"])]
    named = {row["category_id"] for row in rows if row.get("category_id") is not None}
    exists = {None, *lock_categories(db, sorted(named))}
    rows = [row if row.get("category_id") in exists else row | {"category_id": None} for row in rows]
    wanted = {row["id"]: row for row in rows if "id" in row}
    before = db.many("products/lock_many", ids=text_of(sorted(wanted)))
    changes = [(old, new) for old in before if (new := old | wanted[old["id"]]) != old]
    with words_kept(db, changes) as renamed:
        db.run("products/import_update", rows=text_of([new for _, new in changes]))
        added = [(db.add("products/add", **new), new) for new in (DEFAULTS | row for row in rows if "id" not in row)]
        renamed += [id for id, _ in added]
    recorded: list[tuple] = [("product", new["id"], "changed", state(old), state(new)) for old, new in changes]
    recorded += [("product", id, "created", None, state(new)) for id, new in added]
    record(db, {"id": part["user_id"], "username": part["user_name"]}, recorded)
    told = [(new, "changed") for _, new in changes] + [(new | {"id": id}, "created") for id, new in added]
    tell(db, *told)
    db.run("imports/remove", id=part["id"])
    return True


def parts(rows: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Yield lists of at most `most` rows, and of few enough characters for one statement."""
    part: list[Any] = []
    size = 0
    for row in rows:
        part.append(row)
        size += len(str(row))
        if len(part) == most or size > LARGEST_BATCH:
            yield part
            part, size = [], 0
    if part:
        yield part


def text_of(rows: Iterable[Any]) -> str:
    """Return ids, names or rows as the JSON parameter of a statement."""
    return dump([converted(row, WRITTEN) if isinstance(row, dict) else row for row in rows]).decode()


def converted(row: Row, how: dict[str, Callable[[Any], Any]]) -> Row:
    """Return a row with some values converted. `how`: {column: function}."""
    return {name: how[name](value) if name in how else value for name, value in row.items()}
