"""Every order of every list and search gives the same products, and each as GET /api/products/{id} has it."""

import collections
import itertools

import pytest
from test_products import get, pages_of
from test_products_search import SORTS, way

from resources import products_list, products_search

assert way  # a fixture of that page

FILTERS = {
    "none": {},
    "category": {"category_id": "{lights}"},
    "categories": {"category_id": "{desks},{lights},{desks}"},
    "a category that there is not": {"category_id": "{lights},999999999999"},
    "min_price": {"min_price": "14.50"},
    "max_price": {"max_price": "14.50"},
    "in_stock": {"in_stock": "true"},
    "all": {"category_id": "{desks},{lights}", "min_price": "11.50", "max_price": "16.50", "in_stock": "true"},
}
PASSES = {
    "category_id": lambda product, text: str(product["category_id"]) in text.split(","),
    "min_price": lambda product, text: product["price"] >= float(text),
    "max_price": lambda product, text: product["price"] <= float(text),
    "in_stock": lambda product, text: product["stock_quantity"] > 0,
}
KEYS = {
    "newest": lambda product: product["created_at"],
    "price": lambda product: product["price"],
    "name": lambda product: product["name"].lower(),
}


@pytest.fixture
def products(client, make):
    """What is on sale, as it is shown one by one: no two columns alike, and as many withdrawn that look the same."""
    categories = [None, make.category("Lights"), make.category("Desks")]
    ids = []
    for number, active in itertools.product(range(10), (1, 0)):
        id = make.product(
            f"{'hbeicgajdf'[number]} lamp shade xs",
            f"{10 + number * 7 % 10}.50",
            number % 4 and 100 + number,
            description=f"Description {number}",
            image_url=f"/{number}.jpg",
            category_id=categories[number % 3],
            is_active=active,
            created_at=f"2026-01-{1 + number * 3 % 10:02} 00:00:00",
            updated_at=f"2026-02-{1 + number:02} 00:00:00",
        )
        ids += [id] * active
    return [client.get(f"/api/products/{id}").json["data"] for id in ids]


def in_order(products, sort):
    """Return them as this order has them; no two have the same key."""
    if sort == "relevance":
        return products
    key = {"oldest": "newest"}.get(sort, sort.removeprefix("-"))
    return sorted(products, key=KEYS[key], reverse=sort == "newest" or sort.startswith("-"))


def passing(products, filters, *without):
    """Return the products that pass the filters, without some of them."""
    kept = {name: text for name, text in filters.items() if name not in without}
    return [product for product in products if all(PASSES[name](product, text) for name, text in kept.items())]


def facets_of(products, filters):
    """Return what the facets must be: the counts without the filter by category, the prices without that by price."""
    counted = passing(products, filters, "category_id")
    prices = [product["price"] for product in passing(products, filters, "min_price", "max_price")]
    counts = collections.Counter((product["category_id"], product["category_name"]) for product in counted)
    return dict(counts), {"min": min(prices), "max": max(prices)}


def check(client, products, query, sort):
    """Walk all pages under each filter: what is right is there, in its order, whole, and counted."""
    known = {product["category_name"]: product["category_id"] for product in products}
    for name, given in FILTERS.items():
        filters = {
            parameter: text.format(lights=known["Lights"], desks=known["Desks"]) for parameter, text in given.items()
        }
        wanted = in_order(passing(products, filters), sort)
        asked = {**query, **filters, "sort": sort, "per_page": 3, "facets": "true"}
        items = []

        for data in pages_of(client, asked):
            items += data["items"]
            assert len(items) <= len(wanted), name  # a cursor that leads back would lead on for ever
            assert data["pagination"]["total"] == len(wanted), name
            categories, price = data["facets"]["categories"], data["facets"]["price"]
            counts = {(facet["category_id"], facet["category_name"]): facet["count"] for facet in categories}
            assert (counts, price) == facets_of(products, filters), name
            assert len(counts) == len(categories), name

        if sort == "relevance":
            items, wanted = [sorted(all, key=lambda product: product["id"]) for all in (items, wanted)]
        assert items == wanted, name
        by_number = [item for page in range(1, 6) for item in get(client, {**asked, "page": page})["items"]]
        assert len(by_number) == len(wanted) and all(item in wanted for item in by_number), name


