"""Categories, through the wired shop and, for races, a real server."""

import collections

import pytest
from helpers import at_once
from test_products_changes import NEW, problem


def test_categories_are_listed_by_name_with_what_is_on_sale_in_each(client, make):
    tools, books = make.category("Tools"), make.category("Books", description="To read.")
    make.products(2, category_id=tools)
    make.product(category_id=tools, is_active=0)

    listed = client.get("/api/categories").json["data"]

    assert [(c["name"], c["product_count"], c["description"]) for c in listed] == [
        ("Books", 0, "To read."),
        ("Tools", 2, None),
    ]
    assert set(listed[0]) == {"id", "name", "description", "product_count", "created_at"}
    assert client.get(f"/api/categories/{books}").json["data"] == listed[0]


def test_an_unknown_category_is_not_found(client):
    answer = client.get("/api/categories/77")

    assert answer.status_int == 404
    assert answer.json["error"]["message"] == "There is no such category."


def test_a_category_is_created_changed_and_deleted(client, root):
    made = client.post_json("/api/categories", {"name": "Lamps"}, headers=root)
    path = made.headers["Location"]
    changed = client.put_json(path, {"description": "Light."}, headers=root)
    deleted = client.delete(path, headers=root)

    assert made.status_int == 201
    assert path == f"/api/categories/{made.json['data']['id']}"
    assert changed.json["data"] == made.json["data"] | {"description": "Light."}
    assert (deleted.status_int, deleted.json["data"]) == (200, {"deleted": made.json["data"]["id"]})
    assert client.get(path).status_int == 404


def test_a_name_is_one_categorys_in_any_case_and_accent(client, root):
    client.post_json("/api/categories", {"name": "Café"}, headers=root)
    other = client.post_json("/api/categories", {"name": "uq_users_email"}, headers=root).headers["Location"]

    for answer in (
        client.post_json("/api/categories", {"name": "CAFE"}, headers=root),
        client.put_json(other, {"name": "cafe"}, headers=root),
        client.post_json("/api/categories", {"name": "UQ_users_email"}, headers=root),
    ):
        assert problem(answer) == (409, "CONFLICT", "name")
        issue = answer.json["error"]["details"]["issue"]
        assert issue.endswith("Choose another one.")
        assert answer.json["error"]["details"]["errors"] == [{"field": "name", "issue": issue}]
    assert client.put_json(other, {"name": "UQ_USERS_EMAIL"}, headers=root).status_int == 200


def test_all_that_is_wrong_with_a_category_is_told_at_once_a_taken_name_too(client, root, make):
    make.category("Café")
    path = f"/api/categories/{make.category('Books')}"
    body = {"name": "cafe", "description": 5}

    for refused in (client.post_json("/api/categories", body, headers=root), client.put_json(path, body, headers=root)):
        assert (refused.status_int, refused.json["error"]["code"]) == (400, "VALIDATION_ERROR")
        fields = [problem["field"] for problem in refused.json["error"]["details"]["errors"]]
        assert fields == ["description", "name"]


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", None, 5])
def test_a_bad_category_name_is_refused(client, root, make, name):
    path = f"/api/categories/{make.category()}"

    for answer in (
        client.post_json("/api/categories", {"name": name}, headers=root),
        client.put_json(path, {"name": name}, headers=root),
    ):
        assert problem(answer) == (400, "VALIDATION_ERROR", "name")
    assert problem(client.put_json(path, {}, headers=root))[0] == 400


def test_a_category_that_has_products_stays_also_when_they_are_withdrawn(client, root, make):
    lamps = make.category()
    id = make.product(category_id=lamps, is_active=0)
    path = f"/api/categories/{lamps}"

    refused = client.delete(path, headers=root)
    client.put_json(f"/api/products/{id}", {"category_id": None}, headers=root)

    assert problem(refused)[:2] == (409, "CONFLICT")
    assert "Move them" in refused.json["error"]["message"]
    assert client.delete(path, headers=root).status_int == 200
    assert client.delete(path, headers=root).status_int == 404
    assert client.put_json(path, {"name": "x"}, headers=root).status_int == 404


@pytest.mark.slow
def test_of_simultaneous_categories_of_one_name_one_is_made(boss, sql):
    real, root = boss
    jobs = [lambda: real.request("/api/categories", "POST", {"name": "Lamps"}, **root)] * 8

    answers = at_once(jobs)

    assert collections.Counter(answer.status for answer in answers) == {201: 1, 409: 7}
    assert {a.json["error"]["details"]["field"] for a in answers if a.status == 409} == {"name"}
    assert sql("SELECT COUNT(*) AS n FROM categories") == [{"n": 1}]


@pytest.mark.slow
def test_a_category_is_never_deleted_under_a_product_that_is_just_coming(boss, make, sql):
    real, root = boss
    for _ in range(10):
        lamps = make.category()
        body = NEW | {"category_id": lamps}
        jobs = [
            lambda body=body: real.request("/api/products", "POST", body, **root).status,
            lambda lamps=lamps: real.request(f"/api/categories/{lamps}", "DELETE", **root).status,
        ]

        assert sorted(at_once(jobs)) in ([201, 409], [200, 400])
