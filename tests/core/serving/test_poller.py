"""The poller against waitress' own: whatever connections want and whatever happens to them, the same is handled.

POLLER_SEED repeats a run that has failed, POLLER_ROUNDS makes a longer one.
"""

import os
import random
import select
import socket
import time

import pytest
from waitress.wasyncore import dispatcher, poll2

from core.serving.poller import Poller

ROUNDS = int(os.environ.get("POLLER_ROUNDS", "300"))  # of 30 steps


class Recorded(dispatcher):
    """A connection that wants what it is told to want, and notes what it is asked and what it handles."""

    def __init__(self, channels, log, number, poller=None):
        ours, self.client = socket.socketpair()
        self.reads, self.writes, self.asked = True, False, 0
        self._log, self.number, self._poller = log, number, poller
        super().__init__(ours, channels)
        self.connected = True
        self.look()

    def look(self):
        """Say that something may be wanted now."""
        if self._poller:
            self._poller.look_at(self)

    def readable(self):
        """Whether it reads; counted."""
        self.asked += 1
        return self.reads

    def writable(self):
        """Whether it waits until it can write."""
        return self.writes

    def handle_read(self):
        """Read; after a q it wants nothing, as while a request is under way; after a w it has something to write."""
        data = self.recv(100)
        self._log.append((self.number, "read", data))
        if b"q" in data:
            self.reads = False
        if b"w" in data:
            self.reads, self.writes = False, True

    def handle_write(self):
        """Write once."""
        self._log.append((self.number, "write"))
        self.writes = False

    def handle_close(self):
        """Close."""
        self._log.append((self.number, "closed"))
        self.close()

    def del_channel(self, map=None):
        """Be forgotten."""
        number = self._fileno
        super().del_channel(map)
        if self._poller:
            self._poller.forget(number)


class Side:
    """Some connections, with a poller or with waitress' poll2."""

    def __init__(self, ours):
        self.channels, self.log, self.connections = {}, [], []
        self.poller = Poller(self.channels) if ours else None

    def step(self, what, number, data):
        """Do a step, and handle what happens then; return it."""
        alive = [one for one in self.connections if one.socket]
        if what == "connect" or not alive:
            self.connections.append(Recorded(self.channels, self.log, len(self.connections), self.poller))
        else:
            one = alive[number % len(alive)]
            if what == "send":
                one.client.sendall(data)
            elif what == "leave":
                one.client.close()
            elif what == "drop":
                one.close()
            else:
                one.reads, one.writes = what == "reads", what == "writes"
                one.look()
        self.log.clear()
        for _ in range(2):
            self.poller.poll(0) if self.poller else poll2(0, self.channels)
        return sorted(self.log)

    def end(self):
        """Close all."""
        for one in self.connections:
            one.client.close()
            one.close()
        if self.poller:
            self.poller.close()


def test_it_handles_what_waitress_poller_handles():
    seed = os.environ.get("POLLER_SEED") or random.randrange(10**6)
    dice = random.Random(f"{seed}")
    kinds = ["connect", "send", "send", "send", "leave", "drop", "reads", "reads", "writes", "nothing"]
    for number in range(ROUNDS):
        ours, theirs = Side(ours=True), Side(ours=False)
        steps = []
        for _ in range(30):
            step = (dice.choice(kinds), dice.randrange(100), dice.choice([b"a", b"q", b"w"]))
            if step[0] == "send" and any(one.client.fileno() < 0 for one in ours.connections if one.socket):
                continue  # its client has left
            steps.append(step)
            assert ours.step(*step) == theirs.step(*step), f"POLLER_SEED={seed}, round {number}: {steps}"
        ours.end()
        theirs.end()


@pytest.fixture
def side():
    """Give connections with a poller."""
    made = Side(ours=True)
    yield made
    made.end()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll (Linux)")
def test_who_rests_is_asked_once(side):
    for _ in range(50):
        side.step("connect", 0, b"")
    busy, *resting = side.connections
    before = [one.asked for one in resting]

    for _ in range(20):
        busy.client.sendall(b"a")
        side.poller.poll(0)

    assert [one.asked for one in resting] == before == [1] * len(resting)
    assert busy.asked > 20


def test_what_comes_while_a_request_is_under_way_is_read_afterwards(side):
    side.step("connect", 0, b"")
    assert side.step("send", 0, b"q") == [(0, "read", b"q")]
    assert side.step("send", 0, b"a") == []
    began = time.monotonic()
    side.poller.poll(0.1)
    assert time.monotonic() - began > 0.09  # what waits there wakes nobody again and again

    assert side.step("reads", 0, b"") == [(0, "read", b"a")]


def test_a_socket_that_another_process_has_open_too_is_not_heard_of_any_more(side):
    side.step("connect", 0, b"")
    one = side.connections[0]
    other = one.socket.dup()  # as the supervisor has the listening sockets

    one.close()
    one.client.sendall(b"a")

    assert side.poller._epoll is None or side.poller._epoll.poll(0) == []
    other.close()
