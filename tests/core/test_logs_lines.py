"""The lines of the log: JSON where that is asked for, and the id of the request that each is written for."""

import contextlib
import http.client
import io
import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading

import pytest
from helpers import as_url, environment, eventually, servers, workers
from raw_http import running

from core import logs
from core.logs import SERVING, Json, Logfmt
from core.serving.cors import Cors
from core.serving.middleware import Middleware
from core.setup.system import ROOT


def line(message="", form=Json, **extra):
    """Return a record as the log writes it."""
    made = logging.LogRecord("bodega", logging.ERROR, "", 0, message, (), None)
    made.created = 1769860800.5
    made.__dict__.update(extra)
    return form().format(made)


def deep(levels):
    """Raise from so many calls deep."""
    if not levels:
        raise KeyError("the innermost")
    deeper(levels - 1)  # Python shortens a traceback where one line calls itself


def deeper(levels):
    """Call `deep`."""
    deep(levels)


def trouble(levels=0):
    """Return the exc_info of an error."""
    try:
        deep(levels)
    except KeyError:
        return sys.exc_info()


def test_a_line_is_a_json_object_with_numbers_where_they_are_numbers():
    said = line(
        "It broke.", event="request", path="/x", status="200", ms="1.9", rows=3, seconds="10", user_id="unknown"
    )

    assert json.loads(said) == {
        "time": "2026-01-31T12:00:00Z",
        "level": "error",
        "message": "It broke.",
        "event": "request",
        "path": "/x",
        "status": 200,
        "ms": 1.9,
        "rows": 3,
        "seconds": 10,
        "user_id": "unknown",
    }


@pytest.mark.parametrize("text", ["a\r\nb", '"}{"level": "info', "\x00\x1b[31m", "é😀\u2028", "\ud800", "\\"])
def test_no_text_makes_two_lines_or_another_object_of_a_json_line(text):
    said = line(text, path=text)

    assert said.isascii() and said.isprintable()
    assert (json.loads(said)["message"], json.loads(said)["path"]) == (text, text)


def test_a_traceback_is_within_its_object_and_of_a_long_one_the_end_is_kept():
    short, long = (json.loads(line("It broke.", exc_info=trouble(levels))) for levels in (0, 100))

    for told in (short, long):
        assert told["message"] == "It broke." and told["traceback"].endswith("KeyError: 'the innermost'")
    assert short["traceback"].startswith("Traceback (most recent call last):\n")
    assert long["traceback"].startswith("…")


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 10_000, "\x00" * 10_000, '"' * 10_000])
def test_a_json_line_fits_into_one_write_to_a_pipe_whatever_a_client_sends(text):
    keys = dict.fromkeys(("path", "file", "error", "route", "by", "request_id"), text)

    lines = [line(text), line(**keys), line(text, exc_info=trouble(100), **keys)]

    assert [len(said.encode()) < select.PIPE_BUF for said in lines] == [True] * 3
    assert all(json.loads(said) for said in lines)


@pytest.mark.parametrize("form", [Logfmt, Json])
def test_an_answered_request_is_the_same_line_by_the_short_way_and_by_a_record(form, monkeypatch, caplog):
    def lines(short):
        said, logger = [], logging.getLogger("bodega.access")
        handler = logging.Handler()
        handler.setFormatter(form())
        handler.emit = lambda record: said.append(handler.format(record))
        handler.put = said.append
        monkeypatch.setattr(logs, "_writer", handler if short else None)
        monkeypatch.setattr(logging.root, "handlers", [handler])
        caplog.set_level(logging.INFO, logger.name)
        named = {"method": "GET", "path": '/a"b', "seconds": 0.0123, "user_id": 7, "address": "::1"}
        logs.access("request", "an-id", "404", **named)
        return [re.sub(r"20\d\d-[\dT:-]+Z", "…", said) for said in said]

    assert lines(short=True) == lines(short=False) != []


def objects(text):
    """Return what the lines of a log say, but for the ones that greet who typed the command."""
    return [json.loads(said) for said in text.splitlines() if not said.startswith("Serving on")]


