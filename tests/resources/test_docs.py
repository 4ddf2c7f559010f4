"""The pages for people: their headers, what they are made of, and who gets JSON instead."""

import dataclasses
import hashlib
import pathlib
import re

import pytest
from helpers import SETTINGS

from core.app import app
from core.shop import Shop
from resources import docs

PAGES = pathlib.Path(docs.__file__).parent / "pages"
VENDORED = pathlib.Path(docs.__file__).parent / "swagger-ui"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PATHS = ["/docs", *(f"/docs/{name}" for name in docs.FILES)]


@pytest.fixture
def api_alone(client, wired):
    """The client, of a shop without a storefront."""
    wired(dataclasses.replace(SETTINGS, storefront=False))
    return client


def browse(client, path, **headers):
    """Ask as a browser asks for a page."""
    return client.get(path, headers={"Accept": BROWSER, **headers})


@pytest.mark.parametrize("path", ["/", *PATHS])
def test_every_page_and_file_is_protected_alike(api_alone, path):
    answer = browse(api_alone, path)

    (policy,) = answer.headers.getall("Content-Security-Policy")
    assert answer.status_int == 200
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy and "http" not in policy
    for directive in ("object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert directive in policy
    assert answer.headers.getall("Referrer-Policy") == ["no-referrer"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"


@pytest.mark.parametrize("path", PATHS)
def test_what_a_browser_has_already_is_not_sent_again(client, path):
    etag = browse(client, path).headers["ETag"]

    again = browse(client, path, **{"If-None-Match": etag})

    assert (again.status_int, again.body) == (304, b"")
    assert "Content-Security-Policy" in again.headers


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("docs.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("favicon.svg", "image/svg+xml"),
    ],
)
def test_files_have_the_type_that_nosniff_asks_for(client, name, media):
    assert browse(client, f"/docs/{name}").content_type == media


@pytest.mark.parametrize(
    "name", ["docs.py", "VERSION", "home.html", "../docs.py", "%2e%2e/docs.py", "..%2f..%2fserver.py", "x/docs.js"]
)
def test_only_what_is_listed_is_served(client, name):
    answer = client.get(f"/docs/{name}")

    assert (answer.status_int, answer.json["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/docs.js"])
def test_pages_take_no_query_parameters(api_alone, path):
    answer = browse(api_alone, path + "?url=http://evil.example/openapi.json")

    assert (answer.status_int, answer.json["error"]["details"]["field"]) == (400, "url")


@pytest.mark.parametrize("page", ["/", "/docs", "/nowhere"])
def test_a_page_has_nothing_inline_and_nothing_from_elsewhere(api_alone, page):
    html = browse(api_alone, page).text

    used = re.findall(r'(?:src|href)="([^"#][^"]*)"', html)
    assert "/docs/style.css" in used and all(
        api_alone.get(path).status_int == 200 for path in used if path != "/api/ready"
    )
    assert all(path.startswith("/") and not path.startswith("//") for path in used)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    assert '<html lang="en">' in html and "<title>" in html and 'name="viewport"' in html


def test_every_page_and_file_of_ours_is_served():
    ours = {name for name, (folder, _) in docs.FILES.items() if folder == "pages"}

    assert {path.name for path in PAGES.iterdir()} == ours | {
        "home.html",
        "docs.html",
        "intro.html",
        "missing.html",
        "sql.html",
    }


def test_swagger_ui_is_what_its_makers_published():
    package, *lines = (VENDORED / "VERSION").read_text().splitlines()
    known = {name: digest for digest, name in (line.split("  ") for line in lines)}

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDORED.iterdir()}

    assert re.fullmatch(r"swagger-ui-dist 5\.\d+\.\d+", package)
    assert found.pop("VERSION") and found == known
    assert {"LICENSE", "NOTICE"} <= set(found)


def test_pages_are_not_in_the_api_document(client):
    document = client.get("/api/openapi.json").json

    assert all(path.startswith("/api/") for path in document["paths"])
    assert document["servers"] == [{"url": "/"}]
    assert "docs" not in {tag["name"] for tag in document["tags"]}


# GET /: a page or JSON


@pytest.mark.parametrize(
    "accept", [BROWSER, "text/html", "text/html;q=0.9, application/json;q=0.8", "text/*", "TEXT/HTML, */*; q=0.1"]
)
def test_a_browser_gets_a_page(client, accept):
    answer = client.get("/", headers={"Accept": accept})

    assert answer.content_type == "text/html" and 'href="/docs"' in answer.text
    assert set(answer.headers["Vary"].split(", ")) == {"Origin", "Accept", "Accept-Encoding"}


