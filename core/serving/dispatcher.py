"""The threads of a worker: the leader reads the sockets and answers what it has read; the followers wait to take over.

To hand each request to another thread costs more than most requests themselves: two wake-ups, and a contest for
Python's one lock. So the leader answers by itself. Where a request takes longer than HANDOVER (a slow statement, a
password hash, a database that does not answer), a follower becomes the leader and reads on; the former leader is a
follower when it is done. The last free thread only reads: answers from memory, refusals and new connections never wait
for a slow request.

No task waits longer than `timeout` for a thread: then it is refused, by the thread that reads, so also while all others
hang in a slow database. Where tasks have been waiting for that long without a break, each may wait for CROWDED times
`timeout` only, so that what is answered is answered soon (as CoDel does, RFC 8289: by the time in the queue, not by its
length). At twice the capacity as many requests were answered as at its peak (107 and 114 a second), half of them in
0.55 s; without it none within 2 s. It costs 1.5 µs a request. To measure again: tests/faults/test_overload.py.

What the leader buys, in requests a second against waitress' ThreadedTaskDispatcher on 2 quiet cores: one product past
the cache × 1.5, cart × 1.15, list × 1.05, adding to a cart × 0.95; the 99th percentile of the times is halved. To
measure again, start one server as it is and one in which server.py, in this folder, uses

    class Plain(ThreadedTaskDispatcher):
        leader = None

        def work(self, poll):
            self.set_thread_count(8)
            while poll(True):
                pass

and run `CACHE_TTL=0 python3 server.py` and `wrk -c16 -d10 http://127.0.0.1:8080/api/products/1` against both in turn.
"""

import functools
import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from core.metrics import Counter, Histogram

QUEUED = Histogram("bodega_queue_duration_seconds", "Time that requests waited for a thread.")
SHED = Counter("bodega_requests_shed_total", "Requests that were refused as they had waited too long for a thread.")

HANDOVER = 0.002  # seconds that the leader's request may take before a follower becomes the leader
STINT = 0.01  # seconds that the leader may answer, however short each task is, before it reads again
CROWDED = 0.5  # of `timeout`: as long a task may wait while the queue does not become empty
LOOK = 0.1  # seconds between two looks at what waits
QUIET = 50  # times HANDOVER without a request, after which no follower watches the clock

log = logging.getLogger("bodega.access")


