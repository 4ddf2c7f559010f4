"""Clients that come whether or not the last one was answered, as visitors do: an open loop. They only read.

    asked = arrive(shop.port, ["/api/products/7"], rate=200, seconds=5, patience=2)
    good(asked)  # the seconds of those that were answered with 200 while their client waited

`regulars(port, paths, 60, seconds)` are as many that each ask again when they are answered: a closed loop.
"""

import asyncio
import itertools
import json
import random
import time
from typing import NamedTuple

PAUSE = 0.2  # seconds after a refusal until one of the `regulars` asks again, on average


class Told(NamedTuple):
    """A request: when it began (monotonic), how long it took, its status (0: none came in time), its path."""

    at: float
    seconds: float
    status: int
    path: str
    sound: bool = True  # a refusal has the envelope and Retry-After


async def _ask(port, path, patience):
    """Ask on a connection of its own."""
    at, status, sound, writer = time.monotonic(), 0, True, None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"GET {path} HTTP/1.1\r\nHost: shop\r\nSession-ID: visitor\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read(-1)
        if answer:  # else it was cut
            head, _, body = answer.partition(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            sound = status == 200 or (b"Retry-After: 1" in head and json.loads(body)["success"] is False)
    except OSError:  # reset, or nobody waits any more
        status = 0
    finally:
        if writer:
            writer.close()
    return Told(at, time.monotonic() - at, status, path, sound)


def arrive(port, paths, rate, seconds, patience):
    """Let so many clients a second come; each waits `patience` seconds for its answer. Return a Told for each."""

    async def come():
        begin = time.monotonic()
        coming = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            coming.append(asyncio.create_task(_ask(port, paths[number % len(paths)], patience)))
        return await asyncio.gather(*coming)

    return asyncio.run(come())


def regulars(port, paths, count, seconds, patience=30, think=0.0):
    """Let `count` clients ask all the time, and pause when they are refused. Return a Told for each request.

    `think`: seconds after an answer until the next request.
    """

    async def ask(number, until, told):
        for turn in itertools.count(number):
            if time.monotonic() > until:
                return
            told.append(await _ask(port, paths[turn % len(paths)], patience))
            await asyncio.sleep(think if told[-1].status == 200 else random.uniform(0, 2 * PAUSE))

    async def come():
        told, until = [], time.monotonic() + seconds
        await asyncio.gather(*(ask(number, until, told) for number in range(count)))
        return told

    return asyncio.run(come())


def good(told, since=0.0, until=float("inf")):
    """Return the seconds of those that were answered with 200, and began in this time; sorted."""
    return sorted(one.seconds for one in told if one.status == 200 and since <= one.at < until)


def quantile(seconds, share):
    """Return what this share of the sorted seconds does not exceed."""
    return seconds[min(len(seconds) - 1, int(share * len(seconds)))]
