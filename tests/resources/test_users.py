"""Accounts, through the wired shop and, where many come at once, against a real server."""

import collections
import dataclasses
import hashlib
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
from helpers import PASSWORD, SETTINGS, as_url, at_once, bearer, command, connections_of, login, register

from core.app import app, new_app
from core.db.database import DatabaseError
from core.identity.auth import PUBLIC, require_declared
from core.logs import Logfmt
from core.shop import Shop

NEW = {"username": "alice", "email": "Alice@Example.com", "password": PASSWORD}


@pytest.fixture
def alice(client):
    """A registered account: (id, token)."""
    id = register(client).json["data"]["id"]
    return id, login(client)


def test_registering_answers_with_the_account_and_never_with_its_password(client):
    answer = client.post_json("/api/users/register", NEW)

    user = answer.json["data"]
    assert answer.status_int == 201
    assert answer.headers["Location"] == f"/api/users/{user['id']}"
    assert set(user) == {"id", "username", "email", "role", "created_at", "updated_at"}
    assert (user["username"], user["email"], user["role"]) == ("alice", "alice@example.com", "customer")


def test_a_password_is_stored_as_a_bcrypt_hash_of_the_cost_that_is_set(client, sql):
    register(client)

    stored = sql("SELECT password_hash FROM users")[0]["password_hash"]

    assert stored.startswith("$2b$04$")
    assert PASSWORD not in stored


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("username", ["ab", "x" * 51, "a b", "alice\n", "älice", "al-ice", 5, None, True, ""]),
        ("email", ["a", "a@", "a@b", "a b@c.com", "@x.com", "a@x.com\n", "x" * 250 + "@x.com", 5, None, ""]),
        (
            "password",
            ["Short1a", "nouppercase1", "NOLOWERCASE1", "NoDigitsHere", "Aa1" + "x" * 126, "Password1", 5, None],
        ),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_stored(client, sql, field, values):
    for value in values:
        answer = client.post_json("/api/users/register", NEW | {field: value})
        assert answer.status_int == 400, value
        assert answer.json["error"]["details"]["field"] == field
        assert answer.json["error"]["details"]["issue"].startswith("Must be")
    assert sql("SELECT COUNT(*) AS n FROM users") == [{"n": 0}]


@pytest.mark.parametrize(
    "password", ["Aa1" + "x" * 125, "Aa1\x00abcdef", "Pässwörter1" + "ü" * 100, "Xy7 with spaces 😀"]
)
def test_long_and_strange_passwords_work_whole(client, password):
    """Beyond bcrypt's 72 bytes, and behind a NUL, every character counts."""
    assert register(client, password=password).status_int == 201

    login(client, password=password)
    for wrong in (password[:-1], password[:-1] + "?", password + "x"):
        refused = client.post_json("/api/users/login", {"username": "alice", "password": wrong})
        assert refused.status_int == 401


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"username": "ALICE", "email": "other@example.com"}, "DUPLICATE_USERNAME", "username"),
        ({"username": "other", "email": "ALICE@EXAMPLE.COM"}, "DUPLICATE_EMAIL", "email"),
    ],
)
def test_a_name_or_address_that_is_taken_is_a_conflict_in_any_case(client, body, code, field):
    client.post_json("/api/users/register", NEW)

    refused = client.post_json("/api/users/register", NEW | body)

    assert (refused.status_int, refused.json["error"]["code"]) == (409, code)
    assert refused.json["error"]["details"]["field"] == field


def test_logging_in_by_name_or_address_in_any_case(client, alice):
    for who in (
        {"username": "alice"},
        {"username": "ALICE"},
        {"email": "alice@example.com"},
        {"email": "ALICE@example.COM"},
    ):
        answer = client.post_json("/api/users/login", who | {"password": PASSWORD})

        assert answer.status_int == 200
        assert set(answer.json["data"]) == {"user", "token", "expires_at", "idle_expires_at"}
        assert answer.json["data"]["user"]["id"] == alice[0]
        assert answer.json["data"]["expires_at"].endswith("Z")


