"""The log, where nobody reads it, where it goes nowhere, and what is written at the end; in real processes."""

import contextlib
import http.client
import os
import re
import select
import subprocess
import sys
import threading

import pytest
from helpers import LONG, NOWHERE, as_url, environment, eventually, free_port
from test_envelope import record

from core.log_writer import Writer
from core.logs import LONGEST, Logfmt
from core.setup.system import ROOT

ASKED = 6000  # requests: more lines than a pipe and the memory for lines take
LINE_OF_A_REQUEST = re.compile(rb"event=request .*request_id=n-([0-9]+)\n")
DROPPED = re.compile(rb"level=warning message=\"([0-9]+) line\(s\) of the log were dropped before this one: .*\"\n")


@pytest.fixture
def pipe():
    """A pipe: (the end to read, the end to write)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def shop_into_a_pipe(pipe):
    """A real server of one worker, whose output and errors go into a pipe that only the test reads; and its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py"), "--port", str(port), "--workers", "1"],
        env=environment(DATABASE_URL=as_url(NOWHERE)),
        cwd=ROOT,
        stdout=pipe[1],
        stderr=pipe[1],
    )
    log = b""
    while b"Serving on" not in log:
        log += os.read(pipe[0], 65536)
        assert process.poll() is None
    yield process, port
    process.kill()
    process.wait()


def ask(port, count):
    """Ask so many times, on one connection; each request has its number as its id, and a long path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        for number in range(count):
            connection.request("GET", "/" + "x" * (LONGEST - 50), headers={"X-Request-ID": f"n-{number}"})
            answer = connection.getresponse()
            assert answer.status == 404 and answer.read()


@pytest.mark.slow
def test_a_log_that_nobody_reads_holds_up_no_answer_and_tells_later_how_many_lines_it_lacks(shop_into_a_pipe, pipe):
    process, port = shop_into_a_pipe
    ask(port, ASKED)

    log = b""
    while not DROPPED.search(log) and select.select([pipe[0]], [], [], 10)[0]:
        log += os.read(pipe[0], 65536)

    numbers = [int(number) for number in LINE_OF_A_REQUEST.findall(log)]
    assert numbers == list(range(len(numbers))) and len(numbers) > 1000  # in order, the first ones
    assert len(numbers) + int(DROPPED.search(log)[1]) == ASKED
    process.terminate()
    assert process.wait(LONG) == 0


@pytest.mark.slow
def test_a_log_that_nobody_reads_does_not_hold_up_the_end(shop_into_a_pipe, pipe):
    process, port = shop_into_a_pipe
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], b"x")
    os.set_blocking(pipe[1], True)
    ask(port, 3)

    process.terminate()

    assert process.wait(LONG) == 0


@pytest.mark.slow
def test_the_shop_serves_also_where_standard_error_is_closed(tmp_path):
    port = free_port()
    server = f"exec {sys.executable} {ROOT / 'server.py'} --port {port} --workers 1 2>&-"
    process = subprocess.Popen(
        ["sh", "-c", server], env=environment(DATABASE_URL=as_url(NOWHERE)), cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert b"Serving on" in process.stdout.readline()

        ask(port, 3)
    finally:
        process.terminate()
        process.communicate()


LAST_WORDS = """
import logging, os
from core import logs
logs.configure("info")
logging.info("before")
child = os.fork()
if child == 0:
    try:
        raise RuntimeError("the end of the child")
    except RuntimeError:
        logging.exception("it broke")
    logging.shutdown()
    os._exit(0)
os.waitpid(child, 0)
logging.info("after")
"""


def test_what_is_logged_last_is_written_also_by_a_forked_process_and_each_line_once():
    done = subprocess.run([sys.executable, "-c", LAST_WORDS], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert sorted(re.findall(r"message=(\"[^\"]*\"|\w+)", done.stderr)) == ['"it broke"', "after", "before"]
    assert done.stderr.count("    RuntimeError: the end of the child\n") == 1


def taken(reads, count):
    """Read so many lines; fewer, where nothing comes for a while."""
    received = b""
    while received.count(b"\n") < count and select.select([reads], [], [], 10)[0]:
        received += os.read(reads, 4096)
    return received.decode().splitlines()


def test_a_pipe_that_does_not_block_gets_every_line(pipe):
    reads, writes = pipe
    os.set_blocking(writes, False)
    writer = Writer(writes)
    lines = [f"{number} " + "x" * 500 for number in range(1000)]  # some pipes full

    for line in lines:
        writer.put(line)

    assert taken(reads, len(lines)) == lines


def test_lines_that_could_not_be_written_are_counted_too(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reads = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = Writer(os.open(fifo, os.O_WRONLY))
    writer.setFormatter(Logfmt())
    os.close(reads)  # from here on a write fails
    for line in ("one", "two", "three\n    with a second line"):
        writer.put(line)
    writer.flush()

    reads = os.open(fifo, os.O_RDONLY)
    writer.put("four")
    writer.flush()

    told = os.read(reads, 65536)
    os.close(reads)
    assert told.startswith(b"four\n") and DROPPED.search(told)[1] == b"4"


def test_a_line_of_one_process_is_not_broken_by_those_of_another(pipe):
    reads, writes = pipe
    writers = [Writer(writes), Writer(writes)]

    def write(name, writer):
        for number in range(4000):
            writer.put(name * (number % 400 + 1) + ".")

    threads = [threading.Thread(target=write, args=pair) for pair in zip("ab", writers, strict=True)]
    for thread in threads:
        thread.start()
    lines = taken(reads, 8000)
    for thread in threads:
        thread.join(20)

    assert len(lines) == 8000
    assert [line for line in lines if not re.fullmatch(r"(a+|b+)\.", line)] == []


# Long values


@pytest.mark.parametrize("key", ["path", "method", "by", "address", "request_id"])
def test_a_long_value_is_cut_and_says_so(key):
    line = record(**{key: "x" * 60_000})

    assert f" {key}={'x' * (LONGEST - 1)}…" in line
    assert len(line) < LONGEST + 300


def test_a_long_message_is_cut_and_says_so():
    line = record("What the database said: " + "x " * 60_000)

    assert 'x…"' in line and len(line) < 5000


@pytest.mark.slow
def test_a_path_of_60_kb_takes_a_line_of_a_few_hundred_characters(start):
    shop = start("--workers", "1", DATABASE_URL=as_url(NOWHERE))

    for asked in ("GET /" + "y" * 60_000, "Y" * 60_000 + " /api/health", "GET /%0A" + "%C3%A9" * 8_000):
        shop.raw(f"{asked} HTTP/1.1\r\nHost: shop\r\nX-Request-ID: long\r\n\r\n".encode())

    assert eventually(lambda: shop.log.count("request_id=long") == 3), shop.log[-2000:]
    assert max(map(len, shop.log.splitlines())) < 4000
    assert shop.log.count("…") >= 1
