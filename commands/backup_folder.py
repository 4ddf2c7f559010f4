"""The folder of a backup: one folder for each full one, with what was logged since.

    DIR/2026-01-31T12.00.00Z/     named after the moment that the tables are of
        backup.json               what it is, with size and SHA-256 of each file; written last, and anew with each log
        orders.sql, orders.txt.gz one pair for each table
        binlog.000012.gz          what changed since then
        secret_key                if the shop has made its own
    DIR/.unfinished               of a backup that was cut short; the next one removes it

All files are for this user alone.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from core.cli import CommandError

FORMAT = 1
MANIFEST = "backup.json"
UNFINISHED = ".unfinished"
NAME = "%Y-%m-%dT%H.%M.%SZ"
NAMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\dZ")


@dataclasses.dataclass
class Backup:
    """What backup.json says. `taken` and `until` are seconds since 1970: the moments of the tables, and of the end."""

    folder: pathlib.Path
    taken: int
    until: int
    server: str  # MariaDB's version
    boot: str  # of the machine: a crash of it may leave logs and tables apart, by a second
    schema: list[str]  # the migrations that are applied
    rows: dict[str, int]  # of each table
    log: str  # where the tables stand: in this log,
    position: int  # after so many bytes
    logs: list[str] = dataclasses.field(default_factory=list)  # names, the oldest first
    files: dict[str, list[Any]] = dataclasses.field(default_factory=dict)  # name → size in bytes, SHA-256

    def note(self, name: str) -> None:
        """Make a file survive a power cut, and note its size and checksum."""
        path = self.folder / name
        sync(path)
        self.files[name] = [path.stat().st_size, checksum(path)]

    def save(self) -> None:
        """Write backup.json: the new one takes the place of the old one at once, or not at all."""
        text = json.dumps({key: value for key, value in vars(self).items() if key != "folder"} | {"format": FORMAT})
        new = self.folder / f"{MANIFEST}.new"
        new.write_text(f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")
        sync(new)
        new.rename(self.folder / MANIFEST)
        sync(self.folder)

    def verify(self) -> None:
        """Raise CommandError where a file is missing, or is not the one that was written."""
        for name, (size, sum_) in self.files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size or checksum(path) != sum_:
                raise CommandError(
                    f"{path} is not what was backed up: it is missing, cut or edited. Nothing was restored."
                )


def read(folder: pathlib.Path) -> Backup:
    """Return the backup in this folder; raise CommandError where backup.json is damaged or of another version."""
    path = folder / MANIFEST
    try:
        text, _, sum_ = path.read_text().partition("\n")
        found = json.loads(text)
        if hashlib.sha256(text.encode()).hexdigest() != sum_.strip():
            raise ValueError
    except (OSError, ValueError):
        raise CommandError(f"{path} is missing, cut or edited. Nothing was changed.") from None
    if found.pop("format") != FORMAT:
        raise CommandError(f"{folder} was written by another version of Bodega. Restore it by that one.")
    return Backup(folder, **found)


def all_in(directory: pathlib.Path) -> list[Backup]:
    """Return the backups in a directory, the oldest first."""
    if not directory.is_dir():
        return []
    return [read(path) for path in sorted(directory.iterdir()) if NAMES.fullmatch(path.name)]


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Hold a directory, made where it is missing, for one backup; what is made in it is for this user alone.

    Raises CommandError where another one holds it, and for an OSError inside.
    """
    before = os.umask(0o077)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)
    except BlockingIOError:
        raise CommandError(f"Another backup writes to {directory} just now.") from None
    except OSError as error:
        raise CommandError(
            f"The backup in {directory} could not be written: {error.strerror} ({error.filename or directory}). "
            "What was backed up before is whole."
        ) from None
    finally:
        os.umask(before)


@contextlib.contextmanager
def new(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a folder for a new backup; removed, if it is still unfinished at the end."""
    folder = directory / UNFINISHED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def named(backup: Backup, directory: pathlib.Path) -> None:
    """Give an unfinished backup its name."""
    place = directory / datetime.fromtimestamp(backup.taken, UTC).strftime(NAME)
    backup.folder.rename(place)
    backup.folder = place
    sync(directory)


def shown(seconds: int) -> str:
    """Return a moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def checksum(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: pathlib.Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
