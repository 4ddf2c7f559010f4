"""Serve the shop: the default command.

This process binds the sockets, starts the embedded database if there is no DATABASE_URL, and supervises the workers.
Each worker has a listening socket of its own and one database connection for each of its threads. SIGHUP takes edited
files of sql/ and edited settings, see core/serving/supervisor.py.
"""

import argparse
import contextlib
import dataclasses
import functools
import logging
import pathlib
import secrets
import signal
import subprocess
from collections.abc import Callable

from commands import optimize, seed
from core import logs, metrics
from core.cache import Generation
from core.cli import CommandError, say, tell
from core.config import RENAMED, Config, load
from core.database_url import DatabaseUrl
from core.db.database import DatabaseError
from core.db.migrator import Migrator
from core.db.mysql_errors import refusal
from core.db.owner import explained, give_rights, in_transaction
from core.db.statement_totals import Sampler
from core.db.statements import Statements
from core.identity.counters import host_memory
from core.metrics_file import File
from core.serving import sockets, systemd
from core.serving.exposition import Exposition
from core.serving.metrics_process import MetricsServer, listen
from core.serving.middleware import Middleware
from core.serving.supervisor import Supervisor
from core.setup.embedded import ACCOUNT, Embedded, usable
from core.setup.embedded_process import require_free
from core.setup.system import pages

HELP = "serve the shop (the default)"
PRODUCTS_AT_FIRST = 500
FIXED = (
    "host",
    "port",
    "workers",
    "threads",
    "chores",
    "metrics",
    "metrics_host",
    "metrics_port",
    "database_connections",
    "data_dir",
)  # settings that need a restart

log = logging.getLogger("bodega.serve")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (PORT, default 8080)")
    parser.add_argument("--workers", metavar="N", help="processes (WORKERS, default: the cores)")
    parser.add_argument("--threads", metavar="N", help="threads of each process (THREADS, default 8)")
    parser.add_argument("--reload", action="store_true", help="take edited files of sql/ without a restart")


def run(options: argparse.Namespace, config: Config, shop: Callable[..., Middleware]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status. `shop(config, url, reload, …)` wires the application."""
    logs.configure(config.log_level, config.log_format)
    for name in config.old_names:
        log.warning(f"{name} is called {RENAMED[name]} now. Rename it; the old name works in 1.x only.")
    for number in (signal.SIGTERM, signal.SIGINT):  # until the supervisor takes over; a shell's `&` ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # an early one waits until the supervisor unblocks it
    try:
        with contextlib.ExitStack() as stack:
            if not config.database:
                stack.enter_context(usable(config.data_dir))
                require_free(config.data_dir)
            notify, passed = systemd.notifier(), systemd.passed_sockets(config.workers)
            bound = passed or sockets.bind(config.host, config.port, config.workers)
            url, owner, database = (config.database, None, None) if config.database else _embedded(stack, config)
            counts = File(config.run_folder, 2 * config.workers + 4)  # a restart has some more at a time
            stack.callback(counts.close)
            metrics.use(counts)
            metrics.be("supervisor")
            wire = _wiring(options, config, shop, url, owner, counts=counts)
            application = wire()
            if application.readiness and application.readiness.look():
                _check_word_index(url, config, application.readiness.statements)
            telling = None
            if config.metrics == "on":
                telling = MetricsServer(listen(config.metrics_host, config.metrics_port), Exposition(counts))
            if not passed:
                sockets.start_listening(bound, config.host, config.port)
            host, port = passed[0].getsockname()[:2] if passed else (config.host, config.port)
            say(f"Serving on {sockets.url(host, port)} (Ctrl-C stops).")
            return Supervisor(
                application,
                bound,
                config.threads,
                wire,
                database,
                chores=config.chores,
                metrics=telling,
                look=Sampler(counts).sample,
                passed=bool(passed),
                notify=notify,
            ).run()
    except KeyboardInterrupt:
        return 0


def _wiring(
    options: argparse.Namespace,
    config: Config,
    shop: Callable[..., Middleware],
    url: DatabaseUrl,
    owner: DatabaseUrl | None,
    *,
    counts: File,
) -> Callable[..., Middleware]:
    """Return `wire()`, which wires the shop; `wire(before)` reads the settings and the files of sql/ again for it.

    `owner`: of the embedded database; the shop's account there gets the rights that the files need.
    """
    shared = {"generation": Generation(), "memory": host_memory(), "counts": counts}
    code = _code_times()

    def wire(before: Middleware | None = None) -> Middleware:
        current = config
        if before:
            current = _renewed(options, config)
            if _code_times() != code:
                log.warning("The Python code has changed since the start; that takes a restart.")
        application = shop(
            with_secret(current),
            current.database or url,
            options.reload,
            **shared,
            before=before.readiness if before else None,
            give=functools.partial(give_rights, owner, ACCOUNT) if owner else None,
        )
        logs.configure(current.log_level, current.log_format)
        return application

    return wire


def _renewed(options: argparse.Namespace, config: Config) -> Config:
    """Read the settings again; return them with the FIXED ones of the start. Raise Malformed for a wrong one."""
    renewed = load(**{name: getattr(options, name) for name in ("host", "port", "workers", "threads")})
    fixed = {name: getattr(config, name) for name in FIXED}
    if bool(renewed.database) != bool(config.database):  # the embedded database starts and ends with this process
        fixed["database"] = config.database
    for name, value in fixed.items():
        if getattr(renewed, name) != value:
            log.warning(f"{'DATABASE_URL' if name == 'database' else name.upper()} has changed; that takes a restart.")
    return dataclasses.replace(renewed, **fixed)


def _code_times() -> dict[pathlib.Path, int]:
    """Return when each Python file was edited."""
    return {path: path.stat().st_mtime_ns for path in pages()}


def with_secret(config: Config) -> Config:
    """Return the settings with a SECRET_KEY. With the embedded database it is made once and stored beside it.

    Raise CommandError where DATABASE_URL is set and SECRET_KEY is not.
    """
    if config.secret_key:
        return config
    if config.database:
        raise CommandError(
            "SECRET_KEY is not set. With DATABASE_URL the shop needs one: session tokens are stored under it. "
            "Make one, keep it in .env, and use the same on every host:\n\n"
            "    python3 -c 'import secrets; print(secrets.token_urlsafe(48))'\n"
        )
    stored = config.data_dir / "secret_key"
    if not stored.exists():
        new = stored.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(48))
        new.rename(stored)
    return dataclasses.replace(config, secret_key=stored.read_text())


def _embedded(stack: contextlib.ExitStack, config: Config) -> tuple[DatabaseUrl, DatabaseUrl, subprocess.Popen | None]:
    """Start the embedded database, migrate it, fill it the first time; return both logins and the process."""
    private = Embedded(config.data_dir)
    accounts = stack.enter_context(private)
    stack.enter_context(explained(accounts.owner))
    Migrator(accounts.owner, tell).up()
    if private.fresh.exists():
        if not in_transaction(accounts.owner, seed.counts)["products"]:  # `migrate` and `seed` may have been run before
            seed.fill(accounts.owner, PRODUCTS_AT_FIRST, clear=True)  # clears what an interrupted first start left
        private.fresh.unlink()
    return accounts.application, accounts.owner, private.process


def _check_word_index(url: DatabaseUrl, config: Config, statements: Statements) -> None:
    """Log a warning where the full-text index has lost words."""
    try:
        trouble = optimize.warning(url, config.database_timeout, statements)
    except DatabaseError as error:
        trouble = refusal(url, error)
    if trouble:
        log.warning(trouble)
