"""Lists of orders, through the wired shop."""

import base64
import json
import re

import pytest
from helpers import at_once, bearer, login, register

from core.setup.system import ROOT
from resources.orders_lists import BY, BY_STATUS

NUMBERS = [f"{n:05}-AAAAA" for n in range(8)]


def listed(client, headers, query=""):
    """Return a page of orders."""
    answer = client.get(f"/api/orders{query}", headers=headers)
    assert answer.status_int == 200, answer.text
    return answer.json["data"]


def numbers(client, headers, query=""):
    """Return the numbers of the orders on all pages."""
    found, page, joint = [], listed(client, headers, query), "&" if query else "?"
    while True:
        found += [item["number"] for item in page["items"]]
        if not page["pagination"]["has_next"]:
            assert page["pagination"]["next"] is None
            return found
        page = listed(client, headers, f"{query}{joint}after={page['pagination']['next']}")


def account(client, name, sql):
    """Register an account; return its header and its id."""
    id = register(client, name).json["data"]["id"]
    return bearer(login(client, name)), id


@pytest.fixture
def orders(client, make, sql):
    """Eight orders, the newest first; return the headers of ada, who has every second one, and her id."""
    ada, id = account(client, "ada", sql)
    cases = [("placed", "unpaid"), ("placed", "paid"), ("fulfilled", "paid"), ("canceled", "refunded")]
    for n, number in enumerate(NUMBERS):
        status, payment_status = cases[n // 2]
        make.order(
            number=number,
            user_id=id if n % 2 == 0 else None,
            email="ada@example.com" if n % 2 == 0 else f"guest{n // 4}@example.com",
            status=status,
            payment_status=payment_status,
            total="10.50",
            placed_at=f"2026-03-{20 - n} 12:00:00",
        )
    return ada, id


def test_one_gets_ones_own_orders_the_newest_first(client, orders):
    ada, _ = orders

    assert numbers(client, ada) == NUMBERS[::2]


def test_a_row_is_a_summary_as_the_order_itself_has_it(client, orders):
    ada, _ = orders

    item = listed(client, ada)["items"][0]

    assert item == {
        "number": NUMBERS[0],
        "status": "placed",
        "payment_status": "unpaid",
        "currency": "EUR",
        "total": 10.5,
        "item_count": 0,
        "email": "ada@example.com",
        "placed_at": "2026-03-20T12:00:00Z",
        "expires_at": None,
    }
    whole = client.get(f"/api/orders/{NUMBERS[0]}", headers=ada).json["data"]
    assert item == {name: whole[name] for name in item}


def test_an_administrator_gets_all_orders_and_with_mine_his_own(client, orders, root, sql):
    sql("UPDATE orders SET user_id = (SELECT id FROM users WHERE username = 'keeper') WHERE number = %s", [NUMBERS[1]])

    assert numbers(client, root) == NUMBERS
    assert numbers(client, root, "?mine=true") == [NUMBERS[1]]
    assert numbers(client, root, "?mine=false") == NUMBERS


def test_a_customer_never_gets_anothers_orders(client, orders, sql):
    ada, _ = orders
    bob, _ = account(client, "bob", sql)

    assert numbers(client, bob) == []
    assert numbers(client, ada, "?mine=false") == NUMBERS[::2]
    refused = client.get("/api/orders?search=guest0@example.com", headers=ada)
    assert (refused.status_int, refused.json["error"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("headers", [{}, {"Order-Token": "x" * 22}, bearer("x" * 43)])
def test_a_guest_has_no_list(client, headers):
    assert client.get("/api/orders", headers=headers).status_int == 401


FILTERS = [
    ("status=placed", NUMBERS[:4]),
    ("status=canceled", NUMBERS[6:]),
    ("payment_status=paid", NUMBERS[2:6]),
    ("payment_status=pending", []),
    ("status=placed&payment_status=paid", NUMBERS[2:4]),
    ("status=fulfilled&payment_status=unpaid", []),
    ("from=2026-03-15", NUMBERS[:6]),
    ("to=2026-03-18", NUMBERS[2:]),
    ("from=2026-03-15&to=2026-03-18", NUMBERS[2:6]),
    ("from=2026-03-18&to=2026-03-18", NUMBERS[2:3]),
    ("from=2026-03-18T12:00:00Z&to=2026-03-19T12:00:00.000Z", NUMBERS[1:3]),
    ("from=2026-03-18T12:00:01Z&to=2026-03-19T11:59:59Z", []),
    ("from=2026-03-18T12:00:00.001Z&to=2026-03-19", NUMBERS[1:2]),
    ("status=placed&from=2026-03-18", NUMBERS[:3]),
    ("payment_status=paid&to=2026-03-16", NUMBERS[4:6]),
    ("status=placed&payment_status=paid&from=2026-03-18&to=2026-03-18", NUMBERS[2:3]),
    ("from=2037-12-31", []),
    ("to=1970-01-01", []),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
@pytest.mark.parametrize("whose", ["all", "own", "address"])
def test_filters_can_be_combined(client, orders, root, query, expected, whose):
    ada, _ = orders
    headers, more = {"all": (root, ""), "own": (ada, ""), "address": (root, "&search=ada@example.com")}[whose]
    if whose != "all":
        expected = [number for number in expected if number in NUMBERS[::2]]

    for per_page in (1, 2, 20):
        assert numbers(client, headers, f"?{query}{more}&per_page={per_page}") == expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("guest0@example.com", [NUMBERS[1], NUMBERS[3]]),
        (" GUEST0@Example.COM ", [NUMBERS[1], NUMBERS[3]]),
        ("nobody@example.com", []),
        (NUMBERS[5], [NUMBERS[5]]),
        ("0oooS".replace("S", "5") + "aaaaa", [NUMBERS[5]]),
        ("ZZZZZ-ZZZZZ", []),
        ("", NUMBERS),
        ("%20", NUMBERS),
    ],
)
def test_an_administrator_searches_by_number_or_address(client, orders, root, search, expected):
    assert numbers(client, root, f"?search={search}") == expected


@pytest.mark.parametrize(
    ("query", "found"),
    [("", 1), ("&status=placed", 0), ("&payment_status=paid&to=2026-03-15", 1), ("&to=2026-03-14", 0)],
)
def test_a_search_by_number_can_be_combined_too(client, orders, root, query, found):
    assert len(numbers(client, root, f"?search={NUMBERS[5]}{query}")) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=open", "status"),
        ("payment_status=", "payment_status"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-03-01T12:00:00", "from"),
        ("from=2026-03-01T12:00:00%2B01:00", "from"),
        ("from=1969-12-31", "from"),
        ("to=2038-01-01", "to"),
        ("to=2026-13-01", "to"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=2026-03-01T00:00:00.5Z&to=2026-03-01T00:00:00Z", "from"),
        ("search=ada", "search"),
        ("search=ada@example.com&mine=true", "search"),
        ("mine=yes", "mine"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("after=x", "after"),
        ("page=2", "page"),
        ("sort=newest", "sort"),
    ],
)
def test_a_bad_query_is_refused_by_name(client, root, query, field):
    refused = client.get(f"/api/orders?{query}", headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, field)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "mine=true",
        "search=ada@example.com",
        "status=placed",
        "payment_status=unpaid",
        "status=placed&payment_status=unpaid",
    ],
)
def test_orders_of_the_same_second_come_once_each_the_last_one_first(client, make, root, sql, query):
    keeper = sql("SELECT id FROM users WHERE username = 'keeper'")[0]["id"]
    ids = [make.order(placed_at="2026-03-01 12:00:00", user_id=keeper) for _ in range(7)]
    same = [sql("SELECT number FROM orders WHERE id = %s", [id])[0]["number"] for id in reversed(ids)]

    for per_page in (1, 3, 7, 20):
        assert numbers(client, root, f"?{query}&per_page={per_page}") == same


def test_pages_are_told_by_link_and_the_link_keeps_the_filters(client, orders, root):
    first = client.get("/api/orders?status=placed&per_page=3", headers=root)

    link = re.fullmatch(r'<(.+)>; rel="next"', first.headers["Link"])[1]
    second = client.get(link, headers=root)

    assert [item["number"] for item in second.json["data"]["items"]] == NUMBERS[3:4]
    assert second.json["data"]["pagination"] == {"per_page": 3, "has_next": False, "next": None}
    assert "Link" not in second.headers


@pytest.mark.parametrize(
    "position", [["2026-03-01 12:00:00"], [1, 1], ["2026-03-01 12:00:00", -1], ["2026-13-01 12:00:00", 1], []]
)
def test_a_cursor_that_the_shop_has_not_made_is_refused(client, root, position):
    text = json.dumps(["newest", 2, 20, *position]).encode()

    refused = client.get(f"/api/orders?after={base64.urlsafe_b64encode(text).rstrip(b'=').decode()}", headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "after")


def test_an_order_of_a_deleted_account_is_listed_without_its_address(client, make, root):
    make.order(email=None)

    assert [item["email"] for item in listed(client, root)["items"]] == [None]


@pytest.mark.slow
def test_while_orders_are_placed_no_order_comes_twice_and_none_is_missing(boss, make):
    """Four walk through all pages, while four place orders: what was there at the beginning comes once."""
    real, root = boss
    product = make.product(stock=1000)
    before = {f"{n:05}-BBBBB" for n in range(60)}
    for n, number in enumerate(sorted(before)):
        make.order(number=number, placed_at=f"2026-03-01 12:00:{n % 7:02}")
    for n in range(4):
        for round_ in range(10):
            make.cart(f"c{n}-{round_}", product)

    def walk():
        found, after = [], ""
        while after is not None:
            page = real.request(f"/api/orders?per_page=3{after}", **root).json["data"]
            found += [item["number"] for item in page["items"]]
            after = f"&after={page['pagination']['next']}" if page["pagination"]["has_next"] else None
        return found

    def place(n):
        for round_ in range(10):
            named = {"Session_ID": f"c{n}-{round_}", "Idempotency_Key": f"k{n}-{round_}"}
            body = {"expected_total": 10, "email": "bob@example.com"}
            assert real.request("/api/orders", "POST", body, **named).status == 201
        return []

    found = at_once([walk] * 4 + [lambda n=n: place(n) for n in range(4)])

    for walked in found[:4]:
        assert len(walked) == len(set(walked))
        assert before <= set(walked)
    assert len(walk()) == 100


def test_the_statements_of_the_lists_differ_in_what_they_are_narrowed_to_alone():
    texts = {name: (ROOT / "sql" / f"{name}.sql").read_text() for name in [*BY.values(), *BY_STATUS.values()]}

    narrow = r"(FROM orders)( FORCE INDEX \(\w+\))?\n    WHERE .*?(?=\(%\(from_time)"
    bodies = {re.sub(narrow, "", text[text.index("SELECT\n") :], flags=re.S) for text in texts.values()}

    assert len(texts) == 7
    assert len(bodies) == 1
