"""Migrations: up, down and status; what stops them, and that the sentence then helps.

The migrations of these tests have numbers from 9000 on and tables called trial_…; both are removed after each test.
"""

import os
import re
import subprocess
import threading

import pytest
from helpers import as_url, command

from commands import migrate
from core.cli import CommandError
from core.db import migrations, migrator
from core.db.migrator import Migrator
from core.setup import system

ROWS = "SELECT version, name, checksum, finished_at FROM schema_migrations WHERE version >= 9000 ORDER BY version"
OURS = "WHERE table_schema = DATABASE() AND table_name <> 'schema_migrations' ORDER BY table_name"
TYPED = re.compile(r"type: ((?:UPDATE|DELETE) [^;]+)(?:;|$)")


def schema(sql):
    """Return each table's definition, without the number that its next row gets."""
    tables = [row["name"] for row in sql("SELECT table_name AS name FROM information_schema.tables " + OURS)]
    shown = {table: sql(f"SHOW CREATE TABLE {table}")[0]["Create Table"] for table in tables}
    return {table: re.sub(r" AUTO_INCREMENT=\d+", "", text) for table, text in shown.items()}


def stop_words_are_found(sql):
    """Whether the search index holds words that InnoDB leaves out by default."""
    sql("INSERT INTO products (name, price) VALUES ('The Lamp of the Who', 1)")
    (row,) = sql("SELECT COUNT(*) AS n FROM products WHERE MATCH (name, description) AGAINST ('+the' IN BOOLEAN MODE)")
    return row["n"] == 1


# Up


def test_up_applies_what_is_pending_in_order_and_says_so(trial):
    trial.table("9002_second")
    trial.table("9001_first")

    names = trial.migrator.up()

    assert names == ["9001_first", "9002_second"]
    assert trial.said == ["Applying 9001_first.", "Applying 9002_second."]
    assert trial.tables() == ["9001", "9002"]


def test_up_says_before_it_begins_how_long_a_migration_takes_that_says_so(trial):
    trial.write("9001_first", "-- takes: a minute for a million rows\nCREATE TABLE trial_{n} (id INT PRIMARY KEY);\n")
    trial.write("9002_second", "SYNTAX ERROR", "SELECT 1")

    trial.stopped("up")

    assert trial.said[0] == "Applying 9001_first, which takes a minute for a million rows."


def test_up_records_version_name_checksum_and_when_it_was_finished(trial):
    trial.table("9001_first")

    trial.migrator.up()

    (row,) = trial.sql(ROWS)
    assert (row["version"], row["name"]) == (9001, "9001_first")
    assert re.fullmatch("[0-9a-f]{64}", row["checksum"])
    assert row["finished_at"] is not None


def test_up_does_nothing_where_nothing_is_pending(trial):
    trial.table("9001_first")
    trial.migrator.up()

    assert trial.migrator.up() == []


def test_a_migration_below_the_newest_applied_one_is_applied_too(trial):
    trial.table("9002_second")
    trial.migrator.up()
    trial.table("9001_first")

    assert trial.migrator.up() == ["9001_first"]


@pytest.mark.parametrize("end", ["", "\n-- the end\n", "\n/* the end */"])
def test_a_comment_may_stand_at_the_end(trial, end):
    trial.write("9001_first", "CREATE TABLE trial_{n} (id INT NOT NULL PRIMARY KEY);" + end)

    trial.migrator.up()

    assert trial.words() == ["applied"]


def test_percent_signs_are_no_parameters(trial):
    trial.write("9001_first", "CREATE TABLE trial_{n} (a INT COMMENT '100 %, %s and %(x)s');")

    trial.migrator.up()

    assert "'100 %, %s and %(x)s'" in trial.sql("SHOW CREATE TABLE trial_9001")[0]["Create Table"]


def test_line_ends_do_not_count_as_an_edit(trial):
    trial.table("9001_first")
    trial.migrator.up()
    path = trial.folder / "9001_first.up.sql"

    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert trial.words() == ["applied"]


def test_two_ups_at_once_apply_each_migration_once_and_both_succeed(trial):
    for name in ("9001_first", "9002_second"):
        trial.table(name)
    said, waiting, results = [], threading.Semaphore(0), []

    def say(line):
        said.append(line)
        if "waiting" in line:
            waiting.release()

    def up():
        results.append(Migrator(trial.url, say, trial.folder).up())

    both = [threading.Thread(target=up, daemon=True) for _ in range(2)]
    with trial.migrator.locked():
        for thread in both:
            thread.start()
        arrived = [waiting.acquire(timeout=60) for _ in both]
    for thread in both:
        thread.join(60)

    assert arrived == [True, True]
    assert sorted(results) == [[], ["9001_first", "9002_second"]]
    assert said.count("Applying 9001_first.") == said.count("Applying 9002_second.") == 1
    assert trial.words() == ["applied", "applied"]


