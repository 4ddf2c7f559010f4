"""Reports over HTTP: what they count, what may be asked for, in which form, and for how long."""

import copy
import csv
import io
import threading

import pytest
from helpers import at_once, bearer, login, register

from core.db import database
from resources import reports

SENT = "INSERT INTO cart_items (session_id, product_id, quantity) VALUES (%s, %s, %s)"


@pytest.fixture
def shown(client, root):
    """`shown(name, **query)`: the rows of a report."""

    def get(name, **query):
        answer = client.get(f"/api/reports/{name}", query, headers=root)
        assert answer.status_int == 200, answer.text
        return answer.json["data"]["rows"]

    return get


@pytest.fixture
def sold(make, sql):
    """Two products, and orders of them: today, yesterday, 40 days ago, and one that was canceled."""
    tea, cup = make.product("Tea", stock=6, price="2.50"), make.product("Cup", stock=500, price="4.00")
    for days, lines, columns in (
        (0, [(tea, 3, "2.50"), (cup, 1, "4.00")], {"payment_status": "paid"}),
        (1, [(tea, 3, "2.50")], {"payment_status": "partly_refunded", "paid": "7.50", "refunded": "2.50"}),
        (1, [(cup, 2, "4.00")], {}),
        (1, [(cup, 90, "4.00")], {"status": "canceled"}),
        (40, [(cup, 50, "4.00")], {"payment_status": "paid"}),
    ):
        id = make.order(*lines, **columns)
        sql("UPDATE orders SET placed_at = CURRENT_TIMESTAMP - INTERVAL %s DAY WHERE id = %s", [days, id])
    return tea, cup


def test_sales_by_day_count_what_was_ordered_and_what_was_received(shown, sold, sql):
    days = [str(sql(f"SELECT CURRENT_DATE - INTERVAL {n} DAY AS day")[0]["day"]) for n in (1, 0)]

    rows = shown("sales_by_day", days=30)

    assert rows == [
        {"day": days[0], "currency": "EUR", "orders": 2, "pieces": 5, "sales": 15.5, "received": 5},
        {"day": days[1], "currency": "EUR", "orders": 1, "pieces": 4, "sales": 11.5, "received": 11.5},
    ]
    assert shown("sales_by_day", until=days[0], days=1) == rows[:1]
    assert [row["pieces"] for row in shown("sales_by_day", days=41)] == [50, 5, 4]


def test_best_sellers_come_by_pieces_without_what_came_back(shown, sold, sql):
    tea, cup = sold
    sql("UPDATE order_items SET restocked = 1 WHERE product_id = %s AND quantity = 2", [cup])

    first, second = shown("best_sellers")

    assert first == {"product_id": tea, "name": "Tea", "orders": 2, "pieces": 6, "sales": 15, "stock_quantity": 6}
    assert (second["product_id"], second["pieces"], second["sales"]) == (cup, 2, 8)
    assert shown("best_sellers", limit=1) == [first]
    assert shown("best_sellers", days=60)[0]["pieces"] == 52


def test_what_runs_out_is_told_by_how_it_sells(shown, sold, sql):
    tea, cup = sold

    rows = shown("running_out", days=30, within=30)

    assert rows == [{"product_id": tea, "name": "Tea", "stock_quantity": 6, "sold": 6, "days_left": 30}]
    assert shown("running_out", days=30, within=29) == []
    sql("UPDATE products SET stock_quantity = 0 WHERE id = %s", [cup])
    assert [(row["name"], row["days_left"]) for row in shown("running_out", within=30)] == [("Cup", 0), ("Tea", 30)]


def test_abandoned_carts_are_counted_by_day_and_never_named(client, shown, make, sql, root):
    tea, gone = make.product(price="2.50"), make.product(is_active=0)
    for session, hours in (("old", 49), ("older", 50), ("new", 1)):
        make.cart(session, tea, gone, quantity=2)
        sql(
            "UPDATE carts SET updated_at = CURRENT_TIMESTAMP - INTERVAL %s HOUR WHERE session_id = %s", [hours, session]
        )

    rows = shown("abandoned_carts", hours=24)

    assert sum(row["carts"] for row in rows) == 2 and sum(row["total"] for row in rows) == 10
    assert sum(row["pieces"] for row in rows) == 4 and {row["of_accounts"] for row in rows} == {0}
    assert b"older" not in client.get("/api/reports/abandoned_carts", headers=root).body
    assert sum(row["carts"] for row in shown("abandoned_carts", hours=1)) == 3


