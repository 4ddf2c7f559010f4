"""`server.py bench`: the mix, both load generators, what is counted as an error, and the share of the database."""

import collections
import contextlib
import dataclasses
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import SETTINGS, RealServer, as_url, command, environment, free_port

from commands import figures, load
from commands.figures import percentile, row
from commands.processlist import Gauge, gauge
from commands.shopper import LINES, LISTS, MIX, Mix, Shop
from core import database
from core.system import ROOT, Stop, program

NEEDS_WRK = pytest.mark.skipif(not program("wrk"), reason="needs wrk")
GENERATORS = [pytest.param("--no-wrk", id="python"), pytest.param("--wrk", id="wrk", marks=NEEDS_WRK)]


@pytest.fixture
def stock(make):
    """A catalogue of 60 products in three categories, all in stock."""
    for name in ("Audio", "Home", "Garden"):
        category = make.category(name)
        for n in range(20):
            make.product(f"Wireless {name} Lamp {n}", price=f"{n + 5}.50", stock=999, category_id=category)


@pytest.fixture
def mix(served, stock):
    """The requests of a run against a real shop."""
    return Mix(Shop(served.url), 1)


@pytest.fixture
def broken(accounts, sql, tmp_path):
    """A real server of the shop with one route that breaks."""
    port, log = free_port(), tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "broken_shop.py"), str(port)],
        env=environment(DATABASE_URL=as_url(accounts.application), PYTHONPATH=str(ROOT)),
        cwd=ROOT,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    real = RealServer(process, port, log)
    try:
        real.wait_for("Serving on", 60)
        yield real
    finally:
        process.terminate()
        process.wait(15)


def drive(real, requests, kind="lists"):
    """Send these requests on one connection, one after the other; return the Tally."""
    now = load.clock()
    walk = ((kind, request) for request in requests)
    return load.drive(("127.0.0.1", real.port), [walk], now, now + 30)


# A whole run


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_run_measures_all_kinds_without_an_error_and_leaves_no_cart_behind(served, stock, accounts, sql, generator):
    words = ["bench", "--url", served.url, "--seconds", "1", "--connections", "4", generator]

    done = command(*words, DATABASE_URL=as_url(accounts.application))

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["share"] == ["share", "requests", "per", "second", "p50", "p95", "p99", "errors"]
    assert all(int(rows[kind][3].replace(",", "")) > 0 for kind in (*MIX, "all"))
    assert rows["all"][-1] == "0"
    assert "In the database: about " in done.stdout
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
def test_all_figures_go_into_a_file_and_can_be_compared_with(served, stock, accounts, tmp_path, generator):
    words = ["bench", "--url", served.url, "--seconds", "1", "--connections", "2", generator]
    file = str(tmp_path / "figures.json")

    first = command(*words, "--json", file, DATABASE_URL=as_url(accounts.application))
    second = command(*words, "--compare", file, DATABASE_URL=as_url(accounts.application))

    found = json.loads((tmp_path / "figures.json").read_text())
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + second.stdout
    assert found["all"]["requests"] > 0 and found["all"]["p50_ms"] <= found["all"]["p95_ms"] <= found["all"]["p99_ms"]
    assert set(found["kinds"]) == set(MIX)
    assert found["database"]["looks"] > 0 and found["database"]["statements_per_request"] > 0
    assert "now ÷ before" in second.stdout


def test_without_the_shops_database_the_share_is_unknown_and_the_rest_is_measured(served, stock, sql):
    nowhere = f"mysql://u:p@127.0.0.1:{free_port()}/shop"

    done = command("bench", "--url", served.url, "--seconds", "1", "--no-wrk", DATABASE_URL=nowhere)

    assert done.returncode == 0, done.stderr
    assert "Share of a request's time in the database: unknown. The database shop on 127.0.0.1:" in done.stdout
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


