"""The listening sockets: several on one address, and nobody else on it."""

import contextlib
import socket

import pytest

from core.cli import CommandError
from core.serving import sockets


@pytest.fixture
def bound():
    """`bound(port, count)`: sockets on this machine, which are closed with the test."""
    with contextlib.ExitStack() as stack:

        def bind(port=0, count=1):
            return [stack.enter_context(made) for made in sockets.bind("127.0.0.1", port, count)]

        yield bind


def port_of(listening):
    """Return the port of a socket."""
    return listening.getsockname()[1]


@pytest.fixture
def free(bound):
    """A port that nobody uses."""
    (probe,) = bound()
    port = port_of(probe)
    probe.close()
    return port


def test_a_connection_is_refused_before_the_start_and_waits_after_it(bound):
    (listening,) = bound()
    address = listening.getsockname()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    sockets.start_listening([listening], *address)

    socket.create_connection(address, timeout=5).close()


def test_several_sockets_share_one_address(bound, free):
    pair = bound(free, 2)

    sockets.start_listening(pair, "127.0.0.1", free)

    assert [port_of(listening) for listening in pair] == [free, free]


@pytest.mark.parametrize("count", [1, 2])
def test_a_second_server_is_refused_once_the_first_one_listens(bound, free, count):
    first, second = bound(free, 2), bound(free, 2)  # both are bound; neither listens yet
    sockets.start_listening(first, "127.0.0.1", free)

    with pytest.raises(CommandError, match=f"Port {free} on 127.0.0.1 is taken"):
        sockets.start_listening(second, "127.0.0.1", free)
    with pytest.raises(CommandError, match=f"Port {free} on 127.0.0.1 is taken"):
        bound(free, count)


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
def test_an_address_of_ipv6_is_written_in_brackets(host, url):
    assert sockets.url(host, 80) == url
