"""From a machine with nothing but Python: what server.py does before the first package can be imported."""

import ast
import errno
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import threading
import types

import pytest
from helpers import environment

from core.cli import CommandError
from core.setup import bootstrap, system
from core.setup.system import ROOT

EARLY = ("server.py", "core/__init__.py", "core/cli.py", "core/setup/bootstrap.py", "core/setup/system.py")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project of its own: lists of packages, and room for .venv. Nothing is executed in place of this process."""
    (tmp_path / "requirements.txt").write_text("bottle==1 --hash=sha256:1\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "requirements.txt").write_text("pytest==1 --hash=sha256:2\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(bootstrap, "INSTALLED", tmp_path / ".venv" / "installed.sha256")
    monkeypatch.setattr(os, "execv", lambda program, words: pytest.fail(f"{program} was started"))
    return tmp_path


@pytest.fixture
def ran(place, monkeypatch):
    """The programs that were run to make .venv; each works, and `venv` leaves what it would leave."""
    lines = []

    def run(line, failure):
        lines.append([str(word) for word in line])
        if "venv" in line:
            (place / ".venv" / "bin").mkdir(parents=True)
            (place / ".venv" / "bin" / "python").touch()

    monkeypatch.setattr(bootstrap, "_run", run)
    return lines


def installs(lines):
    """Return what each run was for: "venv", or the lists that pip was given."""
    return ["venv" if "venv" in line else [pathlib.Path(w).name for w in line if w.endswith(".txt")] for line in lines]


# Any Python 3


@pytest.mark.parametrize("file", EARLY)
def test_what_runs_first_has_the_grammar_of_an_old_python(file):
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_a_python_that_is_too_old_gets_a_sentence(place, monkeypatch):
    monkeypatch.setattr(bootstrap, "OLDEST", (9, 9))

    with pytest.raises(CommandError) as stopped:
        bootstrap.prepare()

    assert str(stopped.value).startswith(f"The shop needs Python 9.9 or newer; this is {HERE} ({sys.executable}).")
    assert "python3.12 server.py" in str(stopped.value)


def test_server_py_itself_tells_an_old_python_so():
    pretend = (
        "import runpy, sys; sys.version_info = (3, 6, 9, 'final', 0); sys.argv = ['server.py']; "
        "runpy.run_path('server.py', run_name='__main__')"
    )

    done = subprocess.run([sys.executable, "-c", pretend], env=environment(), cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The shop needs Python 3.11 or newer; this is 3.6 (")
    assert "Traceback" not in done.stderr


def test_the_oldest_python_is_the_one_that_pyproject_names():
    said = (ROOT / "pyproject.toml").read_text()

    assert f'requires-python = ">={bootstrap.OLDEST[0]}.{bootstrap.OLDEST[1]}"' in said


# Is there anything to do?


@pytest.mark.parametrize("testing", [False, True])
def test_where_the_packages_are_importable_nothing_is_made(place, testing):
    bootstrap.prepare(testing)

    assert not (place / ".venv").exists()


@pytest.mark.parametrize("listed", ["NEEDED", "NEEDED_BY_TESTS"])
def test_a_missing_package_is_installed_and_the_program_starts_anew(place, ran, monkeypatch, listed):
    monkeypatch.setattr(bootstrap, listed, ["no_such_package_here"])
    monkeypatch.setattr(sys, "argv", ["server.py", "--port", "8081"])
    monkeypatch.setattr(os, "execv", lambda program, words: ran.append([program, words]))

    bootstrap.prepare(testing=listed == "NEEDED_BY_TESTS")

    python = str(place / ".venv" / "bin" / "python")
    assert installs(ran[:1]) == ["venv"]
    assert ran[-1] == [python, [python, "server.py", "--port", "8081"]]


def test_every_package_of_the_list_is_looked_for():
    listed = {line.split("==")[0].lower() for line in _lines(ROOT / "requirements.txt")}
    names = {"dotenv": "python-dotenv"}

    assert {names.get(name, name).replace("_", "-") for name in bootstrap.NEEDED} <= listed
    assert all(importlib.util.find_spec(name) for name in bootstrap.NEEDED)


def _lines(path):
    return [line for line in path.read_text().splitlines() if "==" in line]


def test_every_package_of_the_lists_is_pinned_with_hashes():
    for path in (ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt"):
        parts = path.read_text().replace("\\\n", " ").splitlines()
        pinned = [part for part in parts if part.strip() and not part.lstrip().startswith("#")]
        assert pinned and all("==" in part and "--hash=sha256:" in part for part in pinned), path


def installed(place, *lists):
    """Write down that these lists have been installed."""
    (place / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    (place / ".venv" / "bin" / "python").touch()
    hashes = [hashlib.sha256((place / name).read_bytes()).hexdigest() for name in lists]
    (place / ".venv" / "installed.sha256").write_text("\n".join([f"python{HERE}", *hashes]) + "\n")


def test_what_has_been_installed_is_known_by_the_hash_of_its_list(place):
    assert not bootstrap._installed(False)

    installed(place, "requirements.txt")

    assert bootstrap._installed(False)
    assert not bootstrap._installed(True)


def test_packages_of_the_tests_do_not_disturb(place):
    installed(place, "requirements.txt", "tests/requirements.txt")

    assert bootstrap._installed(False)
    assert bootstrap._installed(True)


def test_a_changed_list_is_installed_again_into_the_same_environment(place, ran):
    installed(place, "requirements.txt")
    (place / "requirements.txt").write_text("bottle==2 --hash=sha256:3\n")

    bootstrap._make(False, False)

    assert installs(ran) == [["requirements.txt"]]
    assert bootstrap._installed(False)


def test_inside_its_own_environment_a_changed_list_is_noticed(place, ran, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(place / ".venv"))
    monkeypatch.setattr(os, "execv", lambda *_: None)
    installed(place, "requirements.txt")

    bootstrap.prepare()
    before = list(ran)
    (place / "requirements.txt").write_text("bottle==2 --hash=sha256:3\n")
    bootstrap.prepare()

    assert before == []
    assert installs(ran) == [["requirements.txt"]]


# Making .venv


def test_packages_are_installed_with_their_hashes_and_written_down_last(place, ran, capsys):
    bootstrap._make(True, False)

    assert installs(ran) == ["venv", ["requirements.txt", "requirements.txt"]]
    assert "--require-hashes" in ran[1]
    assert bootstrap._installed(True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"Making .venv for this Python ({HERE}).",
        "Installing requirements.txt and tests/requirements.txt into .venv.",
    ]


def test_a_second_start_makes_nothing(place, ran):
    bootstrap._make(False, False)
    bootstrap._make(False, False)

    assert installs(ran) == ["venv", ["requirements.txt"]]


def test_what_a_start_that_was_cut_short_left_behind_is_removed(place, ran):
    (place / ".venv" / "lib").mkdir(parents=True)

    bootstrap._make(False, False)

    assert not (place / ".venv" / "lib").exists()
    assert bootstrap._installed(False)


def test_after_the_systems_python_was_replaced_the_environment_is_made_anew(place, ran):
    installed(place, "requirements.txt")
    record = place / ".venv" / "installed.sha256"
    record.write_text(record.read_text().replace(f"python{HERE}\n", "python3.2\n"))
    (place / ".venv" / "lib").mkdir()

    bootstrap._make(False, False)

    assert installs(ran) == ["venv", ["requirements.txt"]]
    assert ran[0][0] == sys._base_executable
    assert not (place / ".venv" / "lib").exists()
    assert bootstrap._installed(False)


def test_after_a_failure_the_next_start_tries_again(place, ran, monkeypatch):
    def fail(line, failure):
        raise CommandError(failure)

    with monkeypatch.context() as broken:
        broken.setattr(bootstrap, "_run", fail)
        with pytest.raises(CommandError):
            bootstrap._make(False, False)
    bootstrap._make(False, False)

    assert bootstrap._installed(False)


def test_two_starts_at_once_wait_for_each_other(place, monkeypatch):
    events = []
    monkeypatch.setattr(bootstrap, "NEEDED", ["no_such_package_here"])
    monkeypatch.setattr(bootstrap, "_make", lambda *_: events.append("made"))
    monkeypatch.setattr(os, "execv", lambda *_: None)
    other = os.open(place, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    starting = threading.Thread(target=bootstrap.prepare, daemon=True)
    starting.start()
    starting.join(0.2)
    events.append("the other one is done")
    os.close(other)
    starting.join(30)

    assert events == ["the other one is done", "made"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "The disk is full. Make room, then start again."),
        (errno.EACCES, " cannot be written to. Correct its owner or its permissions, then start again."),
        (errno.EROFS, " cannot be written to. Correct its owner or its permissions, then start again."),
    ],
)
def test_a_disk_that_cannot_be_written_gives_a_sentence(place, monkeypatch, number, said):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bootstrap, "NEEDED", ["no_such_package_here"])
    monkeypatch.setattr(bootstrap, "_make", fail)

    with pytest.raises(CommandError) as stopped:
        bootstrap.prepare()

    assert str(stopped.value).endswith(said)


SAID_BY_PIP = {
    "no network": (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(': Failed to establish a "
        "new connection: [Errno -3] Temporary failure in name resolution')': /simple/bottle/\n"
        "ERROR: Could not find a version that satisfies the requirement bottle==0.13.4 (from versions: none)",
        "The package index could not be reached. Connect to the network (or set a proxy), then start again.",
    ),
    "a slow network": (
        "HTTPSConnectionPool(host='index.example', port=443): Read timed out.",
        "The package index could not be reached. Connect to the network (or set a proxy), then start again.",
    ),
    "no build": (
        "ERROR: Could not find a version that satisfies the requirement bcrypt==5.0.0 (from versions: 4.0.0)",
        "The package index could not be reached, or has no build for this Python.",
    ),
    "a full disk": (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "The disk is full. Make room, then start again.",
    ),
    "a forged package": (
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
        "A package is not the one that requirements.txt pins. Do not use it; try another network.",
    ),
    "somebody else's directory": (
        "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '.venv/lib'",
        "This directory cannot be written to. Correct its owner or its permissions, then start again.",
    ),
    "something else": ("Killed", "Correct that, then start again."),
}


@pytest.mark.parametrize("case", SAID_BY_PIP)
def test_a_failed_installation_says_what_to_do(case):
    said, hint = SAID_BY_PIP[case]
    program = (
        "import sys; print('one\\ntwo\\nthree\\nfour\\nfive\\nsix', flush=True);"
        f"print({said!r}, file=sys.stderr); sys.exit(1)"
    )

    with pytest.raises(CommandError) as stopped:
        bootstrap._run([sys.executable, "-c", program], "The packages could not be installed")

    lines = str(stopped.value).splitlines()
    assert lines[0] == "The packages could not be installed:"
    assert lines[-1] == hint
    assert "    " + said.splitlines()[-1] in lines
    assert "    one" not in lines


def test_a_program_that_works_is_silent(capfd):
    bootstrap._run([sys.executable, "-c", "print('noise')"], "It could not be done")

    assert capfd.readouterr() == ("", "")


# System packages


@pytest.fixture
def bare(place, monkeypatch):
    """A Debian without venv and without MariaDB, an ordinary user, and Debian's own Python."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else found(name))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(system, "is_debian", lambda: True)
    monkeypatch.setattr(system, "program", lambda *names: None)
    monkeypatch.setattr(system, "mariadb_packages", lambda: ["mariadb-server-core", "mariadb-client-core"])


