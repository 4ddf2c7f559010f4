"""Serving: starting, draining, workers that die, ports that are taken, a database that is down, and the log."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers import (
    LONG,
    NOWHERE,
    SECRET,
    Answer,
    RealServer,
    as_url,
    both_workers,
    command,
    environment,
    eventually,
    free_port,
    refuses,
    running,
    servers,
    workers,
)

from core.database_url import DatabaseUrl
from core.db import drivers
from core.setup.system import ROOT


@pytest.fixture(scope="module")
def shop_server(accounts, tmp_path_factory):
    """One real server, with two workers, for the tests that leave it as it was."""
    with servers(tmp_path_factory.mktemp("serve")) as start:
        yield start("--workers", "2", "--threads", "2", DATABASE_URL=as_url(accounts.application))


@pytest.fixture(scope="module")
def without_database(tmp_path_factory):
    """A real server whose database is down."""
    with servers(tmp_path_factory.mktemp("down")) as start:
        yield start("--workers", "2", "--threads", "2", DATABASE_URL=as_url(NOWHERE))


@pytest.fixture
def waiting_server(start, accounts, sql):
    """A real server that waits for the database for longer than a test blocks it."""
    url = as_url(accounts.application)
    return start("--workers", "2", "--threads", "2", DATABASE_URL=url, DATABASE_TIMEOUT="10")


@contextlib.contextmanager
def under_way(real, accounts, make, sql):
    """Give a list that gets the answer to a request that waits for a lock until the block ends."""
    id = make.product(stock=9)
    make.cart("visitor", id)
    answers = []

    def ask():
        with contextlib.suppress(OSError):  # cut off
            answers.append(real.request(f"/api/cart/items/{id}", "PUT", {"quantity": 5}, Session_ID="visitor"))

    thread = threading.Thread(target=ask)
    holder = drivers.connect(accounts.owner, 30)
    holder.begin()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT id FROM cart_items WHERE session_id = 'visitor' FOR UPDATE")
            thread.start()
            waiting = "SELECT 1 FROM information_schema.processlist WHERE info LIKE %s AND id <> CONNECTION_ID()"
            assert eventually(lambda: sql(waiting, ["/* cart/%"]))
            yield answers
        holder.rollback()
        thread.join(15)
    finally:
        holder.close()
        thread.join(15)


# Stopping


@pytest.mark.slow
def test_sigterm_answers_the_request_under_way_and_takes_no_new_ones(waiting_server, accounts, make, sql):
    with under_way(waiting_server, accounts, make, sql) as answers:
        waiting_server.process.terminate()

        closed = eventually(lambda: refuses(waiting_server.port))
        time.sleep(1)
        waited = not answers

    assert closed and waited
    assert answers[0].status == 200 and answers[0].json["data"]["quantity"] == 5
    assert waiting_server.process.wait(LONG) == 0
    assert "Traceback" not in waiting_server.log


@pytest.mark.slow
def test_a_request_that_does_not_end_holds_up_the_end_for_a_few_seconds_only(waiting_server, accounts, make, sql, lag):
    with under_way(waiting_server, accounts, make, sql):
        started = time.monotonic()
        waiting_server.process.terminate()

        assert waiting_server.process.wait(LONG) == 0
        assert time.monotonic() - started < lag.bound(12, started)


@pytest.mark.slow
def test_connections_that_do_nothing_do_not_hold_up_the_end(served, lag):
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        started = time.monotonic()
        served.process.terminate()

        assert served.process.wait(LONG) == 0
        assert time.monotonic() - started < lag.bound(4, started)


@pytest.mark.slow
def test_ctrl_c_ends_it_without_an_error(served):
    family = both_workers(served)

    os.killpg(served.process.pid, signal.SIGINT)

    assert served.process.wait(LONG) == 0
    assert "Traceback" not in served.log and "level=error" not in served.log
    assert not any(map(running, family))


@pytest.mark.slow
def test_a_sigterm_to_all_of_its_processes_at_once_is_a_clean_end_too(served):
    os.killpg(served.process.pid, signal.SIGTERM)

    assert served.process.wait(LONG) == 0
    assert "Traceback" not in served.log


# Workers


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(served):
    before = both_workers(served)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not any(map(running, before)))

    answers = [served.request("/api/health").status for _ in range(10)]  # what comes meanwhile waits
    replaced = eventually(lambda: len(workers(served)) == 2 and not workers(served) & before)

    assert answers == [200] * 10
    assert replaced
    report = "Worker [0-9]+ ended with status -9; a new one takes over"
    assert eventually(lambda: len(re.findall(report, served.log)) == 2), served.log


@pytest.mark.slow
def test_workers_that_are_killed_now_and_then_are_replaced_each_time(served):
    for _ in range(3):
        before = both_workers(served)
        time.sleep(1.2)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda before=before: len(workers(served)) == 2 and not workers(served) & before)

    assert served.request("/api/health").status == 200
    assert served.process.poll() is None


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_server_with_an_error(served):
    def kill():
        with contextlib.suppress(FileNotFoundError):
            for pid in workers(served):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return served.process.poll() is not None

    ended = eventually(kill)

    assert ended and served.process.returncode == 1
    assert "Workers die as soon as they start; giving up." in served.log
    assert "Traceback" not in served.log


@pytest.mark.slow
def test_workers_end_when_the_main_process_is_killed(served):
    family = both_workers(served)

    served.process.kill()

    assert eventually(lambda: not any(map(running, family)))
    assert eventually(lambda: refuses(served.port))


# The address


@pytest.mark.slow
@pytest.mark.parametrize("count", ["1", "2"])
def test_a_port_that_is_taken_is_named_in_a_sentence(shop_server, accounts, count):
    url = as_url(accounts.application)

    second = command("serve", "--port", str(shop_server.port), "--workers", count, DATABASE_URL=url)

    assert second.returncode == 1
    assert re.fullmatch(
        rf"Port {shop_server.port} on 127\.0\.0\.1 is taken or cannot be used \(Address already in use\)\. "
        r"Stop what listens there, or choose another port: python3 server\.py --port [0-9]+\n",
        second.stderr,
    )


def test_a_port_that_is_taken_is_reported_before_a_database_is_made(shop_server, tmp_path):
    done = command("serve", "--port", str(shop_server.port), DATA_DIR=str(tmp_path / "data"))

    assert done.returncode == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_two_servers_that_start_at_once_do_not_share_a_port(start, accounts, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:  # a database that says nothing holds up the first one's start
        silent = as_url(DatabaseUrl("shop", port=mute.getsockname()[1]))
        late = start("--workers", "2", DATABASE_URL=silent, DATABASE_TIMEOUT="60", wait=False)
        visitor, _ = mute.accept()
        words = [sys.executable, str(ROOT / "server.py"), "--port", str(late.port), "--workers", "2"]
        log = tmp_path / "early.log"
        early = subprocess.Popen(
            words, env=environment(DATABASE_URL=as_url(accounts.application)), cwd=ROOT, stderr=log.open("w")
        )
        try:
            assert eventually(lambda: not refuses(late.port))
            visitor.close()

            assert late.process.wait(LONG) == 1
            assert f"Port {late.port} on 127.0.0.1 is taken" in late.log and "Traceback" not in late.log
            assert late.request("/api/ready").status == 200
        finally:
            early.terminate()
            early.wait(15)


@pytest.mark.slow
def test_host_and_port_come_from_the_environment_too(tmp_path):
    port, log = free_port(), tmp_path / "log"
    settings = environment(HOST="127.0.0.2", PORT=str(port), WORKERS="1", THREADS="1", DATABASE_URL=as_url(NOWHERE))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py")], env=settings, cwd=ROOT, stdout=log.open("w"), stderr=log.open("a")
    )
    try:
        RealServer(process, port, log).wait_for(f"Serving on http://127.0.0.2:{port} ")

        assert not refuses(port, "127.0.0.2")
        assert refuses(port, "127.0.0.1")
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_a_host_that_is_no_address_of_this_machine_is_named_in_a_sentence(host):
    done = command("serve", "--host", host, "--port", str(free_port()), DATABASE_URL=as_url(NOWHERE))

    assert done.returncode == 1
    assert done.stderr.startswith(f"HOST is '{host}', which is no address of this machine.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--threads", "0"], "THREADS is '0'; wanted is a whole number from 1 to 256."),
        (["--workers", "x"], "WORKERS is 'x'; wanted is a whole number from 1 to 256."),
        (["--port", "70000"], "PORT is '70000'; wanted is a whole number from 1 to 65535."),
        (["--wokers", "2"], "Unrecognized arguments: --wokers 2."),
    ],
)
def test_a_wrong_option_is_a_sentence_and_status_2(words, sentence):
    done = command("serve", *words)

    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr


# A database that is down


def test_without_its_database_the_shop_lives(without_database):
    answer = without_database.request("/api/health")

    assert answer.status == 200
    without_database.wait_for("The shop starts, and answers 503 until it can be reached.")


@pytest.mark.parametrize("path", ["/api/ready", "/api/products", "/api/cart/abc"])
def test_without_its_database_the_shop_says_soon_that_it_cannot_answer(without_database, path, lag):
    started = time.monotonic()

    answer = without_database.request(path)

    assert time.monotonic() - started < lag.bound(2.5, started)
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
    assert answer.json["error"]["code"] == "SERVICE_UNAVAILABLE"


# The log


def test_the_log_has_one_line_of_pairs_for_a_request(shop_server):
    shop_server.request("/api/products?search=lamp", X_Request_ID="seen-once")

    shop_server.wait_for("request_id=seen-once\n")
    lines = [line for line in shop_server.log.splitlines() if "seen-once" in line]
    assert len(lines) == 1
    assert re.fullmatch(
        r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ level=info event=request method=GET path=/api/products status=200 "
        r"ms=\d+\.\d request_id=seen-once",
        lines[0],
    )


SECRETS = [
    ("GET", "/api/cart/{}", None, {}),
    ("PUT", "/api/cart/{}", None, {}),  # 405
    ("OPTIONS", "/api/cart/{}", None, {}),
    ("GET", "/api/cart/{}/nothing/here", None, {}),
    ("GET", "/api/cart//{}", None, {}),
    ("POST", "/api/cart/{}/items", {"product_id": 1, "quantity": 1}, {}),
    ("DELETE", "/api/cart/{}/items/1", None, {}),
    ("GET", "/api/cart/{}%00", None, {}),
    ("GET", "/api/cart/{}%FF", None, {}),
    ("GET", "/api/cart", None, {"Session_ID": "{}"}),
    ("GET", "/api/products?search={}", None, {}),
    ("GET", "/api/products?{}=1", None, {}),
]


@pytest.mark.parametrize(("method", "path", "body", "headers"), SECRETS, ids=[f"{s[0]} {s[1]}" for s in SECRETS])
def test_the_log_holds_no_session_ids_and_no_queries(shop_server, request, method, path, body, headers):
    number = request.node.callspec.indices["path"]
    secret = f"swordfish{number}"
    headers = {name: value.format(secret) for name, value in headers.items()}

    shop_server.request(path.format(secret), method, body, X_Request_ID=f"secret-{number}", **headers)

    shop_server.wait_for(f"request_id=secret-{number}\n")
    assert secret not in shop_server.log


def test_a_refused_request_is_in_the_log_without_what_it_asked_for(shop_server):
    received = shop_server.raw(b"GET /api/cart/swordfish HTTP/1.1\r\nX-Request-ID: refused-one\r\nHost shop\r\n\r\n")

    assert b"400 Bad Request" in received
    shop_server.wait_for("level=info event=refused path=- status=400 request_id=refused-one\n")
    assert "swordfish" not in shop_server.log


def test_settings_that_are_secret_are_not_in_the_log(shop_server, without_database):
    assert SECRET not in shop_server.log + without_database.log
    assert "wrong" not in without_database.log


def test_a_connection_is_kept_from_one_request_to_the_next(shop_server):
    connection = http.client.HTTPConnection("127.0.0.1", shop_server.port, timeout=10)
    answers = []
    for _ in range(3):
        connection.request("GET", "/api/health")
        response = connection.getresponse()
        answers.append((Answer(response.status, response.headers, response.read()).status, connection.sock is not None))
    connection.close()

    assert answers == [(200, True)] * 3