def test_up_gives_up_with_a_sentence_when_another_one_takes_too_long(trial, monkeypatch):
    monkeypatch.setattr(migrator, "LOCK_TIMEOUT", 0)

    with trial.migrator.locked():
        said = trial.stopped("up")

    assert said == "Another migration has been running for 0 s. Try again when it is done."


# Down


def test_down_takes_the_newest_back_and_only_it(trial):
    trial.table("9001_first")
    trial.table("9002_second")
    trial.migrator.up()

    assert trial.migrator.down() == "9002_second"
    assert trial.tables() == ["9001"]
    assert trial.words() == ["applied", "pending"]


@pytest.mark.slow
def test_down_asks_first_and_without_anybody_to_answer_says_what_to_type(accounts):
    done = command("migrate", "down", DATABASE_URL=as_url(accounts.owner), input="")

    assert done.returncode == 1
    assert "if you mean it: python3 server.py migrate down --yes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("answer", "taken"), [("y", True), ("Yes ", True), ("n", False), ("", False)])
def test_down_does_what_the_answer_says(trial, monkeypatch, answer, taken):
    trial.table("9001_first")
    trial.migrator.up()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    if taken:
        migrate.go(trial.migrator, "down", None, sure=False, blocking=False)
    else:
        with pytest.raises(CommandError, match="Nothing was changed"):
            migrate.go(trial.migrator, "down", None, sure=False, blocking=False)

    assert trial.words() == ["pending" if taken else "applied"]


@pytest.mark.slow
def test_every_real_migration_goes_down_and_up_again_to_the_same_schema(sql, accounts):
    migrator = Migrator(accounts.owner, lambda line: None)
    names = [migration.name for migration in migrations.files()]
    before = schema(sql)

    try:
        taken = list(iter(migrator.down, None))
        empty = schema(sql)
    finally:
        put_back = migrator.up()

    assert taken == names[::-1]
    assert put_back == names
    assert empty == {}
    assert schema(sql) == before


def test_stop_words_are_searched_for(sql):
    assert stop_words_are_found(sql)


# The plain client


@pytest.fixture
def plain_client(accounts):
    """`plain_client(text)`: run SQL with the mysql or mariadb program; skip where there is none that can log in."""
    program = system.program("mariadb", "mysql")
    if not program:
        pytest.skip("this machine has no mysql client")
    url = accounts.owner
    where = [f"--socket={url.unix_socket}"] if url.unix_socket else [f"--host={url.host}", f"--port={url.port}"]

    def run(text):
        return subprocess.run(
            [program, "--no-defaults", "--default-character-set=utf8mb4", *where, f"--user={url.user}", url.database],
            input=text,
            env={"PATH": os.environ["PATH"], "MYSQL_PWD": url.password},
            capture_output=True,
            text=True,
        )

    done = run("SELECT 1;")
    if done.returncode:
        pytest.skip(f"this machine's mysql client cannot log in there: {done.stderr.strip()}")
    return run


@pytest.mark.slow
def test_both_directions_run_with_the_plain_client_too(plain_client, sql):
    before = schema(sql)
    real = migrations.files()

    done = [plain_client(migration.down) for migration in reversed(real)]
    empty = schema(sql)
    done += [plain_client(migration.up) for migration in real]

    assert [(run.returncode, run.stderr) for run in done] == [(0, "")] * (2 * len(real))
    assert empty == {}
    assert schema(sql) == before
    assert stop_words_are_found(sql)


# Status


def test_status_is_a_table_of_every_state(trial, capsys):
    for name in ("9001_applied", "9002_edited", "9003_half"):
        trial.table(name)
    trial.migrator.up()
    trial.table("9004_pending")
    (trial.folder / "9002_edited.up.sql").write_text("SELECT 1;")
    trial.sql("UPDATE schema_migrations SET finished_at = NULL WHERE version = 9003")
    trial.sql("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_newer', '')")

    status = migrate.status(trial.migrator.state())
    lines = capsys.readouterr().out.splitlines()

    table = {line.split()[0]: re.split(r"  +", line)[1:] for line in lines[: lines.index("")]}
    assert status == 1
    assert table["migration"] == ["state", "applied at (UTC)"]
    assert table["0001_categories"][0] == table["9001_applied"][0] == "applied"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", table["9001_applied"][1])
    assert table["9002_edited"][0] == "edited"
    assert table["9003_half"] == ["half-applied"]
    assert table["9004_pending"] == ["pending"]
    assert table["9999_newer"] == ["unknown here"]
    assert lines[-1].startswith("Migration 9002_edited was edited after it had been applied.")


