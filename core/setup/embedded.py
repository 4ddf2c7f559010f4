"""A private MariaDB, where there is no DATABASE_URL: it runs for as long as the command that needs it.

    .data/mariadb/            the data, and binlog.…, the binary logs of what changed
    .data/mariadb.log         what it says
    .data/tmp/                its temporary tables
    .data/run                 a link to the directory of its socket, short and open to this user alone
    .data/lock                held by the server.py that runs it

No TCP. Two accounts, both reached through the socket only: the owner, who is this user of the machine and needs no
password on the socket (migrations, seeds, `mariadb --socket=.data/run/s`); and `shop`, whose password is new at each
start and stays in memory, and which has no right until `serve` gives it those that `server.py grants` prints.
"""

import contextlib
import dataclasses
import os
import pathlib
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from core.cli import CommandError, tell
from core.database_url import DatabaseUrl
from core.setup import system
from core.setup.embedded_process import LOGGED, AlreadyRunning, die_with, end_orphan, greets, listens, shown, take_lock

DATABASE = "shop"
APPLICATION = "shop"
ACCOUNT = f"{APPLICATION}@localhost"
START_TIMEOUT = 60  # seconds for it to answer; recovery after a crash takes a while
LONGEST_DIRECTORY = 80  # the name of a unix socket has 104 characters at most


@dataclasses.dataclass(frozen=True)
class Accounts:
    """Where to log in: `owner` may change the schema, `application` only rows."""

    owner: DatabaseUrl
    application: DatabaseUrl


class Embedded:
    """`with Embedded(data_dir) as accounts:` runs the database; the file `fresh` exists until it is first filled."""

    def __init__(
        self, data_dir: pathlib.Path, tell: Callable[[str], None] = tell, options: Sequence[str] = LOGGED
    ) -> None:
        self.data = data_dir
        self.tell = tell
        self.options = options
        self.fresh = self.data / "fresh"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Accounts:
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.data)
        try:
            mariadbd = system.program("mariadbd") or self._installed()
            end_orphan(self.data)
            if not (self.data / "mariadb").exists():
                self._create()
            return self._start(mariadbd)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
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

    def _remove_run(self) -> None:
        """Remove the socket's directory and the link to it; also those of a server.py that was killed."""
        link = self.data / "run"
        if link.is_symlink():
            if not listens(link.resolve() / "s"):  # in a copy of the data the link leads to the original's
                shutil.rmtree(link.resolve(), ignore_errors=True)
            link.unlink()

    def _installed(self) -> str:
        system.install_mariadb()
        found = system.program("mariadbd")
        if not found:
            raise CommandError(
                "MariaDB was installed, but its program mariadbd is not on PATH. Add its directory to PATH."
            )
        return found

    def _create(self) -> None:
        """Make the data in a directory beside its place and rename it, so that a half-made one is never used."""
        self.tell(f"Making a private MariaDB in {shown(self.data)}.")
        half = self.data / "mariadb.new"
        shutil.rmtree(half, ignore_errors=True)
        maker = system.program("mariadb-install-db", "mysql_install_db")
        if not maker:
            raise CommandError(
                "MariaDB's program mariadb-install-db is missing beside mariadbd. Reinstall MariaDB's server."
            )
        half.mkdir(parents=True)
        places = os.pathsep.join([os.environ.get("PATH", ""), *system.PLACES])
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
            env={**os.environ, "PATH": places, "TMPDIR": str(half)},  # not /tmp, for the reason given in _start
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise CommandError(f"MariaDB could not make its data:\n\n{system.last_lines(said, 10)}")
        self.fresh.touch()
        half.rename(self.data / "mariadb")

    def _start(self, mariadbd: str) -> Accounts:
        short = None if len(tempfile.gettempdir()) < LONGEST_DIRECTORY else "/tmp"  # noqa: S108 - mkdtemp is safe there
        self._remove_run()
        run = pathlib.Path(tempfile.mkdtemp(prefix="bodega-", dir=short))  # mode 700
        (self.data / "run").symlink_to(run)
        password = secrets.token_urlsafe(32)
        (run / "accounts.sql").write_text(accounts_sql(password))
        temporary = self.data / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
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
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_520_ci",
            f"--innodb-buffer-pool-size={pool_size()}",  # taken as it is needed
            "--innodb-log-file-size=256M",  # with a small one a million products take twice as long to fill in
            "--innodb-flush-log-at-trx-commit=2",  # a crash of the machine may cost the last second, ours nothing
            "--max-connections=1100",  # DATABASE_CONNECTIONS is at most 1000
            *self.options,
        ]
        with log.open("ab") as said:  # it opens the log itself, but some complaints come earlier
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us; we stop the database after the workers
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - there are no threads yet
            )
        self._wait(self.process, run / "s", log, log_from)
        (run / "accounts.sql").unlink()
        owner = _owner(run / "s")
        return Accounts(owner, dataclasses.replace(owner, user=APPLICATION, password=password))

    def _wait(self, process: subprocess.Popen[bytes], place: pathlib.Path, log: pathlib.Path, log_from: int) -> None:
        """Return once it takes logins; raise CommandError with the log's last lines if that does not happen."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            if greets(place):
                return
            time.sleep(0.05)
        with log.open("rb") as file:
            file.seek(log_from)
            said = file.read().decode(errors="replace")
        raise CommandError(
            f"The private MariaDB in {shown(self.data)} does not start. Its log ({shown(log)}) ends:\n\n"
            f"{system.last_lines(said, 10)}\n\nCorrect what it says, then start again."
        )


def pool_size() -> int:
    """Return the bytes of memory for pages of the database: a quarter of the machine's, from 256 MiB to 2 GiB.

    A million products with their indexes take about 0.9 GB; a search that has to read them from the disk takes six
    times as long.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(max(memory // 4, 256 << 20), 2 << 30)


@contextlib.contextmanager
def borrowed(data_dir: pathlib.Path) -> Iterator[DatabaseUrl]:
    """Give a short command the owner's login: to the database that runs, or to one that runs as long as the command."""
    try:
        with usable(data_dir), Embedded(data_dir) as accounts:
            yield accounts.owner
    except AlreadyRunning:
        yield _owner((data_dir / "run" / "s").resolve())


def _owner(place: pathlib.Path) -> DatabaseUrl:
    return DatabaseUrl(database=DATABASE, user=user(), unix_socket=str(place))


@contextlib.contextmanager
def usable(data_dir: pathlib.Path) -> Iterator[None]:
    """Turn an OSError about this directory, what is in it, or what it is in, into a CommandError."""
    try:
        yield
    except OSError as error:
        place = pathlib.Path(error.filename or "nowhere")
        if not (place.is_relative_to(data_dir) or data_dir.is_relative_to(place)):
            raise
        raise CommandError(
            f"DATA_DIR is {str(data_dir)!r}, which cannot be used ({error.strerror}). "
            "Set it to a directory on a disk with room, which this user may write to."
        ) from None


def accounts_sql(password: str) -> str:
    """Return what the database runs at each start: the schema's database, and the application without any right."""
    return (
        "SET SESSION sql_log_bin = 0;\n"  # the binary logs have neither the password nor its hash
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;\n"
        f"CREATE OR REPLACE USER {ACCOUNT} IDENTIFIED BY '{password}';\n"
    )


def user() -> str:
    """Return the name of the user who runs this; the database knows its owner by it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise CommandError(
            f"User {os.geteuid()} has no name on this machine, and the embedded MariaDB knows its owner by name. "
            "Set DATABASE_URL, or run as a user with an entry in /etc/passwd."
        ) from None
