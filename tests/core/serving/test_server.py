"""The server: what is sent, what is refused, which connections stay open and which are cut off; on real sockets."""

import contextlib
import json
import re
import socket
import struct
import threading
import time

import pytest
from bottle import Bottle, Route
from helpers import ORIGIN, at_once, eventually
from raw_http import ask, chunked, connect, error_of, plain, read, rest

from core.contract.request_body import LARGEST_BODY
from core.serving import server as ours
from core.serving.parser import Parser

HEALTH = b"GET /api/health HTTP/1.1\r\nHost: shop\r\n"
END = b"Connection: close\r\n\r\n"
ADD = b"POST /api/cart/items HTTP/1.1\r\nHost: shop\r\nSession-ID: visitor\r\nContent-Type: application/json\r\n"


def set_deadline(monkeypatch, seconds):
    """Give a request so many seconds to come in."""
    monkeypatch.setattr(Parser, "deadline", seconds)


# What is sent


@pytest.mark.parametrize("path", ["/api/health", "/api/nothing", "/nothing"])
def test_no_answer_says_what_serves_it(connection, path):
    answer = ask(connection, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: shop\r\n\r\n")

    assert not {"server", "via", "x-powered-by"} & {name.lower() for name in answer.headers}


@pytest.mark.parametrize("path", ["/api/health", "/api/categories", "/api/products/1", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(connection, path):
    request = b" " + path.encode() + b" HTTP/1.1\r\nHost: shop\r\n\r\n"
    get = ask(connection, b"GET" + request)

    head = ask(connection, b"HEAD" + request, "HEAD")
    after = ask(connection, HEALTH + END)

    assert head.status == get.status
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))
    assert after.status == 200  # a body would have been read as its beginning


# What is refused before it reaches the application

CHUNKS = b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no method": b"\x16\x03\x01 TLS?\r\nHost: shop\r\n\r\n",
    "lower case": b"get / HTTP/1.1\r\nHost: shop\r\n\r\n",
    "four words": b"GET / now HTTP/1.1\r\nHost: shop\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\nHost shop\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : shop\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\r\nHost: shop\nX: y\r\n\r\n",
    "headers over the limit": b"GET / HTTP/1.1\r\nHost: shop\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "length no number": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nContent-Length: ten\r\n\r\n",
    "length negative": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length, no body yet": b"POST /api/cart HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\nExpect: 100-continue\r\n\r\n",
    "coding unknown": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"POST /api/cart HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding empty": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\nHost: x\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "coding among others": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "coding folded": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n gzip\r\n\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n",
    "tab in the path": b"GET /api/\thealth HTTP/1.1\r\nHost: shop\r\n\r\n",
    "tab for a space": b"GET\t/api/health HTTP/1.1\r\nHost: shop\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\nHost: shop\r\nX: a\x01b\r\n\r\n",
    "chunk size without end": CHUNKS + b"0" * 300,
    "chunk extension without end": CHUNKS + b"1;" + b"x" * 300,
    "chunk end without carriage return": CHUNKS + b"1\r\nx\n0\r\n\r\n",
    "chunk longer than its size": CHUNKS + b"1\r\nxy\r\n0\r\n\r\n",
    "chunk size signed": CHUNKS + b"+1\r\nx\r\n0\r\n\r\n",
    "trailers without end": CHUNKS + b"0\r\n" + b"X: y\r\n" * 2000,
    "chunk without size": b"POST /api/cart HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\nmuch\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_read_is_refused_in_the_envelope_and_the_connection_closed(connection, request_bytes):
    answer = ask(connection, request_bytes)

    assert answer.status == 400
    assert error_of(answer)["code"] == "VALIDATION_ERROR"
    assert answer.headers["Connection"] == "close"
    assert rest(connection) == b""


def test_a_refusal_carries_the_headers_that_a_page_of_another_origin_needs(connection):
    answer = ask(
        connection, f"GET / HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nX-Request-ID: mine\r\nHost shop\r\n\r\n".encode()
    )

    error_of(answer)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["X-Request-ID"] == "mine"


def test_a_refusal_tells_a_foreign_origin_nothing(connection):
    answer = ask(connection, b"GET / HTTP/1.1\r\nHost: shop\r\nOrigin: http://evil.example\r\nHost shop\r\n\r\n")

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


def test_the_refusal_of_a_head_has_no_body(connection):
    answer = ask(connection, b"HEAD / HTTP/1.1\r\nHost: shop\r\nContent-Length: ten\r\n\r\n", "HEAD")

    assert answer.status == 400
    assert int(answer.headers["Content-Length"]) > 0
    assert rest(connection) == b""


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 2 * LARGEST_BODY, 10 * LARGEST_BODY])
def test_a_body_over_the_limit_is_refused_in_the_envelope(connection, size):
    head = ADD + f"Origin: {ORIGIN}\r\nContent-Length: {size}\r\n\r\n".encode()

    answer = ask(connection, head + b" " * size)

    assert answer.status == 413
    assert error_of(answer)["code"] == "PAYLOAD_TOO_LARGE"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 10 * LARGEST_BODY])
