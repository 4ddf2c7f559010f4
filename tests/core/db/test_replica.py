"""Reads from a replica, with a real one: who may see an old row, and what if it stops, lags, freezes or dies."""

import contextlib
import dataclasses
import itertools
import random
import re
import statistics
import threading
import time
import uuid

import pytest
from helpers import LONG, PASSWORD, SETTINGS, as_url, at_once, bearer, eventually, execute, execute_script, free_port
from replication import pair
from webtest import TestApp

import server
from core import logs
from core.db import replica_watch
from core.db.database import Database
from core.db.session import Session
from core.setup.embedded import Accounts
from core.setup.system import program

pytestmark = pytest.mark.skipif(
    not program("mariadbd"), reason="needs mariadbd: these tests replicate servers of their own"
)
READS = "bodega_replica_reads_total"
FRESH = replica_watch.FRESH / 1e9


@pytest.fixture(scope="module")
def both():
    """A replication.Pair for all tests here."""
    with pair() as made:
        yield made


@pytest.fixture(scope="module")
def accounts(accounts, both):
    """The logins at the primary; after all tests here the routes are wired to the tests' own database again."""
    yield Accounts(both.owner, both.application)
    server.shop(SETTINGS, accounts.application)


@pytest.fixture(autouse=True)
def ended():
    """End the threads that watch, after each test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "replica":
            thread._target.__self__.end()


@pytest.fixture
def host(both, sql):
    """`host(**settings)`: a shop with a replica, as on a host of its own; WebTest that has found the replica well."""
    both.mend()

    def wire(replica=both.login, **settings):
        app = server.shop(dataclasses.replace(SETTINGS, replica=replica, **settings), both.application)
        client = TestApp(app)
        client.database = next(plugin for plugin in server.app.plugins if isinstance(plugin, Database))
        client.replica = client.database._new_session.__self__
        client.get("/api/categories")
        assert eventually(client.replica.usable)
        return client

    yield wire
    both.mend()


def price(client, product, **headers):
    """Return what a client is told of the price."""
    return client.get(f"/api/products/{product}", headers=headers).json["data"]["price"]


def order(client, product, total=10.0):
    """Buy one piece as a guest."""
    session = uuid.uuid4().hex
    client.post_json(f"/api/cart/{session}/items", {"product_id": product, "quantity": 1})
    body = {"expected_total": total, "email": "ada@example.com"}
    return client.post_json("/api/orders", body, headers={"Session-ID": session, "Idempotency-Key": session})


def stock(client, product):
    """Return how many pieces a client is told of."""
    return client.get(f"/api/products/{product}").json["data"]["stock_quantity"]


def test_what_another_host_changed_is_seen_once_the_replica_is_too_far_behind(both, host, sql, make):
    tea = make.product(price="10.00")
    both.catch_up()
    client = host()

    both.hold()
    held = time.monotonic()
    sql("UPDATE products SET price = 12 WHERE id = %s", [tea])
    seen = price(client, tea)
    while price(client, tea) == 10.0:
        assert time.monotonic() - held < FRESH + 10
        time.sleep(0.05)

    assert seen == 10.0  # it came from the replica
    assert time.monotonic() - held >= FRESH - 2.5  # a beat and a look are older than the moment at which it was held


def test_a_guest_who_has_just_bought_sees_what_is_left(both, host, make):
    tea = make.product(stock=5)
    both.catch_up()
    client = host()
    assert stock(client, tea) == 5

    both.hold()
    assert order(client, tea).status_int == 201

    assert stock(client, tea) == 4


def test_so_he_does_in_a_cached_answer(both, host, make):
    tea = make.product(stock=5)
    both.catch_up()
    client = host(cache_ttl=60, count_cache_ttl=60)
    listed = "/api/products?in_stock=true"
    assert stock(client, tea) == 5
    assert client.get(listed).json["data"]["items"][0]["stock_quantity"] == 5

    both.hold()
    order(client, tea)

    assert stock(client, tea) == 4
    assert client.get(listed).json["data"]["items"][0]["stock_quantity"] == 4


def test_once_the_replica_has_what_this_host_has_changed_it_is_read_again(both, host, make, counted):
    tea = make.product(stock=5)
    both.catch_up()
    client = host()

    order(client, tea)

    def reads():
        before = counted(READS, "replica")
        assert stock(client, tea) == 4
        return counted(READS, "replica") > before

    assert eventually(reads)


@pytest.fixture
def hosts(both, start, sql):
    """`hosts(n)`: so many shops of their own, each with two workers that read from the replica."""
    both.mend()

    def begin(count, **settings):
        given = {"DATABASE_URL": as_url(both.application), "DATABASE_REPLICA_URL": as_url(both.login)}
        given |= {"CACHE_TTL": "0", "COUNT_CACHE_TTL": "0", "RATE_LIMITS": "off", "METRICS": "public", **settings}
        started = [start("--workers", "2", "--threads", "4", **given) for _ in range(count)]
        for one in started:
            assert eventually(lambda one=one: reads_of(one) > 0 and one.request("/api/categories").status == 200)
        return started

    yield begin
    both.mend()


def reads_of(real, server="replica"):
    """Return how many statements a real server has had answered by the replica, or by the primary in its place."""
    found = re.search(rf'^{READS}{{server="{server}"}} (\d+)', real.request("/metrics").body.decode(), re.M)
    real.request("/api/categories")
    return int(found[1]) if found else 0


def keeper(real, sql):
    """Make an administrator; return `begin()`, which logs in and returns the header."""
    account = {"username": "keeper", "password": PASSWORD}
    real.request("/api/users/register", "POST", {**account, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'", by_hand=False)
    return lambda: bearer(real.request("/api/users/login", "POST", account).json["data"]["token"])


def placed(real, who):
    """Return the numbers of the orders that are to be fulfilled."""
    answer = real.request("/api/orders?status=placed", **who)
    assert answer.status == 200, answer.body
    return [row["number"] for row in answer.json["data"]["items"]]


def test_a_login_sees_its_own_change_at_another_host_at_once_and_another_login_later(both, hosts, sql, make):
    number = "AAAAA-00001"
    make.order((make.product(), 1, 10), number=number, status="placed", payment_status="paid")
    one, two = hosts(2)
    log_in = keeper(one, sql)
    own, others = log_in(), log_in()
    both.catch_up()
    assert placed(two, own) == placed(two, others) == [number]

    both.hold()
    fulfilled = one.request(f"/api/orders/{number}/fulfil", "POST", {}, **own)

    assert fulfilled.status == 200, fulfilled.body
    assert placed(two, own) == []  # its own change
    assert placed(two, others) == [number]  # the replica does not have it
    assert eventually(lambda: placed(two, others) == [], FRESH + LONG)


def test_a_login_that_the_replica_does_not_have_reads_from_the_primary(both, hosts, sql, make):
    (one,) = hosts(1)
    log_in = keeper(one, sql)
    both.catch_up()
    make.order((make.product(), 1, 10), number="AAAAA-00001", status="placed", payment_status="paid")

    both.hold()

    assert placed(one, log_in()) == ["AAAAA-00001"]


def test_a_request_with_a_token_that_nobody_looks_up_reads_from_the_primary(both, host, sql, make):
    tea = make.product(price="10.00")
    both.catch_up()
    client = host()

    both.hold()
    sql("UPDATE products SET price = 12 WHERE id = %s", [tea])

    assert price(client, tea, Authorization="Bearer " + 43 * "x") == 12.0
    assert price(client, tea) == 10.0


def test_what_changes_something_reads_from_the_primary(both, host, sql, make):
    tea = make.category("Tea")
    both.catch_up()
    client = host()

    both.hold()
    sql("UPDATE categories SET name = 'Coffee' WHERE id = %s", [tea])

    def name_in(method):
        logs.SERVING.set({"REQUEST_METHOD": method})
        return client.database.transaction(lambda db: db.one("categories/get", id=tea))["name"]

    assert [name_in("GET"), name_in("POST")] == ["Tea", "Coffee"]


def test_within_a_transaction_nothing_is_read_from_the_replica(both, host, sql, make):
    tea = make.category("Tea")
    both.catch_up()
    client = host()
    logs.SERVING.set({"REQUEST_METHOD": "GET"})

    both.hold()
    sql("UPDATE categories SET name = 'Coffee' WHERE id = %s", [tea])

    def names(db):
        before = db.one("categories/get", id=tea)["name"]
        db.one("categories/lock", id=tea)
        return before, db.one("categories/get", id=tea)["name"]

    assert client.database.transaction(names) == ("Tea", "Coffee")


def test_a_change_that_is_rolled_back_is_not_counted(both, host, sql):
    client = host()
    sql("INSERT INTO users (username, email, password_hash) VALUES ('ada', 'a@example.com', '*')")
    add = "INSERT INTO sessions (token_hash, user_id, expires_at) SELECT 'aa', id, NOW() + INTERVAL 1 DAY FROM users"
    sql(add)

    def changes(*names, then=None):
        def work(db):
            for name in names:
                db.add("categories/add", name=name, description=None)
            if then:
                raise then

        logs.SERVING.set({"REQUEST_METHOD": "POST", "bodega.writer": ("aa", 0)})
        with contextlib.suppress(KeyError):
            client.database.transaction(work)
        return sql("SELECT changes FROM sessions")[0]["changes"]

    assert changes("Tea", "Coffee") == 1
    assert changes("Cocoa", then=KeyError()) == 1
    assert changes() == 1


def test_a_replica_that_is_delayed_for_longer_is_never_read(both, host, sql, make, counted):
    tea = make.product(price="10.00")
    client = host()

    both.follow(delay=int(FRESH) + 4)
    assert eventually(lambda: client.replica.usable() is None)
    sql("UPDATE products SET price = 12 WHERE id = %s", [tea])

    until = time.monotonic() + FRESH + 4
    before = counted(READS, "replica")
    while time.monotonic() < until:
        assert price(client, tea) == 12.0
        time.sleep(0.05)
    assert counted(READS, "replica") == before


def test_a_killed_replica_fails_no_request_and_is_read_again_when_it_is_back(both, host, make, counted):
    tea = make.product(price="10.00")
    both.catch_up()
    client = host()
    assert price(client, tea) == 10.0

    both.replica.kill()

    assert [price(client, tea) for _ in range(50)] == 50 * [10.0]
    assert eventually(lambda: client.replica.usable() is None)
    both.start_replica()
    assert eventually(lambda: client.replica.usable() and price(client, tea))
    before = counted(READS, "replica")
    price(client, tea)
    assert counted(READS, "replica") > before


def test_a_frozen_replica_holds_a_request_up_for_some_two_seconds_and_later_ones_not_at_all(both, host, make, lag):
    tea = make.product(price="10.00")
    both.catch_up()
    client = host(database_timeout=60.0)  # so long the request would wait
    price(client, tea)

    began = both.replica.freeze()
    assert price(client, tea) == 10.0
    first = time.monotonic() - began
    began = time.monotonic()
    assert price(client, tea) == 10.0
    later = time.monotonic() - began

    print(f"a frozen replica: {first:.2f} s for the first request, {later * 1000:.0f} ms for the next one")
    assert first < 30
    assert later < lag.bound(0.3, began)


def test_a_replica_that_lacks_a_table_is_not_needed(both, host, make):
    tea = make.product(price="10.00")
    both.catch_up()
    client = host()
    both.hold()
    here = "SET SESSION sql_log_bin = 0; RENAME TABLE {} TO {}"

    execute_script(both.replica.owner, here.format("products", "elsewhere"))
    try:
        assert price(client, tea) == 10.0
        assert client.get("/api/products?search=product&facets=true").status_int == 200
    finally:
        execute_script(both.replica.owner, here.format("elsewhere", "products"))


def test_a_server_that_was_set_back_is_not_taken_for_the_one_that_was_seen(both, host):
    client = host()
    server = client.replica.usable()

    server.until += 10**10  # as if it had lost what it had then

    assert client.replica.connect(server) is None
    assert not server.sockets


def test_an_address_that_leads_to_another_server_is_not_read_from(both, host):
    client = host()
    server = client.replica.usable()

    server.name = "elsewhere:3306"

    assert client.replica.connect(server) is None


def test_of_several_replicas_one_that_is_well_is_read(both, host, make, counted):
    tea = make.product()
    both.catch_up()
    nowhere = ("127.0.0.1", free_port())

    for others in ((nowhere,), (nowhere, (both.login.host, both.login.port))):
        first = both.login if len(others) == 1 else dataclasses.replace(both.login, port=free_port())
        client = host(replica=dataclasses.replace(first, others=others))
        price(client, tea)

        assert client.replica.usable().url.port == both.login.port


def test_without_the_setting_sessions_are_plain_and_the_primary_has_no_beats(both, sql, wired):
    execute(both.owner, "DELETE FROM replica_beats")
    wired(url=both.application).get("/api/categories")

    database = next(plugin for plugin in server.app.plugins if isinstance(plugin, Database))
    assert database._new_session is Session
    assert sql("SELECT COUNT(*) AS n FROM replica_beats")[0]["n"] == 0


@pytest.mark.slow
def test_while_the_database_is_frozen_the_replica_is_read_for_five_more_seconds(both, host):
    client = host(database_timeout=60.0)  # so long the thread that watches waits, too

    began = both.primary.freeze()
    gone = eventually(lambda: client.replica.usable() is None, FRESH + 20)

    both.primary.thaw()
    assert gone
    assert time.monotonic() - began > 1  # a beat is a second old at the most, a look 0.4


@pytest.mark.slow
def test_measured_how_soon_a_change_is_on_the_replica(both, host, make):
    tea = make.product(stock=1000)
    both.catch_up()
    client = host()
    spent = []
    for _ in range(40):
        order(client, tea)
        began = time.monotonic()
        while not client.replica.usable():
            assert time.monotonic() - began < LONG
            time.sleep(0.001)
        spent.append(time.monotonic() - began)

    print(f"read again after a change: {statistics.median(spent) * 1000:.0f} ms, at most {max(spent) * 1000:.0f} ms")
    assert statistics.median(spent) < LONG


@pytest.mark.slow
def test_whoever_has_written_sees_it_at_any_host_while_the_replica_jumps_ahead_and_falls_back(both, hosts, sql, make):
    """Real threads: buyers without an account stay at their host, administrators go from host to host."""
    real = hosts(2, CACHE_TTL="5", COUNT_CACHE_TTL="5")
    log_in = keeper(real[0], sql)
    categories = [make.category(f"Shelf {n}") for n in range(3)]
    products = make.products(4, stock=10_000)
    before = [reads_of(one) for one in real]
    over = time.monotonic() + 15
    wrong = []

    def buyer(n):
        one, mine, left = real[n % 2], products[n], 10_000
        while time.monotonic() < over:
            session = uuid.uuid4().hex
            one.request(f"/api/cart/{session}/items", "POST", {"product_id": mine, "quantity": 1})
            named = {"Session_ID": session, "Idempotency_Key": session}
            done = one.request("/api/orders", "POST", {"expected_total": 10, "email": "a@example.com"}, **named)
            left -= done.status == 201
            shown = one.request(f"/api/products/{mine}").json["data"]["stock_quantity"]
            if shown != left:
                wrong.append(("buyer", n, left, shown))
            time.sleep(random.uniform(0, 1))

    def administrator(n):
        who = log_in()
        for turn in itertools.count():
            if time.monotonic() > over:
                return
            name = f"Shelf {n} of turn {turn}"
            answer = real[turn % 2].request(f"/api/categories/{categories[n]}", "PUT", {"name": name}, **who)
            rows = real[(turn + 1) % 2].request("/api/audit?per_page=50", **who).json["data"]["items"]
            if answer.status == 200 and name not in {(row["after"] or {}).get("name") for row in rows}:
                wrong.append(("administrator", n, turn))
            time.sleep(random.uniform(0, 0.4))

    def visitor(n):
        while time.monotonic() < over:
            real[n % 2].request(f"/api/products?sort=price&max_price={random.randint(10, 10**6)}")
            time.sleep(0.02)

    def replication():
        while time.monotonic() < over:
            both.hold()
            time.sleep(random.uniform(0, 1.5))
            both.go_on()
            time.sleep(random.uniform(0, 1.5))

    jobs = [lambda n=n: buyer(n) for n in range(4)] + [lambda n=n: administrator(n) for n in range(3)]
    jobs += [lambda n=n: visitor(n) for n in range(2)]
    at_once([*jobs, replication])

    assert wrong == []
    for one, then in zip(real, before, strict=True):
        print(f"from the replica {reads_of(one) - then}, from the primary in its place {reads_of(one, 'primary')}")
        assert reads_of(one) > then + 5
