"""Answers that are in memory are sent at once, on the thread that reads: no queue, no other thread, no WSGI.

It gives only what the application itself has made and cached (core/contract/cached_answers.py), with the same headers;
a request that could mean anything else goes through the application. A client that keeps its connection sends the same
bytes for the same page, so what a request asks for is remembered by its bytes.

What this buys, in requests a second for one product on 2 quiet cores: 10,700 without it, 21,000 to 33,000 with it, and
42,000 to 57,000 where a request is known by its bytes (Fastify: 10,100). To measure again, run `python3 server.py` with
SERVER_TIMING=off, without and with CACHE_TTL=0, and `wrk -c16 -d10 http://127.0.0.1:8080/api/products/1` against each.
tests/core/serving/test_memory_responder_short_cuts.py proves that both ways give the same answers.
"""

import os
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from core import logs
from core.cache import Memory
from core.contract.cached_answers import Answer
from core.contract.compression import coding_of
from core.contract.etag import is_known
from core.serving import server_timing
from core.serving.request_times import counting
from core.trace import taken

REQUESTS = 4096  # that are known by their bytes
LONGEST_REQUEST = 2048  # bytes
HEADS = 4  # that are cached with an answer: with 200 and 304, for one origin and another; and what counts them
EXCLUDING = {  # headers with which a request always goes through the application
    "AUTHORIZATION",
    "COOKIE",
    "EXPECT",
    "TRANSFER_ENCODING",
    "UPGRADE",
}
OF_A_BODY = {"content-type", "content-encoding"}  # headers that a 304 has not
Headers = list[tuple[str, str]]


class Lookup:
    """What a request asks the memory for."""

    __slots__ = ("closes", "common", "if_none_match", "key", "method", "request_id", "trace")

    def __init__(self, parser: Any, middleware: Any) -> None:
        headers = parser.headers
        self.method = parser.command
        self.closes = headers.get("CONNECTION", "").lower() == "close"  # as proxies do, by nginx' default
        self.key = (parser.path, parser.query, coding_of(headers.get("ACCEPT_ENCODING")))
        self.if_none_match = headers.get("IF_NONE_MATCH")
        self.trace = taken(headers.get("TRACEPARENT"))
        (_, request_id), *common = middleware.headers(*map(headers.get, ("X_REQUEST_ID", "ORIGIN", "HOST")))
        self.request_id = request_id if request_id == headers.get("X_REQUEST_ID") else None
        self.common = tuple(common)


class MemoryResponder:
    """Answers GET and HEAD for the middleware, from the memory that core/contract/cached_answers.py fills."""

    def __init__(self, middleware: Any, memory: Memory) -> None:
        self._middleware = middleware
        self._memory = memory
        self._by_bytes: dict[bytes, Lookup] = {}

    def known(self, raw: bytes) -> Lookup | None:
        """Return what these bytes ask for, if they have come before; else None."""
        return self._by_bytes.get(raw)

    def learn(self, raw: bytes, lookup: Lookup) -> None:
        """Remember what these bytes ask for.

        `raw` must be one read, a request must begin with its first byte and end with its last: only then do the same
        bytes always mean the same.
        """
        if len(raw) <= LONGEST_REQUEST and not lookup.trace:  # of which there are no two alike
            if len(self._by_bytes) >= REQUESTS:
                self._by_bytes.clear()  # what is asked for often is soon known again
            self._by_bytes[raw] = lookup

    def lookup(self, parser: Any, stale: bool = False) -> Lookup | None:
        """Return what a parsed request asks for, if that is in memory; else None. `stale`: see Memory.peek."""
        if parser.error or parser.command not in ("GET", "HEAD") or parser.version != "1.1" or parser.content_length:
            return None
        headers = parser.headers
        if parser.chunked or headers.get("CONNECTION", "keep-alive").lower() not in ("keep-alive", "close"):
            return None
        if not EXCLUDING.isdisjoint(headers):
            return None
        lookup = Lookup(parser, self._middleware)
        return lookup if self._memory.peek(lookup.key, stale) is not None else None

    def answer(self, lookup: Lookup, stale: bool = False) -> tuple[bytes, bytes] | None:
        """Return the answer, (head, body), and log it; None where it is not in memory (any more)."""
        started = time.perf_counter_ns()
        found = self._memory.peek(lookup.key, stale)
        if found is None:
            return None
        cached, age = found
        unchanged = lookup.if_none_match and is_known(cached.etag, lookup.if_none_match)
        status = "304" if unchanged else "200"
        how = "hit" if age < self._memory.seconds else "stale"
        differing = (status, lookup.method, how, lookup.common)
        known = cached.heads.get(differing)
        if known is None:
            counted = counting(lookup.method, cached.route, status, how)
            known = _head(cached, unchanged, lookup.common), counted
            if len(cached.heads) < HEADS:
                cached.heads[differing] = known
        head, count = known
        request_id = lookup.request_id or os.urandom(8).hex()
        last = "Connection: close\r\n" if lookup.closes else ""
        own = f"{last}Age: {int(age)}\r\nDate: {_date(int(time.time()))}\r\nX-Request-Id: {request_id}\r\n\r\n"
        body = b"" if unchanged or lookup.method == "HEAD" else cached.body
        spent = time.perf_counter_ns() - started
        count(spent)
        seconds = spent / 1e9
        if self._middleware.timing:
            own = "{}: {}\r\n".format(*server_timing.header({}, seconds, how)) + own
        path, trace = lookup.key[0], lookup.trace
        logs.access("request", request_id, status, method=lookup.method, path=path, seconds=seconds, trace=trace)
        return head + own.encode("latin-1"), body


def merged(own: Headers, common: Iterable[tuple[str, str]]) -> Headers:
    """Return an answer's own headers and those common to all answers: its own win, and Vary has both."""
    names = {name.lower() for name, _ in own}
    vary = ", ".join(value for name, value in (*common, *own) if name.lower() == "vary")
    headers = [pair for pair in own if pair[0].lower() != "vary"]
    headers += [pair for pair in common if pair[0].lower() not in names and pair[0] != "Vary"]
    return [*headers, ("Vary", vary)] if vary else headers


def _head(cached: Answer, unchanged: bool, common: Iterable[tuple[str, str]]) -> bytes:
    """Return the status line and the headers that are the same each time, spelled as waitress spells them."""
    headers = [(name, value) for name, value in merged(cached.headers, common) if name.lower() != "etag"]
    if unchanged:  # as Bottle does
        headers = [(name, value) for name, value in headers if name.lower() not in OF_A_BODY]
    else:
        headers.append(("Content-Length", str(len(cached.body))))
    headers.append(("ETag", cached.etag))
    lines = ["HTTP/1.1 " + ("304 Not Modified" if unchanged else "200 OK")]
    lines += ["-".join(part.capitalize() for part in name.split("-")) + f": {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


@lru_cache(2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
