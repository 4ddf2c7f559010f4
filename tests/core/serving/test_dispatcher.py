"""The threads of a worker: who reads, who answers, and that no task is forgotten."""

import collections
import os
import pathlib
import random
import re
import select
import sys
import threading
import time

import pytest
from helpers import as_url, eventually, workers

from core import metrics, metrics_file
from core.metrics_file import File
from core.serving.dispatcher import HANDOVER, QUEUED, SHED, Dispatcher


class Task:
    """Something to be done, which notes how often it was done, or that it was cancelled."""

    def __init__(self, work=lambda: None):
        self._work = work
        self.done = 0
        self.cancelled = 0
        self.refused = 0
        self.thread = None
        self.ended = threading.Event()

    def service(self):
        """Do it."""
        self.thread = threading.get_ident()
        try:
            self._work()
        finally:
            self.done += 1
            self.ended.set()

    def refuse(self):
        """Do not, as there was no thread in time."""
        self.thread = threading.get_ident()
        self.refused += 1
        self.ended.set()

    def cancel(self):
        """Do not."""
        self.cancelled += 1
        self.ended.set()


class Inbox:
    """Where tasks come in, as requests come in on sockets: the leader of the dispatcher reads them here, by `poll`."""

    def __init__(self, count, timeout=60):
        self.dispatcher = Dispatcher(count, timeout)
        self.polls = 0
        self.readers = set()
        self.broken = None
        self._coming = collections.deque()
        self._reading, self._writing = os.pipe()
        self._open = True
        self._main = threading.Thread(target=self._work)
        self._main.start()

    def give(self, *tasks):
        """Let these come in; return them."""
        self._coming.extend(tasks)
        self.wake()
        return tasks

    def wake(self):
        """Do as a thread that has something for the one who reads (waitress' trigger)."""
        os.write(self._writing, b"x")

    def queue(self, task):
        """Queue this from within a task, and wake the leader, as core/serving/channel.py does."""
        self.dispatcher.add_task(task)
        if self.dispatcher.leader != threading.get_ident():
            self.wake()

    def poll(self, seconds):
        """Read what has come, as core/serving/server.py does."""
        self.polls += 1
        self.readers.add(threading.get_ident())
        if select.select([self._reading], [], [], seconds)[0]:
            os.read(self._reading, 1)
            while self._coming:
                self.dispatcher.add_task(self._coming.popleft())
        return self._open

    def close(self, timeout=5):
        """Stop reading, and end the dispatcher."""
        self.stop()
        self.dispatcher.shutdown(timeout)
        os.close(self._reading)
        os.close(self._writing)

    def stop(self):
        """Stop reading."""
        self._open = False
        self.wake()
        self._main.join(10)
        assert not self._main.is_alive(), "the leader does not stop"

    def _work(self):
        try:
            self.dispatcher.work(self.poll)
        except BaseException as error:
            self.broken = error


@pytest.fixture
def inbox_of():
    """`inbox_of(count)`: a dispatcher at work, which is ended with the test."""
    inboxes, interval = [], sys.getswitchinterval()

    def begin(count, kind=Inbox, timeout=60):
        inboxes.append(kind(count, timeout))
        return inboxes[-1]

    yield begin
    for inbox in inboxes:
        if inbox._main.is_alive():
            inbox.close()
    sys.setswitchinterval(interval)


def all_ended(tasks, seconds=20):
    """Whether all tasks came to their end, for which there is plenty of time."""
    deadline = time.monotonic() + seconds
    return all(task.ended.wait(max(0, deadline - time.monotonic())) for task in tasks)


@pytest.fixture
def blocked():
    """`blocked()`: a task that lasts until its `release`, or until the test ends; `begun` is set when it runs."""
    releases = []

    def make():
        begun, release = threading.Event(), threading.Event()
        releases.append(release)
        task = Task(lambda: begun.set() or release.wait(30))
        task.begun, task.release = begun, release.set
        return task

    yield make
    for release in releases:
        release.set()


def under_way(tasks):
    """Return how many somebody has begun."""
    return sum(task.begun.is_set() for task in tasks)


def release(tasks):
    """Let them end; return whether they have."""
    for task in tasks:
        task.release()
    return all_ended(tasks)