def test_a_token_has_256_bits_and_is_stored_only_as_a_keyed_hash(client, alice, sql):
    token = alice[1]

    stored = sql("SELECT token_hash FROM sessions")[0]["token_hash"]

    assert len(token) == 43 and token != login(client)
    assert token not in stored and len(stored) == 64
    assert stored != hashlib.sha256(token.encode()).hexdigest()  # a stolen table is not checked without the key


WRONG = [
    {"username": "alice", "password": "Wrong-Password-1"},
    {"username": "nobody", "password": PASSWORD},
    {"email": "nobody@example.com", "password": PASSWORD},
    {"username": "alice", "password": "x" * 1000},
    {"username": "ä" * 500, "password": PASSWORD},
    {"email": "x" * 500, "password": PASSWORD},
    {"username": "alice ", "password": PASSWORD},
    {"username": "alice\x00", "password": PASSWORD},
]


def test_every_wrong_login_gets_the_same_answer(client, alice):
    bodies = {client.post_json("/api/users/login", wrong).body for wrong in WRONG}

    assert len(bodies) == 1
    assert b"INVALID_CREDENTIALS" in bodies.pop()


def test_every_wrong_login_costs_one_hash(client, alice, monkeypatch):
    """The same time comes from the same work; the time itself is measured by tests/load/timing.py."""
    checked = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda given, stored: checked.append(stored) or real(given, stored))

    for wrong in WRONG:
        client.post_json("/api/users/login", wrong)

    assert len(checked) == len(WRONG)
    assert {stored.split(b"$")[2] for stored in checked} == {b"04"}


def work(client, monkeypatch, body):
    """Return how much bcrypt does for a login: 2^cost for each hash."""
    costs = []
    check, make = bcrypt.checkpw, bcrypt.hashpw
    with monkeypatch.context() as patched:
        patched.setattr(bcrypt, "checkpw", lambda given, stored: costs.append(stored) or check(given, stored))
        patched.setattr(bcrypt, "hashpw", lambda given, salt: costs.append(salt) or make(given, salt))
        assert client.post_json("/api/users/login", body).status_int == 401
    return sum(2 ** int(hashed.split(b"$")[2]) for hashed in costs)


@pytest.mark.parametrize("before", [4, 5, 7])
def test_every_wrong_login_is_the_same_work_when_the_cost_was_changed(client, wired, monkeypatch, before):
    wired(dataclasses.replace(SETTINGS, bcrypt_cost=before))
    register(client)
    wired(dataclasses.replace(SETTINGS, bcrypt_cost=6))
    register(client, "bella")

    done = [
        work(client, monkeypatch, {"username": name, "password": "Wrong-Password-1"})
        for name in ("alice", "bella", "nobody")
    ]

    assert done == [2 ** max(6, before)] * 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "username"),
        ({"username": "alice", "email": "a@example.com", "password": PASSWORD}, "username"),
        ({"username": "alice"}, "password"),
        ({"username": 5, "password": PASSWORD}, "username"),
        ({"username": "alice", "password": ""}, "password"),
        ({"username": "alice", "password": PASSWORD, "remember": True}, "remember"),
    ],
)
def test_a_malformed_login_is_a_400_by_name(client, body, field):
    refused = client.post_json("/api/users/login", body)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, field)


def test_a_hash_is_renewed_at_login_when_the_cost_has_grown(client, sql, monkeypatch):
    register(client)
    passwords = next(plugin for plugin in app.plugins if plugin.name == "auth")._tools["passwords"]

    monkeypatch.setattr(passwords, "cost", 5)
    login(client)

    assert sql("SELECT password_hash FROM users")[0]["password_hash"].startswith("$2b$05$")
    login(client)


def test_logging_out_kills_this_token_at_once_and_no_other(client, alice):
    other = login(client)

    answer = client.post("/api/users/logout", headers=bearer(alice[1]))

    assert (answer.status_int, answer.json["data"]) == (200, {"ended": 1})
    assert client.get("/api/users/me", headers=bearer(alice[1])).status_int == 401
    assert client.get("/api/users/me", headers=bearer(other)).status_int == 200


