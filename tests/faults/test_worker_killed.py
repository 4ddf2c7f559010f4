"""A worker killed with -9 under load: another one takes over, and only the requests under way in it are lost."""

import os
import signal
import threading
import time

import pytest
from arrivals import arrive
from helpers import both_workers, eventually, workers
from load import PATIENT, shopping

DELAY = 0.05  # seconds of the database for each reply, so that some requests are always under way
SOON = 1.0  # second, until the other one serves


@pytest.fixture
def two_workers(proxy, database, serve):
    """A shop of two workers whose database takes DELAY for each reply."""
    shop = serve(proxy.login(database.application), workers=2, threads=8, CACHE_TTL="0", COUNT_CACHE_TTL="0", **PATIENT)
    proxy.delay = DELAY
    return shop


def killed_under_load(shop, products):
    """Kill a worker while 50 clients a second come; return what all are told, and when it was killed."""
    victim, *_ = both_workers(shop)
    killed = []

    def kill():
        time.sleep(1)
        os.kill(victim, signal.SIGKILL)
        killed.append(time.monotonic())

    killing = threading.Thread(target=kill)
    killing.start()
    told = arrive(shop.port, [f"/api/products/{product}" for product in products], 50, 4, 3)
    killing.join()
    return told, killed[0]


def test_a_killed_worker_is_replaced_within_a_second_and_loses_only_what_was_under_way(
    two_workers, products, lag, figure
):
    began = time.monotonic()
    told, killed = killed_under_load(two_workers, products)

    lost = [one for one in told if one.status != 200]
    after = [one.seconds for one in told if one.at > killed]
    figure("requests under way that were lost", len(lost))
    figure("the longest wait of those who came after", max(after), "s")
    assert all(one.status == 0 and one.at <= killed for one in lost)
    assert all(one.at + 1 > killed for one in lost)
    assert max(after) < lag.bound(SOON, began)
    assert eventually(lambda: len(workers(two_workers)) == 2)


def test_control_without_a_supervisor_who_comes_after_waits_in_vain(two_workers, products):
    two_workers.process.send_signal(signal.SIGSTOP)
    try:
        told, killed = killed_under_load(two_workers, products)
    finally:
        two_workers.process.send_signal(signal.SIGCONT)

    assert any(one.status == 0 and one.at > killed for one in told)


def test_what_was_acknowledged_before_a_worker_was_killed_is_kept(serve, products, sql, figure, either):
    shop = serve(**PATIENT)
    kills = either(3, 20)
    with shopping(shop.url, products, rate=100, clients=16) as load:
        for _ in range(kills):
            time.sleep(either(1, 3))
            os.kill(min(both_workers(shop)), signal.SIGKILL)
        time.sleep(1.5)

    kept = load.audit(sql, broken=16 * kills)
    figure("broken connections of 16 shoppers at each kill", load.statuses.get(0, 0) / kills)
    assert kept["orders"] and kept["payments"]
    assert load.statuses.keys() <= {0, 200, 201, 409}
