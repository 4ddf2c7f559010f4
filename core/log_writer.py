"""What writes the log: a thread, so that no request waits for whoever reads it."""

import logging
import os
import select
import signal
import threading
import time

log = logging.getLogger("bodega.log")


class Writer(logging.Handler):
    """Queues lines; a thread writes them to a file descriptor, so that no request waits for the reader of the log.

    When more than ROOM characters wait, further lines are dropped; a line says how many as soon as there is room. A
    forked process starts with an empty queue; the first line starts the thread. Call `logging.shutdown()` before
    `os._exit`.
    """

    ROOM = 1 << 20  # characters
    INTERVAL = 0.02  # seconds between two writes: waking the thread for each line would cost a fifth of the throughput
    FLUSH_TIMEOUT = 1  # seconds

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # for `_lines` and the numbers; logging locks `lock` while it flushes
        self._lines: list[str] = []
        self._size = self._dropped = 0
        self._pending = threading.Event()  # there are lines that are not written yet
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        self.put(self.format(record))

    def put(self, line: str) -> None:
        """Queue a line, or count it as dropped."""
        with self._lock:
            if self._size > self.ROOM:
                self._dropped += 1 + line.count("\n")
                return
            self._lines.append(line)
            self._size += len(line)
            if not self._pending.is_set():
                self._wake()

    def flush(self) -> None:
        """Wait until all lines are written, for FLUSH_TIMEOUT seconds at most."""
        deadline = time.monotonic() + self.FLUSH_TIMEOUT
        while self._pending.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _wake(self) -> None:
        self._pending.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            start_unsignalled(self._thread)

    def _run(self) -> None:
        while self._pending.wait():
            time.sleep(self.INTERVAL)
            with self._lock:
                lines, self._lines, self._size = self._lines, [], 0
                dropped, self._dropped = self._dropped, 0
            dropped += self._write(lines)
            if dropped:
                notice = (
                    f"{dropped} line(s) of the log were dropped before this one: they could not be written in time."
                )
                dropped *= self._write(
                    [self.format(log.makeRecord(log.name, logging.WARNING, "", 0, notice, (), None))]
                )
            with self._lock:
                self._dropped += dropped
                if not self._lines:
                    self._pending.clear()

    def _write(self, lines: list[str]) -> int:
        """Write lines; return how many failed. Up to PIPE_BUF bytes of one write stay together in a pipe (POSIX)."""
        pieces = [b""]
        for line in lines:
            data = (line + "\n").encode(errors="backslashreplace")
            if len(pieces[-1]) + len(data) > select.PIPE_BUF:
                pieces.append(b"")
            pieces[-1] += data
        return sum(piece.count(b"\n") for piece in pieces if not self._written(piece))

    def _written(self, piece: bytes) -> bool:
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # the descriptor was given to us as non-blocking
                time.sleep(self.INTERVAL)
            except OSError:
                return False
        return True


def start_unsignalled(thread: threading.Thread) -> None:
    """Start a thread that takes no signals: the main thread gets them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
