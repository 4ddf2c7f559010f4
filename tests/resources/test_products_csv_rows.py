"""Tables that are refused, and the rules of their cells."""

import csv
import io
import json

import pytest
from test_products_changes import problem
from test_products_csv import details, stored, take_in
from test_products_fields import BAD

ROWS = [
    ("name,price\n,5\n", [(2, "name")]),
    ("name,price\nLamp,\n", [(2, "price")]),
    ("name\nLamp\n", [(2, "price")]),
    ("name,price\nLamp,5\nDesk\n", [(3, "row")]),
    ("name,price\nLamp,5,6\n", [(2, "row")]),
    ("id,name,price\n999999,Lamp,5\n", [(2, "id")]),
    ("id,name,price\n0,Lamp,5\nx,Lamp,5\n2147483648,Lamp,5\n-1,Lamp,5\n", [(2, "id"), (3, "id"), (4, "id"), (5, "id")]),
    ("name,price,category\nLamp,5,Nowhere\nLamp,5," + "x" * 101 + "\n", [(2, "category"), (3, "category")]),
    ("name,price,category_id\nLamp,5,77\nLamp,5,x\n", [(2, "category_id"), (3, "category_id")]),
    ("name,price,is_active\nLamp,5,yes\n", [(2, "is_active")]),
    ("name,price,stock_quantity\nLamp,5,-1\nLamp,5,1.0\nLamp,5,٣\n", [(row, "stock_quantity") for row in (2, 3, 4)]),
    ("name,price,description\nLamp,5," + "x" * 16001 + "\n", [(2, "description")]),
    ('name,price,description\n"La\nmp",x,"several\nlines"\nLamp,x,\n', [(2, "name"), (2, "price"), (3, "price")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), ROWS)
def test_bad_rows_are_listed_by_number_and_field_and_nothing_is_stored(client, root, make, sql, text, problems):
    make.product("Old")
    refused = take_in(client, root, text)

    assert details(refused) == problems
    assert refused.json["error"]["details"]["total"] == len(problems)
    assert f"row {problems[0][0]}, {problems[0][1]}: " in refused.json["error"]["message"]
    assert [row["name"] for row in stored(sql)] == ["Old"]
    assert sql("SELECT COUNT(*) AS n FROM audit_entries") == [{"n": 0}]


@pytest.mark.parametrize("field", ["name", "image_url"])
def test_the_rules_of_a_cell_are_those_of_json(client, root, field):
    values = [json.loads(written) for written in BAD[field] if written[0] == '"' and written not in ('""', '"\\u0000"')]
    for value in values:
        text = io.StringIO()
        table = csv.DictWriter(text, ["name", "price", "image_url"])
        table.writeheader()
        table.writerow({"name": "Lamp", "price": "5", field: value})

        assert details(take_in(client, root, text.getvalue())) == [(2, field)], value


@pytest.mark.parametrize("price", ["0", "1.005", "1e2", "5,00", " 5", "+5", "-5", "٥", "NaN", "100000000", "1_0", "5."])
def test_a_bad_price_in_a_cell_is_refused(client, root, price):
    assert details(take_in(client, root, f'name,price\nLamp,"{price}"\n')) == [(2, "price")]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "names the columns"),
        (b"\n", "names the columns"),
        (b"name,price\n\xff,5\n", "UTF-8"),
        ("name,price\nLamp,5\n".encode("utf-16"), "UTF-8"),
        (b"name,price\na\x00b,5\n", "NUL"),
        (b'name,price\n"Lamp,5\n', "quote"),
        (b'name,price\n"La"mp,5\n', "quote"),
        (b"name,price\n" + b"x" * 200_000 + b",5\n", "too long"),
        (b"name;price\nLamp;5\n", "Unknown column"),
        (b"name,prize\nLamp,5\n", "did you mean price?"),
        (b"name,price,name\nLamp,5,Lamp\n", "once"),
        (b"name,price,category,category_id\nLamp,5,,\n", "not both"),
        (b"name,price\n" + b"x,1\n" * 50_001, "50000"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(client, root, sql, body, word):
    refused = take_in(client, root, body)

    assert problem(refused) == (400, "VALIDATION_ERROR", "file")
    assert word in refused.json["error"]["message"]
    assert stored(sql) == []


def test_an_id_stands_in_one_row_only(client, root, make):
    id = make.product()

    assert details(take_in(client, root, f"id,name\n{id},a\n{id},b\n")) == [(3, "id")]


def test_a_byte_order_mark_and_any_line_ends_are_fine(client, root, sql):
    for ends in ("\n", "\r\n", "\r"):
        text = "\ufeff" + ends.join(["Name, PRICE ", "Lamp,5", ""])
        assert take_in(client, root, text, kind="text/csv; charset=UTF-8; header=present").status_int == 200
    assert [row["name"] for row in stored(sql)] == ["Lamp"] * 3


def test_only_the_first_thousand_problems_are_listed(client, root):
    refused = take_in(client, root, "name,price\n" + "Lamp,x\n" * 1500)

    found = refused.json["error"]["details"]
    assert (len(found["errors"]), found["total"]) == (1000, 1500)
    assert "1500 problems" in refused.json["error"]["message"]
