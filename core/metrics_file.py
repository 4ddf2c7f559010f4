"""The counters of a server's processes, in one mapped file: its form, and how it is written and read.

Each process that counts has a table of its own in the file, by a lock on one byte of it, which ends with the process.
Its successor goes on with the same table: no counter decreases, and nothing is left over. Between processes there is no
lock, and nothing asks the kernel; a reader sums what the tables have of the same name. Everything in the file is a
whole number of 8 bytes, which is read and written at once, so a reader needs no lock either:

    header      MAGIC, the start (since 1970; monotonic), how many tables, the owner's id
    notes       room for who reads, see core/db/statement_totals.py
    tables      the process' id, its role, how many bytes of names; the names, a line for each record; the records

A record gets its place when it is first counted, behind the others; a table that is full counts no further names.
Times are nanoseconds, monotonic ones on the clock that all processes of the host share.
"""

import contextlib
import fcntl
import logging
import mmap
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from core.cli import CommandError

MAGIC = int.from_bytes(b"bodega\x00\x02", "little")  # the last byte is the version of this form
PREFIX = "counters-"  # of the file's name; the rest is chosen at random
ALIVE = 0  # the byte that the owner locks while it lives; behind it, one for each table

# Places and sizes, in words.
STARTED, STARTED_MONOTONIC, TABLES, OWNER = range(1, 5)
NOTES_AT, NOTES = 8, 32 * 1024
TABLES_AT = NOTES_AT + NOTES
PID, ROLE, NAMES_LENGTH = range(3)  # in a table
NAMES_AT, NAMES_ROOM = 4, 24 * 1024
RECORDS_AT = NAMES_AT + NAMES_ROOM
SCRATCH = 128  # the first words of the records: what has no place is counted there, and nobody looks
RECORDS_ROOM = 72 * 1024  # 512 statements and 2000 histograms, say; 0.8 MB for each process
TABLE = RECORDS_AT + RECORDS_ROOM
ROLES = ("", "supervisor", "worker", "chores", "metrics")

log = logging.getLogger("bodega.metrics")


class Record(NamedTuple):
    """What one process has counted by one name. `living`: whether it still runs."""

    kind: str
    name: str
    labels: tuple[str, ...]  # their values
    words: list[int]
    living: bool


class Process(NamedTuple):
    """One that counts, and lives. `role`: of ROLES."""

    pid: int
    role: str


class Table:
    """The table of this process: gives each name its place."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self.records = words[RECORDS_AT:]
        self._places: dict[str, int] = {}  # of what a former process has left
        self._next = SCRATCH
        self._length = words[NAMES_LENGTH]
        for line, size, place in _lines(words):
            self._places[line] = place
            self._next = place + size
            if line.startswith("gauge\t"):  # it stood for the process that has ended
                self.records[place] = 0
        words[PID] = os.getpid()

    def place(self, kind: str, size: int, name: str, labels: tuple[str, ...]) -> int | None:
        """Return where the record begins, in `records`; None where there is no room for it."""
        line = "\t".join((kind, str(size), name, *(" ".join(label.split()) for label in labels)))
        if line not in self._places:
            data = (line + "\n").encode()
            if self._next + size > RECORDS_ROOM or self._length + len(data) > NAMES_ROOM * 8:
                return None
            at = NAMES_AT * 8 + self._length
            self._words.cast("B")[at : at + len(data)] = data
            self._length += len(data)
            self._words[NAMES_LENGTH] = self._length  # last: who reads meanwhile does not see the new one
            self._places[line] = self._next
            self._next += size
        return self._places[line]

    def be(self, role: str) -> None:
        """Say what this process is: one of ROLES."""
        self._words[ROLE] = ROLES.index(role)


class File:
    """The file of one server; made, and ended with `close`, by the process that forks those who count.

    `folder`: where the file stands, for `server.py top`. With None, or where the folder cannot be written to, only this
    process and its children see the counters. `processes`: how many may count at once; each takes 0.8 MB.
    """

    def __init__(self, folder: pathlib.Path | None, processes: int) -> None:
        self._processes = processes
        # These two stay until the process ends: closing any descriptor of the file would free the process' locks.
        self.path, self._file, self._mapped = _made(folder, 8 * (TABLES_AT + processes * TABLE))
        self.words = memoryview(self._mapped).cast("q")
        self.words[STARTED] = time.time_ns()
        self.words[STARTED_MONOTONIC] = time.monotonic_ns()
        self.words[TABLES] = processes
        self.words[OWNER] = os.getpid()
        self.words[0] = MAGIC

    def claim(self) -> Table:
        """Return a table that no living process has; it is this one's from now on."""
        for number in range(self._processes):
            with contextlib.suppress(OSError):  # another has it
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, ALIVE + 1 + number)
                return Table(_table(self.words, number))
        log.error("More than %d processes count; what this one does is not counted.", self._processes)
        return Table(memoryview(bytearray(8 * TABLE)).cast("q"))

    def close(self) -> None:
        """Remove the file; those who still run may go on counting."""
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()


