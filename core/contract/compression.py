"""Answers of 1 KiB and more leave gzipped to who accepts it (RFC 9110, 8.4.1.3 and 12.5.3).

Whose: of a route that says `Cache-Control: public` (its answers are for everybody) or declares `compress=True` (none of
its answers holds a token). Who can put words of his own beside a secret, and see how long the compressed answer is,
finds the secret letter by letter (BREACH, CVE-2013-3587). So a route that says nothing is not compressed, and neither
are its errors: what is forgotten costs bytes.
"""

import functools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bottle import BaseResponse, HTTPResponse, Route, request, response

from core.cache import Cached
from core.contract.etag import gzipped

SMALLEST = 1024  # bytes; below, the headers weigh more than what is saved
FILES = 100  # of a route that are kept compressed; bytes know their hash from the first time on
FAST, BEST = 1, 9  # zlib's levels: for what is made for a request, and for files, which are compressed once
IDENTITY, GZIP = "identity", "gzip"
QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Compression:
    """The plugin that compresses. It stands around the envelope, and within what caches answers.

    Either form is a representation of its own: they have different strong ETags (RFC 9110, 8.8.3.3).
    """

    name = "compression"
    api = 2

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the routes whose answers may be compressed."""
        if not is_compressible(route):
            return callback
        # A handler that gives a file gives the same object each time. (What is in memory is compressed there.)
        gives_files = route.config.get("produces") and not isinstance(route.config.get("cache"), Cached)
        pack = functools.lru_cache(FILES)(functools.partial(compress, level=BEST)) if gives_files else compress

        def compressed(**arguments: Any) -> Any:
            try:
                return encode(callback(**arguments), response, pack)
            except HTTPResponse as answer:
                if isinstance(answer.body, bytes):  # an error has none yet
                    answer.body = encode(answer.body, answer, pack)
                raise

        return compressed


def is_compressible(route: Route) -> bool:
    """Whether answers of this route may be compressed."""
    return bool(route.config.get("compress")) or (control_of(route) or "").startswith("public")


def control_of(route: Route) -> str | None:
    """Return the Cache-Control that a route declares; None where nothing may be stored."""
    cache = route.config.get("cache")
    return cache.control if isinstance(cache, Cached) else cache


def encode(body: Any, answer: BaseResponse, pack: Callable[[bytes], bytes]) -> Any:
    """Return the body as the client wants it, and set what `answer` says of it."""
    if isinstance(body, bytes) and len(body) < SMALLEST:
        return body
    vary = answer.get_header("Vary")
    answer.set_header("Vary", f"{vary}, Accept-Encoding" if vary else "Accept-Encoding")
    if coding_of(request.environ.get("HTTP_ACCEPT_ENCODING")) == IDENTITY:
        return body
    answer.set_header("Content-Encoding", GZIP)
    if tag := answer.get_header("ETag"):
        answer.set_header("ETag", gzipped(tag))
    return pack(body) if isinstance(body, bytes) else _stream(body)


def compress(body: bytes, level: int = FAST) -> bytes:
    """Return it gzipped; the same bytes each time, as a strong ETag wants it: without a date.

    A window no larger than the body, and small tables, are there sooner: 20 products (8.9 KB) take 21 µs and become
    2.6 KB, with zlib's defaults 73 µs and 2.4 KB; 100 products (43 KB) take 92 µs and become 9.5 KB, instead of 346 µs
    and 8.0 KB. (`compress` and `zlib.compress(body, wbits=31)` in timeit, Python 3.11.)
    """
    window = min(15, max(9, len(body).bit_length()))
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + window, memLevel=6)
    return packer.compress(body) + packer.flush()


def _stream(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts gzipped. An error amid them leaves an end out, so that half an answer is no whole one."""
    packer = zlib.compressobj(FAST, zlib.DEFLATED, 31)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


@functools.lru_cache(32)  # of browsers there are fewer; a long header may have 64 KiB
def coding_of(accept_encoding: str | None) -> str:
    """Return the content coding for a request's Accept-Encoding: GZIP, or IDENTITY.

    Without the header, with a weight that cannot be read, or where the client wants both refused, it is IDENTITY.
    """
    if not accept_encoding:
        return IDENTITY
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weights[coding] = _weight(parameters)
    weight = next((weights[name] for name in (GZIP, "x-gzip", "*") if name in weights), 0)
    return GZIP if weight > 0 and weight >= weights.get(IDENTITY, 0) else IDENTITY


def _weight(parameters: list[str]) -> float:
    if not parameters:
        return 1.0
    found = QUALITY.fullmatch(parameters[0]) if len(parameters) == 1 else None
    return float(found[1]) if found else 0.0
