"""Answers that are in memory leave at once, on the thread that reads the sockets: no queue, no other thread, no WSGI.

It only ever gives what the long way (core/serving/middleware.py, core/contract/envelope.py) has made and kept, and with
the same headers; whatever it does not know for sure goes the long way. A client that keeps its connection sends the
same bytes for the same page, so what a request means is remembered by its bytes.
"""

import secrets
import time
from email.utils import formatdate
from functools import lru_cache

from cachetools import FIFOCache

from core import logs
from core.contract.etag import is_known

REQUESTS = 4096  # that are known by their bytes
LONGEST_REQUEST = 2048  # bytes
FORMS = 4  # heads that are kept with an answer: with 200 and 304, for one origin and another
HINDERING = {  # headers with which a request goes the long way
    "AUTHORIZATION",
    "COOKIE",
    "EXPECT",
    "TRANSFER_ENCODING",
    "UPGRADE",
}


class Wanted:
    """What a request for something kept asks for."""

    __slots__ = ("carried", "if_none_match", "key", "method", "request_id")

    def __init__(self, parser, middleware):
        headers = parser.headers
        self.method = parser.command
        self.key = (parser.path, parser.query)
        self.if_none_match = headers.get("IF_NONE_MATCH")
        carried = middleware.headers(headers.get("X_REQUEST_ID"), headers.get("ORIGIN"))
        self.request_id = carried[0][1] if carried[0][1] == headers.get("X_REQUEST_ID") else None
        self.carried = tuple(carried[1:])


class MemoryResponder:
    """`MemoryResponder(middleware, memory)`; the memory is the one that the envelope fills."""

    def __init__(self, middleware, memory):
        self._middleware = middleware
        self._memory = memory
        self._by_bytes = FIFOCache(REQUESTS)

    def known(self, raw):
        """Return what these bytes want, if they have come before; else None."""
        return self._by_bytes.get(raw)

    def learn(self, raw, wanted):
        """Remember that these bytes want this.

        `raw` must be all that came in one read with which a request began, and be used up by it: only then do the same
        bytes mean the same each time.
        """
        if len(raw) <= LONGEST_REQUEST:
            self._by_bytes[raw] = wanted

    def wanted(self, parser):
        """Return what a parsed request wants, if that may be kept; else None."""
        if parser.error or parser.command not in ("GET", "HEAD") or parser.version != "1.1" or parser.content_length:
            return None
        headers = parser.headers
        if parser.chunked or headers.get("CONNECTION", "keep-alive").lower() != "keep-alive":
            return None
        if not HINDERING.isdisjoint(headers):
            return None
        wanted = Wanted(parser, self._middleware)
        return wanted if self._memory.peek(wanted.key) is not None else None

    def answer(self, wanted):
        """Return the answer, (head, body), and log it; None where it is not in memory (any more)."""
        started = time.perf_counter()
        found = self._memory.peek(wanted.key)
        if found is None:
            return None
        kept, age = found
        unchanged = wanted.if_none_match and is_known(kept.etag, wanted.if_none_match)
        status = "304" if unchanged else "200"
        form = (status, wanted.carried)
        head = kept.heads.get(form)
        if head is None:
            head = _head(kept, unchanged, wanted.carried)
            if len(kept.heads) < FORMS:
                kept.heads[form] = head
        request_id = wanted.request_id or secrets.token_hex(8)
        own = f"Age: {int(age)}\r\nDate: {_date(int(time.time()))}\r\nX-Request-Id: {request_id}\r\n\r\n"
        body = b"" if unchanged or wanted.method == "HEAD" else kept.body
        seconds = time.perf_counter() - started
        logs.access("request", request_id, status, method=wanted.method, path=wanted.key[0], seconds=seconds)
        return head + own.encode("latin-1"), body


def merged(own, carried):
    """Return an answer's own headers and those that every answer carries: its own win, and Vary has both."""
    names = {name.lower() for name, _ in own}
    vary = ", ".join(value for name, value in (*carried, *own) if name.lower() == "vary")
    headers = [pair for pair in own if pair[0].lower() != "vary"]
    headers += [pair for pair in carried if pair[0].lower() not in names and pair[0] != "Vary"]
    return [*headers, ("Vary", vary)] if vary else headers


def _head(kept, unchanged, carried):
    """Return the status line and the headers that are the same each time, spelt as waitress spells them."""
    headers = [(name, value) for name, value in merged(kept.headers, carried) if name.lower() != "etag"]
    if unchanged:  # bottle leaves these out, too
        headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
    else:
        headers.append(("Content-Length", str(len(kept.body))))
    headers.append(("ETag", kept.etag))
    lines = ["HTTP/1.1 " + ("304 Not Modified" if unchanged else "200 OK")]
    lines += ["-".join(part.capitalize() for part in name.split("-")) + f": {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


@lru_cache(2)
def _date(second):
    return formatdate(second, usegmt=True)
