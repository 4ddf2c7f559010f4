"""A receiver of webhooks on loopback: a real server, with or without TLS, that notes what it gets."""

import contextlib
import http.server
import json
import ssl
import threading
from typing import NamedTuple


class Got(NamedTuple):
    """A request that came."""

    path: str
    headers: dict  # names in small letters
    body: bytes

    @property
    def event(self):
        return json.loads(self.body)


class Receiver:
    """`got`: the requests. `answer`: what is answered: a status, or a function of the handler that answers itself."""

    def __init__(self, port, secure):
        self.port = port
        self.url = f"{'https' if secure else 'http'}://localhost:{port}/hooks"
        self.got = []
        self.answer = 204

    @property
    def events(self):
        """What came, as (type, data)."""
        return [(got.event["type"], got.event["data"]) for got in self.got]


@contextlib.contextmanager
def receiving(certificate=None, port=0):
    """Give a Receiver. `certificate`: (its file, the file of its key) for TLS. `port`: 0 for any that is free."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Got(self.path, headers, body))
            if callable(receiver.answer):
                receiver.answer(self)
                return
            self.send_response(receiver.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            """Keep quiet."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """Keep quiet: clients are meant to leave."""

    server = Server(("127.0.0.1", port), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # Not in the thread that accepts: a client that does not shake hands would stop all.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver = Receiver(server.server_address[1], bool(certificate))
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
