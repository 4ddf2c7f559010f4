"""`server.py optimize`, what says that it is due, and what notices that the full-text index has lost words."""

import re
import shutil
import subprocess
import threading

import pytest
from helpers import as_url, command, eventually

from commands import optimize, optimize_space
from core.db import migrations
from core.db.migrator import Migrator
from core.db.owner import in_transaction
from core.setup.system import ROOT

pytestmark = pytest.mark.slow

FINDS = "SELECT COUNT(*) AS n FROM products WHERE MATCH (name, description) AGAINST (%s IN BOOLEAN MODE)"


def lose_stop_words(sql):
    """Rebuild the table as anybody would by hand: on a connection that has the server's own stop words."""
    sql("ALTER TABLE products FORCE")


@pytest.fixture
def found(sql, accounts):
    """`found(word)`: how many products the index finds; the index is whole again after the test."""
    yield lambda word: sql(FINDS, [f"+{word}"])[0]["n"]
    optimize.rebuild(accounts.owner)


def told(accounts):
    return in_transaction(accounts.application, optimize.left_out)


def test_a_rebuilt_table_that_has_lost_words_is_noticed_and_optimize_brings_them_back(sql, make, accounts, found):
    make.product("The lamp", description="one that shines")
    assert (found("that"), told(accounts)) == (1, None)

    lose_stop_words(sql)
    lost, said = found("that"), told(accounts)
    done = command("optimize", "--yes", DATABASE_URL=as_url(accounts.owner))

    assert lost == 0 and "python3 server.py optimize" in said
    assert done.returncode == 0, done.stderr
    assert (found("that"), told(accounts)) == (1, None)


def test_check_and_the_start_say_that_words_are_lost(sql, make, accounts, found, start):
    make.product("A lamp with light")
    sound = command("check", DATABASE_URL=as_url(accounts.owner))
    lose_stop_words(sql)

    checked = command("check", DATABASE_URL=as_url(accounts.owner))
    shop = start("--workers", "1", DATABASE_URL=as_url(accounts.application))

    assert (sound.returncode, checked.returncode) == (0, 1)
    assert "leaves out words such as 'with'" in checked.stdout and "leaves out" not in sound.stdout
    shop.wait_for("leaves out words such as 'with'")


@pytest.mark.parametrize("names", [[], ["Lampe", "Kaffeemaschine", "re-the-mix"]])
def test_nothing_is_said_of_a_catalogue_that_cannot_tell(sql, make, accounts, found, names):
    for name in names:
        make.product(name)
    lose_stop_words(sql)

    assert told(accounts) is None


def test_every_migration_runs_without_stop_words_whatever_the_one_before_left_behind(
    sql, make, accounts, found, tmp_path
):
    make.product("A lamp with light")
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, folder)
    for number, statement in (
        (9001, "SET SESSION innodb_ft_enable_stopword = ON"),
        (9002, "ALTER TABLE products FORCE"),
    ):
        for way in ("up", "down"):
            (folder / f"{number}_trial.{way}.sql").write_text(f"{statement};\n")
    migrator = Migrator(accounts.owner, lambda line: None, folder)

    migrator.up()
    after_up = found("with")
    migrator.down()

    assert (after_up, found("with")) == (1, 1)
    migrator.down()


def test_a_dump_that_is_restored_as_the_docs_say_has_all_words(sql, make, accounts, found):
    client, login = shutil.which("mariadb"), accounts.owner
    if not client or not login.unix_socket:
        pytest.skip("needs MariaDB's own client, and the embedded database")
    make.product("A lamp with light")
    tables = [sql(f"SHOW CREATE TABLE {table}")[0]["Create Table"] for table in ("categories", "products")]
    dump = ";\n".join([*tables, "INSERT INTO products (name, price) VALUES ('A lamp with light', 1)"])
    option = re.search(r'--init-command="([^"]+)"', (ROOT / "docs" / "backup.md").read_text(encoding="utf-8"))[1]
    where = [f"--socket={login.unix_socket}", f"--user={login.user}", "--database=restored"]

    sql("CREATE DATABASE restored CHARACTER SET utf8mb4")
    try:
        subprocess.run([client, *where, f"--init-command={option}"], input=dump, text=True, check=True)
        (row,) = sql(FINDS.replace("FROM products", "FROM restored.products"), ["+with"])
    finally:
        sql("DROP DATABASE restored")

    assert row["n"] == 1


def test_optimize_asks_first_and_says_how_long_it_takes(sql, make, accounts):
    make.product()

    refused = command("optimize", DATABASE_URL=as_url(accounts.owner), input="")

    assert refused.returncode != 0
    assert "1 products" in refused.stderr and "up to 1 s" in refused.stderr and "--yes" in refused.stderr


def test_products_can_be_read_and_searched_meanwhile(client, make, accounts):
    make.products(3, name="lamp")
    over, statuses = threading.Event(), []

    def rebuild():
        for _ in range(3):
            optimize.rebuild(accounts.owner)
        over.set()

    thread = threading.Thread(target=rebuild)
    thread.start()
    while not over.is_set():
        statuses.append(client.get("/api/products?search=lamp").status_int)
    thread.join()

    assert set(statuses) == {200} and statuses


def test_purge_says_when_it_is_due(sql, make, accounts, monkeypatch):
    make.product()
    quiet = optimize.due(accounts.application)
    monkeypatch.setattr(optimize, "DUE", 0)

    assert quiet is None
    assert "python3 server.py optimize" in optimize.due(accounts.application)


def test_what_was_changed_often_slows_searches_down_until_optimize(sql, make, accounts):
    sql("INSERT INTO products (name, description, price) VALUES " + ", ".join(["('lamp', 'light', 1)"] * 5000))
    for change in range(4):
        sql("UPDATE products SET description = %s", [f"light number{change}"])
    before = in_transaction(accounts.owner, optimize.delay)

    optimize.rebuild(accounts.owner)

    assert in_transaction(accounts.owner, optimize.delay) < before / 2


def test_what_removed_rows_have_left_is_given_back_while_the_table_is_used(sql, accounts, monkeypatch):
    def given_back():  # of other tables too, in which other tests have left room
        return dict(optimize_space.give_back(accounts.owner)).get("known_words", 0)

    monkeypatch.setattr(optimize_space, "LEAST", 8 << 20)  # servers make room for 4 MiB at once
    sql(
        "INSERT INTO known_words (word) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
        "SELECT CONCAT(a.i, 'x', b.i, REPEAT('y', 20)) FROM n AS a JOIN n AS b ON b.i <= 300"
    )
    full = given_back()

    sql("DELETE FROM known_words")  # the server frees the pages a moment later
    freed = []
    assert eventually(lambda: freed.append(given_back()) or freed[-1], 60)

    assert (full, given_back()) == (0, 0)
    assert freed[-1] >= 8 << 20
