"""The one Bottle(), which resources hang their routes on and server.py wires."""

from collections.abc import Callable
from typing import Any

from bottle import Bottle, HTTPError, Route

from core.errors import ApiError, NotFound

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LARGEST_ID = 2**31 - 1  # INT in MySQL
ID_SCHEMA = {
    "type": "integer",
    "minimum": 1,
    "maximum": LARGEST_ID,
    "description": "The number that it has in lists and answers.",
    "examples": [1],
}
PATH_SCHEMAS: dict[str, dict[str, Any]] = {}  # path filter → the JSON Schema of what it takes, for the API document


def new_app() -> Bottle:
    """Return a Bottle that leaves every failure to core/contract/envelope.py and core/serving/middleware.py."""
    bare = Bottle()
    bare.uninstall(True)  # its JSON and template plugins; the envelope takes their place
    bare.catchall = False
    add_filter(bare, "id", r"[0-9]+", existing_id, ID_SCHEMA)
    return bare


def add_filter(bottle: Bottle, name: str, pattern: str, convert: Callable[[str], Any], schema: dict[str, Any]) -> None:
    """Add a path filter: `<id:id>` is what `pattern` matches, as `convert` returns it; it may raise an ApiError.

    `schema`: the JSON Schema of what it takes, with a description for a reader and an example.
    """
    bottle.router.add_filter(name, lambda config: (pattern, convert, str))
    PATH_SCHEMAS[name] = schema


def existing_id(text: str, largest: int = LARGEST_ID) -> int:
    """Turn a path's digits into an int; an id that cannot exist (0, too large) is a 404."""
    if len(text) > 20 or not 0 < int(text) <= largest:
        raise NotFound()
    return int(text)


def clashes_of(route: Route) -> dict[str, type[ApiError]]:
    """Return what a route declares of constraints: `clashes={"uq_users_email": DuplicateEmail}`."""
    return _declared(route, "clashes.")


def bounds_of(bottle: Bottle) -> dict[str, int]:
    """Return what the routes declare for GET /api/shop: `bounds={"cart_lines": 100}`."""
    found: dict[str, int] = {}
    for route in bottle.routes:
        found |= _declared(route, "bounds.")
    return found


def _declared(route: Route, prefix: str) -> dict[str, Any]:
    """Return a dict that a route declares. Bottle's ConfigDict flattens it to keys such as "clashes.uq_users_email"."""
    return {key.removeprefix(prefix): route.config[key] for key in route.config if key.startswith(prefix)}


def methods_of(bottle: Bottle, path: str) -> list[str]:
    """Return the methods that a path really has, HEAD and OPTIONS included; [] for an unknown path."""
    found = []
    for method in METHODS:
        try:
            bottle.router.match({"REQUEST_METHOD": method, "PATH_INFO": path})
        except HTTPError:
            continue
        found += ["GET", "HEAD"] if method == "GET" else [method]
    return [*found, "OPTIONS"] if found else []


app = new_app()