def stopped_making(embedded):
    """Return the sentence that stops the making of .venv."""
    with pytest.raises(CommandError) as stopped:
        bootstrap._make(False, embedded)
    return str(stopped.value)


def test_an_ordinary_user_gets_one_command_for_all_that_is_missing(bare):
    said = stopped_making(embedded=True)

    assert said == (
        "This Python cannot make virtual environments and MariaDB is missing. Type this, then start again:\n\n"
        "    sudo apt-get update && sudo apt-get install -y --no-install-recommends "
        "python3-venv mariadb-server-core mariadb-client-core\n"
    )


def test_mariadb_is_not_asked_for_where_there_is_a_database(bare):
    said = stopped_making(embedded=False)

    assert said.startswith("This Python cannot make virtual environments. Type this")
    assert "python3-venv\n" in said
    assert "mariadb" not in said.lower()


def test_mariadb_is_not_asked_for_where_it_is_installed(bare, monkeypatch):
    monkeypatch.setattr(system, "program", lambda *names: "/usr/sbin/mariadbd")

    assert "mariadb" not in stopped_making(embedded=True).lower()


def test_a_python_beside_the_systems_own_needs_its_own_package(bare, monkeypatch):
    monkeypatch.setattr(sys, "executable", f"/opt/bin/python{HERE}")

    assert f" python{HERE}-venv" in stopped_making(embedded=False)


