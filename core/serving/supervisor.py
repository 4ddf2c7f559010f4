"""The supervisor: one process that forks the workers, which serve.

A worker that dies is replaced. SIGHUP starts a rolling restart, without a failed request: the shop is wired again from
the files of sql/ and the settings (the Python code stays that of the start), and the workers are replaced one by one. A
successor starts on the socket of an old worker; only when it reads does the old one retire, see core/serving/server.py.
The supervisor keeps each socket open, so that connections wait in it whatever happens to the workers. Sockets that were
passed by systemd stay open after its end, too: then workers end as gently as they retire, but within GRACE seconds.

Beside the workers runs one process for the chores, see core/serving/chores.py; SIGHUP replaces it too. With METRICS=on
one more answers GET /metrics.
"""

import contextlib
import dataclasses
import functools
import gc
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from core.cli import CommandError
from core.metrics import Counter
from core.serving.metrics_process import MetricsServer
from core.serving.middleware import Middleware
from core.serving.server import DRAIN, RETIREMENT
from core.serving.side_process import SideProcess
from core.serving.worker import RETIRE, SIGNALS, work

CRASH_LOOP = 5  # deaths within so many times CRASH_TIME seconds end the server
CRASH_TIME = 2.0
YOUNG = 1.0  # seconds; the death of a worker that has lived longer is no sign that the next one dies as well
START_TIMEOUT = 30  # seconds until a successor has to read
GRACE = 0.5  # seconds in which clients of passed sockets are told to connect anew, before idle connections are closed
KILL_AFTER = 3  # seconds that a worker may take longer than its own limits before it is killed

REPLACED = Counter(
    "bodega_workers_replaced_total", "Workers that were replaced: by a restart, or as they died.", "reason"
)

log = logging.getLogger("bodega.serve")


