"""Whole answers, cached in memory for a few seconds: core/cache.py says for how long, and what voids them."""

from collections.abc import Callable
from typing import Any

from bottle import Bottle, Route, request, response

from core.cache import Cache, Cached
from core.contract.compression import coding_of
from core.errors import ServiceUnavailable
from core.identity.auth import PUBLIC

OVERHEAD = 3000  # bytes that an answer takes in memory beside its parts, about
CACHE = "bodega.cache"  # in the environ: how the memory came in: hit, miss or stale
PRIVATE = ("HTTP_AUTHORIZATION", "HTTP_COOKIE")  # with one of these, an answer is for its client alone


class Answer:
    """A complete answer with status 200: its headers, its ETag and its body.

    `key`: what it is cached by. `control`: the Cache-Control of answers that are for everybody. `route`: its rule.
    """

    __slots__ = ("body", "cacheable", "etag", "headers", "heads", "route", "size")

    def __init__(
        self, key: tuple[str, ...], headers: list[tuple[str, str]], etag: str, body: bytes, *, control: str, route: str
    ) -> None:
        found = dict(headers)
        self.headers = headers
        self.route = route
        self.etag = etag
        self.body = body
        # Of a header that stands twice only one would be given; a cookie is for one client.
        self.cacheable = (
            found.get("Cache-Control") == control and len(found) == len(headers) and "Set-Cookie" not in found
        )
        self.heads: dict[Any, Any] = {}  # for core/serving/memory_responder.py: the head in bytes, by what differs
        self.size = OVERHEAD + len(body) + sum(map(len, key)) + sum(len(name) + len(value) for name, value in headers)


class CachedAnswers:
    """The plugin that gives answers from memory: on the routes that declare `cache=Cached("table", …)`.

    Which plugins further in are not run for a cached answer: all of them. So only what everybody may GET, without a
    limit, can be cached; a request with a token or a cookie is never answered from memory.
    """

    name = "cached_answers"
    api = 2

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def setup(self, app: Bottle) -> None:
        """Note which tables the cached answers show; raise LookupError for a route whose answers may not be cached.

        `apply` would be too late: Bottle calls it when a route is first asked for, and a change may come before.
        """
        for route in app.routes:
            cached = route.config.get("cache")
            if isinstance(cached, Cached):
                if (route.method, route.config.get("auth")) != ("GET", PUBLIC) or route.config.get("limit"):
                    said = "only what everybody may GET without a limit can be cached"
                    raise LookupError(f"{route.method} {route.rule}: {said}")
                self._cache.tables |= cached.tables
                cached.may_be_stale(self._cache.stale_for)

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the routes whose answers are cached."""
        cached, memory = route.config.get("cache"), self._cache.answers
        if not isinstance(cached, Cached) or memory is None:
            return callback

        def made(key: tuple[str, str, str], arguments: dict[str, Any]) -> Answer:
            body = callback(**arguments)
            return Answer(
                key,
                list(response.headerlist),
                response.get_header("ETag"),
                body,
                control=cached.control,
                route=route.rule,
            )

        def from_memory(**arguments: Any) -> Any:
            environ = request.environ
            if any(header in environ for header in PRIVATE):
                return callback(**arguments)
            coding = coding_of(environ.get("HTTP_ACCEPT_ENCODING"))
            key = (environ["PATH_INFO"], environ.get("QUERY_STRING", ""), coding)
            try:
                answer, age = memory.fetch(key, lambda: made(key, arguments))
            except ServiceUnavailable:
                if not (stale := memory.peek(key, stale=True)):
                    raise
                answer, age = stale
            environ[CACHE] = "stale" if age >= memory.seconds else "hit" if age else "miss"
            for name, value in answer.headers:
                response.set_header(name, value)
            response.set_header("Age", str(int(age)))
            return answer.body

        return from_memory
