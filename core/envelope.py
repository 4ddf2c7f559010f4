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

log = logging.getLogger("bodega.request")

JSON = "application/json"
REVALIDATE = "public, max-age=0, must-revalidate"  # a route's `cache`: keep it, and ask by its ETag before each use
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


class Envelope:
    """The outermost plugin. Reads `message`, `status` and `cache` from the route.

    `cache`: the Cache-Control of a route's answers, which also get a strong ETag, and If-None-Match answers 304.
    Without it nothing of the route may be stored. `gives`: the media type of a route whose handler returns bytes that
    leave as they are, or yields them.
    """

    name = "envelope"
    api = 2

    def setup(self, app):
        """Give Bottle's own failures (no such route, wrong method) the same shape."""
        app.default_error_handler = self._render
        self._app = app

    def close(self):
        """Give the failures back to Bottle; called when the plugin is uninstalled."""
        del self._app.default_error_handler

    def apply(self, callback, route):
        """Wrap every route."""
        message = route.config.get("message", "OK")
        status = route.config.get("status", 200)
        cache = route.config.get("cache")
        gives = route.config.get("gives")

        def enveloped(**arguments):
            try:
                data = callback(**arguments)
            except HTTPResponse:
                raise
            except Exception:
                log.exception("a bug in %s %s", route.method, route.rule)
                raise errors.InternalError() from None
            response.status = status
            response.content_type = gives or JSON
            if not response.get_header("Cache-Control"):  # a handler may be stricter than its route
                response.set_header("Cache-Control", cache or "no-store")
            plain = data if gives else dump(data)
            body = plain if gives else _enveloped(plain, message)
            return _conditional(body, _tag(plain)) if cache else body

        return enveloped

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


def _conditional(body, etag):
    """Set a strong ETag; return the body, or nothing with 304 where the client has it (RFC 9110, 13.1.2)."""
    response.set_header("ETag", etag)
    known = request.environ.get("HTTP_IF_NONE_MATCH")
    if known and (known.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))):
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