def test_without_apt_the_sentence_names_no_command_that_is_not_there(bare, monkeypatch):
    monkeypatch.setattr(system, "is_debian", lambda: False)

    assert stopped_making(embedded=True) == (
        "This Python has no venv module. Install it with your system's package manager, then start again."
    )


@pytest.fixture
def apt(bare, monkeypatch):
    """Root on that Debian; returns the commands, which end with `apt.status` and print a line."""
    seen = types.SimpleNamespace(lines=[], status=0)

    def run(line, **_):
        seen.lines.append(line)
        return types.SimpleNamespace(returncode=seen.status, stdout=b"E: Unable to locate package\n")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system.subprocess, "run", run)
    return seen


def test_root_gets_it_installed(apt):
    bootstrap._system_packages(embedded=True)

    assert [" ".join(line) for line in apt.lines] == [
        "apt-get update",
        "apt-get install -y --no-install-recommends python3-venv mariadb-server-core mariadb-client-core",
    ]


def test_root_gets_apts_own_words_where_that_fails(apt):
    apt.status = 100

    with pytest.raises(CommandError) as stopped:
        bootstrap._system_packages(embedded=False)

    assert str(stopped.value).startswith("apt-get could not install python3-venv:\n\n")
    assert "    E: Unable to locate package\n" in str(stopped.value)
    assert str(stopped.value).endswith("then start again.")


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (b"mariadb-server-core\nmariadb-client-core\nmariadb-server", ["mariadb-server-core", "mariadb-client-core"]),
        (
            b"mariadb-client-core-10.6\nmariadb-server-core-10.6\nmariadb-server",
            ["mariadb-server-core-10.6", "mariadb-client-core-10.6"],
        ),
        (b"", ["mariadb-server-core", "mariadb-client-core"]),
    ],
    ids=["Debian 12", "Ubuntu 22.04", "no lists yet"],
)
def test_mariadbs_packages_are_called_as_this_release_calls_them(monkeypatch, known, wanted):
    monkeypatch.setattr(system.subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout=known))

    assert system.mariadb_packages() == wanted