@pytest.mark.parametrize("sort", SORTS)
def test_a_list_has_what_is_on_sale_and_each_product_as_it_is_shown_alone(client, products, sort):
    check(client, products, {}, sort)


def test_ids_gives_these_in_that_order_those_that_are_sold(client, products, make):
    withdrawn = make.product(is_active=0)
    first, *_, last = products

    data = get(client, {"ids": f"{last['id']},{withdrawn},{first['id']},999999999999,{last['id']}"})

    assert data["items"] == [last, first]
    assert data["pagination"] == {
        "page": 1,
        "per_page": 100,
        "total": 2,
        "pages": 1,
        "has_next": False,
        "has_prev": False,
        "next": None,
    }


def test_ids_gives_up_to_100_on_one_page(client, make):
    made = make.products(101)[::-1]

    assert [item["id"] for item in get(client, {"ids": ",".join(map(str, made[1:]))})["items"]] == made[1:]
    refused = client.get("/api/products", {"ids": ",".join(map(str, made))})
    assert refused.json["error"]["details"]["issue"] == (
        "Must be 1 to 100 ids, separated by commas: whole numbers of at least 1."
    )


def test_ids_of_nothing_that_is_sold_is_an_empty_page(client, make):
    data = get(client, {"ids": make.product(is_active=0)})

    assert data["items"] == [] and (data["pagination"]["total"], data["pagination"]["pages"]) == (0, 0)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1,", "1 ,2", "1.0", "%D9%A1", "9" * 19])
def test_ids_that_are_none_are_refused(client, text):
    details = client.get(f"/api/products?ids={text}").json["error"]["details"]

    assert details["field"] == "ids" and details["issue"].startswith("Must be 1 to 100 ids")


def test_ids_stands_alone_and_every_other_parameter_is_named(client, products):
    others = {
        "category_id": "1",
        "min_price": "0",
        "max_price": "0",
        "search": "lamp",
        "page": "1",
        "per_page": "5",
        "sort": "newest",
        "in_stock": "true",
        "after": "W10",
        "facets": "true",
    }

    answer = client.get("/api/products", {"ids": 1, **others})

    assert answer.status_int == 400
    told = {error["field"]: error["issue"] for error in answer.json["error"]["details"]["errors"]}
    assert told == dict.fromkeys(others, "Must be left out when 'ids' is given.")


def test_what_asks_for_nothing_may_stand_beside_ids(client, products):
    nothing = {"search": " ", "in_stock": "false", "facets": "false", "per_page": 20}

    assert get(client, {"ids": products[0]["id"], **nothing})["items"] == products[:1]


@pytest.mark.parametrize("sort", SORTS)
def test_many_products_of_several_categories_are_read_in_the_order_of_the_list(client, products, monkeypatch, sort):
    monkeypatch.setattr(products_list, "FEW", 1)

    check(client, products, {}, sort)


@pytest.mark.slow
@pytest.mark.parametrize("sort", [*SORTS, "relevance"])
def test_a_search_has_what_is_on_sale_and_each_product_as_it_is_shown_alone(client, products, way, sort):
    check(client, products, {"search": "lamp shade"}, sort)


@pytest.mark.parametrize("sort", SORTS)
def test_a_search_for_short_words_has_the_same(client, products, sort):
    check(client, products, {"search": "xs"}, sort)


@pytest.mark.parametrize("sort", SORTS)
def test_what_is_read_window_by_window_is_the_same(client, products, monkeypatch, sort):
    monkeypatch.setattr(products_search, "READ_UNINDEXED", 4)
    items = []

    for data in pages_of(client, {"search": "xs", "sort": sort, "per_page": 3}):
        items += data["items"]
        assert len(items) <= len(products)

    assert items == in_order(products, sort)
