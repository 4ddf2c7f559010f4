"""Traces: a `traceparent` is read as W3C Trace Context has it, and each line of its request names it."""

import contextlib
import http.client
import json
import logging
import re

import pytest
from helpers import as_url, servers
from webtest import TestApp

from core.app import new_app
from core.contract.envelope import Envelope
from core.identity.auth import PUBLIC
from core.logs import Json
from core.serving.cors import Cors
from core.serving.middleware import Middleware
from core.trace import taken

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (HEADER, "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-03", "03"),  # level 2: the random flag is passed on
        (f"00-{TRACE}-{SPAN}-ff", "03"),  # what no level knows is not
        (f"01-{TRACE}-{SPAN}-01", "01"),  # of a later version, the beginning is read
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
        (f"cc-{TRACE}-{SPAN}-01-", "01"),
    ],
)
def test_a_header_that_the_standard_knows_gives_a_new_span_of_its_trace(header, flags):
    one, other = taken(header), taken(header)

    assert (one.trace_id, one.parent_id, one.flags) == (TRACE, SPAN, flags)
    assert str(one) == f"00-{TRACE}-{one.span_id}-{flags}" and taken(str(one)).parent_id == one.span_id
    assert len({one.span_id, other.span_id, SPAN}) == 3


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",  # version 00 ends here
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-011",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"{HEADER}, {HEADER}",  # two headers
        f"00-{'٣' * 32}-{SPAN}-01",
    ],
)
def test_any_other_header_is_as_none(header):
    assert taken(header) is None


@pytest.fixture
def lines(caplog):
    """What was logged: `lines()` gives the objects."""
    told, logger = [], logging.getLogger("bodega")
    handler = logging.Handler()
    handler.setFormatter(Json())
    handler.emit = lambda record: told.append(json.loads(handler.format(record)))
    logger.addHandler(handler)
    caplog.set_level(logging.INFO, "bodega")
    yield lambda: told
    logger.removeHandler(handler)


@pytest.fixture
def shop():
    """A shop of one route, which breaks."""
    app = new_app()
    app.install(Envelope())
    app.get("/api/broken", callback=lambda: 1 // 0, auth=PUBLIC)
    return TestApp(Middleware(app, Cors(())))


def test_each_line_of_a_request_names_its_trace_and_its_one_span(shop, lines):
    answer = shop.get("/api/broken", headers={"traceparent": HEADER}, status=500)

    assert "traceparent" not in answer.headers
    assert [told.get("message") for told in lines()] == ["a bug in GET /api/broken", None]
    assert {(told["trace_id"], told["parent_id"]) for told in lines()} == {(TRACE, SPAN)}
    [span] = {told["span_id"] for told in lines()}
    assert re.fullmatch("[0-9a-f]{16}", span) and span != SPAN


@pytest.mark.parametrize("headers", [{}, {"traceparent": "of my own"}])
def test_a_request_without_a_trace_begins_none(shop, lines, headers):
    shop.get("/api/broken", headers=headers, status=500)

    assert len(lines()) == 2 and not [told for told in lines() if "trace_id" in told]


@pytest.fixture(scope="module")
def real(accounts, tmp_path_factory):
    """A real server, with one worker, whose log is JSON."""
    with servers(tmp_path_factory.mktemp("traces")) as start:
        yield start("--workers", "1", DATABASE_URL=as_url(accounts.application), LOG_FORMAT="json")


def traces(real, path):
    """Return (status, trace, id) of the lines of the log that tell of this path."""
    said = [json.loads(line) for line in real.log.splitlines() if line.startswith("{")]
    return [(told["status"], told.get("trace_id"), told["request_id"]) for told in said if told.get("path") == path]


def test_an_answer_from_memory_and_a_refusal_name_their_trace_too(real):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", real.port, timeout=20)) as connection:
        for id, headers in (("a", {}), ("b", {"traceparent": HEADER}), ("c", {"traceparent": HEADER}), ("d", {})):
            connection.request("GET", "/api/categories", headers={"X-Request-ID": id, **headers})
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, id == "a" or "Age" in answer.headers) == (200, True)
    refused = real.raw(f"GET / HTTP/1.1\r\nHost: x\r\ntraceparent: {HEADER}\r\nContent-Length: x\r\n\r\n".encode())
    real.wait_for('"status": 400', 10)

    assert refused.startswith(b"HTTP/1.1 400")
    assert traces(real, "/api/categories") == [(200, None, "a"), (200, TRACE, "b"), (200, TRACE, "c"), (200, None, "d")]
    assert [trace for status, trace, _ in traces(real, "-") if status == 400] == [TRACE]
