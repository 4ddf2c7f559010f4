"""The envelope: whatever a handler returns or raises leaves as JSON of one shape.

{"success": true, "data": …, "message": "…"}
{"success": false, "error": {"code": "…", "message": "…", "details": {…}}}
"""

import logging
from collections.abc import Callable
from typing import Any

from bottle import Bottle, HTTPError, HTTPResponse, Route, request, response

from core import errors, recurring
from core.app import methods_of
from core.contract.compression import compress, control_of, encode, is_compressible
from core.contract.etag import tag_of
from core.json_text import MEDIA_TYPE, dump, raw

log = logging.getLogger("bodega.request")


def failure(error: errors.ApiError) -> bytes:
    """Return the body of an ApiError."""
    said = {"code": error.code, "message": error.message, "details": error.details}
    return dump({"success": False, "error": said})


class Envelope:
    """The plugin around all that makes an answer. Reads `message`, `status`, `cache` and `produces` from the route.

    `cache`: a Cached, or the Cache-Control of the route's answers; with either they get a strong ETag. Without it,
    nothing of the route may be stored. `produces`: the media type of a route whose handler returns bytes that leave as
    they are, or yields them.

    `page_of(error)`: the HTML with which a browser is shown an error, its headers set; or None, and it is JSON.
    """

    name = "envelope"
    api = 2

    def __init__(self, page_of: Callable[[errors.ApiError], bytes | None] = lambda error: None) -> None:
        self._page_of = page_of

    def setup(self, app: Bottle) -> None:
        """Give Bottle's own failures (no such route, wrong method) the same shape."""
        app.default_error_handler = self._render
        self._app = app

    def close(self) -> None:
        """Give the failures back to Bottle; called when the plugin is uninstalled."""
        del self._app.default_error_handler

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap every route."""
        message, status = route.config.get("message", "OK"), route.config.get("status", 200)
        cache, produces = route.config.get("cache"), route.config.get("produces")
        control = control_of(route)

        def enveloped(**arguments: Any) -> Any:
            try:
                data = callback(**arguments)
            except HTTPResponse:
                raise
            except Exception as error:
                recurring.failing(log, logging.ERROR, "a bug in %s %s", route.method, route.rule, error=error)
                raise errors.InternalError() from None
            response.status = status
            response.content_type = produces or MEDIA_TYPE
            if not response.get_header("Cache-Control"):  # a handler may be stricter than its route
                response.set_header("Cache-Control", control or "no-store")
            if not cache:
                return data if produces else dump({"success": True, "data": data, "message": message})
            plain = data if produces else dump(data)
            response.set_header("ETag", tag_of(plain))
            return plain if produces else dump({"success": True, "data": raw(plain), "message": message})

        return enveloped

    def _render(self, error: HTTPError) -> bytes:
        """Turn any HTTPError into the body that Bottle sends; error.apply has set status and headers before."""
        if not isinstance(error, errors.ApiError):
            error = _translated(error)
            error.apply(response)
        response.content_type = MEDIA_TYPE
        response.set_header("Cache-Control", "no-store")
        body, route = self._page_of(error) or failure(error), request.environ.get("bottle.route")
        # Without a route no handler has run, and there is nothing that could be a token.
        return encode(body, response, compress) if route is None or is_compressible(route) else body


def _translated(error: HTTPError) -> errors.ApiError:
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
