"""GET /api/outbox and POST /api/outbox/{id}/retry."""

import pytest
from helpers import at_once, bearer, login, register

from core import outbox


@pytest.fixture
def told(sql):
    """`told(receiver, topic, **columns)`: write a message; return its number."""

    def tell(receiver="mail ada@example.com", topic="order_placed", **columns):
        row = {
            "message_id": outbox.mail("", "", {})[0],
            "receiver": receiver,
            "topic": topic,
            "payload": '{"secret":1}',
        }
        row |= columns
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        sql(f"INSERT INTO outbox ({names}) VALUES ({marks})", list(row.values()))
        return sql("SELECT MAX(id) AS id FROM outbox")[0]["id"]

    return tell


def listed(client, root, query=""):
    """Return the data of a list."""
    answer = client.get(f"/api/outbox{query}", headers=root)
    assert answer.status_int == 200, answer.text
    return answer.json["data"]


def dead(told, **columns):
    """Write a dead letter."""
    ended = {"state": "dead", "attempts": 18, "ended_at": "2026-01-31 12:00:00", "error": "No such mailbox."}
    return told(**ended | columns)


def test_messages_are_listed_the_newest_first_without_what_they_say(client, root, told):
    first, second = told(), told("webhook 7", "order.paid")

    page = listed(client, root)

    assert [item["id"] for item in page["items"]] == [second, first]
    assert page["pagination"] == {"per_page": 20, "has_next": False, "next": None}
    item = page["items"][1]
    assert item.pop("message_id").startswith("msg_") and item.pop("created_at") and item.pop("due_at")
    assert item == {
        "id": first,
        "receiver": "mail ada@example.com",
        "topic": "order_placed",
        "state": "waiting",
        "attempts": 0,
        "ended_at": None,
        "error": None,
    }
    assert "secret" not in client.get("/api/outbox", headers=root).text


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?state=dead", ["dead"]),
        ("?state=waiting", ["hook", "mail"]),
        ("?state=delivered", []),
        ("?topic=order.paid", ["hook"]),
        ("?topic=order_placed&state=waiting", ["mail"]),
        ("?receiver=webhook%207", ["hook"]),
        ("?receiver=webhook", []),
    ],
)
def test_messages_are_filtered(client, root, told, query, wanted):
    ids = {"mail": told(), "dead": dead(told), "hook": told("webhook 7", "order.paid")}

    assert [item["id"] for item in listed(client, root, query)["items"]] == [ids[name] for name in wanted]


def test_pages_follow_one_another_without_a_gap_while_messages_come_in(client, root, told):
    ids = [told() for _ in range(7)]
    seen, query = [], "?per_page=3"

    while True:
        page = listed(client, root, query)
        seen += [item["id"] for item in page["items"]]
        told()
        if not page["pagination"]["has_next"]:
            break
        query = f"?per_page=3&after={page['pagination']['next']}"

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?state=sent", "state"),
        ("?topic=Order", "topic"),
        ("?after=0", "after"),
        ("?after=99999999999999999999", "after"),
        ("?per_page=101", "per_page"),
        ("?page=2", "page"),
    ],
)
def test_what_cannot_be_asked_is_named(client, root, query, field):
    answer = client.get(f"/api/outbox{query}", headers=root)

    assert (answer.status_int, answer.json["error"]["details"]["field"]) == (400, field)


def test_a_dead_letter_is_due_at_once_with_all_its_attempts(client, root, told, sql):
    id = dead(told, due_at="2026-01-31 12:00:00")

    answer = client.post_json(f"/api/outbox/{id}/retry", {}, headers=root)

    assert answer.status_int == 200, answer.text
    told_of = answer.json["data"]
    assert (told_of["id"], told_of["state"], told_of["attempts"], told_of["ended_at"]) == (id, "waiting", 0, None)
    assert sql("SELECT due_at >= CURRENT_TIMESTAMP - INTERVAL 9 SECOND AS due FROM outbox") == [{"due": True}]
    assert "secret" not in answer.text


@pytest.mark.parametrize("state", ["waiting", "delivered"])
def test_only_dead_letters_are_sent_again(client, root, told, sql, state):
    id = told(state=state, attempts=1)

    answer = client.post(f"/api/outbox/{id}/retry", headers=root)

    assert (answer.status_int, answer.json["error"]["code"]) == (409, "CONFLICT")
    assert state in answer.json["error"]["message"]
    assert sql("SELECT state, attempts FROM outbox") == [{"state": state, "attempts": 1}]


def test_a_message_that_is_not_there_is_a_404(client, root):
    assert client.post("/api/outbox/77/retry", headers=root).status_int == 404


def test_of_two_retries_at_once_one_is_told_that_it_came_second(client, root, told):
    id = dead(told)

    statuses = at_once([lambda: client.post(f"/api/outbox/{id}/retry", headers=root).status_int] * 2)

    assert sorted(statuses) == [200, 409]


def test_the_outbox_is_for_administrators(client, told):
    id = dead(told)
    register(client, "alice")
    alice = bearer(login(client, "alice"))

    for headers, status in (({}, 401), (alice, 403)):
        assert client.get("/api/outbox", headers=headers).status_int == status
        assert client.post(f"/api/outbox/{id}/retry", headers=headers).status_int == status
