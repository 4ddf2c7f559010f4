"""product.changed: each change of a product by an administrator is told, and one that nobody hears costs little."""

import json

import pytest

from core.db.session import Session

TOLD = {"action", "id", "name", "price", "image_url", "category_id", "stock_quantity", "is_active"}


@pytest.fixture
def listening(client, root):
    """A webhook that wants product.changed."""
    body = {"url": "https://erp.example/", "topics": ["product.changed"]}
    return client.post_json("/api/webhooks", body, headers=root).json["data"]


@pytest.fixture
def sent(monkeypatch):
    """The names of the statements that are sent."""
    names, send = [], Session._send
    monkeypatch.setattr(
        Session,
        "_send",
        lambda db, statements, *a: (names.extend(s.name for s in statements), send(db, statements, *a))[1],
    )
    return names


def events(sql):
    """Return what was told, in order: (action, data)."""
    rows = sql("SELECT topic, payload FROM outbox ORDER BY id")
    assert {row["topic"] for row in rows} <= {"product.changed"}
    found = [json.loads(row["payload"])["data"] for row in rows]
    assert all(data.keys() == TOLD for data in found)
    return [(data["action"], data) for data in found]


def imported(client, root, text, query=""):
    headers = {**root, "Content-Type": "text/csv"}
    return client.post(f"/api/products/import{query}", text.encode(), headers=headers)


def test_each_change_is_told_with_the_product_as_it_is_then(client, root, listening, sql, make):
    lamps = make.category("Lamps")
    body = {"name": "Lamp", "price": 19.9, "category_id": lamps, "image_url": "/a.jpg", "description": "Warm."}
    id = client.post_json("/api/products", body, headers=root).json["data"]["id"]
    client.put_json(f"/api/products/{id}", {"name": "Light"}, headers=root)
    client.post_json(f"/api/products/{id}/stock", {"change": 4}, headers=root)
    client.delete(f"/api/products/{id}", headers=root)

    told = events(sql)

    assert [action for action, _ in told] == ["created", "changed", "stock_changed", "withdrawn"]
    first = {"id": id, "name": "Lamp", "price": 19.9, "image_url": "/a.jpg", "category_id": lamps}
    assert told[0][1] == {"action": "created", **first, "stock_quantity": 0, "is_active": True}
    assert [data["name"] for _, data in told] == ["Lamp", "Light", "Light", "Light"]
    assert [(data["stock_quantity"], data["is_active"]) for _, data in told] == [
        (0, True),
        (0, True),
        (4, True),
        (4, False),
    ]


def test_what_changes_nothing_or_is_refused_is_not_told(client, root, listening, sql, make):
    id = make.product("Lamp", "5.00", 1)

    client.put_json(f"/api/products/{id}", {"name": "Lamp"}, headers=root)
    client.put_json(f"/api/products/{id}", {"name": ""}, headers=root)
    client.put_json(f"/api/products/{id}", {"name": "Light"}, headers={**root, "If-Match": '"old"'})
    client.post_json(f"/api/products/{id}/stock", {"change": -2}, headers=root)
    client.post_json("/api/products", {"name": "Lamp"}, headers=root)
    imported(client, root, f"id,name\r\n{id},Lamp\r\n")
    imported(client, root, f"id,name\r\n{id},Light\r\n", "?dry_run=true")
    imported(client, root, f"id,price\r\n{id},9\r\n99999999,9\r\n")

    assert events(sql) == []


def test_an_import_tells_of_each_product_that_it_adds_or_changes(client, root, listening, sql, make):
    ids = make.products(3, price="5.00")
    rows = [f"{ids[0]},New name,7.25", f"{ids[1]},,5.00", ",Lamp,1.5"]

    answer = imported(client, root, "id,name,price\r\n" + "\r\n".join(rows) + "\r\n")

    assert answer.status_int == 200, answer.text
    told = events(sql)
    assert [(action, data["name"], data["price"]) for action, data in told] == [
        ("changed", "New name", 7.25),
        ("created", "Lamp", 1.5),
    ]
    [lamp] = sql("SELECT id FROM products WHERE name = 'Lamp'")
    assert told[1][1]["id"] == lamp["id"]
    assert (told[1][1]["is_active"], told[0][1]["is_active"]) == (True, True)


def test_a_large_import_tells_of_all(client, root, listening, sql):
    answer = imported(client, root, "name,price\r\n" + "".join(f"Lamp {n},{n}.50\r\n" for n in range(1, 451)))

    assert answer.status_int == 200, answer.text
    assert sorted(data["price"] for _, data in events(sql)) == [n + 0.5 for n in range(1, 451)]


def test_where_nobody_listens_a_change_takes_one_statement_more_and_writes_nothing(client, root, sql, make, sent):
    id = make.product()

    for send in (
        lambda: client.post_json("/api/products", {"name": "Lamp", "price": 1}, headers=root),
        lambda: client.put_json(f"/api/products/{id}", {"name": "Light"}, headers=root),
        lambda: client.post_json(f"/api/products/{id}/stock", {"change": 1}, headers=root),
        lambda: client.delete(f"/api/products/{id}", headers=root),
        lambda: imported(client, root, "name,price\r\nLamp,1\r\n"),
    ):
        sent.clear()
        assert send().status_int in (200, 201)
        assert len([name for name in sent if name.startswith(("outbox/", "webhooks/"))]) == 1, sent

    assert sql("SELECT COUNT(*) AS n FROM outbox") == [{"n": 0}]


def test_what_an_order_takes_is_not_told(client, root, listening, sql, make):
    make.cart("s1", make.product(price="1.00"))
    body = {"expected_total": 1, "email": "ada@example.com"}

    answer = client.post_json("/api/orders", body, headers={"Session-ID": "s1", "Idempotency-Key": "1"})

    assert answer.status_int == 201, answer.text
    assert sql("SELECT topic FROM outbox WHERE receiver LIKE 'webhook %%'") == []
