"""/api/webhooks: who is told of what."""

import base64
import dataclasses
import json
import re

import pytest
from helpers import SECRET, SETTINGS, at_once, bearer, login, register
from webtest import TestApp

from resources.outbox_webhooks_channel import MOST, Webhooks
from resources.outbox_webhooks_posting import Posting

URL = "https://erp.example/hooks"


@pytest.fixture
def add(client, root):
    """`add(url, topics)`: add a webhook; return its data."""

    def added(url=URL, topics=("order.paid",)):
        answer = client.post_json("/api/webhooks", {"url": url, "topics": list(topics)}, headers=root)
        assert answer.status_int == 201, answer.text
        return answer.json["data"]

    return added


def waiting(sql, receiver):
    return sql("SELECT topic, message_id, payload FROM outbox WHERE receiver = %s ORDER BY id", [receiver])


def test_a_webhook_is_added_with_a_secret_that_is_shown_once(client, root):
    body = {"url": URL, "topics": ["order.paid", "order.placed"]}

    answer = client.post_json("/api/webhooks", body, headers=root)

    added = answer.json["data"]
    assert answer.status_int == 201
    assert answer.headers["Location"] == f"/api/webhooks/{added['id']}"
    secret = added.pop("secret")
    assert added == {
        "id": added["id"],
        "url": URL,
        "topics": ["order.placed", "order.paid"],
        "is_active": True,
        "created_at": added["created_at"],
        "updated_at": added["updated_at"],
    }
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    one, listed = (client.get(path, headers=root) for path in (answer.headers["Location"], "/api/webhooks"))
    assert one.json["data"] == added
    assert listed.json["data"] == [added]


def test_an_answer_with_a_secret_is_never_compressed(boss):
    served, root = boss
    body = {"url": URL + "?" + "a" * 900, "topics": ["order.paid"]}  # long enough to be worth it

    added = served.request("/api/webhooks", "POST", body, Accept_Encoding="gzip", **root)
    renewed = served.request(
        "/api/webhooks/" + str(added.json["data"]["id"]) + "/secret", "POST", Accept_Encoding="gzip", **root
    )

    assert all("Content-Encoding" not in answer.headers for answer in (added, renewed))
    assert "secret" in renewed.json["data"]
    listed = served.request("/api/webhooks", Accept_Encoding="gzip", **root)
    assert listed.headers["Content-Encoding"] == "gzip"


def test_the_table_alone_signs_nothing(add, sql):
    """The secret is another one under another SECRET_KEY."""
    added = add()
    [row] = sql("SELECT * FROM webhooks")

    assert Webhooks(SECRET, Posting()).secret(row["salt"]) == added["secret"]
    assert Webhooks(SECRET + "!", Posting()).secret(row["salt"]) != added["secret"]


def test_a_repeated_post_with_its_key_gets_the_same_secret_and_adds_one(client, root):
    headers = {**root, "Idempotency-Key": "once"}
    first, again = (
        client.post_json("/api/webhooks", {"url": URL, "topics": ["order.paid"]}, headers=headers) for _ in "12"
    )

    assert first.json["data"] == again.json["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("/api/webhooks", headers=root).json["data"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"topics": ["order.paid"]}, "url"),
        ({"url": URL}, "topics"),
        ({"url": URL, "topics": []}, "topics"),
        ({"url": URL, "topics": "order.paid"}, "topics"),
        ({"url": URL, "topics": ["order.eaten"]}, "topics"),
        ({"url": URL, "topics": [None]}, "topics"),
        ({"url": URL, "topics": [{}]}, "topics"),
        ({"url": URL, "topics": ["order.paid"] * 7}, "topics"),
        ({"url": URL, "topics": ["webhook.test"]}, "topics"),
        ({"url": 7, "topics": ["order.paid"]}, "url"),
        ({"url": "http://erp.example/", "topics": ["order.paid"]}, "url"),
        ({"url": "https://127.0.0.1/", "topics": ["order.paid"]}, "url"),
        ({"url": "https://erp.example/" + "a" * 1000, "topics": ["order.paid"]}, "url"),
        ({"url": URL, "topics": ["order.paid"], "is_active": False}, "is_active"),
        ({"url": URL, "topics": ["order.paid"], "secret": "mine"}, "secret"),
    ],
)
def test_a_bad_webhook_is_refused_and_the_field_is_named(client, root, sql, body, field):
    answer = client.post_json("/api/webhooks", body, headers=root)

    assert answer.status_int == 400
    assert answer.json["error"]["details"]["field"] == field
    assert sql("SELECT COUNT(*) AS n FROM webhooks") == [{"n": 0}]


def test_the_problems_of_a_webhook_are_told_together(client, root):
    answer = client.post_json("/api/webhooks", {"url": "https://u@erp.example/", "topics": ["x"]}, headers=root)

    assert {e["field"] for e in answer.json["error"]["details"]["errors"]} == {"url", "topics"}


def test_http_and_private_addresses_are_for_shops_that_allow_them(root, wired, sql):
    body = {"url": "http://127.0.0.1:8000/hooks", "topics": ["order.paid"]}

    assert wired().post_json("/api/webhooks", body, headers=root, status=400)
    private = wired(dataclasses.replace(SETTINGS, webhooks_private=True))
    assert private.post_json("/api/webhooks", body, headers=root, status=201).json["data"]["url"] == body["url"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/1"),
        ("PUT", "/1"),
        ("DELETE", "/1"),
        ("POST", "/1/secret"),
        ("POST", "/1/test"),
    ],
)
def test_webhooks_are_for_administrators_alone(client, method, path):
    register(client)
    app = TestApp(client.app)

    for headers, status in (({}, 401), (bearer(login(client)), 403)):
        app.request(f"/api/webhooks{path}", method=method, headers=headers, status=status)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"is_active": True}),
        ("DELETE", "", None),
        ("POST", "/secret", None),
        ("POST", "/test", None),
    ],
)
@pytest.mark.parametrize("id", [999, 0, 2**31, "x"])
def test_a_webhook_that_does_not_exist_is_not_found(client, root, method, path, body, id):
    extra = {"params": json.dumps(body), "content_type": "application/json"} if body else {}

    answer = getattr(client, method.lower())(f"/api/webhooks/{id}{path}", headers=root, **extra)

    assert answer.status_int == 404


