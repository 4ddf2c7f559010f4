"""Limits: how often something may be tried, from where, and what the shared counters promise."""

import collections
import dataclasses
import ipaddress
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import SETTINGS, as_url
from limits import parse
from limits.strategies import FixedWindowRateLimiter
from webtest import TestApp

import server
from core import system
from core.limits import client_address
from core.shared import SharedMemoryStorage

PASSWORD = "Correct-Horse-7"
ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
WRONG = {"username": "alice", "password": "wrong"}


@pytest.fixture
def limited(accounts, sql):
    """The wired shop with its limits on, behind a trusted proxy at 10.0.0.1: `limited(path, body, address)`."""
    settings = dataclasses.replace(SETTINGS, rate_limits=True, trusted_proxies=(ipaddress.ip_network("10.0.0.1"),))
    app = TestApp(server.shop(settings, accounts.application), extra_environ={"REMOTE_ADDR": "10.0.0.1"})

    def post(path, body, address="198.51.100.1"):
        return app.post_json(f"/api/users/{path}", body, headers={"X-Forwarded-For": address}, status="*")

    yield post
    server.shop(SETTINGS, accounts.application)


def test_registrations_are_limited_for_an_address_and_say_so_in_headers(limited):
    answers = [limited("register", {}) for _ in range(31)]

    assert [a.status_int for a in answers] == [400] * 30 + [429]
    assert answers[0].headers["RateLimit-Policy"] == '"register";q=30;w=60'
    assert answers[0].headers["RateLimit"].startswith('"register";r=29;t=')
    refused = answers[-1]
    assert refused.json["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].startswith('"register";r=0;t=')
    assert limited("register", {}, "198.51.100.2").status_int == 400  # another address is not concerned


def test_failed_logins_of_one_account_from_one_address_are_slowed_down_ever_more(limited):
    limited("register", ALICE)

    answers = [limited("login", WRONG) for _ in range(6)]
    right = limited("login", {"username": "alice", "password": PASSWORD})

    assert [a.status_int for a in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) <= 10
    assert right.status_int == 429  # also for the right password: a guess must not be told from a lock


def test_a_stranger_does_not_lock_the_owner_out(limited):
    limited("register", ALICE)
    for _ in range(6):
        limited("login", WRONG, "203.0.113.9")

    assert limited("login", WRONG, "203.0.113.9").status_int == 429
    assert limited("login", {"username": "alice", "password": PASSWORD}, "198.51.100.1").status_int == 200


def test_many_addresses_together_slow_one_account_down_for_a_minute_at_most(limited):
    limited("register", ALICE)
    statuses = [limited("login", WRONG, f"203.0.113.{n}").status_int for n in range(21)]

    assert statuses == [401] * 20 + [429]
    waits = limited("login", {"username": "alice", "password": PASSWORD}).headers["Retry-After"]
    assert int(waits) <= 60


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"email": "alice@example.com"}, {"email": " alice@example.com"}),
        ({"username": "alice"}, {"username": "#1"}),
        ({"username": "alice"}, {"email": "alice@example.com"}),
    ],
)
@pytest.mark.parametrize("registered", [True, False])
def test_the_limits_do_not_tell_whether_there_is_an_account(limited, first, then, registered):
    """Failures count for what was typed, so they are the same for a stranger's name."""
    wrong = {"password": "wrong"}

    def statuses():
        return [limited("login", first | wrong).status_int for _ in range(5)] + [
            limited("login", then | wrong).status_int
        ]

    if registered:
        limited("register", ALICE)

    assert statuses() == [401] * 6


def test_an_address_that_has_logged_in_before_is_not_slowed_down_by_strangers(limited):
    limited("register", ALICE)
    right = {"username": "alice", "password": PASSWORD}
    limited("login", right, "198.51.100.1")

    for n in range(21):
        limited("login", WRONG, f"203.0.113.{n}")

    assert limited("login", right, "198.51.100.77").status_int == 429  # a new address waits, a minute at most
    assert limited("login", right, "198.51.100.1").status_int == 200


def test_a_successful_login_forgets_the_failures(limited):
    limited("register", ALICE)

    for _ in range(3):
        assert [limited("login", WRONG).status_int for _ in range(4)] == [401] * 4
        assert limited("login", {"username": "alice", "password": PASSWORD}).status_int == 200


def test_one_address_that_tries_many_accounts_is_stopped(limited):
    statuses = [limited("login", {"username": f"user{n}", "password": "x"}).status_int for n in range(55)]

    assert collections.Counter(statuses) == {401: 50, 429: 5}


