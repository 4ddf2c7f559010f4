"""The files of sql/ as pages, for who is developing: what Server-Timing names is a click from its source."""

import html
import re

from bottle import response

from core.app import app
from core.cache import REVALIDATE
from core.db.statements import Statements
from core.errors import NotFound
from core.identity.auth import PUBLIC
from resources.docs import HERE, HTML, PROTECTION

PAGE = (HERE / "pages" / "sql.html").read_text("utf-8")
PARTS = re.compile(  # of a file that are coloured; all words in capitals are SQL's own
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<value>%\(\w+\)s|\b\d+\b)|(?P<word>\b[A-Z][A-Z_]+\b)",
    re.S,
)


@app.get(
    "/docs/sql/<folder:re:[a-z_]+>/<name:re:[a-z0-9_]+>", auth=PUBLIC, hidden=True, produces=HTML, cache=REVALIDATE
)
def show_statement(sources: Statements | None, folder: str, name: str) -> bytes:
    """Show a file of sql/ with its header, where it is used, and its neighbours; 404 unless SERVER_TIMING is on."""
    names = [statement.name for statement in sources or ()]
    wanted = f"{folder}/{name}"
    if sources is None or wanted not in names:  # a name that is no statement's never becomes a path
        raise NotFound()
    statement = sources.get(wanted)
    siblings = [one for one in names if one.startswith(f"{folder}/")]
    response.headers.update(PROTECTION)
    gaps = {
        "path": html.escape(statement.path),
        "title": html.escape(statement.header.title),
        "used": html.escape(statement.header.used_by),
        "source": coloured(sources.source(wanted)),
        "folder": folder,
        "siblings": "\n      ".join(_link(one, one == wanted) for one in siblings),
    }
    return re.sub(r"\{(\w+)\}", lambda gap: gaps[gap[1]], PAGE).encode()


def _link(name: str, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    return f'<li><a href="/docs/sql/{name}"{current}>{name.partition("/")[2]}</a></li>'


def coloured(source: str) -> str:
    """Return SQL as HTML: comments, texts, values and SQL's own words each in a span of their class."""
    made, end = [], 0
    for part in PARTS.finditer(source):
        made += [html.escape(source[end : part.start()]), f'<span class="{part.lastgroup}">']
        made += [html.escape(part[0]), "</span>"]
        end = part.end()
    return "".join(made) + html.escape(source[end:])