def test_searches_without_a_hit_come_by_how_often(shown, sql):
    for words, count, days in (("unicorn", 3, 0), ("saddle", 9, 2), ("past", 99, 40)):
        sql(
            "INSERT INTO missed_searches (words, searches, first_day, last_day) "
            "VALUES (%s, %s, CURRENT_DATE - INTERVAL 50 DAY, CURRENT_DATE - INTERVAL %s DAY)",
            [words, count, days],
        )

    assert [(row["words"], row["searches"]) for row in shown("searches_without_hit")] == [("saddle", 9), ("unicorn", 3)]


def test_the_list_names_each_report_with_what_may_be_asked_for(client, root):
    listed = client.get("/api/reports", headers=root).json["data"]

    assert [report["name"] for report in listed] == sorted(reports.REPORTS)
    best = next(report for report in listed if report["name"] == "best_sellers")
    assert best["title"] == "Best sellers"
    assert best["parameters"][0] == {
        "name": "days",
        "description": "How many days, back from now.",
        "min": 1,
        "max": 92,
        "default": 30,
    }
    assert {"name": "pieces", "type": "number"} in best["columns"]


@pytest.mark.parametrize(
    ("query", "field", "issue"),
    [
        ("days=0", "days", "Must be a whole number from 1 to 366."),
        ("days=367", "days", "Must be a whole number from 1 to 366."),
        ("days=ten", "days", "Must be a whole number from 1 to 366."),
        ("until=2026-02-30", "until", "Must be a day such as 2026-01-31, from 1970 to 2037."),
        ("until=2026-01-31T00:00:00Z", "until", "Must be a day such as 2026-01-31, from 1970 to 2037."),
        ("dayz=3", "dayz", "Unknown parameter dayz; did you mean days?"),
        ("days=1&days=2", "days", "Must be given once, not 2 times."),
        ("format=xml", "format", "Must be one of json, csv."),
    ],
)
def test_what_is_wrong_with_a_request_is_named(client, root, query, field, issue):
    answer = client.get(f"/api/reports/sales_by_day?{query}", headers=root)

    assert answer.status_int == 400
    assert answer.json["error"]["details"]["field"] == field
    assert answer.json["error"]["details"]["issue"] == issue


@pytest.mark.parametrize(
    ("query", "accept", "wanted"),
    [
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("", "text/csv;q=0.5, application/json", "application/json"),
        ("?format=csv", "application/json", "text/csv; charset=utf-8"),
        ("?format=json", "text/csv", "application/json"),
    ],
)
def test_a_report_is_json_or_csv_as_the_client_asks(client, root, sold, query, accept, wanted):
    answer = client.get(f"/api/reports/best_sellers{query}", headers={**root, "Accept": accept})

    assert answer.headers["Content-Type"] == wanted
    assert "Accept" in answer.headers["Vary"] and answer.headers["Cache-Control"] == "no-store"
    if wanted.startswith("text/csv"):
        assert answer.headers["Content-Disposition"] == 'attachment; filename="best_sellers.csv"'
        table = list(csv.reader(io.StringIO(answer.text, newline="")))
        assert table[0] == ["product_id", "name", "orders", "pieces", "sales", "stock_quantity"]
        assert table[1][1:] == ["Tea", "2", "6", "15.00", "6"]


def test_a_cell_is_what_is_stored_and_the_api_document_says_how_to_open_the_table(client, root, sold, sql):
    tea, _ = sold
    sql("UPDATE products SET name = '=1+1' WHERE id = %s", [tea])

    table = client.get("/api/reports/best_sellers?format=csv", headers=root).text
    parameters = client.get("/api/openapi.json").json["paths"]["/api/reports/best_sellers"]["get"]["parameters"]

    assert list(csv.reader(io.StringIO(table, newline="")))[1][1] == "=1+1"
    assert "import its columns as text" in next(p for p in parameters if p.get("name") == "format")["description"]


