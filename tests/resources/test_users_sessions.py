"""The logins of an account: listed without tokens, ended one by one, and until when each lasts."""

import dataclasses
import datetime
import ipaddress
import logging
import threading
import time

import pytest
from helpers import LONG, SETTINGS, as_url, at_once, bearer, login, register
from test_users import NEW, events

PROXIES = (ipaddress.ip_network("10.0.0.1"),)
SESSIONS = "/api/users/me/sessions"


@pytest.fixture
def alice(client):
    """A registered account: (id, token)."""
    id = register(client).json["data"]["id"]
    return id, login(client)


def listed(client, token):
    """Return what the account's logins are."""
    answer = client.get(SESSIONS, headers=bearer(token))
    assert answer.status_int == 200, answer.text
    return answer.json["data"]


def at(text):
    """Return a time of an answer."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)


def test_the_logins_of_an_account_are_listed_the_newest_first_and_say_which_one_asks(client, alice):
    phone, desk = login(client), login(client)

    sessions = listed(client, phone)

    assert [session["is_current"] for session in sessions] == [False, True, False]
    assert [session["id"] for session in sessions] == sorted((session["id"] for session in sessions), reverse=True)
    assert [session["is_current"] for session in listed(client, desk)] == [True, False, False]
    assert set(sessions[0]) == {
        *("id", "created_at", "last_used_at", "expires_at", "idle_expires_at", "address", "is_current")
    }


def test_no_token_and_no_hash_is_ever_listed(client, alice, sql):
    hashes = [row["token_hash"] for row in sql("SELECT token_hash FROM sessions")]

    text = client.get(SESSIONS, headers=bearer(alice[1])).text

    assert not [secret for secret in (alice[1], *hashes) if secret in text]


def test_a_login_has_the_address_that_it_came_from(client, wired, sql):
    proxied = wired(dataclasses.replace(SETTINGS, trusted_proxies=PROXIES))
    register(client)
    account = {"username": "alice", "password": NEW["password"]}
    addresses = ["198.51.100.7", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.1", "x" * 60, "\xe9\xff"]
    for address in addresses:
        environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": address}
        answer = proxied.post_json("/api/users/login", account, extra_environ=environ)

    found = [session["address"] for session in reversed(listed(proxied, answer.json["data"]["token"]))]

    assert found == ["198.51.100.7", "2001:db8:1:2::/64", "192.0.2.1", "x" * 45, "\xe9\xff"]


def test_a_login_of_before_addresses_were_recorded_has_none(client, alice, sql):
    sql("UPDATE sessions SET address = NULL")

    assert [session["address"] for session in listed(client, alice[1])] == [None]


def test_others_logins_and_those_that_have_ended_or_were_unused_for_too_long_are_not_listed(client, alice, sql):
    register(client, "bob")
    login(client, "bob")
    for change in ("expires_at = CURRENT_TIMESTAMP", "last_used_at = CURRENT_TIMESTAMP - INTERVAL 86400 SECOND"):
        login(client)
        sql(f"UPDATE sessions SET {change} ORDER BY id DESC LIMIT 1")

    assert [session["is_current"] for session in listed(client, alice[1])] == [True]


def test_the_list_is_bounded_to_the_hundred_newest(client, alice, sql):
    for n in range(120):
        sql(
            "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES (%s, %s, '2037-01-01 00:00:00')",
            [f"{n:064}", alice[0]],
        )

    sessions = listed(client, alice[1])

    assert len(sessions) == 100
    assert [session["is_current"] for session in sessions] == [False] * 100


def test_ending_one_kills_its_token_at_once_and_no_other(client, alice):
    phone = login(client)
    number = listed(client, phone)[0]["id"]

    ended = client.delete(f"{SESSIONS}/{number}", headers=bearer(alice[1]))
    again = client.delete(f"{SESSIONS}/{number}", headers=bearer(alice[1]))

    assert (ended.status_int, ended.json["data"]) == (200, {"ended": 1})
    assert (again.status_int, again.json["error"]["code"]) == (404, "NOT_FOUND")
    assert client.get("/api/users/me", headers=bearer(phone)).status_int == 401
    assert client.get("/api/users/me", headers=bearer(alice[1])).status_int == 200


def test_ending_the_login_that_asks_logs_out(client, alice):
    number = listed(client, alice[1])[0]["id"]

    assert client.delete(f"{SESSIONS}/{number}", headers=bearer(alice[1])).status_int == 200

    assert client.get("/api/users/me", headers=bearer(alice[1])).status_int == 401


@pytest.mark.parametrize("role", ["customer", "admin"])
def test_anothers_login_and_one_that_is_not_there_are_the_same_404(client, alice, sql, role):
    register(client, "bob")
    sql("UPDATE users SET role = %s WHERE username = 'bob'", [role])
    bob = login(client, "bob")
    number = listed(client, alice[1])[0]["id"]

    others, nobodys = (client.delete(f"{SESSIONS}/{id}", headers=bearer(bob)) for id in (number, 2**31 - 1))
    impossible = client.delete(f"{SESSIONS}/0", headers=bearer(bob))

    assert (others.status_int, nobodys.status_int, impossible.status_int) == (404, 404, 404)
    assert others.body == nobodys.body
    assert client.get("/api/users/me", headers=bearer(alice[1])).status_int == 200


def test_ending_a_login_leaves_a_line_in_the_audit(client, alice, caplog):
    number = listed(client, alice[1])[0]["id"]
    caplog.set_level(logging.INFO)

    client.delete(f"{SESSIONS}/{number}", headers=bearer(alice[1]))

    lines = [line for line in events(caplog) if "event=session_end " in line]
    assert len(lines) == 1 and f"outcome=success user_id={alice[0]} " in lines[0]


def test_both_limits_are_told_at_the_login_and_in_the_list(client, wired, sql):
    client = wired(dataclasses.replace(SETTINGS, session_ttl=7200, session_idle=3600))
    register(client)
    answer = client.post_json("/api/users/login", {"username": "alice", "password": NEW["password"]}).json["data"]

    session = listed(client, answer["token"])[0]

    created = at(session["created_at"])
    for told in (answer, session):
        assert at(told["expires_at"]) - created == datetime.timedelta(seconds=7200)
        assert at(told["idle_expires_at"]) - created == datetime.timedelta(seconds=3600)


def test_use_puts_the_idle_limit_off_but_never_past_the_end(client, wired, sql):
    client = wired(dataclasses.replace(SETTINGS, session_ttl=7200, session_idle=3600))
    register(client)
    token = login(client)

    def left(seconds_ago):
        sql(
            "UPDATE sessions SET created_at = CURRENT_TIMESTAMP - INTERVAL %s SECOND,"
            " last_used_at = created_at + INTERVAL 600 SECOND, expires_at = created_at + INTERVAL 7200 SECOND",
            [seconds_ago],
        )
        client.get("/api/users/me", headers=bearer(token))  # a use
        session = listed(client, token)[0]
        return at(session["idle_expires_at"]) - at(session["last_used_at"]), session

    early, _ = left(1800)
    late, session = left(4100)

    assert early == datetime.timedelta(seconds=3600)
    assert late < early and session["idle_expires_at"] == session["expires_at"]


@pytest.mark.slow
def test_of_two_who_end_one_login_at_once_one_does(start, accounts, sql):
    shop = start("--workers", "2", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off")
    shop.request("/api/users/register", "POST", NEW)
    account = {"username": "alice", "password": NEW["password"]}
    keep, end = (shop.request("/api/users/login", "POST", account).json["data"]["token"] for _ in range(2))
    number = shop.request(SESSIONS, **bearer(keep)).json["data"][0]["id"]

    jobs = [lambda: shop.request(f"{SESSIONS}/{number}", "DELETE", **bearer(keep)).status] * 6

    assert sorted(at_once(jobs)) == [200, *[404] * 5], shop.log
    assert shop.request("/api/users/me", **bearer(end)).status == 401


@pytest.mark.slow
@pytest.mark.parametrize("by", ["itself", "another login"])
def test_a_login_that_is_ended_while_many_use_it_is_dead_from_the_answer_on(start, accounts, sql, by):
    shop = start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off")
    id = shop.request("/api/users/register", "POST", NEW).json["data"]["id"]
    account = {"username": "alice", "password": NEW["password"]}
    keep, used = (shop.request("/api/users/login", "POST", account).json["data"]["token"] for _ in range(2))
    number = shop.request(SESSIONS, **bearer(keep)).json["data"][0]["id"]
    sql("UPDATE sessions SET last_used_at = last_used_at - INTERVAL 400 SECOND")  # each use notes that it is one
    over = threading.Event()

    def end():
        time.sleep(0.3)
        status = shop.request(f"{SESSIONS}/{number}", "DELETE", **bearer(used if by == "itself" else keep)).status
        return status, time.monotonic()

    def use(ask):
        def work():
            done = []
            while not over.is_set() and (not done or done[-1][1] != 401):
                began = time.monotonic()
                done.append((began, ask().status))
            return done

        return work

    uses = [
        lambda: shop.request("/api/users/me", **bearer(used)),
        lambda: shop.request(SESSIONS, **bearer(used)),
        lambda: shop.request("/api/cart", "POST", **bearer(used)),
        lambda: shop.request(f"/api/users/{id}", "PUT", {"username": "alice"}, **bearer(used)),
    ]
    too_long = threading.Timer(LONG, over.set)
    too_long.start()
    *asked, first, second, third = at_once([*map(use, uses * 3), end, end, end])
    too_long.cancel()

    ends = [first, second, third]
    assert {status for status, _ in ends} <= {200, 404, *([401] if by == "itself" else [])}
    assert [status for status, _ in ends].count(200) == 1
    dead_from = next(at for status, at in ends if status == 200)
    answers = {(began > dead_from, status) for done in asked for began, status in done}
    assert {(False, 200)} <= answers <= {(False, 200), (False, 201), (False, 401), (True, 401)}, shop.log
    assert all(done[-1][1] == 401 for done in asked)
    assert shop.request("/api/users/me", **bearer(keep)).status == 200
    assert len(sql("SELECT id FROM sessions")) == 1
