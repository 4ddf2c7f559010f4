"""`migrate baseline`: what is recorded without being run, and how a schema that is another is found out."""

import pytest
from helpers import execute, execute_script

from commands.migrate_baseline import baseline
from commands.migrate_scratch import MayNot
from core.cli import CommandError
from core.db.migrations import TABLE

MADE = "CREATE TABLE trial_9001 (id INT NOT NULL PRIMARY KEY, n VARCHAR(10) NULL, m INT NOT NULL, KEY ix_n (n));"


@pytest.fixture
def there(trial):
    """`there(made, up=…)`: the differences of a database where `made` was run by hand, from a migration `up`."""

    def differences(made, up=MADE, to=None):
        trial.write("9001_first", up, "DROP TABLE trial_9001;")
        if made:
            execute_script(trial.url, made)
        try:
            names, found = baseline(trial.migrator, to)
        except MayNot as error:
            pytest.skip(str(error))
        assert trial.words()[0] == ("applied" if names else "pending")
        assert bool(found) != bool(names)
        return found

    return differences


def test_a_schema_that_is_the_same_is_recorded_and_nothing_is_run(trial, there):
    assert there(MADE) == []

    assert trial.migrator.up() == []
    (row,) = trial.sql("SELECT name, checksum, finished_at FROM schema_migrations WHERE version = 9001")
    assert row["name"] == "9001_first" and len(row["checksum"]) == 64 and row["finished_at"]


def test_what_is_recorded_needs_no_table_of_migrations(trial, there, sql):
    """As a database that was made by hand, or restored without it."""
    kept = sql("SELECT * FROM schema_migrations")
    sql("DROP TABLE schema_migrations")

    try:
        assert there(MADE) == []
        assert sql("SELECT COUNT(*) AS n FROM schema_migrations") == [{"n": len(kept) + 1}]
    finally:
        sql(TABLE)
        sql("DELETE FROM schema_migrations WHERE version < 9000")
        for row in kept:
            sql("INSERT INTO schema_migrations VALUES (%s, %s, %s, %s, %s)", list(row.values()))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("DROP TABLE trial_9001", "- table trial_9001"),
        ("ALTER TABLE trial_9001 DROP COLUMN m", "- trial_9001: `m` int"),
        ("ALTER TABLE trial_9001 ADD COLUMN x INT", "+ trial_9001: `x` int"),
        ("ALTER TABLE trial_9001 MODIFY m BIGINT NOT NULL", "+ trial_9001: `m` bigint"),
        ("ALTER TABLE trial_9001 MODIFY m INT NULL", "+ trial_9001: `m` int"),
        ("ALTER TABLE trial_9001 MODIFY n VARCHAR(11) NULL", "+ trial_9001: `n` varchar(11)"),
        ("ALTER TABLE trial_9001 MODIFY n VARCHAR(10) COLLATE utf8mb4_bin NULL", "+ trial_9001: `n` varchar(10)"),
        ("ALTER TABLE trial_9001 ALTER m SET DEFAULT 7", "+ trial_9001: `m` int"),
        ("ALTER TABLE trial_9001 DROP KEY ix_n", "- trial_9001: KEY `ix_n`"),
        ("ALTER TABLE trial_9001 DROP KEY ix_n, ADD KEY ix_n (n, m)", "- trial_9001: KEY `ix_n` (`n`)"),
        ("ALTER TABLE trial_9001 ADD UNIQUE KEY uq (m)", "+ trial_9001: UNIQUE KEY `uq`"),
        ("ALTER TABLE trial_9001 ADD CONSTRAINT ck CHECK (m > 0)", "+ trial_9001: CHECK"),
        (
            "ALTER TABLE trial_9001 ADD CONSTRAINT f FOREIGN KEY (m) REFERENCES users (id)",
            "+ trial_9001: CONSTRAINT `f`",
        ),
        ("ALTER TABLE trial_9001 DEFAULT COLLATE utf8mb4_bin", "+ trial_9001: COLLATE=utf8mb4_bin"),
        ("ALTER TABLE trial_9001 DROP PRIMARY KEY", "- trial_9001: PRIMARY KEY"),
        ("ALTER TABLE carts DROP FOREIGN KEY fk_carts_user", "- carts: CONSTRAINT `fk_carts_user`"),
    ],
)
def test_each_difference_is_told_and_nothing_is_recorded(there, trial, change, line):
    try:
        found = there(f"{MADE} {change}")
    finally:
        if "carts" in change:
            trial.sql(
                "ALTER TABLE carts ADD CONSTRAINT fk_carts_user FOREIGN KEY (user_id) REFERENCES users (id) "
                "ON DELETE CASCADE"
            )

    assert [told for told in found if told.startswith(line)], found
    assert len(found) <= 4


