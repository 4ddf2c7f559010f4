"""The catalogue in and out as CSV, through the wired shop and, for streams and races, a real server."""

import contextlib
import csv
import http.client
import io
import os
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import as_url, at_once
from test_products_changes import NEW, problem
from webob import Request

from core.contract.request_body import LARGEST_BODY
from core.db.database import Database, Session
from core.db.drivers import connect
from core.errors import ServiceUnavailable
from resources import products_csv

LARGEST = products_csv.FILE.largest
WORDS = "\"quoted\", comma; 'single'\r\nsecond line\nthird\rfourth\ttab \\ =cmd|'/C calc'!A0 😀"


def take_in(client, headers, text, query="", kind="text/csv"):
    """Import a table."""
    body = text if isinstance(text, bytes) else text.encode()
    return client.post(f"/api/products/import{query}", body, headers={**headers, "Content-Type": kind})


def table(answer):
    """Return the rows of an export."""
    assert answer.status_int == 200, answer.text
    return list(csv.reader(io.StringIO(answer.body.decode(), newline="")))


def details(answer):
    """Return (row, field) of every problem of a refusal."""
    assert answer.status_int == 400, answer.text
    assert answer.json["error"]["code"] == "VALIDATION_ERROR"
    return [(e.get("row"), e["field"]) for e in answer.json["error"]["details"]["errors"]]


def stored(sql):
    """Return what is in the catalogue, without times."""
    columns = "id, name, description, price, image_url, category_id, stock_quantity, is_active"
    return sql(f"SELECT {columns} FROM products ORDER BY id")


def test_a_table_adds_and_changes_products(client, root, make, sql):
    lamps = make.category("Lamps")
    old = make.product("Old", "5.00", 7, category_id=lamps, description="Stays.")

    done = take_in(
        client,
        root,
        f"price,id,name,category,is_active\r\n9.50,{old},New,,FALSE\r\n0.01,,Added,lamps,\r\n\r\n99999999.99,,Other,,1\r\n",
    )

    assert done.json["data"] == {"created": 2, "updated": 1, "dry_run": False}
    first, second, third = stored(sql)
    assert (first["name"], str(first["price"]), first["category_id"], first["is_active"]) == (
        "New",
        "9.50",
        None,
        False,
    )
    assert (first["description"], first["stock_quantity"]) == ("Stays.", 7)
    assert (second["name"], str(second["price"]), second["category_id"]) == ("Added", "0.01", lamps)
    assert (second["description"], second["stock_quantity"], second["is_active"]) == (None, 0, True)
    assert str(third["price"]) == "99999999.99"


def test_what_is_exported_can_be_imported_again_to_the_letter(client, root, make, sql):
    lamps = make.category('Lamps, "large"\u2028')
    make.product(" =1+1 ", "0.10", 0, description=WORDS, category_id=lamps, image_url="/a,b.jpg")
    make.product("@SUM(A1)", "99999999.99", 2147483647, is_active=0)
    make.product("Plain", description="-1")
    before = stored(sql)
    out = client.get("/api/products/export", headers=root)

    again = take_in(client, root, out.body)
    unchanged = stored(sql)
    sql("UPDATE products SET name = 'x', description = 'x', price = 1, category_id = NULL, is_active = 1")
    back = take_in(client, root, out.body)

    assert again.json["data"] == back.json["data"] == {"created": 0, "updated": 3, "dry_run": False}
    assert unchanged == stored(sql) == before
    assert client.get("/api/products/export", headers=root).body == out.body
    rows = table(out)
    assert rows[0] == list(products_csv.EXPORTED)
    assert rows[1][1:3] == [" =1+1 ", WORDS]


def test_an_export_makes_the_same_products_without_its_ids(client, root, make, sql):
    make.product("Lamp", "0.30", 5, description=WORDS, category_id=make.category("Lamps"))
    rows = table(client.get("/api/products/export", headers=root))
    text = io.StringIO()
    csv.writer(text).writerows([row[1:] for row in rows])

    take_in(client, root, text.getvalue())

    first, second = stored(sql)
    assert first.pop("id") < second.pop("id")
    assert first == second


