"""Export of orders as a table (CSV, RFC 4180), for administrators: for books, labels and statistics.

Cells are exactly what is stored, also one like =1+1 that a spreadsheet would calculate: see products_csv.py. In a
spreadsheet, import the columns as text.
"""

import json
from collections.abc import Iterator
from typing import Any

from bottle import response

from core.app import app
from core.contract.csv_table import pieces
from core.contract.validation import Query
from core.db.database import Database, Row, Session
from core.identity import audit
from core.identity.auth import ADMIN
from resources.orders_lists import FILTERS, position, read, wanted_by
from resources.orders_rules import ADDRESS

BATCH = 1000  # rows of one statement
COLUMNS = (
    *("number", "status", "payment_status", "currency", "total", "paid", "refunded", "item_count"),
    *("placed_at", "expires_at", "email", "note", "tracking"),
)
HEADER = (*COLUMNS, *(f"shipping_{name}" for name in ADDRESS.fields))
TIME = "%Y-%m-%dT%H:%M:%SZ"


@app.get(
    "/api/orders/export",
    auth=ADMIN,
    query=Query(**FILTERS),
    produces="text/csv; charset=utf-8",
    compress=True,
    message="Orders, as a CSV table.",
)
def export_orders(database: Database, query: Row, user: Row) -> Iterator[bytes]:
    """Export orders as a CSV table, the newest first, with the filters of the list.

    A row is an order, without its lines; the shipping address takes a column for each of its fields. Times are in UTC.
    Each order is as it was when its row was read. Where the export breaks off, the connection is closed before the end
    of the body (the last chunk is missing), so that half a table is no whole one.
    """
    wanted = wanted_by(query, user)
    audit.note("orders_export", user_id=user["id"])  # it has the addresses of many people
    response.set_header("Content-Disposition", 'attachment; filename="orders.csv"')
    return pieces(HEADER, lines_of(database, wanted))


def lines_of(database: Database, wanted: Row) -> Iterator[list[list[Any]]]:
    """Yield the rows of the table in batches, each read in a transaction of its own."""
    last: Row | None = None

    def batch(db: Session) -> list[Row]:
        return read(db, wanted, BATCH, *(position(last) if last else (None, None)))

    more = True
    while more:
        rows = database.transaction(batch)
        more = len(rows) == BATCH
        last = rows[-1] if rows else None
        yield [cells_of(row) for row in rows]


def cells_of(order: Row) -> list[Any]:
    """Return the cells of an order; None leaves one empty."""
    times = {name: order[name] and order[name].strftime(TIME) for name in ("placed_at", "expires_at")}
    address = json.loads(order["shipping_address"] or "{}")
    return [*((order | times)[name] for name in COLUMNS), *(address.get(name) for name in ADDRESS.fields)]
