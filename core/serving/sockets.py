"""The listening sockets. An address that cannot be used ends the start with a sentence that says what to do."""

import contextlib
import errno
import socket
from collections.abc import Iterator

from core.cli import CommandError

BACKLOG = 1024  # connections that wait in each socket


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """Return `count` sockets bound to one address; raise CommandError where the address cannot be used.

    They share the address by SO_REUSEPORT: the kernel spreads the connections evenly.
    """
    with _explained(host, port):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Without SO_REUSEPORT first: with it, a second server would quietly take half of the first one's connections.
        _bound(family, address, shared=False).close()
        return [_bound(family, address, shared=count > 1) for _ in range(count)]


def start_listening(sockets: list[socket.socket], host: str, port: int) -> None:
    """Listen: from now on a connection waits and is not refused. Raise CommandError where another server was faster."""
    with _explained(host, port):
        # Checked again: a server that is bound but does not listen yet does not block another one.
        _bound(sockets[0].family, sockets[0].getsockname(), shared=False).close()
        for listening in sockets:
            listening.listen(BACKLOG)


def url(host: str, port: int) -> str:
    """Return the address for a browser."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    """Turn an error of the system into a CommandError."""
    try:
        yield
    except PermissionError:
        raise CommandError(
            f"Port {port} needs more rights than this user has. Choose one above 1023: --port 8080."
        ) from None
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise CommandError(
                f"HOST is {host!r}, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all."
            ) from None
        free = 8081 if port == 8080 else 8080
        raise CommandError(
            f"Port {port} on {host} is taken or cannot be used ({error.strerror}). "
            f"Stop what listens there, or choose another port: python3 server.py --port {free}"
        ) from None


def _bound(family: int, address: tuple, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
