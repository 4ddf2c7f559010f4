"""Pages for people: what this is and where to go, and the API to read and try, served from this host alone."""

import pathlib
from typing import Any

from bottle import HTTPResponse, request, response

from core.app import app
from core.cache import REVALIDATE
from core.errors import ApiError, NotFound
from core.identity.auth import PUBLIC
from core.shop import Shop

HERE = pathlib.Path(__file__).parent
HTML, CSS, JS = (f"text/{kind}; charset=UTF-8" for kind in ("html", "css", "javascript"))

# Everything from this host, nothing inline. Swagger UI's style sheet holds its icons as data: images.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
PROTECTION = {"Content-Security-Policy": POLICY}  # in place of the middleware's own

FILES = {  # under /docs/; what is not listed here is not served
    "docs.css": ("pages", CSS),
    "docs.js": ("pages", JS),
    "favicon.svg": ("pages", "image/svg+xml"),
    "home.css": ("pages", CSS),
    "style.css": ("pages", CSS),
    "swagger-ui.css": ("swagger-ui", CSS),
    "swagger-ui-bundle.js": ("swagger-ui", JS),
    "swagger-ui-bundle.js.LICENSE.txt": ("swagger-ui", "text/plain; charset=UTF-8"),
}
HOME = (HERE / "pages/home.html").read_bytes()
DOCS = (HERE / "pages/docs.html").read_bytes()
MISSING = (HERE / "pages/missing.html").read_bytes()

WELCOME = {
    "description": "An e-commerce API: accounts, catalogue and carts.",
    "links": {
        "documentation": "/docs",
        "openapi": "/api/openapi.json",
        "shop": "/api/shop",
        "products": "/api/products",
        "categories": "/api/categories",
        "health": "/api/health",
        "ready": "/api/ready",
    },
}


@app.get("/", auth=PUBLIC, hidden=True, cache=REVALIDATE, message="Welcome.")
def home(shop: Shop) -> dict[str, Any]:
    """Say what this is and where to go: a page for browsers, JSON for everything else."""
    if prefers_html(request.get_header("Accept", "")):
        headers = {**PROTECTION, "Content-Type": HTML, "Cache-Control": REVALIDATE, "Vary": "Accept"}
        raise HTTPResponse(HOME, headers=headers)
    response.set_header("Vary", "Accept")
    return {"name": shop.name, **WELCOME}


@app.get("/docs", auth=PUBLIC, hidden=True, produces=HTML, cache=REVALIDATE)
def docs() -> bytes:
    """Show the API document in Swagger UI, to read and to try."""
    response.headers.update(PROTECTION)
    return DOCS


def _serve(name: str, folder: str, media: str) -> None:
    """Add the route of one file."""
    data = (HERE / folder / name).read_bytes()

    def file() -> bytes:
        """Give a file that the pages are made of."""
        response.headers.update(PROTECTION)
        return data

    app.get(f"/docs/{name}", auth=PUBLIC, hidden=True, produces=media, cache=REVALIDATE, callback=file)


for _name, (_folder, _media) in FILES.items():
    _serve(_name, _folder, _media)


def page_of(error: ApiError) -> bytes | None:
    """Return the page for a browser that asks for what does not exist; None under /api, and for everybody else."""
    outside = request.path != "/api" and not request.path.startswith("/api/")
    if not (outside and isinstance(error, NotFound) and request.method in ("GET", "HEAD")):
        return None
    response.set_header("Vary", "Accept")
    if not prefers_html(request.get_header("Accept", "")):
        return None
    response.headers.update(PROTECTION)
    response.content_type = HTML
    return MISSING


def prefers_html(accept: str) -> bool:
    """Whether an Accept header wants text/html more than application/json (RFC 9110, 12.5.1); a tie is JSON."""
    return _weight(accept, "text", "html") > _weight(accept, "application", "json")


def _weight(accept: str, kind: str, subtype: str) -> float:
    """Return the q of a media type: what the most specific range that has it says, 0 where none has."""
    ranges = {f"{kind}/{subtype}": 2, f"{kind}/*": 1, "*/*": 0}
    best = (-1, 0.0)
    for part in accept.lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if media in ranges:
            best = max(best, (ranges[media], _quality(parameters)))
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
