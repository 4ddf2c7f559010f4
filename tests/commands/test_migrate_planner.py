"""What a server grants for each statement of a migration, by an empty copy; and what is told of rows and writers."""

import contextlib
import textwrap

import pytest
from helpers import execute, execute_script

from commands import migrate_scratch as scratch
from commands.migrate_planner import Planner, held, planner
from commands.migrate_rows import LARGE
from commands.migrate_text import change_of, kind, one_line, parts
from core.cli import CommandError
from core.db import migrations
from core.db.drivers import connect

BASE = """
CREATE TABLE trial_parent (id INT NOT NULL PRIMARY KEY);
CREATE TABLE trial_plain (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n VARCHAR(100) NULL, q INT NOT NULL DEFAULT 1,
    parent_id INT NULL, twice INT GENERATED ALWAYS AS (q * 2) STORED, CONSTRAINT ck_trial_q CHECK (q > 0)
);
CREATE TABLE trial_words (id INT NOT NULL PRIMARY KEY, n VARCHAR(100), FULLTEXT KEY ft (n));
"""
NUMBERS = "WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n FROM s"
GRANTED = {  # statement: (MariaDB 10.11, MySQL 9.7)
    "ALTER TABLE trial_plain ADD COLUMN a INT NULL": ("INSTANT", "INSTANT"),
    "ALTER TABLE `trial_plain` DROP COLUMN a": ("INSTANT", "INSTANT"),
    "ALTER TABLE trial_plain MODIFY n VARCHAR(200) NULL": ("INSTANT", "INPLACE NONE"),
    "ALTER TABLE trial_plain ADD KEY ix_n (n), ADD COLUMN b INT": ("INPLACE NONE", "INPLACE NONE"),
    "CREATE UNIQUE INDEX uq_b USING BTREE ON trial_plain (b)": ("NOCOPY NONE", "INPLACE NONE"),
    "DROP INDEX uq_b ON trial_plain": ("NOCOPY NONE", "INPLACE NONE"),
    "ALTER TABLE trial_plain MODIFY q BIGINT NOT NULL DEFAULT 1": ("COPY SHARED", "COPY SHARED"),
    "ALTER TABLE trial_plain ADD COLUMN c INT, ALGORITHM=COPY": ("COPY SHARED", "COPY SHARED"),
    "ALTER TABLE trial_plain ADD COLUMN d INT, LOCK = SHARED": ("NOCOPY SHARED", "INPLACE SHARED"),
    "ALTER TABLE trial_plain ADD CONSTRAINT fk_trial FOREIGN KEY (parent_id) REFERENCES trial_parent (id)": (
        "COPY SHARED",
        "COPY SHARED",
    ),
    "SET SESSION foreign_key_checks = 0": ("", ""),
    "ALTER TABLE trial_plain DROP FOREIGN KEY fk_trial": ("INSTANT", "INPLACE NONE"),
    "ALTER TABLE trial_plain ADD CONSTRAINT fk_again FOREIGN KEY (parent_id) REFERENCES trial_parent (id)": (
        "INSTANT",
        "INPLACE NONE",
    ),
    "ALTER TABLE trial_plain ADD COLUMN v INT GENERATED ALWAYS AS (q + 1) VIRTUAL": ("INSTANT", "INSTANT"),
    "ALTER TABLE trial_plain ADD COLUMN s INT GENERATED ALWAYS AS (q + 1) STORED": ("COPY SHARED", "COPY SHARED"),
    "ALTER TABLE trial_plain DROP CONSTRAINT ck_trial_q": ("INSTANT", "INSTANT"),
    "ALTER TABLE trial_plain ADD FULLTEXT KEY ft_n (n)": ("INPLACE SHARED", "INPLACE SHARED"),
    "ALTER TABLE trial_words ADD COLUMN a INT": ("INPLACE SHARED", "COPY SHARED"),
}
FORMS = {
    "ALTER TABLE t ADD COLUMN a INT": "change",
    "alter table `t` add a int": "change",
    "CREATE FULLTEXT INDEX i ON t(a)": "change",
    "DROP INDEX i ON t": "change",
    "ALTER TABLE shop.t ADD COLUMN a INT": "",
    "ALTER TABLE t RENAME TO shop.t": "",
    "ALTER TABLE t RENAME TO `shop` . `t`": "",
    "CREATE TABLE t (id INT)": "create",
    "CREATE TABLE shop.t (id INT)": "",
    "DROP TABLE IF EXISTS a, b": "whole",
    "DROP TABLE a, shop.b": "",
    "RENAME TABLE a TO b": "whole",
    "RENAME TABLE a TO shop.b": "",
    "TRUNCATE TABLE t": "whole",
    "TRUNCATE shop.t": "",
    "CREATE VIEW v AS SELECT p.id FROM products AS p": "whole",
    "CREATE VIEW shop.v AS SELECT 1": "",
    "DROP DATABASE shop": "",
    "SET SESSION foreign_key_checks = 0": "set",
    "SET GLOBAL max_connections = 1": "",
    "SET SESSION a = 1, GLOBAL b = 2": "",
    "SET PASSWORD = 'x'": "",
    "INSERT INTO t SELECT * FROM shop.u": "rows",
    "INSERT INTO shop.t VALUES (1)": "",
    "UPDATE t SET a = 1": "rows",
    "DELETE FROM t WHERE a.b = 1": "rows",
    "SELECT 1": "read",
    "SELECT 1 INTO OUTFILE '/tmp/x'": "",
    "CALL something()": "",
    "GRANT ALL ON t TO u": "",
    "CREATE USER u": "",
    "LOAD DATA INFILE '/x' INTO TABLE t": "",
    "CREATE TEMPORARY TABLE t (id INT)": "",
}


