"""HTTP over a bare socket, and a server in a thread of this process: what the tests of serving share."""

import contextlib
import http.client
import os
import pathlib
import re
import socket
import threading

from helpers import Answer, eventually, workers

from core.serving.server import Server


@contextlib.contextmanager
def running(middleware, threads=1):
    """Give our server, which runs in a thread of this process, where its limits can be lowered; stop it at the end."""
    server = Server(middleware, socket.create_server(("127.0.0.1", 0)), threads)
    server.adj.cleanup_interval = 0.1
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(15)
        assert not thread.is_alive()


def plain(environ, start_response):
    """Answer anything with a word."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def connect(port, room=None):
    """Open a connection; `room`: bytes that the system takes for a client that does not read."""
    connection = socket.socket()
    if room:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, data, method="GET"):
    """Send bytes and read one answer, as a client of HTTP does."""
    connection.sendall(data)
    return read(connection, method)


def read(connection, method="GET"):
    """Read one answer."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def rest(connection):
    """Read all that still comes until the server closes; fails where it does not close."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def chunked(body, size=1000):
    """Return a body in chunks."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def error_of(answer):
    """Return the error of an answer that has all that our failures have, in the shape of the contract."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers.get_all("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"]
    assert answer.headers.get_all("Referrer-Policy") == ["no-referrer"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["X-Request-ID"])
    assert "Server" not in answer.headers and "Via" not in answer.headers
    assert answer.json.keys() == {"success", "error"} and answer.json["success"] is False
    assert answer.json["error"].keys() == {"code", "message", "details"}
    return answer.json["error"]


def usage_of(real):
    """Return what the one worker of a server uses: its MB of memory, and how many deleted files it has open."""
    assert eventually(lambda: len(workers(real)) == 1)
    process = pathlib.Path("/proc", str(*workers(real)))
    memory = int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1]) // 1024
    deleted = 0
    for file in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection that has been closed meanwhile
            deleted += "(deleted)" in os.readlink(file)
    return memory, deleted
