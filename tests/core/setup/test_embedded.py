"""The private MariaDB: how it begins, ends and is shared, who may do what in it, and what happens when it is killed."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import pymysql
import pytest
from helpers import LONG, command, execute, servers

from core.database_url import DatabaseUrl
from core.db import drivers, rights
from core.db.owner import give_rights, least_rights
from core.db.statements import Statements
from core.setup import embedded, embedded_process
from core.setup.system import ROOT, program

pytestmark = [pytest.mark.skipif(not program("mariadbd"), reason="no mariadbd on this machine"), pytest.mark.slow]

STATEMENTS = Statements(ROOT / "sql", more=[ROOT / "reports"])
RIGHTS = {
    table: ", ".join(verb for verb in rights.VERBS if verb in verbs)
    for table, verbs in least_rights(STATEMENTS).items()
}
SMALL = ("--workers", "1", "--threads", "2")


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """Remove what a test has left when its servers have ended: pytest keeps directories, and a database is large."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A real server that began with nothing, for the tests that leave it as it was; `data` is its DATA_DIR."""
    folder = tmp_path_factory.mktemp("first")
    with servers(folder) as start:
        real = start(*SMALL, DATA_DIR=str(folder / "data"))
        real.data = folder / "data"
        yield real
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A DATA_DIR that was migrated and filled, and that nobody uses."""
    folder = tmp_path_factory.mktemp("filled")
    with servers(folder) as start:
        start(*SMALL, DATA_DIR=str(folder / "data"))
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def data(filled, tmp_path):
    """A copy of it for one test."""
    return shutil.copytree(filled, tmp_path / "data")


@pytest.fixture(scope="module")
def private(filled, tmp_path_factory):
    """The accounts of a database that runs without a server; `data` and `run` are its directories."""
    folder = tmp_path_factory.mktemp("private") / "data"
    shutil.copytree(filled, folder)
    with embedded.Embedded(folder, tell=lambda line: None) as accounts:
        give_rights(accounts.owner, embedded.ACCOUNT, STATEMENTS)
        yield accounts
    shutil.rmtree(folder)


def databases(folder):
    """Return the ids of the database processes on this data."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"--datadir={folder / 'mariadb'}".encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def ends(folder, seconds=20):
    """Wait until no database runs on this data; return whether that happened."""
    deadline = time.monotonic() + seconds
    while databases(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def products(folder):
    """Return how many products the running database on this data has, those that are not sold included."""
    owner = DatabaseUrl(embedded.DATABASE, embedded.user(), unix_socket=str((folder / "run" / "s").resolve()))
    return execute(owner, "SELECT COUNT(*) AS number FROM products")[0]["number"]


# Beginning


def test_the_first_start_makes_migrates_and_fills_a_database_and_answers(first):
    assert "Making a private MariaDB" in first.log
    assert len(re.findall(r"^Applying 0", first.log, re.M)) == len(list((ROOT / "migrations").glob("*.up.sql")))
    assert first.request("/api/ready").status == 200
    assert first.request("/api/products").json["data"]["pagination"]["total"] > 400
    assert products(first.data) == 500
    assert not (first.data / "fresh").exists()


def test_a_later_start_takes_what_is_there(start, data):
    again = start(*SMALL, DATA_DIR=str(data))

    assert not re.search("Making|Applying|Filling", again.log)
    assert again.request("/api/ready").status == 200
    assert products(data) == 500


@pytest.mark.parametrize("left", ["nothing", "categories", "everything"])
def test_a_first_start_that_was_cut_short_is_made_good_by_the_next(start, data, left):
    with embedded.Embedded(data) as accounts:
        for table in {"nothing": ("products", "categories"), "categories": ("products",)}.get(left, ()):
            execute(accounts.owner, f"DELETE FROM {table}")
    (data / "fresh").touch()

    start(*SMALL, DATA_DIR=str(data))

    assert products(data) == 500
    assert not (data / "fresh").exists()


def test_a_catalogue_that_was_filled_by_hand_before_the_first_start_is_kept(start, tmp_path):
    settings = {"DATA_DIR": str(tmp_path / "data")}
    assert command("migrate", **settings).returncode == 0
    assert command("seed", "--products", "7", **settings).returncode == 0

    start(*SMALL, **settings)

    assert products(tmp_path / "data") == 7


def test_data_that_was_half_made_is_made_anew(start, tmp_path):
    half = tmp_path / "data" / "mariadb.new"
    half.mkdir(parents=True)
    (half / "ibdata1").write_bytes(b"half")

    start(*SMALL, DATA_DIR=str(tmp_path / "data"))

    assert products(tmp_path / "data") == 500
    assert not half.exists()


# One at a time


def test_a_second_server_on_the_same_data_ends_at_once_and_names_the_first(first, lag):
    started = time.monotonic()

    second = command("serve", "--port", str(first.port + 1), DATA_DIR=str(first.data))

    assert time.monotonic() - started < lag.bound(10, started)
    assert second.returncode == 1
    assert second.stderr == (
        f"Another server.py (process {first.process.pid}) already runs on the data in {first.data}. "
        "Stop it first, or give this one data of its own (DATA_DIR) and a port of its own (PORT).\n"
    )
    assert first.request("/api/ready").status == 200


@pytest.mark.parametrize(
    ("words", "said"),
    [(["migrate", "status"], "0001_categories"), (["check"], "all right."), (["migrate"], "the schema is current")],
    ids=" ".join,
)
def test_other_commands_use_the_database_of_the_running_server(first, words, said):
    done = command(*words, DATA_DIR=str(first.data))

    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert first.request("/api/ready").status == 200


def test_seeding_the_running_shop_asks_and_changes_nothing_where_nobody_answers(first):
    done = command("seed", DATA_DIR=str(first.data), input="")

    assert done.returncode == 1
    assert "The catalogue has 500 products" in done.stderr and "seed --yes" in done.stderr
    assert products(first.data) == 500


def test_a_command_without_a_running_server_has_the_database_for_as_long_as_it_takes(data):
    done = command("migrate", "status", DATA_DIR=str(data))

    assert done.returncode == 0
    assert not databases(data)
    assert not (data / "run").is_symlink()


# Who may do what


def test_a_folder_may_have_any_name_and_preparations_are_not_printed_to_standard_output(tmp_path):
    """mariadb-install-db would give a path with a space to chown in pieces."""
    done = command("migrate", "status", DATA_DIR=str(tmp_path / 'My Shöp\'s "data"'))

    assert done.stdout.startswith("migration ") and "0001_categories" in done.stdout, done.stderr
    assert done.stderr.startswith("Making a private MariaDB in ")


def test_it_has_no_network(private):
    assert execute(private.owner, "SELECT @@skip_networking AS off") == [{"off": 1}]


def test_its_socket_is_open_to_this_user_alone(first):
    run = (first.data / "run").resolve()

    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert {path.name.partition("-")[0] for path in run.iterdir()} == {"s", "counters"}  # the latter is server.py top's
    assert len(str(run / "s")) < 104


def granted(login, whose=""):
    """Return what an account may do beside logging in: {table: rights}."""
    grants = [next(iter(row.values())) for row in execute(login, f"SHOW GRANTS {whose}")]
    assert grants[0].startswith("GRANT USAGE ON *.* TO `shop`@`localhost`")
    found = [re.fullmatch(r"GRANT (.*) ON `shop`.`(\w+)` TO `shop`@`localhost`", grant) for grant in grants[1:]]
    return {match[2]: match[1] for match in found}


def test_the_application_may_read_and_change_the_rows_of_each_table_as_it_needs_and_nothing_else(private):
    assert granted(private.application) == RIGHTS


def test_the_application_may_add_to_the_audit_trail_and_change_nothing_of_it(private):
    execute(
        private.application,
        "INSERT INTO audit_entries (user_id, user_name, entity, entity_id, action) VALUES (1, 'a', 'product', 1, 'x')",
    )

    for statement in (
        "UPDATE audit_entries SET action = 'y'",
        "DELETE FROM audit_entries",
        "REPLACE INTO audit_entries SELECT * FROM audit_entries",
        "INSERT INTO audit_entries SELECT * FROM audit_entries AS a ON DUPLICATE KEY UPDATE action = 'y'",
        "UPDATE schema_migrations SET checksum = ''",
        "DELETE FROM schema_migrations",
    ):
        with pytest.raises(pymysql.MySQLError) as refused:
            execute(private.application, statement)
        assert drivers.number(refused.value) == 1142, statement
    assert execute(private.application, "SELECT action FROM audit_entries") == [{"action": "x"}]


def test_data_of_an_earlier_version_gets_the_rights_of_this_one_at_the_next_start(start, data):
    with embedded.Embedded(data, tell=lambda line: None) as accounts:
        execute(accounts.owner, "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO shop@localhost")

    start(*SMALL, DATA_DIR=str(data))

    owner = dataclasses.replace(accounts.owner, unix_socket=str((data / "run" / "s").resolve()))
    assert granted(owner, "FOR shop@localhost") == RIGHTS


def test_a_file_that_needs_another_right_has_it_after_sighup(data, program_copy, tmp_path):
    with servers(tmp_path, home=program_copy) as start:
        real = start(*SMALL, DATA_DIR=str(data))
        owner = DatabaseUrl(embedded.DATABASE, embedded.user(), unix_socket=str((data / "run" / "s").resolve()))
        header = "-- Forgets an entry.\n-- used by: server.py chores\n-- returns: count\n-- changes: audit_entries\n"
        body = "-- params:\n--   id  the entry\nDELETE FROM audit_entries WHERE id = %(id)s\n"
        (program_copy / "sql/audit/forget.sql").write_text(header + body)

        real.process.send_signal(signal.SIGHUP)
        real.wait_for("the shop is wired anew")

        assert granted(owner, "FOR shop@localhost") == RIGHTS | {"audit_entries": "SELECT, INSERT, DELETE"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (id INT)",
        "DROP TABLE products",
        "ALTER TABLE products ADD COLUMN x INT",
        "TRUNCATE products",
        "CREATE DATABASE other",
        "SELECT COUNT(*) FROM mysql.user",
        "SELECT 1 INTO OUTFILE '/tmp/bodega-test-outfile'",
        "SET GLOBAL max_connections = 1",
    ],
)
def test_the_application_is_refused_what_changes_more_than_rows(private, statement):
    with pytest.raises(pymysql.MySQLError) as refused:
        execute(private.application, statement)

    assert drivers.number(refused.value) in (1044, 1045, 1142, 1227)


