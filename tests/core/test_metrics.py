"""What is counted by name, with real processes and threads: none lost, none decreases, none without bound."""

import os
import random
import signal
import sys

import pytest
from helpers import at_once, ended, eventually, forked

from core import metrics, metrics_file
from core.db.statement_times import TIMES
from core.metrics import Counter, Gauge, Histogram, here

DONE = Counter("test_done_total", "What a test has done.", "how")
BUSY = Gauge("test_busy", "What a test says.", "who")
TOOK = Histogram("test_took_seconds", "What a test waited.", bounds=(0.1, 1))
ONCE = Histogram("test_once_seconds", "What is waited elsewhere.", bounds=(0.1, 1))


def total(counters, metric, *labels):
    """Return the sum of what the processes have of a metric: of a gauge, those that live."""
    found = [r for r in metrics_file.records(counters.words) if (r.name, r.labels) == (metric.name, labels)]
    if metric.kind == "gauge":
        found = [r for r in found if r.living and r.words[0]]
        return sum(r.words[0] - 1 for r in found) if found else None
    return [sum(numbers) for numbers in zip(*(r.words for r in found), strict=True)]


def test_threads_and_processes_lose_nothing(counters):
    """Threads take turns as often as Python lets them; a call within `words[place] += n` loses some each time."""

    def count():
        bound = TOOK.bound()
        for _ in range(3000):
            DONE.add("well")
            DONE.add("badly", amount=2)
            TOOK.observe(0.5)
            bound(500_000_000)
            TIMES.add("cart/show", 1000, 2, True)
            BUSY.add("many", amount=3)
            BUSY.add("many", amount=-3)

    def hurried():
        sys.setswitchinterval(1e-6)
        at_once([count] * 4)
        os._exit(here.words[BUSY.places[("many",)]] - 1)

    assert ended({forked(hurried) for _ in range(4)}) == {0}

    assert total(counters, DONE, "well") == [48_000]
    assert total(counters, DONE, "badly") == [96_000]
    assert total(counters, TOOK) == [96_000 * 500_000_000, 0, 96_000, 0]
    rows, spent, _, errors, *classes = total(counters, TIMES, "cart/show")
    assert (rows, spent, errors, sum(classes)) == (96_000, 48_000_000, 48_000, 48_000)


def test_what_is_bound_counts_as_observe_does(counters):
    spent = [random.randrange(2 * 10**9) for _ in range(500)] + [0, 10**8 - 1, 10**8, 10**8 + 1, 10**9, 10**9 + 1]
    observe = ONCE.bound()
    for one in spent:
        TOOK.observe(one / 1e9)
        observe(one)

    assert total(counters, ONCE)[1:] == total(counters, TOOK)[1:]
    assert total(counters, ONCE)[0] == sum(spent) == pytest.approx(total(counters, TOOK)[0])


def test_a_time_belongs_to_the_first_class_that_is_not_shorter(counters):
    for seconds in (0.0, 0.1, 0.100001, 1, 1.5, 700):
        TOOK.observe(seconds)

    assert total(counters, TOOK)[1:] == [2, 2, 2]


def test_a_successor_goes_on_with_the_counters_and_not_with_the_gauges(counters):
    def serve(number):
        DONE.add("well")
        if number == 0:
            BUSY.set(7, "first")
        signal.pause()

    for number in range(30):
        child = forked(lambda: serve(number))  # noqa: B023 - called at once
        assert eventually(lambda: (total(counters, DONE, "well") or [0]) == [number + 1])  # noqa: B023
        assert eventually(lambda: total(counters, BUSY, "first") == (None if number else 7))  # noqa: B023
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    assert total(counters, BUSY, "first") is None
    assert sum(r.name == DONE.name for r in metrics_file.records(counters.words)) == 1  # one table served them all


def test_a_gauge_is_the_sum_over_those_that_live(counters):
    BUSY.set(2, "both")
    child = forked(lambda: (BUSY.set(3, "both"), BUSY.add("both", amount=-1), signal.pause()))
    assert eventually(lambda: total(counters, BUSY, "both") == 4)

    BUSY.set(None, "both")
    assert total(counters, BUSY, "both") == 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert total(counters, BUSY, "both") is None


def test_names_without_end_fill_a_table_and_no_more(counters, caplog):
    DONE.add("well")
    for number in range(60_000):
        DONE.add(f"{number:030}")
    DONE.add("well")
    for _ in range(2):
        BUSY.set(1, "without any room, as this name is longer")  # it is counted where nobody looks

    assert caplog.text.count("too many metrics") == 1
    assert total(counters, DONE, "well") == [2]
    assert total(counters, BUSY, "without any room, as this name is longer") is None
    assert len(DONE.places) < 25_000


def test_a_label_cannot_forge_another_name(counters):
    DONE.add("one\ncounter\t1\ttest_done_total\twell")

    assert {r.labels for r in metrics_file.records(counters.words)} == {("one counter 1 test_done_total well",)}


def test_without_a_server_nothing_is_counted_and_nothing_grows():
    for number in range(1000):
        DONE.add(str(number))
        BUSY.set(3, str(number))
    TOOK.observe(1)

    assert metrics.here.table is None
    assert (DONE.places, BUSY.places, TOOK.places) == ({}, {}, {})


def test_labels_that_were_not_declared_are_a_mistake():
    with pytest.raises(TypeError, match="has the labels"):
        DONE.add()


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="declared twice"):
        Counter("test_done_total", "Another one.")


def test_a_process_has_its_role_while_it_lives(counters):
    child = forked(lambda: (metrics.be("worker"), signal.pause()))
    assert eventually(lambda: (child, "worker") in metrics_file.processes(counters.words))

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert metrics_file.processes(counters.words) == []
