"""The forms of accounts: all problems are told at once, whoever finds them, and of those who race one gets a name."""

import collections
import dataclasses

import bcrypt
import pytest
from helpers import PASSWORD, SETTINGS, as_url, at_once, bearer, login, register

from core.shop import Shop

ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
ALL_TAKEN = [
    {"field": "username", "issue": "Is taken. Choose another one."},
    {"field": "email", "issue": "Belongs to an account already. Log in with it, or choose another one."},
]


@pytest.fixture
def bob(client):
    """Two accounts, alice and bob; `bob(body)` changes bob's."""
    register(client)
    id = register(client, "bob").json["data"]["id"]
    token = login(client, "bob")
    return lambda body: client.put_json(f"/api/users/{id}", body, headers=bearer(token))


def problems(refused):
    """Return the fields that an answer names, in order; the first must be the one that details name."""
    details = refused.json["error"]["details"]
    assert details["errors"][0] == {"field": details["field"], "issue": details["issue"]}
    return [problem["field"] for problem in details["errors"]]


BAD = [
    ({"username": "a b", "email": "no address", "password": "alllower1"}, ["username", "email", "password"]),
    ({"username": "admin", "email": "no address", "password": "short"}, ["password", "username", "email"]),
    ({"username": "x" * 60, "email": 5, "password": "Password1"}, ["username", "email", "password"]),
    ({"username": "admin", "email": "a@b@c", "password": PASSWORD, "rol": "admin"}, ["rol", "username", "email"]),
    ({"username": "x!", "email": "ALICE@example.com", "password": "weak"}, ["username", "password", "email"]),
    ({"username": "Alice", "email": "no address", "password": "Password1"}, ["username", "email", "password"]),
    ({"username": "Alice", "email": "alice@example.com", "password": "alllower1"}, ["username", "email", "password"]),
    ({"username": "Sailor", "email": "x@example.com", "password": "1-Sailor-1"}, ["password"]),
]


