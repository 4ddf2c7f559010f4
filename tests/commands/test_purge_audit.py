"""Old entries of the audit trail: archived first, then removed, by whoever may; nothing is lost in between."""

import csv
import json
import re
import stat

import pytest
from helpers import as_url, command, execute

from commands import purge_audit
from core.db import migrations
from core.db.database import Database
from core.db.drivers import DatabaseError
from core.db.statements import Statements
from core.setup.system import ROOT

DAY = 86400


@pytest.fixture
def database(accounts):
    """The database as its owner uses it."""
    return Database(accounts.owner, Statements(ROOT / "sql"), 5.0, report=lambda *_: None)


@pytest.fixture
def entries(sql):
    """`entries(*days)`: add an entry for each, so many days old."""

    def add(*days):
        for age in days:
            sql(
                "INSERT INTO audit_entries (created_at, user_id, user_name, entity, entity_id, action, after_state) "
                "VALUES (CURRENT_TIMESTAMP - INTERVAL %s DAY, 1, 'root', 'product', %s, 'created', %s)",
                [age, age, json.dumps({"name": 'Lamp, "red"\nÜber', "price": 19.9})],
            )
        return [row["id"] for row in sql("SELECT id FROM audit_entries ORDER BY id")]

    return add


def archived(folder):
    """Return {name of a file: its rows}."""
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name] = list(csv.DictReader(file))
    return found


def left(sql):
    return [row["entity_id"] for row in sql("SELECT entity_id FROM audit_entries ORDER BY id")]