def test_an_export_has_its_name_and_type_and_no_cache_keeps_it(client, root, make):
    make.product()

    out, head = client.get("/api/products/export", headers=root), client.head("/api/products/export", headers=root)

    for answer in (out, head):
        assert answer.status_int == 200
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="products.csv"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert "X-Request-ID" in answer.headers
    assert head.body == b""


def test_an_empty_catalogue_is_a_table_too(client, root):
    out = client.get("/api/products/export", headers=root)

    assert table(out) == [list(products_csv.EXPORTED)]
    assert take_in(client, root, out.body).json["data"] == {"created": 0, "updated": 0, "dry_run": False}


def test_an_export_goes_by_batches(client, root, make, monkeypatch):
    monkeypatch.setattr(products_csv, "BATCH", 2)
    ids = make.products(5)

    assert [row[0] for row in table(client.get("/api/products/export", headers=root))[1:]] == [str(id) for id in ids]


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_export_that_cannot_begin_is_an_error_of_the_usual_shape(client, root, monkeypatch, coding):
    work = Database.transaction
    monkeypatch.setattr(
        Database, "transaction", lambda self, job: raising() if "lines_of" in job.__qualname__ else work(self, job)
    )

    headers = {**root, "Accept-Encoding": coding}
    refused = Request.blank("/api/products/export", headers=headers).get_response(client.app)  # not decompressed

    assert problem(refused)[:2] == (503, "SERVICE_UNAVAILABLE")
    assert refused.headers["Content-Type"] == "application/json"
    assert not {"Content-Disposition", "Content-Encoding"} & set(refused.headers)


def raising():
    """Fail as a database that is gone."""
    raise ServiceUnavailable()


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "", "text/csv; charset=latin-1", "multipart/form-data"]
)
def test_only_csv_is_taken(client, root, kind):
    refused = take_in(client, root, "name,price\n", kind=kind)

    assert problem(refused)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "text/csv" in refused.json["error"]["message"]


def test_a_rehearsal_finds_the_same_and_stores_nothing(client, root, make, sql):
    id = make.product("Old")
    good = f"id,name,price\n{id},New,5\n,Added,6\n"

    done = take_in(client, root, good, "?dry_run=true")
    refused = take_in(client, root, good + "999999,x,1\n", "?dry_run=true")

    assert done.json["data"] == {"created": 1, "updated": 1, "dry_run": True}
    assert details(refused) == [(4, "id")]
    assert [row["name"] for row in stored(sql)] == ["Old"]
    assert sql("SELECT COUNT(*) AS n FROM audit_entries") == [{"n": 0}]
    assert problem(take_in(client, root, good, "?dry_run=yes")) == (400, "VALIDATION_ERROR", "dry_run")


def test_an_import_tells_of_every_product_with_before_and_after(client, root, make, monkeypatch):
    monkeypatch.setattr(products_csv, "BATCH", 2)
    id, same = make.product("Old", "5.00", 3), make.product("Same", "1.10")
    rows = "".join(f",Added {n},{n}.10\n" for n in range(1, 6))

    take_in(client, root, f"id,name,price\n{id},New,6.20\n{same},Same,1.1\n{rows}")

    entries = client.get("/api/audit", headers=root).json["data"]["items"][::-1]
    assert [(e["action"], (e["before"] or {}).get("name"), e["after"]["name"]) for e in entries] == [
        ("changed", "Old", "New"),
        *[("created", None, f"Added {n}") for n in range(1, 6)],
    ]
    assert (entries[0]["before"]["price"], entries[0]["after"]["price"]) == (5.0, 6.2)
    for entry in entries:
        shown = client.get(f"/api/products/{entry['entity_id']}").json["data"]
        assert {name: shown[name] for name in entry["after"]} == entry["after"]