def test_logging_out_everywhere_kills_every_token(client, alice):
    other = login(client)

    answer = client.post("/api/users/logout?everywhere=true", headers=bearer(other))

    assert answer.json["data"] == {"ended": 2}
    for token in (alice[1], other):
        assert client.get("/api/users/me", headers=bearer(token)).status_int == 401


def test_changing_an_account(client, alice):
    id, token = alice
    path = f"/api/users/{id}"

    named = client.put_json(path, {"username": "alicia"}, headers=bearer(token))
    moved = client.put_json(path, {"email": "New@Example.com"}, headers=bearer(token))
    same = client.put_json(path, {"email": "new@example.com"}, headers=bearer(token))

    assert (named.status_int, named.json["data"]["username"]) == (200, "alicia")
    assert (moved.json["data"]["email"], moved.json["data"]["username"]) == ("new@example.com", "alicia")
    assert same.status_int == 200
    assert client.get(path, headers=bearer(token)).json["data"] == same.json["data"]


def test_changing_to_what_is_taken_or_malformed_changes_nothing(client, alice):
    id, token = alice
    register(client, "bob")
    path = f"/api/users/{id}"

    answers = [
        client.put_json(path, body, headers=bearer(token))
        for body in (
            {"username": "BOB"},
            {"email": "Bob@example.com"},
            {},
            {"username": "x", "email": "ok@example.com"},
            {"role": "admin"},
            {"username": "fine", "password": "weak"},
            {"username": None},
        )
    ]

    assert [a.status_int for a in answers] == [409, 409, 400, 400, 400, 400, 400]
    assert [a.json["error"]["code"] for a in answers[:2]] == ["DUPLICATE_USERNAME", "DUPLICATE_EMAIL"]
    user = client.get(path, headers=bearer(token)).json["data"]
    assert (user["username"], user["email"], user["role"]) == ("alice", "alice@example.com", "customer")


def test_a_new_password_ends_every_other_session(client, alice):
    id, token = alice
    other = login(client)

    changed = client.put_json(f"/api/users/{id}", {"password": "Another-Horse-8"}, headers=bearer(token))

    assert changed.status_int == 200
    assert client.get("/api/users/me", headers=bearer(token)).status_int == 200
    assert client.get("/api/users/me", headers=bearer(other)).status_int == 401
    assert client.post_json("/api/users/login", {"username": "alice", "password": PASSWORD}).status_int == 401
    login(client, password="Another-Horse-8")


def test_deleting_an_account_ends_it_and_its_sessions(client, alice, sql):
    id, token = alice

    deleted = client.delete(f"/api/users/{id}", headers=bearer(token))

    assert (deleted.status_int, deleted.json["data"]) == (200, {"deleted": id})
    assert client.get("/api/users/me", headers=bearer(token)).status_int == 401
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 0}]
    assert register(client).status_int == 201


@pytest.mark.parametrize(
    "age",
    [
        "expires_at = CURRENT_TIMESTAMP",
        "last_used_at = CURRENT_TIMESTAMP - INTERVAL 86400 SECOND",
    ],
)
def test_a_session_ends_by_age_and_by_disuse(client, alice, sql, age):
    sql(f"UPDATE sessions SET {age}")

    refused = client.get("/api/users/me", headers=bearer(alice[1]))

    assert refused.status_int == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_last_use_is_recorded_but_not_on_every_request(client, alice, sql):
    client.get("/api/users/me", headers=bearer(alice[1]))
    sql("UPDATE sessions SET last_used_at = CURRENT_TIMESTAMP - INTERVAL 299 SECOND")
    client.get("/api/users/me", headers=bearer(alice[1]))
    fresh = "SELECT last_used_at > CURRENT_TIMESTAMP - INTERVAL 100 SECOND AS fresh FROM sessions"

    untouched = sql(fresh)[0]["fresh"]
    sql("UPDATE sessions SET last_used_at = CURRENT_TIMESTAMP - INTERVAL 301 SECOND")
    client.get("/api/users/me", headers=bearer(alice[1]))

    assert (untouched, sql(fresh)[0]["fresh"]) == (0, 1)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + "A" * 43, "Bearer " + "A" * 5000]
)
def test_without_a_good_token_one_is_asked_to_log_in(client, header):
    refused = client.get("/api/users/me", headers={} if header is None else {"Authorization": header})

    assert (refused.status_int, refused.json["error"]["code"]) == (401, "AUTHENTICATION_REQUIRED")
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_in_the_url_is_not_taken(client, alice):
    assert client.get(f"/api/users/me?token={alice[1]}").status_int in (400, 401)