@pytest.fixture
def is_mariadb(sql):
    """Whether the tests' server is a MariaDB."""
    return "MariaDB" in sql("SELECT VERSION() AS v")[0]["v"]


@pytest.fixture
def tables(trial, accounts):
    """The tables of BASE, empty."""
    execute_script(accounts.owner, BASE)
    return trial


def steps_of(trial, *statements):
    """Return the steps of one migration with these statements; skip where the account may not have an empty copy."""
    trial.write("9001_first", ";\n".join(statements) + ";\n", "SELECT 1;")
    with trial.migrator.locked(), planner(trial.url) as made:
        if made.denied:
            pytest.skip(made.denied)
        return made.steps(trial.migrator.state().moves())


def fill(sql, table, count=LARGE + 1):
    """Give a table like trial_plain so many rows."""
    numbers = f"({NUMBERS.format(400)}) AS a, ({NUMBERS.format(300)}) AS b"
    sql(f"INSERT INTO {table} (n) SELECT a.n FROM {numbers} LIMIT {count}")


@contextlib.contextmanager
def live(url):
    """Give a cursor in the database."""
    with contextlib.closing(connect(url, 10)) as connection, connection.cursor() as cursor:
        yield cursor


def scratch_schemas(url):
    """Return the names of scratch schemas that are there."""
    return [
        row["n"]
        for row in execute(url, "SELECT schema_name AS n FROM information_schema.schemata")
        if "scratch" in row["n"]
    ]


# What the server grants


def test_each_statement_is_told_with_the_algorithm_and_lock_that_this_server_grants(tables, is_mariadb):
    steps = steps_of(tables, *GRANTED)

    told = {step.text: f"{step.algorithm} {step.lock}".strip() for step in steps}
    assert [step.error for step in steps if step.error] == []
    assert told == {text: each[0 if is_mariadb else 1] for text, each in GRANTED.items()}


def test_who_waits_follows_from_the_lock(tables):
    steps = steps_of(tables, *GRANTED)

    said = {(step.lock, step.who) for step in steps}
    assert said == {("", "nobody waits"), ("NONE", "nobody waits"), ("SHARED", "writers wait")}


