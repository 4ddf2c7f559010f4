"""`server.py test`: what it installs, and what it passes to pytest."""

import argparse

import pytest
from helpers import command

import commands.test
from core.cli import CommandError


@pytest.mark.slow
def test_the_tests_options_are_pytests():
    done = command("test", "--version")

    assert done.returncode == 0
    assert (done.stdout + done.stderr).startswith("pytest ")


@pytest.mark.parametrize(("given", "measured"), [([], True), (["-k", "cart"], False)])
def test_coverage_is_measured_where_all_tests_run(monkeypatch, given, measured):
    ran = []
    monkeypatch.setenv("TEST_DATABASE_URL", "mysql://h/shop")
    monkeypatch.setattr(commands.test.subprocess, "run", lambda line, **_: ran.append(line) or done)
    done = argparse.Namespace(returncode=5)

    status = commands.test.run(argparse.Namespace(pytest=given), None, None)

    assert status == 5
    assert ("--cov=core" in ran[0]) is measured
    assert ran[0][-len(given) :] == given or measured


@pytest.mark.parametrize(
    ("elsewhere", "given", "processors", "processes"),
    [("", [], 2, 3), ("", [], 64, 4), ("", [], 1, None), ("", ["-x"], 2, None), ("mysql://h/shop", [], 2, None)],
)
def test_all_tests_run_in_a_process_more_than_there_are_processors_where_each_can_have_a_database(
    monkeypatch, elsewhere, given, processors, processes
):
    ran = []
    monkeypatch.setenv("TEST_DATABASE_URL", elsewhere)
    monkeypatch.setattr("core.setup.system.program", lambda *names: "/usr/sbin/mariadbd")
    monkeypatch.setattr(commands.test.os, "cpu_count", lambda: processors)
    monkeypatch.setattr(commands.test.subprocess, "run", lambda line, **_: ran.append(line) or done)
    monkeypatch.delenv("CI", raising=False)
    done = argparse.Namespace(returncode=0)

    commands.test.run(argparse.Namespace(pytest=given), None, None)

    assert [word for word in ran[0] if "processes" in word] == ([f"--numprocesses={processes}"] if processes else [])


def test_without_mariadb_the_tests_say_how_to_get_it(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr("core.setup.system.program", lambda *names: None)
    monkeypatch.setattr("core.setup.system.is_debian", lambda: False)

    with pytest.raises(CommandError, match="MariaDB is missing"):
        commands.test.run(argparse.Namespace(pytest=["--version"]), None, None)