def everyone(client, sql):
    """Return tokens: nobody's, A's, B's, an admin's, an expired, a logged-out and a deleted account's; and A's id."""
    ids = {name: register(client, name).json["data"]["id"] for name in ("ann", "ben", "keeper", "late", "left", "gone")}
    sql("UPDATE users SET role = 'admin' WHERE username = 'keeper'")
    tokens = {name: login(client, name) for name in ids}
    ids["anns_login"] = sql("SELECT id FROM sessions WHERE user_id = %s", [ids["ann"]])[0]["id"]
    sql("UPDATE sessions SET expires_at = '2020-01-01 00:00:00' WHERE user_id = %s", [ids["late"]])
    client.post("/api/users/logout", headers=bearer(tokens["left"]))
    client.delete(f"/api/users/{ids['gone']}", headers=bearer(tokens["gone"]))
    return tokens, ids


#          route                                    nobody ann  ben  keeper
MATRIX = {
    ("GET", "/api/users/me"): (401, 200, 200, 200),
    ("GET", "/api/users/{ann}"): (401, 200, 403, 200),
    ("PUT", "/api/users/{ann}"): (401, 200, 403, 200),
    ("GET", "/api/users/999999"): (401, 403, 403, 404),
    ("PUT", "/api/users/999999"): (401, 403, 403, 404),
    ("DELETE", "/api/users/999999"): (401, 403, 403, 404),
    ("POST", "/api/users/logout"): (401, 200, 200, 200),
    ("DELETE", "/api/users/{ann}"): (401, 200, 403, 200),
    ("DELETE", "/api/users/{ann}/sessions"): (401, 403, 403, 200),
    ("GET", "/api/users/me/sessions"): (401, 200, 200, 200),
    ("DELETE", "/api/users/me/sessions/{anns_login}"): (401, 200, 404, 404),
    ("GET", "/api/reports"): (401, 403, 403, 200),
    ("GET", "/api/reports/abandoned_carts"): (401, 403, 403, 200),
    ("GET", "/api/reports/best_sellers"): (401, 403, 403, 200),
    ("GET", "/api/reports/running_out"): (401, 403, 403, 200),
    ("GET", "/api/reports/sales_by_day"): (401, 403, 403, 200),
    ("GET", "/api/reports/searches_without_hit"): (401, 403, 403, 200),
    ("POST", "/api/products"): (401, 403, 403, 415),
    ("PUT", "/api/products/{ann}"): (401, 403, 403, 400),
    ("DELETE", "/api/products/{ann}"): (401, 403, 403, 404),
    ("POST", "/api/products/{ann}/stock"): (401, 403, 403, 415),
    ("POST", "/api/products/import"): (401, 403, 403, 415),
    ("GET", "/api/products/export"): (401, 403, 403, 200),
    ("GET", "/api/products/withdrawn"): (401, 403, 403, 200),
    ("POST", "/api/categories"): (401, 403, 403, 415),
    ("PUT", "/api/categories/{ann}"): (401, 403, 403, 400),
    ("DELETE", "/api/categories/{ann}"): (401, 403, 403, 404),
    ("GET", "/api/audit"): (401, 403, 403, 200),
    ("POST", "/api/cart/merge"): (401, 400, 400, 400),
    ("GET", "/api/orders"): (401, 200, 200, 200),
    ("GET", "/api/orders/export"): (401, 403, 403, 200),
    ("POST", "/api/orders/K7Q2M-4XH9P/fulfil"): (401, 403, 403, 404),
    ("POST", "/api/orders/K7Q2M-4XH9P/refunds"): (401, 403, 403, 415),
    ("POST", "/api/orders/K7Q2M-4XH9P/payments/{ann}/capture"): (401, 403, 403, 404),
    ("GET", "/api/outbox"): (401, 403, 403, 200),
    ("POST", "/api/outbox/{ann}/retry"): (401, 403, 403, 404),
    ("GET", "/api/webhooks"): (401, 403, 403, 200),
    ("GET", "/api/webhooks/{ann}"): (401, 403, 403, 404),
    ("POST", "/api/webhooks"): (401, 403, 403, 415),
    ("PUT", "/api/webhooks/{ann}"): (401, 403, 403, 400),
    ("DELETE", "/api/webhooks/{ann}"): (401, 403, 403, 404),
    ("POST", "/api/webhooks/{ann}/test"): (401, 403, 403, 404),
    ("POST", "/api/webhooks/{ann}/secret"): (401, 403, 403, 404),
}


