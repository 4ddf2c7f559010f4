"""The pages, for those who see them not at all, or not well: axe finds nothing, and a keyboard suffices."""

import json

import pytest
from accessibility import AXE
from browser import Operation
from helpers import as_url, servers
from npm import require_exact_versions
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.slow

WIDTHS, SCHEMES = (360, 1280), ("light", "dark")
OPENED = [  # each kind of control is in one of them
    ("GET", "/api/products"),
    ("POST", "/api/products"),
    ("DELETE", "/api/products/{id}"),
    ("POST", "/api/products/import"),
    ("PUT", "/api/cart/items/{product_id}"),
    ("POST", "/api/users/login"),
    ("GET", "/api/ready"),
]
everywhere = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(scope="module")
def shop_url(accounts, tmp_path_factory):
    """The address of a real server without a storefront: its first page is the API's own."""
    with servers(tmp_path_factory.mktemp("server")) as begin:
        yield begin("--workers", "1", DATABASE_URL=as_url(accounts.application), STOREFRONT="off").url


def colours_of(chromium):
    """Return ground and ink of the page."""
    return chromium.run("const look = getComputedStyle(document.body); return [look.backgroundColor, look.color]")


def open_dialog(chromium):
    """Press Authorize; return the dialog."""
    chromium.one(".btn.authorize").click()
    return chromium.one("[role=dialog]")


@everywhere
@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_axe_finds_nothing_on_a_page(chromium, shop_url, violations, path, width):
    chromium.open(shop_url + path, width)
    chromium.one("h1")

    assert violations() == []


@everywhere
def test_axe_finds_nothing_on_docs_with_some_operations_expanded_and_executed(
    chromium, shop_url, make, violations, width
):
    make.product()
    chromium.open_docs(shop_url, width)
    for method, path in OPENED:
        Operation(chromium, method, path)
    Operation(chromium, "GET", "/api/products").execute()
    Operation(chromium, "GET", "/api/users/me").execute()  # which is refused
    for tab in chromium.all(".opblock-section-request-body .tablinks[data-name=model]"):
        chromium.click(tab)
    chromium.click(chromium.one(".models-control"))
    chromium.click(chromium.one(".models .json-schema-2020-12-accordion"))

    assert violations() == []
    assert chromium.overhang() == 0


@everywhere
def test_axe_finds_nothing_in_the_dialog_of_authorize(chromium, shop_url, violations, width):
    chromium.open_docs(shop_url, width)
    dialog = open_dialog(chromium)
    empty = violations()

    chromium.type(chromium.one("input", dialog), "a-token")
    chromium.click(chromium.one(".auth-btn-wrapper .authorize", dialog))
    chromium.one(".auth-btn-wrapper [aria-label=Logout]", dialog)

    assert empty == []
    assert violations() == []
    assert chromium.overhang() == 0


def test_axe_finds_what_is_wrong(chromium, shop_url, violations):
    """That the other tests find nothing means something only if something is found here."""
    chromium.open_docs(shop_url)

    chromium.run("document.querySelector('.opblock-summary-method').style.background = '#61affe'")
    chromium.run("document.querySelector('h1').remove()")
    chromium.run(
        "const style = new CSSStyleSheet(); document.adoptedStyleSheets.push(style);"
        "style.replaceSync('@media (prefers-color-scheme: dark) { h2 { color: #222 !important } }')"
    )

    found = violations()
    assert {text.partition(":")[0] for text in found} == {"color-contrast", "page-has-heading-one"}
    assert {text.endswith("(in the dark)") for text in found if "h2" in text} == {True}


def test_pages_are_light_or_dark_as_the_reader_prefers(chromium, shop_url):
    seen = {}
    for scheme in SCHEMES:
        chromium.open_docs(shop_url, scheme=scheme)
        seen[scheme] = colours_of(chromium)
        chromium.open(shop_url, scheme=scheme)
        assert colours_of(chromium) == seen[scheme]

    assert seen["light"] == ["rgb(251, 247, 242)", "rgb(42, 26, 32)"]
    assert seen["dark"] == ["rgb(25, 19, 22)", "rgb(243, 234, 230)"]


def test_docs_has_landmarks_and_headings_in_order(chromium, shop_url):
    chromium.open_docs(shop_url)

    landmarks = chromium.run(
        "return [...document.querySelectorAll('header, main, section[aria-label]')].map("
        "part => part.getAttribute('aria-label') ?? part.localName)"
    )
    levels = chromium.run(
        "return [...document.querySelectorAll('h1, h2, h3')].map("
        "heading => `h${heading.ariaLevel ?? heading.localName.at(1)}`)"
    )
    assert landmarks == ["header", "First steps", "About", "Authorization", "main", "Operations"]
    assert levels[:7] == ["h1", "h2", "h2", "h2", "h2", "h2", "h3"] and set(levels[7:]) == {"h3"}


def test_the_first_tab_leads_past_the_head_of_the_page(chromium, shop_url):
    chromium.open_docs(shop_url)

    chromium.press(Keys.TAB)
    assert chromium.focused().text == "Skip to the content"
    chromium.press(Keys.ENTER)
    chromium.press(Keys.TAB)

    assert chromium.run("return document.getElementById('operations').contains(document.activeElement)")


def test_the_dialog_takes_the_focus_keeps_it_and_gives_it_back(chromium, shop_url):
    chromium.open_docs(shop_url)
    dialog = open_dialog(chromium)

    assert chromium.focused() == chromium.one("input", dialog)
    for _ in range(8):
        chromium.press(Keys.TAB)
        assert chromium.run("return arguments[0].contains(document.activeElement) || !document.hasFocus()", dialog)
    chromium.press(Keys.ESCAPE)

    chromium.until(lambda: not chromium.all("[role=dialog]"))
    assert chromium.focused() == chromium.one(".btn.authorize")


def test_what_has_the_focus_shows_it(chromium, shop_url):
    chromium.open_docs(shop_url)

    seen = []
    for _ in range(12):
        chromium.press(Keys.TAB)
        seen.append(
            chromium.run(
                "const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);"
                "return [outlineStyle, outlineWidth]"
            )
        )

    assert seen == [["solid", "3px"]] * 12


def test_the_lock_names_exact_versions_and_no_host():
    require_exact_versions(
        *(json.loads((AXE / name).read_text("utf-8")) for name in ("package.json", "package-lock.json"))
    )
