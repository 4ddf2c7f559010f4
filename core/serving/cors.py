"""Which web pages of other origins may read the answers (CORS, https://fetch.spec.whatwg.org)."""

import logging
from collections.abc import Collection, Iterable

log = logging.getLogger("bodega.serve")

ALLOWED_HEADERS = (
    "Content-Type, Authorization, Session-ID, Order-Token, Idempotency-Key, If-Match, If-None-Match, Cache-Control, "
    "X-Request-ID, traceparent"
)
EXPOSED_HEADERS = (
    "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID, Idempotent-Replayed, Server-Timing"
)
PREFLIGHT_LIFE = "600"  # seconds that a browser may cache the answer; every browser accepts ten minutes
MOST_TOLD = 20  # unlisted origins that the log names; strangers could send any number of them
LONGEST_TOLD = 100  # characters of one


class Cors:
    """The headers for an origin. `origins`: as in CORS_ORIGINS; `*` allows every page."""

    def __init__(self, origins: Collection[str]) -> None:
        self.everyone = "*" in origins
        self.origins = frozenset(origins)
        self._told: set[str] = set()

    def headers(self, origin: str | None, host: str | None, request_id: str = "-") -> list[tuple[str, str]]:
        """Return the headers of an ordinary answer for a request's Origin (None when it had none).

        An origin that is not listed gets none, and the log says so, once in each worker. `host`: the request's own;
        a page of it is no other origin. `request_id`: for the log.
        """
        exposed = ("Access-Control-Expose-Headers", EXPOSED_HEADERS)
        if self.everyone:
            return [("Access-Control-Allow-Origin", "*"), exposed] if origin else []
        if origin in self.origins:
            return [("Access-Control-Allow-Origin", origin), exposed, ("Vary", "Origin")]
        if origin and origin.partition("://")[2] != host:
            self._tell(origin[:LONGEST_TOLD], request_id)
        return [("Vary", "Origin")]  # caches must not give one origin's answer to another

    def _tell(self, origin: str, request_id: str) -> None:
        if origin not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(origin)
            said = "Pages of %r may not read the answers. If they are yours, add it to CORS_ORIGINS."
            log.warning(said, origin, extra={"request_id": request_id})

    def preflight(self, origin: str | None, methods: Iterable[str]) -> list[tuple[str, str]]:
        """Return the further headers of the answer to a preflight; none for an origin that may not read it."""
        if not origin or not (self.everyone or origin in self.origins):
            return []
        return [
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", PREFLIGHT_LIFE),
        ]