@pytest.mark.parametrize("route", MATRIX, ids=" ".join)
@pytest.mark.parametrize("who", ["nobody", "ann", "ben", "keeper", "late", "left", "gone"])
def test_who_may_do_what(client, sql, route, who):
    method, path = route
    tokens, ids = everyone(client, sql)
    wanted = dict(zip(("nobody", "ann", "ben", "keeper"), MATRIX[route], strict=True)).get(who, 401)
    headers = bearer(tokens[who]) if who in tokens else {}

    if method == "PUT":
        answer = client.put_json(path.format(**ids), {"email": "x@example.com"}, headers=headers)
    else:
        answer = client.request(path.format(**ids), method=method, headers=headers)

    assert answer.status_int == wanted, answer.text


def test_the_matrix_has_every_route_that_is_not_public(shop):
    named = {
        "/me/sessions/<id:id>": "/me/sessions/{anns_login}",
        "<id:id>": "{ann}",
        "<number:order>": "K7Q2M-4XH9P",
    }
    closed = set()
    for route in (route for route in app.routes if route.config["auth"] != PUBLIC):
        path = route.rule
        for rule, shown in named.items():
            path = path.replace(rule, shown)
        closed.add((route.method, path))

    assert closed <= set(MATRIX)


def test_anothers_profile_is_forbidden_with_the_same_words_whether_it_exists_or_not(client, alice):
    other = register(client, "bob").json["data"]["id"]

    there = client.get(f"/api/users/{other}", headers=bearer(alice[1]))
    nowhere = client.get("/api/users/999999", headers=bearer(alice[1]))

    assert there.status_int == 403
    assert there.body == nowhere.body


def events(caplog):
    """Return the audit lines."""
    return [Logfmt().format(record) for record in caplog.records if record.name == "bodega.audit"]


def test_what_happens_to_an_account_leaves_a_line_each_without_secrets(client, caplog):
    caplog.set_level(logging.INFO)
    id = client.post_json("/api/users/register", NEW, headers={"X-Request-ID": "r-9"}).json["data"]["id"]
    client.post_json("/api/users/login", {"username": "alice", "password": "Wrong-Password-1"})
    token = login(client)
    client.put_json(f"/api/users/{id}", {"password": "Another-Horse-8"}, headers=bearer(token))
    client.post("/api/users/logout", headers=bearer(token))
    token = login(client, password="Another-Horse-8")
    client.delete(f"/api/users/{id}", headers=bearer(token))

    lines = events(caplog)

    words = [line.split("event=")[1].split(" ")[:2] for line in lines]
    assert words == [
        ["register", "outcome=success"],
        ["login", "outcome=failure"],
        ["login", "outcome=success"],
        ["password_change", "outcome=success"],
        ["logout", "outcome=success"],
        ["login", "outcome=success"],
        ["account_deletion", "outcome=success"],
    ]
    assert all(f"user_id={id}" in line and "request_id=" in line and "address=" in line for line in lines)
    assert "request_id=r-9" in lines[0]
    assert not [secret for secret in (PASSWORD, "Wrong-Password-1", "Another-Horse-8", token) if secret in caplog.text]


def test_what_was_rolled_back_is_no_success_in_the_audit(client, alice, accounts, caplog, monkeypatch):
    caplog.set_level(logging.INFO)

    def lost(connection):
        connection.rollback()
        raise DatabaseError[0](2013, "Lost connection")

    monkeypatch.setattr(connections_of(accounts.application), "commit", lost)
    client.post("/api/users/logout", headers=bearer(alice[1]))
    monkeypatch.undo()

    assert all("outcome=failure" in line for line in events(caplog) if "event=logout" in line)


