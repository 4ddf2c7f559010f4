"""A MariaDB of its own for as long as a check takes, on an empty folder: `check --against` needs no database that runs.

It has no accounts and no tables of its own (`--skip-grant-tables`), so nothing has to be installed into it: it takes
logins 0.3 s after its start, where a private database takes 1.4 s to be made and started. Its socket stands in a folder
that only this user can enter.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.setup import system
from core.setup.embedded import DATABASE, LONGEST_DIRECTORY, START_TIMEOUT, user
from core.setup.embedded_process import die_with, greets


@contextlib.contextmanager
def empty_server() -> Iterator[DatabaseUrl]:
    """Give the login to a server whose only schema is empty; it goes with all that is in it. Raises CommandError."""
    mariadbd = system.program("mariadbd")
    if not mariadbd:
        raise CommandError(
            "check --against tries the statements in a MariaDB of its own, and there is no program mariadbd here. "
            "Install MariaDB's server; nothing has to run."
        )
    short = None if len(tempfile.gettempdir()) < LONGEST_DIRECTORY else "/tmp"  # noqa: S108 - mkdtemp is safe there
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bodega-check-", dir=short))  # mode 700
    try:
        with _running(mariadbd, folder) as place:
            yield DatabaseUrl(database=DATABASE, user=user(), unix_socket=str(place))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(mariadbd: str, folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Run the server in this folder; give its socket. At the end it is killed: nobody will read its data."""
    for name in ("data", "tmp"):
        (folder / name).mkdir()
    (folder / "schema.sql").write_text(
        f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;\n"
    )
    place, log, parent = folder / "s", folder / "mariadb.log", os.getpid()
    command = [
        mariadbd,
        "--no-defaults",
        "--skip-grant-tables",
        "--skip-networking",
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder / 'tmp'}",
        f"--user={user()}",
        f"--socket={place}",
        f"--pid-file={folder / 'pid'}",
        f"--log-error={log}",
        f"--init-file={folder / 'schema.sql'}",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_unicode_520_ci",
        "--innodb-log-file-size=4M",
        "--innodb-buffer-pool-size=32M",
        "--innodb-stats-persistent=OFF",  # their tables are not there
        "--innodb-flush-log-at-trx-commit=0",
        "--loose-innodb-flush-method=nosync",  # nothing of it has to outlive a crash
        "--loose-debug-no-sync",
    ]
    with (folder / "output").open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: die_with(parent, signal.SIGKILL),  # noqa: PLW1509 - there are no threads yet
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not greets(place):
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace") if log.exists() else ""
                raise CommandError(
                    f"A MariaDB for the check does not start. Its log ends:\n\n{system.last_lines(text, 10)}"
                )
            time.sleep(0.02)
        yield place
    finally:
        process.kill()
        process.wait()
