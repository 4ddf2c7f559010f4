"""Sockets that a parent passes, as systemd does, and what it is told."""

import contextlib
import http.client
import os
import pathlib
import signal
import socket
import time

import pytest
from helpers import LONG, as_url, eventually, refuses, workers
from passing import Parent

from core.serving import systemd


@pytest.fixture
def parent(tmp_path):
    """`parent(count)`: a Parent with so many sockets, which ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda count=1: stack.enter_context(contextlib.closing(Parent(tmp_path, count)))


@pytest.fixture
def login(accounts, sql):
    """DATABASE_URL of the tests' database."""
    return as_url(accounts.application)


def is_stopped(pid):
    """Whether SIGSTOP has reached all threads of a process."""
    states = [page.read_text().rpartition(") ")[2][0] for page in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@pytest.mark.slow
def test_each_worker_serves_a_socket_that_they_share(parent, login):
    passing = parent()
    real = passing.start("--workers", "3", "--threads", "2", DATABASE_URL=login)
    assert eventually(lambda: "READY=1" in passing.said())
    assert f"Serving on http://127.0.0.1:{passing.port} " in real.log

    for only in workers(real):
        for pid in workers(real):
            os.kill(pid, signal.SIGCONT if pid == only else signal.SIGSTOP)
        assert eventually(lambda only=only: all(pid == only or is_stopped(pid) for pid in workers(real)))
        assert real.request("/api/health", timeout=5).status == 200
    for pid in workers(real):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_each_of_several_sockets_is_served(parent, login):
    passing = parent(2)
    real = passing.start("--workers", "3", "--threads", "2", DATABASE_URL=login)

    assert {real.request("/api/health", timeout=5).status for _ in range(30)} == {200}  # the kernel spreads them


@pytest.mark.slow
def test_systemd_is_told_when_all_workers_serve_when_they_are_replaced_and_when_it_ends(parent, login):
    passing = parent()
    real = passing.start("--workers", "2", "--threads", "2", DATABASE_URL=login)
    assert eventually(lambda: passing.said() == ["READY=1"])

    before = workers(real)
    real.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: passing.said() == ["READY=1", "RELOADING=1", "READY=1"], 40), real.log
    assert not before & workers(real)
    assert real.stop() == 0

    assert passing.said() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


@pytest.mark.slow
def test_nobody_is_told_ready_before_all_workers_serve_and_a_broken_edit_is_no_reload(parent, login):
    passing = parent()
    real = passing.start("--workers", "2", "--threads", "2", wait=False, DATABASE_URL=login)
    while not passing.said():
        assert real.process.poll() is None
    assert real.request("/api/health", timeout=1).status == 200 and "Serving on" in real.log

    real.process.send_signal(signal.SIGHUP)
    real.process.send_signal(signal.SIGTERM)
    assert real.stop() == 0 and passing.said()[-1] == "STOPPING=1"


@pytest.mark.slow
def test_connections_wait_in_a_passed_socket_before_the_start_and_after_the_end(parent, login):
    passing = parent()
    early = socket.create_connection(("127.0.0.1", passing.port), timeout=60)
    early.sendall(b"GET /api/health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")

    real = passing.start("--workers", "2", "--threads", "2", DATABASE_URL=login)
    assert b" 200 OK" in early.recv(65536)
    assert real.stop() == 0
    assert not refuses(passing.port)  # systemd goes on listening

    later = socket.create_connection(("127.0.0.1", passing.port), timeout=60)
    later.sendall(b"GET /api/health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    passing.start("--workers", "2", "--threads", "2", DATABASE_URL=login)
    assert b" 200 OK" in later.recv(65536)
    for one in (early, later):
        one.close()


@pytest.mark.slow
def test_an_idle_connection_holds_up_the_end_for_half_a_second_and_a_used_one_is_told_to_leave(parent, login, lag):
    passing = parent()
    real = passing.start("--workers", "1", "--threads", "2", DATABASE_URL=login)
    idle, used = (http.client.HTTPConnection("127.0.0.1", passing.port, timeout=20) for _ in range(2))
    for client in (idle, used):
        client.request("GET", "/api/health")
        assert client.getresponse().read() and client.sock

    began = time.monotonic()
    real.process.terminate()
    real.wait_for("Stopping")
    used.request("GET", "/api/health")
    answer = used.getresponse()

    assert (answer.status, answer.headers["Connection"]) == (200, "close") and answer.read()
    assert real.process.wait(LONG) == 0
    assert time.monotonic() - began < lag.bound(3, began)
    assert idle.sock.recv(1) == b""
    idle.close()


@pytest.mark.slow
def test_sockets_that_no_worker_would_read_or_that_are_not_of_tcp_stop_the_start_with_a_sentence(parent, tmp_path):
    passing = parent(2)
    real = passing.start("--workers", "1", wait=False, DATABASE_URL="mysql://shop:x@127.0.0.1:1/shop")
    assert real.process.wait(30) == 1
    assert real.log == "LISTEN_FDS has 2 sockets, and WORKERS is 1: each needs a worker that reads it.\n"

    passing.sockets.pop().close()
    passing.listen(socket.AF_UNIX, str(tmp_path / "s"))
    real = passing.start("--workers", "2", wait=False, DATABASE_URL="mysql://shop:x@127.0.0.1:1/shop")
    assert real.process.wait(30) == 1
    assert real.log == "LISTEN_FDS has a socket that is not of TCP. Let ListenStream= name a port, not a path.\n"


def test_sockets_for_another_process_are_not_taken_and_children_hear_of_none(monkeypatch):
    for name, value in (("LISTEN_PID", "1"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "shop"), ("NOTIFY_SOCKET", "/n")):
        monkeypatch.setenv(name, value)

    assert systemd.passed_sockets(2) == []
    systemd.notifier()

    assert not {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"} & os.environ.keys()


@pytest.mark.slow
def test_a_parent_that_reads_no_notes_holds_up_nothing(parent, login, lag):
    passing = parent()
    real = passing.start("--workers", "1", "--threads", "2", DATABASE_URL=login)
    assert eventually(lambda: passing.said() == ["READY=1"])
    passing.stuff()
    began = time.monotonic()

    assert real.stop() == 0

    assert time.monotonic() - began < lag.bound(6, began)
    assert "NOTIFY_SOCKET cannot be told STOPPING= (timed out)." in real.log
