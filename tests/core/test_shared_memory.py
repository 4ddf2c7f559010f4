"""Counters that processes share: what their table promises, whatever the clock does, who dies and how many come."""

import errno
import fcntl
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import LONG, ended, forked
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from core.shared_memory import SharedLock, SharedMemoryStorage

THREE = parse("3/minute")


def key(name, windows="1000/minute"):
    """Return a key as the package makes it."""
    return parse(windows).key_for(name)


def test_the_shared_counters_agree_with_the_packages_own_arithmetic():
    storage = SharedMemoryStorage(slots=64)
    limiter = FixedWindowRateLimiter(storage)

    hits = [limiter.hit(THREE, "somebody") for _ in range(4)]
    left = limiter.get_window_stats(THREE, "somebody").remaining
    limiter.clear(THREE, "somebody")

    assert hits == [True, True, True, False]
    assert left == 0
    assert limiter.hit(THREE, "somebody") and limiter.test(THREE, "somebody else")
    assert storage.check()
    storage.reset()
    assert storage.get(THREE.key_for("somebody")) == 0


def test_a_window_ends():
    storage = SharedMemoryStorage(slots=64)

    storage.incr(key("a"), 0.05)
    time.sleep(0.06)

    assert storage.incr(key("a"), 60) == 1
    assert storage.get_expiry(key("a")) > time.time() + 50


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_window_lasts_as_long_as_it_should_when_the_clock_is_set(monkeypatch, jump):
    storage, clock = SharedMemoryStorage(slots=64), time.time
    for _ in range(3):
        storage.incr(key("long"), 60)
    storage.incr(key("short"), 0.05)

    monkeypatch.setattr(time, "time", lambda: clock() + jump)
    time.sleep(0.06)

    assert storage.get(key("long")) == 3
    assert 0 < storage.get_expiry(key("long")) - time.time() <= 60
    assert storage.get(key("short")) == 0


def test_a_full_table_forgets_and_never_fails():
    storage = SharedMemoryStorage(slots=8)

    counts = [storage.incr(key(n), 60) for n in range(100)]

    assert counts == [1] * 100
    assert storage.incr(key(99), 60) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("others", "times"),
    [("1000000/30 days", 1), ("1000000/30 days", 40), ("30/hour", 1), ("30/hour", 20), ("600/day", 40)],
)
def test_a_counter_at_its_limit_outlasts_any_number_of_others(others, times):
    """Notes of a month, and strangers with many addresses: also where each of those is counted more often."""
    storage, guarded, crowd = SharedMemoryStorage(slots=256), parse("5/10 seconds"), parse(others)
    for _ in range(5):
        storage.incr(guarded.key_for("somebody"), 60)

    for n in range(2000):
        for _ in range(times):
            storage.incr(crowd.key_for(n), crowd.get_expiry())

    assert storage.get(guarded.key_for("somebody")) == 5


def test_what_has_ended_makes_room_before_anything_else():
    storage = SharedMemoryStorage(slots=8)
    for n in range(8):
        for _ in range(1000):
            storage.incr(key(n), 60 if n else 0.001)
    time.sleep(0.01)

    storage.incr(key("new"), 60)

    assert [storage.get(key(n)) for n in range(1, 8)] == [1000] * 7


@pytest.mark.slow
def test_counters_are_exact_however_many_processes_threads_and_tables_there_are():
    """Two locks of files would do to Linux what looks like a deadlock, as file locks belong to processes."""
    tables = [SharedMemoryStorage(slots=64) for _ in range(3)]

    def hammer():
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda n: tables[n % 3].incr(key("one"), 600), range(6000)))

    codes = ended({forked(hammer) for _ in range(4)})

    assert codes == {0}
    assert [table.get(key("one")) for table in tables] == [8000] * 3


def test_a_holder_that_is_killed_leaves_no_lock():
    lock = SharedLock()
    locked, tells = os.pipe()

    def hold():
        with lock:
            os.write(tells, b"+")
            time.sleep(LONG)

    def take():
        with lock:
            pass

    holder = forked(hold)
    os.read(locked, 1)
    waiting = forked(take)
    os.kill(holder, signal.SIGKILL)

    assert ended({waiting}) == {0}
    assert ended({holder}) == {-signal.SIGKILL}


def test_a_lock_that_fails_is_an_error_once_and_holds_up_nobody(monkeypatch):
    storage, lockf = SharedMemoryStorage(slots=64), fcntl.lockf

    def fails(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", fails)
    with pytest.raises(OSError, match="No locks"):
        storage.incr(key("a"), 60)
    monkeypatch.setattr(fcntl, "lockf", lockf)

    assert ended({forked(lambda: storage.incr(key("a"), 60))}) == {0}
