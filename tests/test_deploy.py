"""The units for systemd: how closed they are, and that the shop and its chores do not need what they forbid."""

import re
import shutil
import signal
import subprocess
import sys

import pytest
from helpers import PASSWORD, as_url, both_workers, environment, eventually, workers
from test_outbox_mail import mailbox, served  # noqa: F401

from core import config, outbox
from core.serving import sockets
from core.serving.server import CONNECTIONS
from core.setup.system import ROOT

UNIT, CHORES = (ROOT / "deploy" / name for name in ("bodega.service", "bodega-chores.service"))
SOCKET = ROOT / "deploy" / "bodega.socket"
SERVICES = pytest.mark.parametrize("unit", [UNIT, CHORES], ids=["serve", "chores"])
UNITS = pytest.mark.parametrize("unit", [UNIT, CHORES, SOCKET], ids=["serve", "chores", "socket"])
LINES = [line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)]

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (systemd)")


def settings(name):
    """Return all values of one setting of the unit."""
    return [value for known, value in LINES if known == name]


def analyze(*words):
    """Run systemd-analyze; return its status, and all that it says."""
    done = subprocess.run(["systemd-analyze", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@needs_systemd
@SERVICES
def test_the_unit_is_closed_to_less_than_3_of_10(unit):
    status, said = analyze("security", "--offline=true", "--no-pager", str(unit))

    assert status == 0, said
    assert float(re.search(r"Overall exposure level for bodega[a-z-]*\.service: ([0-9.]+)", said)[1]) < 3


@needs_systemd
@UNITS
def test_systemd_understands_every_line_of_the_unit(tmp_path, unit):
    for one in (UNIT, CHORES, SOCKET):
        text = one.read_text().replace("/srv/bodega/.venv/bin/python", sys.executable)
        (tmp_path / one.name).write_text(text)

    status, said = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit.name))

    assert (status, said) == (0, "")


def test_the_unit_allows_for_all_files_and_connections():
    (limit,) = settings("LimitNOFILE")
    most_workers = config.MOST_CONNECTIONS

    assert int(limit) > CONNECTIONS * most_workers + config.MOST_CONNECTIONS


def test_the_unit_starts_what_there_is():
    (starts,) = settings("ExecStart")
    (home,) = settings("WorkingDirectory")

    program, script, *options = starts.split()
    assert program == f"{home}/.venv/bin/python" and (ROOT / script).is_file()
    assert options == []


def test_the_unit_takes_its_port_from_the_socket_that_a_restart_leaves_open():
    socket = dict(re.findall(r"^(\w+)=(.*)$", SOCKET.read_text(), re.MULTILINE))

    assert settings("Requires") == [SOCKET.name] and SOCKET.name in settings("After")[0].split()
    assert settings("Also") == [SOCKET.name] and settings("Type") == ["notify"]
    assert socket["ListenStream"] == "127.0.0.1:8080" and int(socket["Backlog"]) == sockets.BACKLOG


def test_the_unit_of_the_chores_starts_them_and_forbids_what_the_other_does():
    ours, others = (
        unit.read_text().partition("# Files: it can write")[2].partition("[Install]")[0] for unit in (CHORES, UNIT)
    )

    assert "ExecStart=/srv/bodega/.venv/bin/python server.py chores\n" in CHORES.read_text()
    assert ours == others != ""


# The filters, as systemd would set them: this machine's first process may be another

