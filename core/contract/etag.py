"""ETags: a client that has an answer already gets 304, and a change of what was changed meanwhile is refused."""

import hashlib
from collections.abc import Callable
from typing import Any

from bottle import Route, request, response

from core.json_text import dump


class ConditionalRequests:
    """The plugin that answers 304 without a body where If-None-Match names the answer's ETag (RFC 9110, 13.1.2).

    It wraps the routes that declare `cache`; the ETag is what the plugins further in have set.
    """

    name = "conditional_requests"
    api = 2

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the routes that declare `cache`."""
        if not route.config.get("cache"):
            return callback

        def conditional(**arguments: Any) -> Any:
            body = callback(**arguments)
            known = request.environ.get("HTTP_IF_NONE_MATCH")
            if known and is_known(response.get_header("ETag"), known):
                response.status = 304
                return b""
            return body

        return conditional


def tag_of(text: bytes) -> str:
    """Return the strong ETag of these bytes."""
    return f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'


def gzipped(tag: str) -> str:
    """Return the strong ETag of the gzipped form. Its end is not "-gzip": proxies that compress take that off again."""
    return f'{tag[:-1]}.gz"'


def etag_of(data: Any) -> str:
    """Return the ETag that a cached route's answer with this data has; for If-Match, and for answers to changes."""
    return tag_of(dump(data))


def matches(if_match: str, data: Any) -> bool:
    """Whether If-Match names this data, see `names`.

    The client may have read either form of it, and a browser always reads the gzipped one.
    """
    tag = etag_of(data)
    return names(if_match, tag, gzipped(tag))


def names(if_match: str, *etags: str) -> bool:
    """Whether If-Match names one of these strong ETags, or is * (RFC 9110, 13.1.1). Weak tags never match."""
    return if_match.strip() == "*" or not {*etags}.isdisjoint(one.strip() for one in if_match.split(","))


def is_known(etag: str, if_none_match: str) -> bool:
    """Whether If-None-Match names this strong ETag, or * (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
