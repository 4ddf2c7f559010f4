"""The pictures of seeded products: what an address shows, for ever, and that nothing else is drawn."""

import hashlib
import itertools
from xml.etree import ElementTree

import pytest
from helpers import NOWHERE, as_url

from core.app import app
from resources import images
from resources.images import COLOURS, ICONS, Subject, drawing

LAMP = "/images/v1/desk-lamp-l523-forest-green.svg"
SVG = "{http://www.w3.org/2000/svg}"
ALL = [Subject(thing, "L523", colour) for thing, colour in itertools.product(ICONS, COLOURS)]


def test_a_picture_is_an_svg_that_a_browser_may_show_anywhere_and_keep_for_ever(client):
    answer = client.get(LAMP)

    assert answer.content_type == "image/svg+xml"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers.getall("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"]


def test_a_picture_says_in_words_what_it_shows(client):
    drawn = ElementTree.fromstring(client.get(LAMP).body)

    assert drawn.attrib["role"] == "img"
    assert drawn.find(f"{SVG}title").text == "Desk Lamp L523, Forest Green"
    assert drawn.attrib["aria-labelledby"] == drawn.find(f"{SVG}title").attrib["id"]
    assert [text.text for text in drawn.iter(f"{SVG}text")] == ["Desk Lamp", "Forest Green · L523"]


def test_every_picture_is_small_and_well_formed_and_holds_nothing_that_runs_or_loads():
    for subject in ALL:
        data = drawing(subject)
        elements = list(ElementTree.fromstring(data).iter())
        assert {element.tag.removeprefix(SVG) for element in elements} <= {
            *("svg", "title", "defs", "linearGradient", "stop", "path", "g", "circle", "rect", "text")
        }
        assert not any(name.startswith("on") or "href" in name for element in elements for name in element.attrib)
        assert 1000 < len(data) < 2500, (subject, len(data))


def test_the_bytes_of_an_address_never_change():
    """They are cached for a year. Whoever draws otherwise raises VERSION: it stands in the addresses."""
    data = b"".join(drawing(subject) for subject in ALL)

    known = {1: "033c5b0e7317367dffe3aaa0d2db06f57688a859476b243d4ec3bf34bfcdc30c"}
    assert known[images.VERSION] == hashlib.sha256(data).hexdigest()


def test_another_product_is_another_picture():
    assert len({drawing(subject) for subject in ALL}) == len(ALL)
    assert drawing(Subject("Desk Lamp", "L523", "Navy")) != drawing(Subject("Desk Lamp", "L524", "Navy"))


@pytest.mark.parametrize(
    "path",
    [
        "/images/desk-lamp-l523.jpg",
        "/images/v1/desk-lamp-l523-forest-green.png",
        "/images/v1/desk-lamp-l523-forest-green",
        "/images/v2/desk-lamp-l523-forest-green.svg",
        "/images/v1/desk-lamp-l523-pink.svg",
        "/images/v1/desk-lamp-l5233-navy.svg",
        "/images/v1/desk-lamp-%C4%BC523-navy.svg",
        "/images/v1/Desk-Lamp-L523-Navy.svg",
        "/images/v1/pay-at-evil-example-l523-navy.svg",
        "/images/v1/%3Cscript%3E-l523-navy.svg",
        "/images/v1/..%2fdesk-lamp-l523-navy.svg",
        "/images/v1/" + "a" * 5000 + "-l523-navy.svg",
        "/images/v1/",
        "/images",
    ],
)
def test_what_is_no_picture_is_a_404_in_the_envelope(client, path):
    answer = client.get(path)

    assert (answer.status_int, answer.json["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_picture_takes_no_parameters_and_cannot_be_changed(client):
    assert client.get(LAMP + "?v=2").status_int == 400
    assert client.post(LAMP).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert client.head(LAMP).status_int == 200


def test_a_picture_needs_no_database(wired):
    assert wired(url=NOWHERE).get(LAMP).status_int == 200


def test_a_picture_is_given_from_memory_with_all_its_headers(start, accounts, sql):
    real = start("--workers", "1", DATABASE_URL=as_url(accounts.application))

    first, second = real.request(LAMP), real.request(LAMP)
    known = real.request(LAMP, If_None_Match=first.headers["Etag"])

    assert "Age" in second.headers and second.body == first.body
    own = ("Content-Type", "Cache-Control", "Cross-Origin-Resource-Policy", "Content-Security-Policy", "Etag")
    lower = [{name.lower(): value for name, value in answer.headers.items()} for answer in (first, second)]
    assert all(lower[0][name.lower()] == lower[1][name.lower()] for name in own)
    assert (known.status, known.body) == (304, b"")


def addresses(node):
    """Yield every example of an image_url in a part of the API document."""
    if isinstance(node, dict):
        match node.get("image_url"):
            case str(path):
                yield path
            case {"examples": paths}:
                yield from paths
        for inner in node.values():
            yield from addresses(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from addresses(inner)


def test_the_pictures_in_the_examples_of_the_api_document_exist(client):
    found = set(addresses(client.get("/api/openapi.json").json))

    assert found
    assert {path: client.get(path).status_int for path in found} == dict.fromkeys(found, 200)


def test_the_routes_of_pictures_are_not_in_the_api_document(client):
    assert not any("images" in path for path in client.get("/api/openapi.json").json["paths"])
    assert any(route.rule.startswith("/images/") for route in app.routes)
