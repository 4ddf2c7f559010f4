"""What every answer is like: the envelope, request ids, CORS, methods, bodies and the log."""

import io
import json
import logging

import pytest
from helpers import ORIGIN
from webtest import TestApp

from core.app import new_app
from core.config import Config
from core.contract.envelope import Envelope
from core.contract.validation import AnyQuery, Body, Query, Schema, Validation
from core.errors import ValidationError
from core.logs import Logfmt
from core.serving.cors import Cors
from core.serving.middleware import Middleware

SESSION = {"Session-ID": "s"}


@pytest.fixture
def broken():
    """A shop of a few routes that break, in the same layers."""
    app = new_app()
    for plugin in (Envelope(), Validation()):
        app.install(plugin)

    @app.get("/api/boom", auth="public")
    def boom():
        raise RuntimeError("secret /etc/passwd SELECT * FROM users")

    @app.get("/api/unserialisable", auth="public")
    def unserialisable():
        return object()

    @app.hook("before_request")
    def hook():
        from bottle import request

        if request.path == "/api/hook":
            raise RuntimeError("before any plugin")

    client = TestApp(Middleware(app, Cors((ORIGIN,))), lint=True)
    return lambda path, **headers: client.get(path, status="*", expect_errors=True, headers=headers)


def assert_protected(answer):
    """Whatever a browser makes of an answer, it runs nothing, shows it in no frame, and tells no other host of it."""
    told = [answer.headers.getall(name) for name in ("Content-Security-Policy", "Referrer-Policy")]
    assert told == [["default-src 'none'; frame-ancestors 'none'"], ["no-referrer"]]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/boom", "/api/unserialisable", "/api/hook"])
def test_a_crash_leaves_in_the_envelope_with_all_headers_and_tells_nothing(broken, caplog, path):
    answer = broken(path, Origin=ORIGIN, **{"X-Request-ID": "r-1"})

    assert answer.status_int == 500
    assert answer.json["error"]["code"] == "INTERNAL_ERROR" and answer.json["error"]["details"] == {}
    assert answer.headers["X-Request-ID"] == "r-1"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert_protected(answer)
    assert "passwd" not in answer.text and "Error\n" not in answer.text
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]  # logged once


ANSWERS = [
    ("GET", "/api/health", 200, None),
    ("GET", "/api/nothing", 404, "NOT_FOUND"),
    ("GET", "/nothing", 404, "NOT_FOUND"),
    ("GET", "/<script>", 404, "NOT_FOUND"),
    ("GET", "/api/products/%00", 404, "NOT_FOUND"),
    ("GET", "/api/products/1%0d%0aX-Evil:1", 404, "NOT_FOUND"),
    ("GET", "/api/products/%ff1", 404, "NOT_FOUND"),
    ("PATCH", "/api/products", 405, "METHOD_NOT_ALLOWED"),
    ("POST", "/api/cart/items", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("GET", "/api/cart", 400, "VALIDATION_ERROR"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), ANSWERS)
def test_every_answer_has_the_envelope_and_the_headers(client, method, path, status, code):
    headers = {"Origin": ORIGIN, "X-Request-ID": "id-1", **(SESSION if method == "POST" else {})}

    answer = client.request(path, method=method, headers=headers)

    assert answer.status_int == status
    assert answer.content_type == "application/json"
    assert answer.headers["X-Request-ID"] == "id-1"
    assert_protected(answer)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Expose-Headers"] == (
        "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID, "
        "Idempotent-Replayed, Server-Timing"
    )
    assert answer.headers["Vary"].split(", ")[0] == "Origin"
    if code:
        assert set(answer.json) == {"success", "error"} and answer.json["success"] is False
        assert set(answer.json["error"]) == {"code", "message", "details"}
        assert answer.json["error"]["code"] == code
        assert "script" not in answer.text
    else:
        assert set(answer.json) == {"success", "data", "message"} and answer.json["success"] is True


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "a\tb", "ä"])
def test_an_unusable_request_id_is_replaced(client, given):
    headers = {} if given is None else {"X-Request-ID": given}

    ids = [client.get("/api/health", headers=headers).headers["X-Request-ID"] for _ in range(2)]

    assert len(set(ids)) == 2 and given not in ids
    assert all(len(id) == 16 for id in ids)