# Everything is done, once


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_of_thousands_of_short_and_slow_tasks_each_is_done_once(inbox_of, count):
    inbox = inbox_of(count)
    chance = random.Random(count)
    lengths = [chance.choice([0, 0, 0, 0, 0, 0.0005, 0.002, 0.0025, 0.006]) for _ in range(800)]
    tasks = [Task(lambda s=seconds: s and time.sleep(s)) for seconds in lengths]

    for task in tasks:
        inbox.give(task)
        if chance.random() < 0.1:
            time.sleep(chance.random() * 0.003)

    assert all_ended(tasks)
    assert {task.done for task in tasks} == {1}
    assert not inbox.dispatcher.queue


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_task_that_another_task_queues_is_done(inbox_of, count):
    """As the second of two requests that came in one go: the thread that answered the first queues it."""
    inbox = inbox_of(count)
    followers = [Task() for _ in range(500)]

    def follow(follower):
        time.sleep(random.choice([0, 0.001, 0.0021]))  # about when the lead changes hands
        inbox.queue(follower)

    for follower in followers:
        inbox.give(Task(lambda f=follower: follow(f)))

    assert all_ended(followers)
    assert {task.done for task in followers} == {1}


def test_after_a_pause_a_follower_takes_over_as_before(inbox_of, blocked):
    inbox = inbox_of(3)

    for _ in range(3):
        time.sleep(0.2)  # QUIET times HANDOVER is half of that
        slow, after = blocked(), Task()
        inbox.give(slow)
        assert slow.begun.wait(10)
        inbox.give(after)

        assert all_ended([after])
        slow.release()
        assert all_ended([slow])


# Reading goes on


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_slow_tasks_in_all_threads_but_one_leave_that_one_to_read(inbox_of, blocked, count):
    inbox = inbox_of(count)
    slow = [blocked() for _ in range(count + 5)]

    inbox.give(*slow)
    at_work = max(1, count - 1)
    assert eventually(lambda: under_way(slow) == at_work)
    polls = inbox.polls
    for _ in range(20):
        inbox.wake()
        time.sleep(0.001)

    assert eventually(lambda: inbox.polls > polls + 5)
    assert under_way(slow) == at_work  # the others wait, also while much is read
    assert release(slow)


class Hasty(Inbox):
    """An inbox whose reader lets no other thread run while it reads what is there."""

    def poll(self, seconds):
        """Read."""
        return super().poll(seconds) if seconds else self._open


def test_a_new_leader_may_be_at_work_before_the_follower_that_was_called_to_watch(inbox_of, blocked):
    """Then that one must not take a task, too: nobody would read."""
    for _ in range(10):
        inbox = inbox_of(3, Hasty)
        assert eventually(lambda inbox=inbox: inbox.dispatcher._idle == 2)
        slow = [blocked() for _ in range(5)]

        inbox.give(*slow)
        assert eventually(lambda slow=slow: under_way(slow) >= 2)
        time.sleep(0.01)

        assert under_way(slow) == 2
        assert release(slow)
        inbox.close()


def test_the_follower_that_watches_the_clock_keeps_no_thread_waiting(inbox_of):
    """Python counts anew how long a thread has waited for its lock whenever another one has had it."""
    inbox_of(2)

    assert sys.getswitchinterval() < HANDOVER


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_tasks_that_do_not_end_to_come_do_not_keep_the_leader_from_reading(inbox_of, count):
    """As of a client that sends very many requests in one go: each queues the next."""
    inbox = inbox_of(count)
    assert eventually(lambda: inbox.dispatcher._idle == inbox.dispatcher._size - 1)
    seen = []

    def again():
        seen.append(inbox.polls)
        time.sleep(0.0005)
        if len(seen) < 300:
            inbox.queue(task)
        else:
            over.service()

    over, task = Task(), Task(again)
    inbox.give(task)

    assert all_ended([over])
    assert max(seen.count(turn) for turn in seen) < 150  # of 300


def test_all_threads_get_work(inbox_of):
    inbox = inbox_of(4)
    tasks = [Task(lambda: time.sleep(0.01)) for _ in range(200)]

    inbox.give(*tasks)

    assert all_ended(tasks)
    assert len({task.thread for task in tasks}) >= 3  # the fourth reads


