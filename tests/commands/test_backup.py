"""server.py backup and restore, and what they refuse. The drill under load is in tests/faults/test_backup_drill.py."""

import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime

import pymysql
import pytest
from helpers import LONG, command, environment, eventually, execute, servers

from commands import backup_folder, backup_logs, backup_tables, purge
from core.config import Config
from core.db.database import Database
from core.db.migrator import Migrator
from core.db.mysql_errors import LOCK_WAIT
from core.db.statements import Statements
from core.setup import embedded
from core.setup.system import ROOT, program

pytestmark = [pytest.mark.skipif(not program("mariadbd"), reason="no mariadbd on this machine"), pytest.mark.slow]
STATEMENTS = Statements(ROOT / "sql")
STOP_WORD = "SELECT COUNT(*) AS n FROM products WHERE MATCH (name, description) AGAINST ('+with' IN BOOLEAN MODE)"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A DATA_DIR with a shop and orders, that nobody uses."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    assert command("migrate", DATA_DIR=str(folder)).returncode == 0
    assert command("seed", "--products", "300", "--yes", DATA_DIR=str(folder)).returncode == 0
    assert command("seed", "--orders", "50", DATA_DIR=str(folder)).returncode == 0
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(filled, tmp_path):
    """A copy of it for one test."""
    yield shutil.copytree(filled, tmp_path / "data")
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def made(filled, tmp_path_factory):
    """A directory with a full backup, which tests copy before they damage it."""
    directory = tmp_path_factory.mktemp("made") / "backups"
    done = command("backup", str(directory), DATA_DIR=str(filled))
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def directory(made, tmp_path):
    """A copy of it for one test."""
    return shutil.copytree(made, tmp_path / "backups")


def only(directory):
    """Return the folder of the one backup in a directory."""
    (folder,) = directory.iterdir()
    return folder


@contextlib.contextmanager
def running(data):
    """Run the private database on this data; give the owner's login."""
    with embedded.Embedded(data, tell=lambda line: None) as accounts:
        yield accounts.owner


def contents(data):
    """Return the checksum of each table, in a database that nobody uses."""
    with running(data) as owner:
        tables = [row["name"] for row in execute(owner, backup_tables.TABLES)]
        return {row["Table"]: row["Checksum"] for row in execute(owner, f"CHECKSUM TABLE {', '.join(tables)}")}


