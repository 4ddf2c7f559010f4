"""Migrations of a test: numbers from 9000 on, and tables called trial_…; both are removed after each test."""

import shutil

import pytest
from helpers import execute_script

from core.cli import CommandError
from core.db import migrations
from core.db.migrator import Migrator


class Trial:
    """A folder of migrations, the real ones among them, and the database they go to."""

    def __init__(self, folder, url, sql):
        self.folder = folder
        self.url = url
        self.sql = sql
        self.said = []
        self.migrator = Migrator(url, self.said.append, folder)

    def write(self, name, up, down="DROP TABLE trial_{n};"):
        """Write both directions of a migration; {n} is its number."""
        for way, text in (("up", up), ("down", down)):
            if text is not None:
                (self.folder / f"{name}.{way}.sql").write_text(text.format(n=name[:4]))

    def table(self, name):
        """Write a migration that makes a table."""
        self.write(name, "CREATE TABLE trial_{n} (id INT NOT NULL PRIMARY KEY);\n")

    def tables(self):
        """Return the numbers of the trial tables that are there."""
        found = self.sql(
            "SELECT table_name AS name FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name LIKE 'trial%'"
        )
        return sorted(row["name"].removeprefix("trial_") for row in found)

    def words(self):
        """Return what `status` calls each trial migration."""
        state = self.migrator.state()
        return [state.word(migration) for migration in state.migrations if migration.version >= 9000]

    def stopped(self, way):
        """Return the sentence that stops `up` or `down`."""
        with pytest.raises(CommandError) as caught:
            getattr(self.migrator, way)()
        return str(caught.value)


@pytest.fixture
def trial(sql, accounts, tmp_path):
    """A Trial whose folder holds the real migrations, which are applied."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, folder)
    trial = Trial(folder, accounts.owner, sql)
    yield trial
    if left := ", ".join(f"trial_{name}" for name in trial.tables()):
        execute_script(accounts.owner, f"SET foreign_key_checks = 0; DROP TABLE {left}")
    sql("DELETE FROM schema_migrations WHERE version >= 9000")
