"""`server.py check --compare`: what an edit changes, beside the released version, in a seeded shop and an empty one."""

import shutil
import subprocess

import pytest
from helpers import as_url, command, empty_tables, execute, options

from commands import check, check_comparison, check_templates, seed
from core.cli import CommandError
from core.config import Config
from core.setup.system import ROOT

PRODUCTS, ORDERS = 500, 200


@pytest.fixture
def seeded(accounts):
    """The tests' database with what `server.py seed` makes of a small shop."""
    if execute(accounts.owner, "SELECT COUNT(*) AS n FROM products") != [{"n": PRODUCTS}]:
        empty_tables(accounts.owner)
        seed.fill(accounts.owner, PRODUCTS)
        seed.add_orders(accounts.owner, ORDERS, "EUR")
    return accounts


@pytest.fixture
def empty(accounts, sql):
    """The tests' database without a row."""
    return accounts


@pytest.fixture
def compared(tmp_path, monkeypatch, capsys):
    """`compared(accounts, edits, *files)`: edit a copy of sql/ by {name: [(old, new), …]}; return status and lines.

    The copy has no templates, which would have to be edited, too.
    """
    shutil.copytree(ROOT / "sql", tmp_path / "sql", ignore=shutil.ignore_patterns("*.template"))
    for path in (tmp_path / "sql").glob("*/*.sql"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(check_templates.NOTE)))
    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(check_comparison, "TRIES", 2)

    def run(accounts, edits, *files):
        for name, pairs in edits.items():
            path = tmp_path / "sql" / f"{name}.sql"
            for old, new in pairs:
                assert old in path.read_text(), f"{name} has no {old!r}"
                path.write_text(path.read_text().replace(old, new))
        capsys.readouterr()  # what `seeded` has said
        status = check.run(options(check, compare=str(ROOT), files=files), Config(database=accounts.owner), None)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith("all right."), lines  # the edit has the right form: nothing else would notice it
        return status, lines[1:]

    return run


def said(lines, *parts):
    """Whether a line has these parts in this order, however far apart."""
    return any(line.split()[: len(parts)] == list(parts) for line in lines)


def test_without_an_edit_all_is_the_same(compared, seeded):
    assert compared(seeded, {}) == (0, [f"0 changed files compared with {ROOT}: all the same."])


def test_an_edit_that_changes_nothing_is_green_and_says_what_was_seen(compared, seeded):
    status, lines = compared(seeded, {"products/get": [("WHERE p.id = %(id)s", "WHERE %(id)s = p.id")]})

    assert status == 0
    assert lines[0].startswith("sql/products/get.sql: the same (") and "rows; rows read " in lines[0]
    assert lines[-1] == f"1 changed files compared with {ROOT}: all the same."


@pytest.mark.parametrize("place", ["seeded", "empty"])
def test_a_limit_that_is_huge_is_seen_although_no_page_is_full(compared, request, place):
    edit = [("LIMIT %(limit)s\n", "LIMIT 1000000\n"), ("WHERE user_id", "WHERE %(limit)s > 0 AND user_id")]

    status, lines = compared(request.getfixturevalue(place), {"sessions/list": edit})

    assert status == 1
    assert any("; and here limit=" in line for line in lines), lines
    assert said(lines, "rows")


def test_a_limit_that_is_gone_is_seen_and_no_more_rows_than_some_are_held(compared, seeded, monkeypatch):
    monkeypatch.setattr(check_comparison, "MOST", 100)

    status, lines = compared(
        seeded,
        {"seed/goods": [("LIMIT %(limit)s", "LIMIT 1000000"), ("FROM products", "FROM products WHERE %(limit)s > 0")]},
    )

    assert status == 1
    assert said(lines, "rows"), lines


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("users/get", "WHERE id = %(id)s", "WHERE id >= %(id)s"),
        ("orders/cancel", "WHERE id = %(id)s", "WHERE id >= %(id)s"),
        ("sessions/current", "u.id = s.user_id", "u.id >= s.user_id"),
        ("cart/find", "AND i.session_id = %(session_id)s", "AND %(session_id)s IS NOT NULL"),
    ],
)
def test_what_only_the_first_row_shows_is_seen_though_samples_ask_for_the_last(compared, empty, name, old, new):
    status, lines = compared(empty, {name: [(old, new)]})

    assert status == 1
    assert any("; but here " in line and "MIN(" in line for line in lines), lines


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("cart/find_own", "user_id = %(user_id)s", "user_id <= %(user_id)s"),
        ("sessions/end_own", "WHERE id = %(id)s", "WHERE id >= %(id)s"),
        ("outbox/claim", "state = 'waiting'", "state <> 'dead'"),
        ("outbox/deliver", " AND state <> 'delivered'", ""),
        ("idempotency_keys/store", "WHERE id = %(id)s", "WHERE id = %(id)s OR answer IS NULL"),
    ],
)
def test_rows_that_should_stay_are_there_to_be_changed(compared, empty, name, old, new):
    status, _ = compared(empty, {name: [(old, new)]})

    assert status == 1


def test_a_column_that_may_leave_is_named(compared, seeded):
    status, lines = compared(
        seeded,
        {
            "users/get": [
                ("email, role", "email, password_hash, role"),
                ("role ENUM", "password_hash VARCHAR(255), role ENUM"),
            ]
        },
    )

    assert status == 1
    assert said(lines, "columns") and any("password_hash" in line for line in lines)


def test_rows_read_and_time_are_compared_too(compared, seeded):
    slower = "WHERE p.id = %(id)s\n  AND (SELECT SUM(q.price) FROM products AS q) > 0"

    status, lines = compared(seeded, {"products/get": [("WHERE p.id = %(id)s", slower)]})

    assert status == 1
    assert said(lines, "rows", "read"), lines