@pytest.mark.parametrize(("body", "fields"), BAD)
def test_a_registration_is_told_all_its_problems_at_once_whichever_layer_finds_them(client, body, fields, sql):
    register(client)

    refused = client.post_json("/api/users/register", body)

    assert (refused.status_int, refused.json["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert collections.Counter(problems(refused)) == collections.Counter(fields)
    assert sql("SELECT username FROM users") == [{"username": "alice"}]


@pytest.mark.parametrize(("body", "fields"), BAD)
def test_so_is_a_change_of_an_account(bob, body, fields, sql):
    refused = bob(body)

    assert (refused.status_int, refused.json["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert collections.Counter(problems(refused)) == collections.Counter(fields)
    assert sql("SELECT username FROM users ORDER BY id") == [{"username": "alice"}, {"username": "bob"}]


def test_what_is_missing_stands_beside_what_is_wrong(client):
    refused = client.post_json("/api/users/register", {"username": "admin"})

    assert collections.Counter(problems(refused)) == collections.Counter(["email", "password", "username"])


def test_the_example_of_a_form_has_each_problem_once(client):
    refused = client.post_json(
        "/api/users/register", {"username": "a b", "email": "no address", "password": "alllower1"}
    )

    issues = {problem["field"]: problem["issue"] for problem in refused.json["error"]["details"]["errors"]}
    assert len(refused.json["error"]["details"]["errors"]) == 3
    assert issues["username"] == "Must be 3 to 50 characters of A-Z, a-z, 0-9 and _."
    assert issues["email"] == "Must be a valid e-mail address of at most 255 characters."
    assert issues["password"].startswith("Must be 8 to 128 characters")


def test_a_taken_name_and_a_taken_address_are_one_409_that_has_both(client, bob):
    registered = client.post_json("/api/users/register", {**ALICE, "username": "ALICE"})
    changed = bob({"username": "Alice", "email": "alice@example.com"})

    for refused in (registered, changed):
        assert (refused.status_int, refused.json["error"]["code"]) == (409, "DUPLICATE_USERNAME")
        assert refused.json["error"]["details"] == {**ALL_TAKEN[0], "errors": ALL_TAKEN}


def test_one_that_is_taken_is_listed_too(client, bob):
    registered = client.post_json("/api/users/register", {**ALICE, "username": "carol"})
    changed = bob({"username": "Alice", "email": "bob@example.com"})

    assert registered.json["error"]["code"] == "DUPLICATE_EMAIL"
    assert registered.json["error"]["details"]["errors"] == ALL_TAKEN[1:]
    assert changed.json["error"]["details"]["errors"] == ALL_TAKEN[:1]


def test_a_refused_form_makes_no_hash(client, bob, monkeypatch):
    made = []
    monkeypatch.setattr(bcrypt, "hashpw", lambda *given: made.append(given))

    client.post_json("/api/users/register", ALICE)
    bob({"email": "alice@example.com", "password": "Another-Horse-8"})

    assert made == []


@pytest.mark.parametrize("current", [{}, {"current_password": PASSWORD}])
def test_both_are_told_where_another_was_faster_while_the_hash_was_made(client, bob, sql, monkeypatch, current):
    """The constraint refuses, which names one of them; the form is looked at again, and tells both."""
    make = bcrypt.hashpw

    def hashpw(given, salt):
        sql("INSERT IGNORE INTO users (username, email, password_hash) VALUES ('carol', 'carol@example.com', '*')")
        return make(given, salt)

    carol = {"username": "carol", "email": "carol@example.com", "password": "Another-Horse-8"}
    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    registered = client.post_json("/api/users/register", carol)
    sql("DELETE FROM users WHERE username = 'carol'")
    changed = bob({**carol, **current})

    for refused in (registered, changed):
        assert (refused.status_int, refused.json["error"]["details"]["errors"]) == (409, ALL_TAKEN)


def test_a_reserved_name_does_not_tell_whether_somebody_has_it(client, sql):
    before = register(client, "admin", email="x@example.com").body
    sql("INSERT INTO users (username, email, password_hash) VALUES ('admin', 'admin@example.com', '*')")

    assert register(client, "admin", email="x@example.com").body == before


def test_the_same_registration_again_with_its_key_is_answered_again_and_not_called_taken(client, sql):
    headers = {"Idempotency-Key": "k-1"}

    first, second = (client.post_json("/api/users/register", ALICE, headers=headers) for _ in range(2))
    other = client.post_json("/api/users/register", {**ALICE, "rol": "admin"}, headers=headers)

    assert (first.status_int, second.status_int, first.json["data"]) == (201, 201, second.json["data"])
    assert (other.status_int, other.json["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert sql("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]


RACES = {
    "one name": ("racer", "racer{}@example.com", {("DUPLICATE_USERNAME", ("username",))}),
    "one address": ("racer{}", "racer@example.com", {("DUPLICATE_EMAIL", ("email",))}),
    "both": ("racer", "racer@example.com", {("DUPLICATE_USERNAME", ("username", "email"))}),
}


@pytest.mark.slow
@pytest.mark.parametrize("race", RACES)
def test_of_those_who_race_for_a_name_or_an_address_one_gets_it_and_the_others_a_409(start, accounts, sql, race):
    name, email, refusals = RACES[race]
    url, threads = as_url(accounts.application), ("--workers", "2", "--threads", "20")
    shop = start(*threads, DATABASE_URL=url, DATABASE_CONNECTIONS="40", RATE_LIMITS="off", BCRYPT_COST="8")

    def attempt(number):
        body = {"username": name.format(number), "email": email.format(number), "password": PASSWORD}
        return lambda: shop.request("/api/users/register", "POST", body)

    for _ in range(3):
        sql("DELETE FROM users")
        answers = at_once([attempt(number) for number in range(9)])

        assert collections.Counter(answer.status for answer in answers) == {201: 1, 409: 8}, shop.log
        refused = [answer.json["error"] for answer in answers if answer.status == 409]
        told = {(error["code"], tuple(p["field"] for p in error["details"]["errors"])) for error in refused}
        assert told == refusals
        assert sql("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]


@pytest.mark.slow
def test_of_those_who_race_to_take_over_a_name_and_an_address_one_gets_them_too(start, accounts, sql):
    url, threads = as_url(accounts.application), ("--workers", "2", "--threads", "20")
    shop = start(*threads, DATABASE_URL=url, DATABASE_CONNECTIONS="40", RATE_LIMITS="off")
    racers = {}
    for number in range(9):
        account = {"username": f"racer{number}", "email": f"racer{number}@example.com", "password": PASSWORD}
        id = shop.request("/api/users/register", "POST", account).json["data"]["id"]
        login = {"username": f"racer{number}", "password": PASSWORD}
        racers[id] = shop.request("/api/users/login", "POST", login).json["data"]["token"]
    wanted = {"username": "wanted", "email": "wanted@example.com"}

    answers = at_once(
        [
            lambda i=id, t=token: shop.request(f"/api/users/{i}", "PUT", wanted, **bearer(t))
            for id, token in racers.items()
        ]
    )

    assert collections.Counter(answer.status for answer in answers) == {200: 1, 409: 8}, shop.log
    refused = [answer.json["error"]["details"]["errors"] for answer in answers if answer.status == 409]
    assert refused == [ALL_TAKEN] * 8
    assert sql("SELECT COUNT(*) AS n FROM users WHERE username = 'wanted' AND email = 'wanted@example.com'") == [
        {"n": 1}
    ]


# The words of the contract about passwords and names, one by one.


@pytest.mark.parametrize("password", ["Password1", "PassWORD123", "Qwerty123", "Passw0rd", "Welcome1", "Iloveyou1"])
def test_the_commonest_passwords_are_refused(client, password):
    assert problems(register(client, password=password)) == ["password"]


@pytest.mark.parametrize("password", ["Sailor_77", "My-SAILOR_77-x"])
def test_a_password_that_is_or_holds_the_user_name_is_refused(client, password):
    assert problems(register(client, "Sailor_77", email="x@example.com", password=password)) == ["password"]


@pytest.mark.parametrize("password", ["Sailor.77a", "My-sailor.77A"])
def test_a_password_that_is_or_holds_the_first_part_of_the_address_is_refused(client, password):
    assert problems(register(client, email="sailor.77a@example.com", password=password)) == ["password"]


@pytest.mark.parametrize("password", ["Lampshop24", "My-Lamp-Shop-24"])
def test_a_password_that_is_or_holds_the_name_of_the_shop_is_refused(wired, sql, password):
    shop = wired(dataclasses.replace(SETTINGS, shop=Shop("Lamp Shop 24")))

    refused = shop.post_json("/api/users/register", {**ALICE, "password": password}, status=400)

    assert problems(refused) == ["password"]


@pytest.mark.parametrize(
    "name",
    ["admin", "root", "support", "Administrator", "postmaster", "webmaster", "info", "sales", "help", "security"],
)
def test_reserved_names_cannot_be_registered(client, name):
    refused = register(client, name)

    assert refused.json["error"]["details"]["issue"] == "Is reserved for the shop. Choose another one."