def test_only_what_is_sent_is_changed(client, root, add):
    before = add(topics=["order.paid"])

    off = client.put_json(f"/api/webhooks/{before['id']}", {"is_active": False}, headers=root).json["data"]
    wants = client.put_json(f"/api/webhooks/{before['id']}", {"topics": ["product.changed"] * 2}, headers=root).json[
        "data"
    ]
    moved = client.put_json(f"/api/webhooks/{before['id']}", {"url": URL + "/2"}, headers=root).json["data"]

    assert (off["url"], off["topics"], off["is_active"]) == (URL, ["order.paid"], False)
    assert (wants["url"], wants["topics"], wants["is_active"]) == (URL, ["product.changed"], False)
    assert (moved["url"], moved["topics"], moved["is_active"]) == (URL + "/2", ["product.changed"], False)
    assert "secret" not in moved


@pytest.mark.parametrize(
    "body", [{}, {"url": "https://10.0.0.1/"}, {"topics": []}, {"is_active": None}, {"salt": "x"}, {"url": None}]
)
def test_a_bad_change_is_refused(client, root, add, body):
    id = add()["id"]

    assert client.put_json(f"/api/webhooks/{id}", body, headers=root).status_int == 400


def test_a_change_lets_the_first_message_that_waits_be_tried_at_once(client, root, add, sql):
    id = add()["id"]
    for _ in range(2):
        client.post(f"/api/webhooks/{id}/test", headers=root)
    sql("UPDATE outbox SET due_at = CURRENT_TIMESTAMP + INTERVAL 6 HOUR")

    client.put_json(f"/api/webhooks/{id}", {"url": URL + "/2"}, headers=root)

    assert sql("SELECT due_at <= CURRENT_TIMESTAMP AS due FROM outbox ORDER BY id") == [{"due": 1}, {"due": 0}]


def test_a_new_secret_is_another_one(client, root, add):
    old = add()

    answer = client.post(f"/api/webhooks/{old['id']}/secret", headers=root)

    assert answer.status_int == 200
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", answer.json["data"]["secret"])
    assert answer.json["data"]["secret"] != old["secret"]


def test_a_test_is_an_event_for_this_webhook_alone(client, root, add, sql):
    first, second = add(), add()

    answer = client.post(f"/api/webhooks/{first['id']}/test", headers=root)

    assert answer.status_int == 202
    [message] = waiting(sql, f"webhook {first['id']}")
    assert (message["topic"], message["message_id"]) == ("webhook.test", answer.json["data"]["message_id"])
    payload = json.loads(message["payload"])
    assert (payload["type"], payload["data"]) == ("webhook.test", {"webhook": first["id"]})
    assert waiting(sql, f"webhook {second['id']}") == []


def test_a_webhook_that_is_off_is_not_tested(client, root, add, sql):
    id = add()["id"]
    client.put_json(f"/api/webhooks/{id}", {"is_active": False}, headers=root)

    assert client.post(f"/api/webhooks/{id}/test", headers=root).status_int == 409
    assert waiting(sql, f"webhook {id}") == []


def test_what_waits_for_a_webhook_is_deleted_with_it_and_nothing_else(client, root, add, sql):
    gone, kept = add()["id"], add()["id"]
    for id in (gone, gone, kept):
        client.post(f"/api/webhooks/{id}/test", headers=root)
    sql("UPDATE outbox SET state = 'dead', ended_at = NOW() WHERE receiver = %s LIMIT 1", [f"webhook {gone}"])

    answer = client.delete(f"/api/webhooks/{gone}", headers=root)

    assert answer.json["data"] == {"deleted": gone}
    assert client.get(f"/api/webhooks/{gone}", headers=root).status_int == 404
    left = sql("SELECT receiver, state FROM outbox ORDER BY id")
    assert left == [
        {"receiver": f"webhook {gone}", "state": "dead"},
        {"receiver": f"webhook {kept}", "state": "waiting"},
    ]


def test_a_shop_has_twenty_webhooks_at_the_most_however_many_are_added_at_once(client, root, wired, sql):
    body = {"url": URL, "topics": ["order.paid"]}

    def add():
        return client.post_json("/api/webhooks", body, headers=root).status_int

    statuses = at_once([add] * 32)

    assert sql("SELECT COUNT(*) AS n FROM webhooks") == [{"n": MOST}]
    assert sorted(statuses) == [201] * MOST + [409] * (32 - MOST)
    assert client.post_json("/api/webhooks", body, headers=root).json["error"]["code"] == "CONFLICT"


def test_who_changes_webhooks_is_in_the_log(client, root, add, caplog):
    caplog.set_level("INFO", "bodega.audit")
    id = add()["id"]
    client.put_json(f"/api/webhooks/{id}", {"is_active": True}, headers=root)
    client.post(f"/api/webhooks/{id}/secret", headers=root)
    client.delete(f"/api/webhooks/{id}", headers=root)

    events = [record.event for record in caplog.records if record.name == "bodega.audit"]
    assert events == ["webhook_creation", "webhook_change", "webhook_secret_change", "webhook_deletion"]