@pytest.fixture
def open_shop(start, accounts, sql):
    """A real server of two workers without limits, with the shop's own cost of a hash."""
    return start("--workers", "2", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off", BCRYPT_COST="10")


@pytest.mark.slow
def test_of_eight_simultaneous_registrations_of_one_name_one_succeeds(open_shop, sql):
    answers = at_once([lambda: open_shop.request("/api/users/register", "POST", NEW)] * 8)

    statuses = collections.Counter(answer.status for answer in answers)
    assert statuses[201] == 1 and set(statuses) <= {201, 409, 503}, open_shop.log  # 503: the budget of hashes is spent
    assert sql("SELECT username FROM users") == [{"username": "alice"}]


@pytest.mark.slow
def test_registrations_of_one_name_leave_threads_for_everybody_else(start, accounts, sql):
    """They would all wait for the row of the first, for as long as its hash takes."""
    shop = start("--workers", "1", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off", BCRYPT_COST="15")

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(shop.request, "/api/users/register", "POST", NEW, 60) for _ in range(8)]
        shop.wait_for("path=/api/users/register status=503")
        other = shop.request("/api/users/999999", Authorization="Bearer " + "A" * 43)
        made = "path=/api/users/register status=201" in shop.log
        statuses = collections.Counter(answer.result().status for answer in answers)

    assert (other.status, made) == (401, False)
    assert statuses[201] == 1 and set(statuses) <= {201, 409, 503}, shop.log
    refused = re.findall(r"path=/api/users/register status=503 ms=([0-9.]+)", shop.log)
    assert len(refused) >= 4 and max(map(float, refused)) < 1000  # at once, not when the database gave the wait up


@pytest.mark.slow
def test_simultaneous_password_changes_and_a_deletion_end_consistently(open_shop, sql):
    id = open_shop.request("/api/users/register", "POST", NEW).json["data"]["id"]
    credentials = {"username": "alice", "password": PASSWORD}
    tokens = [open_shop.request("/api/users/login", "POST", credentials).json["data"]["token"] for _ in range(3)]

    def change(token, number):
        body = {"password": f"Another-Horse-{number}", "email": f"a{number}@example.com"}
        return lambda: open_shop.request(f"/api/users/{id}", "PUT", body, Authorization=f"Bearer {token}").status

    statuses = at_once([change(tokens[0], 1), change(tokens[1], 2)])
    assert set(statuses) <= {200, 401, 503} and 200 in statuses  # 503: the budget of hashes is spent
    left = sql("SELECT COUNT(*) AS n FROM sessions")[0]["n"]
    assert left <= 1  # each change ends the sessions of all others

    email = sql("SELECT email FROM users")[0]["email"]
    password = f"Another-Horse-{email[1]}"
    token = open_shop.request("/api/users/login", "POST", {"email": email, "password": password}).json["data"]["token"]
    delete = lambda: open_shop.request(f"/api/users/{id}", "DELETE", Authorization=f"Bearer {token}").status  # noqa: E731
    statuses = at_once([change(token, 3), change(token, 4), delete, delete])

    assert set(statuses) <= {200, 401, 403, 404, 503}, statuses
    assert sql("SELECT COUNT(*) AS n FROM users") == [{"n": 0}]
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 0}]


