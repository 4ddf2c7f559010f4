"""The envelope: whatever a handler returns or raises leaves as JSON of one shape.

{"success": true, "data": …, "message": "…"}
{"success": false, "error": {"code": "…", "message": "…", "details": {…}}}
"""

import hashlib
import logging
from decimal import Decimal

import orjson
from bottle import HTTPError, HTTPResponse, request, response

from core import errors
from core.app import methods_of
from core.cache import Cache, Cached
from core.identity.auth import PUBLIC

log = logging.getLogger("bodega.request")

JSON = "application/json"
OVERHEAD = 3000  # bytes that an answer takes in memory beside what it holds, and with its heads, about
PRIVATE = ("HTTP_AUTHORIZATION", "HTTP_COOKIE")  # with one of these, an answer is for its client alone
OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


def dump(document):
    """Return JSON as bytes: decimals as exact numbers, datetimes as UTC with Z and whole seconds."""
    return orjson.dumps(document, _default, OPTIONS)


def _default(value):
    if type(value) is Decimal:
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def failure(error):
    """Return the body of an ApiError."""
    told = {"code": error.code, "message": error.message, "details": error.details}
    return dump({"success": False, "error": told})


class Answer:
    """An answer that may be kept and given again: status 200, its headers, its ETag and its body.

    `key`: what it is kept by. `control`: what its Cache-Control is, if it is for everybody.
    """

    __slots__ = ("body", "etag", "forms", "headers", "keep", "size")

    def __init__(self, key, headers, etag, body, control):
        self.headers = headers
        self.etag = etag
        self.body = body
        names = {name for name, _ in headers}
        # A header that stands twice would be given once; a cookie is for one client.
        self.keep = ("Cache-Control", control) in headers and len(names) == len(headers) and "Set-Cookie" not in names
        self.forms = {}  # for core/serving/memory_responder.py: the head as bytes
        self.size = OVERHEAD + len(body) + sum(map(len, key)) + sum(len(name) + len(value) for name, value in headers)


class Envelope:
    """The outermost plugin. Reads `message`, `status`, `cache` and `produces` from the route.

    `cache`: the Cache-Control of a route's answers, which also get a strong ETag, and If-None-Match answers 304; or
    `Cached(tables)`, which also keeps them in memory. Without it nothing of the route may be stored. `produces`: the
    media type of a route whose handler returns bytes that leave as they are, or yields them.
    """

    name = "envelope"
    api = 2

    def __init__(self, cache=None):
        self._cache = cache or Cache(0, 0, 0)

    def setup(self, app):
        """Give Bottle's own failures (no such route, wrong method) the same shape; note what is kept of which tables.

        Raises LookupError for a route whose answers may not be kept. (`apply` would be too late: Bottle calls it when
        a route is first asked for, and a change may come before.)
        """
        app.default_error_handler = self._render
        self._app = app
        for route in app.routes:
            if isinstance(route.config.get("cache"), Cached):
                self._may_be_kept(route)

    def close(self):
        """Give the failures back to Bottle; called when the plugin is uninstalled."""
        del self._app.default_error_handler

    def apply(self, callback, route):
        """Wrap every route."""
        message = route.config.get("message", "OK")
        status = route.config.get("status", 200)
        cache = route.config.get("cache")
        produces = route.config.get("produces")
        control = cache.control if isinstance(cache, Cached) else cache

        def made(arguments):
            try:
                data = callback(**arguments)
            except HTTPResponse:
                raise
            except Exception:
                log.exception("a bug in %s %s", route.method, route.rule)
                raise errors.InternalError() from None
            response.status = status
            response.content_type = produces or JSON
            if not response.get_header("Cache-Control"):  # a handler may be stricter than its route
                response.set_header("Cache-Control", control or "no-store")
            return data

        def enveloped(**arguments):
            data = made(arguments)
            if produces:
                return _conditional(data, _tag(data)) if cache else data
            if not cache:
                return dump({"success": True, "data": data, "message": message})
            plain = dump(data)
            return _conditional(_enveloped(plain, message), _tag(plain))

        def answered(key, arguments):
            plain = dump(made(arguments))
            return Answer(key, list(response.headerlist), _tag(plain), _enveloped(plain, message), control)

        def kept(**arguments):
            environ = request.environ
            if any(header in environ for header in PRIVATE):
                return enveloped(**arguments)
            key = (environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
            answer, age = self._cache.answers.fetch(key, lambda: answered(key, arguments))
            for name, value in answer.headers:
                response.set_header(name, value)
            response.set_header("Age", str(int(age)))
            return _conditional(answer.body, answer.etag)

        return kept if isinstance(cache, Cached) and self._cache.answers else enveloped

    def _may_be_kept(self, route):
        if (route.method, route.config.get("auth")) != ("GET", PUBLIC) or route.config.get("limit"):
            raise LookupError(f"{route.method} {route.rule}: only what everybody may GET without a limit can be kept")
        self._cache.tables |= route.config["cache"].tables

    def _render(self, error):
        """Turn any HTTPError into the body that Bottle sends; error.apply has set status and headers before."""
        if not isinstance(error, errors.ApiError):
            error = _translated(error)
            error.apply(response)
        response.content_type = JSON
        response.set_header("Cache-Control", "no-store")
        return failure(error)


def etag_of(data):
    """Return the ETag that a cached route's answer with this data has; for If-Match, and for answers to changes."""
    return _tag(dump(data))


def matches(if_match, data):
    """Whether If-Match names what there is: its strong ETag, or * (RFC 9110, 13.1.1). Weak tags never match."""
    return if_match.strip() == "*" or etag_of(data) in (tag.strip() for tag in if_match.split(","))


def _tag(plain):
    return f'"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"'


def _enveloped(plain, message):
    return dump({"success": True, "data": orjson.Fragment(plain), "message": message})


def is_known(etag, if_none_match):
    """Whether If-None-Match names this strong ETag, or * (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))


def _conditional(body, etag):
    """Set a strong ETag; return the body, or nothing with 304 where the client has it."""
    response.set_header("ETag", etag)
    known = request.environ.get("HTTP_IF_NONE_MATCH")
    if known and is_known(etag, known):
        response.status = 304
        return b""
    return body


def _translated(error):
    """Return our error for one of Bottle's own."""
    if not isinstance(error, HTTPError) or error.status_code == 404:
        return errors.NotFound()
    if error.status_code == 405:
        allowed = methods_of(request.app, request.environ["PATH_INFO"])
        return errors.MethodNotAllowed(request.method, allowed)
    if error.status_code == 413:
        return errors.PayloadTooLarge()
    log.error("Bottle answered %s: %s", error.status_line, error.body)
    return errors.InternalError()
