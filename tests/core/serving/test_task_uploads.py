"""A large body is for who may send it, and for a few at a time; nothing of it is read before. On a real server."""

import contextlib
import pathlib
import time

import pytest
from helpers import ORIGIN, as_url, eventually
from raw_http import ask, chunked, connect, error_of, read, rest, usage_of

from core.serving.server import UPLOADS

pytestmark = pytest.mark.slow

HEAD = f"POST /api/products/import HTTP/1.1\r\nHost: shop\r\nContent-Type: text/csv\r\nOrigin: {ORIGIN}\r\n".encode()
ROW = b"Lamp,9.90," + b"x" * 1000 + b"\r\n"
TABLE = b"name,price,description\r\n" + ROW * 300  # 300 KB
LENGTH = b"Content-Length: %d\r\n" % len(TABLE)
CODING = b"Transfer-Encoding: chunked\r\n"
EXPECT = b"Expect: 100-continue\r\n"
PERSON = {"username": "keeper", "email": "keeper@example.com", "password": "Correct-Horse-7"}


@pytest.fixture
def port(start, accounts, sql):
    """A real server of one worker, with an account that is none of an administrator's."""
    real = start("--workers", "1", "--threads", "4", DATABASE_URL=as_url(accounts.application), CORS_ORIGINS=ORIGIN)
    real.request("/api/users/register", "POST", PERSON)
    return real


@pytest.fixture
def customer(port):
    """The header of a customer."""
    body = {name: PERSON[name] for name in ("username", "password")}
    return (
        b"Authorization: Bearer %s\r\n" % port.request("/api/users/login", "POST", body).json["data"]["token"].encode()
    )


@pytest.fixture
def admin(customer, sql):
    """The header of an administrator."""
    sql("UPDATE users SET role = 'admin'")
    return customer


def opened(real):
    """Open a connection."""
    connection = connect(real.port)
    connection.settimeout(30)
    return connection


FRAMINGS = {"length": (LENGTH, TABLE), "chunks": (CODING, chunked(TABLE, 50_000))}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("expects", [EXPECT, b""], ids=["asks first", "sends at once"])
@pytest.mark.parametrize("who", ["nobody", "somebody", "a customer"])
def test_a_client_that_may_not_send_a_large_body_is_refused_before_it_is_read(port, customer, who, expects, framing):
    senders = {
        "nobody": (b"", 401),
        "somebody": (b"Authorization: Bearer " + b"x" * 43 + b"\r\n", 401),
        "a customer": (customer, 403),
    }
    token, status = senders[who]
    framed, body = FRAMINGS[framing]

    with opened(port) as connection:
        connection.sendall(HEAD + token + expects + framed + b"\r\n")
        if not expects:
            connection.sendall(body[:100_000])  # the rest never comes
        answer = read(connection)

        assert answer.status == status  # and not 100 Continue
        assert error_of(answer)["code"] in ("AUTHENTICATION_REQUIRED", "FORBIDDEN")
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Connection"] == "close"
        assert rest(connection) == b""


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("expects", [EXPECT, b""], ids=["asks first", "sends at once"])
def test_an_administrators_large_body_is_taken(port, admin, sql, expects, framing):
    framed, body = FRAMINGS[framing]

    with opened(port) as connection:
        connection.sendall(HEAD + admin + expects + framed + b"\r\n")
        if expects:
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = ask(connection, body)
        after = ask(connection, b"GET /api/health HTTP/1.1\r\nHost: shop\r\n\r\n")

    assert (answer.status, answer.json["data"]["created"]) == (200, 300)
    assert after.status == 200  # on the same connection
    assert sql("SELECT COUNT(*) AS n FROM products") == [{"n": 300}]


def test_a_small_table_needs_no_asking(port, admin):
    small = TABLE[:1100].rpartition(b"\r\n")[0]

    with opened(port) as connection:
        answer = ask(connection, HEAD + admin + b"Content-Length: %d\r\n\r\n" % len(small) + small)

    assert answer.status == 200


def test_what_is_wrong_in_the_head_is_reported_before_the_body_is_read(port, admin):
    asked = (HEAD + admin + EXPECT + LENGTH + b"\r\n").replace(b"/import ", b"/import?dry=1 ")

    with opened(port) as connection:
        answer = ask(connection, asked)

    assert answer.status == 400
    assert "dry_run" in error_of(answer)["message"]


def test_what_comes_with_the_head_waits_for_the_verdict_and_is_read_once(port, admin):
    last = b"GET /api/health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"

    with opened(port) as connection:
        connection.sendall(HEAD + admin + LENGTH + b"\r\n" + TABLE + last)
        received = rest(connection)

    assert b'"created":300' in received
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_a_few_large_bodies_come_in_at_a_time_and_a_place_is_free_again_when_one_is_done_or_gone(port, admin):
    asked = HEAD + admin + EXPECT + LENGTH + b"\r\n"
    with contextlib.ExitStack() as stack:
        sending = [stack.enter_context(opened(port)) for _ in range(UPLOADS)]
        for connection in sending:
            connection.sendall(asked)
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"

        refused = ask(stack.enter_context(opened(port)), asked)
        health = port.request("/api/health")
        done = ask(sending[0], TABLE)
        sending[1].close()

        assert refused.status == 503
        assert error_of(refused)["code"] == "SERVICE_UNAVAILABLE"
        assert refused.headers["Retry-After"] and refused.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert health.status == done.status == 200
        for connection in [sending[0], stack.enter_context(opened(port))]:
            connection.sendall(asked)
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_many_strangers_who_send_large_bodies_cost_neither_memory_nor_disk(port):
    memory, files = usage_of(port)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(opened(port))
            connection.sendall(HEAD + b"Content-Length: 30000000\r\n\r\n")
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # it is refused meanwhile
                connection.send(b"x" * 2_000_000)
        time.sleep(0.5)
        more_memory, more_files = usage_of(port)

        assert eventually(lambda: port.log.count("status=401") == 60)
        assert more_memory - memory < 30  # MB; 60 clients have sent 120
        assert more_files == files
