"""SQL files that are written from templates: what a template may say, and how an edit of a written file is noticed."""

import re
import shutil

import pytest
from helpers import as_url, command, servers

from commands.check_templates import COMMAND, NOTE, Templates
from core.db.statements import Statements
from core.setup.system import ROOT

LISTS = """What this is about.

## shown
p.id, p.name,
p.price

## shops/list_{{file}}.sql
| file   | order      | DESC | hint     |
| newest | created_at | DESC |          |
| price  | price      |      | {{hint}} |
-- Things, by {{order}}.
-- used by: a test
-- returns: many
SELECT
    {{shown}}
FROM things {{hint}}
ORDER BY p.{{order}} {{DESC}}, p.id {{DESC}}
"""
HINT = "\n## hint\nFORCE INDEX (ix_price)\n"
HEADER = "-- A thing.\n-- used by: a test\n-- returns: one\n"


@pytest.fixture
def templates(tmp_path):
    """`templates(text, …)`: those of a folder whose sql/shops/ has templates with these texts."""

    def make(*texts):
        folder = tmp_path / "sql" / "shops"
        folder.mkdir(parents=True, exist_ok=True)
        for i, text in enumerate(texts):
            (folder / f"t{i}.template").write_text(text)
        return Templates(tmp_path / "sql")

    return make


@pytest.fixture
def copy(tmp_path):
    """A copy of the program, to edit."""
    hidden = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "node_modules")
    return shutil.copytree(ROOT, tmp_path / "copy", ignore=hidden)


def edit(path, before, after):
    """Replace a text of a file that is there just once."""
    text = path.read_text()
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, after))


def written(found, name):
    """Return what templates write into a file, without the note of where it comes from."""
    assert found.problems == []
    lines = [line.text for line in found.files[name]]
    assert sum(line.startswith(NOTE) for line in lines) == 1
    return [line for line in lines if not line.startswith(NOTE)]


# The shop's own


def test_every_file_that_a_template_writes_is_as_the_template_has_it():
    assert [str(problem) for problem in Templates(ROOT / "sql").stale()] == []


def test_the_lists_of_products_and_of_orders_are_written_from_templates_and_like_one_another():
    files, statements = Templates(ROOT / "sql").files, Statements(ROOT / "sql")

    for pattern, first in (("products/list_(?!ids)", "products/list_price"), ("orders/list", "orders/list")):
        names = [statement.name for statement in statements if re.match(pattern, statement.name)]
        assert len(names) in (6, 7)
        assert {f"{name}.sql" for name in names} <= files.keys()
        assert {statements[name].header.like for name in names} == {None, first}
        assert len({str(statements[name].columns) for name in names}) == 1


def test_another_column_in_the_lists_of_products_takes_edits_of_two_files(copy, accounts, make):
    product = make.product(stock=3)
    flag = '    is_active=field("boolean", "Whether'
    edit(copy / "sql/products/list.template", "p.stock_quantity, p.is", "p.stock_quantity, p.in_stock, p.is")
    edit(copy / "sql/products/list.template", "stock_quantity INT,", "stock_quantity INT, in_stock TINYINT NULL,")
    edit(copy / "resources/products_fields.py", flag, f'    in_stock=field("boolean", "Yes?", True),\n{flag}')

    done = command("check", "--write-templates", home=copy, DATABASE_URL=as_url(accounts.owner))

    assert done.returncode == 0, done.stdout
    with servers(copy.parent, home=copy) as start:
        shop = start("--workers", "1", DATABASE_URL=as_url(accounts.application))
        for sort in ("newest", "oldest", "price", "-price", "name", "-name"):
            (item,) = shop.request(f"/api/products?sort={sort}").json["data"]["items"]
            assert item["in_stock"] is True
        for path in (f"?ids={product}", "?search=product"):
            assert [item["in_stock"] for item in shop.request(f"/api/products{path}").json["data"]["items"]] == [True]
        assert shop.request(f"/api/products/{product}").json["data"]["in_stock"] is True


