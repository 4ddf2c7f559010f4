"""Back up the private database, while it serves: all tables at first, and after that only what has changed since.

A full backup takes all tables as they were at one moment, and locks nothing. Each later one adds the binary logs since
the last, so that `server.py restore DIR --to TIME` can go to any second in between. It is a full one again with --full,
where the logs since the last are gone (they stay for three days, and up to 1 GiB), and after the machine has started
anew: a crash of it may have taken the last second of the tables or of the logs. docs/backup.md has the whole.

Why not mariadb-backup: it is a further package (30 MB), bound to one version of the server and to one user of the
machine, and its copy of a million products and 800,000 orders takes 2.0 GB, not 144 MB. But it restores them in 11 s,
where this takes 107 s of CPU, on two cores.
"""

import gzip
import os
import pathlib
import shutil
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from commands import backup_folder, backup_logs, backup_tables
from commands.backup_folder import Backup
from core.cli import CommandError, say, tell
from core.config import Config
from core.database_url import DatabaseUrl
from core.db.database import DatabaseError
from core.db.drivers import number
from core.db.migrator import Migrator
from core.db.owner import owner_url
from core.setup.embedded_process import require_free, shown

HELP = "back up the private database into a directory, while it serves: in full at first, then what has changed"
ELSEWHERE = (
    "DATABASE_URL is set: back that database up, and restore it, by its own tools. docs/backup.md has the commands."
)
CHANGED = 1412  # "Table definition has changed, please retry transaction"
BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path, help="where the backups are; made if need be")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--full", action="store_true", help="take all tables, also where the logs would do")
    way.add_argument("--logs", action="store_true", help="add the logs of a database that does not start any more")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Take a full backup, or add what was logged since the last; say what it is now."""
    if config.database:
        raise CommandError(ELSEWHERE, code=2)
    if not (config.data_dir / "mariadb").exists():
        raise CommandError(f"There is no database in {shown(config.data_dir)} (DATA_DIR) to back up.")
    if options.logs:
        return rescue(config, options.directory)
    with owner_url(config) as url, backup_folder.locked(options.directory):
        found = None if options.full else _continued(config, options.directory)
        add(url, config, found) if found else full(url, config, options.directory)
    return 0


def rescue(config: Config, directory: pathlib.Path) -> int:
    """Add the logs of a database that does not start; restore cuts off what it has begun to write last."""
    require_free(config.data_dir)
    with backup_folder.locked(directory):
        found = _continued(config, directory)
        if not found:
            raise CommandError(f"No backup in {directory} goes on with the logs in {shown(config.data_dir)}.")
        add(None, config, found)
    return 0


def full(url: DatabaseUrl, config: Config, directory: pathlib.Path) -> None:
    """Take a new backup: all tables, and the log that they stand in. Raises DatabaseError, CommandError, OSError."""
    began = time.monotonic()
    os.nice(10)  # the shop goes first
    with (
        backup_folder.new(directory) as folder,
        tempfile.TemporaryDirectory(prefix="backup-", dir=config.data_dir / "tmp") as scratch,
    ):
        backup = _tables(url, pathlib.Path(scratch), folder)
        stored = config.data_dir / "secret_key"
        if not config.secret_key and stored.exists():
            shutil.copyfile(stored, folder / stored.name)
        for path in sorted(folder.iterdir()):
            backup.note(path.name)
        _logs(url, config, backup)
        backup.save()
        backup_folder.named(backup, directory)
    size = sum(size for size, _ in backup.files.values())
    say(
        f"{len(backup.rows)} tables with {sum(backup.rows.values())} rows are in {shown(backup.folder)}, as of "
        f"{backup_folder.shown(backup.until)}: {size / 1e6:.1f} MB, in {time.monotonic() - began:.1f} s."
    )


def _tables(url: DatabaseUrl, scratch: pathlib.Path, folder: pathlib.Path) -> Backup:
    backup_logs.finish(url)  # so that little of what was before gets into the backup
    try:
        with Migrator(url, tell).locked(), backup_tables.snapshot(url) as cursor:
            taken = int(time.time())
            cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
            at = {row["Variable_name"]: row["Value"] for row in cursor.fetchall()}
            rows = dict(backup_tables.dump(cursor, scratch, folder))
            version = cursor.connection.get_server_info()
    except DatabaseError as error:
        if number(error) != CHANGED:
            raise
        raise CommandError("A table was changed or built anew meanwhile. Type it again.") from error
    return Backup(
        folder=folder,
        taken=taken,
        until=taken,
        server=version,
        boot=_boot(),
        schema=[],
        rows=rows,
        log=at["Binlog_snapshot_file"],
        position=int(at["Binlog_snapshot_position"]),
    )


def add(url: DatabaseUrl | None, config: Config, backup: Backup) -> None:
    """Add the logs since the last time to a backup; `url`: None for a database that does not run.

    Raises DatabaseError, OSError.
    """
    before = len(backup.logs)
    _logs(url, config, backup)
    backup.save()
    added = backup.logs[before:]
    size = sum(backup.files[f"{name}.gz"][0] for name in added)
    say(
        f"{len(added)} binary logs, {size / 1e6:.1f} MB, are added to {shown(backup.folder)}. It goes up to "
        f"{backup_folder.shown(backup.until)} now."
    )


def _logs(url: DatabaseUrl | None, config: Config, backup: Backup) -> None:
    """Copy the logs that the backup does not have yet; a server that runs begins a new one."""
    until = int(time.time())
    folder = config.data_dir / "mariadb"
    finished = backup_logs.finish(url) if url else sorted(path.name for path in folder.glob("binlog.[0-9]*"))
    after = backup.logs[-1:] or [backup.log]
    for name in finished[finished.index(after[0]) + len(backup.logs[-1:]) :]:
        backup_tables.pack(folder / name, backup.folder / f"{name}.gz")
        backup.note(f"{name}.gz")
        backup.logs.append(name)
    backup.until = until
    if url:
        backup.schema = [row["name"] for row in Migrator(url, tell).state().rows.values()]


def _continued(config: Config, directory: pathlib.Path) -> Backup | None:
    """Return the newest backup, if the logs of this database go on from it."""
    found = backup_folder.all_in(directory)
    return found[-1] if found and _continues(config, found[-1]) else None


def _continues(config: Config, backup: Backup) -> bool:
    """Whether the server still has the last log of the backup: then it has all that follow, and is the same server."""
    last = backup.logs[-1]
    log = config.data_dir / "mariadb" / last
    if backup.boot != _boot() or not log.exists():
        return False
    with log.open("rb") as ours, gzip.open(backup.folder / f"{last}.gz") as theirs:
        while piece := ours.read(1 << 20):
            if theirs.read(len(piece)) != piece:
                return False
        return not theirs.read(1)


def _boot() -> str:
    return BOOT.read_text().strip() if BOOT.exists() else ""
