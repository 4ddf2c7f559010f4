"""A proxy in front of a database: it lets pass, delays, swallows, refuses, or loses one reply at a chosen place.

    with Proxy(database.port) as proxy:
        shop = serve(proxy.login(database.application))
        proxy.delay = 1.0                        # seconds before each reply
        proxy.hole(); …; proxy.pass_on()         # a black hole: what was sent arrives when it is over
        proxy.refuse(); …; proxy.pass_on()       # nobody listens, and all connections are cut
        cut = proxy.cut("COMMIT", "after")       # its reply is lost: the database has done it
        cut = proxy.cut("orders/add ", "before", nth=3)  # the third does not reach the database
        cut = proxy.cut("products/list", "never")  # its reply does not come, and its connection stays open
        assert cut.done

It reads the protocol as far as it needs: where a command begins, and the text of a statement.
"""

import asyncio
import contextlib
import dataclasses
import re
import socket
import threading
from collections.abc import Coroutine
from typing import Any

COM_QUERY = 3


@dataclasses.dataclass
class Cut:
    """A connection to be cut at the nth statement whose text matches: before it arrives, after it was done, or never.

    With "never" it stays open, and silent.
    """

    pattern: re.Pattern
    when: str
    left: int  # matching statements until then
    done: bool = False


class Proxy:
    """Use it in a `with`. All its methods may be called from the test's thread, while it works."""

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.statements = 0  # that came by
        self._upstream = port
        self._cuts: list[Cut] = []
        self._fillers: list[socket.socket] = []
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._flowing = asyncio.Event()
        self._thread.start()
        self._call(self._pass_on())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def login(self, url):
        """Return a DatabaseUrl by way of this proxy."""
        return dataclasses.replace(url, host="127.0.0.1", port=self.port, unix_socket=None)

    def hole(self) -> None:
        """Answer nothing from now on, not even a SYN; connections stay open, and what they send waits."""
        self._call(self._hole())

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones, as a host does where nobody listens."""
        self._call(self._refuse())

    def drop(self) -> None:
        """Cut all connections; new ones pass."""
        self._call(self._drop())

    def pass_on(self) -> None:
        """Let everything pass at once; what has waited in a black hole arrives now."""
        self.delay = 0.0
        self._call(self._pass_on())

    def cut(self, text: str, when: str, nth: int = 1) -> Cut:
        """Cut one connection at the nth statement from now on in which the pattern `text` is found; see Cut."""
        assert when in ("before", "after", "never")
        cut = Cut(re.compile(text.encode()), when, nth)
        self._cuts.append(cut)
        return cut

    def forget(self, cut: Cut) -> None:
        """Take back a cut that was not made."""
        self._cuts.remove(cut)

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _pass_on(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._door.fileno() < 0:
            self._door = socket.create_server(("127.0.0.1", self.port))
        self._door.setblocking(False)
        self._door.listen(200)
        if not self._flowing.is_set():
            self._flowing.set()
            self._accepting = self._loop.create_task(self._accept())

    async def _hole(self) -> None:
        self._flowing.clear()
        self._accepting.cancel()
        self._door.listen(0)  # where the queue is full of connections that nobody accepts, Linux drops each SYN
        for _ in range(3):
            self._fillers.append(filler := socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    async def _end(self) -> None:
        await self._refuse()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for filler in self._fillers:
            filler.close()

    async def _refuse(self) -> None:
        self._flowing.clear()
        self._accepting.cancel()
        self._door.close()
        await self._drop()

    async def _drop(self) -> None:
        for pair in list(self._pairs):
            self._sever(pair)

    def _sever(self, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._pairs.discard(pair)
        for writer in pair:
            writer.transport.abort()

    async def _accept(self) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(self._door)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._serve(connection))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _serve(self, connection: socket.socket) -> None:
        client, to_client = await asyncio.open_connection(sock=connection)
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            to_client.transport.abort()
            return
        pair = to_client, to_server
        if self._door.fileno() < 0:
            self._sever(pair)
            return
        self._pairs.add(pair)
        state = _State()
        try:
            both = self._commands(client, to_server, state, pair), self._replies(server, to_client, state, pair)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # one of them has left
                await asyncio.gather(*both)
        finally:
            self._sever(pair)

    async def _commands(self, client, to_server, state, pair) -> None:
        """Pass on what the client sends, packet by packet."""
        while True:
            head = await client.readexactly(4)
            body = await client.readexactly(int.from_bytes(head[:3], "little"))
            await self._flowing.wait()
            if head[3] == 0 and body[0] == COM_QUERY:  # a packet with number 0 begins a command
                self.statements += 1
                state.asked = True
                cut = self._matching(body)
                if cut and cut.when == "before":
                    cut.done = True
                    self._sever(pair)
                    return
                state.cut = cut
            to_server.write(head + body)
            await to_server.drain()

    async def _replies(self, server, to_client, state, pair) -> None:
        """Pass on what the database answers."""
        while data := await server.read(65536):
            if state.asked:
                state.asked = False
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            if state.cut:
                state.cut.done = True
                if state.cut.when == "never":
                    await asyncio.Event().wait()
                break
            to_client.write(data)
            await to_client.drain()
        self._sever(pair)

    def _matching(self, body: bytes) -> Cut | None:
        for cut in list(self._cuts):
            if cut.pattern.search(body):
                cut.left -= 1
                if cut.left == 0:
                    self._cuts.remove(cut)
                    return cut
        return None


@dataclasses.dataclass
class _State:
    """Of one connection: whether a reply is to be delayed, and what is to happen to it."""

    asked: bool = False
    cut: Cut | None = None
