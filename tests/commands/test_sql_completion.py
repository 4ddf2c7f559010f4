"""Tab completion (deploy/completion.sh) in real shells, typed at a terminal."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from helpers import environment

import server
from core import cli
from core.db.statements import Statements
from core.setup.system import ROOT

SCRIPT = ROOT / "deploy" / "completion.sh"
SHELLS = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-i",)}
BEGINNING, END, TAB = "\x01", "\x05", "\t"  # keys


class Terminal:
    """An interactive shell that has read the script, as its line of installation says."""

    def __init__(self, shell, folder):
        self.shell, path = shell, shutil.which(shell)
        (folder / ".zshrc").write_text("")
        self.pid, self._keyboard = pty.fork()
        if not self.pid:
            os.chdir(ROOT)
            os.execve(path, [path, *SHELLS[shell]], {**environment(), "ZDOTDIR": str(folder), "TERM": "dumb"})  # noqa: S606
        self._type(f"stty cols 500; source '{SCRIPT}'; echo rea''dy\n", until="ready")

    def _type(self, keys, until=None):
        """Press these keys; return what is printed until this comes, or until nothing comes for a moment."""
        os.write(self._keyboard, keys.encode())
        printed, deadline = "", time.monotonic() + 30
        while time.monotonic() < deadline and not (until and re.search(until, printed)):
            if select.select([self._keyboard], [], [], 10 if until else 0.6)[0]:
                printed += os.read(self._keyboard, 65536).decode(errors="replace")
            elif not until:
                return printed
        assert until and re.search(until, printed), printed
        return printed

    def line_after(self, keys):
        """Return the line that the shell has after these keys and Tab; it is printed by the shell itself."""
        self._type(keys + TAB)
        printed = self._type(f"{BEGINNING}echo '[{END}]'\n", until=r"\n\[.*\]\r?\n")
        return re.search(r"\n\[(.*)\]\r?\n", printed)[1]

    def close(self):
        """End it."""
        os.close(self._keyboard)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module", params=SHELLS)
def terminal(request, tmp_path_factory):
    """A terminal for all tests of this file, in each of the shells that are there."""
    if not shutil.which(request.param):
        pytest.skip(f"needs {request.param}")
    terminal = Terminal(request.param, tmp_path_factory.mktemp("home"))
    yield terminal
    terminal.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("python3 server.py opt", "python3 server.py optimize "),
        ("./server.py mig", "./server.py migrate "),
        ("python3 -X dev server.py sq", "python3 -X dev server.py sql "),
        ("python3 server.py --rel", "python3 server.py --reload "),
        ("python3 server.py check --pla", "python3 server.py check --plans "),
        ("python3 server.py sql cate", "python3 server.py sql categories/"),
        ("python3 server.py sql products/list_pr", "python3 server.py sql products/list_price"),  # or list_price_desc
        ("python3 server.py sql products/list_price_", "python3 server.py sql products/list_price_desc "),
        ("python3 server.py sql --json products/get_", "python3 server.py sql --json products/get_any "),
        ("python3 server.py sql products/list_price cat", "python3 server.py sql products/list_price category_ids="),
        (
            "python3 server.py sql products/count in_stock=1 in",
            "python3 server.py sql products/count in_stock=1 in",  # it is given already
        ),
        ("python3 server.py sql products/get --pri", "python3 server.py sql products/get --print "),
        ("python3 CHANGEL", "python3 CHANGELOG.md "),  # what is no server.py is completed as before
    ],
)
def test_tab_completes_commands_options_statements_and_parameters(terminal, typed, line):
    if terminal.shell == "zsh":
        line = line.rstrip()  # it takes the space back when the cursor moves

    assert terminal.line_after(typed) == line


def offered(*words, current=""):
    """Return what the script offers behind these words, in bash."""
    script = f"source '{SCRIPT}'; _bodega_words \"$@\""
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(ROOT / "server.py"), current, *words], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.splitlines())


def test_every_command_is_offered_and_nothing_else():
    assert offered() == set(server.COMMANDS)


def test_every_option_of_every_command_is_offered_and_nothing_else():
    for name, module in server.COMMANDS.items():
        parser = cli.Parser(prog=name)
        module.arguments(parser)
        options = {word for action in parser._actions for word in action.option_strings if word.startswith("--")}

        assert offered(name, current="--") == options, name


@pytest.mark.parametrize("command", ["sql", "overlay"])
def test_every_statement_is_offered_and_nothing_else(command):
    folders = offered(command)

    names = {name for folder in folders for name in offered(command, current=folder)}

    assert names == {statement.name for statement in Statements(ROOT / "sql")}


def test_every_parameter_of_every_statement_is_offered_and_nothing_else():
    script = f"source '{SCRIPT}'; while read -r name; do echo \"$name\" $(_bodega_words ./server.py '' sql $name); done"
    statements = {statement.name: statement for statement in Statements(ROOT / "sql")}

    done = subprocess.run(
        ["bash", "-c", script], input="\n".join(statements) + "\n", capture_output=True, text=True, cwd=ROOT
    )

    found = {name: set(words) for name, *words in map(str.split, done.stdout.splitlines())}
    assert found == {name: {f"{param}=" for param in statement.params} for name, statement in statements.items()}


def test_the_line_of_installation_works_as_it_stands(tmp_path):
    line = re.search(r"^    (echo \"source .*)$", (ROOT / "docs/sql.md").read_text(encoding="utf-8"), re.M)[1]
    assert line in SCRIPT.read_text()

    subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment(HOME=str(tmp_path)), check=True)

    done = subprocess.run(
        ["bash", "--rcfile", str(tmp_path / ".bashrc"), "-i", "-c", "complete -p python3"],
        capture_output=True,
        text=True,
    )
    assert "-F _bodega python3" in done.stdout
