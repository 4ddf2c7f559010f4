"""A private MariaDB for whoever has none: it runs for as long as the command that needs it.

    .data/mariadb/            the data
    .data/mariadb.log         what it says
    .data/tmp/                its temporary tables
    .data/run                 a link to the directory of its socket, short and open to this user alone
    .data/lock                held by the server.py that runs it

No TCP. Two accounts, both reached through the socket only: the owner, who is the user of this machine and whom the
socket vouches for (migrations, seeds, `mariadb --socket=.data/run/s`); and `shop`, which may read and change rows, in
each table what it needs there (RIGHTS), and whose password is made anew at each start and stays in memory.
"""

import contextlib
import ctypes
import dataclasses
import fcntl
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from core.cli import CommandError, tell
from core.database_url import DatabaseUrl
from core.db import drivers
from core.setup import system

DATABASE = "shop"
APPLICATION = "shop"
RIGHTS = {  # table → what the shop needs there; what it has told the audit trail, it can neither change nor remove
    **dict.fromkeys(("cart_items", "categories", "products", "sessions", "users"), "SELECT, INSERT, UPDATE, DELETE"),
    "audit_entries": "SELECT, INSERT",
    "import_parts": "SELECT, INSERT, DELETE",
    "schema_migrations": "SELECT",
}
START_TIMEOUT = 60  # seconds for it to answer; recovery after a crash takes a while
PR_SET_PDEATHSIG = 1
LONGEST_DIRECTORY = 80  # the name of a unix socket has 104 characters at most


class AlreadyRunning(CommandError):
    """Another server.py runs the database on this data."""


@dataclasses.dataclass(frozen=True)
class Accounts:
    """Where to log in: `owner` may change the schema, `application` only rows."""

    owner: DatabaseUrl
    application: DatabaseUrl | None


