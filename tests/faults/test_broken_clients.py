"""Connections that do nothing, requests that drip in or never end, answers that nobody takes: others do not notice."""

import asyncio
import contextlib
import pathlib
import socket
import threading
import time

from arrivals import arrive, good, quantile
from clients import shop_where
from helpers import LONG, eventually
from load import PATIENT

LASTS = 25  # seconds after which each of them must have been cut off
REQUEST = b"GET /api/health HTTP/1.1\r\nHost: shop\r\n"
BODY = b"POST /api/cart/items HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
ANSWER = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: shop\r\n\r\n"
WAYS = {  # (how many; what each sends first; what it sends again and again; after how many seconds)
    "idle": (900, b"", b"", 1),
    "idle after an answer": (100, REQUEST + b"\r\n", b"", 1),
    "drips headers": (150, REQUEST + b"X: ", b"x", 1),
    "drips a body": (100, BODY + b"Content-Length: 60000\r\n\r\n", b" ", 1),
    "drips line ends": (50, b"\r\n\r\n", b"\r\n\r\n", 3),
    "chunks without end": (20, BODY + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b" " * 1024 + b"\r\n", 0.2),
    "a body without end": (20, BODY + b"Content-Length: 10000000000\r\n\r\n", b" " * 10_000, 0.2),
    "takes no answer": (50, ANSWER, b"", 1),
}


class Broken:
    """All of them at once, from a thread; `cut` has (way, seconds that it lasted), `open` how many there still are."""

    def __init__(self, port, ways):
        self._port, self._ways = port, ways
        self.cut, self.open = [], 0
        self._served = served(port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()

    def leave(self):
        """End what is left."""
        self._over.set()
        self._thread.join()

    async def _all(self):
        ways = [(way, *how) for way, (count, *how) in self._ways.items() for _ in range(count)]
        tasks = []
        for number, way in enumerate(ways):
            tasks.append(asyncio.create_task(self._one(*way)))
            if number % 50 == 0:
                await asyncio.sleep(0.02)
        while not self._over.is_set():
            self._served = served(self._port)
            await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, way, first, again, every):
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        with contextlib.closing(connection):
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(connection, ("127.0.0.1", self._port))
            began = time.monotonic()
            self.open += 1
            with contextlib.suppress(OSError):
                await loop.sock_sendall(connection, first)
                await asyncio.sleep(1)
                while not self._has_ended(connection, takes=first != ANSWER):
                    await asyncio.sleep(max(every, 0.1))
                    await loop.sock_sendall(connection, again)
            self.cut.append((way, time.monotonic() - began))
            self.open -= 1

    def _has_ended(self, connection, takes):
        """Whether the server has closed. Who takes nothing does not see it: the end comes behind the rest."""
        if not takes:
            return connection.getsockname()[1] not in self._served
        with contextlib.suppress(BlockingIOError):
            return not connection.recv(65536)
        return False


def served(port):
    """Return the ports of the clients whose connections a server on this host has open."""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [(local, remote) for _, local, remote, state, *_ in lines if state == "01"]  # ESTABLISHED
    return {int(remote[-4:], 16) for local, remote in ends if int(local[-4:], 16) == port}


@contextlib.contextmanager
def broken_clients(port, ways):
    """Give a Broken, once all are there; end them."""
    clients = Broken(port, ways)
    try:
        deadline = time.monotonic() + LONG
        while clients.open + len(clients.cut) < sum(count for count, *_ in ways.values()):
            assert time.monotonic() < deadline, f"{clients.open} are connected"
            time.sleep(0.02)
        yield clients
    finally:
        clients.leave()


def test_others_do_not_notice_1390_broken_clients_and_each_is_cut_off(serve, products, lag, figure, either):
    shop = serve(workers=1, threads=8, CACHE_TTL="0", COUNT_CACHE_TTL="0", **PATIENT)
    paths = [f"/api/products/{product}" for product in products] + ["/api/health", "/api/cart"]
    assert {shop.request(path, Session_ID="visitor").status for path in paths} == {200}

    alone = good(arrive(shop.port, paths, 40, 3, 10))

    began = time.monotonic()
    with broken_clients(shop.port, WAYS) as clients:
        told = arrive(shop.port, paths, 40, LASTS - 3, 10)
        left = not eventually(lambda: not clients.open)
        cut = {way: max(seconds for other, seconds in clients.cut if other == way) for way, _ in clients.cut}

    answered = good(told)
    figure("99th percentile of ordinary requests alone", quantile(alone, 0.99), "s")
    figure("median of ordinary requests beside 1390 broken clients", quantile(answered, 0.5), "s")
    figure("99th percentile of ordinary requests beside 1390 broken clients", quantile(answered, 0.99), "s")
    for way, seconds in cut.items():
        figure(f"the longest that one lasts that {way}", seconds, "s")
    assert {one.status for one in told} == {200}
    assert quantile(answered, 0.99) < max(lag.bound(0.1, began), 2 * quantile(alone, 0.99))
    assert not left and cut.keys() == WAYS.keys()
    assert max(cut.values()) < lag.bound(LASTS, began)


def test_control_a_shop_that_cuts_off_nobody_answers_nobody_else(serve):
    cuts_nobody = shop_where("from core.serving.server import Server; Server._idlest_first = lambda self: []")
    shop = serve(workers=1, threads=8, program=cuts_nobody)

    with broken_clients(shop.port, {"idle": (1100, *WAYS["idle"][1:])}) as clients:
        told = arrive(shop.port, ["/api/health"], 10, 1, 2)

    assert not clients.cut
    assert not good(told)
