"""How busy this machine is: what of a delay is its own, and not the shop's.

    def test_…(lag):
        began = time.monotonic()
        …
        assert time.monotonic() - began < lag.bound(1, began)

A bound in seconds says nothing of a shop where other programs have the processors. So it is that much longer there.
"""

import contextlib
import os
import pathlib
import threading
import time

BEAT = 0.005  # seconds
LOOK = 50  # beats


class Lag:
    """How late a thread is that wants to run every BEAT, and how long this process and what it started wait to run."""

    def __init__(self):
        self._late = []
        self._waits = []  # (when, seconds of CPU, seconds of waiting for a processor) since the look before
        self._known = {}
        self._lock = threading.Lock()
        self._look()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self):
        while not self._over.is_set():
            for _ in range(LOOK):
                began = time.monotonic()
                time.sleep(BEAT)
                self._late.append((began, time.monotonic() - began - BEAT))
            self._look()

    def _look(self):
        with self._lock:
            ran, waited = 0, 0
            for thread in threads_of(os.getpid()):
                with contextlib.suppress(OSError):
                    now = tuple(map(int, (thread / "schedstat").read_text().split()[:2]))
                    before = self._known.get(thread, (0, 0) if self._waits else now)
                    self._known[thread] = now
                    ran, waited = ran + now[0] - before[0], waited + now[1] - before[1]
            self._waits.append((time.monotonic(), ran / 1e9, waited / 1e9))

    def worst(self, since=0.0):
        """Return the worst seconds that the thread was late since then (monotonic)."""
        return max((late for began, late in self._late if began >= since), default=0.0)

    def slower(self, since=0.0):
        """Return how many times as long as on a machine of their own the processes have taken for their work."""
        self._look()
        ran, waited = (sum(look[n] for look in self._waits if look[0] >= since) for n in (1, 2))
        return 1 + waited / ran if ran else 1.0

    def bound(self, seconds, since=0.0):
        """Return what these seconds may be on this machine, as it was since then.

        Client, shop and database wait for a processor by turns: some ten times in a request.
        """
        return seconds * self.slower(since) + 10 * self.worst(since)

    def stop(self):
        """End the thread."""
        self._over.set()
        self._thread.join()


def threads_of(process):
    """Return the places in /proc of the threads of a process and of all that it has started; none without /proc."""
    found = []
    with contextlib.suppress(OSError):
        for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
            found.append(thread)
            for child in (thread / "children").read_text().split():
                found += threads_of(int(child))
    return found