@pytest.mark.slow
def test_a_full_budget_of_hashes_refuses_at_once(start, accounts, sql):
    shop = start("--workers", "1", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off", BCRYPT_COST="12")
    wrong = {"username": "nobody", "password": "x"}

    answers = at_once([lambda: shop.request("/api/users/login", "POST", wrong)] * 6)

    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {401, 503}
    assert all(answer.headers["Retry-After"] == "1" for answer in refused)
    assert refused[0].json["error"]["message"] == "Too many logins at once. Try again in a moment."


@pytest.mark.slow
def test_an_admin_is_made_and_unmade_at_the_command_line(client, alice, accounts):
    url = as_url(accounts.owner)

    registered = client.get("/api/users/me", headers=bearer(alice[1])).json["data"]["created_at"][:10]
    whose = f"alice has the e-mail address alice@example.com and registered on {registered} (UTC)."

    made = command("admin", "ALICE", DATABASE_URL=url)
    role = client.get("/api/users/me", headers=bearer(alice[1])).json["data"]["role"]
    again = command("admin", "alice", DATABASE_URL=url)
    unmade = command("admin", "--revoke", "alice", DATABASE_URL=url)

    assert (made.returncode, made.stdout.strip()) == (0, f"{whose}\nalice is an administrator now.")
    assert "event=role_change" in made.stderr and "role=admin" in made.stderr
    assert role == "admin"
    assert again.stdout.strip() == f"{whose}\nalice is an administrator already."
    assert unmade.stdout.strip() == f"{whose}\nalice is no administrator any more."
    assert command("admin", "nobody", DATABASE_URL=url).returncode == 1


def test_serving_another_database_needs_a_secret_key(accounts):
    done = command("serve", DATABASE_URL=as_url(accounts.application), SECRET_KEY="")

    assert done.returncode == 1
    assert "SECRET_KEY is not set." in done.stderr and "secrets.token_urlsafe(48)" in done.stderr


def test_a_route_without_auth_stops_the_start():
    bare = new_app()
    bare.get("/api/open")(lambda: None)

    with pytest.raises(LookupError, match="GET /api/open declares no auth"):
        require_declared(bare)


def test_tokens_of_another_secret_are_worthless(client, alice, wired):
    other = wired(dataclasses.replace(SETTINGS, secret_key="another-secret" * 4))

    refused = other.get("/api/users/me", headers=bearer(alice[1]), status="*")

    assert refused.status_int == 401


def during(monkeypatch, action):
    """Run `action` once while a login is checking its password."""
    real, done = bcrypt.checkpw, []

    def checkpw(given, stored):
        if not done:
            done.append(1)
            action()
        return real(given, stored)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)


def test_a_login_that_overtakes_a_password_change_opens_no_session(client, alice, sql, monkeypatch):
    """It has read the old hash; the change ends all sessions; then it would open one."""
    changed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
    during(monkeypatch, lambda: sql("UPDATE users SET password_hash = %s", [changed]))

    refused = client.post_json("/api/users/login", {"username": "alice", "password": PASSWORD})

    assert refused.status_int == 401
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 1}]


def test_a_login_that_renews_a_hash_does_not_undo_a_password_change(client, alice, sql, monkeypatch):
    passwords = next(plugin for plugin in app.plugins if plugin.name == "auth")._tools["passwords"]
    changed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
    monkeypatch.setattr(passwords, "cost", 5)
    during(monkeypatch, lambda: sql("UPDATE users SET password_hash = %s", [changed]))

    refused = client.post_json("/api/users/login", {"username": "alice", "password": PASSWORD})

    assert refused.status_int == 401
    assert sql("SELECT password_hash FROM users") == [{"password_hash": changed}]


@pytest.mark.parametrize("email", ["a@xn--bcher-kva.ch", "Jose\u0301@example.com", "c@ｅxample.com"])
def test_whoever_registers_with_an_address_can_log_in_with_it_as_typed(client, email):
    register(client, email=email)

    assert client.post_json("/api/users/login", {"email": email, "password": PASSWORD}).status_int == 200


@pytest.mark.parametrize("password", ["Hi-Alice-1234", "xxSALES.DEPTxx1a", "My-Bodega-2026"])
def test_no_password_holds_what_everybody_knows_of_its_owner(client, password):
    refused = register(client, email="sales.dept+shop@example.com", password=password)

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "password")


@pytest.mark.parametrize(
    "body",
    [
        {"password": "Hi-Alice-1234"},
        {"password": "Hi-Carol-1234", "username": "carol"},
        {"password": "Hi-Carol-1234", "email": "carol@example.com"},
    ],
)
def test_nor_does_a_new_one_hold_the_present_or_the_new_name(client, alice, body):
    refused = client.put_json(f"/api/users/{alice[0]}", body, headers=bearer(alice[1]))

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "password")


def test_an_address_of_one_letter_forbids_no_password(client):
    assert register(client, email="c@example.com").status_int == 201