def test_others_add_products_while_a_table_is_imported_and_the_trail_keeps_them_apart(client, root, sql, monkeypatch):
    def between(db, statement, /, **values):
        id = plainly(db, statement, **values)
        if statement.startswith("products/"):
            sql("INSERT INTO products (name, price) VALUES ('Another', 1)")  # committed, and not told of
        return id

    plainly = Session.add
    monkeypatch.setattr(Session, "add", between)

    take_in(client, root, "name,price\nFirst,5\nSecond,6\n")

    told = sql("SELECT p.name FROM audit_entries AS a JOIN products AS p ON p.id = a.entity_id ORDER BY p.id")
    assert told == [{"name": "First"}, {"name": "Second"}]


@contextlib.contextmanager
def locked(accounts, product):
    """Let another transaction change a product, and not be done yet."""
    with connect(accounts.owner, 10) as other, other.cursor() as cursor:
        other.begin()
        cursor.execute("SELECT id FROM products WHERE id = %s FOR UPDATE", [product])
        yield
        other.rollback()


def wait_until(check, seconds=20):
    """Wait until `check()` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_while_a_table_is_stored_only_the_products_of_the_part_at_hand_are_locked(
    client,
    root,
    accounts,
    make,
    sql,
    monkeypatch,
):
    monkeypatch.setattr(products_csv, "PART", 2)
    ids = make.products(6)
    text = "id,name\n" + "".join(f"{id},New\n" for id in reversed(ids))
    add = lambda id: client.post_json(  # noqa: E731
        "/api/cart/items", {"product_id": id, "quantity": 1}, headers={"Session-ID": "s"}
    )

    with ThreadPoolExecutor(1) as pool, locked(accounts, ids[2]):
        importing = pool.submit(take_in, client, root, text)
        wait_until(lambda: stored(sql)[1]["name"] == "New")
        added = [add(id).status_int for id in (ids[0], ids[1], ids[4], ids[5])]
        under_way = not importing.done()

    assert (added, under_way) == ([201] * 4, True)
    assert importing.result().json["data"] == {"created": 0, "updated": 6, "dry_run": False}
    assert {row["name"] for row in stored(sql)} == {"New"}


def test_a_rehearsal_and_a_refusal_wait_for_nobody_and_lock_no_product(client, root, accounts, make):
    id = make.product()

    with locked(accounts, id):
        rehearsed = take_in(client, root, f"id,name\n{id},New\n", "?dry_run=true")
        refused = take_in(client, root, f"id,price\n{id},5\n{id + 1},5\n")

    assert rehearsed.json["data"] == {"created": 0, "updated": 1, "dry_run": True}
    assert details(refused) == [(3, "id")]


# On a real server


def ask(real, method, path, body=None, headers=None):
    """Return (status, headers, body) of a request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.slow
def test_fifty_thousand_rows_come_in_and_go_out(boss, sql):
    real, root = boss
    rows = "".join(f'Lamp {n},{n % 1000}.99,"A lamp, number {n}, with warm light"\r\n' for n in range(50_000))
    text = "name,price,description\r\n" + rows

    status, _, answer = ask(real, "POST", "/api/products/import", text.encode(), {**root, "Content-Type": "text/csv"})

    assert status == 200, answer
    assert (
        sql("SELECT COUNT(*) AS n FROM products") == sql("SELECT COUNT(*) AS n FROM audit_entries") == [{"n": 50_000}]
    )
    status, headers, out = ask(real, "GET", "/api/products/export", headers=root)
    assert (status, headers["Transfer-Encoding"]) == (200, "chunked")
    assert out.count(b"\r\n") == 50_001
    status, _, answer = ask(real, "POST", "/api/products/import", out, {**root, "Content-Type": "text/csv"})
    assert b'"updated":50000' in answer, answer
    status, headers, nothing = ask(real, "HEAD", "/api/products/export", headers=root)
    assert (status, nothing) == (200, b"")


