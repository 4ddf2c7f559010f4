"""The counters of statements, with real processes and threads: none lost, none that decreases, nothing left over."""

import multiprocessing
import os
import random
import resource
import signal
import statistics
import time

import pytest
from helpers import at_once, ended, eventually, forked

from core import metrics
from core.cli import CommandError
from core.db.statement_times import BOUNDS, TIMES
from core.db.statement_totals import Sampler, Times, of_servers, totals_of
from core.metrics_file import MAGIC, File

MS = 1_000_000
NAMES = ["COMMIT", "cart/show", "products/list_price"]


class Counting:
    """The counters of a server that starts now: this process and its children count there."""

    def __init__(self, folder, processes):
        self.file = File(folder, processes)
        self.path = self.file.path
        metrics.use(self.file)
        self.sample = Sampler(self.file).sample
        self.add = TIMES.add

    def totals(self):
        return totals_of(self.file.words)

    def close(self):
        metrics.use(None)
        self.file.close()


@pytest.fixture
def times(tmp_path):
    """The counters of a server with room for eight processes."""
    made = Counting(tmp_path / "run", 8)
    yield made
    made.close()


def of(times, name):
    """Return the Times of one statement."""
    return {found.name: found for found in times.totals().statements}.get(name, Times(name))


def seen_by_others(folder):
    """Return {name: calls} as another process finds it in a folder; None where no server runs."""
    reading, writing = multiprocessing.Pipe(duplex=False)

    def look():
        found = of_servers(folder)
        writing.send(found and {times.name: times.calls for times in found.statements})

    assert ended({forked(look)}) == {0}
    return reading.recv()


def test_a_statement_has_calls_rows_errors_and_times(times):
    times.add("cart/show", 2 * MS, 3, False)
    times.add("cart/show", 4 * MS, 0, True)

    found = of(times, "cart/show")
    assert (found.calls, found.rows, found.errors) == (2, 3, 1)
    assert found.seconds == pytest.approx(0.006)
    assert found.longest == pytest.approx(0.004)
    assert of(times, "COMMIT").calls == 0


def test_threads_and_processes_lose_no_call(times):
    def count():
        for _ in range(5000):
            times.add("cart/show", MS, 2, True)

    assert ended({forked(lambda: at_once([count] * 4)) for _ in range(5)}) == {0}

    found = of(times, "cart/show")
    assert (found.calls, found.rows, found.errors) == (100_000, 200_000, 100_000)
    assert found.seconds == pytest.approx(100)


@pytest.mark.slow
def test_a_hundred_replaced_processes_leave_no_file_and_no_counter_decreases(times, tmp_path):
    """Each is killed, and its successor begins before it has ended."""

    def serve():
        times.add("cart/show", MS, 1, False)
        signal.pause()

    children, seen = [], []
    for number in range(100):
        children.append(forked(serve))
        assert eventually(lambda: of(times, "cart/show").rows == number + 1)  # noqa: B023 - called at once
        seen.append(of(times, "cart/show").calls)
        if number:
            os.kill(children[number - 1], signal.SIGKILL)
            os.waitpid(children[number - 1], 0)
    os.kill(children[-1], signal.SIGKILL)
    os.waitpid(children[-1], 0)

    assert seen == list(range(1, 101))
    assert os.listdir(tmp_path / "run") == [times.path.name]


def test_processes_beyond_the_room_are_not_counted_and_the_log_says_so(tmp_path, caplog):
    times = Counting(tmp_path, 1)
    times.add("cart/show", MS, 1, False)
    reading, writing = multiprocessing.Pipe(duplex=False)

    def count():
        times.add("cart/show", MS, 1, False)
        times.add("cart/show", MS, 1, False)
        writing.send([record.getMessage() for record in caplog.records])

    assert ended({forked(count)}) == {0}

    assert reading.recv() == ["More than 1 processes count; what this one does is not counted."]
    assert of(times, "cart/show").calls == 1
    times.close()


def test_statements_that_come_later_leave_the_places_of_the_others(times):
    times.add("products/list_price", MS, 1, False)
    times.add("products/list_name", MS, 7, False)
    times.add("products/list_price", MS, 1, False)

    assert [found.name for found in times.totals().statements] == ["products/list_name", "products/list_price"]
    assert of(times, "products/list_price").calls == 2
    assert of(times, "products/list_name").rows == 7


def test_more_statements_than_there_is_room_for_leave_the_others_as_they_are(times, caplog):
    times.add("cart/show", MS, 1, False)
    for number in range(1000):
        times.add(f"many/n{number}", MS, 1, False)
    times.add("cart/show", MS, 1, False)

    assert caplog.text.count("too many metrics") == 1
    assert 512 < len(times.totals().statements) < 1000
    assert {found.calls for found in times.totals().statements if found.name != "cart/show"} == {1}
    assert of(times, "cart/show").calls == 2


# The last minute


def test_the_last_minute_has_what_came_in_it(times, monkeypatch):
    began = time.monotonic_ns()
    for second in range(300):
        monkeypatch.setattr(time, "monotonic_ns", lambda: began + second * 10**9)  # noqa: B023 - called at once
        times.sample()
        times.add("cart/show", 2 * MS if second < 200 else 5 * MS, 1, False)

    found = times.totals()
    assert 60 <= found.minute <= 70
    assert of(times, "cart/show").calls == 300
    assert of(times, "cart/show").minute_calls == pytest.approx(found.minute, abs=1)
    assert of(times, "cart/show").minute_seconds == pytest.approx(of(times, "cart/show").minute_calls * 0.005)