def records(words: memoryview) -> Iterator[Record]:
    """Read a file. It may grow meanwhile: each number is one that was there."""
    for number in range(words[TABLES]):
        table = _table(words, number)
        living = _lives(table[PID])
        for line, size, place in _lines(table):
            kind, _, name, *labels = line.split("\t")
            at = RECORDS_AT + place
            yield Record(kind, name, tuple(labels), table[at : at + size].tolist(), living)


def processes(words: memoryview) -> list[Process]:
    """Return the processes that live and have counted something."""
    tables = [_table(words, number) for number in range(words[TABLES])]
    return [Process(table[PID], ROLES[table[ROLE]]) for table in tables if _lives(table[PID])]


def of_folder(folder: pathlib.Path) -> Iterator[memoryview]:
    """Give the file of each server that runs and has this folder, mapped and cast to words.

    Raises CommandError where it is of another version; PermissionError where it is another user's. Not for a process
    that counts: it would lose its lock.
    """
    for path in sorted(folder.glob(f"{PREFIX}*")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # it may have ended just now
            if not _is_alive(file.fileno()):
                continue
            with (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as data,
                data.cast("q") as words,
            ):
                if words[0] != MAGIC:
                    raise CommandError("The server that runs is of another version: it takes a restart.")
                yield words


def _table(words: memoryview, number: int) -> memoryview:
    at = TABLES_AT + number * TABLE
    return words[at : at + TABLE]


def _lines(table: memoryview) -> Iterator[tuple[str, int, int]]:
    """Give the line of each name in a table, the size of its record, and its place."""
    place = SCRATCH
    text = table[NAMES_AT:RECORDS_AT].cast("B")[: table[NAMES_LENGTH]].tobytes().decode()
    for line in text.splitlines():
        size = int(line.split("\t", 2)[1])
        yield line, size, place
        place += size


def _lives(pid: int) -> bool:
    if pid:
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return True
    return False


def _is_alive(descriptor: int) -> bool:
    """Whether the owner of this file lives."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, ALIVE)
    except OSError:
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, ALIVE)
    return False


def _made(folder: pathlib.Path | None, size: int) -> tuple[pathlib.Path | None, int, mmap.mmap]:
    """Make the file, locked as alive; return its path, its descriptor and its map.

    Where that is impossible the path is None, the file is empty, for the locks alone, and the map is plain memory.
    """
    if folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_dead(folder)
            descriptor, made = tempfile.mkstemp(prefix=f".{PREFIX}", dir=folder)
            path = folder / os.path.basename(made)[1:]
            try:
                # All its room is taken now: where the disk is full, writing to the map would kill a worker (SIGBUS).
                os.posix_fallocate(descriptor, 0, size) if hasattr(os, "posix_fallocate") else os.truncate(made, size)
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, ALIVE)
                os.rename(made, path)  # only now: by this name and without the lock it would be one that is left over
            except OSError:
                os.close(descriptor)
                os.unlink(made)
                raise
            return path, descriptor, mmap.mmap(descriptor, size)
        except OSError as error:
            log.warning("server.py top cannot see this server: %s cannot be written to (%s).", folder, error.strerror)
    descriptor, made = tempfile.mkstemp()
    os.unlink(made)
    return None, descriptor, mmap.mmap(-1, size)


def _remove_dead(folder: pathlib.Path) -> None:
    """Remove the files of servers that were killed."""
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if not _is_alive(file.fileno()):
                path.unlink()
