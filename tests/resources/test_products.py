"""Products: lists, filters, orders, pages, search and facets, through the wired shop."""

import pytest


def names(answer):
    """Return the names on a page."""
    assert answer.status_int == 200, answer.text
    return [item["name"] for item in answer.json["data"]["items"]]


def get(client, query):
    """Return the data of a list."""
    answer = client.get("/api/products", query)
    assert answer.status_int == 200, answer.text
    return answer.json["data"]


def pages_of(client, query):
    """Yield the data of every page of a list, one after the other by their cursors."""
    after = {}
    while after is not None:
        data = get(client, {**query, **after})
        yield data
        after = {"after": data["pagination"]["next"]} if data["pagination"]["next"] else None


def test_a_product_has_the_fields_of_the_contract_and_no_others(client, make):
    lamps = make.category("Lamps")
    id = make.product("Desk Lamp", "19.90", 7, category_id=lamps, description="Warm.", image_url="/lamp.jpg")

    product = client.get(f"/api/products/{id}").json["data"]

    assert product.pop("created_at") == product.pop("updated_at")
    assert product == {
        "id": id,
        "name": "Desk Lamp",
        "description": "Warm.",
        "price": 19.90,
        "image_url": "/lamp.jpg",
        "category_id": lamps,
        "category_name": "Lamps",
        "stock_quantity": 7,
        "is_active": True,
    }


def test_prices_are_exact_numbers_and_times_are_utc_with_z(client, make):
    id = make.product(price="99999999.99", created_at="2026-01-31 12:00:00")

    text = client.get(f"/api/products/{id}").text

    assert '"price":99999999.99,' in text
    assert '"created_at":"2026-01-31T12:00:00Z"' in text


@pytest.mark.parametrize("id", ["0", "-1", "abc", "1.5", "%D9%A1", "99999999999999999999", "2147483648", "1%00", "%FF"])
def test_an_id_that_cannot_exist_is_not_found(client, id):
    answer = client.get(f"/api/products/{id}")

    assert answer.status_int == 404
    assert answer.json["error"]["code"] == "NOT_FOUND"


def test_a_withdrawn_product_is_neither_shown_nor_listed(client, make):
    gone = make.product("Gone", is_active=0)
    make.product("Here")

    assert client.get(f"/api/products/{gone}").status_int == 404
    assert names(client.get("/api/products")) == ["Here"]


def test_filters_include_their_bounds(client, make):
    tea, cups = make.category("Tea"), make.category("Cups")
    make.product("Green", "5.00", category_id=tea)
    make.product("Black", "10.00", category_id=tea)
    make.product("White", "10.01", category_id=tea)
    make.product("Cup", "7.00", category_id=cups)

    found = client.get("/api/products", {"category_id": tea, "min_price": "5", "max_price": "10.00", "sort": "price"})

    assert names(found) == ["Green", "Black"]
    assert found.json["data"]["pagination"]["total"] == 2


def test_the_dearest_price_that_can_be_is_a_bound_that_can_be(client, make):
    make.product("Dear", "99999999.99")

    assert names(client.get("/api/products?min_price=99999999.99&max_price=99999999.99")) == ["Dear"]


FILTERS = {
    "min_price": ({"min_price": "12"}, lambda n: n % 4 >= 2),
    "max_price": ({"max_price": "12"}, lambda n: n % 4 <= 2),
    "in_stock": ({"in_stock": "true"}, lambda n: n % 3 > 0),
    "category": ({"category_id": "even"}, lambda n: n % 2 == 0),
}


@pytest.mark.parametrize("sort", ["newest", "oldest", "price", "-price", "name", "-name"])
@pytest.mark.parametrize("filtered", FILTERS)
def test_a_filter_holds_in_every_order_on_pages_and_behind_cursors(client, make, sort, filtered):
    query, passes = FILTERS[filtered]
    even, odd = make.category("Even"), make.category("Odd")
    for n in range(12):
        make.product(f"Thing {n:02}", price=10 + n % 4, stock=n % 3, category_id=odd if n % 2 else even)
    query = {"sort": sort, "per_page": 4} | query | ({"category_id": even} if filtered == "category" else {})
    expected = [f"Thing {n:02}" for n in range(12) if passes(n)]

    pages = [client.get("/api/products", {**query, "page": page}).json["data"] for page in (1, 2, 3)]
    behind = list(pages_of(client, query))

    assert sorted(item["name"] for page in pages for item in page["items"]) == expected
    assert sorted(item["name"] for page in behind for item in page["items"]) == expected
    assert {page["pagination"]["total"] for page in pages} == {len(expected)}