@pytest.mark.parametrize("password", ["", "shop", "root"])
def test_nobody_logs_in_as_the_application_without_its_password(private, password):
    with pytest.raises(pymysql.MySQLError) as refused:
        execute(dataclasses.replace(private.application, password=password), "SELECT 1")

    assert drivers.number(refused.value) == 1045


def test_the_password_of_the_application_is_on_no_disk(private):
    socket = pathlib.Path(private.owner.unix_socket)
    folders = [socket.parent, pathlib.Path(execute(private.owner, "SELECT @@datadir AS d")[0]["d"]).parent]

    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    assert len(files) > 50
    assert not [path for path in files if private.application.password.encode() in path.read_bytes()]
    assert private.application.password not in repr(private)


def test_the_password_is_another_one_each_time(private, data):
    with embedded.Embedded(data) as accounts:
        assert accounts.application.password != private.application.password
        assert len(accounts.application.password) >= 32


# Ending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_server_and_leaves_nothing_behind(start, data, number):
    real = start(*SMALL, DATA_DIR=str(data))
    run = (data / "run").resolve()
    assert len(databases(data)) == 1 and run.is_dir()

    os.killpg(real.process.pid, number)

    assert real.process.wait(LONG) == 0
    assert not databases(data)
    assert not run.exists() and not (data / "run").is_symlink()
    assert "Traceback" not in real.log
    assert "Shutdown complete" in (data / "mariadb.log").read_text()


