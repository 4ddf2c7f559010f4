"""A parent that passes listening sockets to servers, as systemd does, and listens to what they say of themselves."""

import contextlib
import socket
import subprocess
import sys

from helpers import RealServer, environment

from core.setup.system import ROOT

PASS = """
import os, sys
count = int(sys.argv[1])
given = [os.dup(int(number)) for number in sys.argv[2 : 2 + count]]
for at, one in enumerate(given):
    os.dup2(one, 100 + at)
for at in range(count):
    os.dup2(100 + at, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=":".join(["shop"] * count))
os.execv(sys.executable, [sys.executable, *sys.argv[2 + count :]])
"""


class Parent:
    """Holds sockets on one port. Servers that it starts serve them; `said()` is what they have notified."""

    def __init__(self, folder, count=1):
        self._folder = folder
        self._running = []
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(f"\0{folder}"[:100])  # an abstract one, which systemd may use, too
        self._told.setblocking(False)
        self._said = []
        self.sockets = []
        self.port = 0
        for _ in range(count):
            self.listen()

    def listen(self, family=socket.AF_INET, address=None):
        """Open one more socket, on the same port."""
        opened = socket.socket(family)
        if address is None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address or ("127.0.0.1", self.port))
        opened.listen(1024)
        self.sockets.append(opened)
        if address is None:
            self.port = opened.getsockname()[1]

    def start(self, *words, home=ROOT, wait=True, **variables):
        """Start a server on the sockets; return it, once it is ready."""
        log = self._folder / f"passed-{len(self._running)}.log"
        numbers = [str(one.fileno()) for one in self.sockets]
        process = subprocess.Popen(
            [sys.executable, "-c", PASS, str(len(numbers)), *numbers, str(home / "server.py"), "serve", *words],
            env=environment(NOTIFY_SOCKET=f"@{self._folder}"[:100], PORT="1", **variables),
            cwd=home,
            pass_fds=[one.fileno() for one in self.sockets],
            stdin=subprocess.DEVNULL,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        real = RealServer(process, self.port, log)
        self._running.append(real)
        if wait:
            real.wait_for("Serving on", 60)
        return real

    def said(self):
        """Return the states that were notified, in order."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._said.append(self._told.recv(4096).decode().split("\n"))
        return [lines[0] for lines in self._said]

    def stuff(self):
        """Let so many notes wait to be read that there is no room for another one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
            other.setblocking(False)
            while True:
                other.sendto(b"more", self._told.getsockname())

    def close(self):
        """End the servers, and close the sockets."""
        for real in self._running:
            real.stop()
        for one in [*self.sockets, self._told]:
            one.close()
