"""Idempotency-Key, through the wired shop and against real servers: one effect, equal answers."""

import collections
import contextlib
import dataclasses
import http.client
import json
import os
import random
import signal
import threading
import time
import uuid

import pytest
from bottle import Bottle
from helpers import LONG, PASSWORD, SETTINGS, as_url, at_once, bearer, eventually, login, register, workers
from limits import parse_many

from core.contract import idempotency
from core.contract.idempotency import Idempotency, Turns
from core.db import drivers
from core.errors import InProgress
from core.identity.limits import Limits
from core.identity.login_delays import LoginDelays

SESSION = {"Session-ID": "a-cart"}


def add(client, product, key, quantity=1, **headers):
    """Put something into a cart, with a key."""
    body = {"product_id": product, "quantity": quantity}
    return client.post_json("/api/cart/items", body, headers={**SESSION, "Idempotency-Key": key, **headers})


def pieces(client, session="a-cart"):
    """Return how many pieces a cart holds."""
    return client.get("/api/cart", headers={"Session-ID": session}).json["data"]["item_count"]


def test_the_same_key_and_json_get_the_stored_answer_and_no_second_effect(client, make):
    tea = make.product()

    first, second = add(client, tea, "k-1", 2), add(client, tea, "k-1", 2)

    assert (first.status_int, second.status_int) == (201, 201)
    assert second.body == first.body
    assert second.headers["ETag"] == first.headers["ETag"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert pieces(client) == 2


def test_json_is_the_same_however_it_is_written(client, make):
    tea = make.product()
    headers = {**SESSION, "Idempotency-Key": "k-1", "Content-Type": "application/json"}

    for text in (f'{{"product_id": {tea}, "quantity": 2}}', f'{{ "quantity":2.0,"product_id":{tea} }}'):
        assert client.post("/api/cart/items", text, headers=headers).status_int == 201

    assert pieces(client) == 2


def test_the_same_key_with_another_body_is_422(client, make):
    tea = make.product()
    add(client, tea, "k-1", 2)

    refused = add(client, tea, "k-1", 3)

    assert (refused.status_int, refused.json["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert pieces(client) == 2


def test_a_refusal_may_be_tried_again_under_the_same_key(client, make, sql):
    tea = make.product(stock=1)

    refused = add(client, tea, "k-1", 2)
    sql("UPDATE products SET stock_quantity = 2")
    again = add(client, tea, "k-1", 2)

    assert (refused.status_int, again.status_int) == (409, 201)
    assert "Idempotent-Replayed" not in again.headers


def test_a_number_of_any_size_may_stand_in_the_body(client):
    assert add(client, 10**30, "k-1").status_int == 404


def test_an_import_honours_its_key_too(client, root, sql):
    headers = {**root, "Content-Type": "text/csv", "Idempotency-Key": "k-1"}
    answers = [client.post("/api/products/import", "name,price\nTea,1\n", headers=headers) for _ in range(2)]
    other = client.post("/api/products/import", "name,price\nTea,2\n", headers=headers)

    assert [answer.status_int for answer in answers] == [200, 200]
    assert answers[1].body == answers[0].body
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert (other.status_int, other.json["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert sql("SELECT COUNT(*) AS n FROM products") == [{"n": 1}]


def test_a_key_may_stand_in_quotes(client, make):
    tea = make.product()

    add(client, tea, '"k 1"')
    replayed = add(client, tea, '"k 1"')
    add(client, tea, "k-2")

    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert add(client, tea, '"k-2"').headers["Idempotent-Replayed"] == "true"  # bare or quoted, it is the same key
    assert add(client, tea, "x" * 255).status_int == 201


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, '"' + "x" * 256 + '"', '"a"b"', "ü"])
def test_a_malformed_key_is_named(client, make, key):
    refused = add(client, make.product(), key.encode().decode("latin-1"))

    assert (refused.status_int, refused.json["error"]["details"]["field"]) == (400, "Idempotency-Key")
    assert pieces(client) == 0


def test_a_key_belongs_to_one_session_one_account_and_one_route(client, make):
    tea = make.product()
    register(client, "alice"), register(client, "bob")
    alice, bob = bearer(login(client, "alice")), bearer(login(client, "bob"))

    answers = [
        add(client, tea, "k-1"),
        add(client, tea, "k-1", **{"Session-ID": "another"}),
        client.post_json(
            "/api/cart/items/batch",
            {"items": [{"product_id": tea, "quantity": 1}]},
            headers={**SESSION, "Idempotency-Key": "k-1"},
        ),
        client.post("/api/cart", headers={"Idempotency-Key": "k-1", **alice}),
        client.post("/api/cart", headers={"Idempotency-Key": "k-1", **bob}),
    ]

    assert [answer.status_int for answer in answers] == [201] * 5
    assert all("Idempotent-Replayed" not in answer.headers for answer in answers)
    assert answers[3].json["data"] != answers[4].json["data"]


def test_location_is_answered_again(client, make):
    body = {"username": "alice", "email": "a@example.com", "password": PASSWORD}

    first, second = (
        client.post_json("/api/users/register", body, headers={"Idempotency-Key": "k-1"}) for _ in range(2)
    )

    assert (first.status_int, second.status_int) == (201, 201)
    assert second.headers["Location"] == first.headers["Location"]


def test_a_stored_answer_is_of_no_use_to_whoever_steals_the_table(client, sql):
    register(client)
    body = {"username": "alice", "password": PASSWORD}

    first, second = (client.post_json("/api/users/login", body, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    stored = sql("SELECT id, fingerprint, answer FROM idempotency_keys")

    token = first.json["data"]["token"]
    assert second.json["data"]["token"] == token
    assert client.get("/api/users/me", headers=bearer(token)).status_int == 200
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 1}]
    assert len(stored) == 1
    for text in (token, PASSWORD, "alice", "k-1", '"success"'):
        assert all(text.encode() not in value for value in stored[0].values())


def test_amounts_are_answered_again_to_the_last_digit(client, make):
    dear = make.product(price="99999999.99", stock=2_000)

    first, second = add(client, dear, "k-1", 999), add(client, dear, "k-1", 999)

    assert '"line_total":99899999990.01' in first.text
    assert second.body == first.body


def test_a_key_costs_its_address_something(wired, make):
    tea = make.product()
    limited = wired(SETTINGS.__class__(**{**vars(SETTINGS), "rate_limits": True}))

    answer = add(limited, tea, "k-1")

    assert '"idempotency-key";q=3000' in answer.headers["RateLimit-Policy"]


def test_a_replay_costs_nothing(wired, make, monkeypatch):
    monkeypatch.setattr(idempotency.KEYS, "items", parse_many("2/minute"))
    tea = make.product()
    limited = wired(dataclasses.replace(SETTINGS, rate_limits=True))
    plainly = limited.do_request
    limited.do_request = lambda req, status=None, expect_errors=None: plainly(req, status or "*", True)

    statuses = [add(limited, tea, key).status_int for key in ("k-1", "k-2", "k-1", "k-1", "k-3", "k-2")]

    assert statuses == [201, 201, 201, 201, 429, 201]


def as_stranger(wired, path, **fields):
    """Return what sends a form with one key to the shop as it is outside, where tries are counted: its status."""
    limited = wired(dataclasses.replace(SETTINGS, rate_limits=True))
    form = {"username": "alice", "password": PASSWORD, **fields}

    def send(**changed):
        headers = {"Idempotency-Key": "k-1"}
        return limited.post_json(f"/api/users/{path}", {**form, **changed}, headers=headers, status="*").status_int

    return send


@pytest.mark.parametrize("path, fields", [("login", {}), ("register", {"email": "alice@example.com"})])
def test_guessing_the_body_of_a_key_is_slowed_down_like_guessing_a_password(wired, sql, path, fields):
    send = as_stranger(wired, path, **fields)
    if path == "login":
        as_stranger(wired, "register", email="alice@example.com")()
    assert send() == send()

    guesses = [send(password=f"Wrong-Horse-{n}") for n in range(7)]

    assert guesses == [422] * 5 + [429] * 2
    assert send() == 429  # the right one is not told either


def test_a_key_of_a_cart_is_no_password_and_another_body_stays_422(wired, make):
    tea = make.product(stock=1000)
    limited = wired(dataclasses.replace(SETTINGS, rate_limits=True))
    plainly = limited.do_request
    limited.do_request = lambda req, status=None, expect_errors=None: plainly(req, status or "*", True)
    add(limited, tea, "k-1")

    assert {add(limited, tea, "k-1", quantity).status_int for quantity in range(2, 12)} == {422}
    assert add(limited, tea, "k-1").headers["Idempotent-Replayed"] == "true"


def taken(turns, key, until, entered):
    """Take a turn in a thread of its own, until an event; return what became of it: a list, empty so far."""
    ends = []

    def take():
        try:
            with turns.turn(key):
                entered.release()
                until.wait(LONG)
            ends.append("done")
        except InProgress:
            ends.append("refused")

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return ends, thread


def test_few_wait_for_one_key_and_the_others_are_refused_at_once(lag):
    turns, until, entered = Turns(2), threading.Event(), threading.Semaphore(0)
    with contextlib.ExitStack() as others:
        others.callback(until.set)
        waiting = [taken(turns, b"k", until, entered) for _ in range(3)]
        for _ in waiting:
            entered.acquire(timeout=LONG)
        with pytest.raises(InProgress), turns.turn(b"k"):  # this one has waited until the places had stalled
            pass

        began = time.monotonic()
        with pytest.raises(InProgress), turns.turn(b"k"):
            pass

        assert time.monotonic() - began < lag.bound(idempotency.STALLED, began)
        with turns.turn(b"another key"):  # it waits for nobody
            pass
    for ends, thread in waiting:
        thread.join(LONG)
        assert ends == ["done"]
    with turns.turn(b"k"), turns.turn(b"k"), turns.turn(b"k"):  # all places are free again
        pass


def test_one_more_has_the_place_that_becomes_free_in_time():
    turns, until, entered = Turns(1), threading.Event(), threading.Semaphore(0)
    waiting = [taken(turns, b"k", until, entered) for _ in range(2)]
    for _ in waiting:
        entered.acquire(timeout=LONG)

    threading.Timer(idempotency.STALLED / 5, until.set).start()
    with turns.turn(b"k"):
        pass

    for ends, thread in waiting:
        thread.join(LONG)
        assert ends == ["done"]


@pytest.mark.slow
def test_a_login_that_runs_again_after_a_lock_wait_honours_its_key(client, accounts, make, sql):
    id = register(client).json["data"]["id"]
    make.cart("own")
    sql("UPDATE carts SET user_id = %s", [id])
    make.cart("guest", make.product())
    body = {"username": "alice", "password": PASSWORD, "session_id": "guest"}
    ask = lambda: client.post_json("/api/users/login", body, headers={"Idempotency-Key": "k-1"})  # noqa: E731

    with drivers.connect(accounts.owner, 10) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SELECT version FROM carts WHERE session_id = 'own' FOR UPDATE")
        waiting = threading.Timer(1.5, connection.rollback)  # the first try gives up after a second
        waiting.start()
        first = ask()
        waiting.join()
    second = ask()

    assert (first.status_int, second.headers["Idempotent-Replayed"]) == (200, "true")
    assert second.json["data"]["token"] == first.json["data"]["token"]
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 1}]


def test_a_post_without_a_transaction_stops_the_start():
    odd = Bottle()
    odd.route("/odd", "POST", lambda: None)

    with pytest.raises(LookupError, match="POST /odd: its handler names no db"):
        limits, delays = Limits(None, enabled=False), LoginDelays(None, enabled=False)
        odd.install(Idempotency("secret", limits, delays, 8, add="a", get="b", store="c"))


def post(served, product, key, session="race"):
    """Return a job that adds one piece to a cart, with a key."""
    body = {"product_id": product, "quantity": 1}
    return lambda: served.request("/api/cart/items", "POST", body, Session_ID=session, Idempotency_Key=key)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--workers", "1"), ("--workers", "2", "--threads", "4")])
def test_of_twenty_identical_requests_at_once_one_has_an_effect_and_all_get_its_answer(
    start, accounts, make, sql, words
):
    served = start(*words, DATABASE_URL=as_url(accounts.application))
    tea = make.product(stock=1000)

    for round in range(5):
        answers = at_once([post(served, tea, f"k-{round}")] * 20)

        assert collections.Counter(answer.status for answer in answers) == {201: 20}
        assert len({answer.body for answer in answers}) == 1
        assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
        assert sql("SELECT quantity FROM cart_items") == [{"quantity": round + 1}]


@pytest.mark.slow
def test_of_twenty_identical_registrations_and_logins_at_once_all_get_one_answer(start, accounts, sql):
    served = start(DATABASE_URL=as_url(accounts.application))
    account = {"username": "alice", "password": PASSWORD}

    for path, fields in (("register", {"email": "alice@example.com"}), ("login", {})):
        ask = lambda: served.request(f"/api/users/{path}", "POST", {**account, **fields}, Idempotency_Key="k")  # noqa: B023, E731
        answers = at_once([ask] * 20)

        assert len({(answer.status, answer.body) for answer in answers}) == 1
        assert answers[0].status in (200, 201)
    assert sql("SELECT COUNT(*) AS n FROM sessions") == [{"n": 1}]


@pytest.mark.slow
def test_who_waits_for_a_key_leaves_threads_for_everybody_else(start, accounts, make, lag):
    """What holds the key here is a lock; in the wild it is a login that makes its hash."""
    served = start("--workers", "1", DATABASE_URL=as_url(accounts.application), CACHE_TTL="0")
    tea = make.product(stock=1000)
    assert post(served, tea, "k-1")().status == 201

    def timed(job):
        began = time.monotonic()
        return job(), time.monotonic() - began

    def visitor():
        time.sleep(idempotency.STALLED + 0.25)
        return served.request(f"/api/products/{tea}")

    with drivers.connect(accounts.owner, 10) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SELECT id FROM idempotency_keys FOR UPDATE")
        jobs = [lambda job=job: timed(job) for job in [post(served, tea, "k-1")] * 40 + [visitor] * 3]
        answers = at_once(jobs)
        connection.rollback()
    same, visits = answers[:40], answers[40:]

    assert {(a.status, a.json["error"]["code"], a.headers["Retry-After"]) for a, _ in same} == {
        (409, "IN_PROGRESS", "1")
    }
    waited = sorted(seconds for _, seconds in same)
    assert waited[-3] > 1.5  # one has the key's turn, two have places
    assert waited[-4] < lag.bound(1.3)
    assert all(answer.status == 200 and seconds < lag.bound(1.3) for answer, seconds in visits)


@pytest.mark.slow
def test_in_progress_is_409_with_retry_after(served, accounts, make):
    tea = make.product(stock=1000)
    done = post(served, tea, "k-1")()
    assert done.status == 201

    with drivers.connect(accounts.owner, 10) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SELECT id FROM idempotency_keys FOR UPDATE")  # as its first request does until it has ended
        refused = post(served, tea, "k-1")()
        connection.rollback()

    assert (refused.status, refused.json["error"]["code"]) == (409, "IN_PROGRESS")
    assert refused.headers["Retry-After"] == "1"
    assert post(served, tea, "k-1")().headers["Idempotent-Replayed"] == "true"


@pytest.mark.slow
def test_after_kill_9_at_any_point_the_request_can_be_repeated(start, accounts, make, sql):
    """Rounds of one request each, repeated with its key until it is answered, while workers are killed."""
    real = start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off")
    tea = make.product(stock=100_000)
    killed, over = 0, threading.Event()

    def shoot():
        nonlocal killed
        while not over.wait(random.uniform(2, 3)):  # workers that die as soon as they start are given up
            for worker in sorted(workers(real))[:1]:
                os.kill(worker, signal.SIGKILL)
                killed += 1

    def until_answered(number):
        key = str(uuid.uuid4())

        def answered():
            with contextlib.suppress(OSError, http.client.HTTPException):  # the worker was killed
                return post(real, tea, key, f"cart-{number % 4}")().status == 201

        assert eventually(answered, LONG)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        rounds = 0
        while killed < 4:
            rounds += 1
            at_once([lambda number=number: until_answered(number) for number in range(8)])
            assert sql("SELECT SUM(quantity) AS n FROM cart_items")[0]["n"] == 8 * rounds
    finally:
        over.set()
        shooter.join()


def test_a_stored_answer_is_json_of_the_same_shape(client, make):
    tea = make.product()
    add(client, tea, "k-1")

    assert json.loads(add(client, tea, "k-1").body)["message"] == "Added to the cart."
