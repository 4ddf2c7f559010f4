"""The audit trail of the catalogue, through the wired shop."""

import pytest
from helpers import at_once, bearer, login, register
from test_products_changes import NEW


def trail(client, headers, query=""):
    """Return the entries, the newest first."""
    answer = client.get(f"/api/audit{query}", headers=headers)
    assert answer.status_int == 200, answer.text
    return answer.json["data"]["items"]


def test_every_change_tells_who_did_what_with_before_and_after(client, root, make):
    id = client.post_json("/api/products", NEW, headers=root).json["data"]["id"]
    path = f"/api/products/{id}"
    client.put_json(path, {"price": 20.05, "description": 'A "b"\n\\'}, headers=root)
    client.post_json(f"{path}/stock", {"change": 4}, headers=root)
    client.delete(path, headers=root)

    entries = trail(client, root)

    created = {
        "name": "Desk Lamp",
        "description": None,
        "price": 19.9,
        "image_url": None,
        "category_id": None,
        "stock_quantity": 0,
        "is_active": True,
    }
    changed = created | {"price": 20.05, "description": 'A "b"\n\\'}
    stocked = changed | {"stock_quantity": 4}
    assert [(e["action"], e["before"], e["after"]) for e in entries] == [
        ("withdrawn", stocked, stocked | {"is_active": False}),
        ("stock_changed", changed, stocked),
        ("changed", created, changed),
        ("created", None, created),
    ]
    assert {(e["entity"], e["entity_id"], e["user_name"]) for e in entries} == {("product", id, "keeper")}
    assert set(entries[0]) == {
        *("id", "created_at", "user_id", "user_name", "entity", "entity_id", "action", "before", "after")
    }
    assert entries[0]["created_at"].endswith("Z")


def test_categories_are_told_of_too(client, root):
    path = client.post_json("/api/categories", {"name": "Lamps"}, headers=root).headers["Location"]
    client.put_json(path, {"name": "Lights"}, headers=root)
    client.delete(path, headers=root)

    entries = trail(client, root, "?entity=category")

    lamps, lights = {"name": "Lamps", "description": None}, {"name": "Lights", "description": None}
    assert [(e["action"], e["before"], e["after"]) for e in entries] == [
        ("deleted", lights, None),
        ("changed", lamps, lights),
        ("created", None, lamps),
    ]


def test_what_changes_nothing_or_is_refused_leaves_no_entry(client, root, make):
    id = make.product("Old", "5.00", 3)
    path = f"/api/products/{id}"

    client.put_json(path, {"name": "Old", "price": 5}, headers=root)
    client.put_json(path, {"category_id": 77}, headers=root)
    client.put_json(path, {"name": "x"}, headers={**root, "If-Match": '"other"'})
    client.post_json(f"{path}/stock", {"change": -4}, headers=root)
    client.delete("/api/categories/77", headers=root)

    assert trail(client, root) == []


def test_the_trail_is_filtered_and_paged(client, root, make):
    lamp, desk = make.product(), make.product()
    for number in range(5):
        client.put_json(f"/api/products/{lamp}", {"stock_quantity": 100 + number}, headers=root)
    client.put_json(f"/api/products/{desk}", {"name": "Desk"}, headers=root)
    client.post_json("/api/categories", {"name": "Lamps"}, headers=root)

    page = client.get(f"/api/audit?entity=product&entity_id={lamp}&page=2&per_page=2", headers=root).json["data"]

    assert [item["after"]["stock_quantity"] for item in page["items"]] == [102, 101]
    assert page["pagination"] == {
        "page": 2,
        "per_page": 2,
        "total": 5,
        "pages": 3,
        "has_next": True,
        "has_prev": True,
    }
    assert len(trail(client, root)) == 7
    assert trail(client, root, "?page=99999999999999999") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("entity=user", "entity"),
        ("entity_id=0", "entity_id"),
        ("entity_id=2147483648", "entity_id"),
        ("per_page=101", "per_page"),
        ("page=0", "page"),
        ("pages=1", "pages"),
    ],
)
def test_a_bad_query_is_refused_by_name(client, root, query, field):
    refused = client.get(f"/api/audit?{query}", headers=root)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, field)


def test_the_trail_outlives_the_account(client, root, make, sql):
    id = register(client, "boss").json["data"]["id"]
    sql("UPDATE users SET role = 'admin' WHERE username = 'boss'")
    token = bearer(login(client, "boss"))
    client.put_json(f"/api/products/{make.product()}", {"name": "New"}, headers=token)

    deleted = client.delete(f"/api/users/{id}", headers=token)

    assert deleted.status_int == 200
    assert [(e["user_id"], e["user_name"]) for e in trail(client, root)] == [(id, "boss")]


@pytest.mark.slow
def test_of_simultaneous_changes_each_tells_what_it_found(boss, make, sql):
    real, headers = boss
    id = make.product("Name")
    jobs = [lambda n=n: real.request(f"/api/products/{id}", "PUT", {"name": f"Name {n}"}, **headers) for n in range(8)]

    assert {answer.status for answer in at_once(jobs)} == {200}

    entries = real.request("/api/audit", **headers).json["data"]["items"]
    names = [(entry["before"]["name"], entry["after"]["name"]) for entry in reversed(entries)]
    assert len(names) == 8
    assert [before for before, _ in names[1:]] == [after for _, after in names[:-1]]  # a chain without a gap
