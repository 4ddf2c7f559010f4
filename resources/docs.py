"""The API's own page, to read and to try, and what stands at /: the storefront, or without one the first words of that.

All from this host alone.
"""

import pathlib
from typing import Any

from bottle import HTTPResponse, request, response

from core.app import app
from core.cache import REVALIDATE
from core.contract.accept import prefers
from core.contract.validation import ANY_QUERY, NO_QUERY
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
    "intro.css": ("pages", CSS),
    "sql.css": ("pages", CSS),
    "style.css": ("pages", CSS),
    "swagger-ui.css": ("swagger-ui", CSS),
    "swagger-ui-bundle.js": ("swagger-ui", JS),
    "swagger-ui-bundle.js.LICENSE.txt": ("swagger-ui", "text/plain; charset=UTF-8"),
}


def _page(name: str, read: str) -> bytes:
    """Return a page that begins with the words of intro.html, whose button leads to `read`."""
    intro = (HERE / "pages" / "intro.html").read_text("utf-8").replace("{read}", read)
    return (HERE / "pages" / f"{name}.html").read_text("utf-8").replace("{intro}\n", intro).encode()


HOME, DOCS = _page("home", "/docs"), _page("docs", "#operations")
MISSING = (HERE / "pages/missing.html").read_bytes()

WELCOME: dict[str, Any] = {
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


@app.get("/", auth=PUBLIC, hidden=True, query=ANY_QUERY, cache=REVALIDATE, message="Welcome.")
def home(shop: Shop, storefront: Any) -> dict[str, Any]:
    """Show the storefront to browsers, or what this is where there is none; say it in JSON to everything else."""
    if prefers(request.get_header("Accept", ""), "text/html"):
        if not storefront.on:
            NO_QUERY.check_text(request.query_string)
        page, protection = (storefront.page(), storefront.protection) if storefront.on else (HOME, PROTECTION)
        headers = {**protection, "Content-Type": HTML, "Cache-Control": REVALIDATE, "Vary": "Accept"}
        raise HTTPResponse(page, headers=headers)
    NO_QUERY.check_text(request.query_string)
    response.set_header("Vary", "Accept")
    links = {"storefront": "/shop"} if storefront.on else {}
    return {"name": shop.name, **WELCOME, "links": {**links, **WELCOME["links"]}}


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
    if not prefers(request.get_header("Accept", ""), "text/html"):
        return None
    response.headers.update(PROTECTION)
    response.content_type = HTML
    return MISSING