def test_an_unknown_report_is_a_404_and_a_customer_sees_none(client, root):
    register(client, "ada")
    customer = bearer(login(client, "ada"))

    assert client.get("/api/reports/secrets", headers=root).status_int == 404
    for path in ("/api/reports", *(f"/api/reports/{name}" for name in reports.REPORTS)):
        assert (client.get(path).status_int, client.get(path, headers=customer).status_int) == (401, 403)


def test_a_report_that_takes_too_long_is_ended_by_the_server_with_a_sentence(wired, root, sold, monkeypatch):
    """The file's own limit, made short, and each of its days long."""
    client = wired()
    [statement] = [one for one in client.app.readiness.statements if one.name == "reports/sales_by_day"]
    short = statement.text.replace("max_statement_time=5.0", "max_statement_time=0.2").replace("(5000)", "(200)")
    monkeypatch.setattr(statement, "text", short.replace("SUM(o.total)", "SUM(o.total + SLEEP(0.5))"))

    answer = client.get("/api/reports/sales_by_day", headers=root, status=503)

    assert answer.json["error"]["message"] == "The report takes longer than 5 s. Ask for less: for fewer days, say."
    assert answer.headers["Retry-After"] == "60"


def test_reports_are_made_one_at_a_time_and_more_are_told_to_wait(client, root, monkeypatch):
    monkeypatch.setattr(reports, "WAIT", 0.1)
    monkeypatch.setattr(reports, "RUNNING", threading.BoundedSemaphore(1))
    reports.RUNNING.acquire()
    refused = client.get("/api/reports/best_sellers", headers=root)
    reports.RUNNING.release()

    assert (refused.status_int, refused.json["error"]["message"]) == (
        503,
        "Another report is being made. Try again in a moment.",
    )
    monkeypatch.setattr(reports, "WAIT", 20)
    asked = at_once([lambda: client.get("/api/reports/best_sellers", headers=root).status_int] * 4)
    assert asked == [200] * 4


def test_a_column_that_an_edit_adds_stands_in_the_header_of_the_table_too(wired, root, sold, monkeypatch):
    """A file of reports/ may be edited, and taken by SIGHUP; the route knows the columns of the start."""
    client = wired()
    statements = client.app.readiness.statements
    edited = copy.copy(statements["reports/best_sellers"])
    edited.columns = {**edited.columns, "more": edited.columns["orders"]}
    edited.text = edited.text.replace("p.stock_quantity\n", "p.stock_quantity, 7 AS more\n")
    monkeypatch.setitem(statements._by_name, edited.name, edited)

    table = client.get("/api/reports/best_sellers?format=csv", headers=root).text.splitlines()
    answer = client.get("/api/reports/best_sellers", headers=root).json["data"]
    [listed] = [one for one in client.get("/api/reports", headers=root).json["data"] if one["name"] == "best_sellers"]

    assert table[0].endswith(",stock_quantity,more") and table[1].endswith(",7")
    assert answer["columns"][-1] == listed["columns"][-1] == {"name": "more", "type": "integer"}
    assert answer["rows"][0]["more"] == 7


def test_who_waits_for_a_report_has_no_connection_yet(client, root, monkeypatch):
    """Else a handful of requests would take more connections than DATABASE_CONNECTIONS says."""
    monkeypatch.setattr(reports, "WAIT", 0.1)
    monkeypatch.setattr(reports, "RUNNING", threading.BoundedSemaphore(1))
    opened = []
    plainly = database.connect
    monkeypatch.setattr(database, "connect", lambda *a, **more: opened.append(a) or plainly(*a, **more))
    reports.RUNNING.acquire()

    assert client.get("/api/reports/best_sellers", headers=root).status_int == 503
    assert opened == []
    reports.RUNNING.release()
    assert client.get("/api/reports/best_sellers", headers=root).status_int == 200
    assert len(opened) == 1


def test_the_api_document_has_each_report_with_its_parameters_and_both_forms(client):
    paths = client.get("/api/openapi.json").json["paths"]

    operation = paths["/api/reports/sales_by_day"]["get"]
    assert operation["operationId"] == "reportSalesByDay" and operation["summary"] == "Sales by day"
    named = {parameter.get("name"): parameter for parameter in operation["parameters"]}
    assert named["days"]["schema"] | {"examples": [30]} == {
        "type": "integer",
        "minimum": 1,
        "maximum": 366,
        "default": 30,
        "examples": [30],
    }
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/csv"}
