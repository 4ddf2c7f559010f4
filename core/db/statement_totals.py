"""What the processes of a server have counted of each statement, since the start and in the last minute.

They count in one file, see core/metrics_file.py and core/db/statement_times.py. In the room for notes of that file,
the process that owns it writes down every ten seconds how things stand: so that `server.py top`, which has only just
begun to look, can tell what the last minute brought.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterable

from core import metrics_file as form
from core.db.statement_times import BOUNDS, COUNTS, ERRORS, LONGEST, ROWS, SPENT, TIMES

SAMPLES = 8  # while one is written, the other seven reach back for a minute
SAMPLE = form.NOTES // SAMPLES  # words: a time (monotonic; 0: there is none), how many bytes, and JSON
SAMPLES_AT = form.NOTES_AT
SAMPLE_EVERY = 10 * 10**9
MINUTE = 60 * 10**9


@dataclasses.dataclass
class Times:
    """One statement. `seconds` and `longest` as the program waited; `counts`: the calls in each class of BOUNDS."""

    name: str
    rows: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    errors: int = 0
    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    minute_calls: int = 0
    minute_seconds: float = 0.0

    @property
    def calls(self) -> int:
        """All calls, those that failed too."""
        return sum(self.counts)

    def quantile(self, part: float) -> float:
        """Return the seconds that this part (0 to 1) of the calls took at the most; 0.0 without calls.

        It is a little off, by 13 % at the most: within a class the calls are taken to be spread evenly.
        """
        wanted, below = part * self.calls, 0
        for place, count in enumerate(self.counts):
            if count and below + count >= wanted:
                least = BOUNDS[place - 1] if place else 0
                most = min(BOUNDS[place] if place < len(BOUNDS) else self.longest * 1e9, self.longest * 1e9)
                return (least + (most - least) * (wanted - below) / count) / 1e9
            below += count
        return 0.0


@dataclasses.dataclass
class Totals:
    """All statements of a server. `started`: seconds since 1970; `minute`: how long ago its last minute began, in s."""

    started: float
    seconds: float  # since the start
    minute: float
    statements: list[Times]


class Sampler:
    """Notes how things stand; for the process that owns the file."""

    def __init__(self, file: form.File) -> None:
        self._words = file.words
        self._sampled = 0  # how many samples there were
        self._due = 0
        self.sample()

    def sample(self) -> None:
        """Note it, where the last time is ten seconds ago. To be called about once a second; it takes milliseconds."""
        now = time.monotonic_ns()
        if now < self._due:
            return
        found = {times.name: (times.calls, int(times.seconds * 1e9)) for times in _times(self._words).values()}
        text = json.dumps(found, separators=(",", ":")).encode()
        at = SAMPLES_AT + self._sampled % SAMPLES * SAMPLE
        self._words[at] = 0
        if len(text) <= 8 * (SAMPLE - 2):
            self._words[at + 2 : at + SAMPLE].cast("B")[: len(text)] = text
            self._words[at + 1] = len(text)
            self._words[at] = now
        self._sampled += 1
        self._due = now + SAMPLE_EVERY


def totals_of(words: memoryview) -> Totals:
    """Read a file, mapped and cast to words. It may grow meanwhile: each number is one that was there."""
    now = time.monotonic_ns()
    then, before = _a_minute_ago(words, now)
    found = _times(words)
    for name, times in found.items():
        calls, spent = before.get(name, (0, 0))
        times.minute_calls = times.calls - calls
        times.minute_seconds = max(0.0, times.seconds - spent / 1e9)
    started, since = words[form.STARTED] / 1e9, words[form.STARTED_MONOTONIC]
    return Totals(started, (now - since) / 1e9, (now - then) / 1e9, [found[name] for name in sorted(found)])


def of_servers(folder: pathlib.Path) -> Totals | None:
    """Return the counters of the servers that run and have this folder, together; None where there is none.

    Raises CommandError where one is of another version; PermissionError where its file is another user's. Not for a
    process that counts: it would lose its lock.
    """
    found = [totals_of(words) for words in form.of_folder(folder)]
    return _joined(found) if found else None


def _times(words: memoryview) -> dict[str, Times]:
    """Return what is counted up to now."""
    found: dict[str, Times] = {}
    for record in form.records(words):
        if record.name != TIMES.name:
            continue
        counted = record.words
        times = found.setdefault(record.labels[0], Times(record.labels[0]))
        times.rows += counted[ROWS]
        times.seconds += counted[SPENT] / 1e9
        times.longest = max(times.longest, counted[LONGEST] / 1e9)
        times.errors += counted[ERRORS]
        times.counts = [a + b for a, b in zip(times.counts, counted[COUNTS:], strict=True)]
    return found


def _a_minute_ago(words: memoryview, now: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Return the time of the youngest sample that is a minute old, and what it has; of the oldest if none is."""
    places = range(SAMPLES_AT, SAMPLES_AT + SAMPLES * SAMPLE, SAMPLE)
    samples = [(words[at], at) for at in places if words[at]]
    then, at = max([sample for sample in samples if sample[0] <= now - MINUTE], default=min(samples, default=(now, 0)))
    return then, json.loads(words[at + 2 : at + SAMPLE].cast("B")[: words[at + 1]].tobytes()) if at else {}


def _joined(found: Iterable[Totals]) -> Totals:
    first, *others = found
    by_name = {times.name: times for times in first.statements}
    for other in others:
        first.started = min(first.started, other.started)
        first.seconds = max(first.seconds, other.seconds)
        first.minute = max(first.minute, other.minute)
        for times in other.statements:
            known = by_name.setdefault(times.name, Times(times.name))
            known.rows += times.rows
            known.seconds += times.seconds
            known.longest = max(known.longest, times.longest)
            known.errors += times.errors
            known.counts = [a + b for a, b in zip(known.counts, times.counts, strict=True)]
            known.minute_calls += times.minute_calls
            known.minute_seconds += times.minute_seconds
    return dataclasses.replace(first, statements=list(by_name.values()))