def test_a_leader_whose_task_takes_long_is_no_leader_any_more(inbox_of, blocked):
    inbox = inbox_of(3)
    slow = blocked()
    assert eventually(lambda: inbox.give(Task()) and len(inbox.readers) == 1)
    inbox.give(slow)
    assert slow.begun.wait(10)

    eventually(lambda: inbox.dispatcher.leader != slow.thread)
    answered = [Task() for _ in range(100)]
    inbox.give(*answered)

    assert all_ended(answered)
    assert slow.thread not in {task.thread for task in answered}


# What waits too long


def in_use(inbox, blocked, count):
    """Let so many tasks hang, one for each thread that answers; return them."""
    hanging = [blocked() for _ in range(count)]
    inbox.give(*hanging)
    assert eventually(lambda: under_way(hanging) == count)
    return hanging


@pytest.mark.parametrize("count", [1, 2, 8])
def test_while_all_threads_hang_a_task_that_waits_too_long_is_refused_by_the_one_that_reads(
    inbox_of, blocked, count, lag
):
    inbox = inbox_of(count, timeout=0.3)
    hanging = in_use(inbox, blocked, max(1, count - 1))
    began = time.monotonic()

    waiting = inbox.give(*(Task() for _ in range(50)))

    assert all_ended(waiting)
    assert 0.3 <= time.monotonic() - began < lag.bound(1, began)
    assert {(task.refused, task.done) for task in waiting} == {(1, 0)}
    assert {task.thread for task in waiting} == {inbox.dispatcher.leader}
    assert release(hanging) and not any(task.refused for task in hanging)


def test_while_tasks_wait_all_the_time_each_may_wait_for_half_as_long_only(inbox_of, blocked, lag):
    inbox = inbox_of(2, timeout=1)
    hanging = in_use(inbox, blocked, 1)
    for _ in range(30):
        inbox.give(Task())
        time.sleep(0.05)
    last = Task()
    begun = time.monotonic()
    inbox.give(last)

    assert all_ended([last])
    assert 0.5 <= time.monotonic() - begun < lag.bound(0.9, begun)
    assert last.refused
    assert release(hanging)


def test_once_the_queue_was_empty_a_task_may_wait_for_the_whole_time_again(inbox_of, blocked, lag):
    inbox = inbox_of(2, timeout=0.5)
    hanging = in_use(inbox, blocked, 1)
    assert all_ended(inbox.give(Task()))  # refused
    begun = time.monotonic()

    (next_one,) = inbox.give(Task())

    assert all_ended([next_one])
    assert 0.5 <= time.monotonic() - begun < lag.bound(1.2, begun)
    assert release(hanging)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_task_that_gets_a_thread_in_time_is_not_refused(inbox_of, blocked, count):
    inbox = inbox_of(count, timeout=10)
    hanging = in_use(inbox, blocked, max(1, count - 1))
    waiting = inbox.give(*(Task() for _ in range(50)))
    time.sleep(0.3)

    assert release(hanging)

    assert all_ended(waiting)
    assert {(task.refused, task.done) for task in waiting} == {(0, 1)}


def test_a_thread_that_takes_a_task_too_late_does_not_begin_with_it(inbox_of, blocked):
    """As where the one that reads has much to read."""
    inbox = inbox_of(2, timeout=0.2)
    hanging = in_use(inbox, blocked, 1)
    inbox.dispatcher.shed = lambda: 0.01

    (late,) = inbox.give(Task())
    time.sleep(0.3)
    assert release(hanging)

    assert all_ended([late])
    assert (late.refused, late.done) == (1, 0)


def test_an_answer_that_has_begun_is_not_refused_nor_are_those_behind_it_kept(inbox_of, blocked):
    inbox = inbox_of(2, timeout=0.2)
    hanging = in_use(inbox, blocked, 1)
    begun, behind = Task(), Task()
    inbox.dispatcher.add_task(begun, begun=True)
    inbox.dispatcher.add_task(behind)
    inbox.wake()

    assert all_ended([behind]) and behind.refused
    assert not begun.ended.is_set()
    assert release(hanging)
    assert all_ended([begun]) and (begun.refused, begun.done) == (0, 1)