def test_a_browser_gets_the_storefront_and_without_one_the_first_words_of_the_api(client, wired):
    shop, grid = browse(client, "/?search=lamp&sort=price"), browse(client, "/shop")
    wired(dataclasses.replace(SETTINGS, storefront=False))
    api = browse(client, "/")

    assert shop.text == grid.text
    assert "<h1>An e-commerce API</h1>" in api.text and 'href="/docs"' in api.text


def test_a_program_that_mistypes_a_parameter_of_the_first_page_is_told(client):
    assert client.get("/?perpage=1", status=400).json["error"]["details"]["field"] == "perpage"


def test_docs_begins_with_the_words_of_the_first_page(api_alone):
    words = re.compile(r"<h[12][^>]*>.*?</h[12]>|<li>.*?</li>", re.S)

    assert words.findall(browse(api_alone, "/").text) == words.findall(browse(api_alone, "/docs").text) != []


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/json",
        "application/json, text/html",
        "text/html;q=0, */*",
        "text/html;q=0.1, */*;q=0.5",
        "text/html;q=much",
        ";;,,",
        "image/png",
    ],
)
def test_everything_else_gets_the_same_as_json(client, accept):
    answer = client.get("/", headers={"Accept": accept} if accept else {})

    assert answer.content_type == "application/json" and answer.json["success"] is True
    assert answer.json["data"]["name"] == SETTINGS.shop.name
    assert set(answer.headers["Vary"].split(", ")) == {"Origin", "Accept"}


def test_every_link_leads_somewhere(client):
    links = client.get("/").json["data"]["links"]

    assert {"/shop", "/docs", "/api/shop", "/api/products", "/api/health"} <= set(links.values())
    assert {link: client.get(link).status_int for link in links.values()} == dict.fromkeys(links.values(), 200)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_answers_head_and_refuses_what_would_change_it(client, path):
    head, post = client.head(path, headers={"Accept": BROWSER}), client.post(path)

    assert (head.status_int, head.body, head.content_type) == (200, b"", "text/html")
    assert (post.status_int, post.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_first_page_tells_a_program_the_name_of_this_very_shop(wired):
    client = wired(dataclasses.replace(SETTINGS, shop=Shop("Corner Shop")))

    assert client.get("/").json["data"]["name"] == "Corner Shop"


# What does not exist

UNKNOWN = [
    "/nowhere",
    "/docs/none.css",
    "/images/v1/none.svg",
    "/apis",
    "/index.html",
    "/nowhere/",
    "/%C3%A4/%F0%9F%98%80",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_page_tells_a_browser_in_html(client, path):
    answer = browse(client, path)

    assert (answer.status_int, answer.content_type) == (404, "text/html")
    assert 'href="/docs"' in answer.text and "<h1>There is nothing at this address</h1>" in answer.text
    assert set(answer.headers["Vary"].split(", ")) == {"Origin", "Accept"}
    assert answer.headers.getall("Content-Security-Policy") == [docs.POLICY]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"] and answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "image/avif,image/webp,*/*;q=0.8"])
def test_an_unknown_page_tells_everybody_else_in_the_envelope(client, path, accept):
    answer = client.get(path, headers={"Accept": accept} if accept else {})

    assert (answer.status_int, answer.json["error"]["code"]) == (404, "NOT_FOUND")
    assert set(answer.headers["Vary"].split(", ")) == {"Origin", "Accept"}


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nowhere", "/api/products/999999", "/api/products/0"])
def test_under_api_a_browser_gets_json_too(client, path):
    answer = browse(client, path)

    assert (answer.status_int, answer.json["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_what_would_change_an_unknown_page_gets_json(client, method):
    answer = getattr(client, method)("/nowhere", headers={"Accept": BROWSER})

    assert (answer.status_int, answer.json["error"]["code"]) == (404, "NOT_FOUND")


def test_the_page_shows_nothing_of_what_was_asked_for(client):
    assert "evil" not in browse(client, "/%3Cscript%3Eevil%3C/script%3E?evil=1").text


def test_an_unknown_page_answers_head(client):
    head = client.head("/nowhere", headers={"Accept": BROWSER})

    assert (head.status_int, head.content_type, head.body) == (404, "text/html", b"")


def test_a_page_that_exists_refuses_in_json(client):
    assert browse(client, "/docs?x=1").json["error"]["code"] == "VALIDATION_ERROR"


def test_whoever_reads_the_routes_sees_that_pages_are_hidden():
    rules = {route.rule for route in app.routes if route.config.get("hidden")}
    rules = {rule for rule in rules if not rule.startswith(("/shop", "/password-reset", "/storefront/", "/docs/sql/"))}

    assert rules == {"/", *PATHS, "/images/v1/<subject:subject>.svg"}