def test_limits_can_be_turned_off(client):
    statuses = {client.post_json("/api/users/login", WRONG).status_int for _ in range(70)}

    assert statuses == {401}


PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))


@pytest.mark.parametrize(
    ("connection", "forwarded", "trusted", "address"),
    [
        ("203.0.113.5", "1.2.3.4", (), "203.0.113.5"),  # by default nobody is believed
        ("203.0.113.5", "1.2.3.4", PROXIES, "203.0.113.5"),  # not a proxy of ours
        ("10.0.0.1", "1.2.3.4", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", PROXIES, "1.2.3.4"),  # what the client itself wrote is not believed
        ("10.0.0.1", "1.2.3.4, 10.9.9.9", PROXIES, "1.2.3.4"),  # two proxies of ours
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4:5678", PROXIES, "1.2.3.4"),  # some write the port
        ("10.0.0.1", "[2001:db8::1]:443", PROXIES, "2001:db8::/64"),
        ("10.0.0.1", "nonsense\r\n", PROXIES, "nonsense"),
        ("::1", "2001:db8:1:2:3:4:5:6", PROXIES, "2001:db8:1:2::/64"),  # one customer's network
        ("::ffff:192.0.2.1", "", (), "192.0.2.1"),
    ],
)
def test_whose_address_counts(connection, forwarded, trusted, address):
    environ = {"REMOTE_ADDR": connection, "HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(environ, trusted) == address


def test_the_shared_counters_agree_with_the_packages_own_arithmetic():
    storage = SharedMemoryStorage(slots=64)
    limiter, three = FixedWindowRateLimiter(storage), parse("3/minute")

    hits = [limiter.hit(three, "somebody") for _ in range(4)]
    left = limiter.get_window_stats(three, "somebody").remaining
    limiter.clear(three, "somebody")

    assert hits == [True, True, True, False]
    assert left == 0
    assert limiter.hit(three, "somebody") and limiter.test(three, "somebody else")
    assert storage.check()
    storage.reset()
    assert storage.get(three.key_for("somebody")) == 0


def test_a_window_ends():
    storage = SharedMemoryStorage(slots=64)

    storage.incr("key", 0.05)
    time.sleep(0.06)

    assert storage.incr("key", 60) == 1
    assert storage.get_expiry("key") > time.time() + 50


def test_a_full_table_forgets_and_never_fails():
    storage = SharedMemoryStorage(slots=8)

    counts = [storage.incr(f"key {n}", 60) for n in range(100)]

    assert counts == [1] * 100
    assert storage.incr("key 99", 60) == 2


def test_counters_are_exact_across_processes_and_threads():
    storage = SharedMemoryStorage()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: storage.incr("one key", 60), range(500)))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)

    assert storage.get("one key") == 2000


def test_a_worker_that_dies_with_the_lock_leaves_no_lock():
    storage = SharedMemoryStorage()
    child = os.fork()
    if child == 0:
        storage._locked.__enter__()
        os._exit(1)
    os.waitpid(child, 0)

    assert storage.incr("key", 60) == 1


@pytest.mark.slow
def test_limits_are_exact_across_the_workers_of_a_host(start, accounts, sql):
    shop = start("--workers", "2", DATABASE_URL=as_url(accounts.application))

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(shop.request, "/api/users/register", "POST", {}) for _ in range(50)]
        statuses = collections.Counter(job.result().status for job in jobs)

    assert statuses == {400: 30, 429: 20}


def redis_program():
    """Return how to start a Redis: Debian's redis-tools has the server under another name."""
    for name in ("redis-server", "redis-check-rdb"):
        if found := system.program(name):
            return found
    return None


@pytest.mark.slow
@pytest.mark.skipif(not redis_program(), reason="needs redis-tools")
def test_a_redis_counts_for_several_hosts_and_its_loss_stops_nobody(start, accounts, sql, tmp_path):
    socket = tmp_path / "redis"
    words = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    redis = subprocess.Popen(words, executable=redis_program(), stdout=subprocess.DEVNULL)
    try:
        variables = {"DATABASE_URL": as_url(accounts.application), "RATE_LIMIT_STORAGE": f"redis+unix://{socket}"}
        hosts = [start("--workers", "1", **variables), start("--workers", "1", **variables)]
        statuses = [hosts[n % 2].request("/api/users/register", "POST", {}).status for n in range(40)]
    finally:
        redis.kill()
        redis.wait()
    without = hosts[0].request("/api/users/register", "POST", ALICE)

    assert collections.Counter(statuses) == {400: 30, 429: 10}
    assert without.status == 201
    assert "The storage of the rate limits does not answer" in hosts[0].log
