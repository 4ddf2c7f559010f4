"""Which web pages of other origins may read our answers (the Fetch standard's CORS protocol)."""

# With If-Match, without which a page could not change a product safely.
ALLOWED_HEADERS = "Content-Type, Authorization, Session-ID, Idempotency-Key, If-None-Match, X-Request-ID, If-Match"
EXPOSED_HEADERS = (
    "ETag, X-Request-ID, Retry-After, Location, RateLimit, RateLimit-Policy, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
PREFLIGHT_LIFE = "600"  # seconds that a browser may remember the answer; all of them take ten minutes


class Cors:
    """The headers for an origin. `origins`: as in CORS_ORIGINS; `*` allows every page."""

    def __init__(self, origins):
        self.everyone = "*" in origins
        self.origins = frozenset(origins)

    def headers(self, origin):
        """Return the headers of an ordinary answer for a request's Origin (None when it had none)."""
        exposed = ("Access-Control-Expose-Headers", EXPOSED_HEADERS)
        if self.everyone:
            return [("Access-Control-Allow-Origin", "*"), exposed] if origin else []
        if origin in self.origins:
            return [("Access-Control-Allow-Origin", origin), exposed, ("Vary", "Origin")]
        return [("Vary", "Origin")]  # caches must not give one origin's answer to another

    def preflight(self, origin, methods):
        """Return the headers that a preflight gets beside `headers`; none for an origin that is not listed."""
        if not origin or not (self.everyone or origin in self.origins):
            return []
        return [
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", PREFLIGHT_LIFE),
        ]