@pytest.mark.slow
def test_every_line_of_a_server_is_json_whatever_breaks(accounts, tmp_path):
    settings = {"DATABASE_URL": as_url(accounts.application), "LOG_FORMAT": "json", "SLOW_SQL": "0.1ms"}
    program = [sys.executable, str(ROOT / "tests" / "broken_shop.py")]
    with servers(tmp_path) as start:
        real = start("--workers", "2", **settings)
        broken = start(program=program, **settings | {"PYTHONPATH": str(ROOT)})
        for _ in range(2):
            broken.request("/api/broken", X_Request_ID="the-one")
        # A statement may be faster than SLOW_SQL can say; and lines are written 20 ms after they are made.
        assert eventually(lambda: real.request("/api/products/1", X_Request_ID="the-one") and "slow_sql" in real.log)
        with socket.create_connection(("127.0.0.1", broken.port)) as raw:
            raw.sendall(b"\x16\x03\x01 what TLS sends\r\n\r\n")
            raw.recv(4096)
        os.kill(max(workers(real)), signal.SIGKILL)
        real.wait_for("a new one takes over")
        again = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), "--port", str(real.port)],
            env=environment(**settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        real.stop()
        broken.stop()

    said, troubled = objects(real.log), objects(broken.log)
    assert [told["message"].split(";")[1] for told in said if "takes over" in told.get("message", "")]
    bugs = [told for told in troubled if "traceback" in told]
    assert [(bug["level"], bug["request_id"]) for bug in bugs] == [("error", "the-one")]
    assert bugs[0]["traceback"].endswith("RuntimeError: what only the log may say")
    assert {told["status"] for told in troubled if told.get("event") in ("request", "refused")} == {400, 500}
    assert {told.get("request_id") for told in said if told.get("event") == "slow_sql"} >= {"the-one"}
    assert again.returncode == 1 and str(real.port) in objects(again.stderr)[-1]["message"]


UNCAUGHT = """
import sys, threading, warnings
from core import logs
logs.configure("info", sys.argv[1])
class Fragile:
    def __del__(self):
        raise RuntimeError("in the end")
def run():
    raise RuntimeError("in a thread")
thread = threading.Thread(target=run)
thread.start()
thread.join()
Fragile()
warnings.warn("old", FutureWarning)
"""


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_what_nobody_catches_is_a_line_of_the_log(form):
    done = subprocess.run([sys.executable, "-c", UNCAUGHT, form], cwd=ROOT, capture_output=True, text=True, timeout=30)

    if form == "json":
        told = objects(done.stderr)
        assert [bug["traceback"].split("\n")[-1] for bug in told[:2]] == [
            "RuntimeError: in a thread",
            "RuntimeError: in the end",
        ]
        assert "FutureWarning: old" in told[2]["message"]
    else:
        assert [said[:5] for said in done.stderr.splitlines() if not said.startswith("    ")] == ["time="] * 3


@pytest.fixture
def said(caplog):
    """`said()`: the lines that were logged, by the id of their request: [(id or None, message)]."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(Json())
    for name in ("bodega", "waitress"):
        logging.getLogger(name).addHandler(handler)
        caplog.set_level(logging.INFO, name)
    yield lambda: [(at.get("request_id"), at.get("message")) for at in map(json.loads, told.getvalue().splitlines())]
    for name in ("bodega", "waitress"):
        logging.getLogger(name).removeHandler(handler)


@pytest.fixture
def serve():
    """`serve(application, threads)`: our server for a WSGI application, in a thread of this process; gives it."""
    with contextlib.ExitStack() as stack:

        def begin(application, threads=2):
            application.routes = []
            return stack.enter_context(running(Middleware(application, Cors(())), threads))

        yield begin


def get(server, id):
    """Ask with this id; return the connection, whose answer is not read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=20)
    connection.request("GET", "/", headers={"X-Request-ID": id, "Origin": "https://other.example"})
    return connection


def test_each_line_of_an_answer_that_other_threads_go_on_with_has_the_id_of_its_request(serve, said):
    def application(environ, start):
        own = environ["bodega.request_id"]

        def parts():
            for number in range(40):
                logging.getLogger("bodega.test").info("%s writes part %d", own, number)
                yield b"x" * 256 * 1024  # it pauses, with a client that reads slowly
            raise RuntimeError(f"{own} breaks")

        start("200 OK", [("Content-Type", "text/plain")])
        return parts()

    server = serve(application, threads=4)
    ids = [f"request-{number}" for number in range(6)]
    connections = [get(server, id) for id in ids]
    for connection in connections:
        with contextlib.closing(connection), contextlib.suppress(http.client.HTTPException, OSError):
            answer = connection.getresponse()
            while answer.read(64 * 1024):
                pass

    eventually(lambda: sum("outside of the application" in (message or "") for _, message in said()) == 6)
    parts = [(id, message) for id, message in said() if message and "writes part" in message]
    assert len(parts) == 6 * 40 and all(message.startswith(f"{id} ") for id, message in parts)
    assert sorted(id for id, message in said() if message == "a crash outside of the application") == ids
    assert [id in ids for id, message in said() if message and "may not read" in message] == [True]


def test_no_line_has_the_id_of_a_request_that_is_over(serve, said):
    def application(environ, start):
        start("200 OK", [("Content-Length", "0")])
        return []

    server = serve(application, threads=4)  # with several, the one that reads answers, too
    with contextlib.closing(get(server, "the-one")) as connection:
        connection.getresponse().read()
        seen = threading.Event()

        def by_the_thread_that_reads():
            logging.getLogger("bodega.test").info("between two requests")
            seen.set()

        server.trigger.pull_trigger(by_the_thread_that_reads)
        assert seen.wait(10)

    assert ("the-one", None) in said() and (None, "between two requests") in said()


def test_a_refusal_has_the_id_that_its_answer_has(serve, said):
    server = serve(lambda environ, start: [])
    with socket.create_connection(("127.0.0.1", server.effective_port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: the-one\r\nContent-Length: many\r\n\r\n")
        answer = raw.recv(4096)

    assert answer.startswith(b"HTTP/1.1 400") and b"the-one" in answer
    assert eventually(lambda: said() == [("the-one", None)])


def test_a_thread_without_a_request_writes_no_id():
    SERVING.set({"bodega.request_id": "the-one"})
    try:
        told = []
        thread = threading.Thread(target=lambda: told.append(line("from another thread")))
        thread.start()
        thread.join()

        assert json.loads(line("from this one"))["request_id"] == "the-one"
        assert "request_id" not in json.loads(told[0])
    finally:
        SERVING.set(None)
