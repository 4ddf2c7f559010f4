"""docs/backup.md: the commands for a database of one's own, typed as they stand."""

import os
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from helpers import command, environment, execute
from test_backup import STOP_WORD, contents, filled, running  # noqa: F401

from core.setup.system import ROOT, program

OWN = (ROOT / "docs" / "backup.md").read_text().partition("## A database of your own")[2]
BACKUP, RESTORE, GO_ON = re.findall(r"^    (.+)$", OWN, re.M)

pytestmark = [
    pytest.mark.skipif(not program("mariadb-binlog"), reason="needs mariadb-binlog and mariadb-dump (mariadb-client)"),
    pytest.mark.slow,
]


@pytest.fixture
def shell(filled, tmp_path):  # noqa: F811
    """`shell(line)`: type a line, as the owner of a database; `owner`: its login."""
    with running(filled) as owner:
        (tmp_path / ".my.cnf").write_text(f"[client]\nsocket={owner.unix_socket}\nuser={owner.user}\n")

        def typed(line):
            given = environment(HOME=str(tmp_path), PATH=os.environ["PATH"])
            done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=given, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        typed.owner, typed.folder = owner, tmp_path
        yield typed


def test_three_commands_back_up_restore_and_go_on_to_a_second(shell, filled):  # noqa: F811
    owner = shell.owner
    shell(BACKUP)
    execute(owner, "UPDATE products SET name = 'Before' WHERE id = 1")
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep(1.1)
    execute(owner, "DELETE FROM order_items")
    execute(owner, "FLUSH BINARY LOGS")
    execute(owner, "UPDATE products SET name = 'After' WHERE id = 1")
    logs = [row["Log_name"] for row in execute(owner, "SHOW BINARY LOGS")]
    dump = (shell.folder / "shop.sql").read_text()
    first, position = re.search(r"CHANGE MASTER TO MASTER_LOG_FILE='(.+)', MASTER_LOG_POS=(\d+);", dump).groups()
    needed = " ".join(str(filled / "mariadb" / name) for name in logs[logs.index(first) :])

    shell(RESTORE)
    restored = execute(owner, "SELECT (SELECT COUNT(*) FROM order_items) AS n, name FROM products WHERE id = 1")[0]
    shell(
        GO_ON.replace("4711", position)
        .replace("2026-01-31 12:00:01", then.strftime("%Y-%m-%d %H:%M:%S"))
        .replace("binlog.000012 binlog.000013", needed)
    )

    assert restored["n"] > 0 and restored["name"] != "Before"
    found = execute(owner, "SELECT (SELECT COUNT(*) FROM order_items) AS n, name FROM products WHERE id = 1")[0]
    assert found == {"n": restored["n"], "name": "Before"}
    assert execute(owner, STOP_WORD)[0]["n"] > 0


def test_without_the_option_the_words_would_be_missing(shell):
    """The control."""
    shell(BACKUP)

    shell(re.sub('--init-command="[^"]+" ', "", RESTORE))

    assert execute(shell.owner, STOP_WORD)[0]["n"] == 0


def test_the_commands_for_the_private_database_are_its_own(filled, tmp_path):  # noqa: F811
    private = (ROOT / "docs" / "backup.md").read_text().partition("## A database of your own")[0]
    lines = re.findall(r"^    (?:DATA_DIR=\S+ )?python3 server.py (\w+) /mnt/backups(?: --to (\S+))?$", private, re.M)

    assert [name for name, _ in lines] == ["backup", "restore", "restore"]
    assert command("backup", str(tmp_path / "b"), DATA_DIR=str(filled)).returncode == 0
    done = command("restore", str(tmp_path / "b"), "--to", lines[2][1], DATA_DIR=str(tmp_path / "restored"))
    assert "--to is earlier" in done.stderr
