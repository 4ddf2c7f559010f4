"""A MariaDB that a test may kill, freeze and start again, on a port that stays. Nobody else uses it."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from helpers import LONG, execute, free_port

from core.database_url import DatabaseUrl
from core.setup import system
from core.setup.embedded import user
from core.setup.embedded_process import die_with, greets

PASSWORD = "a-password-of-the-tests"


class Database:
    """`owner` may do all, `application` what `server.py grants` prints. Both go by TCP, as to another machine.

    Start it from the main thread: Linux ends it with the thread that started it, so that a killed run leaves nothing.
    """

    def __init__(self, folder: pathlib.Path, like: "Database | None" = None) -> None:
        """Make its data: none, or what another one has that is stopped."""
        self.folder = folder
        self.port = free_port()
        self.owner = DatabaseUrl("shop", "owner", PASSWORD, "127.0.0.1", self.port)
        self.application = DatabaseUrl("shop", "shop", PASSWORD, "127.0.0.1", self.port)
        self.process: subprocess.Popen | None = None
        if like:
            shutil.copytree(like.folder / "mariadb", folder / "mariadb")
        else:
            self._install()
        (folder / "tmp").mkdir()
        (folder / "accounts.sql").write_text(
            "CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;\n"
            f"CREATE USER IF NOT EXISTS owner@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO owner@'%' WITH GRANT OPTION;\n"
            f"CREATE USER IF NOT EXISTS shop@'%' IDENTIFIED BY '{PASSWORD}';\n"
        )

    def _install(self) -> None:
        maker = system.program("mariadb-install-db", "mysql_install_db")
        login = ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={user()}", "--skip-test-db"]
        words = [maker, "--no-defaults", f"--datadir={self.folder / 'mariadb'}", *login]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "TMPDIR": str(self.folder)})

    def start(self, *options: str, program: tuple[str, ...] = (), **environment: str) -> float:
        """Start it, with more options or a program before it (faketime); return when it took logins (monotonic)."""
        parent, place = os.getpid(), pathlib.Path(tempfile.gettempdir(), f"bodega-{self.port}.sock")
        command = [
            *program,
            system.program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'mariadb'}",
            f"--user={user()}",
            f"--socket={place}",
            f"--pid-file={self.folder / 'mariadb.pid'}",
            f"--log-error={self.folder / 'mariadb.log'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--init-file={self.folder / 'accounts.sql'}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_520_ci",
            "--innodb-buffer-pool-size=128M",
            "--innodb-flush-log-at-trx-commit=2",  # as the shop's own: kill -9 loses nothing by it
            "--max-connections=300",
            *options,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **environment},
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it takes no lock
        )
        deadline = time.monotonic() + LONG
        while not greets(place):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = system.last_lines((self.folder / "mariadb.log").read_text(errors="replace"), 20)
                raise AssertionError(f"MariaDB does not start:\n{said}")
            time.sleep(0.01)
        return time.monotonic()

    def kill(self) -> float:
        """Kill it with -9; return when (monotonic)."""
        self.process.kill()
        self.process.wait()
        return time.monotonic()

    def freeze(self) -> float:
        """Let it stand still (SIGSTOP): its port takes connections, and nobody says a word. Return when."""
        self.process.send_signal(signal.SIGSTOP)
        return time.monotonic()

    def thaw(self) -> float:
        """Let it go on; return when."""
        self.process.send_signal(signal.SIGCONT)
        return time.monotonic()

    def revive(self) -> None:
        """Let it run as at first, whatever was done to it."""
        if self.process and self.process.poll() is None:
            self.thaw()
        else:
            self.start()

    def stop(self) -> None:
        """Stop it in order."""
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(LONG)
            except subprocess.TimeoutExpired:
                self.kill()
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(tempfile.gettempdir(), f"bodega-{self.port}.sock").unlink()

    def connections(self) -> int:
        """Return how many connections the shop's account has."""
        return execute(
            self.owner, "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = %s", ["shop"]
        )[0]["n"]