CONFINED = """
import ctypes, os, socket, sys
ALLOW, DENY, EQUAL, MASKED = 0x7FFF0000, 0x00050000 | 1, 4, 7  # DENY: as EPERM
allowed, families, words = sys.argv[1].split(","), sys.argv[2].split(","), sys.argv[3:]
library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
library.seccomp_init.restype = ctypes.c_void_p
class Compared(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]
def number(name):
    return library.seccomp_syscall_resolve_name(name.encode())
def done(status):
    assert status == 0, status
def rule(context, action, name, *compared):
    given = (Compared * len(compared))(*compared)
    return library.seccomp_rule_add_array(ctypes.c_void_p(context), action, number(name), len(compared), given)
def load(context):
    done(library.seccomp_load(ctypes.c_void_p(context)))
rest = library.seccomp_init(ALLOW)  # MemoryDenyWriteExecute, RestrictAddressFamilies
done(rule(rest, DENY, "mmap", Compared(2, MASKED, 6, 6)))
done(rule(rest, DENY, "mprotect", Compared(2, MASKED, 4, 4)))
done(rule(rest, DENY, "pkey_mprotect", Compared(2, MASKED, 4, 4)))
for family in set(range(46)) - {getattr(socket, name) for name in families}:
    done(rule(rest, DENY, "socket", Compared(0, EQUAL, family, 0)))
calls = library.seccomp_init(DENY)
for name in allowed:
    if number(name) >= 0:  # of this machine
        done(rule(calls, ALLOW, name))
load(rest)
load(calls)
try:
    os.chroot("/")
except PermissionError:
    os.execv(words[0], words)
"""


def calls_of(group):
    """Return the system calls of one of systemd's groups, those of the groups in it too."""
    _, said = analyze("syscall-filter", group)
    listed = {line.strip() for line in said.splitlines()[1:] if line.strip() and "#" not in line}
    return {call for name in listed for call in (calls_of(name) if name.startswith("@") else {name})}


def allowed_calls():
    """Return the system calls that the unit allows."""
    first, *others = settings("SystemCallFilter")
    allowed = calls_of("@default") | calls_of(first)
    for group in others:
        allowed -= calls_of(group.removeprefix("~"))
    return allowed | calls_of("@default")


def confined():
    """Return the words that start server.py under the filters."""
    families = ",".join(settings("RestrictAddressFamilies")[0].split())
    return [
        sys.executable,
        "-c",
        CONFINED,
        ",".join(allowed_calls()),
        families,
        sys.executable,
        str(ROOT / "server.py"),
    ]


@pytest.mark.slow
@needs_systemd
def test_the_shop_works_under_the_filters_of_the_unit(start, accounts, sql, make):
    id, url, program = make.product("Lamp", stock=5), as_url(accounts.application), confined()
    real = start("--workers", "2", "--threads", "4", program=program, DATABASE_URL=url)
    before = both_workers(real)
    account = {"username": "alice", "email": "a@example.com", "password": PASSWORD}
    statuses = [
        real.request(f"/api/products/{id}").status,
        real.request("/api/cart/items", "POST", {"product_id": id, "quantity": 2}, Session_ID="visitor").status,
        real.request("/api/users/register", "POST", account).status,
        real.request("/api/users/login", "POST", {"username": "alice", "password": PASSWORD}).status,
        real.request("/api/ready").status,
    ]
    real.process.send_signal(signal.SIGHUP)
    replaced = eventually(lambda: len(workers(real)) == 2 and not workers(real) & before, 40)
    statuses.append(real.request("/api/health").status)

    assert statuses == [200, 201, 201, 200, 200, 200] and replaced, real.log
    assert real.stop() == 0 and "level=error" not in real.log, real.log


@pytest.mark.slow
@needs_systemd
def test_the_chores_mail_an_order_under_the_filters_of_the_unit(tmp_path, accounts, sql, mailbox, served):  # noqa: F811
    values = dict.fromkeys(("shop", "number", "lines", "total", "currency", "expires_at"), "x")
    message = outbox.mail("ada@example.com", "order_placed", values)
    sql("INSERT INTO outbox (message_id, receiver, topic, payload) VALUES (%s, %s, %s, %s)", message)
    smtp = f"smtp://127.0.0.1:{served()}?tls=off"
    variables = environment(DATABASE_URL=as_url(accounts.application), SMTP_URL=smtp, MAIL_FROM="shop@example.com")
    log = tmp_path / "log"

    with log.open("w") as file, subprocess.Popen([*confined(), "chores"], env=variables, stderr=file) as process:
        mailed = eventually(lambda: mailbox.recipients == ["ada@example.com"], 30)
        noted = eventually(lambda: sql("SELECT state FROM outbox") == [{"state": "delivered"}])
        process.terminate()

    assert mailed and noted and process.returncode == 0, log.read_text()
    assert "level=error" not in log.read_text()
