"""The process of the embedded database: one at a time on its data, and ended with its server.py."""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from core.cli import CommandError

PR_SET_PDEATHSIG = 1
PROTOCOL = b"\x0a"  # 10, the fifth byte of every greeting of MySQL and MariaDB
LOGGED = (  # binary logs of all changes, for `server.py backup`; docs/backup.md has what they cost
    "--log-bin=binlog",  # beside the data, by a relative name: a copy of the folder has logs of its own
    "--server-id=1",
    "--binlog-format=ROW",
    "--binlog-row-image=MINIMAL",
    "--binlog-annotate-row-events=OFF",  # no text of statements
    "--max-binlog-size=64M",
    "--expire-logs-days=3",  # and by size: `server.py purge`
)


class AlreadyRunning(CommandError):
    """Another server.py runs the database on this data."""


def take_lock(data: pathlib.Path) -> int:
    """Lock the data for this process and return the file descriptor; raise AlreadyRunning if another one holds it."""
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: workers must not inherit it
    except OSError:
        holder = os.read(lock, 20).decode() or "?"
        os.close(lock)
        raise AlreadyRunning(
            f"Another server.py (process {holder}) already runs on the data in {shown(data)}. Stop it first, "
            "or give this one data of its own (DATA_DIR) and a port of its own (PORT)."
        ) from None
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def require_free(data_dir: pathlib.Path) -> None:
    """Raise AlreadyRunning if another server.py runs on this data."""
    if data_dir.exists():
        os.close(take_lock(data_dir))


def end_orphan(data: pathlib.Path) -> None:
    """End the database of a server.py that was killed: it would still hold the data."""
    try:
        pid = int((data / "mariadb.pid").read_text())
    except (OSError, ValueError):
        return
    for seconds, number in ((20, signal.SIGTERM), (5, signal.SIGKILL)):
        if not _is_database(pid, data):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _is_database(pid, data) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_database(pid: int, data: pathlib.Path) -> bool:
    """Whether this process is the database on our data: another process may have the number by now."""
    datadir = f"--datadir={data / 'mariadb'}".encode()
    if pathlib.Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return datadir in pathlib.Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        return False
    seen = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)
    return datadir in seen.stdout


def die_with(parent: int, number: int = signal.SIGTERM) -> None:
    """Ask Linux to stop this process when its parent dies, also by kill -9. Elsewhere the next start cleans up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)


def listens(path: pathlib.Path) -> bool:
    """Whether a process listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def greets(path: pathlib.Path) -> bool:
    """Whether a database on this unix socket takes logins: only then it greets. Waits for 2 s at most.

    MariaDB's log has a line on it: "This connection closed normally without authentication".
    """
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(2)
        probe.connect(str(path))
        return probe.recv(5, socket.MSG_WAITALL)[4:] == PROTOCOL
    return False


def shown(path: pathlib.Path) -> str:
    """Return a path as people like to read it: relative to the current directory where it is below."""
    here = pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
