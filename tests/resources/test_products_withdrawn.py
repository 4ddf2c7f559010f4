"""The list of what is not on sale: for administrators, who bring a product back from it."""

from test_products import get


def withdrawn(client, root, **query):
    """Return the answer's data."""
    answer = client.get("/api/products/withdrawn", query, headers=root)
    assert answer.status_int == 200, answer.text
    return answer.json["data"]


def test_only_what_is_not_on_sale_is_listed_and_the_newest_first(client, root, make):
    sold = make.product("Desk Lamp")
    old, new = (
        make.product(name, is_active=0, created_at=f"2026-01-0{day} 00:00:00") for day, name in ((1, "A"), (2, "B"))
    )

    found = withdrawn(client, root)

    assert [item["id"] for item in found["items"]] == [new, old]
    assert found["items"][0] == client.get(f"/api/products/{new}", headers=root).json["data"]
    assert found["pagination"] == {"per_page": 20, "has_next": False, "next": None}
    assert [item["id"] for item in get(client, {})["items"]] == [sold]


def test_page_after_page_each_comes_once_also_those_of_the_same_moment(client, root, make):
    made = [make.product(is_active=0, created_at=f"2026-01-0{1 + number // 3} 00:00:00") for number in range(9)]
    seen, after = [], {}

    while after is not None:
        page = withdrawn(client, root, per_page=2, **after)
        seen += [item["id"] for item in page["items"]]
        after = {"after": page["pagination"]["next"]} if page["pagination"]["has_next"] else None

    assert seen == made[::-1]


def test_a_product_leaves_the_list_when_it_is_brought_back(client, root, make):
    id = make.product(is_active=0)
    listed = withdrawn(client, root)["items"]

    client.put_json(f"/api/products/{id}", {"is_active": True}, headers=root)

    assert ([item["id"] for item in listed], withdrawn(client, root)["items"]) == ([id], [])


def test_a_cursor_of_another_list_is_refused(client, root, make):
    make.products(2)
    other = client.get("/api/products?sort=price&per_page=1").json["data"]["pagination"]["next"]

    refused = client.get("/api/products/withdrawn", {"after": other}, headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "after")
