"""Serve the shop: the default command.

This process watches: it binds the sockets, starts the embedded database if there is no DATABASE_URL, and forks the
workers, each with a listening socket of its own (SO_REUSEPORT: the kernel shares out the connections evenly) and one
database connection for each of its threads. A worker that dies is replaced.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time

from commands import seed
from commands.embedded import Embedded, require_free
from core import logs
from core.database import DatabaseError, refusal
from core.http import DRAIN, Server
from core.migrations import Migrator
from core.system import Stop, say

HELP = "serve the shop (the default)"
PRODUCTS_AT_FIRST = 500

log = logging.getLogger("bodega.serve")


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (PORT, default 8080)")
    parser.add_argument("--workers", metavar="N", help="processes (WORKERS, default: the cores)")
    parser.add_argument("--threads", metavar="N", help="threads of each process (THREADS, default 8)")
    parser.add_argument("--reload", action="store_true", help="take edited files of sql/ without a restart")


def run(options, config, shop):
    """Serve until SIGTERM or Ctrl-C; `shop(url, timeout, reload)` wires the application."""
    logs.configure(config.log_level)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the watch begins: leave as by Ctrl-C
    if not config.database:
        require_free(config.data_dir)
    sockets = listen(config.host, config.port, config.workers)
    try:
        with contextlib.ExitStack() as stack:
            url = config.database or _embedded(stack, config)
            application = shop(url, config.database_timeout, options.reload)
            if config.database:
                _tell_pending(config)
            for listening in sockets:
                listening.listen(1024)  # from here on a connection waits, and is not refused
            say(f"Serving on http://{_shown(config.host)}:{config.port} (Ctrl-C stops).")
            return Watch(application, sockets, config.threads).run()
    except KeyboardInterrupt:
        return 0


def _embedded(stack, config):
    """Start the embedded database, migrate it, fill it the first time; return the application's login."""
    private = Embedded(config.data_dir)
    accounts = stack.enter_context(private)
    Migrator(accounts.owner, say).up()
    if private.fresh.exists():
        seed.fill(accounts.owner, PRODUCTS_AT_FIRST, clear=True)  # a first start that was cut short left some
        private.fresh.unlink()
    return accounts.application


def _tell_pending(config):
    """Say which command to type when the database is behind; it is never changed unasked. It may also be down."""
    try:
        state = Migrator(config.database, say).state()
    except DatabaseError as error:
        log.warning(refusal(config.database, error) + " The shop starts, and answers 503 until it can be reached.")
        return
    if state.problem:
        log.warning(state.problem)
    elif state.pending:
        names = ", ".join(migration.name for migration in state.pending)
        log.warning(f"Migrations are pending: {names}. The shop answers 503 until you type: python3 server.py migrate")


def listen(host, port, count):
    """Return `count` listening sockets on one address; raise Stop where it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise Stop(
            f"HOST is {host!r}, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all."
        ) from None
    try:
        # Without SO_REUSEPORT first: with it, a second server would quietly take half of the first one's visitors.
        _bound(family, address, shared=False).close()
        return [_bound(family, address, shared=count > 1) for _ in range(count)]
    except PermissionError:
        raise Stop(f"Port {port} needs more rights than this user has. Choose one above 1023: --port 8080.") from None
    except OSError as error:
        free = 8081 if port == 8080 else 8080
        raise Stop(
            f"Port {port} on {host} is taken or cannot be used ({error.strerror}). "
            f"Stop what listens there, or choose another port: python3 server.py --port {free}"
        ) from None


def _bound(family, address, shared):
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


class Watch:
    """Keeps one worker running on each socket, until SIGTERM or Ctrl-C."""

    CRASH_LOOP = 5  # deaths within so many times CRASH_TIME seconds end the watch
    CRASH_TIME = 2.0

    def __init__(self, application, sockets, threads):
        self.application = application
        self.sockets = sockets
        self.threads = threads
        self.stopping = threading.Event()
        self.workers = {}  # process id → its socket
        self.deaths = []
        # Its other end closes when this process ends, by kill -9 too: then the workers end themselves.
        self.lifeline, self._held = os.pipe()

    def run(self):
        """Return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        for listening in self.sockets:
            self._fork(listening)
        status = 0
        while not self.stopping.is_set():
            self._reap()
            if (
                len([t for t in self.deaths if t > time.monotonic() - self.CRASH_LOOP * self.CRASH_TIME])
                >= self.CRASH_LOOP
            ):
                log.error("Workers die as soon as they start; giving up. The reason stands above.")
                status = 1
                break
            self.stopping.wait(0.2)
        say("Stopping: requests under way are answered first.")
        self._end()
        return status

    def _fork(self, listening):
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a worker hears it once it can heed it
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(self._held)
                work(self.application, listening, self.threads, self.lifeline)
                code = 0
            except Exception:
                log.exception("a worker broke")
            finally:
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.workers[child] = listening

    def _reap(self):
        for child in list(self.workers):
            done, status = os.waitpid(child, os.WNOHANG)
            if done and not self.stopping.is_set():
                listening = self.workers.pop(child)
                self.deaths.append(time.monotonic())
                log.error(
                    f"Worker {child} ended with status {os.waitstatus_to_exitcode(status)}; a new one takes over."
                )
                self._fork(listening)

    def _end(self):
        for child in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN + 3
        for child in self.workers:
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.02)


def work(application, listening, threads, lifeline):
    """Be a worker: serve on this socket until SIGTERM, or until the watch is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the watch tells us when
    server = Server(application, listening, threads)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(1)), daemon=True).start()
    server.run()


def _shown(host):
    return f"[{host}]" if ":" in host else host