def test_an_additional_index_the_order_of_columns_and_options_of_the_operator_are_no_difference(there):
    made = MADE.replace("n VARCHAR(10) NULL, m INT NOT NULL", "m INT NOT NULL, n VARCHAR(10) NULL")

    tuned = "ALTER TABLE trial_9001 ADD KEY ix_own (m), COMMENT 'ours', STATS_PERSISTENT = 1;"

    assert there(made + tuned) == []


def test_names_that_tools_for_online_changes_leave_are_no_difference(there):
    up = MADE + (
        "ALTER TABLE trial_9001 ADD CONSTRAINT ck_m CHECK (m > 0), ADD KEY {0}ix_m (m), "
        "ADD CONSTRAINT {0}fk_m FOREIGN KEY (m) REFERENCES users (id);"
    )

    assert there(up.format("_").replace("ck_m", "_trial_9001_gho_chk_1"), up.format("")) == []


def test_the_charset_of_the_client_that_made_a_table_is_no_difference(there):
    """MySQL keeps it in front of each text of a CHECK."""
    up = MADE + "ALTER TABLE trial_9001 ADD CONSTRAINT ck_n CHECK (n IN ('a', 'b'));"

    assert there(f"SET NAMES latin1; {up}", up) == []


def test_a_row_that_the_migrations_add_must_be_there(there, sql):
    up = MADE + "INSERT INTO trial_9001 VALUES (1, 'x', 1), (2, 'y', 2);"

    assert there(MADE + "INSERT INTO trial_9001 VALUES (2, 'changed', 7)", up) == ["- trial_9001: a row with id = 1"]


def test_tables_of_others_are_not_looked_at(there):
    assert there(MADE + "CREATE TABLE trial_of_others (id INT);") == []


def test_a_table_of_a_later_migration_is_told(trial, there):
    trial.table("9002_second")

    found = there(MADE + "CREATE TABLE trial_9002 (id INT NOT NULL PRIMARY KEY);", to=9001)

    assert found == ["+ table trial_9002, which a later migration makes"]


def test_up_to_a_version_only_these_are_recorded_and_the_next_are_run(trial, there):
    trial.table("9002_second")

    assert there(MADE, to=9001) == []
    assert trial.words() == ["applied", "pending"]
    assert trial.migrator.up() == ["9002_second"]


@pytest.mark.parametrize("up", ["GRANT SELECT ON users TO nobody;", "CREATE TABLE {here}.trial_9001 (id INT);"])
def test_a_migration_that_may_leave_the_empty_schema_is_not_run_there(trial, there, up):
    with pytest.raises(CommandError, match="9001_first was not tried: what this does cannot be told"):
        there("", up.replace("{here}", trial.url.database))

    assert trial.tables() == []


def test_a_migration_that_fails_in_an_empty_schema_is_told(there):
    with pytest.raises(CommandError, match=r"9001_first fails in an empty schema: .*nothing"):
        there("", "ALTER TABLE nothing ADD COLUMN a INT;")


def test_nothing_of_the_try_is_left(trial, there, accounts):
    there(MADE)

    names = {row["n"] for row in execute(accounts.owner, "SELECT schema_name AS n FROM information_schema.schemata")}
    assert not [name for name in names if name.endswith("_scratch")]


@pytest.mark.slow
def test_the_real_schema_is_what_the_real_migrations_make(trial, there):
    """All rows of schema_migrations are lost, as after a restore of the tables alone; then all are recorded again."""
    kept = trial.sql("SELECT * FROM schema_migrations")
    trial.sql("DELETE FROM schema_migrations")
    try:
        assert there(MADE) == []
        assert len(trial.sql("SELECT version FROM schema_migrations")) == len(kept) + 1
    finally:
        trial.sql("DELETE FROM schema_migrations")
        for row in kept:
            trial.sql("INSERT INTO schema_migrations VALUES (%s, %s, %s, %s, %s)", list(row.values()))
