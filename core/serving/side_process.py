"""A process beside the workers, as the supervisor sees it: it is forked, watched, replaced and ended."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Protocol

from core.serving.chores import DRAIN
from core.serving.worker import SIGNALS

KILL_AFTER = 3  # seconds that it may take longer to end than chores may
LONGEST_PAUSE = 60  # seconds until it is started again, after it has died again and again

log = logging.getLogger("bodega.serve")


class Work(Protocol):
    """What such a process does."""

    def run(self, lifeline: int) -> None:
        """Do it until SIGTERM, or until the other end of this pipe closes."""


class SideProcess:
    """Keeps one running. Its deaths never end the shop: a new one is started after a pause that grows.

    `name`: what it does, in the log. `release()` is called in the new process, and closes what belongs to the
    supervisor and the workers.
    """

    def __init__(self, name: str, work: Work, lifeline: int, release: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._lifeline = lifeline
        self._release = release
        self._pid: int | None = None
        self._since = 0.0
        self._pause = 1.0
        self._start_at = 0.0
        self._replacing_since: float | None = None

    def watch(self) -> None:
        """Start one where none runs, and one is due."""
        now = time.monotonic()
        if self._pid is None:
            if now >= self._start_at:
                self._fork()
            return
        if self._replacing_since and now > self._replacing_since + DRAIN + KILL_AFTER:
            os.kill(self._pid, signal.SIGKILL)
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        if not ended:
            return
        pid, self._pid = self._pid, None
        if self._replacing_since:
            self._replacing_since = None
            return
        self._pause = 1.0 if now > self._since + LONGEST_PAUSE else min(LONGEST_PAUSE, self._pause * 2)
        self._start_at = now + self._pause
        code = os.waitstatus_to_exitcode(status)
        log.error(f"{self._name} {pid} ended with status {code}; started again in {self._pause:.0f} seconds.")

    def replace(self, work: Work) -> None:
        """End the process, and let `watch` start one that does this."""
        self._work = work
        self._start_at = 0.0
        if self._pid is not None:
            self._replacing_since = time.monotonic()
            os.kill(self._pid, signal.SIGTERM)

    def terminate(self) -> None:
        """Tell it to end."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Wait until it has ended; kill it at `deadline` (of time.monotonic)."""
        while self._pid is not None and os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.02)

    def _fork(self) -> None:
        sys.stdout.flush()
        self._since = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until it has handlers for them
        try:
            self._pid = os.fork()
            if self._pid == 0:
                self._do()
        except OSError as error:
            self._pid, self._start_at = None, self._since + LONGEST_PAUSE
            log.error(f"{self._name}: cannot be started ({error.strerror}); tried again in {LONGEST_PAUSE} seconds.")
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _do(self) -> None:
        """Do the work, and end the process."""
        code = 1
        try:
            for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C reaches all; the supervisor then sends SIGTERM
                signal.signal(number, signal.SIG_IGN)
            self._release()
            self._work.run(self._lifeline)
            code = 0
        except Exception:
            log.exception("%s broke", self._name)
        finally:
            try:
                logging.shutdown()
            finally:
                os._exit(code)