def test_old_entries_are_in_a_file_of_this_user_alone_and_no_longer_in_the_table(database, entries, sql, tmp_path):
    ids = entries(900, 800, 731, 729, 1)

    removed = purge_audit.archive(database, tmp_path / "audit", 730 * DAY)

    assert (removed, left(sql)) == (3, [729, 1])
    [(name, rows)] = archived(tmp_path / "audit").items()
    assert name == f"audit-{ids[0]}-{ids[2]}.csv"
    assert [row["entity_id"] for row in rows] == ["900", "800", "731"]
    assert list(rows[0]) == list(purge_audit.COLUMNS) and rows[0]["before_state"] == ""
    assert json.loads(rows[0]["after_state"]) == {"name": 'Lamp, "red"\nÜber', "price": 19.9}
    assert stat.S_IMODE((tmp_path / "audit" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700


def test_nothing_is_done_where_nothing_is_old(database, entries, sql, tmp_path):
    entries(729, 1)

    assert purge_audit.archive(database, tmp_path / "audit", 730 * DAY) == 0
    assert left(sql) == [729, 1] and not (tmp_path / "audit").exists()


def test_many_entries_take_several_files_and_transactions(database, entries, sql, tmp_path, monkeypatch):
    monkeypatch.setattr(purge_audit, "BATCH", 2)
    monkeypatch.setattr(purge_audit, "MOST", 4)
    entries(*range(999, 988, -1), 1)

    assert purge_audit.archive(database, tmp_path, 730 * DAY) == 11
    assert left(sql) == [1]
    files = archived(tmp_path)
    assert sorted(int(row["entity_id"]) for rows in files.values() for row in rows) == list(range(989, 1000))
    assert sorted(len(rows) for rows in files.values()) == [3, 4, 4]


@pytest.mark.parametrize("when", ["before the file has its name", "after it", "when half of it is removed"])
def test_whenever_it_is_killed_each_entry_is_in_the_table_or_in_a_file(
    database, entries, sql, tmp_path, monkeypatch, when
):
    monkeypatch.setattr(purge_audit, "BATCH", 2)
    entries(904, 903, 902, 901, 900, 1)
    killed, removed = KeyboardInterrupt("killed"), []

    def remove(database, ids, plainly=purge_audit._remove):
        if ids != (0,) and (when == "after it" or removed):
            raise killed
        removed.extend(ids[:1] if ids != (0,) else [])
        return plainly(database, ids)

    def sync(folder):
        raise killed

    with monkeypatch.context() as patched:
        if when.startswith("before"):
            patched.setattr(purge_audit.os, "fsync", sync)
        else:
            patched.setattr(purge_audit, "_remove", remove)
        with pytest.raises(KeyboardInterrupt):
            purge_audit.archive(database, tmp_path, 730 * DAY)
    stored = {int(row["entity_id"]) for rows in archived(tmp_path).values() for row in rows}

    assert stored | set(left(sql)) >= {904, 903, 902, 901, 900, 1}
    assert not list(tmp_path.glob("unfinished*"))
    purge_audit.archive(database, tmp_path, 730 * DAY)
    stored = {int(row["entity_id"]) for rows in archived(tmp_path).values() for row in rows}
    assert (stored, left(sql)) == ({904, 903, 902, 901, 900}, [1])


def test_a_file_with_the_same_name_is_kept_beside_the_new_one(database, entries, sql, tmp_path):
    """Of a purge at the same time, which has removed some of the entries that this one had not read yet."""
    ids = entries(902, 901, 900)
    (tmp_path / f"audit-{ids[0]}-{ids[2]}.csv").write_text("entity_id\n902\n901\n900\n")
    sql("DELETE FROM audit_entries WHERE id = %s", [ids[1]])

    assert purge_audit.archive(database, tmp_path, 730 * DAY) == 2
    files = archived(tmp_path)
    assert sorted(files) == [f"audit-{ids[0]}-{ids[2]}-2.csv", f"audit-{ids[0]}-{ids[2]}.csv"]
    assert [[row["entity_id"] for row in rows] for rows in files.values()] == [["902", "900"], ["902", "901", "900"]]


def test_the_account_that_serves_may_not_and_is_told_so_without_a_file(accounts, entries, sql, tmp_path):
    if accounts.owner == accounts.application:
        pytest.skip("this server gives no account of its own")
    entries(900)
    serving = Database(accounts.application, Statements(ROOT / "sql"), 5.0, report=lambda *_: None)

    assert purge_audit.archive(serving, tmp_path / "audit", 730 * DAY) is None
    assert left(sql) == [900] and not (tmp_path / "audit").exists()
    assert purge_audit.due(serving, 730 * DAY) and not purge_audit.due(serving, 901 * DAY)


def test_an_entry_that_cannot_be_written_is_not_removed(database, entries, sql, tmp_path):
    entries(900)
    (tmp_path / "audit").write_text("a file in the way")

    with pytest.raises(OSError, match="audit"):
        purge_audit.archive(database, tmp_path / "audit", 730 * DAY)

    assert left(sql) == [900]


@pytest.mark.slow
def test_the_command_archives_by_audit_ttl_and_says_where(accounts, entries, sql, tmp_path):
    entries(40, 20)
    settings = {"DATABASE_URL": as_url(accounts.owner), "DATA_DIR": str(tmp_path), "AUDIT_TTL": "30d"}

    done = command("purge", **settings)
    again = command("purge", **settings)

    assert done.returncode == again.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == f"1 audit entries archived in {tmp_path}/audit and removed."
    assert "audit" not in again.stdout and left(sql) == [20]


# What grows

GROWS = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.M)


def test_each_table_has_a_rule_that_bounds_it_or_a_reason_to_keep_it():
    """docs/operating.md has the table; a statement that it names removes rows of that table, and purge runs it."""
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    rules = dict(GROWS.findall(page.partition("## What grows")[2].partition("\n## ")[0]))
    statements = Statements(ROOT / "sql")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "commands").glob("purge*.py"))

    assert rules.keys() == migrations.tables(migrations.files()) | {"schema_migrations"}
    for table, rule in rules.items():
        named = re.findall(r"`([a-z_]+/[a-z_]+)`", rule)
        assert named or rule.startswith(("kept: ", "small: ", "goes with ")), f"{table}: {rule}"
        for name in named:
            assert statements[name].changes == {table} and f'"{name}"' in sources, name
        if goes := re.match(r"goes with `(\w+)`", rule):
            texts = "".join(migration.up for migration in migrations.files())
            assert re.search(rf"REFERENCES {goes[1]} \(\w+\) ON DELETE CASCADE", texts), table


def test_the_owner_alone_removes_entries(accounts, sql):
    if accounts.owner == accounts.application:
        pytest.skip("this server gives no account of its own")
    with pytest.raises(DatabaseError, match="denied"):
        execute(accounts.application, "DELETE FROM audit_entries")
