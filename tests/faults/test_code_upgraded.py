"""The code replaced under load: by a restart on sockets that systemd keeps, by two at once on them, and by SIGHUP."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers import RealServer, as_url, environment, eventually, free_port
from load import PATIENT, shopping
from passing import Parent

from core.serving.server import DRAIN

RATE = 200  # requests a second
NEW = '"Alive, and new."'

needs_activate = pytest.mark.skipif(
    not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate (systemd)"
)


@pytest.fixture
def parent(tmp_path):
    """A Parent with one socket, which ends with the test."""
    with contextlib.closing(Parent(tmp_path)) as passing:
        yield passing


@pytest.fixture
def settings(database):
    """What the servers are started with."""
    return {
        "DATABASE_URL": as_url(database.application),
        "RATE_LIMITS": "off",
        "PAYMENT_PROVIDERS": "manual,dummy",
        "WORKERS": "2",
        "THREADS": "4",
        "QUEUE_TIMEOUT": "30",  # on a busy machine, too, what is refused is refused by a restart
    }


def upgrade(home):
    """Write new code over the old."""
    page = home / "resources" / "service.py"
    page.write_text(page.read_text().replace('"Alive."', NEW))


def is_new(real):
    """Whether the code that answers is the new one."""
    return real.request("/api/health").json["message"] in NEW


def test_a_restart_with_new_code_on_a_passed_socket_refuses_nobody(
    parent, settings, program_copy, products, sql, lag, figure, either
):
    """Controls: without the passed socket, see below; the old code, which `is_new` finds before."""
    real = parent.start(home=program_copy, **settings)
    assert eventually(lambda: parent.said() == ["READY=1"]) and not is_new(real)
    with shopping(parent_url(parent), products, rate=RATE) as load:
        time.sleep(1)
        for _ in range(either(1, 10)):
            upgrade(program_copy)
            parent.said()  # reads what waits
            began = time.monotonic()
            assert real.stop() == 0, real.log
            ended = time.monotonic()
            real = parent.start(home=program_copy, **settings)
            figure("the old code ends", ended - began, "s")
            figure("the new code serves after", time.monotonic() - ended, "s")
            assert ended - began < lag.bound(DRAIN + 1, since=began)
            time.sleep(2)
        assert is_new(real)

    kept = load.audit(sql)
    figure("the longest request", load.took()[-1], "s")
    assert kept["failures"] == 0 and kept["orders"] and kept["payments"], load.statuses


def test_new_code_that_serves_beside_the_old_on_a_passed_socket_lets_nobody_wait(
    parent, settings, program_copy, products, sql, lag, figure, either
):
    real = parent.start(home=program_copy, **settings)
    assert eventually(lambda: parent.said() == ["READY=1"])
    with shopping(parent_url(parent), products, rate=RATE) as load:
        time.sleep(1)
        began = time.monotonic()
        for _ in range(either(1, 10)):
            upgrade(program_copy)
            before = parent.said().count("READY=1")
            new = parent.start(home=program_copy, **settings)
            assert eventually(lambda before=before: parent.said().count("READY=1") > before)
            assert real.stop() == 0, real.log
            real = new
            time.sleep(1)
        over = time.monotonic()
        assert is_new(real)

    kept = load.audit(sql)
    took = load.took(since=began, until=over)
    figure("the longest request", took[-1], "s")
    figure("99 % of requests are within", took[len(took) * 99 // 100], "s")
    assert kept["failures"] == 0 and kept["orders"] and kept["payments"], load.statuses
    assert took[len(took) * 99 // 100] < lag.bound(0.5)


def test_sighup_under_load_replaces_all_workers_without_a_failed_request(serve, products, sql, figure, either):
    real = serve(QUEUE_TIMEOUT="30")
    with shopping(real.url, products, rate=RATE) as load:
        time.sleep(0.5)
        for turn in range(either(1, 10)):
            real.process.send_signal(signal.SIGHUP)
            assert eventually(lambda turn=turn: real.log.count("All workers are replaced.") > turn, 60), real.log

    kept = load.audit(sql)
    figure("the longest request", load.took()[-1], "s")
    assert kept["failures"] == 0 and kept["orders"] and kept["payments"], load.statuses


def test_sigterm_under_load_answers_all_that_was_accepted_and_refuses_the_others(serve, products, sql, lag, figure):
    """The control of the passed socket, too: without it connections are refused until the next server listens."""
    real = serve(**PATIENT)
    with shopping(real.url, products, rate=RATE) as load:
        time.sleep(1)
        began = time.monotonic()
        assert real.stop() == 0
        ended = time.monotonic()
        serve(None, "--port", str(real.port))
        time.sleep(0.5)

    load.audit(sql, broken=len(load.failed()))
    figure("SIGTERM ends it after", ended - began, "s")
    assert ended - began < lag.bound(DRAIN + 1, since=began)
    assert not load.failed(until=began - 0.05)
    assert any("refused" in one.code for one in load.failed())


@needs_activate
def test_systemds_own_program_passes_it_the_socket_with_the_first_visitor(settings, tmp_path, program_copy):
    port, log = free_port(), tmp_path / "activated.log"
    passed = [word for name, value in environment(**settings).items() for word in ("-E", f"{name}={value}")]
    with log.open("w") as file:
        process = subprocess.Popen(
            ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *passed, sys.executable, "server.py"],
            cwd=program_copy,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    real = RealServer(process, port, log)
    try:
        real.wait_for("Listening on")
        answers = [real.request("/api/ready", timeout=60).status for _ in range(3)]
        assert answers == [200, 200, 200] and f"Serving on http://127.0.0.1:{port}" in real.log
    finally:
        assert real.stop() == 0, real.log


def parent_url(parent):
    """Return the address of the shop."""
    return f"http://127.0.0.1:{parent.port}"
