"""GET /metrics: what all processes of the server have counted, as text for Prometheus.

A label's text is made once. For 5,400 lines of six processes a scrape takes 9 ms of CPU, their sums included, where the
package's own writer takes 22 for the lines alone. It asks neither the database nor another process. What it costs is
bounded: a text is given for FRESH seconds, however many ask. tests/core/serving/test_exposition.py compares the two,
and reads the text by the package's parser.
"""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector

from core import metrics, metrics_file
from core.db.statement_times import BOUNDS, COUNTS, ERRORS, ROWS, SPENT, TIMES
from core.metrics import Histogram, Metric
from core.metrics_file import Record

CONTENT_TYPE = CONTENT_TYPE_LATEST
FRESH = 0.5  # seconds
OF_STATEMENTS: tuple[float, ...] = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)  # seconds; OpenTelemetry's
CLASSES = [BOUNDS.index(int(bound * 1e9)) for bound in OF_STATEMENTS]
MORE = {  # of the statements: what else there is, and its place in a record
    "bodega_sql_rows_total": ("Rows that a statement of sql/ returned or changed.", ROWS),
    "bodega_sql_errors_total": ("Runs of a statement of sql/ that failed.", ERRORS),
}
Counted = dict[tuple[str, ...], list[int]]  # by the values of the labels


class Exposition:
    """The text, of the counters of this file."""

    def __init__(self, file: metrics_file.File) -> None:
        self._words = file.words
        self._heads: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._lock = threading.Lock()
        self._text, self._until = b"", 0.0
        self._pid = 0  # of the process that is looked at
        self._of_process = ProcessCollector(pid=lambda: self._pid, registry=None)

    def text(self) -> bytes:
        """Return it."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._text = "".join(self._parts()).encode()
                self._until = time.monotonic() + FRESH
            return self._text

    def _parts(self) -> Iterator[str]:
        counted = _sums(metrics_file.records(self._words))
        for name, metric in sorted(metrics.ALL.items()):
            found = counted.get(name, {})
            if not found and not metric.labels and metric.kind != "gauge":  # it is there before it counts
                found[()] = [0] * metric.size
            if found:
                kind = "histogram" if metric is TIMES else metric.kind
                yield f"# HELP {name} {metric.help}\n# TYPE {name} {kind}\n"
                for labels, words in found.items():
                    yield from self._lines(metric, labels, words)
        for name, (help, place) in MORE.items():
            yield f"# HELP {name} {help}\n# TYPE {name} counter\n"
            for labels, words in counted.get(TIMES.name, {}).items():
                yield f"{name}{_braced(TIMES.labels, labels)} {words[place]}\n"
        yield from self._processes()

    def _lines(self, metric: Metric, labels: tuple[str, ...], words: list[int]) -> Iterator[str]:
        """Give the lines of one record."""
        if metric is TIMES:
            numbers = list(itertools.accumulate(words[COUNTS:]))
            numbers = [*(numbers[place] for place in CLASSES), numbers[-1]]
            bounds, spent = OF_STATEMENTS, words[SPENT]
        elif isinstance(metric, Histogram):
            bounds, spent = tuple(metric.bounds), words[0]
            numbers = list(itertools.accumulate(words[1:]))
        else:
            yield f"{metric.name}{_braced(metric.labels, labels)} {words[0]}\n"
            return
        heads = self._heads.get((metric.name, labels)) or self._heads_of(metric, labels, bounds)
        yield from (f"{head} {number}\n" for head, number in zip(heads, (*numbers, numbers[-1]), strict=False))
        yield f"{heads[-1]} {spent / 1e9}\n"

    def _heads_of(self, metric: Metric, labels: tuple[str, ...], bounds: Sequence[float]) -> list[str]:
        """Return what stands before the numbers of a histogram."""
        names = (*metric.labels, "le")
        heads = [f"{metric.name}_bucket{_braced(names, (*labels, f'{bound:g}'))}" for bound in (*bounds, float("inf"))]
        heads[-1] = heads[-1].replace('le="inf"', 'le="+Inf"')
        heads += [f"{metric.name}_{what}{_braced(metric.labels, labels)}" for what in ("count", "sum")]
        self._heads[metric.name, labels] = heads
        return heads

    def _processes(self) -> Iterator[str]:
        """Give the figures of each process that lives, as the package has them; none where there is no /proc."""
        found: dict[str, list[str]] = {}
        for process in metrics_file.processes(self._words):
            self._pid = process.pid
            for family in self._of_process.collect():
                name = family.name + ("_total" if family.type == "counter" else "")
                lines = found.setdefault(name, [f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n"])
                labels = _braced(("role", "pid"), (process.role, str(process.pid)))
                lines += [f"{name}{labels} {sample.value}\n" for sample in family.samples]
        yield from itertools.chain.from_iterable(found.values())


def _sums(records: Iterator[Record]) -> dict[str, Counted]:
    """Return what the processes have counted together; of gauges, what those that live say."""
    found: dict[str, Counted] = {}
    now = time.monotonic_ns()
    for record in records:
        words = record.words
        if record.kind == "gauge":
            if not (record.living and words[0]) or 0 < words[1] < now:
                continue
            words = [words[0] - 1]
        of_name = found.setdefault(record.name, {})
        before = of_name.get(record.labels)
        of_name[record.labels] = words if before is None else [a + b for a, b in zip(before, words, strict=True)]
    return found


def _braced(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}" if names else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
