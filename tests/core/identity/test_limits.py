"""Limits: how often something may be tried, from where, and what the shared counters promise."""

import collections
import contextlib
import dataclasses
import ipaddress
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import bottle
import pytest
from helpers import SETTINGS, as_url, free_port

from core.app import app
from core.cli import CommandError
from core.errors import RateLimited, ServiceUnavailable
from core.identity.client_address import client_address
from core.identity.counters import AWAY, Counters, HostMemory
from core.identity.limits import Limit
from core.identity.login_delays import Guess, LoginDelays
from core.identity.passwords import Passwords
from core.shared_memory import SharedMemoryStorage

PASSWORD = "Correct-Horse-7"
ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
WRONG = {"username": "alice", "password": "wrong"}


@pytest.fixture
def limited(wired, sql):
    """The wired shop with its limits on, behind a trusted proxy at 10.0.0.1: `limited(path, body, address)`."""
    settings = dataclasses.replace(SETTINGS, rate_limits=True, trusted_proxies=(ipaddress.ip_network("10.0.0.1"),))
    shop = wired(settings, extra_environ={"REMOTE_ADDR": "10.0.0.1"})

    def post(path, body, address="198.51.100.1", **headers):
        path = path if path.startswith("/") else f"/api/users/{path}"
        return shop.post_json(path, body, headers={"X-Forwarded-For": address, **headers}, status="*")

    post.put = lambda path, body, token: shop.put_json(
        path, body, headers={"X-Forwarded-For": "198.51.100.1", "Authorization": f"Bearer {token}"}, status="*"
    )
    return post


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


def told(refused):
    """Return what a 429 tells of quotas: (policy, tries left) of each, and its Retry-After."""
    assert refused.status_int == 429
    quotas = [re.match(r'"([^"]+)";r=(\d+);t=(\d+)\Z', value) for value in refused.headers.getall("RateLimit")]
    assert [quota[3] for quota in quotas] == [refused.headers["Retry-After"]] * len(quotas)
    policies = [re.match(r'"([^"]+)";q=\d+;w=\d+\Z', text)[1] for text in refused.headers.getall("RateLimit-Policy")]
    assert policies == [quota[1] for quota in quotas]
    return [(quota[1], int(quota[2])) for quota in quotas]


def test_a_429_by_the_shorter_window_of_a_limit_says_that_nothing_is_left_of_it(limited):
    answers = [limited("register", {}) for _ in range(31)]

    assert told(answers[-1]) == [("register", 0)]
    assert answers[-1].headers["RateLimit-Policy"] == '"register";q=30;w=60'


def test_a_429_by_the_longer_window_says_so_though_the_shorter_one_has_tries_left(limited, hours):
    for _ in range(10):
        for _ in range(30):
            limited("register", {})
        hours(1 / 60)

    refused = limited("register", {})

    assert told(refused) == [("register", 0)]
    assert refused.headers["RateLimit-Policy"] == '"register";q=300;w=3600'


@pytest.mark.parametrize("addresses", [["203.0.113.9"], [f"203.0.113.{n}" for n in range(21)]])
def test_a_429_of_a_delay_after_failed_logins_does_not_carry_the_tries_that_the_limit_has_left(limited, addresses):
    """By this address, and by all addresses together."""
    limited("register", ALICE)
    failed = [limited("login", WRONG, addresses[n % len(addresses)]) for n in range(20)]

    refused = limited("login", {"username": "alice", "password": PASSWORD}, addresses[-1])

    assert re.match(r'"login";r=[1-9]', failed[0].headers["RateLimit"])
    assert told(refused) == []


def test_a_429_of_an_address_that_tries_many_accounts_carries_no_tries_either(limited):
    for n in range(50):
        limited("login", {"username": f"user{n}", "password": "x"})

    assert told(limited("login", {"username": "one_more", "password": "x"})) == []


def test_a_429_for_wrong_current_passwords_carries_no_tries_of_changing_accounts(limited):
    id = limited("register", ALICE).json["data"]["id"]
    token = limited("login", RIGHT).json["data"]["token"]
    body = {"email": "new@example.com", "current_password": "Wrong-Horse-7"}

    answers = [limited.put(f"/api/users/{id}", body, token) for _ in range(6)]

    assert re.match(r'"account";r=[1-9]', answers[0].headers["RateLimit"])
    assert told(answers[-1]) == []