def test_nothing_is_changed_in_the_database_itself(tables, sql):
    before = sql("SHOW CREATE TABLE trial_plain")

    steps_of(tables, *GRANTED, "DROP TABLE trial_words", "UPDATE trial_plain SET q = 2")

    assert sql("SHOW CREATE TABLE trial_plain") == before
    assert tables.tables() == ["parent", "plain", "words"]


def test_later_migrations_find_the_tables_and_columns_of_earlier_ones(trial):
    trial.table("9001_first")
    trial.write("9002_second", "ALTER TABLE trial_9001 ADD COLUMN a INT;\n", "SELECT 1;")
    trial.write("9003_third", "UPDATE trial_9001 SET a = 1;\nALTER TABLE trial_9001 ADD KEY (a);\n", "SELECT 1;")

    with trial.migrator.locked(), planner(trial.url) as made:
        steps = made.steps(trial.migrator.state().moves())

    assert [step.move.migration.name for step in steps] == ["9001_first", "9002_second", "9003_third", "9003_third"]
    assert [(step.error, step.who) for step in steps] == [("", "nobody waits")] * 4


def test_the_way_down_is_told_too(tables):
    tables.write("9001_first", "SELECT 1;", "ALTER TABLE trial_plain MODIFY q BIGINT;")
    tables.migrator.up()

    with tables.migrator.locked(), planner(tables.url) as made:
        (step,) = made.steps(tables.migrator.state().moves(to=max(m.version for m in migrations.files())))

    assert (step.move.way, step.algorithm, step.lock) == ("down", "COPY", "SHARED")


def test_a_statement_that_would_fail_is_told_with_the_servers_words(tables):
    wrong = ["ALTER TABLE trial_plain DROP COLUMN nothing", "UPDATE trial_plain SET nothing = 1", "DROP TABLE nothing"]

    steps = steps_of(tables, "ALTER TABLE trial_plain ADD COLUMN a INT", *wrong)

    assert [bool(step.error) for step in steps] == [False, True, True, True]
    assert all("nothing" in step.error for step in steps[1:])


# Rows and writers


@pytest.fixture
def large(tables, sql):
    """trial_plain with one row more than may be made to wait."""
    fill(sql, "trial_plain")
    return tables


def test_rows_are_counted_up_to_the_limit_and_estimated_above(large, sql):
    few, many = steps_of(large, "ALTER TABLE trial_words ADD COLUMN a INT", "ALTER TABLE trial_plain ADD COLUMN a INT")

    assert (few.rows, few.counted) == (0, True)
    assert many.rows > LARGE and not many.counted


def test_what_makes_writers_of_a_large_table_wait_blocks_and_what_does_not_is_let(large):
    steps = steps_of(large, *GRANTED)

    assert {step.text for step in steps if step.blocks} == {
        step.text for step in steps if step.lock == "SHARED" and step.table == "trial_plain"
    }
    assert len([step for step in steps if step.blocks]) >= 6


def test_a_table_at_the_limit_may_wait(tables, sql):
    fill(sql, "trial_plain", LARGE)

    (step,) = steps_of(tables, "ALTER TABLE trial_plain MODIFY q BIGINT")

    assert (step.stops, step.rows, step.blocks) == (True, LARGE, False)


def test_a_change_of_many_rows_blocks_and_one_of_a_single_row_does_not(large):
    many, one = steps_of(large, "UPDATE trial_plain SET q = q + 1", "UPDATE trial_plain SET q = 3 WHERE id = 7")

    assert many.blocks and many.rows > LARGE / 2
    assert (one.rows, one.blocks) == (1, False)
    assert many.who == one.who == "writers of the rows that it changes, or refers to, wait until it ends"


def test_a_change_of_rows_that_needs_a_column_of_the_same_migration_counts_all_rows(large):
    _, filled = steps_of(large, "ALTER TABLE trial_plain ADD COLUMN a INT", "UPDATE trial_plain SET a = 1 WHERE id = 7")

    assert filled.blocks and not filled.error