def test_the_time_in_the_queue_and_what_was_refused_are_counted(inbox_of, blocked, lag):
    counters = File(None, 1)
    metrics.use(counters)
    try:
        inbox = inbox_of(2, timeout=0.3)
        hanging = in_use(inbox, blocked, 1)
        assert all_ended(inbox.give(Task(), Task()))
        assert release(hanging)
        found = {record.name: record.words for record in metrics_file.records(counters.words)}
    finally:
        metrics.use(None)
        counters.close()

    waited, *classes = found[QUEUED.name]
    assert found[SHED.name] == [2]
    assert sum(classes) == 3 and classes[0] == 1  # who got a thread at once
    assert 0.6 <= waited / 1e9 < lag.bound(2)


# What breaks


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("count", [1, 3])
def test_a_task_that_raises_costs_no_thread(inbox_of, blocked, caplog, error, count):
    inbox = inbox_of(count)

    def fail():
        raise error("broken")

    broken = [Task(fail) for _ in range(10)]
    inbox.give(*broken)
    assert all_ended(broken)
    slow = [blocked() for _ in range(max(1, count - 1))]
    inbox.give(*slow)

    assert eventually(lambda: all(task.begun.is_set() for task in slow))
    assert len([r for r in caplog.records if r.message == "a crash outside of every request"]) == 10


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_what_breaks_the_reading_is_raised_by_work(inbox_of, monkeypatch, error):
    inbox = inbox_of(3)

    def broken(seconds):
        raise error("broken")

    monkeypatch.setattr(inbox.dispatcher, "_poll", broken)
    inbox.wake()
    inbox._main.join(10)

    assert isinstance(inbox.broken, error)
    inbox.dispatcher.shutdown(5)


# The end


def test_the_end_waits_for_what_is_under_way_and_cancels_what_has_not_begun(inbox_of, blocked):
    inbox = inbox_of(3)
    slow = [blocked() for _ in range(3)]
    inbox.give(*slow)
    assert eventually(lambda: under_way(slow) == 2)
    inbox.stop()  # while the one who led is at work; the one who reads is free to answer then
    assert eventually(lambda: under_way(slow) == 3)
    waiting = [Task() for _ in range(3)]
    for task in waiting:
        inbox.dispatcher.add_task(task)

    ended = threading.Thread(target=lambda: inbox.dispatcher.shutdown(10))
    ended.start()
    time.sleep(0.05)
    waited = ended.is_alive()
    release(slow)
    ended.join(10)

    assert waited and not ended.is_alive()
    assert [task.done for task in slow] == [1, 1, 1]
    assert [(task.done, task.cancelled) for task in waiting] == [(0, 1)] * 3


def test_what_does_not_end_in_time_is_left_behind(inbox_of, blocked, caplog):
    inbox = inbox_of(2)
    slow = blocked()
    inbox.give(slow)
    assert slow.begun.wait(10)

    inbox.close(timeout=0.2)

    assert "1 request(s) were not done in time" in caplog.text
    assert not slow.ended.is_set()


def test_after_the_leader_has_ended_its_caller_reads_and_the_others_answer(inbox_of):
    """This is how a server drains: what has arrived is still answered."""
    inbox = inbox_of(2)
    inbox.stop()
    tasks = [Task() for _ in range(50)]

    for task in tasks:
        inbox.dispatcher.add_task(task)

    assert all_ended(tasks, 10)
    inbox.dispatcher.shutdown(5)


# A real server


def wakings(pid):
    """Return how often the threads of a process have woken so far."""
    return sum(
        int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)[1])
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
    )


@pytest.mark.slow
def test_a_worker_that_has_nothing_to_do_does_nothing(start, accounts):
    real = start("--workers", "1", "--threads", "8", DATABASE_URL=as_url(accounts.application))
    for _ in range(20):
        real.request("/api/products")
    time.sleep(0.5)
    (worker,) = workers(real)
    before = wakings(worker), cpu_seconds(worker)

    time.sleep(2)

    assert wakings(worker) - before[0] < 100  # a follower that watches the clock wakes a thousand times
    assert cpu_seconds(worker) - before[1] < 0.3  # a busy loop takes all of the two seconds


def cpu_seconds(pid):
    """Return the seconds of a processor that a process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