@pytest.mark.slow
def test_ctrl_c_empties_the_carts_too(served, stock, accounts, sql):
    words = [sys.executable, str(ROOT / "server.py"), "bench", "--url", served.url, "--seconds", "60", "--no-wrk"]
    process = subprocess.Popen(
        words,
        env=environment(DATABASE_URL=as_url(accounts.application)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with process.stdout:
            while len(sql("SELECT DISTINCT session_id FROM cart_items LIMIT 30")) < 30:
                assert process.poll() is None
            os.killpg(process.pid, 2)
            assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()

    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_shop_that_breaks_meanwhile_is_an_error_and_exit_status_1(served, stock, accounts, sql, generator):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "bench", "--url", served.url, "--seconds", "4", generator],
        env=environment(DATABASE_URL=as_url(accounts.application)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        while len(sql("SELECT DISTINCT session_id FROM cart_items LIMIT 30")) < 30:
            assert process.poll() is None
        sql("RENAME TABLE cart_items TO cart_items_elsewhere")
        try:
            output = process.stdout.read()
        finally:
            sql("RENAME TABLE cart_items_elsewhere TO cart_items")

    assert process.returncode == 1
    assert re.search(
        r"Errors in (adds: [\d,]+ × 503 SERVICE_UNAVAILABLE|all: [\d,]+ × answers that are not 2xx)", output
    )
    assert re.search(r"^\d+ of the carts could not be emptied; python3 server.py purge removes them", output, re.M)


@pytest.mark.slow
def test_a_shop_that_cannot_answer_is_not_measured_and_says_why(served, stock, accounts, sql):
    sql("RENAME TABLE categories TO categories_elsewhere")
    try:
        done = command("bench", "--url", served.url, "--seconds", "1", DATABASE_URL=as_url(accounts.application))
    finally:
        sql("RENAME TABLE categories_elsewhere TO categories")

    assert done.returncode == 1
    assert done.stderr.startswith(f"The shop at {served.url} cannot be measured: GET /api/")
    assert " gave 503. It said: " in done.stderr


# What is typed


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_shop_that_is_not_there_gives_a_sentence(generator):
    url = f"http://127.0.0.1:{free_port()}"

    done = command("bench", "--url", url, generator)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"No shop answers at {url} (Connection refused). Start it: python3 server.py\n"


def test_an_empty_catalogue_gives_a_sentence(served):
    with pytest.raises(Stop, match=r"is empty. Fill it: python3 server.py seed\Z"):
        Mix(Shop(served.url), 1)


def test_a_catalogue_that_is_sold_out_gives_a_sentence(served, make):
    make.product(stock=0)

    with pytest.raises(Stop, match="Nothing that the shop lists is in stock"):
        Mix(Shop(served.url), 1)


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "ftp://h", "http://", "http://h/api", "http://h:99999", "http://u:p@h", "http://h?x=1", ""],
)
def test_an_address_that_makes_no_sense_gives_a_sentence(url):
    with pytest.raises(Stop, match=r"wanted is the shop's own address, such as http://127.0.0.1:8080\.\Z") as stop:
        Shop(url)

    assert stop.value.code == 2


def test_https_gives_a_sentence():
    with pytest.raises(Stop, match="the shop itself speaks http"):
        Shop("https://shop.example")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seconds", "0"], "--seconds is '0'; wanted is a whole number from 1 to 600."),
        (["--connections", "x"], "--connections is 'x'; wanted is a whole number from 1 to 1000."),
        (["--seed", "-1"], "--seed is '-1'; wanted is a whole number from 0 to 999999999."),
        (["--compare", "/nowhere/x"], "--compare /nowhere/x cannot be read: No such file or directory."),
        (["--compare", str(ROOT / "README.md")], f"--compare {ROOT / 'README.md'} is not what bench --json writes."),
        (["--json", "/nowhere/x"], "--json /nowhere/x cannot be written: No such file or directory."),
    ],
)
def test_an_option_that_makes_no_sense_gives_a_sentence(words, said):
    done = command("bench", *words)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", said + "\n")


# The mix


def test_a_hundred_requests_are_60_lists_20_products_15_carts_and_5_adds(mix):
    kinds = collections.Counter(kind for kind, _ in itertools.islice(mix.walk(0), 1000))

    assert kinds == {"lists": 600, "products": 200, "carts": 150, "adds": 50}
    assert sum(LISTS.values()) == 100


def test_a_seed_gives_the_same_requests_again_and_each_connection_its_own(served, mix):
    again, other = Mix(Shop(served.url), 1), Mix(Shop(served.url), 2)
    again.run = other.run = mix.run

    def first(some, number):
        return list(itertools.islice(some.walk(number), 300))

    assert first(again, 3) == first(mix, 3)
    assert first(other, 3) != first(mix, 3)
    assert first(mix, 4) != first(mix, 3)


def test_lists_use_all_that_a_shopper_may_ask_for_and_the_shop_answers_each(served, mix):
    lists = sorted(set(mix.lists))
    queries = b" ".join(lists).decode()

    tally = drive(served, lists)

    asked = ("after=", "category_id=", "min_price=", "max_price=", "sort=", "in_stock=", "search=", "facets=")
    assert [name for name in asked if name not in queries] == []
    assert "search=wireless" in queries
    assert (len(tally.times["lists"]), tally.errors) == (len(lists), {})


