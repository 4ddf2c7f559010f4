"""Which web pages of other origins may read the answers (CORS, https://fetch.spec.whatwg.org)."""

from collections.abc import Collection, Iterable

# If-Match is there because a page cannot change a product safely without it.
ALLOWED_HEADERS = "Content-Type, Authorization, Session-ID, Idempotency-Key, If-None-Match, X-Request-ID, If-Match"
EXPOSED_HEADERS = (
    "ETag, X-Request-ID, Retry-After, Location, RateLimit, RateLimit-Policy, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
PREFLIGHT_LIFE = "600"  # seconds that a browser may cache the answer; every browser accepts ten minutes


class Cors:
    """The headers for an origin. `origins`: as in CORS_ORIGINS; `*` allows every page."""

    def __init__(self, origins: Collection[str]) -> None:
        self.everyone = "*" in origins
        self.origins = frozenset(origins)

    def headers(self, origin: str | None) -> list[tuple[str, str]]:
        """Return the headers of an ordinary answer for a request's Origin (None when it had none)."""
        exposed = ("Access-Control-Expose-Headers", EXPOSED_HEADERS)
        if self.everyone:
            return [("Access-Control-Allow-Origin", "*"), exposed] if origin else []
        if origin in self.origins:
            return [("Access-Control-Allow-Origin", origin), exposed, ("Vary", "Origin")]
        return [("Vary", "Origin")]  # caches must not give one origin's answer to another

    def preflight(self, origin: str | None, methods: Iterable[str]) -> list[tuple[str, str]]:
        """Return the further headers of the answer to a preflight; none for an origin that may not read it."""
        if not origin or not (self.everyone or origin in self.origins):
            return []
        return [
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", PREFLIGHT_LIFE),
        ]