def test_a_new_table_that_is_filled_from_a_large_one_makes_nobody_wait(large):
    steps = steps_of(
        large,
        "CREATE TABLE trial_new (id INT NOT NULL PRIMARY KEY, q BIGINT)",
        "INSERT INTO trial_new SELECT id, q FROM trial_plain",
        "ALTER TABLE trial_new MODIFY q INT, ADD KEY (q)",
    )

    assert [(step.who, step.blocks, step.error) for step in steps] == [("nobody waits", False, "")] * 3


def test_rows_that_new_rows_refer_to_are_locked_and_so_it_blocks(large):
    _, filled = steps_of(
        large,
        "CREATE TABLE trial_new (id INT NOT NULL PRIMARY KEY, FOREIGN KEY (id) REFERENCES trial_plain (id))",
        "INSERT INTO trial_new SELECT id FROM trial_plain",
    )

    assert filled.blocks


@pytest.mark.parametrize(
    "rename", ["RENAME TABLE trial_plain TO trial_other", "ALTER TABLE trial_plain RENAME TO trial_other"]
)
def test_a_table_keeps_its_rows_under_another_name(large, rename):
    *_, changed = steps_of(large, rename, "ALTER TABLE trial_other MODIFY q BIGINT")

    assert changed.blocks and not changed.error


def test_a_large_table_does_not_pass_as_a_new_one_that_took_its_name(large):
    *_, changed = steps_of(
        large,
        "CREATE TABLE trial_new (id INT NOT NULL PRIMARY KEY, q INT)",
        "ALTER TABLE trial_new RENAME TO trial_newer",
        "ALTER TABLE trial_plain RENAME TO trial_new",
        "ALTER TABLE trial_new MODIFY q BIGINT",
    )

    assert changed.blocks and not changed.error


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER trial_t BEFORE INSERT ON trial_plain FOR EACH ROW BEGIN SET NEW.q = 1; SET NEW.n = 2; END",
        "CALL nothing('trial_plain')",
        "REPLACE INTO trial_plain (id) VALUES (1)",
        "/*! ALTER TABLE trial_plain MODIFY q BIGINT */",
    ],
)
def test_what_cannot_be_told_is_not_tried_and_blocks(large, statement):
    (step,) = steps_of(large, statement)

    assert step.blocks
    assert "was not tried" in step.who or "only the server can part" in step.who


def test_a_name_of_another_schema_is_never_tried(large, sql):
    here = large.url.database

    steps = steps_of(
        large,
        f"ALTER TABLE {here}.trial_plain ADD COLUMN a INT",
        f"ALTER TABLE trial_words RENAME TO {here}.trial_moved",
    )

    assert [step.stops for step in steps] == [True, True]
    assert {step.algorithm for step in steps} == {""}
    assert "trial_moved" not in [f"trial_{name}" for name in large.tables()]


def test_held_to_its_plan_a_statement_is_refused_where_the_server_would_do_it_otherwise(large, sql):
    """Here, because the real table gets a FULLTEXT index after the plan was made."""
    steps = steps_of(large, "ALTER TABLE trial_plain ADD COLUMN a INT")
    sql("ALTER TABLE trial_plain ADD FULLTEXT KEY ft (n)")

    with pytest.raises(CommandError, match="Nothing was changed"):
        large.migrator.go("up", texts=held(steps))

    assert large.words() == ["pending"]


def test_in_a_galera_cluster_all_but_instant_changes_make_everybody_wait(large):
    """Its nodes do a change of the schema one after another with all else, whatever its LOCK."""
    large.write(
        "9001_first", "ALTER TABLE trial_plain ADD COLUMN a INT;\nALTER TABLE trial_plain ADD KEY (q);", "SELECT 1;"
    )

    with large.migrator.locked(), planner(large.url) as made:
        if made.denied:
            pytest.skip(made.denied)
        made.cluster = True
        instant, index = made.steps(large.migrator.state().moves())

    assert (instant.who, instant.blocks) == ("nobody waits", False)
    assert (index.who, index.blocks) == ("the whole cluster waits", True)


# The empty copy


def test_the_copy_is_gone_afterwards(tables, accounts):
    steps_of(tables, *GRANTED)

    assert scratch_schemas(accounts.owner) == []