def test_a_minute_without_a_call_is_empty(times, monkeypatch):
    began = time.monotonic_ns()
    times.add("cart/show", MS, 1, False)
    for second in range(100):
        monkeypatch.setattr(time, "monotonic_ns", lambda: began + second * 10**9)  # noqa: B023 - called at once
        times.sample()

    assert (of(times, "cart/show").calls, of(times, "cart/show").minute_calls) == (1, 0)


def test_in_its_first_minute_a_server_shows_all(times):
    times.add("cart/show", MS, 1, False)

    assert of(times, "cart/show").minute_calls == 1
    assert times.totals().minute == pytest.approx(times.totals().seconds, abs=0.1)


# Quantiles


@pytest.mark.parametrize("part", [0.5, 0.95])
@pytest.mark.parametrize("typical", [0.0002, 0.003, 0.8])
def test_a_quantile_is_off_by_13_percent_at_the_most(times, part, typical):
    random.seed(7)
    spent = [int(random.lognormvariate(0, 1) * typical * 1e9) for _ in range(5000)]
    for one in spent:
        times.add("cart/show", one, 1, False)

    true = statistics.quantiles(spent, n=100)[int(part * 100) - 1] / 1e9
    assert of(times, "cart/show").quantile(part) == pytest.approx(true, rel=0.13)


def test_no_quantile_is_longer_than_the_longest_call(times):
    times.add("cart/show", int(4.1 * MS), 1, False)
    times.add("COMMIT", 300 * 10**9, 1, False)  # longer than the last class

    assert of(times, "cart/show").quantile(0.95) <= 0.0041
    assert of(times, "COMMIT").quantile(0.95) <= 300
    assert of(times, "products/list_price").quantile(0.5) == 0.0


def test_the_classes_of_opentelemetry_are_among_ours():
    """db.client.operation.duration: opentelemetry.io/docs/specs/semconv/database/database-metrics."""
    assert {int(s * 1e9) for s in (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)} <= set(BOUNDS)


# The file


def test_another_process_sees_what_is_counted_and_the_end(times, tmp_path):
    times.add("cart/show", MS, 1, False)

    assert seen_by_others(tmp_path / "run") == {"cart/show": 1}
    times.close()
    assert os.listdir(tmp_path / "run") == []
    assert seen_by_others(tmp_path / "run") is None


def test_servers_with_one_folder_are_shown_together(times, tmp_path):
    times.add("cart/show", MS, 1, False)
    reading, writing = multiprocessing.Pipe(duplex=False)

    def chores():
        own = Counting(tmp_path / "run", 1)
        own.add("cart/show", MS, 1, False)
        own.add("cart/purge", MS, 1, False)
        writing.send(None)
        signal.pause()

    child = forked(chores)
    reading.recv()

    assert seen_by_others(tmp_path / "run") == {"cart/show": 2, "cart/purge": 1}
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert seen_by_others(tmp_path / "run") == {"cart/show": 1}


def test_the_next_start_removes_the_file_of_a_server_that_was_killed_and_no_other(times, tmp_path):
    def be_killed():
        File(tmp_path / "run", 1)
        os.kill(os.getpid(), signal.SIGKILL)

    def start():
        File(tmp_path / "run", 1).close()

    assert ended({forked(be_killed)}) == {-signal.SIGKILL}
    assert len(os.listdir(tmp_path / "run")) == 2
    assert ended({forked(start)}) == {0}

    assert os.listdir(tmp_path / "run") == [times.path.name]


def test_where_the_folder_cannot_be_written_to_it_counts_all_the_same_and_says_so(tmp_path, caplog):
    (tmp_path / "file").touch()

    times = Counting(tmp_path / "file" / "run", 1)
    times.add("cart/show", MS, 1, False)

    assert "server.py top cannot see this server" in caplog.text
    assert of(times, "cart/show").calls == 1
    assert times.path is None


def test_a_disk_that_is_full_is_noticed_at_the_start_and_ends_no_process(tmp_path):
    """A file that had holes would be filled while it counts, and a page without room is the end of the process."""

    def count():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # stands for a disk with little room
        times = Counting(tmp_path / "run", 2)
        assert ended({forked(lambda: times.add("cart/show", MS, 1, False))}) == {0}
        assert of(times, "cart/show").calls == 1
        assert times.path is None

    assert ended({forked(count)}) == {0}
    assert os.listdir(tmp_path / "run") == []


def test_the_file_has_no_holes(times):
    found = times.path.stat()

    assert found.st_blocks * 512 >= found.st_size


def test_the_file_of_another_version_is_said_to_be_one(times, tmp_path):
    times.file.words[0] = MAGIC + (1 << 56)

    def look():
        with pytest.raises(CommandError, match="of another version"):
            of_servers(tmp_path / "run")

    assert ended({forked(look)}) == {0}


def test_only_its_user_may_read_it(times):
    assert times.path.stat().st_mode & 0o777 == 0o600
