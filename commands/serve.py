"""Serve the shop: the default command.

This process binds the sockets, starts the embedded database if there is no DATABASE_URL, and watches over the workers,
each with a listening socket of its own (SO_REUSEPORT: the kernel shares out the connections evenly) and one database
connection for each of its threads. SIGHUP takes edited files of sql/ and edited settings, see
core/serving/supervisor.py.
"""

import contextlib
import dataclasses
import errno
import logging
import secrets
import signal
import socket

from commands import optimize, seed
from core import logs
from core.cache import Generation
from core.cli import CommandError, say, tell
from core.config import RENAMED, load
from core.db.database import DatabaseError
from core.db.migrations import Migrator
from core.db.mysql_errors import refusal
from core.db.owner import explained, in_transaction
from core.identity.limits import host_memory
from core.serving.supervisor import Supervisor
from core.setup.embedded import Embedded, require_free, usable
from core.setup.system import pages

HELP = "serve the shop (the default)"
PRODUCTS_AT_FIRST = 500
FIXED = ("host", "port", "workers", "threads", "database_connections", "data_dir")  # settings that take a restart

log = logging.getLogger("bodega.serve")


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (PORT, default 8080)")
    parser.add_argument("--workers", metavar="N", help="processes (WORKERS, default: the cores)")
    parser.add_argument("--threads", metavar="N", help="threads of each process (THREADS, default 8)")
    parser.add_argument("--reload", action="store_true", help="take edited files of sql/ without a restart")


def run(options, config, shop):
    """Serve until SIGTERM or Ctrl-C; `shop(config, url, reload, …)` wires the application."""
    logs.configure(config.log_level)
    for name in config.old_names:
        log.warning(f"{name} is called {RENAMED[name]} now. Rename it; the old name works in 1.x only.")
    for number in (signal.SIGTERM, signal.SIGINT):  # until the watch begins; a shell's `&` has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # an early one waits for the watch, which unblocks it
    try:
        with contextlib.ExitStack() as stack:
            if not config.database:
                stack.enter_context(usable(config.data_dir))
                require_free(config.data_dir)
            sockets = listen(config.host, config.port, config.workers)
            url, database = (config.database, None) if config.database else _embedded(stack, config)
            shared = {"generation": Generation(), "tries": host_memory()}
            application = shop(with_secret(config), url, options.reload, **shared)
            code = _code()

            def wire():
                nonlocal application
                renewed = _renewed(options, config)
                if _code() != code:
                    log.warning("The Python code has changed since the start; that takes a restart.")
                before = application.readiness
                application = shop(
                    with_secret(renewed), renewed.database or url, options.reload, **shared, before=before
                )
                logs.configure(renewed.log_level)
                return application

            if application.readiness.look():
                _look_at_words(url, config, application.readiness.statements)
            open_doors(sockets, config.host, config.port)
            say(f"Serving on http://{_shown(config.host)}:{config.port} (Ctrl-C stops).")
            return Supervisor(application, sockets, config.threads, wire, database).run()
    except KeyboardInterrupt:
        return 0


def _renewed(options, config):
    """Read the settings anew and return them, but what is FIXED since the start; raise Malformed for a wrong one."""
    renewed = load(**{name: getattr(options, name) for name in ("host", "port", "workers", "threads")})
    kept = {name: getattr(config, name) for name in FIXED}
    if bool(renewed.database) != bool(config.database):  # the embedded one begins and ends with us
        kept["database"] = config.database
    for name, value in kept.items():
        if getattr(renewed, name) != value:
            log.warning(f"{'DATABASE_URL' if name == 'database' else name.upper()} has changed; that takes a restart.")
    return dataclasses.replace(renewed, **kept)


def _code():
    """Return what tells whether our Python files are the ones of the start."""
    return {path: path.stat().st_mtime_ns for path in pages()}


def with_secret(config):
    """Return the settings with a SECRET_KEY: with the embedded database one that is made once and kept beside it."""
    if config.secret_key:
        return config
    if config.database:
        raise CommandError(
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
    stack.enter_context(explained(accounts.owner))
    Migrator(accounts.owner, tell).up()
    if private.fresh.exists():
        held = in_transaction(accounts.owner, lambda db: db.one("seed/counts"))
        if not held["products"]:  # somebody may have typed migrate and seed before
            seed.fill(accounts.owner, PRODUCTS_AT_FIRST, clear=True)  # a first start that was cut short left some
        private.fresh.unlink()
    return accounts.application, private.process


def _look_at_words(url, config, statements):
    """Say so where the index of words has lost some."""
    try:
        told = optimize.warning(url, config.database_timeout, statements)
    except DatabaseError as error:
        told = refusal(url, error)
    if told:
        log.warning(told)


def listen(host, port, count):
    """Return `count` listening sockets on one address; raise CommandError where it cannot be had."""
    with _sentences(host, port):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Without SO_REUSEPORT first: with it, a second server would quietly take half of the first one's visitors.
        _bound(family, address, shared=False).close()
        return [_bound(family, address, shared=count > 1) for _ in range(count)]


def open_doors(sockets, host, port):
    """Listen: from here on a connection waits, and is not refused. Raise CommandError where another was faster."""
    with _sentences(host, port):
        # Once more, because a server that is bound and does not listen yet is in nobody's way.
        _bound(sockets[0].family, sockets[0].getsockname(), shared=False).close()
        for listening in sockets:
            listening.listen(1024)


@contextlib.contextmanager
def _sentences(host, port):
    """Turn what goes wrong with an address into a CommandError that says what to do."""
    try:
        yield
    except PermissionError:
        raise CommandError(
            f"Port {port} needs more rights than this user has. Choose one above 1023: --port 8080."
        ) from None
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise CommandError(
                f"HOST is {host!r}, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all."
            ) from None
        free = 8081 if port == 8080 else 8080
        raise CommandError(
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


def _shown(host):
    return f"[{host}]" if ":" in host else host