class Embedded:
    """`with Embedded(data_dir) as accounts:` runs the database; the file `fresh` exists until it is first filled."""

    def __init__(self, data_dir, tell=tell):
        self.data = pathlib.Path(data_dir)
        self.tell = tell
        self.fresh = self.data / "fresh"
        self.process = None

    def __enter__(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.data)
        try:
            mariadbd = system.program("mariadbd") or self._installed()
            end_orphan(self.data)
            if not (self.data / "mariadb").exists():
                self._create(mariadbd)
            return self._start(mariadbd)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        """Stop the database in order and wait for its end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._remove_run()
        os.close(self._lock)

    def _remove_run(self):
        """Remove the socket's directory and the link to it; also those of a server.py that was killed."""
        link = self.data / "run"
        if link.is_symlink():
            if not answers(link.resolve() / "s"):  # in a copy of the data the link leads to the original's
                shutil.rmtree(link.resolve(), ignore_errors=True)
            link.unlink()

    def _installed(self):
        system.install_mariadb()
        found = system.program("mariadbd")
        if not found:
            raise CommandError(
                "MariaDB was installed, but its program mariadbd is not on PATH. Add its directory to PATH."
            )
        return found

    def _create(self, mariadbd):
        """Make the data in a directory beside its place and rename it, so that a half-made one is never used."""
        self.tell(f"Making a private MariaDB in {shown(self.data)}.")
        half = self.data / "mariadb.new"
        shutil.rmtree(half, ignore_errors=True)
        maker = system.program("mariadb-install-db", "mysql_install_db")
        if not maker:
            raise CommandError(
                "MariaDB's program mariadb-install-db is missing beside mariadbd. Reinstall MariaDB's server."
            )
        done = subprocess.run(
            [
                maker,
                "--no-defaults",
                f"--datadir={half}",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={user()}",
                "--skip-test-db",
            ],
            capture_output=True,
            check=False,
            env={**os.environ, "PATH": os.pathsep.join([os.environ.get("PATH", ""), *system.PLACES])},
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-10:]
            raise CommandError("MariaDB could not make its data:\n\n" + "\n".join(f"    {line}" for line in said))
        self.fresh.touch()
        half.rename(self.data / "mariadb")

    def _start(self, mariadbd):
        short = None if len(tempfile.gettempdir()) < LONGEST_DIRECTORY else "/tmp"  # noqa: S108 - mkdtemp is safe there
        self._remove_run()
        run = pathlib.Path(tempfile.mkdtemp(prefix="bodega-", dir=short))  # mode 700
        (self.data / "run").symlink_to(run)
        password = secrets.token_urlsafe(32)
        (run / "accounts.sql").write_text(accounts_sql(password))
        temporary = self.data / "tmp"
        temporary.mkdir(mode=0o700, exist_ok=True)
        log = self.data / "mariadb.log"
        log_from = log.stat().st_size if log.exists() else 0
        parent = os.getpid()
        command = [
            mariadbd,
            "--no-defaults",
            f"--datadir={self.data / 'mariadb'}",
            f"--user={user()}",
            f"--socket={run / 's'}",
            f"--pid-file={self.data / 'mariadb.pid'}",
            f"--log-error={log}",
            f"--tmpdir={temporary}",  # a start removes all temporary tables there: in /tmp, other servers' too
            f"--init-file={run / 'accounts.sql'}",
            "--skip-networking",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_520_ci",
            f"--innodb-buffer-pool-size={pool_size()}",  # taken as it is needed
            "--innodb-log-file-size=256M",  # with a small one a million products take twice as long to fill in
            "--innodb-flush-log-at-trx-commit=2",  # a crash of the machine may cost the last second, ours nothing
            "--max-connections=1100",  # DATABASE_CONNECTIONS is at most 1000
        ]
        with log.open("ab") as said:  # it opens the log itself, but some complaints come earlier
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us; we stop the database when the workers are done
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - there are no threads yet
            )
        owner = DatabaseUrl(database=DATABASE, user=user(), unix_socket=str(run / "s"))
        self._wait(owner, log, log_from)
        (run / "accounts.sql").unlink()
        return Accounts(owner, dataclasses.replace(owner, user=APPLICATION, password=password))

    def _wait(self, owner, log, log_from):
        """Return once a query is answered; raise CommandError with the log's last lines if that does not happen."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(*drivers.DatabaseError):
                drivers.connect(owner, 2).close()
                return
            time.sleep(0.05)
        with open(log, "rb") as file:
            file.seek(log_from)
            last = file.read().decode(errors="replace").strip().splitlines()[-10:]
        raise CommandError(
            f"The private MariaDB in {shown(self.data)} does not start. Its log ({shown(log)}) ends:\n\n"
            + "\n".join(f"    {line}" for line in last)
            + "\n\nMend what it says, then start again."
        )


def pool_size():
    """Return the bytes of memory for pages of the database: a quarter of the machine's, from 256 MiB to 2 GiB.

    A million products with their indexes take about 0.9 GB; a search that has to read them from the disk takes six
    times as long.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(max(memory // 4, 256 << 20), 2 << 30)


@contextlib.contextmanager
def borrowed(data_dir):
    """Give a short command the embedded database: the running one if there is one, else one for as long as it takes."""
    try:
        with usable(data_dir), Embedded(data_dir) as accounts:
            yield accounts
    except AlreadyRunning:
        path = (pathlib.Path(data_dir) / "run" / "s").resolve()
        yield Accounts(DatabaseUrl(database=DATABASE, user=user(), unix_socket=str(path)), None)


@contextlib.contextmanager
def usable(data_dir):
    """Turn an OSError about this directory, what is in it, or what it is in, into a CommandError."""
    try:
        yield
    except OSError as error:
        place, data = pathlib.Path(error.filename or "nowhere"), pathlib.Path(data_dir)
        if not (place.is_relative_to(data) or data.is_relative_to(place)):
            raise
        raise CommandError(
            f"DATA_DIR is {str(data)!r}, which cannot be used ({error.strerror}). "
            "Set it to a directory on a disk with room, which this user may write to."
        ) from None


def take_lock(data):
    """Lock the data for this process; raise AlreadyRunning at once if another one holds it."""
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


def require_free(data_dir):
    """Raise AlreadyRunning if another server.py runs on this data; says so before anything else is looked at."""
    data = pathlib.Path(data_dir)
    if data.exists():
        os.close(take_lock(data))


def end_orphan(data):
    """End the database of a server.py that was killed: it would still hold the data."""
    pid_file, datadir = data / "mariadb.pid", f"--datadir={data / 'mariadb'}"
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for seconds, number in ((20, signal.SIGTERM), (5, signal.SIGKILL)):
        deadline = time.monotonic() + seconds
        if not _is_database(pid, datadir):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while _is_database(pid, datadir) and time.monotonic() < deadline:
            time.sleep(0.05)


def answers(path):
    """Whether somebody listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _is_database(pid, datadir):
    """Whether this process is the database on our data: the number alone may be somebody else's by now."""
    process = pathlib.Path("/proc", str(pid), "cmdline")
    if process.parent.parent.joinpath("self").exists():
        with contextlib.suppress(OSError):
            return datadir.encode() in process.read_bytes().split(b"\0")
        return False
    seen = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)
    return datadir.encode() in seen.stdout


def die_with(parent):
    """Ask Linux to stop this process when its parent dies, also by kill -9. Elsewhere the next start cleans up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)


def accounts_sql(password):
    """Return what the database runs at each start: the schema's database and the two accounts with their rights.

    Rights are given with CREATE, which is taken back: else they could not be given before the migration of a table.
    """
    account = f"{APPLICATION}@localhost"
    return (
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;\n"
        f"CREATE OR REPLACE USER {account} IDENTIFIED BY '{password}';\n"
    ) + "".join(
        f"GRANT CREATE, {rights} ON {place} TO {account};\nREVOKE CREATE ON {place} FROM {account};\n"
        for place, rights in ((f"{DATABASE}.{table}", rights) for table, rights in RIGHTS.items())
    )


def user():
    """Return the name of the user who runs this; the database knows its owner by it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise CommandError(
            f"User {os.geteuid()} has no name on this machine, and the embedded MariaDB knows its owner by name. "
            "Set DATABASE_URL, or run as a user with an entry in /etc/passwd."
        ) from None


def shown(path):
    """Return a path as people like to read it: relative to here where it is below."""
    path = pathlib.Path(path)
    return str(path.relative_to(pathlib.Path.cwd())) if path.is_relative_to(pathlib.Path.cwd()) else str(path)
