"""Clients that ask for the same again and again, each on one connection, and note what comes and when."""

import contextlib
import http.client
import sys
import threading
import time
from typing import NamedTuple


class Seen(NamedTuple):
    """An answer: when it was asked for (monotonic), how long that took, and what came."""

    at: float
    seconds: float
    status: int
    headers: dict


class Clients:
    """Ask for the same again and again, each on one connection, so of one worker; and note what comes."""

    def __init__(self, port):
        self._port = port
        self._over = threading.Event()
        self._threads = []

    def ask(self, paths, count, pause=0.05, **headers):
        """Let so many clients ask for these paths in turn; return the list of what they see."""
        seen = []

        def go():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            while not self._over.wait(pause):
                for path in paths:
                    at = time.monotonic()
                    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
                    answer = connection.getresponse()
                    answer.read()
                    seen.append(Seen(at, time.monotonic() - at, answer.status, dict(answer.headers)))
            connection.close()

        self._threads += [threading.Thread(target=go) for _ in range(count)]
        for thread in self._threads[-count:]:
            thread.start()
        return seen

    def leave(self):
        """Let them end."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)


@contextlib.contextmanager
def visited(shop):
    """Give Clients of a shop."""
    clients = Clients(shop.port)
    try:
        yield clients
    finally:
        clients.leave()


def between(seen, since, until=float("inf")):
    """Return what was asked for in this time."""
    return [one for one in seen if since <= one.at < until]


def slowest(seen):
    """Return the most seconds."""
    return max(one.seconds for one in seen)


def shop_where(statement):
    """Return the program of a shop in which this Python statement was run first: the shop without some mechanism."""
    text = f"import sys, server; from core import cli, config; {statement}; "
    return (sys.executable, "-c", text + "sys.exit(cli.main(sys.argv[1:], server.COMMANDS, config.load, server.shop))")
