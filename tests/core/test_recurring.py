"""What fails again and again is one line with a count."""

import dataclasses
import logging
import os
import threading

import pytest
from helpers import at_once, eventually

from core import logs, recurring
from core.db.database import Database
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.recurring import MOST, Recurring
from core.setup.system import ROOT

log = logging.getLogger("bodega.test")


@pytest.fixture
def lines(caplog):
    """What was logged so far: `lines()` gives (level, message, count or None)."""
    caplog.set_level(logging.INFO)
    return lambda: [
        (r.levelname, r.getMessage(), getattr(r, "count", None)) for r in caplog.records if r.name == log.name
    ]


def fail(counted, times=1, **how):
    """Let the till fail so many times."""
    for number in range(times):
        counted.failing(log, logging.ERROR, "The till %s broke: %d", "A", number, **how)


def test_what_fails_a_thousand_times_is_a_line_at_once_one_with_a_count_and_one_when_it_is_over(lines):
    counted = Recurring(every=0.2)

    fail(counted, 1000)

    assert lines() == [("ERROR", "The till A broke: 0", None)]
    eventually(lambda: len(lines()) == 3)
    assert lines()[1:] == [
        ("ERROR", "The till A broke: 999", 999),
        ("INFO", "Not again for 0.2 seconds: The till A broke: 999", 1000),
    ]


def test_what_fails_once_is_one_line_and_the_next_failure_is_a_new_one(lines):
    counted = Recurring(every=0.05)

    fail(counted)
    eventually(lambda: not counted._failures)
    fail(counted)

    assert lines() == [("ERROR", "The till A broke: 0", None)] * 2


def test_what_lasts_until_it_is_said_to_be_over_is_not_over_because_it_is_quiet(lines):
    counted = Recurring(every=0.05)
    fail(counted, 3, key="till", until_over=True)
    eventually(lambda: len(lines()) == 2)

    assert not threading.Event().wait(0.2)
    fail(counted, key="till", until_over=True)
    eventually(lambda: len(lines()) == 3)
    counted.over(log, "till", "The till works.")
    counted.over(log, "till", "The till works.")

    assert [(level, count) for level, _, count in lines()] == [("ERROR", None), ("ERROR", 2), ("ERROR", 1), ("INFO", 4)]
    assert lines()[-1][1] == "The till works."


def test_failures_of_different_kinds_are_told_apart_and_those_of_one_bug_are_not(lines):
    counted = Recurring()

    def bug(kind):
        try:
            raise kind("x")
        except Exception as error:
            counted.failing(log, logging.ERROR, "a bug", error=error)

    for kind in (KeyError, KeyError, ValueError):
        bug(kind)
    counted.failing(log, logging.ERROR, "another")

    assert [message for _, message, _ in lines()] == ["a bug", "a bug", "another"]


def test_the_first_line_of_a_bug_has_its_traceback(caplog):
    counted = Recurring()

    try:
        raise KeyError("x")
    except KeyError as error:
        counted.failing(log, logging.ERROR, "a bug", error=error)

    assert "Traceback" in caplog.text and "KeyError: 'x'" in caplog.text


def test_many_threads_lose_no_failure(lines):
    counted = Recurring(every=0.3)

    at_once([lambda: fail(counted, 500, key="till")] * 8)

    eventually(lambda: lines()[-1][0] == "INFO")
    assert [count for level, _, count in lines() if level == "INFO"] == [4000]
    assert len([line for line in lines() if line[2] is None]) == 1


def test_no_number_of_kinds_fills_the_memory_and_what_is_not_counted_is_a_line_each(lines):
    counted = Recurring()

    for number in range(MOST + 5):
        fail(counted, 2, key=number)

    assert len(counted._failures) == MOST
    assert len(lines()) == MOST + 10


def test_a_forked_process_counts_for_itself(lines):
    counted = Recurring(every=30)
    fail(counted, 5)

    child = os.fork()
    if child == 0:
        fail(counted)
        os._exit(len(lines()) + counted._lock.locked())  # the parent's line, and its own

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_a_line_with_a_count_is_written_with_it():
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "It broke.", "count": 12, "seconds": "10"})

    assert logs.Logfmt().format(record).endswith('level=error message="It broke." count=12 seconds=10')


def test_a_password_that_the_database_refuses_is_one_line_however_many_ask(accounts, caplog):
    login = dataclasses.replace(accounts.application, password="another")
    database = Database(login, Statements(ROOT / "sql"), 2.0)

    for _ in range(5):
        with pytest.raises(ServiceUnavailable):
            database.transaction(lambda db: db.one("users/get", id=1))

    assert ["Access denied" in r.getMessage() for r in caplog.records] == [True]
    assert sum(failure.total for failure in recurring._process._failures.values()) == 5
