"""What a worker's sockets wait for, told to the system once: a look at them costs nothing for those that rest.

waitress asks every connection before every look. Beside 700 connections that rest, as browsers' do, an answer from
memory took 3.2 times the processor that it takes alone, one product 1.7 times, a cart 1.3; with this 1.1, 1.05 and 1.0.
To measure again: tests/load/connections.py.

A connection is asked again after each of its events, and whenever somebody calls `look_at`: whoever changes what its
`readable` or `writable` return must do so. A connection whose request is under way waits for nothing. It stays as it is
until something happens all the same, as most often nothing does before its answer is sent.
"""

import contextlib
import select
from collections import deque
from typing import Any

from waitress.wasyncore import poll2, readwrite

READ = select.POLLIN | select.POLLPRI
WRITE = select.POLLOUT
ENDED = select.POLLHUP | select.POLLERR


class Poller:
    """The sockets of one server. `channels`: waitress' map of them, by their numbers; it may change at any time.

    Where there is no epoll (macOS), they are polled as waitress does it.
    """

    def __init__(self, channels: dict[int, Any]) -> None:
        self._channels = channels
        self._changed: deque[Any] = deque(channels.values())
        self._told: dict[int, tuple[Any, int]] = {}  # what the system was told that a channel waits for
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None

    def look_at(self, channel: Any) -> None:
        """Note that a channel is new, or waits for something else from now on; on any thread."""
        self._changed.append(channel)

    def forget(self, number: int | None) -> None:
        """Tell the system nothing more about a socket, which is closed next: others may have it open, too."""
        if self._epoll and number is not None and self._told.pop(number, None):
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(number)

    def poll(self, seconds: float) -> None:
        """Wait so long at the most, and let all channels read and write on which something happens."""
        if self._epoll is None:
            self._changed.clear()
            poll2(seconds, self._channels)
            return
        while self._changed:
            channel = self._changed.popleft()
            if self._channels.get(channel._fileno) is channel:
                self._tell(channel, _wants(channel))
        for number, happened in self._epoll.poll(seconds):
            if channel := self._channels.get(number):
                self._handle(channel, number, happened)

    def close(self) -> None:
        """End."""
        if self._epoll:
            self._epoll.close()

    def _handle(self, channel: Any, number: int, happened: int) -> None:
        wanted = _wants(channel)
        if wanted and happened & (wanted | ENDED):
            readwrite(channel, happened & (wanted | ENDED))
            if self._channels.get(number) is not channel or not (wanted := _wants(channel)):
                return
        self._tell(channel, wanted)

    def _tell(self, channel: Any, wanted: int) -> None:
        number = channel._fileno
        if number is None or (channel, wanted) == self._told.get(number, (channel, 0)):
            return
        self.forget(number)
        if wanted:
            with contextlib.suppress(OSError, ValueError):  # another thread closes it just now
                self._epoll.register(number, wanted)
                self._told[number] = channel, wanted


def _wants(channel: Any) -> int:
    """Return the events that a channel waits for."""
    wanted = READ if channel.readable() else 0
    return wanted | WRITE if channel.writable() and not channel.accepting else wanted
