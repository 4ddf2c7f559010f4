"""Servers for the tests of serving."""

import contextlib

import pytest
from helpers import ORIGIN, as_url, servers
from raw_http import connect, running

from core.serving.cors import Cors
from core.serving.middleware import Middleware


@pytest.fixture(scope="module")
def shop_server(accounts, tmp_path_factory):
    """One real server, with one worker, for the tests that leave it as it was."""
    with servers(tmp_path_factory.mktemp("http")) as start:
        yield start("--workers", "1", "--threads", "4", DATABASE_URL=as_url(accounts.application), CORS_ORIGINS=ORIGIN)


@pytest.fixture
def connection(shop_server):
    """A connection to it."""
    with connect(shop_server.port) as opened:
        yield opened


@pytest.fixture
def serve_here():
    """`serve_here(application, threads)`: our server for a WSGI application, in a thread of this process.

    `routes`: what the application would have as a Bottle. `named`: arguments of Middleware.
    """
    with contextlib.ExitStack() as stack:

        def begin(application, threads=1, routes=(), **named):
            application.routes = list(routes)
            return stack.enter_context(running(Middleware(application, Cors((ORIGIN,)), **named), threads))

        yield begin
