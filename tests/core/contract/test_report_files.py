"""What a file must say to be a report: bounds of what may be asked for, of its rows, and of its time."""

import pytest

from core.contract.report_files import Report, reports_of
from core.db.header import Problem
from core.db.statement import parse
from core.db.statements import Statements
from core.setup.system import ROOT

GOOD = """-- Things: what there is.
-- used by: server.py report
-- returns: many
-- columns: id INT, at TIMESTAMP, day DATE, price DECIMAL(10,2), name VARCHAR(255)
-- params:
--   days   1 to 92, default 30; How many days.
--   until  day, default none; The last day.
--   limit  1 to 100, default 10; How many.
-- rows: at most 100
-- timeout: 5s
SELECT id, created_at AS at, DATE(created_at) AS day, price, name
FROM products
WHERE created_at > COALESCE(%(until)s, CURRENT_DATE) - INTERVAL %(days)s DAY
ORDER BY id
LIMIT %(limit)s"""


def report(text=GOOD):
    """Return the report of this text."""
    return Report(parse("reports/things", "reports/things.sql", text))


def test_a_report_is_what_its_header_says():
    found = report()

    assert (found.name, found.title, found.about, found.timeout) == ("things", "Things", "what there is.", 5)
    assert found.columns == {"id": "integer", "at": "datetime", "day": "date", "price": "number", "name": "string"}
    assert found.values(found.query().check_text("days=7")) == {"days": 7, "until": None, "limit": 10}
    assert found.values(found.query().check_text("until=2026-01-31&limit=1")) == {
        "days": 30,
        "until": "2026-01-31",
        "limit": 1,
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1 to 92, default 30; How", "How", "reports/things.sql:5: days: a parameter of a report reads"),
        ("1 to 92, default 30", "1 to 92, default 93", "reports/things.sql:5: days: a parameter of a report reads"),
        ("at most 100\n", "at most 99\n", "reports/things.sql:9: 'rows: at most 99': a report has at most 10000 rows"),
        ("-- rows: at most 100\n", "", "'-- rows: …' is missing"),
        ("at most 100\n", "at most 10001\n", "a report has at most 10000 rows"),
        ("LIMIT %(limit)s", "LIMIT %(limit)s OFFSET 2", "ends with LIMIT"),
        ("-- timeout: 5s\n", "", "'-- timeout: …' is missing: a report takes 10s at the most"),
        ("timeout: 5s", "timeout: 11s", "a report takes 10s at the most"),
        ("Things: what there is.", "Things.", "begin with the title of the report, a colon, and what it is"),
        ("returns: many", "returns: one", "a report returns many rows, and locks none"),
        ("LIMIT %(limit)s", "LIMIT %(limit)s FOR UPDATE", "a report returns many rows, and locks none"),
    ],
)
def test_a_file_that_says_less_is_no_report(old, new, told):
    assert old in GOOD

    with pytest.raises(Problem) as refused:
        report(GOOD.replace(old, new))

    assert told in str(refused.value)


def test_the_files_of_reports_are_all_sound_and_none_reads_a_secret():
    statements = Statements(ROOT / "reports")

    found, problems = reports_of(statements, "reports")

    assert problems == statements.problems == [] and len(found) == 5
    for one in found.values():
        assert not {"session_id", "token_hash", "password_hash", "email"} & one.columns.keys(), one.name