def now():
    """Return this second, as --to takes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def restored(directory, place, *words, **variables):
    """Restore; return the finished command."""
    return command("restore", str(directory), *words, DATA_DIR=str(place), **variables)


# What comes back


def test_all_comes_back_with_its_schema_its_counters_and_the_index_of_all_words(data, directory, tmp_path):
    done = restored(directory, tmp_path / "new")

    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "new") == contents(data)
    schemas = []
    for each in (data, tmp_path / "new"):
        with running(each) as owner:
            tables = [row["name"] for row in execute(owner, backup_tables.TABLES)]
            schemas.append([execute(owner, f"SHOW CREATE TABLE {table}") for table in tables])
            assert execute(owner, STOP_WORD)[0]["n"] > 0
    assert schemas[0] == schemas[1]
    assert command("check", "--data", DATA_DIR=str(tmp_path / "new")).returncode == 0
    assert command("migrate", "status", DATA_DIR=str(tmp_path / "new")).returncode == 0


def test_an_index_that_is_restored_with_the_servers_stop_words_would_not_find_them(directory, tmp_path, monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr(backup_tables, "ALL_WORDS", "DO 1")
    place = tmp_path / "place"
    backup = backup_folder.read(only(directory))
    with running(place) as owner:
        backup_tables.load(owner, backup.folder, place / "tmp", backup.rows)

        assert execute(owner, STOP_WORD)[0]["n"] == 0


def test_a_second_backup_adds_what_was_logged_and_each_second_can_be_restored(data, tmp_path):
    directory = tmp_path / "backups"
    assert command("backup", str(directory), DATA_DIR=str(data)).returncode == 0
    seconds = []
    with running(data) as owner:
        for number in range(3):
            execute(owner, "UPDATE products SET stock_quantity = 0, name = %s WHERE id = 1", (f"Number {number}",))
            execute(owner, "UPDATE payments SET status = 'captured' WHERE id = 1")
            seconds.append(now())
            time.sleep(1.1)

    done = command("backup", str(directory), DATA_DIR=str(data))

    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"\d binary logs, .* are added to ", done.stdout)
    for number, second in enumerate(seconds):
        place = tmp_path / f"place-{number}"
        assert restored(directory, place, "--to", second).returncode == 0
        with running(place) as owner:
            found = execute(owner, "SELECT name, in_stock FROM products WHERE id = 1")
        assert found == [{"name": f"Number {number}", "in_stock": 0}]
    assert restored(directory, tmp_path / "all").returncode == 0
    assert contents(tmp_path / "all") == contents(data)


def test_an_index_that_a_migration_makes_in_the_logs_has_all_words(data, tmp_path):
    directory = tmp_path / "backups"
    assert command("backup", str(directory), DATA_DIR=str(data)).returncode == 0
    assert command("optimize", "--yes", DATA_DIR=str(data)).returncode == 0
    assert command("backup", str(directory), DATA_DIR=str(data)).returncode == 0

    assert restored(directory, tmp_path / "new").returncode == 0

    with running(tmp_path / "new") as owner:
        assert execute(owner, STOP_WORD)[0]["n"] > 0


def test_any_text_number_and_null_comes_back_as_it_was(data, tmp_path):
    odd = ["a\tb\nc\\d\0e", "\\N", "NULL", "'\"`", "😀 ß ﷺ", "", "a\r\nb", "\\"]
    with running(data) as owner:
        for id, text in enumerate(odd, 1):
            execute(owner, "UPDATE products SET description = %s, image_url = NULL WHERE id = %s", (text, id))
        before = execute(owner, "SELECT * FROM products ORDER BY id")
    command("backup", str(tmp_path / "backups"), DATA_DIR=str(data))

    assert restored(tmp_path / "backups", tmp_path / "new").returncode == 0

    with running(tmp_path / "new") as owner:
        assert execute(owner, "SELECT * FROM products ORDER BY id") == before


def test_what_a_killed_database_has_begun_to_write_does_not_count(data, tmp_path):
    with running(data) as owner:
        execute(owner, "UPDATE products SET name = 'Whole' WHERE id = 1")
        (name,) = [row["Log_name"] for row in execute(owner, "SHOW BINARY LOGS")][-1:]
        whole = (data / "mariadb" / name).stat().st_size
        execute(owner, "UPDATE products SET name = 'Torn' WHERE id = 1")
        log = tmp_path / "log"
        torn = (data / "mariadb" / name).read_bytes()

    for size in range(whole, len(torn)):
        log.write_bytes(torn[:size])
        assert backup_logs.cut(log, None) == (whole, False)
    log.write_bytes(torn)
    assert backup_logs.cut(log, None) == (len(torn), False)


# Which, and when


def test_full_begins_a_new_one_beside_the_old_one_and_to_finds_the_one_it_needs(data, directory, tmp_path):
    before = now()
    time.sleep(1.1)
    with running(data) as owner:
        execute(owner, "UPDATE products SET name = 'Later' WHERE id = 1")
    assert command("backup", str(directory), DATA_DIR=str(data)).returncode == 0
    assert command("backup", "--full", str(directory), DATA_DIR=str(data)).returncode == 0
    assert len(list(directory.iterdir())) == 2

    assert restored(directory, tmp_path / "old", "--to", before).returncode == 0
    assert restored(directory, tmp_path / "new").returncode == 0

    with running(tmp_path / "old") as owner:
        assert execute(owner, "SELECT name FROM products WHERE id = 1") != [{"name": "Later"}]
    with running(tmp_path / "new") as owner:
        assert execute(owner, "SELECT name FROM products WHERE id = 1") == [{"name": "Later"}]


@pytest.mark.parametrize("why", ["logs", "boot", "another"])
def test_a_backup_that_the_logs_do_not_continue_is_a_full_one(data, directory, tmp_path, why):
    if why == "logs":  # as after three days
        with running(data) as owner:
            execute(owner, "FLUSH BINARY LOGS")
            last = execute(owner, "SHOW BINARY LOGS")[-1]["Log_name"]
            execute(owner, f"PURGE BINARY LOGS TO '{last}'")
    if why == "boot":  # a crash of the machine may leave tables and logs apart
        backup = backup_folder.read(only(directory))
        backup.boot = "another"
        backup.save()
    if why == "another":  # a restored shop has logs of its own, by the same names
        data = tmp_path / "other"
        assert restored(directory, data).returncode == 0
        for _ in range(4):
            with running(data) as owner:
                execute(owner, "FLUSH BINARY LOGS")
    time.sleep(1.1)

    done = command("backup", str(directory), DATA_DIR=str(data))

    assert (done.returncode, done.stderr) == (0, "")
    assert " tables with " in done.stdout
    assert len(list(directory.iterdir())) == 2


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("2020-01-01T00:00:00Z", "--to is earlier"),
        ("2100-01-01T00:00:00Z", "and --to is later"),
        ("2026-01-31T12:00:00", "wanted is a second with its time zone"),
        ("2026-01-31T12:00:00.5Z", "wanted is a second with its time zone"),
        ("yesterday", "wanted is a second with its time zone"),
    ],
)
def test_a_time_that_is_in_no_backup_is_refused(directory, tmp_path, to, said):
    done = restored(directory, tmp_path / "new", "--to", to)

    assert done.returncode in (1, 2) and said in done.stderr
    assert not (tmp_path / "new").exists()


# What is refused


def test_restore_refuses_a_directory_that_is_not_empty(directory, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "letter.txt").write_text("mine")

    done = restored(directory, tmp_path / "new")

    assert done.returncode == 1 and "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["letter.txt"]


def cut_file(path):
    os.truncate(path, path.stat().st_size // 2)


def edit_file(path):
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


@pytest.mark.parametrize("damage", [cut_file, edit_file, pathlib.Path.unlink], ids=["cut", "edited", "missing"])
@pytest.mark.parametrize("kind", ["orders.txt.gz", "orders.sql", "binlog.*", "backup.json"])
def test_restore_refuses_a_backup_that_is_damaged(directory, tmp_path, damage, kind):
    damage(next(only(directory).glob(kind)))

    done = restored(directory, tmp_path / "new")

    assert done.returncode == 1
    assert re.search("missing, cut or edited", done.stderr)
    assert not (tmp_path / "new").exists()


def described(directory, **changes):
    """Write backup.json anew, with its checksum."""
    path = only(directory) / "backup.json"
    text = json.dumps(json.loads(path.read_text().partition("\n")[0]) | changes)
    path.write_text(f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "was written by another version of Bodega"),
        ({"schema": ["0001_categories", "9000_later"]}, "is of a newer version of Bodega: it has 9000_later"),
        ({"server": "99.1.2-MariaDB"}, "was written by MariaDB 99.1.2-MariaDB, and here is"),
    ],
)
def test_restore_refuses_what_another_version_has_written(directory, tmp_path, change, said):
    described(directory, **change)

    done = restored(directory, tmp_path / "new")

    assert done.returncode == 1 and said in done.stderr
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


def test_restore_says_what_mariadb_says_where_a_log_does_not_fit_and_leaves_nothing(data, directory, tmp_path):
    with running(data) as owner:
        execute(owner, "DELETE FROM order_items WHERE order_id = 1")
    assert command("backup", str(directory), DATA_DIR=str(data)).returncode == 0
    backup = backup_folder.read(only(directory))
    empty = gzip.compress(b"")
    (backup.folder / "order_items.txt.gz").write_bytes(empty)
    backup.note("order_items.txt.gz")
    backup.rows["order_items"] = 0
    backup.save()

    done = restored(directory, tmp_path / "new")

    assert done.returncode == 1
    assert re.search(r"relay\.\d+ cannot be run: .*order_items", done.stderr)
    assert list((tmp_path / "new").iterdir()) == []


def test_both_refuse_a_database_of_ones_own(tmp_path):
    for words in (("backup", str(tmp_path / "backups")), ("restore", str(tmp_path / "backups"))):
        done = command(*words, DATABASE_URL="mysql://shop:x@127.0.0.1:1/shop", DATA_DIR=str(tmp_path / "data"))

        assert done.returncode == 2 and "docs/backup.md" in done.stderr


def test_backup_of_nothing_and_restore_from_nothing_make_nothing(tmp_path):
    backed = command("backup", str(tmp_path / "backups"), DATA_DIR=str(tmp_path / "data"))
    done = restored(tmp_path / "backups", tmp_path / "new")

    assert backed.returncode == done.returncode == 1
    assert "There is no database in" in backed.stderr
    assert "has no backup" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_backups_into_one_directory_do_not_mix(data, directory):
    with backup_folder.locked(directory):
        done = command("backup", str(directory), DATA_DIR=str(data))

    assert done.returncode == 1 and "Another backup writes to" in done.stderr


# What breaks


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system, which root mounts")
@pytest.mark.parametrize("full", [False, True], ids=["logs", "full"])
def test_a_disk_that_is_full_leaves_the_old_backup_whole(data, directory, tmp_path, full):
    small = tmp_path / "small"
    small.mkdir()
    size = sum(path.stat().st_size for path in directory.rglob("*")) + (512 << 10)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]).returncode:
        pytest.skip("may not mount a file system here")
    try:
        shutil.copytree(directory, small / "backups")
        described(small / "backups")
        with running(data) as owner:  # something that does not compress well
            for _ in range(4):
                execute(owner, "UPDATE products SET description = HEX(RANDOM_BYTES(1024))")
        before = (only(small / "backups") / "backup.json").read_text()

        done = command("backup", str(small / "backups"), *(["--full"] if full else []), DATA_DIR=str(data))

        assert done.returncode == 1
        assert "could not be written: No space left on device" in done.stderr and "is whole" in done.stderr
        assert (only(small / "backups") / "backup.json").read_text() == before
        assert restored(small / "backups", tmp_path / "new").returncode == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_backup_that_was_killed_half_way_is_none_and_the_next_removes_it(data, directory, tmp_path):
    half = directory / ".unfinished"
    half.mkdir()
    (half / "orders.sql").write_text("CREATE")

    assert restored(directory, tmp_path / "new").returncode == 0
    assert command("backup", "--full", str(directory), DATA_DIR=str(data)).returncode == 0

    assert not half.exists()


def test_a_table_that_is_built_anew_meanwhile_is_told(data, directory):
    with running(data) as owner, backup_tables.snapshot(owner) as cursor:
        execute(owner, "ALTER TABLE products FORCE")
        with pytest.raises(Exception) as raised:
            list(backup_tables.dump(cursor, data / "tmp", directory))

    assert raised.value.args[0] == 1412


def test_who_wants_to_alter_a_table_waits_for_that_table_alone(data, directory):
    alter = "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE {} COMMENT 'altered'"
    with running(data) as owner, backup_tables.snapshot(owner) as cursor:
        for table, _ in backup_tables.dump(cursor, data / "tmp", directory):
            if table == "orders":
                break

        execute(owner, alter.format("orders"))
        cursor.execute("SELECT COUNT(*) FROM categories")  # the control: without the savepoint
        with pytest.raises(pymysql.MySQLError) as refused:
            execute(owner, alter.format("categories"))
        assert refused.value.args[0] == LOCK_WAIT


def test_a_backup_waits_for_a_migration(data, directory):
    words = [sys.executable, str(ROOT / "server.py"), "backup", "--full", str(directory)]
    with running(data) as owner:
        with Migrator(owner, lambda line: None).locked():
            waiting = subprocess.Popen(words, env=environment(DATA_DIR=str(data)), stderr=subprocess.PIPE, text=True)
            assert waiting.stderr.readline() == "Another migration is running; waiting for it.\n"
            assert len(list(directory.glob("2*"))) == 1

        assert waiting.wait(LONG) == 0
    assert len(list(directory.glob("2*"))) == 2


# Who can read it


def test_all_files_are_for_this_user_alone_and_the_key_of_the_shop_is_among_them(data, tmp_path):
    (data / "secret_key").write_text("k" * 48)
    before = os.umask(0)
    try:
        done = command("backup", str(tmp_path / "backups"), DATA_DIR=str(data), SECRET_KEY="")
    finally:
        os.umask(before)

    assert done.returncode == 0, done.stderr
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "backups").rglob("*")}
    assert set(modes.values()) == {0o600, 0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert restored(tmp_path / "backups", tmp_path / "new").returncode == 0
    assert (tmp_path / "new" / "secret_key").read_text() == "k" * 48
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600


def test_a_key_that_stands_in_the_settings_is_in_no_backup(made):
    assert not list(made.rglob("secret_key"))


def test_the_logs_have_no_password_of_an_account_of_the_database(data, tmp_path):
    with servers(tmp_path) as start:
        start("--workers", "1", "--threads", "2", DATA_DIR=str(data))
    logs = b"".join(path.read_bytes() for path in (data / "mariadb").glob("binlog.0*"))

    assert len(logs) > 1000
    assert b"IDENTIFIED" not in logs and b"CREATE OR REPLACE USER" not in logs


# What grows


def test_purge_removes_the_oldest_logs_beyond_the_bound_and_no_others(data):
    with running(data) as owner:
        for _ in range(3):
            execute(owner, "UPDATE products SET description = REPEAT(UUID(), 10)")
            execute(owner, "FLUSH BINARY LOGS")
        logs = [(row["Log_name"], row["File_size"]) for row in execute(owner, "SHOW BINARY LOGS")]
        most = sum(size for _, size in logs[-3:]) + 1000  # the server adds a line to the last of them
        database, config = Database(owner, STATEMENTS, 10), Config(data_dir=data)

        def left(config, most):
            purge.purge_logs(database, config, most)
            return [row["Log_name"] for row in execute(owner, "SHOW BINARY LOGS")]

        names = [name for name, _ in logs]
        assert left(config, backup_logs.MOST) == names
        assert left(dataclasses.replace(config, data_dir=data / "other"), 0) == names
        assert eventually(lambda: left(config, most) == names[-3:])
        assert eventually(lambda: left(config, 0) == names[-1:])  # the one that is written to


def test_the_server_removes_logs_after_three_days(data):
    with running(data) as owner:
        assert execute(owner, "SELECT @@expire_logs_days AS days, @@log_bin AS on_") == [{"days": 3, "on_": 1}]


def test_a_restore_that_was_killed_is_typed_again_and_one_that_runs_is_left_alone(directory, tmp_path):
    place = tmp_path / "new"
    (place / "restoring").mkdir(parents=True)
    with running(place / "restoring"):
        done = restored(directory, place)
        assert done.returncode == 1 and "already runs on the data" in done.stderr

    assert restored(directory, place).returncode == 0

    assert sorted(path.name for path in place.iterdir()) == ["mariadb"]


def test_a_backup_that_may_not_be_read_is_told_in_a_sentence(directory, tmp_path):
    (only(directory) / "orders.sql").unlink()
    (only(directory) / "orders.sql").symlink_to(only(directory))

    done = restored(directory, tmp_path / "new")

    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_the_logs_of_a_database_that_does_not_start_are_added_and_restored_to_its_last_transaction(
    data, directory, tmp_path
):
    with running(data) as owner:
        execute(owner, "UPDATE products SET name = 'Last' WHERE id = 1")
        (name,) = [row["Log_name"] for row in execute(owner, "SHOW BINARY LOGS")][-1:]
        execute(owner, "UPDATE products SET name = 'Torn' WHERE id = 1")
        torn = (data / "mariadb" / name).read_bytes()
    (data / "mariadb" / name).write_bytes(torn[:-10])
    (data / "mariadb" / "ibdata1").write_bytes(b"garbage" * 3000)
    assert "does not start" in command("backup", str(directory), DATA_DIR=str(data)).stderr

    done = command("backup", str(directory), "--logs", DATA_DIR=str(data))

    assert (done.returncode, done.stderr) == (0, "")
    assert restored(directory, tmp_path / "new").returncode == 0
    with running(tmp_path / "new") as owner:
        assert execute(owner, "SELECT name FROM products WHERE id = 1") == [{"name": "Last"}]


def test_logs_alone_are_refused_while_the_database_runs_and_where_they_do_not_go_on(data, directory, tmp_path):
    with running(data):
        done = command("backup", str(directory), "--logs", DATA_DIR=str(data))
        assert done.returncode == 1 and "already runs on the data" in done.stderr

    done = command("backup", str(tmp_path / "none"), "--logs", DATA_DIR=str(data))

    assert done.returncode == 1 and "goes on with the logs" in done.stderr
