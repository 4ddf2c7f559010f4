"""What the tests of this folder use: a Redis of their own."""

import contextlib
import subprocess

import pytest

from core.setup import system


@pytest.fixture
def redis(tmp_path):
    """`redis()` starts a Redis on the unix socket `redis.socket`, whose address is `redis.url`; all are ended."""
    program = system.program("redis-server", "redis-check-rdb")  # redis-tools has the server under that name
    if not program:
        pytest.skip("needs redis-tools")
    with contextlib.ExitStack() as running:

        def begin():
            words = ["redis-server", "--port", "0", "--unixsocket", str(begin.socket), "--save", ""]
            process = subprocess.Popen(words, executable=program, stdout=subprocess.DEVNULL)
            running.callback(process.wait)
            running.callback(process.kill)
            return process

        begin.socket = tmp_path / "redis"
        begin.url = f"redis+unix://{begin.socket}"
        yield begin