def test_a_sample_that_sees_nothing_is_named(compared, empty):
    blind = [("-- sample: id=(SELECT MIN(id) FROM products)", "-- sample: id=0"), ("p.id = %(id)s", "p.id <=> %(id)s")]

    status, lines = compared(empty, {"products/get": blind})

    assert status == 0  # the released samples see rows, and are tried too
    assert any(line.startswith("  These samples see no row here, and prove nothing: id=0") for line in lines), lines


def test_where_no_sample_sees_a_row_nothing_is_proven_and_the_exit_status_is_2(compared, empty, sql):
    sql("INSERT INTO users (username, email, password_hash) VALUES ('zzz_sample', 'a@example.com', '*')")

    status, lines = compared(empty, {"sessions/get": [("token_hash = %(token_hash)s", "%(token_hash)s = token_hash")]})

    assert status == 2
    assert lines[0].startswith("No rows could be added for the samples, which see what there is: Duplicate entry")
    assert (
        "sql/sessions/get.sql: no sample sees a row here, and so nothing is proven. Give it a sample that does."
        in lines
    )


def test_what_a_truncate_would_do_is_not_tried(compared, seeded):
    status, lines = compared(seeded, {"seed/clear_products": [("DELETE FROM products", "TRUNCATE products")]})

    assert status == 1
    assert any("TRUNCATE is not run: no transaction takes it back" in line for line in lines)
    assert execute(seeded.owner, "SELECT id FROM products WHERE id = 1") == [{"id": 1}]


def test_everything_is_rolled_back(compared, seeded):
    tables = ("products", "cart_items", "carts", "orders", "users", "sessions", "outbox", "webhooks", "categories")
    counts = {table: execute(seeded.owner, f"SELECT COUNT(*) AS n FROM {table}") for table in tables}

    compared(seeded, {"cart/clear": [("WHERE session_id = %(session_id)s", "WHERE session_id >= %(session_id)s")]})

    assert {table: execute(seeded.owner, f"SELECT COUNT(*) AS n FROM {table}") for table in tables} == counts


def test_only_the_files_that_are_named_are_looked_at(compared, seeded):
    edits = {"products/get": [("p.is_active = 1", "1 = 1")], "cart/clear": [("WHERE", "WHERE id > 0 OR")]}

    status, lines = compared(seeded, edits, "products/get")

    assert status == 1
    assert not any("cart/clear" in line for line in lines)


def test_a_file_that_is_not_there_is_an_error_with_a_hint(accounts):
    done = command("check", "products/lst_price", DATABASE_URL=as_url(accounts.owner))

    assert done.returncode == 2
    assert done.stderr == "There is no file 'products/lst_price' in sql/. Did you mean sql/products/list_price.sql?\n"


def test_a_folder_without_files_of_the_shop_is_refused(accounts, tmp_path):
    done = command("check", "--compare", str(tmp_path), DATABASE_URL=as_url(accounts.owner))

    assert done.returncode == 1
    assert done.stderr == (f"{tmp_path} has none of the files of sql/. Name the folder of a release, or its sql/.\n")


def test_where_the_released_version_is_wrong_nothing_is_proven_and_the_exit_status_is_2(empty, tmp_path):
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    path = tmp_path / "sql/users/get.sql"
    path.write_text(path.read_text().replace("-- returns: one", "-- returns: some"))

    done = command("check", "--compare", str(tmp_path), DATABASE_URL=as_url(empty.owner))

    assert done.returncode == 2
    assert f"sql/users/get.sql: not compared with {tmp_path}, where it is wrong (" in done.stdout


@pytest.mark.parametrize("option, other", [("accept", "plans"), ("slower", "accept"), ("also", "accept")])
def test_an_option_that_says_nothing_alone_is_refused(option, other):
    with pytest.raises(
        CommandError, match=f"^--{option} goes with --{other}: python3 server.py check --plans --accept$"
    ):
        check.run(options(check, **{option: True}), Config(), None)


def git(folder, *words):
    """Run git there, as somebody."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.slow
def test_the_last_commit_is_the_release_unless_another_is_named(program_copy, seeded):
    git(program_copy, "init", "-q")
    git(program_copy, "add", "sql")
    git(program_copy, "commit", "-qm", "1.0")
    git(program_copy, "tag", "v1.0")
    path = program_copy / "sql/cart/clear.sql"
    path.write_text(path.read_text().replace("WHERE", "WHERE id > 0 OR"))
    url = as_url(seeded.owner)

    edited = command("check", "--compare", home=program_copy, DATABASE_URL=url)
    git(program_copy, "commit", "-qam", "an edit")
    committed = command("check", "--compare", home=program_copy, DATABASE_URL=url)
    released = command("check", "--compare", "v1.0", home=program_copy, DATABASE_URL=url)
    file = command("check", "--compare", "cart/show", home=program_copy, DATABASE_URL=url)
    unknown = command("check", "--compare", "--output=x", home=program_copy, DATABASE_URL=url)
    nowhere = command("check", "--compare", "v2.0", home=program_copy, DATABASE_URL=url)

    assert edited.returncode == 1 and "sql/cart/clear.sql differs from HEAD" in edited.stdout
    assert (committed.returncode, committed.stdout.splitlines()[-1]) == (
        0, "0 changed files compared with HEAD: all the same."
    )  # fmt: skip
    assert released.returncode == 1 and "sql/cart/clear.sql differs from v1.0" in released.stdout
    assert file.stdout.splitlines()[0].startswith("1 statements checked")
    assert unknown.returncode == 2
    assert nowhere.returncode == 1 and nowhere.stderr.startswith("git does not give the files of v2.0: ")
