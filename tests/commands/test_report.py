"""`server.py report`: a table, CSV or JSON of a report, and the list of them."""

import csv
import io
import json

import pytest
from helpers import as_url

from commands import report
from core.db.statements import Statements
from resources.reports import REPORTS


@pytest.fixture
def reported(typed, accounts):
    """`reported(*words)`: (exit status, output, errors) of the command."""
    return lambda *words: typed("report", *words, DATABASE_URL=as_url(accounts.application))


@pytest.fixture
def tea(make):
    """A product that was sold."""
    tea = make.product("Tea", stock=7)
    make.order((tea, 3, "2.50"))
    return tea


def test_without_a_name_all_reports_are_listed_with_their_parameters(reported):
    status, printed, _ = reported()

    assert status == 0
    for name, known in REPORTS.items():
        assert f"{name}: {known.title}, " in printed
    assert "    days  How many days, back from now. [1 to 92, default 30]" in printed.splitlines()


def test_a_report_is_a_table(reported, tea):
    status, printed, _ = reported("best_sellers", "days=7", "limit=5")

    assert status == 0
    assert [line.split() for line in printed.splitlines()] == [
        ["product_id", "name", "orders", "pieces", "sales", "stock_quantity"],
        [str(tea), "Tea", "1", "3", "7.50", "7"],
    ]


def test_a_report_is_csv_or_json_for_programs(reported, tea):
    _, table, _ = reported("best_sellers", "--csv")
    _, document, _ = reported("best_sellers", "--json")

    assert list(csv.reader(io.StringIO(table, newline="")))[1] == [str(tea), "Tea", "1", "3", "7.50", "7"]
    row = {"product_id": tea, "name": "Tea", "orders": 1, "pieces": 3, "sales": 7.5, "stock_quantity": 7}
    assert json.loads(document) == [row]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["best_seller"], "There is no report 'best_seller'. There are abandoned_carts, best_sellers, "),
        (["best_sellers", "days=93"], "days: Must be a whole number from 1 to 92.\n"),
        (["best_sellers", "dayz=3"], "dayz: Unknown parameter dayz; did you mean days?\n"),
        (["best_sellers", "days"], "'days' is no param=value, such as days=7.\n"),
        (["sales_by_day", "until=31.1.2026"], "until: Must be a day such as 2026-01-31, from 1970 to 2037.\n"),
    ],
)
def test_what_is_wrong_is_said_and_the_exit_status_is_2(reported, words, sentence):
    status, printed, told = reported(*words)

    assert (status, printed) == (2, "") and told.startswith(sentence)


def test_a_report_that_takes_too_long_says_so_and_what_to_do(reported, tea, monkeypatch):
    """The file's own limit, made short, and each of its days long."""

    def slowly(folder, **options):
        statements = Statements(folder, **options)
        statement = statements["reports/sales_by_day"]
        short = statement.text.replace("max_statement_time=5.0", "max_statement_time=0.2").replace("(5000)", "(200)")
        statement.text = short.replace("SUM(o.total)", "SUM(o.total + SLEEP(0.5))")
        return statements

    monkeypatch.setattr(report, "Statements", slowly)

    status, printed, told = reported("sales_by_day")

    assert (status, printed) == (1, "")
    assert told == "The report takes longer than 5 s. Ask for less: for fewer days, say.\n"