@pytest.mark.parametrize(("manager", "typed"), system.BY_HAND)
def test_other_systems_get_their_own_command_for_mariadb(monkeypatch, manager, typed):
    monkeypatch.setattr(system.shutil, "which", lambda name, **_: f"/usr/bin/{name}" if name == manager else None)

    with pytest.raises(CommandError) as stopped:
        system.install_mariadb()

    assert f"    {typed}\n" in str(stopped.value)
    assert "or set DATABASE_URL" in str(stopped.value)


def test_a_system_without_any_of_them_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(system.shutil, "which", lambda name, **_: None)

    with pytest.raises(
        CommandError, match="Install its server with your system's package manager, or set DATABASE_URL"
    ):
        system.install_mariadb()


def test_an_ordinary_user_of_debian_gets_the_command_for_mariadb(bare):
    with pytest.raises(CommandError) as stopped:
        system.install_mariadb()

    assert str(stopped.value).startswith("MariaDB is missing. Type this, then start again:\n\n    sudo apt-get update")


def test_a_program_is_found_where_path_does_not_say(tmp_path, monkeypatch):
    (tmp_path / "mariadbd").touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(system, "PLACES", (str(tmp_path),))

    assert system.program("mysqld", "mariadbd") == str(tmp_path / "mariadbd")
    assert system.program("nothing") is None
