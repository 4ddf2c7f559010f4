"""Orders of products, and the cursors of their pages."""

import base64
import json

import pytest
from test_products import get, names, pages_of

ORDERS = {
    "newest": ["c", "b", "a"],
    "oldest": ["a", "b", "c"],
    "price": ["b", "a", "c"],
    "-price": ["c", "a", "b"],
    "name": ["a", "b", "c"],
    "-name": ["c", "b", "a"],
}


@pytest.mark.parametrize("sort", ORDERS)
def test_each_order_is_what_its_name_says(client, make, sort):
    for name, price, day in (("a", "9.00", 1), ("b", "5.00", 2), ("c", "100.00", 3)):
        make.product(name, price, created_at=f"2026-01-0{day} 00:00:00")

    assert names(client.get("/api/products", {"sort": sort})) == ORDERS[sort]


@pytest.mark.parametrize("search", ["", "lamp"], ids=["listing", "searching"])
@pytest.mark.parametrize("sort", [*ORDERS, "relevance"])
def test_pages_and_cursors_walk_every_product_once_even_where_all_are_equal(client, make, sort, search):
    made = set(make.products(7, name="lamp", price="5.00", created_at="2026-01-01 00:00:00"))
    query = {"sort": sort, "per_page": 3} | ({"search": search} if search else {})

    by_page = [i["id"] for page in (1, 2, 3) for i in get(client, query | {"page": page})["items"]]
    by_cursor = list(pages_of(client, query))

    assert [item["id"] for page in by_cursor for item in page["items"]] == by_page
    assert set(by_page) == made and len(by_page) == 7
    assert by_cursor[-1]["pagination"]["page"] == 3 and by_cursor[-1]["pagination"]["has_prev"]


@pytest.mark.parametrize("sort", ["newest", "price", "name", "relevance"])
def test_a_cursor_neither_repeats_nor_skips_while_others_insert(client, make, sort):
    made = make.products(6, name="lamp", price="5.00", created_at="2026-01-02 00:00:00")
    query = {"sort": sort, "per_page": 2, "search": "lamp"}
    first = get(client, query)

    make.products(3, name="lamp", price="5.00", created_at="2026-01-03 00:00:00")
    second = get(client, query | {"after": first["pagination"]["next"]})

    seen = [item["id"] for item in first["items"] + second["items"]]
    assert len(set(seen)) == 4
    if sort in ("newest", "relevance"):  # what came later stands before the cursor, or does not count
        assert seen == sorted(made, reverse=True)[:4]


@pytest.mark.parametrize("search", [{}, {"search": "lamp"}, {"search": "xs"}], ids=["list", "words", "short"])
@pytest.mark.parametrize("sort", [*ORDERS, "relevance"])
def test_every_cursor_that_the_shop_gives_is_taken_back(client, make, sql, sort, search):
    names = ["😀" * 246, "\\" * 246, '"' * 246, "\x01" * 246, "ก" * 246, "1"]
    dates = ["1970-01-01 00:00:01", "1999-12-31 23:59:59", "2000-01-01 00:00:00", "2026-02-28 12:00:00"]
    dates += ["2037-12-31 23:59:59", "2038-01-19 03:14:07"]
    prices = ["0.01", "99999999.99", "5.00", "10.00", "100000.10", "7.77"]
    for name, date, price in zip(names, dates, prices, strict=True):
        make.product(f"{name} lamp xs", price, created_at=date)

    pages = pages_of(client, {"sort": sort, "per_page": 1, **search})
    seen = [item["id"] for page in pages for item in page["items"]]

    assert len(seen) == len(set(seen)) == 6


def test_a_cursor_of_another_order_is_refused(client, make):
    make.products(2)
    cursor = get(client, {"per_page": 1, "sort": "price"})["pagination"]["next"]

    assert client.get("/api/products", {"sort": "name", "after": cursor}).status_int == 400


@pytest.mark.parametrize(
    "forged",
    [
        '["price",2,1,"1 OR 1=1",1]',
        '["price",2,1,5,1]',
        '["price",2,1,"5.00",-1]',
        '["price",2,true,"5.00",1]',
        '["price",0,1,"5.00",1]',
        '["price",true,1,"5.00",1]',
        '["price",2,1,"5.00",1,"2026-01-01 00:00:00",1]',
        '["price",2,1,"5.00",1,null]',
        "[[[[",
        '"price"',
    ],
)
def test_a_forged_cursor_is_a_400(client, forged):
    cursor = base64.urlsafe_b64encode(forged.encode()).decode()

    assert client.get("/api/products", {"sort": "price", "after": cursor}).status_int == 400


@pytest.mark.parametrize("sort", ["name", "-name", "newest"])
@pytest.mark.parametrize("value", ["\ud800", "\udcbf", "2024-02-30 00:00:00", "2024-13-01 00:00:00"])
def test_a_cursor_of_half_a_character_or_no_date_is_no_500(client, make, sort, value):
    make.product()
    cursor = base64.urlsafe_b64encode(json.dumps([sort, 2, 1, value, 5]).encode()).decode()

    for search in ({}, {"search": "product"}):
        answer = client.get("/api/products", {"sort": sort, "after": cursor, **search})
        assert answer.status_int == (200 if sort != "newest" and value.startswith("2024") else 400)


MOMENT = "2024-02-29 00:00:00"


@pytest.mark.parametrize(
    ("position", "status"),
    [
        ([1, MOMENT, 7], 200),
        ([1, MOMENT, 7, None, None, None, None], 200),
        ([1, MOMENT, 7, None, None, MOMENT, 5], 200),
        ([1, MOMENT, 7, MOMENT, 5, None, None], 200),
        ([1, MOMENT, 7, MOMENT, 5, MOMENT, 4], 200),
        ([None, None, None, MOMENT, 5, None, None], 200),
        ([1, "2023-02-29 00:00:00", 7], 400),
        ([1, MOMENT, 7, None, 5, None, None], 400),
        ([1, MOMENT, 7, MOMENT, None, None, None], 400),
        ([1, MOMENT, 7, None, None, MOMENT, None], 400),
        ([1, MOMENT, 7, MOMENT, 5], 400),
        ([1, MOMENT, 7, MOMENT], 400),
        ([None, None, None], 400),
        ([None, None, None, None, None, None, None], 400),
        ([None, None, None, MOMENT, 5, MOMENT, 4], 400),
        ([True, MOMENT, 7], 400),
        ([-1, MOMENT, 7], 400),
    ],
)
def test_a_cursor_by_relevance_has_one_of_six_forms(client, make, position, status):
    make.products(2, name="lamp")
    cursor = base64.urlsafe_b64encode(json.dumps(["relevance", 2, 1, *position]).encode()).decode()

    assert client.get("/api/products", {"search": "lamp", "after": cursor}).status_int == status
