"""Orders as CSV, through the wired shop."""

import csv
import io
import json

import pytest
from helpers import bearer, login, register
from test_orders import ADDRESS
from test_orders_lists import FILTERS, NUMBERS, orders  # noqa: F401 - a fixture
from test_products_csv import WORDS

from resources import orders_export


def table(client, headers, query=""):
    """Return the rows of an export as dicts."""
    answer = client.get(f"/api/orders/export{query}", headers=headers)
    assert answer.status_int == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))


def test_a_row_has_what_the_order_has_and_the_address_in_columns(client, make, root):
    make.order(
        number="00000-AAAAA",
        total="59.70",
        item_count=3,
        payment_status="partly_refunded",
        paid="59.70",
        refunded="9.99",
        note="Please ring twice.",
        tracking="1Z 999",
        shipping_address=json.dumps(ADDRESS),
        placed_at="2026-03-01 12:00:00",
        expires_at="2026-03-15 12:00:00",
    )

    [row] = table(client, root)

    assert list(row) == list(orders_export.HEADER)
    assert {name: value for name, value in row.items() if value} == {
        "number": "00000-AAAAA",
        "status": "placed",
        "payment_status": "partly_refunded",
        "currency": "EUR",
        "total": "59.70",
        "paid": "59.70",
        "refunded": "9.99",
        "item_count": "3",
        "placed_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-15T12:00:00Z",
        "email": "ada@example.com",
        "note": "Please ring twice.",
        "tracking": "1Z 999",
        **{f"shipping_{name}": value for name, value in ADDRESS.items()},
    }


def test_cells_are_exactly_what_is_stored(client, make, root):
    make.order(note=WORDS, tracking="=1+1", shipping_address=json.dumps({**ADDRESS, "name": '@SUM(A1), "x"'}))

    [row] = table(client, root)

    assert (row["note"], row["tracking"], row["shipping_name"]) == (WORDS, "=1+1", '@SUM(A1), "x"')


@pytest.mark.parametrize(("query", "expected"), [*FILTERS, ("search=guest0@example.com", [NUMBERS[1], NUMBERS[3]])])
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_it_is_the_list_without_pages(client, orders, root, monkeypatch, query, expected, batch):  # noqa: F811
    monkeypatch.setattr(orders_export, "BATCH", batch)

    assert [row["number"] for row in table(client, root, f"?{query}")] == expected


def test_no_orders_are_a_table_too(client, root):
    answer = client.get("/api/orders/export", headers=root)

    assert answer.body.decode() == ",".join(orders_export.HEADER) + "\r\n"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("query", ["status=open", "from=x", "per_page=5", "after=x", "search=ada"])
def test_a_bad_query_is_refused_by_name_before_anything_is_sent(client, root, query):
    refused = client.get(f"/api/orders/export?{query}", headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, query.partition("=")[0])
    assert "Content-Disposition" not in refused.headers


def test_it_is_for_administrators_and_the_log_says_who_took_it(client, root, caplog):
    register(client, "ada")
    caplog.set_level("INFO", "bodega.audit")

    refused = client.get("/api/orders/export", headers=bearer(login(client, "ada")))
    client.get("/api/orders/export", headers=root)

    assert refused.status_int == 403
    assert [record.event for record in caplog.records if record.event != "login"][-2:] == [
        "admin_access",
        "orders_export",
    ]
