"""The shop that people look at: the page and the files of storefront/, made with nothing but the public API.

There is no build step. The files stand under an address with the hash of all of them: a browser keeps them for ever,
and what one imports from another is of the same version. While a new release is rolled out, workers know the version
before (from memory) and the one after (from disk). Where neither is known (another host is a release behind), the file
that is here is given, stored by nobody: most often it fits, and where it does not, the router loads the page anew.

docs/operating.md, "The storefront", says how to put a front page of one's own in its place.
"""

import functools
import hashlib
import html
import pathlib
import re

from bottle import request, response

from core.app import app
from core.cache import REVALIDATE
from core.contract.validation import ANY_QUERY
from core.errors import NotFound
from core.identity.auth import PUBLIC
from core.shop import Shop

HERE = pathlib.Path(__file__).resolve().parents[1] / "storefront"
HTML = "text/html; charset=UTF-8"
MEDIA = {"js": "text/javascript; charset=UTF-8", "css": "text/css; charset=UTF-8", "svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
VERSIONS = 4  # that are known at once
IMPORT = re.compile(r'^import\s+(?:[^"()]+\s+from\s+)?"\./(\w+\.js)"', re.M)  # not import(), which loads later
FIRST = {"": "catalogue.js", "products": "product.js"}  # the part of an address after /shop → its page's module

# Scripts and styles from this host's files alone, nothing inline. Pictures of products may come from elsewhere, by TLS.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PROTECTION = {"Content-Security-Policy": POLICY}  # in place of the middleware's own


class Version:
    """The files as they were at one time: what each holds, by its name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.template = files.pop("index.html").decode()
        self.files = files
        digest = hashlib.blake2b(digest_size=6)
        for name, data in files.items():
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(data), data))
        self.name = digest.hexdigest()
        self.page = functools.lru_cache(16)(self._page)

    def _page(self, shop: Shop, first: str = "") -> bytes:
        """Return the page of a shop, for addresses whose page is the module `first`."""
        assets = f"/storefront/{self.name}"
        modules = self.imports("app.js") | self.imports(first)
        links = [f'<link rel="modulepreload" href="{assets}/{name}">' for name in sorted(modules)]
        gaps = {
            "assets": assets,
            "name": html.escape(shop.name),
            "currency": shop.currency,
            "preloads": "\n  ".join(links),
        }
        return re.sub(r"\{(\w+)\}", lambda gap: gaps[gap[1]], self.template).encode()

    def imports(self, name: str) -> set[str]:
        """Return the names of a module and of all that is loaded with it; of none where it is not there."""
        found: set[str] = set()
        open_ends = [name]
        while open_ends:
            name = open_ends.pop()
            if name in self.files and name not in found:
                found.add(name)
                open_ends += IMPORT.findall(self.files[name].decode())
        return found


class Files:
    """The files of a folder, and those that they were before."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._stamps: object = None
        self.versions: dict[str, Version] = {}
        self.look()

    def look(self) -> None:
        """Read the files again if one was edited: 25 of them take 0.1 ms where none was."""
        paths = sorted(path for path in self._folder.iterdir() if path.suffix[1:] in (*MEDIA, "html"))
        stamps = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
        if stamps == self._stamps:
            return
        self.current = Version({path.name: path.read_bytes() for path in paths})
        before = {name: version for name, version in self.versions.items() if name != self.current.name}
        kept = list(before.items())[-(VERSIONS - 1) :]
        self.versions = {**dict(kept), self.current.name: self.current}  # in one step: other threads read it
        self._stamps = stamps


FILES = Files(HERE)  # of the process, so that a worker that SIGHUP starts knows the version before


class Storefront:
    """What one wiring of the shop shows: `Storefront(shop, on, edited)`.

    `on`: whether there is a storefront. `edited`: whether somebody is at its files, so that each page shows what they
    are now; else a page is of the version of the start.
    """

    protection = PROTECTION

    def __init__(self, shop: Shop, on: bool = True, edited: bool = False) -> None:
        self.on = on
        self._shop = shop
        self._edited = edited
        FILES.look()
        self._version = FILES.current

    def page(self, path: str = "") -> bytes:
        """Return the page for the part of an address after /shop."""
        if self._edited:
            FILES.look()
            self._version = FILES.current
        return self._version.page(self._shop, FIRST.get(path.partition("/")[0], ""))

    def file(self, version: str, name: str) -> bytes:
        """Return a file; raise NotFound where there is none of this name."""
        if version not in FILES.versions:
            FILES.look()
        known = FILES.versions.get(version)
        data = (known or FILES.current).files.get(name)
        if data is None:
            raise NotFound()
        if not known:
            response.set_header("Cache-Control", "no-store")
        return data

    def require(self) -> None:
        """Raise NotFound where there is no storefront."""
        if not self.on:
            raise NotFound()


@app.get("/shop", auth=PUBLIC, hidden=True, query=ANY_QUERY, produces=HTML, cache=REVALIDATE)
@app.get("/shop/<path:path>", auth=PUBLIC, hidden=True, query=ANY_QUERY, produces=HTML, cache=REVALIDATE)
@app.get("/password-reset", auth=PUBLIC, hidden=True, query=ANY_QUERY, produces=HTML, cache=REVALIDATE)
def storefront_page(storefront: Storefront, path: str = "") -> bytes:
    """Show the shop; its script shows the page of the address."""
    storefront.require()
    response.headers.update(PROTECTION)
    return storefront.page(path if request.path.startswith("/shop") else "password-reset")


def storefront_file(storefront: Storefront, version: str, name: str) -> bytes:
    """Give a file that the shop's page is made of."""
    storefront.require()
    response.headers.update(PROTECTION)
    return storefront.file(version, name)


for _kind, _media in MEDIA.items():
    app.get(
        rf"/storefront/<version:re:[0-9a-f]{{12}}>/<name:re:\w+\.{_kind}>",
        auth=PUBLIC,
        hidden=True,
        produces=_media,
        cache=FOR_EVER,
        callback=storefront_file,
    )