@dataclasses.dataclass(eq=False)
class Worker:
    """A process that serves."""

    pid: int
    listening: socket.socket
    wiring: int  # the number of the wiring that it serves
    ready_pipe: int | None  # the worker writes to it when it reads its socket; None once it has
    since: float
    retiring_since: float | None = None

    def is_ready(self) -> bool:
        """Return whether it reads its socket."""
        if self.ready_pipe is None:
            return True
        try:
            ready = os.read(self.ready_pipe, 1) != b""  # empty from one that has died
        except BlockingIOError:
            return False
        if ready:
            self.close_pipe()
        return ready

    def close_pipe(self) -> None:
        """Close the pipe."""
        if self.ready_pipe is not None:
            os.close(self.ready_pipe)
            self.ready_pipe = None

    def kill(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Supervisor:
    """Keeps one worker running on each socket, until SIGTERM or Ctrl-C.

    `wire(application)` returns the successor of an application. `database`: the process of the embedded one. `chores`:
    whether to do the application's chores too. `metrics`: what answers GET /metrics in a process of its own, or None.
    `look()` is called several times a second. `passed`: whether the sockets belong to somebody who goes on with them.
    `notify(state)`: tells systemd.
    """

    def __init__(
        self,
        application: Middleware,
        sockets: list[socket.socket],
        threads: int,
        wire: Callable[[Middleware], Middleware],
        database: subprocess.Popen | None = None,
        *,
        chores: bool = False,
        metrics: MetricsServer | None = None,
        look: Callable[[], None] = lambda: None,
        passed: bool = False,
        notify: Callable[[str], None] = lambda state: None,
    ) -> None:
        self._application = application
        self._sockets = sockets
        self._threads = threads
        self._wire = wire
        self._database = database
        self._look = look
        self._passed = passed
        self._notify = notify
        self._told = ""  # what systemd knows
        # Plain flags, set by signals. A threading.Event can lock up when a signal comes while it is waited for.
        self._stopping = False
        self._hung_up = False
        self._wiring = 1  # the number of the application
        self._rolling = False  # workers of earlier wirings are being replaced
        self._workers: list[Worker] = []
        self._deaths: list[float] = []
        self._has_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
        # The supervisor's end closes when this process ends, even by kill -9; then the workers end themselves.
        self._lifeline, self._supervisors_end = os.pipe()
        self._chores = None
        if chores and application.chores:
            self._chores = SideProcess("Chores", application.chores, self._lifeline, self._release)
        self._beside = [self._chores] if self._chores else []
        self._metrics = metrics
        if metrics:
            release = functools.partial(self._release, keep_metrics=True)
            self._beside.append(SideProcess("Metrics", metrics, self._lifeline, release))

    def run(self) -> int:
        """Return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_hung_up", True))
        _freeze()
        for listening in self._sockets:
            self._fork(listening)
        status = 0
        while not self._stopping:
            self._reap()
            for process in self._beside:
                process.watch()
            if trouble := self._trouble():
                log.error(trouble)
                status = 1
                break
            if self._hung_up:
                self._hung_up = False
                self._heed_hangup()
            if self._rolling:
                self._roll()
            self._tell()
            self._look()
            time.sleep(0.1)
        log.info("Stopping: requests under way are answered first.")  # `say` could block on the reader of stdout
        self._end()
        return status

    def _tell(self) -> None:
        """Tell systemd once all workers read, and when they are being replaced."""
        state = "RELOADING=1" if self._rolling else "READY=1"
        ready = [worker.is_ready() for worker in self._workers]  # each is asked: that closes its pipe
        if state != self._told and (self._rolling or all(ready)):
            self._told = state
            self._notify(f"{state}\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def _trouble(self) -> str | None:
        """Return why the server has to end, or None."""
        since = time.monotonic() - CRASH_LOOP * CRASH_TIME
        self._deaths = [when for when in self._deaths if when > since]
        if len(self._deaths) >= CRASH_LOOP:
            return "Workers die as soon as they start; giving up. The reason stands above."
        if self._database and self._database.poll() is not None:
            return "The embedded MariaDB has ended by itself; so do we. Its log, mariadb.log in DATA_DIR, says why."
        return None

    def _fork(self, listening: socket.socket) -> None:
        sys.stdout.flush()
        ready, tell_ready = os.pipe()
        os.set_blocking(ready, False)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the worker has handlers for them
        try:
            child = os.fork()
            if child == 0:
                self._be_a_worker(listening, ready, tell_ready)
        except OSError:
            os.close(ready)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(tell_ready)
        self._workers.append(Worker(child, listening, self._wiring, ready, time.monotonic()))

    def _be_a_worker(self, listening: socket.socket, ready: int, tell_ready: int) -> None:
        """Serve, and end the process."""
        code = 1
        try:
            os.close(ready)
            self._release(keep_sockets=True)
            readiness = self._application.readiness
            if readiness and listening is self._sockets[0]:  # what one worker finds out, all know
                threading.Thread(target=readiness.wait, daemon=True).start()
            work(self._application, listening, self._threads, self._lifeline, tell_ready)
            code = 0
        except Exception:
            log.exception("a worker broke")
        finally:
            try:
                logging.shutdown()
            finally:
                os._exit(code)

    def _release(self, keep_metrics: bool = False, keep_sockets: bool = False) -> None:
        """Close, in a new process, what it must not keep open."""
        os.close(self._supervisors_end)
        for worker in self._workers:
            worker.close_pipe()
        if self._metrics and not keep_metrics:
            self._metrics.close()
        for listening in [] if keep_sockets else self._sockets:
            listening.close()

    def _reap(self) -> None:
        """Note which workers have died, and replace each that leaves its socket without a worker."""
        for worker in list(self._workers):
            ended, status = os.waitpid(worker.pid, os.WNOHANG)
            if not ended:
                continue
            was_ready = worker.is_ready()
            worker.close_pipe()
            self._workers.remove(worker)
            report = f"Worker {worker.pid} ended with status {os.waitstatus_to_exitcode(status)}"
            if worker.retiring_since:
                REPLACED.add("restart")
                if status:
                    log.error(f"{report} while it retired.")
                continue
            others = [w for w in self._workers if w.listening is worker.listening and not w.retiring_since]
            if others and not was_ready:  # a successor: the old worker still serves
                self._rolling = False
                log.error(
                    f"{report} before it served. The workers that were not replaced yet go on; SIGHUP tries again."
                )
                continue
            if time.monotonic() - worker.since < YOUNG:
                self._deaths.append(time.monotonic())
            REPLACED.add("died")
            log.error(f"{report}; a new one takes over.")
            if not others:
                self._fork(worker.listening)

    def _heed_hangup(self) -> None:
        """Wire the shop again and begin a rolling restart; or stop, where the terminal of the start was closed."""
        if self._has_terminal and not _has_terminal():
            self._stopping = True
            return
        try:
            self._application = self._wire(self._application)
        except CommandError as problem:
            log.error("SIGHUP changes nothing: %s", "; ".join(str(problem).split("\n")))
        except Exception:
            log.exception("SIGHUP changes nothing: a bug, or a file that cannot be read")
        else:
            _freeze()
            self._wiring += 1
            self._rolling = True
            if self._chores and self._application.chores:
                self._chores.replace(self._application.chores)
            log.info("SIGHUP: the shop is wired anew, and its workers are replaced one by one.")

    def _roll(self) -> None:
        """Do the next step of a rolling restart, without waiting."""
        now = time.monotonic()
        for worker in self._workers:
            since, limit = worker.since, START_TIMEOUT
            if worker.retiring_since:
                since, limit = worker.retiring_since, RETIREMENT + DRAIN + KILL_AFTER
            if now > since + limit and (worker.retiring_since or not worker.is_ready()):
                worker.kill(signal.SIGKILL)
        if not all(worker.is_ready() and not worker.retiring_since for worker in self._workers):
            return
        oldest = min(self._workers, key=lambda worker: worker.wiring)
        if oldest.wiring == self._wiring:
            self._rolling = False
            log.info("All workers are replaced.")
        elif any(other.listening is oldest.listening for other in self._workers if other is not oldest):
            oldest.retiring_since = now
            oldest.kill(RETIRE)
        else:
            try:
                self._fork(oldest.listening)
            except OSError as error:
                self._rolling = False
                log.error(f"No new worker can be started ({error.strerror}). The old ones go on; SIGHUP tries again.")

    def _end(self) -> None:
        self._notify("STOPPING=1")
        for process in self._beside:
            process.terminate()
        deadline = time.monotonic() + DRAIN + KILL_AFTER
        if self._passed:
            self._kill_and_wait(RETIRE, time.monotonic() + GRACE)
        self._kill_and_wait(signal.SIGTERM, deadline)
        self._kill_and_wait(signal.SIGKILL, math.inf)
        for process in self._beside:
            process.wait(deadline)

    def _kill_and_wait(self, number: int, deadline: float) -> None:
        """Send the workers that still run a signal, and wait until they have ended, or until the deadline."""
        for worker in self._workers:
            worker.kill(number)
        while self._workers and time.monotonic() < deadline:
            self._workers = [worker for worker in self._workers if os.waitpid(worker.pid, os.WNOHANG) == (0, 0)]
            time.sleep(0.02)


def _freeze() -> None:
    """Let processes that are forked from now on never look for garbage in what is there already.

    That writes to each object, so that a worker gets a copy of its own of what it shares with the others: 12 MiB, once
    it has a quarter more objects. And it stops all its threads, for 30 ms. To measure again: tests/load/soak.py,
    and Private_Dirty in /proc/PID/smaps_rollup. What a former wiring has left is collected here.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _has_terminal() -> bool:
    """Return whether this process has a terminal; once that is closed, it has none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