def test_a_cart_takes_different_products_and_every_cart_is_known_afterwards(mix):
    counts = [0, 0, 0]

    adds = [request for kind, request in itertools.islice(mix.walk(2, counts), 2000) if kind == "adds"]

    carts = collections.defaultdict(list)
    for request in adds:
        head, _, body = request.decode().partition("\r\n\r\n")
        carts[head.partition("Session-ID: ")[2].split()[0]].append(json.loads(body)["product_id"])
    assert counts == [0, 0, len(adds)]
    assert list(carts) == mix.sessions(2, len(adds))
    assert all(len(products) == LINES == len(set(products)) for products in list(carts.values())[:-1])


# What is counted


@pytest.mark.parametrize(("share", "value"), [(1, 1), (50, 50), (95, 95), (99, 99), (99.5, 100), (100, 100), (0, 1)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share, value):
    assert percentile(list(range(1, 101)), share) == value


def test_percentiles_of_few_values_are_values_that_were_seen():
    assert [percentile([7, 9, 12], share) for share in (33, 34, 50, 66, 67, 99)] == [7, 9, 9, 9, 12, 12]
    assert percentile([], 50) is None


def test_a_row_counts_the_answers_in_time_and_the_errors():
    tally = load.Tally()
    tally.times["lists"].extend([4000, 1000, 3000, 2000])
    tally.times["carts"].append(9000)
    tally.late["lists"] = 1
    tally.errors["lists"].update({"500 INTERNAL_ERROR": 1, "connection refused": 2})

    found = row(tally, ("lists",), 2)

    assert found == {"requests": 4, "per_second": 1.5, "p50_ms": 2, "p95_ms": 4, "p99_ms": 4, "errors": 3}


def test_an_answer_of_500_is_an_error_by_its_code(broken):
    tally = drive(broken, [b"GET /api/broken HTTP/1.1\r\nHost: h\r\n\r\n"] * 3)

    assert tally.errors == {"lists": {"500 INTERNAL_ERROR": 3}}
    assert len(tally.times["lists"]) == 3


def test_more_than_the_stock_is_an_answer_and_no_error(served, make):
    product = make.product(stock=1)
    mix = Mix(Shop(served.url), 1)

    tally = drive(served, [mix.add("one-cart", product)] * 3, "adds")

    assert (tally.refused, tally.errors, len(tally.times["adds"])) == (2, {}, 3)


ENVELOPE = b'{"success":true,"data":{},"message":"Yes."}'


def answer(status=b"200 OK", body=ENVELOPE, headers=b""):
    """Return an HTTP answer as bytes."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


@contextlib.contextmanager
def answering(pieces, closing=False):
    """A server that answers each request with these pieces, one segment each; give (port, connections accepted)."""
    accepted = []

    def serve(listening):
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.append(connection)
                while connection.recv(65536):
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(0.01)
                    if closing:
                        break
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1], accepted
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def three_answers(port):
    """Ask three times on one connection; return the Tally."""
    now = load.clock()
    return load.drive(("127.0.0.1", port), [iter([("lists", b"GET / HTTP/1.1\r\n\r\n")] * 3)], now, now + 30)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([answer(b"429 X", b'{"success":false,"error":{"code":"RATE_LIMITED"}}')], "429 RATE_LIMITED"),
        ([answer(b"409 X", b'{"success":false,"error":{"code":"CONFLICT"}}')], "409 CONFLICT"),
        ([answer(b"200 OK", b"<html>")], "200 without the shop's envelope"),
        ([answer(b"502 Bad Gateway", b"")], "502 without the shop's envelope"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "an answer without Content-Length"),
    ],
)
def test_what_is_no_right_answer_is_an_error_by_name(pieces, why):
    with answering(pieces) as (port, _):
        tally = three_answers(port)

    assert tally.errors == {"lists": {why: 3}}


@pytest.mark.parametrize("cut", [5, 30, len(answer()) - 1])
def test_an_answer_may_come_in_pieces(cut):
    with answering([answer()[:cut], answer()[cut:]]) as (port, accepted):
        tally = three_answers(port)

    assert (len(tally.times["lists"]), tally.errors, len(accepted)) == (3, {}, 1)


def test_after_connection_close_the_next_request_goes_on_a_new_connection():
    with answering([answer(headers=b"Connection: close\r\n")], closing=True) as (port, accepted):
        tally = three_answers(port)

    assert (len(tally.times["lists"]), tally.errors, len(accepted)) == (3, {}, 3)


def test_a_connection_that_ends_without_an_answer_is_an_error():
    with answering([], closing=True) as (port, _):
        tally = three_answers(port)

    assert tally.errors == {"lists": {"connection closed without an answer": 3}}


def test_a_shop_that_is_gone_is_an_error_for_each_request():
    assert three_answers(free_port()).errors == {"lists": {"connection refused": 3}}


def test_several_processes_share_the_connections_and_their_tallies_are_added():
    with answering([answer()]) as (port, _), answering([answer()]) as (other, _):
        walks = [iter([("lists", b"GET / HTTP/1.1\r\n\r\n")] * 3)]
        one = load.generate(("127.0.0.1", port), walks, 5, 1, lambda start, over: None)
        walks = [iter([("lists", b"GET / HTTP/1.1\r\n\r\n")] * n) for n in (3, 0)]
        two = load.generate(("127.0.0.1", other), walks, 5, 2, lambda start, over: None)

    assert [len(tally.times["lists"]) for tally in (one, two)] == [3, 3]


# What is said


def found(**differing):
    """Return a run as the generator in Python finds it."""
    numbers = {"requests": 10, "per_second": 5.0, "p50_ms": 2.0, "p95_ms": 4.0, "p99_ms": 20.0, "errors": 0}
    return {
        "generator": "python",
        "connections": 16,
        "products": 60,
        "kinds": {kind: {**numbers, "share": 0.25} for kind in MIX},
        "all": {**numbers, "requests": 40},
        "errors": {},
        "refused_for_stock": 0,
        "busy": 0.4,
        "database": {"share": None, "why_not": "It is elsewhere"},
        **differing,
    }


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({}, "in the database: unknown. It is elsewhere."),
        ({}, "The load generator was busy 40 % of its time.\n"),
        ({"busy": 0.97}, "was busy 97 % of its time: the shop can do more. Install wrk."),
        ({"refused_for_stock": 7}, "7 adds were refused because the stock is too small; these are no errors."),
        ({"errors": {"lists": {"429 RATE_LIMITED": 3}}}, "Errors in lists: 3 × 429 RATE_LIMITED. Its rate limits"),
        ({"errors": {"lists": {"429 RATE_LIMITED": 3}}}, "start it with RATE_LIMITS=off."),
        ({"generator": "wrk"}, "wrk does not time the kinds apart, nor look into answers; --no-wrk does."),
    ],
)
def test_the_report_says_what_is_to_be_known_about_the_figures(capsys, differing, said):
    figures.report(found(**differing))

    assert said in capsys.readouterr().out


def test_a_comparison_is_new_by_old_and_says_what_is_not_alike(capsys):
    now = found(connections=8)
    now["all"] = {**now["all"], "per_second": 10.0, "p50_ms": 1.0}

    figures.compare(now, found())

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "2.00", "0.50", "1.00", "1.00"] in lines
    assert ["Not", "alike:", "connections", "8", "now,", "16", "before."] in lines


# The share of the database


def test_the_share_is_statements_under_way_by_requests_under_way():
    eye = Gauge()
    eye.looks = [0, 1, 1, 2] * 25

    share, margin = eye.share(4)

    assert share == 0.25
    assert margin == pytest.approx(2 * 0.7107 / 10 / 4, rel=1e-3)


def test_a_share_of_nothing_seen_has_a_margin_all_the_same():
    eye = Gauge()
    eye.looks = [0] * 300

    assert eye.share(10) == (0, 3 / 300 / 10)


def test_a_statement_under_way_is_seen_by_its_name(accounts, sql):
    with (
        contextlib.closing(database.connect(accounts.application, 10)) as looking,
        contextlib.closing(database.connect(accounts.application, 10)) as working,
        working.cursor() as cursor,
    ):
        eye = Gauge(looking)
        done = threading.Event()
        thread = threading.Thread(target=eye.watch, args=(load.clock(), done.is_set))
        thread.start()
        while not eye.looks and thread.is_alive():
            time.sleep(0.01)
        cursor.execute("/* products/slow */ SELECT SLEEP(0.5) AS slept")
        done.set()
        thread.join()

    assert eye.why_not is None
    assert eye.names["products/slow"] >= 1
    assert sum(eye.looks) == sum(eye.names.values())
    assert eye.statements >= 1


def test_another_database_than_the_shops_is_told_by_a_cart_that_is_not_in_it(accounts, sql):
    settings = dataclasses.replace(SETTINGS, database=accounts.application)

    with gauge(settings, "http://shop.example", "a-cart-of-another-shop") as eye:
        eye.watch(load.clock(), lambda: True)

    assert eye.why_not == "The shop at http://shop.example uses another database than these settings name"
    assert eye.share(16) is None


def test_without_any_database_none_is_started_to_look_at(tmp_path):
    with gauge(dataclasses.replace(SETTINGS, data_dir=tmp_path), "http://shop.example", "cart") as eye:
        pass

    assert eye.why_not == "DATABASE_URL is not set, and the private MariaDB of this directory does not run"
    assert list(tmp_path.iterdir()) == []
