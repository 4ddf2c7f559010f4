"""Pictures of the products that `seed` makes: drawn from the words in the address, without a look at the database.

The address has the thing, the model and the colour: /images/v1/desk-lamp-l523-forest-green.svg. So a product with
another name has another address, and the bytes of one address never change: they may be cached for ever. Only known
things and colours are drawn; nobody can have a sentence of his own shown from the shop's host.

Pictures come from memory as other answers do: 30,000 to 38,000 a second from one worker, and 6,400 to 7,700 with
CACHE_TTL=0 (`wrk -c16` on 2 cores, one picture and 900).
"""

import hashlib
import pathlib
import re
from typing import NamedTuple
from xml.sax.saxutils import escape

from bottle import response

from core.app import add_filter, app
from core.cache import Cached
from core.errors import NotFound
from core.identity.auth import PUBLIC

HERE = pathlib.Path(__file__).parent / "pictures"
VERSION = 1  # of the drawing; another drawing is another address
FOR_EVER = Cached(control="public, max-age=31536000, immutable")

LIGHT, DARK = "#fff", "#3d342c"
COLOURS = {  # a colour's name, the colour, and what is drawn on it
    "Black": ("#2b2b30", LIGHT),
    "White": ("#f4f2ee", DARK),
    "Graphite": ("#4d525b", LIGHT),
    "Sand": ("#d8bf98", DARK),
    "Forest Green": ("#2f6048", LIGHT),
    "Navy": ("#263b69", LIGHT),
    "Terracotta": ("#c1613d", LIGHT),
    "Stone Grey": ("#8d8c88", LIGHT),
    "Olive": ("#787a3b", LIGHT),
    "Cream": ("#f1e2bf", DARK),
}
TEMPLATE = (HERE / "picture.svg").read_text("utf-8")


class Subject(NamedTuple):
    """What a picture shows."""

    thing: str
    model: str
    colour: str


def _elements(parts: list[str]) -> str:
    """Return the SVG of the parts of an icon: pictures/icons.txt has their notation."""
    found = []
    for kind, *numbers in (part.split() for part in parts):
        if kind == "O":
            found.append('<circle cx="{}" cy="{}" r="{}"/>'.format(*numbers))
        elif kind == "R":
            found.append('<rect x="{}" y="{}" width="{}" height="{}" rx="{}"/>'.format(*numbers))
        else:
            found.append(f'<path d="{" ".join([kind, *numbers])}"/>')
    return "".join(found)


def _icons() -> dict[str, str]:
    """Return {thing: the SVG of its icon}."""
    lines = (HERE / "icons.txt").read_text("utf-8").splitlines()
    rows = [[part.strip() for part in line.split("|")] for line in lines if not line.startswith("#")]
    return {thing: _elements(parts) for thing, *parts in rows}


def _slug(words: str) -> str:
    return words.lower().replace(" ", "-").replace("'", "")


ICONS = _icons()
_THINGS, _COLOURS = ({_slug(name): name for name in names} for names in (ICONS, COLOURS))
ADDRESS = re.compile(rf"({'|'.join(_THINGS)})-([a-z][0-9]{{3}})-({'|'.join(_COLOURS)})\Z")


def subject_of(text: str) -> Subject:
    """Return what the words of an address name; raise NotFound."""
    found = ADDRESS.match(text)
    if not found:
        raise NotFound("There is no such picture.")
    return Subject(_THINGS[found[1]], found[2].upper(), _COLOURS[found[3]])


add_filter(app, "subject", r"[a-z0-9-]{1,100}", subject_of, {"type": "string"})


@app.get(
    f"/images/v{VERSION}/<subject:subject>.svg", auth=PUBLIC, hidden=True, produces="image/svg+xml", cache=FOR_EVER
)
def get_picture(subject: Subject) -> bytes:
    """Give the picture of a seeded product."""
    response.set_header("Cross-Origin-Resource-Policy", "cross-origin")  # for the pages of storefronts elsewhere
    return drawing(subject)


def drawing(subject: Subject) -> bytes:
    """Return an SVG of 800 × 800: always the same for the same subject."""
    thing, model, colour = subject
    chance = hashlib.blake2b(" ".join(subject).encode(), digest_size=7).digest()
    return TEMPLATE.format(
        title=escape(f"{thing} {model}, {colour}"),
        thing=escape(thing),
        model=model,
        colour=COLOURS[colour][0],
        colour_name=colour,
        ink=COLOURS[colour][1],
        icon=ICONS[thing],
        angle=20 + chance[0] % 50,
        x1=chance[1],  # in the upper left, 0 to 255; the other one in the lower right
        y1=chance[2],
        r1=90 + chance[3] // 3,
        x2=800 - chance[4],
        y2=800 - chance[5],
        r2=110 + chance[6] // 3,
    ).encode()
