"""Serve the shop: the default command.

This process watches: it binds the sockets, starts the embedded database if there is no DATABASE_URL, and forks the
workers, each with a listening socket of its own (SO_REUSEPORT: the kernel shares out the connections evenly) and one
database connection for each of its threads. A worker that dies is replaced.
"""

import contextlib
import dataclasses
import errno
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time

from commands import seed
from commands.embedded import Embedded, require_free
from commands.transaction import in_transaction
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
    """Serve until SIGTERM or Ctrl-C; `shop(config, url, reload)` wires the application."""
    logs.configure(config.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):  # until the watch begins; a shell's `&` has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    if not config.database:
        require_free(config.data_dir)
    sockets = listen(config.host, config.port, config.workers)
    try:
        with contextlib.ExitStack() as stack:
            url, database = (config.database, None) if config.database else _embedded(stack, config)
            application = shop(with_secret(config), url, options.reload)
            if config.database:
                _tell_pending(config)
            open_doors(sockets, config.host, config.port)
            say(f"Serving on http://{_shown(config.host)}:{config.port} (Ctrl-C stops).")
            return Watch(application, sockets, config.threads, database).run()
    except KeyboardInterrupt:
        return 0


def with_secret(config):
    """Return the settings with a SECRET_KEY: with the embedded database one that is made once and kept beside it."""
    if config.secret_key:
        return config
    if config.database:
        raise Stop(
            "SECRET_KEY is not set. With DATABASE_URL the shop needs one: session tokens are stored under it. "
            "Make one, keep it in .env, and use the same on every host:\n\n"
            "    python3 -c 'import secrets; print(secrets.token_urlsafe(48))'\n"
        )
    kept = config.data_dir / "secret_key"
    if not kept.exists():
        new = kept.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(48))
        new.rename(kept)
    return dataclasses.replace(config, secret_key=kept.read_text())


def _embedded(stack, config):
    """Start the embedded database, migrate it, fill it the first time; return our login and its process."""
    private = Embedded(config.data_dir)
    accounts = stack.enter_context(private)
    Migrator(accounts.owner, say).up()
    if private.fresh.exists():
        held = in_transaction(accounts.owner, lambda db: db.one("seed/counts"))
        if not held["products"]:  # somebody may have typed migrate and seed before
            seed.fill(accounts.owner, PRODUCTS_AT_FIRST, clear=True)  # a first start that was cut short left some
        private.fresh.unlink()
    return accounts.application, private.process


def _tell_pending(config):
    """Say which command to type when the database is behind; it is never changed unasked. It may also be down."""
    try:
        state = Migrator(config.database, say).state(config.database_timeout)
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
    with _sentences(host, port):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Without SO_REUSEPORT first: with it, a second server would quietly take half of the first one's visitors.
        _bound(family, address, shared=False).close()
        return [_bound(family, address, shared=count > 1) for _ in range(count)]


def open_doors(sockets, host, port):
    """Listen: from here on a connection waits, and is not refused. Raise Stop where another server was faster."""
    with _sentences(host, port):
        # Once more, because a server that is bound and does not listen yet is in nobody's way.
        _bound(sockets[0].family, sockets[0].getsockname(), shared=False).close()
        for listening in sockets:
            listening.listen(1024)


@contextlib.contextmanager
def _sentences(host, port):
    """Turn what goes wrong with an address into a Stop that says what to do."""
    try:
        yield
    except PermissionError:
        raise Stop(f"Port {port} needs more rights than this user has. Choose one above 1023: --port 8080.") from None
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Stop(
                f"HOST is {host!r}, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all."
            ) from None
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

    def __init__(self, application, sockets, threads, database=None):
        self.application = application
        self.sockets = sockets
        self.threads = threads
        self.database = database  # the process of the embedded one, or None
        self.stopping = False  # no threading.Event: a signal that comes while it is waited for can lock up
        self.workers = {}  # process id → its socket
        self.deaths = []
        # Its other end closes when this process ends, by kill -9 too: then the workers end themselves.
        self.lifeline, self._held = os.pipe()

    def run(self):
        """Return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)
        for listening in self.sockets:
            self._fork(listening)
        status = 0
        while not self.stopping:
            self._reap()
            if (
                len([t for t in self.deaths if t > time.monotonic() - self.CRASH_LOOP * self.CRASH_TIME])
                >= self.CRASH_LOOP
            ):
                log.error("Workers die as soon as they start; giving up. The reason stands above.")
                status = 1
                break
            if self.database and self.database.poll() is not None:
                log.error(
                    "The embedded MariaDB has ended by itself; so do we. Its log, mariadb.log in DATA_DIR, says why."
                )
                status = 1
                break
            time.sleep(0.1)
        say("Stopping: requests under way are answered first.")
        self._end()
        return status

    def _heed(self, *_):
        self.stopping = True

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
            if not done:
                continue
            listening = self.workers.pop(child)
            if not self.stopping:
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