def test_a_trailing_slash_is_ignored(client):
    assert client.get("/api/health/").status_int == 200
    assert client.get("/api/categories/").status_int == 200


def test_405_names_the_methods_that_work(client):
    answer = client.request("/api/cart/items/5", method="POST", headers=SESSION)

    assert answer.headers["Allow"] == "PUT, DELETE, OPTIONS"
    assert answer.json["error"]["message"] == "POST does not work here; these methods do: PUT, DELETE, OPTIONS."


def test_head_is_get_without_a_body(client, make):
    path = f"/api/products/{make.product()}"

    head, get = client.head(path), client.get(path)

    assert (head.status_int, head.body) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert client.head("/api/nothing").body == b""


def preflight(client, path, origin):
    """Ask as a browser asks before a PUT."""
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "PUT"})


def test_a_preflight_names_the_methods_that_the_path_has(client):
    answer = preflight(client, "/api/cart", ORIGIN)

    assert (answer.status_int, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, DELETE, OPTIONS"
    assert answer.headers["Access-Control-Allow-Headers"] == (
        "Content-Type, Authorization, Session-ID, Order-Token, Idempotency-Key, If-Match, If-None-Match, "
        "Cache-Control, X-Request-ID, traceparent"
    )
    assert preflight(client, "/api/nothing", ORIGIN).status_int == 404


def test_an_origin_that_is_not_listed_gets_no_cors_header(client):
    for answer in (
        preflight(client, "/api/cart", "http://evil.example"),
        client.get("/api/health", headers={"Origin": "http://evil.example"}),
        client.get("/api/health", headers={"Origin": "null"}),
        client.get("/api/nothing", headers={"Origin": ORIGIN + ".evil.example"}),
    ):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_the_log_names_an_origin_that_is_not_listed_once(caplog):
    cors = Cors((ORIGIN,))

    for _ in range(3):
        cors.headers("http://evil.example\nlevel=info", "shop.example")
        cors.headers(ORIGIN, "shop.example")
        cors.headers("https://shop.example", "shop.example")  # a page of the shop's own, as /docs is
        cors.headers(None, "shop.example")

    assert [record.getMessage() for record in caplog.records] == [
        "Pages of 'http://evil.example\\nlevel=info' may not read the answers. "
        "If they are yours, add it to CORS_ORIGINS."
    ]


def test_no_number_of_origins_fills_the_log(caplog):
    cors = Cors(())

    for number in range(500):
        cors.headers(f"http://{number}.example", None)

    assert len(caplog.records) == 20


def test_pages_of_the_usual_development_servers_may_read_the_answers():
    assert Config.cors_origins == ("http://localhost:3000", "http://localhost:5173")


def test_a_star_allows_every_origin_and_needs_no_vary():
    headers = dict(Cors(("*",)).headers("http://anybody.example", "shop.example"))

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def post(client, body, kind="application/json"):
    """Send raw bytes to a route that takes JSON."""
    return client.post("/api/cart/items", body, headers={**SESSION, "Content-Type": kind})


@pytest.mark.parametrize(
    "kind", ["application/json ;charset=utf-8", 'Application/JSON; charset="UTF-8"', "application/json"]
)
def test_json_is_known_however_its_type_is_written(client, make, kind):
    body = json.dumps({"product_id": make.product(), "quantity": 1}).encode()

    assert post(client, body, kind).status_int == 201


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json;charset=latin-1", "application/jsonp"]
)
def test_what_is_not_declared_as_json_is_415(client, kind):
    answer = post(client, b"{}", kind)

    assert (answer.status_int, answer.json["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"product_id": 1, "quantity": 1} x',
        b'{"product_id": 1, "quantity": NaN}',
        b'{"product_id": 1, "quantity": Infinity}',
        b'{"product_id": 1, "quantity": 1e999}',
        b'{"product_id": 1, "quantity": 1, "quantity": 2}',
        b'{"product_id": 1, "quantity": ' + b"9" * 5000 + b"}",
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b'{"\xff": 1}',
        b'{"\\ud800": 1}',
        "{}".encode("utf-16"),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_one_json_object_is_malformed(client, body):
    answer = post(client, body)

    assert (answer.status_int, answer.json["error"]["code"]) == (400, "MALFORMED_JSON")


def test_a_body_of_64_kib_is_taken_and_a_longer_one_is_not(client):
    start, end = b'{"product_id": 1, "quantity": "', b'"}'
    fits = start + b"x" * (64 * 1024 - len(start) - len(end)) + end

    assert post(client, fits).status_int == 400  # read, and found wanting
    answer = post(client, fits + b" ")
    assert (answer.status_int, answer.json["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_unknown_query_parameters_are_refused_everywhere(client):
    for path in ("/api/health", "/api/categories", "/api/products/1", "/api/cart/s"):
        answer = client.get(path + "?nonsense=1")
        assert (answer.status_int, answer.json["error"]["details"]["field"]) == (400, "nonsense")


def test_a_schema_survives_bottles_flattening_of_route_options(client):
    """Bottle turns a dict in a route's options into dotted keys; an object of our own stays whole."""
    from core.app import app

    queries = [route.config["query"] for route in app.routes if "query" in route.config]

    assert queries and all(isinstance(query, Query | AnyQuery) for query in queries)


def test_a_regex_does_not_pass_a_trailing_newline():
    from resources.cart import SESSION as declared

    with pytest.raises(ValidationError):
        declared.check({"Session-ID": "abc\n"})


def test_checks_of_many_threads_do_not_mix():
    from concurrent.futures import ThreadPoolExecutor

    schema = Body(quantity={"type": "integer", "required": True, "min": 1, "max": 999})

    def verdict(number):
        try:
            return schema.check({"quantity": number})["quantity"]
        except ValidationError:
            return None

    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(verdict, range(-500, 1500)))

    assert verdicts == [n if 1 <= n <= 999 else None for n in range(-500, 1500)]


def test_true_is_not_a_number():
    for rules in ({"type": "integer"}, {"type": "number"}):
        with pytest.raises(ValidationError):
            Schema(n=rules).check({"n": True})


def record(message="", **extra):
    """Return a log record as the log formats it."""
    made = logging.LogRecord("bodega", logging.INFO, "", 0, message, (), None)
    made.__dict__.update(extra)
    return Logfmt().format(made)


def test_a_log_line_cannot_be_forged():
    line = record(event="request", path="/x\r\ntime=2026 level=info event=login")

    assert "\n" not in line and "\r" not in line
    assert 'path="/x\\r\\ntime=2026' in line


def test_a_request_leaves_one_line_without_query_or_session(client, caplog):
    caplog.set_level(logging.INFO, "bodega.access")

    client.get("/api/cart/very-secret-session?x=query-secret", headers={"X-Request-ID": "rid"})
    client.get("/api/cart/very-secret-session/nothing/here")
    client.get("/api/products?search=query-secret")

    lines = [Logfmt().format(r) for r in caplog.records if r.name == "bodega.access"]
    assert len(lines) == 3
    assert "event=request method=GET path=/api/cart/<session_id:session> status=400" in lines[0]
    assert "request_id=rid" in lines[0] and " ms=" in lines[0]
    assert "path=/api/cart/… status=404" in lines[1]
    assert not [line for line in lines if "secret" in line]


def test_thousands_of_unknown_fields_are_refused_as_fast_as_one(client):
    """cerberus needs minutes for them: its errors are kept in sorted lists."""
    many = {f"field{n}": n for n in range(3000)}

    answer = client.post_json("/api/cart/items", many, headers=SESSION)

    errors = answer.json["error"]["details"]["errors"]
    assert answer.status_int == 400
    assert len(errors) == 12  # the two that are required and ten of the others


def test_a_crash_in_a_handler_is_logged_with_the_id_of_its_request():
    crashing, told = new_app(), io.StringIO()
    crashing.get("/crash", callback=lambda: 1 / 0)
    crashing.install(Envelope())
    handler = logging.StreamHandler(told)
    handler.setFormatter(Logfmt())
    logging.getLogger("bodega.request").addHandler(handler)
    try:
        answer = TestApp(Middleware(crashing, Cors(()))).get("/crash", headers={"X-Request-ID": "the-one"}, status=500)
    finally:
        logging.getLogger("bodega.request").removeHandler(handler)

    line, traceback = told.getvalue().split("\n", 1)
    assert answer.headers["X-Request-ID"] == "the-one"
    assert "a bug in GET /crash" in line and line.endswith(" request_id=the-one")
    assert "ZeroDivisionError" in traceback