def test_an_edit_of_a_written_file_by_hand_is_noticed_and_a_refresh_shows_what_it_drops(copy, accounts):
    edit(copy / "sql/products/list_name.sql", "ORDER BY page.name, page.id", "ORDER BY page.id")
    url = as_url(accounts.owner)

    noticed = command("check", home=copy, DATABASE_URL=url)
    refreshed = command("check", "--write-templates", home=copy, DATABASE_URL=url)

    assert noticed.returncode == 1
    first, last = noticed.stdout.splitlines()
    assert re.fullmatch(
        r"sql/products/list_name\.sql:\d+: is not what sql/products/list\.template:\d+ writes\. Bring the change into "
        rf"the template, or drop it; then: {COMMAND}",
        first,
    )
    assert last.endswith(": 1 wrong.")
    assert refreshed.returncode == 0
    assert refreshed.stdout.splitlines()[3:5] == ["-ORDER BY page.id", "+ORDER BY page.name, page.id"]
    assert (copy / "sql/products/list_name.sql").read_text() == (ROOT / "sql/products/list_name.sql").read_text()


def test_the_columns_of_a_written_file_are_written_into_its_template_by_hand(copy, accounts):
    template = copy / "sql/orders/list.template"
    edit(template, "-- columns: id INT, number", "-- columns: number")

    done = command("check", "--write-templates", "--write-columns", home=copy, DATABASE_URL=as_url(accounts.owner))

    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("sql/")]
    assert len(wrong) == 7
    assert all("returns id, which '-- columns:' does not declare" in line for line in wrong)


# What a template may say


def test_a_section_with_a_table_is_a_file_for_each_row_and_an_empty_cell_takes_its_space_along(templates):
    found = templates(LISTS + HINT)

    assert written(found, "shops/list_newest.sql")[3:] == [
        "SELECT",
        "    p.id, p.name,",
        "    p.price",
        "FROM things",
        "ORDER BY p.created_at DESC, p.id DESC",
    ]
    _, forced, ordered = written(found, "shops/list_price.sql")[-3:]
    assert (forced, ordered) == ("FROM things FORCE INDEX (ix_price)", "ORDER BY p.price, p.id")


def test_a_written_file_says_in_its_header_what_to_edit_instead(templates):
    first, note, *_ = [line.text for line in templates(LISTS + HINT).files["shops/list_price.sql"]]

    assert first == "-- Things, by price."
    assert note == f"-- note: written from sql/shops/t0.template: edit that, then {COMMAND}"


def test_blocks_are_shared_by_the_templates_of_a_folder_and_hold_others(templates):
    blocks = "## outer\n{{inner}} AS a\n\n## inner\n1 + 1\n"

    found = templates(f"## shops/a.sql\n{HEADER}SELECT {{{{outer}}}}\n", blocks)

    assert written(found, "shops/a.sql")[-1] == "SELECT 1 + 1 AS a"


def test_a_block_with_a_table_is_its_lines_once_for_each_row_and_sees_the_values_of_the_file(templates):
    branches = "## branches\n| union | x |\n| | 1 |\n| UNION ALL | 2 |\n{{union}}\nSELECT {{x}} + {{y}}\n"

    found = templates(f"{branches}\n## shops/a.sql\n| y |\n| 9 |\n{HEADER}{{{{branches}}}}\n")

    assert written(found, "shops/a.sql")[3:] == ["SELECT 1 + 9", "UNION ALL", "SELECT 2 + 9"]


