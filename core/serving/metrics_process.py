"""The process that answers GET /metrics on an address of its own, METRICS_HOST and METRICS_PORT; see METRICS.

So the shop's own address does not show them, and a scrape waits for no thread of a worker and takes none. Each scrape
has a connection and a thread of its own, for TIMEOUT seconds at the most.
"""

import select
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core import metrics
from core.cli import CommandError
from core.serving.exposition import CONTENT_TYPE, Exposition

TIMEOUT = 5  # seconds


class MetricsServer:
    """Answers on this socket."""

    def __init__(self, listening: socket.socket, exposition: Exposition) -> None:
        self._listening = listening
        self._exposition = exposition

    def run(self, lifeline: int) -> None:
        """Answer until SIGTERM, or until the other end of the pipe `lifeline` closes."""
        metrics.be("metrics")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        threading.Thread(target=_Server(self._listening, self._exposition).serve_forever, daemon=True).start()
        select.select([lifeline], [], [])

    def close(self) -> None:
        """Close the socket, in a process that does not answer."""
        self._listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; raise CommandError where that cannot be."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise CommandError(
            f"METRICS_HOST and METRICS_PORT are {host} and {port}, where nothing can listen ({error.strerror}). "
            "Choose another port, or METRICS=off."
        ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, exposition: Exposition) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.exposition = exposition


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server: _Server

    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        text = self.server.exposition.text()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def version_string(self) -> str:
        """Say nothing of the program."""
        return "bodega"

    def log_message(self, format: str, *args: Any) -> None:
        """Log no scrape."""
