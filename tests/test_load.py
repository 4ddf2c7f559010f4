"""The load generators of tests/load: what compare.py prints, that it leaves no carts; and what a soak finds."""

import re
import shutil
import socket
import subprocess
import sys

import costs
import pytest
import soak
from helpers import as_url
from kinds import Kinds
from load import Asked, Load
from mix import CATEGORIES, MIX

from core.setup.system import ROOT

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk (wrk)")


def compare(*words, **environment):
    """Run compare.py; return the completed process."""
    program = [sys.executable, str(ROOT / "tests" / "load" / "compare.py"), *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment or None)


@pytest.mark.slow
@needs_wrk
def test_two_shops_are_compared_in_rounds_and_their_carts_are_empty_again(start, accounts, make, sql):
    make.products(10, stock=1000)
    settings = {"DATABASE_URL": as_url(accounts.application), "RATE_LIMITS": "off"}
    urls = [start("--workers", "1", **settings).url for _ in range(2)]

    done = compare(*urls, "--rounds", "2", "--seconds", "1")

    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 3, done.stdout + done.stderr
    for url, line in zip(urls, lines, strict=False):
        assert re.fullmatch(re.escape(url) + r" +[0-9,]+/s  p50 +[0-9.]+ ms  p99 +[0-9.]+ ms  0 errors", line)
    assert re.fullmatch(r"second / first: [0-9.]+ \(rounds: [0-9.]+, [0-9.]+\)", lines[2])
    assert sql("SELECT COUNT(*) AS n FROM cart_items") == [{"n": 0}]


@pytest.mark.slow
@needs_wrk
def test_one_shop_alone_is_measured_and_refusals_are_errors(start, accounts, make, sql):
    make.products(10, stock=1000)
    shop = start("--workers", "1", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off", CACHE_TTL="3600")
    shop.request("/api/products?per_page=100&in_stock=true")  # cached: the stock that is gone is listed
    sql("UPDATE products SET stock_quantity = 0")

    done = compare(shop.url, "--rounds", "1", "--seconds", "1")

    first, *rest = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr
    assert int(re.search(r"([0-9]+) errors$", first)[1]) > 0
    assert rest == ["There were errors. Does the shop run with RATE_LIMITS=off?"]


def test_without_wrk_a_sentence_says_how_to_install_it():
    done = compare("http://127.0.0.1:1", PATH="")

    assert (done.returncode, done.stderr) == (1, "wrk is missing. Install it: sudo apt-get install wrk\n")


@needs_wrk
def test_a_shop_that_does_not_answer_is_told_in_a_sentence():
    done = compare("http://127.0.0.1:1")

    assert done.returncode == 1
    assert done.stderr.startswith("A shop does not answer as it should: ") and "Traceback" not in done.stderr


@pytest.mark.slow
def test_each_kind_of_request_whose_cost_is_measured_succeeds(start, accounts, make):
    for _ in range(CATEGORIES):
        make.product(category_id=make.category(), stock=1000)
    settings = {"DATABASE_URL": as_url(accounts.application), "RATE_LIMITS": "off", "PAYMENT_PROVIDERS": "dummy"}
    shop = start("--workers", "1", **settings)
    kinds, answers = Kinds(accounts, f"127.0.0.1:{shop.port}"), {}

    for kind in costs.KINDS:
        kinds.placed()
        for request in kinds.of(kind, 2):
            with socket.create_connection(("127.0.0.1", shop.port), timeout=30) as connection:
                connection.sendall(request)
                answers.setdefault(kind, []).append(connection.recv(12))

    assert {answer[:10] for some in answers.values() for answer in some} == {b"HTTP/1.1 2"}, answers
    assert all(len(some) == 2 for some in answers.values()) and set(MIX) <= set(answers)


def soaked(memory=100, descriptors=40, seconds=0.01, status=200):
    """Return what a soak of 100 s finds that ends with these figures, and begins with 100, 40, 10 ms and 200."""
    looks = [(second, {"memory": 100, "descriptors": 40, "threads": 12}) for second in range(51)]
    looks += [(50 + second, {"memory": memory, "descriptors": descriptors, "threads": 12}) for second in range(1, 51)]
    asked = [Asked("list", second / 10, 0.01, 200, None, None) for second in range(500)]
    asked += [Asked("list", 50 + second / 10, seconds, status, None, None) for second in range(500)]
    return soak.told(looks, Load(None, asked), 25)


@pytest.mark.parametrize("figures", [{}, {"memory": 104}, {"descriptors": 39}, {"seconds": 0.0119}])
def test_a_soak_that_ends_as_it_began_finds_nothing(figures):
    assert soaked(**figures) == []


@pytest.mark.parametrize(
    "figures", [{"memory": 106}, {"memory": 94}, {"descriptors": 41}, {"seconds": 0.0121}, {"status": 503}]
)
def test_a_soak_tells_what_has_grown_become_slower_or_failed(figures):
    assert len(soaked(**figures)) == 1