def test_what_stands_behind_a_block_stands_behind_its_last_line(templates):
    found = templates(f"## list\na,\nb\n\n## shops/a.sql\n{HEADER}SELECT\n    {{{{list}}}}, c\nFROM t\n")

    assert written(found, "shops/a.sql")[3:] == ["SELECT", "    a,", "    b, c", "FROM t"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"## shops/a.sql\n{HEADER}SELECT {{{{nothing}}}}\n", "5: {{nothing}} is no block, and no cell of the"),
        (f"## a\n{{{{b}}}}\n## b\n{{{{a}}}}\n## shops/a.sql\n{HEADER}{{{{a}}}}\n", "4: {{a}} is used inside itself"),
        (f"## a\n1,\n2\n## shops/a.sql\n{HEADER}SELECT {{{{a}}}}\n", "8: {{a}} is several lines, and stands among"),
        (f"## shops/a.sql\n| a | b |\n| 1 |\n{HEADER}SELECT 1\n", "3: the table's head has 2 cells, and this row 1"),
        (f"## shops/a.sql\n{HEADER}SELECT 1\n## shops/a.sql\n{HEADER}SELECT 2\n", "6: shops/a.sql is written twice"),
        ("## a\n1\n## a\n2\n", "3: block a is there twice in this folder"),
        ("## shops/a.sql\n\n", "1: shops/a.sql would be empty"),
        (f"## shops/a.sql\n{HEADER}SELECT 1\n\n## a\n1\n", "7: block a is used nowhere"),
    ],
)
def test_what_is_wrong_in_a_template_is_said_with_its_line_and_nothing_is_written(templates, text, problem):
    found = templates(text)

    found.write(print)

    (said,) = map(str, found.stale())
    assert said.startswith(f"sql/shops/t0.template:{problem}")
    assert list(found.folder.glob("*/*.sql")) == []


def test_a_template_that_is_no_utf_8_is_named(templates):
    folder = templates().folder
    (folder / "shops" / "a.template").write_bytes("## é".encode("latin-1"))

    (said,) = map(str, templates().stale())

    assert said.startswith("sql/shops/a.template:1: cannot be read: 'utf-8' codec can't decode")


# Freshness


def test_what_was_written_is_fresh_and_is_not_written_again(templates):
    said = []
    found = templates(LISTS + HINT)
    found.write(said.append)
    path = found.folder / "shops" / "list_price.sql"
    before = path.stat().st_mtime_ns

    again = templates(LISTS + HINT)
    again.write(said.append)

    assert again.stale() == []
    assert path.stat().st_mtime_ns == before
    assert "+ORDER BY p.price, p.id" in said
    assert len([line for line in said if line.startswith("+++ ")]) == 2


@pytest.mark.parametrize(
    ("before", "after", "line", "by"),
    [
        ("FROM things FORCE", "FROM others FORCE", 8, 16),
        ("-- Things, by price.", "-- All things.", 1, 11),
        (", p.id\n", ", p.id\nLIMIT 10\n", 10, 17),
        ("p.price\n", "p.price,\n    p.secret\n", 7, 5),
    ],
)
def test_an_edit_by_hand_is_named_with_its_line_and_with_the_line_of_the_template(templates, before, after, line, by):
    found = templates(LISTS + HINT)
    found.write(lambda line: None)
    path = found.folder / "shops" / "list_price.sql"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))

    (said,) = map(str, found.stale())

    assert said.startswith(f"sql/shops/list_price.sql:{line}: is not what sql/shops/t0.template:{by} writes.")


def test_a_template_that_has_changed_makes_all_its_files_stale_and_a_refresh_shows_the_lines(templates):
    templates(LISTS + HINT).write(lambda line: None)
    said = []

    found = templates((LISTS + HINT).replace("p.id, p.name,", "p.id, p.label,"))
    names = [str(problem).partition(":")[0] for problem in found.stale()]
    found.write(said.append)

    assert names == ["sql/shops/list_newest.sql", "sql/shops/list_price.sql"]
    assert said.count("-    p.id, p.name,") == said.count("+    p.id, p.label,") == 2
    assert found.stale() == []


def test_a_file_that_is_missing_or_that_no_template_writes_any_more_is_named(templates):
    templates(LISTS + HINT).write(lambda line: None)

    found = templates(LISTS.replace("list_{{file}}", "by_{{file}}") + HINT)

    missing, _, left, _ = map(str, found.stale())
    assert missing == f"sql/shops/by_newest.sql:1: is not there, and sql/shops/t0.template:11 writes it: {COMMAND}"
    assert left == (
        "sql/shops/list_newest.sql:2: no template writes this file (any more): remove the note, or the file"
    )