def test_a_chunked_body_over_the_limit_is_refused_in_the_envelope(connection, size):
    answer = ask(connection, ADD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b" " * size))

    assert answer.status == 413
    assert error_of(answer)["code"] == "PAYLOAD_TOO_LARGE"


def test_a_refused_body_is_not_waited_for(connection):
    head = ADD + f"Expect: 100-continue\r\nContent-Length: {10 * LARGEST_BODY}\r\n\r\n".encode()

    connection.sendall(head)
    first_line = connection.recv(1000).split(b"\r\n")[0]

    assert b" 413 " in first_line  # and not 100 Continue


@pytest.mark.parametrize("order", ["length first", "coding first"])
def test_a_length_and_a_coding_together_are_refused_so_that_nothing_can_be_smuggled(connection, order):
    framing = [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"]
    smuggled = b"".join(framing if order == "length first" else framing[::-1]) + b"\r\n0\r\n\r\n" + HEALTH + b"\r\n"

    answer = ask(connection, ADD + smuggled)

    assert answer.status == 400
    assert error_of(answer)["code"] == "VALIDATION_ERROR"
    assert rest(connection) == b""


def test_a_length_and_a_coding_together_are_refused_before_the_body_has_come(connection, lag):
    started = time.monotonic()

    answer = ask(connection, ADD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n")

    assert answer.status == 400
    assert time.monotonic() - started < lag.bound(4, started)


# What works as in any server


def test_a_chunked_body_is_a_body(connection, make):
    body = json.dumps({"product_id": make.product(stock=5), "quantity": 3}).encode()

    answer = ask(connection, ADD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 7))

    assert answer.status == 201
    assert answer.json["data"]["quantity"] == 3


def test_a_client_that_expects_100_continue_gets_it(connection, make):
    body = json.dumps({"product_id": make.product(stock=5), "quantity": 3}).encode()

    connection.sendall(ADD + f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    first = connection.recv(1000)
    answer = ask(connection, body)

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.status == 201


def test_a_preflight_keeps_its_connection(connection):
    preflight = (
        f"OPTIONS /api/products HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: GET\r\n\r\n"
    )

    first = ask(connection, preflight.encode())
    second = ask(connection, HEALTH + b"\r\n")

    assert first.status == 204 and "Connection" not in first.headers and "Content-Length" not in first.headers
    assert second.status == 200


def test_an_answer_that_nothing_has_changed_keeps_its_connection(connection):
    categories = b"GET /api/categories HTTP/1.1\r\nHost: shop\r\n"
    known = ask(connection, categories + b"\r\n").headers["ETag"]

    unchanged = ask(connection, categories + f"If-None-Match: {known}\r\n\r\n".encode())
    after = ask(connection, HEALTH + b"\r\n")

    assert unchanged.status == 304 and "Connection" not in unchanged.headers
    assert after.status == 200


def test_an_answer_without_a_body_closes_where_the_client_asked_for_it(connection):
    answer = ask(connection, b"OPTIONS /api/products HTTP/1.1\r\nHost: shop\r\n" + END)

    assert answer.status == 204 and answer.headers["Connection"] == "close"
    assert rest(connection) == b""


def test_requests_sent_in_one_go_are_answered_in_their_order(connection):
    paths = ["/api/health", "/nothing", "/api/categories", "/api/health"]
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: {i}\r\n\r\n".encode() for i, path in enumerate(paths)]

    connection.sendall(b"".join(requests[:-1]) + requests[-1][:-2] + END)
    received = rest(connection).decode()

    assert re.findall(r"HTTP/1.1 (\d+)", received) == ["200", "404", "200", "200"]
    assert re.findall(r"X-Request-Id: (\d)", received, re.I) == ["0", "1", "2", "3"]


def test_http_1_0_is_answered_and_closed(connection):
    answer = ask(connection, b"GET /api/health HTTP/1.0\r\n\r\n")

    assert answer.status == 200
    assert rest(connection) == b""


def test_what_a_proxy_says_of_the_client_reaches_the_application(serve_here):
    seen = {}

    def noting(environ, start_response):
        seen.update(environ)
        return plain(environ, start_response)

    with connect(serve_here(noting).effective_port) as connection:
        ask(connection, b"GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")

    assert seen["HTTP_X_FORWARDED_FOR"] == "203.0.113.7"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


# Overload and broken clients


def test_idle_connections_do_not_lock_others_out(shop_server, lag):
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(connect(shop_server.port))
        started = time.monotonic()

        answer = shop_server.request("/api/health")

        assert answer.status == 200
        assert time.monotonic() - started < lag.bound(4, started)


@pytest.mark.slow
@pytest.mark.parametrize(
    "drip", [b"X", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"], ids=["headers", "body"]
)
def test_a_request_that_drips_in_is_cut_off(monkeypatch, serve_here, drip, lag):
    set_deadline(monkeypatch, 1)
    port = serve_here(plain).effective_port

    with connect(port) as connection:
        connection.sendall(drip)
        seconds = until_closed(connection, b"x")

    assert 0.5 < seconds < lag.bound(8)


def until_closed(connection, drop):
    """Send a byte now and then until the server has closed; return the seconds that took, 30 at most."""
    started = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() < started + 30:
        try:
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            pass
        except OSError:
            break
        with contextlib.suppress(OSError):
            connection.sendall(drop)
    return time.monotonic() - started


@pytest.mark.slow
def test_a_connection_may_rest_between_two_requests_for_longer_than_one_may_take(monkeypatch, serve_here):
    set_deadline(monkeypatch, 0.5)
    port = serve_here(plain).effective_port

    with connect(port) as connection:
        first = ask(connection, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        time.sleep(2.5)
        second = ask(connection, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")

    assert (first.status, second.status) == (200, 200)


@pytest.mark.slow
@pytest.mark.parametrize("drop", [b"", b"\r\n\r\n"], ids=["idle", "line ends"])
def test_a_connection_without_a_request_is_cut_off_sooner_than_one_that_rests(monkeypatch, serve_here, drop, lag):
    monkeypatch.setattr(ours, "STALLED", 1)
    set_deadline(monkeypatch, 1)
    port = serve_here(plain).effective_port

    with connect(port) as resting, connect(port) as connection:
        first = ask(resting, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        seconds = until_closed(connection, drop)
        time.sleep(1)
        second = ask(resting, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")

    assert 0.5 < seconds < lag.bound(8)
    assert (first.status, second.status) == (200, 200)


def test_who_comes_while_others_are_cut_off_is_not_cut_off_with_them(monkeypatch, serve_here):
    """A new connection gets the number of a socket that was just closed."""
    monkeypatch.setattr(ours, "STALLED", stalled := 0.05)
    server = serve_here(plain)
    server.adj.cleanup_interval = 0.01
    statuses = []

    def come():
        for _ in range(100):
            idle = [connect(server.effective_port) for _ in range(10)]
            began = time.monotonic()
            with connect(server.effective_port) as client:
                try:
                    statuses.append(ask(client, b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").status)
                except ConnectionError:
                    if time.monotonic() - began < stalled:  # else this machine was busy, and it was an idle one itself
                        raise
            for connection in idle:
                connection.close()

    at_once([come] * 4)

    assert set(statuses) == {200} and len(statuses) > 100


@pytest.mark.slow
def test_where_many_are_connected_a_connection_may_rest_for_less_long(monkeypatch, serve_here, lag):
    monkeypatch.setattr(ours, "STALLED", 1)
    monkeypatch.setattr(ours, "CROWD", 10)
    port = serve_here(plain).effective_port

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(12)]
        assert {ask(client, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n").status for client in clients} == {200}

        seconds = until_closed(clients[0], b"")

    assert 0.5 < seconds < lag.bound(8)


@pytest.mark.slow
def test_a_slow_handler_is_no_slow_request(monkeypatch, serve_here):
    def slow(environ, start_response):
        time.sleep(2.5)
        return plain(environ, start_response)

    set_deadline(monkeypatch, 0.5)
    port = serve_here(slow).effective_port

    with connect(port) as connection:
        answer = ask(connection, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\nGET /the-beginning-of-the-next")

    assert answer.status == 200


class Hanging:
    """An application that answers /api/health at once, and all else when it is let."""

    def __init__(self):
        self.release = threading.Event()
        self.calls = 0

    def __call__(self, environ, start_response):
        """Answer."""
        if environ["PATH_INFO"] != "/api/health":
            self.calls += 1
            self.release.wait(30)
        return plain(environ, start_response)


@pytest.fixture
def hanging(serve_here):
    """A server of two threads, one of which answers; a request may wait for 0.5 seconds."""
    application = Hanging()
    route = Route(Bottle(), "/api/health", "GET", plain, at_once=True)
    application.server = serve_here(application, 2, routes=[route], queue_timeout=0.5)
    application.port = application.server.effective_port
    yield application
    application.release.set()


ANY = f"GET / HTTP/1.1\r\nHost: shop\r\nOrigin: {ORIGIN}\r\nX-Request-ID: mine\r\n\r\n".encode()


def test_a_request_that_no_thread_takes_in_time_is_refused_and_keeps_its_connection(hanging, lag):
    with connect(hanging.port) as first, connect(hanging.port) as waiting:
        first.sendall(ANY)
        assert eventually(lambda: hanging.calls == 1)
        began = time.monotonic()

        refused = ask(waiting, ANY)

        seconds = time.monotonic() - began
        hanging.release.set()
        answered = [read(first).status, ask(waiting, ANY).status]

    assert 0.5 <= seconds < lag.bound(1.5, began)
    assert refused.status == 503
    assert error_of(refused)["code"] == "SERVICE_UNAVAILABLE"
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert refused.headers["X-Request-ID"] == "mine"
    assert answered == [200, 200]
    assert hanging.calls == 2  # what was refused was not begun


def test_a_head_that_no_thread_takes_in_time_is_refused_without_a_body(hanging):
    with connect(hanging.port) as first, connect(hanging.port) as waiting:
        first.sendall(ANY)
        assert eventually(lambda: hanging.calls == 1)

        refused = ask(waiting, ANY.replace(b"GET", b"HEAD"), "HEAD")
        after = ask(waiting, HEALTH + b"\r\n")

    assert (refused.status, refused.body) == (503, b"")
    assert after.status == 200


@pytest.mark.parametrize("closing", ["1.0", "close", "draining"])
def test_the_refusal_ends_the_connection_where_the_answer_would(hanging, closing):
    request = ANY.replace(b"1.1", b"1.0") if closing == "1.0" else ANY
    request = request.replace(b"Host", b"Connection: close\r\nHost") if closing == "close" else request
    with connect(hanging.port) as first, connect(hanging.port) as waiting:
        first.sendall(ANY)
        assert eventually(lambda: hanging.calls == 1)
        waiting.sendall(request)
        assert eventually(lambda: hanging.server.task_dispatcher.queue)
        if closing == "draining":
            hanging.server.retire()

        refused = read(waiting)

        assert refused.status == 503
        assert refused.headers["Connection"] == "close"
        assert rest(waiting) == b""


def test_what_waits_for_a_thread_when_the_server_stops_is_refused_and_not_cut_off(hanging):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(hanging.port)) for _ in range(3)]
        for client in clients:
            client.sendall(ANY)
            assert eventually(lambda: hanging.calls == 1)
        assert eventually(lambda: len(hanging.server.task_dispatcher.queue) == 2)

        hanging.server.stop()  # from here on, the thread that read answers too

        assert read(clients[2]).status == 503
        hanging.release.set()
        assert [read(client).status for client in clients[:2]] == [200, 200]


def test_health_is_told_while_all_threads_hang(hanging, lag):
    with connect(hanging.port) as first, connect(hanging.port) as second, connect(hanging.port) as asking:
        for waiting in (first, second):
            waiting.sendall(ANY)
        assert eventually(lambda: hanging.server.task_dispatcher.queue)

        began = time.monotonic()
        statuses = [ask(asking, HEALTH + b"\r\n").status for _ in range(10)]

        assert time.monotonic() - began < lag.bound(0.4, began)  # sooner than anything is refused
        assert statuses == [200] * 10


def test_an_answer_is_sent_to_its_end_before_the_server_stops(serve_here):
    large = b"x" * 12_000_000  # more than the buffers of the system hold
    entered = threading.Event()

    def answer_slowly(environ, start_response):
        entered.set()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(large)))])
        return [large]

    server = serve_here(answer_slowly)
    with connect(server.effective_port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert entered.wait(10)
        server.stop()
        time.sleep(0.5)
        answer = read(connection)

    assert len(answer.body) == len(large)


def test_a_crash_beyond_every_layer_is_our_fault_and_says_nothing(serve_here, caplog):
    def broken(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return _exploding()

    port = serve_here(broken).effective_port

    with connect(port) as connection:
        answer = ask(connection, f"GET /api/cart/secret HTTP/1.1\r\nHost: shop\r\nOrigin: {ORIGIN}\r\n\r\n".encode())

    assert answer.status == 500
    assert error_of(answer)["code"] == "INTERNAL_ERROR"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "the reason" in caplog.text
    assert "secret" not in caplog.text


def _exploding():
    raise RuntimeError("the reason")
    yield b""


def test_a_client_that_goes_away_leaves_no_path_in_the_log(serve_here, caplog):
    caplog.set_level("INFO")
    entered, gone, ended = threading.Event(), threading.Event(), threading.Event()

    def long_answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100000000")])
        try:
            yield b"x"
            entered.set()
            gone.wait(10)
            for _ in range(100):
                time.sleep(0.01)
                yield b"x" * 10_000
        finally:
            ended.set()

    port = serve_here(long_answer).effective_port
    connection = connect(port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
    connection.sendall(b"GET /api/cart/secret/items HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert entered.wait(10)
    connection.close()
    gone.set()

    assert ended.wait(10)
    time.sleep(0.1)
    assert "secret" not in caplog.text


def test_when_all_places_are_taken_by_the_idle_the_idlest_make_room(serve_here, monkeypatch):
    monkeypatch.setattr(ours, "CONNECTIONS", 40)
    port = serve_here(plain).effective_port

    idle = [connect(port) for _ in range(60)]
    with connect(port) as busy:
        busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = busy.recv(1000)

    assert answer.startswith(b"HTTP/1.1 200")
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("head", [b"GET http://[::1/x HTTP/1.1", b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000])
def test_what_makes_waitress_itself_fail_is_refused_in_the_envelope(serve_here, head):
    port = serve_here(plain).effective_port

    with connect(port) as connection:
        connection.sendall(head + b"\r\nHost: x\r\n\r\n")
        answer = connection.recv(4000)
        if b'"code"' not in answer:  # its head alone
            answer += connection.recv(4000)

    assert answer.startswith(b"HTTP/1.1 400") and b'"code":"VALIDATION_ERROR"' in answer


@pytest.mark.parametrize("word", ["close", "close, TE", "Upgrade, close"])
def test_a_client_that_asks_to_close_is_obeyed(serve_here, word):
    port = serve_here(plain).effective_port

    with connect(port) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {word}\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(1000):  # until it is closed
            received += chunk

    assert received.endswith(b"ok")