def test_the_copy_is_gone_after_a_failure_too(trial, accounts):
    steps_of(trial, "SELECT 1")

    with pytest.raises(KeyboardInterrupt), planner(trial.url):
        assert scratch_schemas(accounts.owner) == [scratch.name_of(trial.url)]
        raise KeyboardInterrupt

    assert scratch_schemas(accounts.owner) == []


def test_what_a_kill_left_is_removed_by_the_next(trial, accounts):
    steps_of(trial, "SELECT 1")
    name = scratch.name_of(trial.url)
    execute(accounts.owner, f"CREATE DATABASE `{name}`")
    execute(accounts.owner, f"CREATE TABLE `{name}`.{scratch.MARK} (id INT)")
    execute(accounts.owner, f"CREATE TABLE `{name}`.users (id INT)")

    steps_of(trial, "SELECT 1")

    assert scratch_schemas(accounts.owner) == []


def test_a_schema_of_that_name_that_is_not_ours_is_left_alone(trial, accounts):
    steps_of(trial, "SELECT 1")
    name = scratch.name_of(trial.url)
    execute(accounts.owner, f"CREATE DATABASE `{name}`")
    execute(accounts.owner, f"CREATE TABLE `{name}`.precious (id INT)")

    try:
        with pytest.raises(CommandError, match="was not made by this program"), planner(trial.url):
            raise AssertionError
        assert execute(accounts.owner, f"SELECT * FROM `{name}`.precious") == []
    finally:
        execute(accounts.owner, f"DROP DATABASE `{name}`")


def test_views_are_copied_whatever_their_order(trial, sql):
    sql("CREATE VIEW trial_b AS SELECT id FROM products")
    sql("CREATE VIEW trial_a AS SELECT id FROM trial_b")
    try:
        (step,) = steps_of(trial, "CREATE OR REPLACE VIEW trial_c AS SELECT id FROM trial_a")
    finally:
        sql("DROP VIEW trial_a, trial_b")

    assert step.error == ""


def test_without_the_right_to_make_a_copy_nothing_is_claimed_and_the_right_is_named(large, accounts):
    large.write("9001_first", "ALTER TABLE trial_plain ADD COLUMN a INT;\nCREATE TABLE trial_n (id INT);", "SELECT 1;")

    with live(accounts.owner) as cursor:
        changed, made = Planner(cursor, None, "no right").steps(large.migrator.state().moves())

    assert (changed.algorithm, changed.blocks) == ("", True)
    assert not made.blocks


# Statements


@pytest.mark.parametrize("statement", FORMS)
def test_only_what_surely_concerns_tables_of_this_schema_has_a_form(statement):
    assert kind(statement) == FORMS[statement]


def test_a_file_is_parted_where_the_server_parts_it_and_comments_go():
    text = textwrap.dedent("""\
        -- what; it is for
        SET SESSION a = 1; # and; this
        INSERT INTO t (a, -- the; first
            b)
        VALUES ('x; -- no comment', "it''s", `a;b`);
        /* ; */
        """)

    assert parts(text) == [
        "SET SESSION a = 1",
        "INSERT INTO t (a,\n    b)\nVALUES ('x; -- no comment', \"it''s\", `a;b`)",
    ]


@pytest.mark.parametrize(
    ("statement", "change"),
    [
        ("ALTER TABLE t ADD a INT", ("t", "ADD a INT")),
        ("ALTER  TABLE\n`t` -- why\n ADD a INT COMMENT 'a  b'", ("t", "ADD a INT COMMENT 'a  b'")),
        ("CREATE UNIQUE INDEX i ON t (a, b)", ("t", "ADD UNIQUE INDEX i (a, b)")),
        ("DROP INDEX i ON t", ("t", "DROP INDEX i")),
        ("CREATE TABLE t (a INT)", None),
    ],
)
def test_a_change_of_a_table_is_told_as_alter_table_says_it(statement, change):
    assert change_of(one_line(statement)) == change