@pytest.mark.parametrize("name", ["admin", "Root", "SUPPORT", "_admin_", "no_reply", "bodega"])
def test_a_name_that_speaks_for_the_shop_cannot_be_had(client, alice, name):
    registered = register(client, name, email="other@example.com")
    renamed = client.put_json(f"/api/users/{alice[0]}", {"username": name}, headers=bearer(alice[1]))

    for refused in (registered, renamed):
        assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "username")


ADAS = dataclasses.replace(SETTINGS, shop=Shop("Ada's Läden"))


@pytest.mark.parametrize(
    ("password", "taken"), [("My-Ada-s-Läden-7", False), ("ADASLÄDENx7", False), ("My-Bodega-2026", True)]
)
def test_no_password_holds_the_name_of_this_very_shop(wired, sql, password, taken):
    answer = wired(ADAS).post_json("/api/users/register", {**NEW, "password": password}, expect_errors=True)

    assert (answer.status_int == 201) is taken
    assert taken or answer.json["error"]["details"]["field"] == "password"


def test_nor_does_a_new_password_hold_it(wired, sql):
    client = wired(dataclasses.replace(SETTINGS, shop=Shop("Corner")))
    id = register(client).json["data"]["id"]

    changed = {"password": "Corner-Blue-42"}
    answer = client.put_json(f"/api/users/{id}", changed, headers=bearer(login(client)), status=400)

    assert answer.json["error"]["details"]["field"] == "password"


def test_nobody_can_call_himself_as_this_very_shop(wired, sql):
    client = wired(dataclasses.replace(SETTINGS, shop=Shop("Corner Shop")))

    refused = client.post_json("/api/users/register", {**NEW, "username": "Corner_shop"}, status=400)
    client.post_json("/api/users/register", {**NEW, "username": "bodega"}, status=201)

    assert refused.json["error"]["details"]["field"] == "username"


def test_a_shop_of_one_letter_forbids_no_password(wired, sql):
    wired(dataclasses.replace(SETTINGS, shop=Shop("C"))).post_json("/api/users/register", NEW, status=201)


def test_whoever_has_a_reserved_name_already_keeps_it(client, alice, sql):
    sql("UPDATE users SET username = 'admin'")

    answer = client.put_json(
        f"/api/users/{alice[0]}", {"username": "Admin", "email": "a@example.com"}, headers=bearer(alice[1])
    )

    assert (answer.status_int, answer.json["data"]["username"]) == (200, "Admin")


def access_lines(caplog):
    """Return the lines of requests that were refused."""
    lines = [Logfmt().format(record) for record in caplog.records if record.name == "bodega.access"]
    return [line for line in lines if "status=4" in line]


def test_who_is_refused_is_named_in_the_log_by_address_and_account(client, alice, caplog):
    caplog.set_level(logging.INFO)

    client.get("/api/users/me")
    client.post_json("/api/users/login", {"username": "alice", "password": "Wrong-Password-1"})
    client.post_json("/api/users/login", {"username": "Typed-Secret-1", "password": "Wrong-Password-1"})
    client.get("/api/audit", headers=bearer(alice[1]))
    client.get("/api/users/999999", headers=bearer(alice[1]))
    client.get("/api/products/999999")

    known = [f"user_id={alice[0]} " in line for line in access_lines(caplog)]
    addresses = ["address=" in line for line in access_lines(caplog)]
    assert known == [False, True, False, True, True, False]
    assert addresses == [True] * 5 + [False]  # 404 tells of nobody
    assert not [secret for secret in ("Typed-Secret-1", "Wrong-Password-1", alice[1]) if secret in caplog.text]


def test_who_is_kept_from_what_is_not_theirs_stands_in_the_audit(client, alice, caplog):
    caplog.set_level(logging.INFO)

    client.get("/api/audit", headers=bearer(alice[1]))
    client.get("/api/users/999999", headers=bearer(alice[1]))

    found = [line.split("event=")[1].split(" address=")[0] for line in events(caplog)]
    assert found == [f"{event} outcome=failure user_id={alice[0]}" for event in ("admin_access", "owner_access")]
