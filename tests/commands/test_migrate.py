"""`server.py migrate`: to a version, plan, baseline, and what it refuses; up, down and status are in tests/core/db."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import as_url, command, environment, execute, execute_script

from commands import migrate
from commands import migrate_scratch as scratch
from commands.migrate_plan import online
from commands.migrate_rows import LARGE
from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.migrator import Migrator
from core.setup.system import ROOT

ELSEWHERE = DatabaseUrl("shop", "migrator", "Secret-Blue-42", "db.example", 3307)
TWO_DIGITS = "(SELECT a.n * 10 + b.n AS n FROM ({0}) AS a, ({0}) AS b)".format(
    " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
)
ROWS = f"SELECT a.n * 10000 + b.n * 100 + c.n FROM {TWO_DIGITS} AS a, {TWO_DIGITS} AS b, {TWO_DIGITS} AS c LIMIT {{}}"


@pytest.fixture(autouse=True)
def with_an_empty_copy(accounts):
    """Skip where the account may not have one, as on a server that was given to the tests with less."""
    try:
        with scratch.scratch(accounts.owner):
            pass
    except scratch.MayNot as error:
        pytest.skip(str(error))


@pytest.fixture
def big(trial, sql):
    """A Trial with the table trial_big, of more rows than may be made to wait."""
    trial.write("9000_big", "CREATE TABLE trial_big (id INT NOT NULL PRIMARY KEY, a INT NULL);", "SELECT 1;")
    trial.migrator.up()
    sql(f"INSERT INTO trial_big (id) {ROWS.format(LARGE + 1)}")
    return trial


def go(trial, way="up", to=None, sure=True, blocking=False):
    """Do what `migrate` does; return the exit status."""
    return migrate.go(trial.migrator, way, to, sure, blocking)


def refused(trial, **options):
    """Return what `migrate` says where it refuses, and that it changed nothing."""
    before = trial.words()
    with pytest.raises(CommandError) as caught:
        go(trial, **options)
    assert trial.words() == before
    return str(caught.value)


# To a version


def test_to_a_version_goes_up_to_it_and_no_further(trial, capsys):
    for name in ("9001_first", "9002_second", "9003_third"):
        trial.table(name)

    assert go(trial, to=9002) == 0

    assert trial.words() == ["applied", "applied", "pending"]
    assert capsys.readouterr().out.endswith("2 migration(s) applied.\n")


def test_to_a_version_takes_back_the_newest_first(trial):
    for name in ("9001_first", "9002_second", "9003_third"):
        trial.table(name)
    go(trial)
    trial.said.clear()

    go(trial, to=9001)

    assert trial.said == ["Taking back 9003_third.", "Taking back 9002_second."]
    assert trial.words() == ["applied", "pending", "pending"]


def test_to_a_version_takes_back_what_is_above_and_applies_what_is_missing_below(trial):
    trial.table("9003_third")
    go(trial)
    for name in ("9001_first", "9002_second"):
        trial.table(name)

    go(trial, to=9002)

    assert trial.words() == ["applied", "applied", "pending"]


def test_one_migrate_after_another_never_says_that_it_waits(trial):
    trial.table("9001_first")
    below = max(m.version for m in trial.migrator.state().migrations if m.version < 9000)

    for _ in range(10):
        go(trial)
        go(trial, to=below)

    assert set(trial.said) == {"Applying 9001_first.", "Taking back 9001_first."}


def test_to_a_version_asks_before_it_takes_back_and_names_all_of_it(trial, monkeypatch):
    for name in ("9001_first", "9002_second", "9003_third"):
        trial.table(name)
    go(trial)
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")

    assert refused(trial, to=9001, sure=False) == "Nothing was changed."

    assert asked == ["Taking back 9003_third, 9002_second removes what it made, with the data in it. Go on? [y/N] "]


def test_without_anybody_to_answer_it_says_what_to_type(trial, monkeypatch):
    trial.table("9001_first")
    go(trial)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    below = max(m.version for m in trial.migrator.state().migrations if m.version < 9000)

    assert refused(trial, to=below, sure=False).endswith(f"python3 server.py migrate --to {below} --yes")


def test_up_to_a_version_asks_nothing(trial, monkeypatch):
    trial.table("9001_first")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    assert go(trial, to=9001, sure=False) == 0


def test_a_version_that_is_not_there_is_a_sentence(trial):
    assert refused(trial, to=8999) == "There is no migration 8999. python3 server.py migrate status lists them."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "7"], "A version stands behind baseline only. Did you mean --to 7?"),
        (["down", "--to", "7"], "--to says where up and plan lead; down has no such option."),
        (["baseline", "--to", "7"], "--to says where up and plan lead; baseline has no such option."),
    ],
)
def test_options_of_another_way_are_refused(typed, words, said):
    assert typed("migrate", *words) == (2, "", said + "\n")


# Refused


def test_what_makes_writers_of_a_large_table_wait_is_refused_and_the_tool_that_does_not_is_named(big):
    big.write("9001_first", "-- why\nALTER TABLE trial_big\n    MODIFY a BIGINT NULL COMMENT 'it''s';\n", "SELECT 1;")

    said = refused(big)

    assert said.startswith(
        "Nothing was changed.\n\nThese statements make writers of a table with more than 100,000 rows"
    )
    assert "9001_first.up.sql: ALTER TABLE trial_big MODIFY a BIGINT NULL COMMENT 'it''s'" in said
    assert "COPY, LOCK=SHARED; writers wait; trial_big has about 1" in said
    (line,) = re.findall(r"^(?:pt-online-schema-change|gh-ost) .*$", said, re.M)
    words = shlex.split(line)
    assert words[words.index("--alter") + 1] == "MODIFY a BIGINT NULL COMMENT 'it''s'"
    assert "--ask-pass" in words and "--execute" in words
    assert said.endswith("\npython3 server.py migrate baseline 9001")


def test_what_makes_writers_wait_is_done_where_they_may(big, sql):
    big.write("9001_first", "ALTER TABLE trial_big MODIFY a BIGINT NULL;\n", "SELECT 1;")

    assert go(big, blocking=True) == 0

    assert "bigint" in sql("SHOW CREATE TABLE trial_big")[0]["Create Table"]


def test_what_makes_nobody_wait_is_done_with_a_large_table_too(big, sql):
    big.write(
        "9001_first", "ALTER TABLE trial_big ADD COLUMN b INT NULL;\nCREATE INDEX ix ON trial_big (b);\n", "SELECT 1;"
    )

    assert go(big) == 0

    assert "KEY `ix` (`b`)" in sql("SHOW CREATE TABLE trial_big")[0]["Create Table"]
    assert big.words() == ["applied", "applied"]


def test_small_tables_may_wait(trial):
    trial.write("9001_first", "CREATE TABLE trial_{n} (a INT);\nALTER TABLE trial_{n} MODIFY a BIGINT;\n")

    assert go(trial) == 0


def test_the_way_back_is_refused_for_the_same_reasons(big):
    big.write("9001_first", "SELECT 1;", "ALTER TABLE trial_big MODIFY a BIGINT;")
    go(big)

    said = refused(big, way="down")

    assert "9001_first.down.sql: ALTER TABLE trial_big MODIFY a BIGINT" in said
    assert said.endswith("\nDELETE FROM schema_migrations WHERE version = 9001;")


def test_the_lines_to_type_lead_past_the_one_that_blocks(big, sql):
    """They are typed here, with the statement itself in place of the tool."""
    big.table("9001_first")
    big.write("9002_second", "ALTER TABLE trial_big MODIFY a BIGINT;\nUPDATE trial_big SET a = 1;\n", "SELECT 1;")
    big.table("9003_third")

    *_, to_first, tool, in_parts, update, record = refused(big).splitlines()

    assert to_first == "python3 server.py migrate --to 9001"
    go(big, to=9001)
    assert tool.startswith(("pt-online-schema-change ", "gh-ost "))
    sql("ALTER TABLE trial_big MODIFY a BIGINT")
    assert (in_parts, update) == ("-- in parts, some thousand rows at a time:", "UPDATE trial_big SET a = 1;")
    sql(update)
    assert record == "python3 server.py migrate baseline 9002"
    assert migrate.record(big.migrator, 9002) == 0
    assert big.migrator.up() == ["9003_third"]


def test_a_statement_that_would_fail_stops_it_before_anything_is_done(big):
    big.table("9001_first")
    big.write(
        "9002_second", "ALTER TABLE trial_big ADD COLUMN b INT;\nALTER TABLE trial_big DROP COLUMN c;\n", "SELECT 1;"
    )

    said = refused(big)

    assert "9002_second.up.sql fails on an empty copy of the tables: ALTER TABLE trial_big DROP COLUMN c\n" in said
    assert big.words() == ["applied", "pending", "pending"]


# The tool


def test_the_line_for_a_tool_is_one_command_of_a_shell_without_the_password():
    change = "ADD COLUMN `a` VARCHAR(9) DEFAULT 'it''s $HOME; `x`' COMMENT \"b\""

    for gh_ost in (True, False):
        line = online("orders", change, ELSEWHERE, gh_ost)
        seen = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True
        ).stdout.splitlines()

        assert seen[seen.index("--alter") + 1] == change
        assert "--ask-pass" in seen and "--execute" in seen
        assert ELSEWHERE.password not in line


def test_the_line_says_where_the_table_is():
    assert online("orders", "ADD a INT", ELSEWHERE, gh_ost=False) == (
        "pt-online-schema-change --alter 'ADD a INT' --alter-foreign-keys-method auto "
        "--set-vars innodb_ft_enable_stopword=OFF --ask-pass --execute "
        "h=db.example,P=3307,u=migrator,D=shop,t=orders,A=utf8mb4"
    )
    assert online("orders", "ADD a INT", ELSEWHERE, gh_ost=True) == (
        "gh-ost --host db.example --port 3307 --user migrator --ask-pass --database shop --table orders "
        "--alter 'ADD a INT' --allow-on-master --execute"
    )
    socket = DatabaseUrl("shop", "root", unix_socket="/run/s")
    assert online("t", "ADD a INT", socket, gh_ost=False).endswith(" S=/run/s,u=root,D=shop,t=t,A=utf8mb4")


# Plan


def test_plan_shows_each_statement_with_what_it_does_and_changes_nothing(big, capsys):
    big.write(
        "9001_first",
        "-- a comment\nALTER TABLE trial_big ADD COLUMN b INT NULL;\nCREATE TABLE trial_n (\n    id INT\n);\n",
        "SELECT 1;",
    )

    status = migrate.plan(big.migrator, None)

    assert status == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"""migrations/9001_first\.up\.sql

    ALTER TABLE trial_big ADD COLUMN b INT NULL;
    -- INSTANT; nobody waits; trial_big has about 1\d\d,\d\d\d rows \(an estimate\)

    CREATE TABLE trial_n \(
        id INT
    \);
    -- nobody waits