def test_status_of_a_current_schema_succeeds(accounts):
    done = command("migrate", "status", DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"^\d{4}_\w+ +applied ", done.stdout, re.M)) == len(migrations.files())


def test_status_says_how_to_apply_what_is_pending(trial, capsys):
    trial.table("9001_first")

    status = migrate.status(trial.migrator.state())

    assert status == 1
    assert capsys.readouterr().out.endswith("1 pending. Apply them: python3 server.py migrate\n")


# What stops them


def test_an_edited_file_stops_both_ways_and_putting_it_back_helps(trial):
    trial.table("9001_first")
    trial.migrator.up()
    path = trial.folder / "9001_first.up.sql"
    good = path.read_text()
    path.write_text(good + "-- improved\n")
    trial.table("9002_second")

    said = {trial.stopped("up"), trial.stopped("down")}
    tables = trial.tables()
    path.write_text(good)

    assert len(said) == 1
    assert "Put the file back as it was and write a new migration." in said.pop()
    assert tables == ["9001"]
    assert trial.migrator.up() == ["9002_second"]


def test_an_edited_file_is_accepted_by_what_the_sentence_says_to_type(trial):
    trial.table("9001_first")
    trial.migrator.up()
    path = trial.folder / "9001_first.up.sql"
    path.write_text(path.read_text() + "-- improved\n")

    (typed,) = TYPED.findall(trial.stopped("up"))
    trial.sql(typed)

    assert trial.words() == ["applied"]
    assert trial.migrator.up() == []


@pytest.fixture
def half(trial):
    """A trial whose second statement of 9001 fails, and what `up` says of it."""
    trial.write("9001_first", "CREATE TABLE trial_{n} (id INT);\nALTER TABLE trial_{n} DROP COLUMN nothing;\n")
    trial.table("9002_second")
    return trial, trial.stopped("up")


def test_a_file_whose_second_statement_fails_is_recorded_as_half_applied(half):
    trial, said = half

    assert said.startswith("migrations/9001_first.up.sql: statement 2 failed: ")
    assert "1 statement(s) before it are done. Migration 9001_first broke off half-way." in said
    assert trial.words() == ["half-applied", "pending"]


def test_nothing_goes_past_a_half_applied_migration(half):
    trial, said = half

    again = {trial.stopped("up"), trial.stopped("down")}

    assert len(again) == 1
    assert said.endswith(again.pop())
    assert trial.tables() == ["9001"]


def test_a_half_applied_migration_is_finished_by_hand_as_the_sentence_says(half):
    trial, said = half
    finish, _ = TYPED.findall(said)

    trial.sql("ALTER TABLE trial_9001 ADD COLUMN b INT")
    trial.sql(finish)

    assert trial.migrator.up() == ["9002_second"]


def test_a_half_applied_migration_is_undone_by_hand_as_the_sentence_says(half):
    trial, said = half
    _, undo = TYPED.findall(said)
    trial.table("9001_first")

    trial.sql("DROP TABLE trial_9001")
    trial.sql(undo)

    assert trial.migrator.up() == ["9001_first", "9002_second"]


def test_rows_of_statements_before_the_failing_one_are_kept_as_the_sentence_says(trial):
    trial.table("9001_first")
    trial.write("9002_rows", "INSERT INTO trial_9001 VALUES (7);\nSELECT nothing FROM trial_9001;\n", "SELECT 1;")

    said = trial.stopped("up")

    assert "1 statement(s) before it are done." in said
    assert trial.sql("SELECT id FROM trial_9001") == [{"id": 7}]


def test_a_file_whose_first_statement_fails_leaves_nothing_recorded(trial):
    trial.write("9001_first", "CREATE TABEL trial_{n} (id INT);\n")

    said = trial.stopped("up")

    assert said.startswith("migrations/9001_first.up.sql: statement 1 failed: ")
    assert said.endswith("Nothing was changed. Correct the file, then type: python3 server.py migrate up")
    assert trial.sql(ROWS) == []
    trial.table("9001_first")
    assert trial.migrator.up() == ["9001_first"]


def test_an_empty_file_is_refused(trial):
    trial.write("9001_first", "\n")

    assert "Nothing was changed." in trial.stopped("up")
    assert trial.words() == ["pending"]


def test_a_way_down_whose_first_statement_fails_leaves_the_migration_applied(trial):
    trial.write("9001_first", "CREATE TABLE trial_{n} (id INT);\n", "DROP TABLE nothing;\n")
    trial.migrator.up()

    said = trial.stopped("down")

    assert said.endswith("Nothing was changed. Correct the file, then type: python3 server.py migrate down")
    assert trial.words() == ["applied"]


