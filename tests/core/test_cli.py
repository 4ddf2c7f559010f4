"""The command line: what is typed, and what a person reads when something is wrong."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest
from helpers import as_url, environment, is_one_sentence

import server
from core import cli, config
from core.cli import CommandError
from core.setup.system import ROOT

SCHEMA_COMMANDS = [
    ["migrate"],
    ["migrate", "status"],
    ["migrate", "down", "--yes"],
    ["seed", "--yes"],
    ["check"],
    ["admin", "ada"],
    ["purge"],
]


# What is typed


def test_help_lists_every_command_with_what_it_does(typed):
    status, output, errors = typed("--help")

    plain = " ".join(output.split())
    assert (status, errors) == (0, "")
    for name, module in server.COMMANDS.items():
        assert f" {name} {module.HELP}" in plain


@pytest.mark.parametrize("name", sorted(set(server.COMMANDS) - {"test"}))
def test_every_command_explains_itself(typed, name):
    status, output, errors = typed(name, "--help")

    assert (status, errors) == (0, "")
    assert output.startswith(f"usage: python3 server.py {name}")


def test_every_command_is_declared_in_the_same_form():
    for module in server.COMMANDS.values():
        assert module.HELP and not module.HELP.endswith(".")
        assert callable(module.arguments) and callable(module.run)


def test_an_unknown_command_suggests_a_near_one(typed):
    status, output, errors = typed("migrat")

    assert (status, output) == (2, "")
    assert errors.startswith("There is no command 'migrat'. Did you mean migrate? There are serve, chores, migrate, ")
    assert is_one_sentence(errors)


def test_an_unknown_command_that_is_near_to_none_lists_them(typed):
    status, _, errors = typed("xyzzy")

    assert status == 2
    assert errors.startswith("There is no command 'xyzzy'. There are serve, ")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["check", "--fast"], "--fast"),
        (["--prot", "8081"], "--prot"),
        (["seed", "--products"], "--products"),
        (["migrate", "sideways"], "sideways"),
        (["admin"], "NAME"),
        (["routes", "all"], "all"),
    ],
)
def test_a_wrong_option_gives_a_sentence(typed, words, what):
    status, output, errors = typed(*words)

    assert (status, output) == (2, "")
    assert what in errors
    assert "--help to see what there is." in errors
    assert is_one_sentence(errors)


@pytest.mark.parametrize("words", [[], ["--port", "8081"], ["--reload"], ["serve", "--threads", "2"]])
def test_serve_need_not_be_named(words):
    assert cli.read(words, server.COMMANDS)[0] == "serve"


def test_options_of_serve_are_read_without_its_name():
    _, options = cli.read(["--port", "8081", "--workers", "2"], server.COMMANDS)

    assert (options.port, options.workers, options.host, options.reload) == ("8081", "2", None, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "http"], "PORT is 'http'; wanted is a whole number from 1 to 65535.\n"),
        (["--workers", "0"], "WORKERS is '0'; wanted is a whole number from 1 to 256.\n"),
    ],
)
def test_an_option_that_makes_no_sense_gives_a_sentence(typed, words, said):
    assert typed(*words) == (2, "", said)


# Settings


def test_a_malformed_variable_gives_a_sentence(typed):
    status, output, errors = typed("check", DATABASE_URL="postgres://h/shop")

    assert (status, output) == (2, "")
    assert errors.startswith("DATABASE_URL does not begin with mysql://. Wanted is mysql://user:password@")
    assert is_one_sentence(errors)


def test_a_malformed_env_file_gives_a_sentence(typed):
    status, output, errors = typed("check", env_file="PORT=8080\nSECRET KEY=x\n")

    assert (status, output) == (2, "")
    assert "/.env, line 2, cannot be read; wanted is NAME=value" in errors
    assert is_one_sentence(errors)


def test_the_env_file_beside_server_py_is_the_one_that_is_read():
    assert config.load.__defaults__[1] == ROOT / ".env"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_data_directory_that_cannot_be_used_gives_a_sentence(typed, tmp_path, name):
    (tmp_path / "file").touch()
    place = tmp_path / name

    status, output, errors = typed("check", DATA_DIR=str(place))

    assert (status, output) == (1, "")
    assert errors.startswith(f"DATA_DIR is {str(place)!r}, which cannot be used (")
    assert is_one_sentence(errors)


# The database


DATABASES = {  # what is wrong with the database: (change of the login, beginning of the sentence, what is in it)
    "nobody serves it": (
        {"host": "127.0.0.1", "port": 1, "unix_socket": None},
        "The database shop on 127.0.0.1:1 cannot be reached. ",
        " Start it, or correct DATABASE_URL.",
    ),
    "the login is refused": (
        {"user": "nobody_here", "password": "wrong"},
        "The database refused the login 'nobody_here' at ",
        " Check user and password in DATABASE_URL.\n",
    ),
    "it does not exist": (
        {"database": "no_such_database"},
        "There is no database 'no_such_database' there, or ",
        "CREATE DATABASE `no_such_database` CHARACTER SET utf8mb4;",
    ),
}


@pytest.mark.parametrize("words", SCHEMA_COMMANDS, ids=" ".join)
@pytest.mark.parametrize("wrong", DATABASES)
def test_a_database_that_cannot_be_used_gives_a_sentence(typed, accounts, words, wrong):
    change, begins, holds = DATABASES[wrong]
    login = dataclasses.replace(accounts.owner, **change)

    status, _, errors = typed(*words, DATABASE_URL=as_url(login))

    assert status == 1
    assert errors.startswith(begins) and holds in errors
    assert is_one_sentence(errors)


@pytest.fixture
def without_users(sql):
    """The schema without the table users, for as long as a test takes."""
    sql("RENAME TABLE users TO users_elsewhere")
    yield
    sql("RENAME TABLE users_elsewhere TO users")


def test_a_schema_that_is_behind_gives_a_sentence(typed, accounts, without_users):
    status, _, errors = typed("admin", "ada", DATABASE_URL=as_url(accounts.owner))

    assert status == 1
    assert errors == "The tables are not there yet, or not all of them. Type: python3 server.py migrate\n"


def test_the_end_of_input_at_a_question_changes_nothing(typed, accounts, make, sql, monkeypatch):
    make.product()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", end_of_input)

    status, _, errors = typed("seed", DATABASE_URL=as_url(accounts.owner))

    assert (status, errors) == (130, "")
    assert sql("SELECT COUNT(*) AS n FROM products") == [{"n": 1}]


def end_of_input(question):
    """Answer as Ctrl-D does."""
    raise EOFError


@pytest.mark.parametrize(("answer", "goes_on"), [("y", True), (" YES", True), ("n", False), ("", False)])
def test_a_question_is_asked_at_the_terminal_and_only_yes_goes_on(monkeypatch, answer, goes_on):
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)

    with contextlib.nullcontext() if goes_on else pytest.raises(CommandError, match=r"Nothing was changed\."):
        cli.confirm("Go on?", "seed --yes")

    assert asked == ["Go on? [y/N] "]


def test_a_question_that_nobody_can_answer_names_the_command_that_does_not_ask(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    with pytest.raises(CommandError, match=r"^Go on\? Nobody is here .*: python3 server\.py seed --yes$"):
        cli.confirm("Go on?", "seed --yes")


def test_a_table_has_columns_of_one_width_and_no_spaces_at_the_end(capsys):
    cli.say_table([("name", "state"), ("a long name", ""), ("b", "applied")])

    assert capsys.readouterr().out.splitlines() == ["name         state", "a long name", "b            applied"]


# Commands


@pytest.mark.slow
def test_output_into_a_pipe_that_closes_early_makes_no_noise():
    reading, writing = os.pipe()
    os.close(reading)

    with contextlib.closing(os.fdopen(writing, "wb")) as closed:
        done = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), "routes"],
            env=environment(),
            cwd=ROOT,
            stdout=closed,
            stderr=subprocess.PIPE,
        )

    assert done.stderr == b""


@pytest.mark.slow
def test_server_py_may_be_started_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "server.py"), "routes"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert list(pathlib.Path(tmp_path).iterdir()) == []
