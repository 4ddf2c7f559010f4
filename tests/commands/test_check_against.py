"""`server.py check --against`: the files of two releases, each on the schema of the other, in a server of its own."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers import as_url, command, environment, eventually, is_one_sentence, running

from commands import check_against
from core.cli import CommandError
from core.setup import system
from core.setup.system import ROOT

pytestmark = pytest.mark.skipif(not system.program("mariadbd"), reason="needs mariadbd: it runs one of its own")
FOLDERS = ("sql", "reports", "migrations")
NEXT = f"{1 + max(int(path.name[:4]) for path in (ROOT / 'migrations').glob('*.sql')):04}"  # a migration to come
ADDED = "ALTER TABLE products ADD COLUMN brand VARCHAR(80) NULL"
DROPPED = "ALTER TABLE products DROP COLUMN image_url"
READS_BRAND = [("columns: id INT", "columns: id INT, brand VARCHAR(80) NULL"), ("SELECT p.id", "SELECT p.id, p.brand")]


class Release:
    """The files of a release, which a test goes on to edit."""

    def __init__(self, folder):
        self.folder = folder
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name)

    def migration(self, *statements):
        """Add a migration for each of these."""
        for statement in statements:
            version = 1 + max(int(path.name[:4]) for path in (self.folder / "migrations").glob("*.sql"))
            (self.folder / f"migrations/{version:04}_further.up.sql").write_text(statement + ";\n")
            (self.folder / f"migrations/{version:04}_further.down.sql").write_text("SELECT 1;\n")

    def edit(self, name, *pairs):
        """Replace texts of a file."""
        path = self.folder / name
        for old, new in pairs:
            assert old in path.read_text(), f"{name} has no {old!r}"
            path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def old(tmp_path):
    """The release whose shops serve."""
    return Release(tmp_path / "old")


@pytest.fixture
def new(tmp_path):
    """The release that is to come."""
    return Release(tmp_path / "new")


@pytest.fixture
def against(old, new, capsys):
    """`against(*statements)`: with a migration more for each; return the exit status and the lines that are said."""

    def run(*statements, tuned=None):
        new.migration(*statements)
        status = check_against.report(new.folder, str(old.folder), tuned)
        return status, capsys.readouterr().out.replace(str(old.folder), "OLD").splitlines()

    return run


def test_releases_with_one_schema_run_side_by_side(against):
    status, lines = against()

    assert status == 0
    assert len(lines) == 1 and lines[0].endswith("of these files before: old and new shops run side by side.")


def test_a_column_that_comes_breaks_nothing_old_and_what_needs_it_is_named(new, against):
    new.edit("sql/products/existing.sql", *READS_BRAND)

    status, lines = against(ADDED)

    assert status == 0
    assert lines[0] == "These files, on the schema of OLD:"
    assert lines[1].startswith("    sql/products/existing.sql:11: Unknown column 'p.brand'")
    assert lines[2].startswith("1 statement(s) of the new shops need the new schema: migrate before one starts.")


def test_a_column_that_goes_breaks_each_old_statement_that_names_it_and_what_to_do_is_said(against):
    status, lines = against(DROPPED)

    users = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("sql/*/*.sql") if "image_url" in path.read_text()}
    told = {line.strip().partition(":")[0] for line in lines[1 : lines.index("These files, on their own schema:")]}
    assert status == 1
    assert lines[0] == f"The files of OLD, after migrations/{NEXT}_further.up.sql:"
    assert users - told == {path for path in users if path.startswith("sql/seed/")}  # no shop runs them
    assert any("Ship" not in line and "this migration with the release after that." in line for line in lines)
    assert lines[-1].endswith("they do not run side by side.")


def test_the_way_round_is_green_the_code_first_and_the_column_a_release_later(old, new, against):
    for release in (old, new):
        release.migration(ADDED)
    old.edit("sql/products/existing.sql", *READS_BRAND)

    assert against()[0] == 0  # the code that does without it

    shutil.rmtree(old.folder)
    old.__init__(old.folder)
    old.migration(ADDED)
    assert against("ALTER TABLE products DROP COLUMN brand")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE products RENAME COLUMN image_url TO picture",),
        ("RENAME TABLE categories TO sections",),
        ("ALTER TABLE products MODIFY name VARCHAR(400) NOT NULL",),  # a shop that starts again refuses the type
        (DROPPED, "ALTER TABLE products ADD COLUMN image_url VARCHAR(500) NULL"),  # it is gone for a moment
    ],
)
def test_what_old_statements_do_not_know_breaks_them(against, statements):
    status, lines = against(*statements)

    assert status == 1
    assert lines[0] == f"The files of OLD, after migrations/{NEXT}_further.up.sql:"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "status"),
    [
        ("VARCHAR(80) NOT NULL", 1),
        ("VARCHAR(80) NOT NULL DEFAULT ''", 0),
        ("VARCHAR(80) NULL", 0),
        ("ENUM('a', 'b') NOT NULL", 0),  # the first of them
        ("INT AS (stock_quantity + 1)", 0),
    ],
)
def test_a_new_column_that_an_old_insert_would_have_to_fill_is_named_and_no_other(against, column, status):
    found, lines = against(f"ALTER TABLE products ADD COLUMN more {column}")

    assert found == status
    assert any("sql/products/add.sql" in line and "without products.more" in line for line in lines) == bool(status)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE products ADD CONSTRAINT dear CHECK (price > 1)", "products: CHECK (`price` > 1)"),
        ("ALTER TABLE products ADD UNIQUE uq_products_name (name)", "products: UNIQUE KEY `uq_products_name` (`name`)"),
        ("ALTER TABLE sessions MODIFY address VARCHAR(45) NOT NULL", "sessions: `address` "),
        (
            "CREATE TABLE notes (id INT PRIMARY KEY, owner INT NOT NULL, FOREIGN KEY (owner) REFERENCES users (id))",
            "none of users can be removed",
        ),
        ("ALTER TABLE products ADD code INT NULL, ADD UNIQUE uq_products_code (code)", None),
        ("ALTER TABLE products ALTER stock_quantity SET DEFAULT 5", None),
        ("CREATE TABLE notes (id INT PRIMARY KEY, text TEXT NOT NULL UNIQUE)", None),
        (
            "CREATE TABLE notes (id INT PRIMARY KEY, owner INT NOT NULL, "
            "FOREIGN KEY (owner) REFERENCES users (id) ON DELETE CASCADE)",
            None,
        ),
    ],
)
def test_a_rule_that_may_refuse_what_old_shops_write_is_told_and_decides_nothing(against, statement, told):
    status, lines = against(statement)

    if told is None:
        assert (status, len(lines)) == (0, 1), lines
    else:
        assert status == 2
        assert told in lines[1], lines


def test_new_files_that_do_not_fit_their_own_schema_are_named(new, against):
    new.edit("sql/products/get.sql", ("p.updated_at\n", "p.updated_when AS updated_at\n"))

    status, lines = against()

    assert status == 1
    assert lines[:1] == ["These files, on their own schema:"] and "updated_when" in lines[1]


def test_code_that_no_longer_fills_a_column_waits_for_a_default(new, against):
    given = [("--   price           above 0\n", ""), ("price=19.90, ", ""), ("price, image_url", "image_url")]
    new.edit("sql/products/add.sql", *given, ("%(price)s, ", ""))

    status, lines = against()
    assert status == 1 and lines[0] == "These files, on their own schema:", lines
    assert lines[1].startswith("    sql/products/add.sql:13: adds rows without products.price")

    status, lines = against("ALTER TABLE products ALTER price SET DEFAULT 1")
    assert status == 0 and lines[0] == "These files, on the schema of OLD:"


def test_the_versions_of_an_overlay_count_in_place_of_the_released_files(against, tmp_path):
    tuned = tmp_path / "tuned" / "products" / "existing.sql"
    tuned.parent.mkdir(parents=True)
    text = (
        (ROOT / "sql/products/existing.sql").read_text().replace("-- params:", f"-- replaces: {'0' * 64}\n-- params:")
    )
    tuned.write_text(f"{text.rstrip()}\nWHERE p.image_url IS NOT NULL\n")

    status, lines = against(DROPPED, tuned=tmp_path / "tuned")

    broken = lines[: lines.index("These files, on their own schema:")]
    assert status == 1 and any("tuned/products/existing.sql:15: Unknown column" in line for line in broken), lines


def test_an_old_file_that_cannot_be_read_is_told_and_decides_nothing(old, against):
    old.edit("sql/products/get.sql", ("-- returns: one", "-- gives: one"))

    status, lines = against()

    assert status == 2
    assert lines[:1] == ["These files of OLD could not be tried:"] and "sql/products/get.sql:1:" in lines[1]


def test_migrations_that_were_edited_or_are_only_there_are_refused(old, new, against):
    old.migration(ADDED)
    with pytest.raises(CommandError, match=f"has migration {NEXT}_further, which is not here"):
        against()

    with pytest.raises(CommandError, match=rf"Migration {NEXT}_further of .* was edited"):
        against(DROPPED)


def test_a_migration_that_fails_is_a_sentence(against):
    with pytest.raises(CommandError, match=f"{NEXT}_further fails on empty tables: "):
        against("ALTER TABLE nowhere ADD COLUMN a INT")


@pytest.fixture
def repository(program_copy):
    """A copy of the program in a repository of its own, with one commit."""
    git("init", "--quiet", home=program_copy)
    git("add", ".", home=program_copy)
    git("commit", "--quiet", "--message=released", home=program_copy)
    return program_copy


def git(*words, home):
    """Run git there, without any settings of this machine."""
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    there = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **who}
    subprocess.run(["git", *words], cwd=home, env=there, check=True, capture_output=True)


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


@needs_git
def test_a_revision_is_read_from_git_within_5_seconds_no_database_is_asked_and_nothing_is_left(
    repository, tmp_path, lag
):
    (repository / f"migrations/{NEXT}_gone.up.sql").write_text(DROPPED + ";\n")
    (repository / f"migrations/{NEXT}_gone.down.sql").write_text("SELECT 1;\n")
    (tmp_path / "own").mkdir()
    nowhere = {"DATABASE_URL": "mysql://shop:no@127.0.0.1:1/shop", "TMPDIR": str(tmp_path / "own")}

    began = time.monotonic()
    done = command("check", "--against", "HEAD", home=repository, **nowhere)
    took = time.monotonic() - began

    assert done.returncode == 1 and done.stderr == ""
    assert f"The files of HEAD, after migrations/{NEXT}_gone.up.sql:" in done.stdout
    assert took < lag.bound(5, since=began)
    assert os.listdir(tmp_path / "own") == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which ends the server with its parent")
def test_its_server_ends_with_a_check_that_is_killed(tmp_path):
    words = [sys.executable, "server.py", "check", "--against", str(ROOT)]
    process = subprocess.Popen(words, cwd=ROOT, env=environment(TMPDIR=str(tmp_path)), stdout=subprocess.DEVNULL)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        assert eventually(lambda: any(tmp_path.glob("bodega-check-*/mariadb.log")))
        found = list(map(int, children.read_text().split()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert len(found) == 1 and eventually(lambda: not running(found[0]))


@needs_git
def test_what_git_does_not_have_and_a_place_without_git_are_sentences(repository, tmp_path):
    unknown = command("check", "--against", "v9", home=repository)
    assert unknown.returncode == 1 and "git does not give the files of v9: " in unknown.stderr

    (tmp_path / "bin").mkdir()
    without = command("check", "--against", "v9", home=repository, PATH=str(tmp_path / "bin"))
    assert without.returncode == 1 and is_one_sentence(without.stderr)
    assert without.stderr.startswith("There is no git here") and "check --against DIR" in without.stderr


def test_it_stands_alone(typed, accounts):
    database = as_url(accounts.owner)
    for words in (("products/get",), ("--plans",), ("--data",)):
        status, _, said = typed("check", "--against", "HEAD", *words, DATABASE_URL=database)
        assert status == 2 and "stands alone" in said

    assert typed("check", "--against", str(ROOT / "docs"), DATABASE_URL=database)[0] == 2


def test_shops_of_the_last_commit_run_beside_those_of_these_files():
    """The rule of CONTRIBUTING, held: whoever takes something away that the last commit uses is told here."""
    known = subprocess.run(["git", "rev-parse", "--verify", "HEAD~1"], cwd=ROOT, capture_output=True, check=False)
    before = "HEAD~1" if shutil.which("git") and known.returncode == 0 else str(ROOT)

    done = command("check", "--against", before)

    assert done.returncode in (0, 2), done.stdout + done.stderr  # 2 is for people to look at