""",
        said,
    ), said
    assert big.words() == ["applied", "pending"]


def test_plan_ends_with_1_where_migrate_would_refuse(big, capsys):
    big.write("9001_first", "ALTER TABLE trial_big MODIFY a BIGINT;\n", "SELECT 1;")

    assert migrate.plan(big.migrator, None) == 1
    assert "To let them wait: python3 server.py migrate --blocking" in capsys.readouterr().out


def test_plan_to_a_version_shows_the_way_back(trial, capsys):
    for name in ("9001_first", "9002_second"):
        trial.table(name)
    go(trial)
    capsys.readouterr()

    assert migrate.plan(trial.migrator, 9001) == 0

    assert capsys.readouterr().out.splitlines() == [
        "migrations/9002_second.down.sql",
        "",
        "    DROP TABLE trial_9002;",
        "    -- who uses the table waits for a moment",
        "",
    ]


def test_two_plans_at_once_do_not_disturb_each_other(trial):
    trial.table("9001_first")

    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(migrate.plan, Migrator(trial.url, lambda line: None, trial.folder), None) for _ in range(2)
        ]

    assert [each.result() for each in asked] == [0, 0]


@pytest.mark.slow
def test_a_plan_that_is_killed_leaves_nothing_for_the_next(trial, accounts, program_copy):
    many = "".join(f"CREATE TABLE trial_k{number} (id INT);\n" for number in range(200))
    (program_copy / "migrations" / "9001_first.up.sql").write_text(many)
    (program_copy / "migrations" / "9001_first.down.sql").write_text("SELECT 1;")
    here = {"cwd": program_copy, "env": environment(DATABASE_URL=as_url(accounts.owner))}
    begun = subprocess.Popen([sys.executable, "server.py", "migrate", "plan"], stdout=subprocess.DEVNULL, **here)
    there = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_name = 'trial_k7'"
    deadline = time.monotonic() + 30
    while not execute(accounts.owner, there, [scratch.name_of(accounts.owner)]):
        assert time.monotonic() < deadline and begun.poll() is None
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()

    done = command("migrate", "plan", home=program_copy, DATABASE_URL=as_url(accounts.owner))

    assert (done.returncode, done.stderr) == (0, "")
    assert "trial_k199" in done.stdout
    found = execute(accounts.owner, "SELECT schema_name AS n FROM information_schema.schemata")
    assert scratch.name_of(accounts.owner) not in {row["n"] for row in found}


def test_the_example_of_the_documentation_is_what_plan_says(trial, sql, capsys):
    if "MariaDB" not in sql("SELECT VERSION() AS v")[0]["v"]:
        pytest.skip("the example is of MariaDB")
    example = (ROOT / "docs" / "sql.md").read_text().split("    migrations/0099_brand.up.sql\n")[1]
    statement, told = re.findall(r"^ {8}(.*)$", example, re.M)[:2]
    trial.write("9001_brand", statement, "SELECT 1;")

    migrate.plan(trial.migrator, None)

    without_rows = told.replace("about 1,000,000 rows (an estimate)", "0 rows")
    assert capsys.readouterr().out == f"migrations/9001_brand.up.sql\n\n    {statement}\n    {without_rows}\n\n"


# Baseline


def test_baseline_says_what_differs_and_records_nothing(trial, capsys):
    trial.table("9001_first")
    execute_script(trial.url, "CREATE TABLE trial_9001 (id BIGINT NOT NULL PRIMARY KEY)")

    assert migrate.record(trial.migrator, None) == 1

    first, _, made, there = capsys.readouterr().out.splitlines()
    assert first.startswith("The database is not what these migrations make. Nothing was recorded.")
    assert made.startswith("- trial_9001: `id` int")
    assert there.startswith("+ trial_9001: `id` bigint")
    assert trial.words() == ["pending"]


def test_baseline_records_what_is_there(trial, capsys):
    trial.table("9001_first")
    execute_script(trial.url, "CREATE TABLE trial_9001 (id INT NOT NULL PRIMARY KEY)")

    assert [migrate.record(trial.migrator, None) for _ in range(2)] == [0, 0]

    assert capsys.readouterr().out.splitlines() == [
        "1 migration(s) recorded as applied: the database has what they make.",
        "Nothing to do: all of these are recorded.",
    ]
    assert trial.words() == ["applied"]


def test_baseline_takes_the_version_that_the_database_has(typed, accounts):
    status, said, errors = typed("migrate", "baseline", "8999", DATABASE_URL=as_url(accounts.owner))

    assert (status, said, errors) == (
        1,
        "",
        "There is no migration 8999. python3 server.py migrate status lists them.\n",
    )
