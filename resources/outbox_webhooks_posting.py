"""The POST of a webhook: within TIMEOUT in all, to an address that was looked up once and judged.

There is no second look-up between the judgement and the connection, so that no name server can answer the one with
a public address and the other with a private one. The certificate is checked against the name. Redirects are not
followed, and no proxy of the environment is used.
"""

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from core.outbox import Temporary
from resources.outbox_webhooks_url import Target, is_public, target_of

TIMEOUT = 10.0  # seconds for all of it, however slowly the other side sends
LONGEST_ANSWER = 64 * 1024  # bytes of the body that are read, and thrown away
MOST_ADDRESSES = 4  # of a name, that are tried


def client_tls() -> ssl.SSLContext:
    """Return what TLS is spoken with: a server proves its name to an authority of this machine, by TLS 1.2 or later."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some Pythons leave that to the system
    return context


class Posting:
    """What sends. `private`: http and private addresses too. `resolve` works as socket.getaddrinfo does."""

    def __init__(
        self, private: bool = False, resolve: Callable[..., Any] = socket.getaddrinfo, timeout: float = TIMEOUT
    ) -> None:
        self.private = private
        self._resolve = resolve
        self._timeout = timeout

    @functools.cached_property
    def context(self) -> ssl.SSLContext:
        """What TLS trusts: the authorities of this machine (or of SSL_CERT_FILE)."""
        return client_tls()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer. Raises core.outbox.Temporary where there is none."""
        deadline = time.monotonic() + self._timeout
        try:
            target = target_of(url, self.private)
            with closing(self._connected(target, deadline)) as connection:
                connection.settimeout(_left(deadline))
                connection.sendall(_head(target, headers, body) + body)
                answer = http.client.HTTPResponse(_Received(connection, deadline), method="POST")  # type: ignore[arg-type]
                answer.begin()
                with suppress(OSError, http.client.HTTPException):  # the status has come, which is all that counts
                    answer.read(LONGEST_ANSWER)
                return answer.status
        except TimeoutError:
            raise Temporary(f"It did not answer within {self._timeout:g} seconds.") from None
        except ssl.SSLCertVerificationError as error:
            raise Temporary(f"Its certificate is not accepted: {error.verify_message}.") from error
        except ssl.SSLError as error:
            raise Temporary(f"It does not speak TLS as it should ({error.reason}).") from error
        except socket.gaierror as error:
            raise Temporary("Its name is not known to the name servers.") from error
        except http.client.HTTPException as error:
            raise Temporary("It did not answer as HTTP has it.") from error
        except OSError as error:
            raise Temporary(f"The connection failed: {error.strerror or type(error).__name__}.") from error
        except ValueError as error:  # what was allowed when the address was stored is not any more
            raise Temporary(f"Its address is refused. {error}") from error

    def _connected(self, target: Target, deadline: float) -> socket.socket:
        """Return a connection, with TLS where that is wanted."""
        addresses = self._addresses(target, deadline)
        for place, (family, address) in enumerate(addresses):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                # One that swallows packets leaves the others their share of the time.
                connection.settimeout(_left(deadline) / (len(addresses) - place))
                connection.connect(address)
                break
            except OSError:
                connection.close()
                if place == len(addresses) - 1:
                    raise
        if not target.is_secure:
            return connection
        try:
            connection.settimeout(_left(deadline))  # for the whole of the handshake
            return self.context.wrap_socket(connection, server_hostname=target.host)
        except BaseException:
            connection.close()
            raise

    def _addresses(self, target: Target, deadline: float) -> list[tuple[int, Any]]:
        """Look the name up, in a thread of its own: that may take longer than there is time."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(target.host, target.port, type=socket.SOCK_STREAM))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            found = answers.get(timeout=_left(deadline))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, Exception):
            raise found
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        allowed = [pair for pair in addresses if self.private or is_public(pair[1][0])]
        if not allowed:
            raise ValueError("Its name stands for no public address.")
        return allowed[:MOST_ADDRESSES]


class _Received(io.RawIOBase):
    """What a connection receives until a deadline. A timeout of the socket alone would begin anew with each byte."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Stand for a socket, as http.client wants it."""
        return io.BufferedReader(self)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _head(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.host_header}",
        "User-Agent: Bodega-Webhooks/1.0",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
