"""Restore the private database from what `server.py backup` has written, to its end or to any second in between.

It goes into DATA_DIR, which must be empty. Each file is verified by its checksum before anything is made. The database
is made in DATA_DIR/restoring, and gets its place when it is whole. Nobody is asked: nothing is written over.
"""

import contextlib
import os
import pathlib
import re
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import datetime
from typing import Any

from commands import backup_folder, backup_logs, backup_tables
from commands.backup import ELSEWHERE
from commands.backup_folder import Backup
from core.cli import CommandError, say, tell
from core.config import Config
from core.database_url import DatabaseUrl
from core.db import migrations
from core.db.drivers import connect
from core.db.owner import explained
from core.setup.embedded import Embedded
from core.setup.embedded_process import end_orphan, require_free, shown

HELP = "restore the private database from a backup into an empty DATA_DIR, to its end or to any second before"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path, help="where `server.py backup` has written")
    to = "all that was stored up to the end of this second, and nothing later: 2026-01-31T12:00:00Z, or +01:00 for Z"
    parser.add_argument("--to", type=moment, metavar="TIME", help=to)


def moment(text: str) -> int:
    """Parse --to; return seconds since 1970."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None or time.microsecond:
            raise ValueError
    except ValueError:
        raise CommandError(
            f"--to is {text!r}; wanted is a second with its time zone, such as 2026-01-31T12:00:00Z (UTC) or "
            "2026-01-31T13:00:00+01:00.",
            code=2,
        ) from None
    return int(time.timestamp())


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Choose the backup, verify it, restore it."""
    if config.database:
        raise CommandError(ELSEWHERE, code=2)
    place = config.data_dir
    work = place / "restoring"
    try:
        require_empty(place, work, options.directory)
        backup = chosen(options.directory, options.to)
        require_known(backup)
        tell(f"Verifying {shown(backup.folder)}.")
        backup.verify()
        work.mkdir(mode=0o700, parents=True)
        try:
            until = restore(backup, work, options.to)
            for name in ("secret_key", "mariadb"):  # with the latter it is a database
                if (work / name).exists():
                    (work / name).rename(place / name)
        finally:
            shutil.rmtree(work)
    except OSError as error:
        raise CommandError(f"{error.filename or place}: {error.strerror}. Nothing was restored.") from None
    say(f"{shown(place)} has the shop as of {backup_folder.shown(until)}. Serve it, with DATA_DIR set to it.")
    return 0


def require_empty(place: pathlib.Path, work: pathlib.Path, directory: pathlib.Path) -> None:
    """Raise CommandError where there is anything in `place`; what a killed restore has left is removed."""
    if work.exists():
        require_free(work)
        end_orphan(work)
        shutil.rmtree(work)
    if place.exists() and any(place.iterdir()):
        raise CommandError(
            f"{shown(place)} is not empty. Name an empty or new directory to restore into:\n\n"
            f"    DATA_DIR=restored python3 server.py restore {directory}\n"
        )


def chosen(directory: pathlib.Path, to: int | None) -> Backup:
    """Return the newest backup that was taken up to this second; raise CommandError where none reaches it."""
    found = backup_folder.all_in(directory)
    if not found:
        raise CommandError(f"{directory} has no backup: server.py backup has not finished one there.")
    if to is None:
        return found[-1]
    early = [backup for backup in found if backup.taken <= to]
    if not early:
        raise CommandError(
            f"The oldest backup in {directory} is of {backup_folder.shown(found[0].taken)}: --to is earlier."
        )
    if to > early[-1].until:
        raise CommandError(
            f"{shown(early[-1].folder)} ends at {backup_folder.shown(early[-1].until)}, and --to is later. "
            "Without --to all of the newest is restored."
        )
    return early[-1]


def require_known(backup: Backup) -> None:
    """Raise CommandError where the backup has a schema that this version does not know."""
    unknown = set(backup.schema) - {migration.name for migration in migrations.files()}
    if unknown:
        raise CommandError(
            f"{shown(backup.folder)} is of a newer version of Bodega: it has {min(unknown)}. Restore it by that one."
        )


def restore(backup: Backup, work: pathlib.Path, to: int | None) -> int:
    """Make the database in `work`; return the second that it stands at."""
    with Embedded(work, options=backup_logs.UNLOGGED) as accounts, explained(accounts.owner):
        require_server(backup, accounts.owner)
        tell(f"Loading {sum(backup.rows.values())} rows of {len(backup.rows)} tables.")
        backup_tables.load(accounts.owner, backup.folder, work / "tmp", backup.rows)
    logs = _relay(backup, work / "mariadb", to)
    with Embedded(work, options=backup_logs.REPLAY) as accounts, explained(accounts.owner):
        for number, _ in enumerate(backup_logs.run(accounts.owner, logs, backup.position), 1):
            tell(f"{number} of {len(logs)} binary logs are done.")
    if "secret_key" in backup.files:
        shutil.copyfile(backup.folder / "secret_key", work / "secret_key")
        (work / "secret_key").chmod(0o600)
    return backup.until if to is None else to


def require_server(backup: Backup, url: DatabaseUrl) -> None:
    """Raise CommandError where the MariaDB of this machine is older than the one that wrote the backup."""
    with contextlib.closing(connect(url, 10)) as connection:
        here = connection.get_server_info()
    if _series(here) < _series(backup.server):
        raise CommandError(
            f"{shown(backup.folder)} was written by MariaDB {backup.server}, and here is {here}. An older one cannot "
            "restore it."
        )


def _series(version: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)\.\d+-MariaDB", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _relay(backup: Backup, folder: pathlib.Path, to: int | None) -> list[pathlib.Path]:
    """Put the logs where a server looks for what it has fetched, the last one cut where `to` ends."""
    logs = []
    for number, name in enumerate(backup.logs, 1):
        path = folder / f"relay.{number:06}"
        backup_tables.unpack(backup.folder / f"{name}.gz", path)
        end, is_last = backup_logs.cut(path, to)
        os.truncate(path, max(end, backup.position) if number == 1 else end)
        logs.append(path)
        if is_last:
            break
    (folder / "relay.index").write_text("".join(f"./{path.name}\n" for path in logs))
    return logs
