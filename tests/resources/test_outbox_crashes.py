"""The outbox under kill -9: nothing is lost, mails keep their order, and none comes twice but after a lost answer."""

import collections
import contextlib
import os
import random
import signal
import time
from email.headerregistry import Address

import pytest
from aiosmtpd.controller import Controller
from helpers import eventually, execute, forked, free_port, refuses

from core import outbox
from core.db.database import Database
from core.db.statements import Statements
from core.mails import Mails
from core.serving.chores import Chore, Chores
from core.setup.system import ROOT
from core.smtp_url import SmtpUrl
from resources import outbox_delivery
from resources.outbox_delivery import Delivering
from resources.outbox_mail import MailChannel, Server

ROUNDS = int(os.environ.get("KILL_ROUNDS", "30"))
SOUND = type("Sound", (), {"look": staticmethod(lambda: True)})()


class Ledger:
    """The handler of a mail server, which writes down what it takes before it answers."""

    def __init__(self, path):
        self.path = path

    async def handle_DATA(self, server, session, envelope):
        id = next(line for line in envelope.content.decode().splitlines() if line.startswith("Message-ID: "))
        with self.path.open("a") as file:
            file.write(f"{envelope.rcpt_tos[0]} {id.split('<')[1].split('@')[0]}\n")
        return "250 OK"

    @property
    def lines(self):
        """What was taken, as (address, message_id), in order."""
        return [tuple(line.split()) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def mail_server(tmp_path):
    """A real mail server in a process of its own, so that this one has no threads when it forks: (ledger, port)."""
    ledger, port = Ledger(tmp_path / "ledger"), free_port()

    def serve():
        Controller(ledger, "127.0.0.1", port).start()
        signal.pause()

    child = forked(serve)
    assert eventually(lambda: not refuses(port))
    yield ledger, port
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.fixture
def chores(accounts, sql, mail_server, monkeypatch):
    """`chores()`: start a process that does them; return its id. A lease lasts no longer than its process."""
    monkeypatch.setattr(outbox_delivery, "LEASE", 0)
    _, port = mail_server

    def begin():
        database = Database(accounts.application, Statements(ROOT / "sql"), 5.0)
        send = Server(SmtpUrl("127.0.0.1", port, tls="off"))
        delivering = Delivering({"mail": MailChannel(send, Mails(), Address(addr_spec="shop@example.com"))})
        return forked(Chores(database, SOUND, [Chore("delivery", delivering.run, every=0.05)]).run)

    return begin


@pytest.mark.slow
def test_kills_lose_nothing_keep_the_order_and_repeat_only_what_was_not_answered(accounts, sql, mail_server, chores):
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"SEED={seed}")
    dice, (ledger, _), running = random.Random(seed), mail_server, None
    values = dict.fromkeys(("shop", "number", "lines", "total", "currency", "expires_at"), "x")
    written = collections.defaultdict(list)  # address → message_ids, in order
    database = Database(accounts.application, Statements(ROOT / "sql"), 5.0)

    def write():
        batch = [outbox.mail(f"u{dice.randrange(8)}@example.com", "order_placed", values) for _ in range(4)]
        database.transaction(lambda db: db.run("outbox/add", messages=outbox.document(*batch)))
        for message_id, receiver, *_ in batch:
            written[receiver.partition(" ")[2]].append(message_id)

    for _ in range(ROUNDS):
        write()
        enough = len(ledger.lines) + dice.randrange(4)  # after so many of its mails it is killed
        running = chores()
        assert eventually(lambda enough=enough: len(ledger.lines) >= enough)
        time.sleep(dice.uniform(0, 0.03))
        os.kill(running, signal.SIGKILL)
        os.waitpid(running, 0)
    running = chores()
    waiting = "SELECT COUNT(*) AS n FROM outbox WHERE state = 'waiting'"
    ended = eventually(lambda: execute(accounts.owner, waiting) == [{"n": 0}], 60)
    with contextlib.suppress(ProcessLookupError):
        os.kill(running, signal.SIGTERM)
    os.waitpid(running, 0)

    taken = collections.defaultdict(list)
    for address, message_id in ledger.lines:
        if taken[address][-1:] != [message_id]:  # a repeated one comes before any other
            taken[address].append(message_id)
    assert ended
    assert taken == written
    attempts = {row["message_id"]: row["attempts"] for row in sql("SELECT message_id, attempts FROM outbox")}
    times = collections.Counter(message_id for _, message_id in ledger.lines)
    assert all(times[id] <= attempts[id] for id in attempts)
    repeated = sum(count > 1 for count in times.values())
    print(f"{len(attempts)} mails, {sum(n > 1 for n in attempts.values())} cut short, {repeated} of them came twice")
    assert sum(n > 1 for n in attempts.values()) >= 5  # kills did come in the middle