def test_a_429_of_a_budget_tells_of_the_budget_and_not_of_the_limit_beside_it(limited, monkeypatch):
    """No route has both by now; the plugins must not depend on that."""
    plugin = next(plugin for plugin in app.plugins if plugin.name == "limits")
    route = next(route for route in app.routes if route.rule == "/api/users/login")
    headers = []
    monkeypatch.setattr(bottle.request, "environ", {"bodega.headers": headers, "REMOTE_ADDR": "10.0.0.1"})

    with pytest.raises(RateLimited):
        plugin.apply(lambda: [plugin.spend(Limit("costs", "10/minute"), cost) for cost in (6, 6)], route)()

    assert [(name, value.split(";t=")[0]) for name, value in headers] == [
        ("RateLimit-Policy", '"costs";q=10;w=60'),
        ("RateLimit", '"costs";r=0'),
    ]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_address_that_has_logged_in_before_is_not_slowed_down_by_strangers(limited):
    limited("register", ALICE)
    right = {"username": "alice", "password": PASSWORD}
    limited("login", right, "198.51.100.1")

    for n in range(21):
        limited("login", WRONG, f"203.0.113.{n}")

    assert limited("login", right, "198.51.100.77").status_int == 429  # a new address waits, a minute at most
    assert limited("login", right, "198.51.100.1").status_int == 200


EMAIL = {"email": "alice@example.com"}
RIGHT = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def hours(monkeypatch):
    """`hours(n)`: let so much time pass for the counters."""
    clock, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed[0])

    def wait(number):
        passed[0] += number * 3600

    return wait


def guesses(limited, hours, number, bodies, addresses):
    """Guess so often, each time as soon as it is let through or a minute later; return the statuses."""
    statuses = []
    for n in range(number):
        body, address = bodies[n % len(bodies)], addresses[n % len(addresses)]
        statuses.append(limited("login", {**body, "password": "wrong"}, address).status_int)
        hours(1 / 60)
    return statuses


@pytest.mark.slow
@pytest.mark.parametrize("bodies", [[{"username": "alice"}], [{"username": "alice"}, EMAIL]])
def test_name_and_address_of_an_account_count_together_by_the_hour_and_the_day(limited, hours, bodies):
    limited("register", ALICE)

    by_the_hour = guesses(limited, hours, 59, bodies, ["203.0.113.9"])
    by_the_day = []
    for _ in range(4):
        hours(10 / 60)
        by_the_day += guesses(limited, hours, 50, bodies, ["203.0.113.9"])

    assert by_the_hour == [401] * 40 + [429] * 19
    assert by_the_day.count(401) == 100 - 40


@pytest.mark.slow
@pytest.mark.parametrize("body", [{"username": "alice"}, EMAIL])
def test_an_account_that_is_not_there_is_slowed_down_like_one_that_is(limited, hours, body):
    unknown = guesses(limited, hours, 45, [body], ["203.0.113.9"])
    limited("register", ALICE)

    known = guesses(limited, hours, 45, [body], ["203.0.113.10"])

    assert known == unknown == [401] * 40 + [429] * 5


@pytest.mark.slow
def test_strangers_who_guess_all_day_leave_the_owner_some_tries_a_minute_wherever_he_is(limited, hours):
    limited("register", ALICE)
    bodies, strangers = [{"username": "alice"}, EMAIL], [f"203.0.{n // 250}.{n % 250}" for n in range(400)]

    for n in range(20):  # 20 a minute, as long as hour and day allow it
        for stranger in strangers[20 * n : 20 * n + 20]:
            limited("login", {**bodies[n % 2], "password": "wrong"}, stranger)
        hours(1 / 60)
    hours(1 / 60)

    assert [limited("login", WRONG, f"203.1.0.{n}").status_int for n in range(6)] == [401] * 5 + [429]
    refused = limited("login", RIGHT, "198.51.100.7")
    assert (refused.status_int, int(refused.headers["Retry-After"]) <= 60) == (429, True)
    hours(1 / 60)
    assert limited("login", RIGHT, "198.51.100.7").status_int == 200


def test_a_flood_of_guesses_leaves_the_budget_of_hashes_a_place_for_known_addresses():
    passwords = Passwords(cost=4, slots=3)

    with passwords.budget(), passwords.budget():
        with pytest.raises(ServiceUnavailable), passwords.budget():
            pass
        with passwords.budget(stranger=False), pytest.raises(ServiceUnavailable), passwords.budget(stranger=False):
            pass
    with passwords.budget(), passwords.budget():  # all were given back
        pass