def test_a_way_down_that_breaks_off_is_half_applied_and_can_be_put_right_both_ways(trial):
    down = "ALTER TABLE trial_{n} DROP COLUMN b;\nDROP TABLE nothing;\nDROP TABLE trial_{n};\n"
    trial.write("9001_first", "CREATE TABLE trial_{n} (a INT, b INT);\n", down)
    trial.migrator.up()

    said = trial.stopped("down")
    finish, undo = TYPED.findall(said)

    assert "migrations/9001_first.down.sql: statement 2 failed" in said
    assert trial.words() == ["half-applied"]
    trial.sql("ALTER TABLE trial_9001 ADD COLUMN b INT")
    trial.sql(finish)
    assert trial.words() == ["applied"]
    trial.sql("DROP TABLE trial_9001")
    trial.sql(undo)
    assert trial.words() == ["pending"]


def test_a_migration_that_loses_its_connection_stays_recorded_because_it_may_be_done(trial):
    trial.write("9001_first", "KILL CONNECTION_ID();\n")

    said = trial.stopped("up")

    assert "Nothing was changed" not in said
    assert "Migration 9001_first broke off half-way." in said
    assert trial.words() == ["half-applied"]


def test_a_version_that_only_the_database_knows_stops_down_but_not_up(trial):
    trial.sql("INSERT INTO schema_migrations VALUES (9999, '9999_newer', '', NOW(), NOW())")
    trial.table("9001_first")

    assert trial.migrator.up() == ["9001_first"]
    assert trial.stopped("down") == "9999_newer comes from a newer release; go back with that release's files."
    assert trial.tables() == ["9001"]


# Files


BADLY_NAMED = "should be called NNNN_name.up.sql or NNNN_name.down.sql. Rename it."
WRONG = {
    ("1_short.up",): f"migrations/1_short.up.sql {BADLY_NAMED}",
    ("9001_Loud.up",): f"migrations/9001_Loud.up.sql {BADLY_NAMED}",
    ("no_number.up",): f"migrations/no_number.up.sql {BADLY_NAMED}",
    ("9001_a.up",): "migrations/9001_a.down.sql is missing. Write the other direction of 9001_a.",
    ("9001_a.down",): "migrations/9001_a.up.sql is missing. Write the other direction of 9001_a.",
    ("9001_a.up", "9001_a.down", "9001_b.up", "9001_b.down"): (
        "Two migrations have the number 9001: 9001_a and 9001_b. Renumber one."
    ),
}


@pytest.mark.parametrize("names", WRONG, ids=" ".join)
def test_files_with_a_wrong_name_or_number_give_a_sentence(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.sql").touch()

    with pytest.raises(CommandError) as caught:
        migrations.files(tmp_path)

    assert str(caught.value) == WRONG[names]


def test_a_file_that_is_not_utf_8_gives_a_sentence(tmp_path):
    for way in ("up", "down"):
        (tmp_path / f"9001_first.{way}.sql").write_bytes("-- é".encode("latin-1"))

    with pytest.raises(CommandError, match=r"migrations/9001_first\.down\.sql is not UTF-8"):
        migrations.files(tmp_path)


def test_other_files_beside_them_are_left_alone(tmp_path):
    (tmp_path / "README.md").touch()

    assert migrations.files(tmp_path) == []


# Ready


@pytest.fixture
def newest(sql):
    """The newest real migration's name, whose row the test may change; it is put back."""
    (row,) = sql("SELECT * FROM schema_migrations ORDER BY version DESC LIMIT 1")
    yield row["name"]
    sql("DELETE FROM schema_migrations WHERE version = %s", [row["version"]])
    sql("INSERT INTO schema_migrations VALUES (%s, %s, %s, %s, %s)", list(row.values()))


def test_ready_is_503_and_names_what_is_pending(client, sql, newest):
    sql("DELETE FROM schema_migrations WHERE name = %s", [newest])

    answer = client.get("/api/ready")

    assert answer.status_int == 503
    assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert answer.json["error"]["details"]["pending"] == [newest]
    assert newest in answer.json["error"]["message"]


@pytest.mark.parametrize("change", ["finished_at = NULL", "checksum = ''"], ids=["half-applied", "edited"])
def test_ready_is_503_where_a_migration_is_in_disorder(client, sql, newest, change):
    sql(f"UPDATE schema_migrations SET {change} WHERE name = %s", [newest])

    assert client.get("/api/ready").status_int == 503


def test_a_newer_releases_migration_leaves_the_shop_ready(client, trial):
    trial.sql("INSERT INTO schema_migrations VALUES (9999, '9999_newer', '', NOW(), NOW())")

    assert client.get("/api/ready").status_int == 200