class Dispatcher:
    """`count` threads that serve; with `count` 1, a second one reads. In waitress' words a task dispatcher.

    A task is anything with `service()`, which may block, `refuse()`, which does not, and `cancel()`. `timeout`: seconds
    that it may wait for a thread.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self.queue: deque[Any] = deque()  # tasks that wait for a thread
        self._timeout = timeout
        self._empty_until = 0.0  # when tasks began to wait: until then the queue was empty
        self.leader: int | None = None  # the number of the thread that reads the sockets
        self._size = max(2, count)
        self._leader_answers = count > 1
        self._poll: Callable[[float], bool]
        self._has_leader = False  # or will have one; False before `work` and when the leader has ended
        self._ended = False  # no thread may go on
        self._alive = 0
        self._idle = 0  # followers without a task
        self._busy_since: float | None = None  # when the leader began with its request
        self._watched = False  # a follower watches the clock: it looks at that every HANDOVER seconds
        self._paused = False  # it does not, because there has been no request for a while
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._called = threading.Condition(self._lock)  # idle followers wait for this,
        self._clock = threading.Condition(self._lock)  # but the one that watches the clock for this
        self._left = threading.Condition(self._lock)
        self._leader_ended = threading.Lock()
        self._leader_ended.acquire()

    def add_task(self, task: Any, *, begun: bool = False) -> None:
        """Queue a task: for the leader, which looks when it has read all that has come, or else for a follower.

        `begun`: part of its answer has been sent, so that it cannot be refused.
        """
        now = time.monotonic()
        if not self.queue:
            self._empty_until = now
        task.queued = math.inf if begun else now
        if self._has_leader and self._leader_answers:
            self.queue.append(task)
            return
        with self._lock:
            self.queue.append(task)
            self._called.notify()

    def work(self, poll: Callable[[float], bool]) -> None:
        """Serve until `poll(seconds)` returns False; then the caller is the one who reads, and all threads answer.

        `poll(seconds)` reads what has come in, and first waits for it that long. What it raises is raised here. The
        caller calls `shed`, too.
        """
        # After so many seconds a thread that has Python's lock gives it to one that waits. With the usual 5 ms, the
        # follower that watches the clock every HANDOVER seconds kept all others waiting, some for seconds.
        sys.setswitchinterval(HANDOVER / 2)
        self._poll, self._has_leader = poll, True
        self._alive = self._size
        for number in range(self._size):
            threading.Thread(target=self._serve, name=f"serving-{number}", daemon=True).start()
        self._leader_ended.acquire()  # signals interrupt it, and their handlers take none of our locks
        self.leader = threading.get_ident()
        if self._error:
            raise self._error

    def shed(self) -> float:
        """Refuse what has waited too long, on the thread that reads; return how many seconds later to look again."""
        while self.queue:
            with self._lock:
                task = next((task for task in tuple(self.queue) if task.queued < math.inf), None)
                if task is None:
                    return LOOK
                left = self._left_of(task, time.monotonic())
                if left > 0:
                    return min(left, LOOK)
                self.queue.remove(task)
            _do(task, self._begun(task, time.monotonic()))
        return 1

    def _left_of(self, task: Any, now: float) -> float:
        """Return how many seconds a task may still wait."""
        crowded = now - self._empty_until > self._timeout
        return task.queued + self._timeout * (CROWDED if crowded else 1) - now

    def _begun(self, task: Any, now: float) -> Callable[[], None]:
        """Return what to do with a task that is taken from the queue now."""
        if task.queued < math.inf:
            QUEUED.observe(now - task.queued)
        if self._left_of(task, now) > 0:
            return task.service
        SHED.add()
        return task.refuse

    def shutdown(self, timeout: float) -> None:
        """End: give requests under way `timeout` seconds, and cancel the tasks that have not begun."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._ended = True
            self._called.notify_all()
            self._clock.notify_all()
            while self._alive and time.monotonic() < deadline:
                self._left.wait(0.1)
            if self._alive:
                log.warning("%d request(s) were not done in time", self._alive)
            cancelled = list(self.queue)
            self.queue.clear()
        for task in cancelled:
            task.cancel()

    def _serve(self) -> None:
        while (todo := self._next()) is not None:
            todo()
        with self._lock:
            self._alive -= 1
            self._left.notify()

    def _next(self) -> Callable[[], None] | None:
        """Return what this thread has to do now; None to end."""
        with self._lock:
            while not self._ended:
                if self._has_leader and self.leader is None:
                    return self._elected()
                if self.queue and not self._leader_takes_it():
                    task = self.queue.popleft()
                    return functools.partial(_do, task, self._begun(task, time.monotonic()))
                self._idle += 1
                late = self._wait()
                self._idle -= 1
                if late:
                    return self._elected()
            return None

    def _leader_takes_it(self) -> bool:
        """Return whether the queue is the leader's: another follower is idle, or this one may have to take over."""
        return self._has_leader and self._leader_answers and (self._idle > 0 or self._busy_since is not None)

    def _elected(self) -> Callable[[], None]:
        self.leader = threading.get_ident()
        self._busy_since = None
        self._called.notify()  # another follower has to watch the clock now
        return self._lead

    def _wait(self) -> bool:
        """Wait for a call; return whether the leader's request takes so long that this follower has to take over."""
        if self._watched or not self._has_leader or not self._leader_answers:
            self._called.wait()
            return False
        self._watched = True
        late, quiet = False, 0
        while self._has_leader and not self._ended and not late:
            quiet = 0 if self._busy_since or self._paused else quiet + 1
            self._paused = quiet > QUIET
            self._clock.wait(None if self._paused else HANDOVER)
            late = self._busy_since is not None and time.monotonic() - self._busy_since > HANDOVER
        self._watched = self._paused = False
        return late

    def _lead(self) -> None:
        """Read and answer, until a follower has taken over."""
        try:
            while self._poll(0 if self.queue and self._idle else self.shed()):
                if not self._answer():
                    return
        except BaseException as error:  # without a reader the worker would hang
            self._error = error
        with self._lock:
            self._has_leader = False
            self._called.notify_all()
            self._clock.notify_all()
        self._leader_ended.release()

    def _answer(self) -> bool:
        """Answer what has been read, while a follower is idle; return whether this thread is still the leader.

        A look at all sockets takes about as long as a short task; requests for what is in memory can wait that long.
        """
        me, began, now = threading.get_ident(), time.monotonic(), 0.0
        while self._leader_answers and now - began < STINT:
            with self._lock:
                if not self.queue or not self._idle:
                    break
                task = self.queue.popleft()
                self._busy_since = now = time.monotonic()
                if self._paused:
                    self._clock.notify()
            _do(task, self._begun(task, now))
            with self._lock:
                if self.leader != me:
                    return False
                self._busy_since = None
        return True


def _do(task: Any, what: Callable[[], None]) -> None:
    try:
        what()
    except BaseException:  # SystemExit too: it would end the thread, which may be the one that reads
        log.exception("a crash outside of every request")
        task.cancel()