def test_who_logs_in_from_a_known_address_is_no_stranger_to_the_budget(limited, monkeypatch):
    limited("register", ALICE)
    limited("login", RIGHT, "198.51.100.1")
    passwords = next(plugin for plugin in app.plugins if plugin.name == "auth")._tools["passwords"]

    with contextlib.ExitStack() as flood:
        for _ in range(SETTINGS.threads // 2 - 1):
            flood.enter_context(passwords.budget())
        known = limited("login", RIGHT, "198.51.100.1")
        stranger = limited("login", RIGHT, "198.51.100.2")
        unknown = limited("login", {"username": "nobody_here", "password": "x"}, "198.51.100.1")

    assert [answer.status_int for answer in (known, stranger, unknown)] == [200, 503, 503]


def test_telling_which_addresses_are_taken_is_limited_by_the_hour(limited, hours):
    id = limited("register", ALICE).json["data"]["id"]
    token = limited("login", RIGHT).json["data"]["token"]
    statuses = []

    for n in range(130):
        statuses.append(limited.put(f"/api/users/{id}", {"email": f"a{n}@example.com"}, token).status_int)
        hours(2 / 3600)

    assert collections.Counter(statuses) == {200: 120, 429: 10}


def test_a_wrong_current_password_counts_as_a_failed_login(limited):
    id = limited("register", ALICE).json["data"]["id"]
    token = limited("login", RIGHT).json["data"]["token"]
    wrong = {"email": "new@example.com", "current_password": "Wrong-Horse-7"}

    refused = [limited.put(f"/api/users/{id}", wrong, token) for _ in range(6)]
    right = limited.put(f"/api/users/{id}", {**wrong, "current_password": PASSWORD}, token)

    assert [answer.status_int for answer in refused] == [403] * 5 + [429]
    assert refused[0].json["error"]["code"] == "REAUTHENTICATION_REQUIRED"
    assert right.status_int == 429


def test_a_successful_login_forgets_the_failures(limited):
    limited("register", ALICE)

    for _ in range(3):
        assert [limited("login", WRONG).status_int for _ in range(4)] == [401] * 4
        assert limited("login", {"username": "alice", "password": PASSWORD}).status_int == 200


def test_one_address_that_tries_many_accounts_is_stopped(limited):
    statuses = [limited("login", {"username": f"user{n}", "password": "x"}).status_int for n in range(55)]

    assert collections.Counter(statuses) == {401: 50, 429: 5}


@pytest.mark.slow
def test_one_address_fills_no_end_of_carts_whatever_it_calls_them(limited, make):
    """A line is stored for every client that asks; both forms of the request count, with any session id."""
    line = {"product_id": make.product(stock=5), "quantity": 1}
    first = limited("/api/cart/items", line, **{"Session-ID": "first"})
    statuses = collections.Counter(
        limited("/api/cart/items", {}, **{"Session-ID": f"header-{n}"}).status_int for n in range(1499)
    )
    statuses += collections.Counter(limited(f"/api/cart/path-{n}/items", {}).status_int for n in range(1500))

    refused = [limited("/api/cart/items", line, **{"Session-ID": "new"}), limited("/api/cart/new/items", line)]
    elsewhere = limited("/api/cart/new/items", line, "198.51.100.2")

    assert first.headers["RateLimit-Policy"] == '"cart-add";q=3000;w=21600'
    assert (first.status_int, statuses, elsewhere.status_int) == (201, {400: 2999}, 201)
    assert [answer.status_int for answer in refused] == [429, 429]
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 6 * 3600


def test_limits_can_be_turned_off(client):
    statuses = {client.post_json("/api/users/login", WRONG).status_int for _ in range(70)}

    assert statuses == {401}


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_limit_holds_and_tells_its_time_when_the_clock_is_set(limited, monkeypatch, jump):
    clock = time.time
    for _ in range(30):
        limited("register", {})

    monkeypatch.setattr(time, "time", lambda: clock() + jump)
    refused = limited("register", {})

    assert refused.status_int == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def guess(account, address):
    """Return a guess at this account's password, from this address."""
    return Guess(account, account, address)


@pytest.fixture
def crowded():
    """Delays whose tables are small, so that a crowd is soon more than they hold."""
    small = [SharedMemoryStorage(slots=512, wrap_exceptions=True) for _ in range(2)]
    return LoginDelays(Counters(memory=HostMemory(*small)))


def test_logins_from_everywhere_do_not_make_a_failure_forgotten(crowded):
    for _ in range(5):
        crowded.login_failed(guess("name alice", "203.0.113.9"))

    for n in range(2000):
        crowded.login_succeeded(guess(f"name stranger{n}", f"2001:db8:{n:x}::/64"))

    with pytest.raises(RateLimited):
        crowded.before_login(guess("name alice", "203.0.113.9"))


def test_tries_from_everywhere_do_not_make_it_forgotten_where_the_owner_logs_in(crowded):
    """Else a stranger with many addresses locks the owner out, a minute at a time."""
    crowded.login_succeeded(guess("name alice", "198.51.100.1"))
    for n in range(20):
        crowded.login_failed(guess("name alice", f"203.0.113.{n}"))

    for n in range(2000):
        crowded.login_failed(guess(f"name {n}", f"2001:db8:{n:x}::/64"))

    crowded.before_login(guess("name alice", "198.51.100.1"))
    with pytest.raises(RateLimited):
        crowded.before_login(guess("name alice", "198.51.100.2"))


PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))
MAPPED = (ipaddress.ip_network("::ffff:10.0.0.0/104"),)
ALL_IPV6 = (ipaddress.ip_network("::/0"),)


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
        ("::ffff:10.0.0.1", "1.2.3.4", PROXIES, "1.2.3.4"),  # a proxy on a socket for both IPv4 and IPv6
        ("::ffff:11.0.0.1", "1.2.3.4", PROXIES, "11.0.0.1"),
        ("10.0.0.1", "1.2.3.4", MAPPED, "1.2.3.4"),
        ("11.0.0.1", "1.2.3.4", MAPPED, "11.0.0.1"),
        ("::ffff:10.0.0.1", "1.2.3.4", MAPPED, "1.2.3.4"),
        ("::ffff:10.0.0.1", "1.2.3.4", ALL_IPV6, "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4, ::ffff:10.9.9.9", PROXIES, "1.2.3.4"),  # two proxies of ours
        ("10.0.0.1", "::ffff:1.2.3.4, 10.9.9.9", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "[::ffff:102:304]:443", PROXIES, "1.2.3.4"),
        ("10.0.0.1", "fe80::1%eth0", PROXIES, "fe80::/64"),
    ],
)
def test_whose_address_counts(connection, forwarded, trusted, address):
    environ = {"REMOTE_ADDR": connection, "HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(environ, trusted) == address


@pytest.mark.slow
def test_limits_are_exact_across_the_workers_of_a_host(start, accounts, sql):
    shop = start("--workers", "2", DATABASE_URL=as_url(accounts.application))

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(shop.request, "/api/users/register", "POST", {}) for _ in range(50)]
        statuses = collections.Counter(job.result().status for job in jobs)

    assert statuses == {400: 30, 429: 20}


