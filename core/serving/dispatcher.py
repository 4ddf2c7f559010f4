"""The threads of a worker. One of them, the leader, reads the sockets and also answers what it has read.

Handing each request to another thread costs more than most requests themselves: two wake-ups, and a struggle for
Python's one lock. So the leader hands over itself instead: where its request takes longer than HANDOVER (a slow
statement, a password hash, a database that does not answer), an idle thread takes the lead and reads on, and the
former leader is one of the others when it is done. The last thread that is free only reads: answers from memory,
refusals and new connections never wait for a slow request.
"""

import collections
import functools
import logging
import sys
import threading
import time

HANDOVER = 0.002  # seconds that the leader's request may take before another thread takes the lead
STINT = 0.01  # seconds that the leader may answer, however short each task is, before it reads again
QUIET = 50  # times HANDOVER without a request, after which nobody watches the clock

log = logging.getLogger("bodega.access")


class Dispatcher:
    """`count` threads that serve; in waitress' words a task dispatcher. With one alone, a further one reads.

    A task is anything with `service()`, which may block, and `cancel()`.
    """

    def __init__(self, count):
        self.queue = collections.deque()  # tasks that wait for a thread
        self.leader = None  # the thread that reads the sockets, by its number
        self._size = max(2, count)
        self._answers = count > 1  # the leader does
        self._turn = None  # what the leader does again and again; None before it begins and after it has ended
        self._ended = False  # no thread shall go on
        self._alive = 0
        self._idle = 0
        self._busy_since = None  # when the leader began with its request
        self._watched = False  # an idle thread looks at that, every HANDOVER seconds
        self._resting = False  # it does not, as there has been nothing for a while
        self._broken = None
        self._lock = threading.Lock()
        self._called = threading.Condition(self._lock)  # whoever is idle waits for this
        self._clock = threading.Condition(self._lock)  # but one, who watches, for this
        self._left = threading.Condition(self._lock)
        self._retired = threading.Lock()
        self._retired.acquire()

    def add_task(self, task):
        """Queue this for the leader, which looks when it has read all that has come, or else for whoever is free."""
        if self._turn and self._answers:
            self.queue.append(task)
            return
        with self._lock:
            self.queue.append(task)
            self._called.notify()

    def work(self, turn):
        """Serve until `turn(wait)` returns False; then the caller is the one who reads, and the others answer.

        `turn(wait)` reads what has come in, and if `wait`, first waits for it. What it raises is raised here.
        """
        # A thread must give up Python's lock when another has waited for it so long, and nobody got it meanwhile. With
        # the usual 5 ms, whoever looks at the clock every HANDOVER seconds kept all others waiting, some for seconds.
        sys.setswitchinterval(HANDOVER / 2)
        self._turn = turn
        self._alive = self._size
        for number in range(self._size):
            threading.Thread(target=self._serve, name=f"serving-{number}", daemon=True).start()
        self._retired.acquire()  # signals interrupt it, and their handlers take none of our locks
        self.leader = threading.get_ident()
        if self._broken:
            raise self._broken

    def shutdown(self, timeout):
        """End: give those at work `timeout` seconds, and cancel what nobody has begun."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._ended = True
            self._called.notify_all()
            self._clock.notify_all()
            while self._alive and time.monotonic() < deadline:
                self._left.wait(0.1)
            if self._alive:
                log.warning("%d request(s) were not done in time", self._alive)
            left = list(self.queue)
            self.queue.clear()
        for task in left:
            task.cancel()

    def _serve(self):
        while (todo := self._next()) is not None:
            todo()
        with self._lock:
            self._alive -= 1
            self._left.notify()

    def _next(self):
        """Return what this thread is to do now; None to end."""
        with self._lock:
            while not self._ended:
                if self._turn and self.leader is None:
                    return self._elected()
                if self.queue and not self._is_answered():
                    return functools.partial(_do, self.queue.popleft())
                self._idle += 1
                late = self._wait()
                self._idle -= 1
                if late:
                    return self._elected()
            return None

    def _is_answered(self):
        """Whether the leader sees to the queue: another thread is idle, or only we could take the lead."""
        return self._turn and self._answers and (self._idle or self._busy_since is not None)

    def _elected(self):
        self.leader = threading.get_ident()
        self._busy_since = None
        self._called.notify()  # somebody is to watch in our place
        return self._lead

    def _wait(self):
        """Wait for a call; return whether the leader's request takes so long that we are to take the lead."""
        if self._watched or not self._turn or not self._answers:
            self._called.wait()
            return False
        self._watched = True
        late, quiet = False, 0
        while self._turn and not self._ended and not late:
            quiet = 0 if self._busy_since else quiet + 1
            if quiet > QUIET:
                self._resting = True
                self._clock.wait()
                self._resting = False
                quiet = 0
            else:
                self._clock.wait(HANDOVER)
            late = self._busy_since is not None and time.monotonic() - self._busy_since > HANDOVER
        self._watched = False
        return late

    def _lead(self):
        """Read and answer, until another thread takes the lead."""
        try:
            while self._turn(not self.queue or not self._idle):
                if not self._answer():
                    return
        except BaseException as error:  # without a reader the worker would hang
            self._broken = error
        with self._lock:
            self._turn = None
            self._called.notify_all()
            self._clock.notify_all()
        self._retired.release()

    def _answer(self):
        """Answer what has been read, while an idle thread could take the lead; return whether we still have it.

        A look at all sockets costs a good part of a short task; what is in memory can wait for so long.
        """
        me, began, now = threading.get_ident(), time.monotonic(), 0
        while self._answers and now - began < STINT:
            with self._lock:
                if not self.queue or not self._idle:
                    break
                task = self.queue.popleft()
                self._busy_since = now = time.monotonic()
                if self._resting:
                    self._clock.notify()
            _do(task)
            with self._lock:
                if self.leader != me:
                    return False
                self._busy_since = None
        return True


def _do(task):
    try:
        task.service()
    except BaseException:  # SystemExit too: it would end the thread, and with it perhaps the reading
        log.exception("a crash outside of every request")
        task.cancel()
