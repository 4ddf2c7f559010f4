"""The chores: each when it is due, by one host at a time, in a process that is watched."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from helpers import LONG, NOWHERE, as_url, both_workers, command, environment, eventually, forked, running

from core.db.database import Database
from core.db.host_lock import HostLock
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.serving import chores as serving_chores
from core.serving.chores import Chore, Chores
from core.setup.system import ROOT

SOUND = type("Sound", (), {"look": staticmethod(lambda: True)})()


@pytest.fixture
def database(accounts, sql):
    """The database as the chores use it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 2.0)


@contextlib.contextmanager
def doing(database, *lanes):
    """Do chores in a process of its own, until the block ends; gives its id, and the pipe that it lives by."""
    lifeline, end = os.pipe()

    def work():
        os.close(end)
        Chores(database, SOUND, *lanes).run(lifeline)

    child = forked(work)
    os.close(lifeline)
    try:
        yield child
    finally:
        os.close(end)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


class Notes:
    """A file to which chores in other processes write a line each time."""

    def __init__(self, path):
        self.path = path

    def __call__(self, word):
        with self.path.open("a") as file:
            file.write(f"{word} {time.monotonic()}\n")

    @property
    def lines(self):
        return [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @property
    def words(self):
        return [word for word, _ in self.lines]


@pytest.fixture
def notes(tmp_path):
    """Notes of this test."""
    return Notes(tmp_path / "notes")


def raising(notes, word, error):
    """Return a chore that writes a word and fails."""

    def run(database):
        notes(word)
        raise error

    return run


def test_a_chore_runs_again_at_once_while_there_is_more_to_do_and_else_after_its_pause(database, notes):
    left = [3]

    def run(database):
        notes("ran")
        left[0] -= 1
        return left[0] > 0

    with doing(database, [Chore("counting", run, every=1)]):
        assert eventually(lambda: len(notes.lines) >= 4)

    times = [float(when) for _, when in notes.lines]
    assert times[2] - times[0] < times[3] - times[2] and times[3] - times[2] > 0.9


def test_a_chore_that_hangs_holds_up_no_other_lane(database, notes):
    hanging = Chore("hanging", lambda _: time.sleep(60), every=1)
    quick = Chore("quick", lambda _: notes("ran"), every=0.1)

    with doing(database, [hanging], [quick]):
        assert eventually(lambda: len(notes.lines) >= 5)


def test_a_chore_that_fails_is_tried_again_after_a_growing_pause_and_holds_up_no_other_one(database, notes):
    failing = Chore("failing", raising(notes, "failed", ServiceUnavailable("away")), every=0.1)
    broken = Chore("broken", raising(notes, "broke", KeyError("bug")), every=0.1)
    quick = Chore("quick", lambda _: notes("ran"), every=0.1)

    with doing(database, [failing, broken, quick]):
        assert eventually(lambda: notes.words.count("failed") >= 3)

    times = [float(when) for word, when in notes.lines if word == "failed"]
    assert times[1] - times[0] > 0.9 and times[2] - times[1] > 1.9
    assert notes.words.count("broke") >= 2 and notes.words.count("ran") > 10


def test_a_chore_that_finds_nothing_at_great_cost_rests_nine_times_as_long(database, notes):
    def run(database):
        notes("began")
        time.sleep(0.2)

    with doing(database, [Chore("slow", run, every=0.1)]):
        assert eventually(lambda: len(notes.lines) >= 2)

    first, second = (float(when) for _, when in notes.lines[:2])
    assert second - first > 1.9


@pytest.mark.parametrize("how", [signal.SIGTERM, None], ids=["SIGTERM", "the end of the supervisor"])
def test_chores_finish_before_the_process_ends(database, notes, how):
    chore = Chore("one", lambda _: notes("ran"), every=60, finish=lambda _: notes("finished"))

    with doing(database, [chore]) as child:
        assert eventually(lambda: notes.words)
        if how:
            os.kill(child, how)
            assert os.waitpid(child, 0)[1] == 0

    assert notes.words == ["ran", "finished"]


def test_one_of_two_processes_works_and_the_other_takes_over_when_it_dies(database, notes, lag):
    def chore(name):
        return Chore(name, lambda _: notes(name), every=0.05)

    with doing(database, [chore("first")]) as first:
        assert eventually(lambda: "first" in notes.words)
        with doing(database, [chore("second")]):
            time.sleep(2.5)  # it has looked twice by then
            before = set(notes.words)
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            died = time.monotonic()
            assert eventually(lambda: "second" in notes.words)

    assert before == {"first"}
    assert time.monotonic() - died < lag.bound(4, died)  # PAUSE is 1
    assert notes.words.index("second") == notes.words.count("first")  # never both


def test_a_process_that_loses_its_connection_does_no_chores_until_it_has_the_lock_again(database, notes, sql):
    with doing(database, [Chore("one", lambda _: notes("ran"), every=0.05)]):
        assert eventually(lambda: notes.words)
        rival = HostLock(database.url, 2, "bodega.chores")
        sql(f"KILL {sql('SELECT IS_USED_LOCK(%s) AS id', [rival.name])[0]['id']}")
        assert eventually(rival.hold)  # it looks far more often
        time.sleep(1.5)
        seen = len(notes.words)
        time.sleep(0.5)
        assert len(notes.words) == seen
        rival.release()
        assert eventually(lambda: len(notes.words) > seen)


def test_a_host_that_has_vanished_without_a_word_loses_the_lock(database, monkeypatch):
    monkeypatch.setattr("core.db.host_lock.IDLE_TIMEOUT", 1)
    vanished, other = (HostLock(database.url, 2, "bodega.vanishing") for _ in range(2))

    assert vanished.hold() and not other.hold()

    assert eventually(other.hold)
    other.release()
    vanished.release()


def test_the_lock_of_another_shop_on_the_same_server_is_another(database):
    elsewhere = dataclasses.replace(database.url, database="information_schema")
    one, two = HostLock(database.url, 2, "bodega.both"), HostLock(elsewhere, 2, "bodega.both")

    assert one.hold() and two.hold()

    one.release()
    two.release()


def test_without_a_database_nobody_holds_the_lock():
    assert HostLock(NOWHERE, 1, "bodega.none").hold() is False


# The process beside the workers


def chores_of(real):
    """Return the ids of a server's processes that are no workers: those that do not listen."""
    children = pathlib.Path(f"/proc/{real.process.pid}/task/{real.process.pid}/children").read_text().split()
    return {int(pid) for pid in children if not listens(pid, real.port)}


def listens(pid, port):
    """Whether a process has the port's listening socket open."""
    wanted = {
        line.split()[9]
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    with contextlib.suppress(OSError):
        return any(
            os.readlink(file) in {f"socket:[{inode}]" for inode in wanted}
            for file in pathlib.Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


@pytest.fixture
def with_chores(start, accounts, sql):
    """A real server of two workers that does its chores, once it does them."""
    real = start("--workers", "2", "--threads", "2", DATABASE_URL=as_url(accounts.application), CHORES="on")
    real.wait_for("This host does the chores now")
    return real


@pytest.mark.slow
def test_serve_does_the_chores_in_one_process_beside_the_workers(with_chores):
    (first,) = chores_of(with_chores)

    assert with_chores.wait_for("Purged: 0 sessions")
    assert running(first)


@pytest.mark.slow
def test_chores_that_die_are_started_again_and_the_shop_serves_on(with_chores):
    (first,) = chores_of(with_chores)

    os.kill(first, signal.SIGKILL)

    assert eventually(lambda: chores_of(with_chores) - {first})
    assert f"Chores {first} ended with status -9; started again in 2 seconds." in with_chores.log
    assert with_chores.request("/api/ready").status == 200


@pytest.mark.slow
def test_sighup_takes_the_chores_along(with_chores):
    (first,) = chores_of(with_chores)

    with_chores.process.send_signal(signal.SIGHUP)

    with_chores.wait_for("All workers are replaced")
    assert eventually(lambda: len(chores_of(with_chores) - {first}) == 1)
    assert not running(first) and "level=error" not in with_chores.log


@pytest.mark.slow
def test_the_end_of_the_shop_is_the_end_of_its_chores(with_chores):
    (chores,) = chores_of(with_chores)

    assert with_chores.stop() == 0

    assert not running(chores) and "level=error" not in with_chores.log


@pytest.mark.slow
def test_chores_end_when_the_supervisor_is_killed(with_chores):
    (chores,) = chores_of(with_chores)

    with_chores.process.kill()

    assert eventually(lambda: not running(chores))


@pytest.mark.slow
def test_ctrl_c_ends_the_chores_without_an_error(with_chores):
    (chores,) = chores_of(with_chores)

    os.killpg(with_chores.process.pid, signal.SIGINT)

    assert with_chores.process.wait(LONG) == 0
    assert not running(chores) and "level=error" not in with_chores.log


@pytest.mark.slow
def test_with_chores_off_there_are_none_and_the_command_does_them(start, accounts, sql, tmp_path):
    url = as_url(accounts.application)
    real = start("--workers", "2", "--threads", "2", DATABASE_URL=url, CHORES="off")
    both_workers(real)
    assert chores_of(real) == set()

    log = tmp_path / "chores.log"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "chores"],
        env=environment(DATABASE_URL=url, CHORES="off"),
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        assert eventually(lambda: "Purged" in log.read_text()), log.read_text()
    finally:
        process.terminate()
    assert process.wait(LONG) == 0 and "level=error" not in log.read_text()


@pytest.mark.slow
def test_the_command_leaves_the_private_database_to_serve(tmp_path):
    done = command("chores", DATA_DIR=str(tmp_path))

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Set DATABASE_URL" in done.stderr


@pytest.mark.slow
def test_chores_wait_for_a_database_that_is_down(start):
    real = start("--workers", "1", "--threads", "2", DATABASE_URL=as_url(NOWHERE), CHORES="on")
    time.sleep(3)

    (chores,) = chores_of(real)
    assert running(chores) and "Traceback" not in real.log
    assert real.stop() == 0


def test_the_connections_are_those_that_the_settings_count(shop):
    from core import config

    assert len(shop.chores._lanes) + 1 == config.CHORES_CONNECTIONS
    assert serving_chores.PAUSE < 60