@pytest.mark.slow
def test_a_table_may_be_large_and_json_may_not(boss):
    real, root = boss
    csv_type, json_type = {"Content-Type": "text/csv"}, {"Content-Type": "application/json"}
    head = b"name,price,description\n"
    filler = b",," + b"x" * 60_000 + b"\n"
    large = head + filler * (LARGEST // len(filler))

    taken = ask(real, "POST", "/api/products/import", large, {**root, **csv_type})
    for size in (LARGEST + 1, LARGEST + LARGEST_BODY + 1):
        refused = ask(real, "POST", "/api/products/import", b"x" * size, {**root, **csv_type})
        assert refused[0] == 413
    json_refused = ask(real, "POST", "/api/products", b" " * (LARGEST_BODY + 1), {**root, **json_type})

    assert taken[0] == 400 and b"too long" not in taken[2]
    assert json_refused[0] == 413


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_export_that_breaks_off_is_no_whole_table(boss, sql, coding):
    real, root = boss
    for _ in range(2):
        ask(
            real,
            "POST",
            "/api/products/import",
            ("name,price,description\n" + "".join(f"Lamp,5,{secrets.token_hex(1500)}\n" for _ in range(3000))).encode(),
            {**root, "Content-Type": "text/csv"},
        )
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=60)
    connection.request("GET", "/api/products/export", headers={**root, "Accept-Encoding": coding})
    answer = connection.getresponse()
    answer.read(1000)
    assert answer.headers.get("Content-Encoding", "identity") == coding
    sql("RENAME TABLE products TO products_away")
    try:
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    finally:
        sql("RENAME TABLE products_away TO products")
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(("key", "answers"), [({}, (409, 200)), ({"Idempotency-Key": "k-1"}, (200, 200))])
def test_an_import_that_a_crash_cuts_short_is_finished_by_the_next(boss, start, accounts, make, sql, *, key, answers):
    real, root = boss
    ids = make.products(products_csv.PART + 2)
    rows = "".join(f"{id},New,5\n" for id in ids) + ",Added,6\n"
    kind = {**root, "Content-Type": "text/csv", **key}
    take = lambda real: ask(real, "POST", "/api/products/import", f"id,name,price\n{rows}".encode(), kind)[0]  # noqa: E731

    with ThreadPoolExecutor(1) as pool, locked(accounts, ids[-1]):
        cut_short = pool.submit(take, real)
        wait_until(lambda: stored(sql)[0]["name"] == "New")
        os.killpg(real.process.pid, signal.SIGKILL)
        assert cut_short.exception() is not None
    half = {row["name"] for row in stored(sql)}
    again = start("--workers", "1", DATABASE_URL=as_url(accounts.application))
    first, second = take(again), take(again)

    assert half > {"New"}
    times = 1 if key else 2  # with its key it is the same import
    assert (first, second) == answers
    assert [row["name"] for row in stored(sql)] == ["New"] * len(ids) + ["Added"] * times
    told = sql(
        "SELECT action, COUNT(DISTINCT entity_id) AS n, COUNT(*) AS all_of_them FROM audit_entries GROUP BY action"
    )
    assert {(row["action"], row["n"], row["all_of_them"]) for row in told} == {
        ("changed", len(ids), len(ids)),
        ("created", times, times),
    }


@pytest.mark.slow
def test_imports_and_single_changes_at_once_are_each_told_of_once(boss, make, sql):
    real, root = boss
    text = ("name,price\n" + "".join(f"Lamp {n},5\n" for n in range(3000))).encode()
    take = lambda: ask(real, "POST", "/api/products/import", text, {**root, "Content-Type": "text/csv"})[0]  # noqa: E731
    one = lambda: [real.request("/api/products", "POST", NEW, **root).status for _ in range(30)]  # noqa: E731

    first, second, *single = at_once([take, take, one, one])

    assert (first, second) == (200, 200)
    assert {status for statuses in single for status in statuses} == {201}
    assert sql("SELECT COUNT(*) AS n FROM products") == [{"n": 6060}]
    told = sql(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT a.entity_id) AS products FROM audit_entries AS a "
        "JOIN products AS p ON p.id = a.entity_id AND a.action = 'created'"
    )
    assert told == [{"n": 6060, "products": 6060}]