@pytest.mark.parametrize("search", ["", "lamp", "4k"], ids=["list", "words", "short"])
def test_in_stock_true_lists_only_what_can_be_bought_and_false_changes_nothing(client, make, search):
    there = make.product("Lamp 4k there", stock=1)
    sold_out = make.product("Lamp 4k sold out", stock=0)
    make.product("Lamp 4k withdrawn", stock=1, is_active=0)

    found = {
        given: get(client, {"sort": "oldest", "search": search} | ({"in_stock": given} if given else {}))
        for given in ("true", "false", None)
    }

    assert [item["id"] for item in found["true"]["items"]] == [there]
    assert [item["id"] for item in found["false"]["items"]] == [there, sold_out]
    assert found["false"] == found[None]


@pytest.mark.parametrize("search", ["", "   ", "\u00a0\t", " " * 100])
def test_an_empty_search_is_none(client, make, search):
    make.products(3)

    assert get(client, {"search": search, "facets": "true"}) == get(client, {"facets": "true"})


def test_the_link_header_leads_to_the_next_page(client, make):
    make.products(3)

    answer = client.get("/api/products?per_page=2&page=1&sort=name")
    target = answer.headers["Link"].split(">")[0][1:]

    assert answer.headers["Link"].endswith('; rel="next"')
    assert len(client.get(target).json["data"]["items"]) == 1
    assert "Link" not in client.get(target).headers


def test_pagination_counts_and_a_page_past_the_end_is_empty(client, make):
    make.products(5)

    middle = get(client, {"page": 2, "per_page": 2})["pagination"]
    beyond = get(client, {"page": 1000000000000, "per_page": 2})

    assert {k: middle[k] for k in ("page", "per_page", "total", "pages", "has_next", "has_prev")} == {
        "page": 2,
        "per_page": 2,
        "total": 5,
        "pages": 3,
        "has_next": True,
        "has_prev": True,
    }
    assert beyond["items"] == []
    assert beyond["pagination"]["total"] == 5 and not beyond["pagination"]["has_next"]


def test_an_empty_search_page_past_the_end_still_knows_the_total(client, make):
    make.products(3, name="lamp 4k")

    for search in ("lamp", "4k"):
        assert get(client, {"search": search, "page": 9})["pagination"]["total"] == 3


IDS = "separated by commas: whole numbers of at least 1."
TWENTY_ONE = ",".join(map(str, range(1, 22)))