def test_ctrl_c_while_it_starts_leaves_nothing_running(start, tmp_path):
    data = tmp_path / "data"
    real = start(*SMALL, DATA_DIR=str(data), wait=False)
    real.wait_for("Applying 0001")

    os.killpg(real.process.pid, signal.SIGINT)

    assert real.process.wait(LONG) == 0
    assert not databases(data)
    assert not (data / "run").is_symlink()
    assert "Traceback" not in real.log


def test_it_ends_when_its_server_is_killed_and_the_next_start_has_all_the_data(start, data):
    real = start(*SMALL, DATA_DIR=str(data))
    run = (data / "run").resolve()
    added = real.request("/api/cart/items", "POST", {"product_id": 1, "quantity": 1}, Session_ID="visitor")
    if added.status != 201:  # sold out
        added = real.request("/api/cart/items", "POST", {"product_id": 2, "quantity": 1}, Session_ID="visitor")
    assert added.status == 201

    real.process.kill()
    gone = ends(data)
    again = start(*SMALL, DATA_DIR=str(data))

    assert gone
    assert products(data) == 500
    assert again.request("/api/cart", Session_ID="visitor").json["data"]["item_count"] == 1
    assert not run.exists()


def test_a_start_right_after_a_kill_waits_for_the_old_database_to_end(start, data):
    real = start(*SMALL, DATA_DIR=str(data))
    orphan = databases(data)

    real.process.kill()
    real.process.wait()
    again = start(*SMALL, DATA_DIR=str(data))

    assert again.request("/api/ready").status == 200
    assert len(databases(data)) == 1 and databases(data) != orphan


