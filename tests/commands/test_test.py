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


def test_without_mariadb_the_tests_say_how_to_get_it(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr("core.setup.system.program", lambda *names: None)
    monkeypatch.setattr("core.setup.system.is_debian", lambda: False)

    with pytest.raises(CommandError, match="MariaDB is missing"):
        commands.test.run(argparse.Namespace(pytest=["--version"]), None, None)