@pytest.mark.parametrize(
    ("query", "field", "issue"),
    [
        ("min_price=5&max_price=4", "min_price", "Must not be greater than max_price."),
        ("page=0", "page", "Must be a whole number of at least 1."),
        ("page=1_0", "page", "Must be a whole number of at least 1."),
        ("page=%D9%A1", "page", "Must be a whole number of at least 1."),
        ("page=1.0", "page", "Must be a whole number of at least 1."),
        ("per_page=101", "per_page", "Must be a whole number from 1 to 100."),
        ("min_price=nan", "min_price", "Must be an amount from 0 to 99999999.99, with at most two decimals."),
        ("max_price=1.005", "max_price", "Must be an amount from 0 to 99999999.99, with at most two decimals."),
        *(
            (f"category_id={text}", "category_id", f"Must be 1 to 20 ids, {IDS}")
            for text in ("", "x", "0", "1,", "1,,2", "1,-2", "1, 2", "1;2", "1.0", "%D9%A1", "9" * 19, TWENTY_ONE)
        ),
        ("sort=cheap", "sort", "Must be one of newest, oldest, price, -price, name, -name, relevance."),
        ("in_stock=1", "in_stock", "Must be true or false."),
        (f"search={'x' * 101}", "search", "Must be text of at most 100 characters."),
        ("perpage=1", "perpage", "Unknown parameter perpage; did you mean per_page?"),
        ("page=1&page=2", "page", "Must be given once, not 2 times."),
        ("search=%FF", "query", "Must be UTF-8 text of at most 50 parameters."),
        ("after=nonsense", "after", "Must be the 'next' of an earlier page with the same sort."),
        ("after=W10&page=2", "page", "Must be left out when 'after' is given."),
    ],
)
def test_a_bad_parameter_is_named_with_a_sentence(client, query, field, issue):
    answer = client.get(f"/api/products?{query}")

    assert answer.status_int == 400
    error = answer.json["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert (error["details"]["field"], error["details"]["issue"]) == (field, issue)
    assert error["details"]["errors"][0] == {"field": field, "issue": issue}


def test_all_problems_are_listed_at_once(client):
    errors = client.get("/api/products?page=0&per_page=0&nope=1").json["error"]["details"]["errors"]

    assert {problem["field"] for problem in errors} == {"page", "per_page", "nope"}


def test_search_combines_with_filters_and_orders(client, make):
    tea = make.category("Tea")
    make.product("Green tea", "5.00", category_id=tea)
    make.product("Black tea", "9.00", category_id=tea)
    make.product("Tea towel", "1.00")

    found = client.get("/api/products", {"search": "tea", "category_id": tea, "sort": "-price", "max_price": "9"})

    assert names(found) == ["Black tea", "Green tea"]


@pytest.mark.parametrize("search", [{}, {"search": "lamp"}, {"search": "4k"}])
def test_facets_are_what_could_be_chosen_instead(client, make, search):
    """Disjunctive: counts ignore the filter by category, the range of prices ignores that by price."""
    lights, desks = make.category("Lights"), make.category("Desks")
    for category, price, stock in ((lights, 5, 1), (lights, 20, 1), (lights, 90, 0), (desks, 7, 1), (desks, 400, 1)):
        make.product("Lamp 4k", f"{price}.00", stock, category_id=category)

    def facets(**filters):
        found = get(client, {**filters, **search, "facets": "true"})["facets"]
        return {facet["category_id"]: facet["count"] for facet in found["categories"]}, *found["price"].values()

    assert facets() == ({lights: 3, desks: 2}, 5, 400)
    assert facets(category_id=lights) == ({lights: 3, desks: 2}, 5, 90)
    assert facets(category_id=f"{desks},{lights}") == ({lights: 3, desks: 2}, 5, 400)
    assert facets(max_price=10) == ({lights: 1, desks: 1}, 5, 400)
    assert facets(max_price=6) == ({lights: 1}, 5, 400)
    assert facets(category_id=desks, max_price=6) == ({lights: 1}, 7, 400)
    assert facets(category_id=lights, min_price=10, in_stock="true") == ({lights: 1, desks: 1}, 5, 20)
    assert facets(category_id=999) == ({lights: 3, desks: 2}, None, None)


@pytest.mark.parametrize("search", [{}, {"search": "lamp"}, {"search": "4k"}])
def test_facets_name_categories_that_have_a_product_and_leave_out_what_is_withdrawn(client, make, search):
    lights, other = make.category("Lights"), make.category("Other")
    make.product("Lamp 4k", "5.00", category_id=lights)
    make.product("Lamp 4k", "7.50", category_id=lights)
    make.product("Lamp 4k", "9.00", category_id=other)
    make.product("Lamp 4k", "99.00", category_id=other, is_active=0)

    facets = get(client, {"facets": "true", "max_price": "8", **search})["facets"]

    assert facets == {
        "categories": [{"category_id": lights, "category_name": "Lights", "count": 2}],
        "price": {"min": 5.0, "max": 9.0},
    }


def test_facets_of_nothing_are_empty(client):
    assert get(client, {"facets": "true"})["facets"] == {"categories": [], "price": {"min": None, "max": None}}


def test_a_search_parameter_in_utf8_is_not_mojibake(client, make):
    make.product("Émile")

    assert names(client.get("/api/products?search=%C3%A9mile")) == ["Émile"]


@pytest.mark.parametrize(
    "path", ["/api/products", "/api/products/{id}", "/api/categories", "/api/categories/{category}"]
)
def test_the_catalogue_answers_304_to_a_client_that_has_it(client, make, sql, path):
    category = make.category()
    path = path.format(id=make.product(category_id=category), category=category)
    first = client.get(path)

    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    sql("UPDATE products SET name = 'Other', is_active = (name = 'x')")
    changed = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "public, max-age=0, stale-if-error=60"
    assert (again.status_int, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert changed.status_int != 304


@pytest.mark.parametrize("search", [{}, {"search": "lamp"}, {"search": "4k"}])
def test_a_page_beyond_all_numbers_of_the_database_is_empty(client, make, search):
    make.product("lamp 4k")

    beyond = get(client, {"page": 999999999999999999, "per_page": 100, **search})

    assert beyond["items"] == [] and beyond["pagination"]["total"] == 1


def test_the_link_header_cannot_be_forged(client, make):
    make.products(2, name="lamp")

    answer = client.get("/api/products?per_page=1&p%61ge=1&search=lamp>,<//evil.example/")
    link = answer.headers.get("Link", client.get("/api/products?per_page=1&p%61ge=1&search=lamp").headers["Link"])

    assert link.count("<") == link.count(">") == 1
    assert client.get(link[1 : link.index(">")]).status_int == 200