def test_a_database_that_nobody_looks_after_any_more_is_ended(data):
    with embedded.Embedded(data):
        before = databases(data)

        embedded_process.end_orphan(data)

        assert len(before) == 1 and not databases(data)


def test_a_process_that_has_the_number_of_a_former_database_is_left_alone(tmp_path):
    bystander = subprocess.Popen(["sleep", "30"])
    (tmp_path / "mariadb.pid").write_text(f"{bystander.pid}\n")

    embedded_process.end_orphan(tmp_path)

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_copy_of_the_data_does_not_take_the_socket_of_the_original(start, first, tmp_path):
    copied = tmp_path / "data"
    copied.mkdir()
    (copied / "run").symlink_to((first.data / "run").resolve())

    other = start(*SMALL, DATA_DIR=str(copied))

    assert other.request("/api/ready").status == 200
    assert command("migrate", "status", DATA_DIR=str(first.data)).returncode == 0
    assert first.request("/api/ready").status == 200


# What goes wrong


@pytest.mark.parametrize("name", ["ibdata1", "aria_log_control"])
def test_a_database_that_cannot_start_shows_what_it_says(data, name):
    (data / "mariadb" / name).write_bytes(b"garbage" * 3000)

    done = command("migrate", DATA_DIR=str(data))

    assert done.returncode == 1
    assert f"The private MariaDB in {data} does not start. Its log ({data}/mariadb.log) ends:" in done.stderr
    assert "[ERROR]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not databases(data) and not (data / "run").is_symlink()


def test_what_it_says_before_it_has_a_log_is_shown_too(data, tmp_path):
    false = tmp_path / "bin" / "mariadbd"
    false.parent.mkdir()
    false.write_text("#!/bin/sh\necho 'mariadbd: error while loading shared libraries' >&2\nexit 127\n")
    false.chmod(0o755)
    (data / "mariadb.log").unlink()

    done = command("migrate", DATA_DIR=str(data), PATH=f"{false.parent}:{os.environ['PATH']}")

    assert done.returncode == 1
    assert "error while loading shared libraries" in done.stderr


def test_when_the_database_dies_by_itself_the_server_says_so_and_ends(start, data):
    """So that its supervisor (systemd, a person) starts both anew."""
    shop = start(DATA_DIR=str(data))

    os.kill(int((data / "mariadb.pid").read_text()), signal.SIGKILL)

    assert shop.process.wait(LONG) == 1
    assert "The embedded MariaDB has ended by itself; so do we." in shop.log


def test_another_servers_temporary_tables_are_left_alone(data):
    theirs = pathlib.Path(tempfile.gettempdir(), f"#sql-temptable-bodega-{os.getpid()}.MAI")
    theirs.touch()
    try:
        with embedded.Embedded(data, tell=lambda line: None):
            assert theirs.exists()
    finally:
        theirs.unlink(missing_ok=True)


@pytest.mark.slow
def test_another_servers_temporary_tables_are_left_alone_when_the_data_are_made(tmp_path):
    theirs = pathlib.Path(tempfile.gettempdir(), f"#sql-temptable-bodega-made-{os.getpid()}.MAI")
    theirs.touch()
    try:
        embedded.Embedded(tmp_path / "data", tell=lambda line: None)._create()
        assert theirs.exists()
    finally:
        theirs.unlink(missing_ok=True)


@pytest.mark.parametrize(("machine", "pool"), [(512 << 20, 256 << 20), (4 << 30, 1 << 30), (64 << 30, 2 << 30)])
def test_the_database_takes_a_quarter_of_the_memory_within_bounds(monkeypatch, machine, pool):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": machine // 4096}.get)

    assert embedded.pool_size() == pool
