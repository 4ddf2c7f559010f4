"""One of three database servers goes under load, and comes back: who orders hears "try again" for 3 s at the most.

Each fault has two times in which requests may fail: when it happens, and when what was gone is back and the shops go
back to the node that they prefer.
"""

import contextlib
import json
import subprocess
import sys
import time

import pytest
from helpers import as_url, eventually, execute, require_sound_data
from load import STOCK, shopping
from nodes import LONG_FORM

from core.setup.system import ROOT

RATE, CLIENTS = 60, 12  # requests a second, of all shoppers
BUYS = 0.6  # the share of visits that buy
SECONDS = 3.0  # in which requests may fail
SELLING = 3600  # seconds at the most, for a million pieces


def killed(node):
    """Kill -9."""
    node.kill()


def frozen(node):
    """It stands still."""
    node.freeze()


def stopped(node):
    """It ends in order."""
    node.end()


def cut_off(node):
    """The other nodes do not hear it, nor it them; the shops reach it."""
    node.isolate()


def outage(load, since, until):
    """Return the requests that failed in this time, and the seconds from the first failure to the end of the last."""
    failed = [one for one in load.failed() if since < one.at + one.seconds and one.at < until]
    if not failed:
        return failed, 0.0
    return failed, max(one.at + one.seconds for one in failed) - max(since, min(one.at for one in failed))


@pytest.fixture
def during(scene, front, products, lag, figure, either, request):
    """`during(fault, broken=0, seconds=3)`: let it happen under load, and be over; fail where a promise was not kept.

    It returns the load. `broken`: so many connections may be cut; `seconds`: in which requests may fail as it happens.
    """

    def hold(fault, broken=0, seconds=SECONDS):
        scene.heal()
        began, run = time.monotonic(), f"{request.node.name.partition('[')[2][:-1]}-{time.time_ns()}"
        with shopping(front.url, products, RATE, clients=CLIENTS, buys=BUYS, run=run, ca=front.ca) as load:
            scene.goes_home()
            broke = time.monotonic()
            fault()
            time.sleep(either(4, 20) + seconds - SECONDS)
            mended = time.monotonic()
            scene.heal()
            scene.goes_home()
        times = ("gone", broke, mended, seconds), ("back", mended, time.monotonic(), SECONDS)
        for what, since, until, most in times:
            failed, within = outage(load, since, until)
            figure(f"{what}: requests failed within", within, "s")
            figure(f"{what}: requests that failed", len(failed))
            figure(f"{what}: the longest wait", max(load.took(since=since, until=until)), "s")
            for one in failed:
                print(f"        {one.at - since:+.2f} s: {one.kind}, {one.status} {one.code} after {one.seconds:.2f} s")
            assert within < lag.bound(most, began)
        assert all(one.at + one.seconds > broke for one in load.failed())
        audited(load, broken)
        return load

    def audited(load, broken):
        assert scene.cluster.agree()
        for node in scene.cluster.nodes:
            kept = load.audit(lambda statement, node=node: execute(node.owner, statement), broken, STOCK)
            assert execute(node.owner, "SELECT COUNT(*) AS n FROM products WHERE stock_quantity < 0") == [{"n": 0}]
            require_sound_data(node.owner)
        for name, count in kept.items():
            figure(name, count)
        assert kept["orders"] and kept["payments"]

    return hold


ALL = [killed, frozen, stopped, cut_off]
SOME = ALL if LONG_FORM else [frozen]  # of who is not written to: the others notice them all in the same way


@pytest.mark.parametrize("fault", ALL)
def test_the_writer_goes_and_requests_fail_until_there_is_another_and_nothing_is_lost(during, scene, fault):
    during(lambda: fault(scene.writer()), seconds=scene.cluster.failover)


@pytest.mark.parametrize("fault", SOME)
def test_another_node_goes_and_requests_fail_for_3_seconds_at_most_and_nothing_is_lost(during, scene, fault):
    during(lambda: fault(scene.other()))


def test_a_shop_is_killed_and_only_what_was_under_way_in_it_fails(during, scene):
    load = during(scene.kill_shop, broken=CLIENTS)

    assert len(load.failed()) <= CLIENTS


def test_haproxy_is_reloaded_and_nobody_notices(during, front):
    load = during(front.reload)

    assert not load.failed()


# Many take pieces of the same products at once, until none are left


@pytest.fixture
def stocked(cluster):
    """`stocked(pieces)`: 50 products with so many pieces together, which only the test knows; removed afterwards."""

    def make(pieces):
        line = "INSERT INTO products (name, price, stock_quantity, is_active) VALUES (%s, 1, %s, 0)"
        for number in range(50):
            execute(cluster.owner, line, [f"Piece {number}", pieces // 50], by_hand=False)
        return [row["id"] for row in execute(cluster.owner, "SELECT id FROM products WHERE name LIKE 'Piece %'")]

    yield make
    execute(cluster.owner, "DELETE FROM products WHERE name LIKE 'Piece %'", by_hand=False)


@contextlib.contextmanager
def selling(urls, products, *words):
    """Let 8 threads for each of the urls sell the products; give a dict of what was promised, filled at the end."""
    given, promised = ["--products", ",".join(map(str, products)), *words], {}
    command = [sys.executable, "-m", "tests.cluster.sellers"]
    running = [
        subprocess.Popen([*command, url, *given, "--seed", str(seed)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for seed, url in enumerate(urls)
    ]
    try:
        yield promised
        for one in running:
            said, _ = one.communicate(timeout=SELLING)
            assert one.returncode == 0
            for name, count in json.loads(said).items():
                promised[name] = promised.get(name, 0) + count
    finally:
        for one in running:
            one.kill()
            one.wait()


def left_of(node, products):
    """Return how many pieces are left, and the fewest of a product, as this node says."""
    marks = ", ".join(["%s"] * len(products))
    found = f"SELECT SUM(stock_quantity) AS n, MIN(stock_quantity) AS least FROM products WHERE id IN ({marks})"
    (row,) = execute(node.owner, found, products)
    return int(row["n"]), row["least"]


def test_each_piece_is_sold_once_and_no_sale_is_lost_while_the_writer_goes(cluster, scene, stocked, figure, either):
    """Where a COMMIT was sent to the others, and the writer goes before it says so, the sale is uncertain."""
    pieces, faults = either(20_000, 1_000_000), either([cut_off], [killed, cut_off, frozen] * 2)
    products, other = stocked(pieces), scene.other()
    began = time.monotonic()

    with selling([cluster.url] * 2, products) as promised:
        for number, fault in enumerate(faults, 1):
            until = pieces - number * pieces // (len(faults) + 1)
            assert eventually(lambda until=until: left_of(other, products)[0] <= until, SELLING)
            scene.goes_home()
            fault(scene.writer())
            time.sleep(2)
            cluster.heal()

    for name, count in {"pieces": pieces, **promised, "seconds": time.monotonic() - began}.items():
        figure(name, count)
    assert cluster.agree()
    assert {left_of(node, products) for node in cluster.nodes} == {(0, 0)}
    assert promised["acknowledged"] <= pieces <= promised["acknowledged"] + promised["uncertain"]


def test_control_where_all_servers_are_written_to_by_who_reads_first_sales_are_lost(cluster, stocked, figure):
    if cluster.engine != "galera":
        pytest.skip("here one server at a time takes writes, whoever asks")
    pieces = 5_000
    products = stocked(pieces)

    with selling([as_url(node.owner) for node in cluster.nodes], products, "--read-then-write") as promised:
        pass

    for name, count in {"pieces": pieces, **promised}.items():
        figure(name, count)
    assert promised["acknowledged"] > pieces