SILENT = "RATE_LIMIT_STORAGE does not answer; this host counts by itself"


@pytest.mark.slow
def test_a_redis_counts_for_several_hosts_and_while_it_is_away_each_counts_by_itself(start, accounts, sql, redis):
    first = redis()
    variables = {"DATABASE_URL": as_url(accounts.application), "RATE_LIMIT_STORAGE": f"redis+unix://{redis.socket}"}
    hosts = [start("--workers", "1", **variables), start("--workers", "1", **variables)]

    def tried(times):
        return collections.Counter(hosts[n % 2].request("/api/users/register", "POST", {}).status for n in range(times))

    together = tried(40)
    first.kill()
    first.wait()
    apart = tried(70)
    redis()
    time.sleep(AWAY + 1)
    again = tried(40)

    assert together == {400: 30, 429: 10}
    assert apart == {400: 60, 429: 10}
    assert again == {400: 30, 429: 10}
    assert SILENT in hosts[0].log


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
def test_a_storage_that_is_away_at_the_start_stops_nothing(scheme, lag):
    started = time.monotonic()

    delays = LoginDelays(Counters(f"{scheme}://127.0.0.1:{free_port()}/name"))
    for _ in range(5):
        delays.login_failed(guess("name alice", "203.0.113.9"))
    with pytest.raises(RateLimited):
        delays.before_login(guess("name alice", "203.0.113.9"))

    assert time.monotonic() - started < lag.bound(8, started)  # the client of sentinels asks them for 10 s by itself


def test_a_client_that_is_not_installed_stops_the_start_and_is_named():
    with pytest.raises(CommandError, match=r"pip install 'limits\[redis\]'"):
        Counters("valkey://127.0.0.1:6379")


@pytest.mark.slow
def test_a_redis_that_hangs_is_not_waited_for_by_every_request(start, accounts, sql, redis):
    """Without a bound the 20 requests would wait 0.5 s each, and say so 20 times."""
    hung = redis()
    variables = {"DATABASE_URL": as_url(accounts.application), "RATE_LIMIT_STORAGE": f"redis+unix://{redis.socket}"}
    shop = start("--workers", "1", **variables)
    shop.request("/api/users/register", "POST", {})

    hung.send_signal(signal.SIGSTOP)
    statuses = {shop.request("/api/users/register", "POST", {}).status for _ in range(20)}

    assert statuses == {400}
    shop.wait_for(SILENT)
    assert shop.log.count(SILENT) <= 6
