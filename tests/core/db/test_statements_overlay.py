"""SQL_OVERLAY: tuned versions of single files, which are for the code what they stand for, or are refused."""

import hashlib
import logging
import os
import re
import shutil

import pytest

from core.db.overlay import checksum, marked
from core.db.statements import Statements
from core.setup.system import ROOT

LIST = "products/list_price"
LOCK = "orders/lock"
SET = "cart/set"
SAMPLES = re.compile(r"^-- sample:.*\n(?:--   .*\n)*", re.M)


@pytest.fixture
def released(tmp_path):
    """A copy of sql/, which an upgrade may change."""
    return shutil.copytree(ROOT / "sql", tmp_path / "sql")


@pytest.fixture
def folder(tmp_path):
    """An empty overlay."""
    (tmp_path / "tuned").mkdir()
    return tmp_path / "tuned"


def source(name):
    return (ROOT / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def write(folder, name, text):
    path = folder / f"{name}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def tune(folder, name, *edits):
    """Put a tuned version of a released file in; return its path."""
    text = marked(source(name), source(name))
    for old, new in edits:
        edited = old.sub(new, text) if old is SAMPLES else text.replace(old, new)
        assert edited != text
        text = edited
    return write(folder, name, text)


def test_a_tuned_version_runs_in_place_of_the_released_file_under_its_name(released, folder):
    path = tune(folder, LIST, ("ORDER BY price, id", "ORDER BY price ASC, id"))

    statements = Statements(released, tuned=folder)

    assert (statements.problems, statements.outdated()) == ([], [])
    assert "ORDER BY price ASC, id" in statements.get(LIST).text
    assert statements.get(LIST).text.startswith(f"/* {LIST} */ ")
    assert statements[LIST].path == str(path)
    assert "tuned" not in statements["products/list_name"].path


def test_the_checksum_is_that_of_sha256sum(released, folder):
    path = tune(folder, LIST)

    bytes_ = (ROOT / "sql" / f"{LIST}.sql").read_bytes()
    assert f"-- replaces: {hashlib.sha256(bytes_).hexdigest()}\n" in path.read_text()
    assert checksum(source(LIST).replace("\n", "\r\n")) == checksum(source(LIST))


REFUSED = {  # what is wrong → the file, its edit, and what is said
    "a column less": (LIST, [(" p.description,", ""), ("description TEXT NULL, ", "")], "'columns: .*': sql/.* has "),
    "a column more": (LIST, [("p.updated_at\n", "p.updated_at, p.id AS more\n"),
                             ("-- columns: ", "-- columns: more INT, ")], "'columns: .*': sql/.* has "),
    "another type": (LIST, [("-- columns: id INT", "-- columns: id BIGINT")], "'columns: .*': sql/.* has id INT, "),
    "a parameter less": (SET, [("AND p.stock_quantity >= %(quantity)s", ""), ("= %(quantity)s", "= 1"),
                               ("--   quantity ", "-- "), (SAMPLES, "")], "sql/.* has .*quantity"),
    "another number of rows": (LIST, [("-- returns: many", "-- returns: one")], "'returns: one': sql/.* has many"),
    "another table that changes": (SET, [("SET i.quantity = %(quantity)s", "SET p.stock_quantity = %(quantity)s"),
                                         ("-- changes: cart_items", "-- changes: products")],
                                   "'changes: products': sql/.* has cart_items"),
    "no lock": (LOCK, [("FOR UPDATE", "")], "locks rows, or not"),
    "another lock": (LOCK, [("FOR UPDATE", "LOCK IN SHARE MODE")], "locks rows, or not"),
    "no list": (LIST, [("category_id + 0 IN %(category_ids)s", "category_id + 0 = %(category_ids)s"),
                       ("category_id IN %(category_ids)s", "category_id = %(category_ids)s"),
                       ("0 IN %(category_ids)s", "0 = %(category_ids)s")], "category_ids must stand behind IN"),
    "no checksum": (LIST, [("-- replaces: ", "-- note: ")], "'-- replaces: …' is missing: it wants the SHA-256"),
    "a bad checksum": (LIST, [("-- replaces: ", "-- replaces: x")], "'replaces: x.*': it wants the SHA-256"),
    "bad SQL": (LIST, [("ORDER BY price, id", "ORDER BY price; id")], "one statement a file"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_the_same_for_the_code_is_refused_and_the_file_is_named(released, folder, what):
    name, edits, said = REFUSED[what]
    path = tune(folder, name, *edits)

    problems = Statements(released, tuned=folder).problems

    assert len(problems) == 1
    assert str(problems[0]).startswith(f"{path}:")
    assert re.search(said, str(problems[0]))


def test_a_file_that_stands_for_none_is_a_problem(released, folder):
    stray = [write(folder, "products/list_prize", "x"), folder / "list_price.sql", folder / "a" / "b" / "c.sql"]
    stray[1].write_text("x")
    stray[2].parent.mkdir(parents=True)
    stray[2].write_text("x")
    (folder / "README.md").write_text("mine")

    problems = sorted(str(problem) for problem in Statements(released, tuned=folder).problems)

    assert problems == sorted(
        f"{path}:1: there is no sql/{path.relative_to(folder).with_suffix('')}.sql for which it could stand; remove it"
        for path in stray
    )


def test_a_folder_that_is_not_there_is_a_problem(released, tmp_path):
    problems = Statements(released, tuned=tmp_path / "nowhere").problems

    assert [str(p) for p in problems] == [
        f"{tmp_path / 'nowhere'}:1: SQL_OVERLAY names this folder, and it is not there; make it"
    ]


def test_replaces_in_a_released_file_is_a_problem(released):
    write(released, LIST, marked(source(LIST), source(LIST)))

    problems = Statements(released).problems

    assert "'replaces: " in str(problems[0]) and "only a file in SQL_OVERLAY has this line" in str(problems[0])


def test_an_upgrade_that_changes_the_released_file_says_what_to_do_and_the_tuned_version_stays_in_use(released, folder):
    path = tune(folder, LIST, ("ORDER BY price, id", "ORDER BY price ASC, id"))
    write(released, LIST, source(LIST).replace("ORDER BY price, id", "ORDER BY price, id /* faster */"))

    statements = Statements(released, tuned=folder)

    assert statements.problems == []
    assert statements.outdated() == [
        f"Your {path} was made for an older sql/{LIST}.sql, and is in use. Compare the two, take over what changed, "
        f"and type: python3 server.py overlay --renew {LIST}; or remove it."
    ]
    assert "ORDER BY price ASC, id" in statements.get(LIST).text


def test_an_upgrade_after_which_it_would_not_do_is_a_problem(released, folder):
    tune(folder, LIST)
    write(released, LIST, source(LIST).replace(" p.description,", "").replace("description TEXT NULL, ", ""))

    assert "the code wants the same here" in str(Statements(released, tuned=folder).problems[0])


# While it runs


def later(path):
    """Give a file that was just written a time of its own."""
    os.utime(path, ns=(path.stat().st_mtime_ns + 10**9,) * 2)


def test_with_reload_an_overlay_file_that_comes_changes_or_goes_is_taken_at_once(released, folder):
    statements = Statements(released, reload=True, tuned=folder)
    assert "ASC" not in statements.get(LIST).text

    path = tune(folder, LIST, ("ORDER BY price, id", "ORDER BY price ASC, id"))
    assert "ORDER BY price ASC, id" in statements.get(LIST).text
    tune(folder, LIST, ("ORDER BY price, id", "ORDER BY price ASC, id ASC"))
    later(path)
    assert "ORDER BY price ASC, id ASC" in statements.get(LIST).text
    path.unlink()
    assert "ASC" not in statements.get(LIST).text


def test_with_reload_a_tuned_version_that_would_not_do_is_refused_and_logged_once(released, folder, caplog):
    statements = Statements(released, reload=True, tuned=folder)

    path = tune(folder, LIST, ("-- returns: many", "-- returns: one"))
    with caplog.at_level(logging.ERROR):
        assert [statements.get(LIST).returns for _ in range(3)] == ["many"] * 3

    assert len(caplog.records) == 1
    assert str(path) in caplog.text and "the last good version stays in use" in caplog.text
