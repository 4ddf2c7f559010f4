"""The watch over the workers: one process that forks the others, which serve.

A worker that dies is replaced. SIGHUP wires the shop anew and then replaces all of them, one by one, without a failed
request: a new worker begins on the very socket of an old one, and only when it reads does the old one retire, see
core/serving/server.py. The watch keeps each socket open, so that connections wait in it whatever happens to the
workers. What is wired anew are the files of sql/ and the settings; the Python code is the one of the start.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import threading
import time

from core.cli import CommandError
from core.serving.server import DRAIN, RETIREMENT, Server

RETIRE = signal.SIGUSR1  # tells a worker; SIGHUP, which a closed terminal sends to all, is for the watch alone
HEEDED = {signal.SIGTERM, signal.SIGHUP, RETIRE}

log = logging.getLogger("bodega.serve")


@dataclasses.dataclass(eq=False)
class Worker:
    """A process that serves."""

    pid: int
    listening: socket.socket
    wiring: int  # the number of what it serves; the watch counts
    hears: int | None  # a pipe on which it says that it reads; None when that is said
    since: float
    leaving: float | None = None  # since when it retires

    def has_begun(self):
        """Return whether it reads what comes in on its socket."""
        if self.hears is None:
            return True
        try:
            said = os.read(self.hears, 1)
        except BlockingIOError:
            return False
        if said:
            self.forget()
        return bool(said)  # nothing is said by one that has died

    def forget(self):
        """Close the pipe."""
        if self.hears is not None:
            os.close(self.hears)
            self.hears = None


class Supervisor:
    """Keeps one worker running on each socket, until SIGTERM or Ctrl-C. `wire()` returns the application anew."""

    CRASH_LOOP = 5  # deaths within so many times CRASH_TIME seconds end the watch
    CRASH_TIME = 2.0
    BEGINNING = 30  # seconds until a worker has to read

    def __init__(self, application, sockets, threads, wire, database=None):
        self.application = application
        self.sockets = sockets
        self.threads = threads
        self.wire = wire
        self.database = database  # the process of the embedded one, or None
        self.stopping = False  # no threading.Event: a signal that comes while it is waited for can lock up
        self.hung_up = False  # there was a SIGHUP
        self.wiring = 1  # the number of the application
        self.rolling = False  # workers of former wirings are being replaced
        self.workers = []
        self.deaths = []
        self.terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()  # that may be closed
        # Its other end closes when this process ends, by kill -9 too: then the workers end themselves.
        self.lifeline, self._held = os.pipe()

    def run(self):
        """Return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)
        signal.signal(signal.SIGHUP, self._heed_hangup)
        for listening in self.sockets:
            self._fork(listening)
        status = 0
        while not self.stopping:
            self._reap()
            if trouble := self._trouble():
                log.error(trouble)
                status = 1
                break
            if self.hung_up:
                self._renew()
            if self.rolling:
                self._roll()
            time.sleep(0.1)
        log.info("Stopping: requests under way are answered first.")  # `say` could wait for who reads
        self._end()
        return status

    def _heed(self, *_):
        self.stopping = True

    def _heed_hangup(self, *_):
        self.hung_up = True

    def _is_left(self):
        """Return whether the terminal in which we were started has been closed."""
        return self.terminal and not _has_terminal()

    def _trouble(self):
        """Return why there is no going on, or None."""
        since = time.monotonic() - self.CRASH_LOOP * self.CRASH_TIME
        self.deaths = [when for when in self.deaths if when > since]
        if len(self.deaths) >= self.CRASH_LOOP:
            return "Workers die as soon as they start; giving up. The reason stands above."
        if self.database and self.database.poll() is not None:
            return "The embedded MariaDB has ended by itself; so do we. Its log, mariadb.log in DATA_DIR, says why."
        return None

    def _fork(self, listening):
        sys.stdout.flush()
        hears, tells = os.pipe()
        os.set_blocking(hears, False)
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)  # a worker hears them once it can heed them
        try:
            child = os.fork()
            if child == 0:
                self._be_a_worker(listening, hears, tells)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
            os.close(tells)
        self.workers.append(Worker(child, listening, self.wiring, hears, time.monotonic()))

    def _be_a_worker(self, listening, hears, tells):
        code = 1
        try:
            os.close(self._held)
            os.close(hears)
            if listening is self.sockets[0]:  # what one worker finds, all know
                threading.Thread(target=self.application.readiness.wait, daemon=True).start()
            work(self.application, listening, self.threads, self.lifeline, tells)
            code = 0
        except Exception:
            log.exception("a worker broke")
        finally:
            try:
                logging.shutdown()
            finally:
                os._exit(code)

    def _reap(self):
        """Replace who has died, where nobody else is on that socket."""
        for worker in list(self.workers):
            ended, status = os.waitpid(worker.pid, os.WNOHANG)
            if not ended:
                continue
            begun = worker.has_begun()
            worker.forget()
            self.workers.remove(worker)
            said = f"Worker {worker.pid} ended with status {os.waitstatus_to_exitcode(status)}"
            if worker.leaving:
                if status:
                    log.error(f"{said} while it retired.")
                continue
            others = [other for other in self.workers if other.listening is worker.listening and not other.leaving]
            if others and not begun:  # a successor: there is no harm yet, and no sense in another one
                self.rolling = False
                log.error(f"{said} before it served. The workers that were not replaced yet go on; SIGHUP tries again.")
                continue
            self.deaths.append(time.monotonic())
            log.error(f"{said}; a new one takes over.")
            if not others:
                self._fork(worker.listening)

    def _renew(self):
        """Wire the shop anew, and begin to replace the workers; or stop, where it was our terminal that hung up."""
        self.hung_up = False
        if self._is_left():
            self.stopping = True
            return
        try:
            self.application = self.wire(self.application)
        except CommandError as problem:
            log.error("SIGHUP changes nothing: %s", " ".join(str(problem).split("\n")))
        except Exception:
            log.exception("SIGHUP changes nothing: a bug, or a file that cannot be read")
        else:
            self.wiring += 1
            self.rolling = True
            log.info("SIGHUP: the shop is wired anew, and its workers are replaced one by one.")

    def _roll(self):
        """Go one step on in replacing the workers of former wirings; nothing is waited for here."""
        now = time.monotonic()
        for worker in self.workers:
            if not worker.has_begun() and now > worker.since + self.BEGINNING:
                _kill(worker, signal.SIGKILL)
            if worker.leaving and now > worker.leaving + RETIREMENT + DRAIN + 3:
                _kill(worker, signal.SIGKILL)
        if not all(worker.has_begun() and not worker.leaving for worker in self.workers):
            return
        oldest = min(self.workers, key=lambda worker: worker.wiring)
        if oldest.wiring == self.wiring:
            self.rolling = False
            log.info("All workers are replaced.")
        elif any(other.listening is oldest.listening for other in self.workers if other is not oldest):
            oldest.leaving = now
            _kill(oldest, RETIRE)
        else:
            try:
                self._fork(oldest.listening)
            except OSError as error:
                self.rolling = False
                log.error(f"No new worker can be started ({error.strerror}). The old ones go on; SIGHUP tries again.")

    def _end(self):
        for worker in self.workers:
            _kill(worker, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN + 3
        for worker in self.workers:
            while os.waitpid(worker.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    _kill(worker, signal.SIGKILL)
                time.sleep(0.02)


def _kill(worker, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, number)


def _has_terminal():
    """Whether there is a terminal to which we belong; when it is closed, there is none any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def work(application, listening, threads, lifeline, tells):
    """Be a worker: serve on this socket until SIGTERM or RETIRE, or until the watch is gone; tell when it begins."""
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C reaches the whole group; the watch tells us when
        signal.signal(number, signal.SIG_IGN)
    server = Server(application, listening, threads)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(RETIRE, lambda *_: server.retire())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
    threading.Thread(target=lambda: (os.read(lifeline, 1), logging.shutdown(), os._exit(1)), daemon=True).start()
    server.run(ready=lambda: (os.write(tells, b"+"), os.close(tells)))
