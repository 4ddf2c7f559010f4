"""The pages of the files of sql/: what they show, to whom, and that no name becomes a path."""

import dataclasses
import html
import re

import pytest
from helpers import SETTINGS

from core.setup.system import ROOT
from resources.docs import POLICY
from resources.docs_sql import coloured


@pytest.fixture
def developed(client, wired):
    """The client, of a shop that runs for development."""
    wired(dataclasses.replace(SETTINGS, server_timing=True))
    return client


def shown(page):
    """Return the file as a page shows it."""
    return html.unescape(re.sub(r"<[^>]+>", "", re.search(r"<pre[^>]*>(.*)</pre>", page, re.S)[1]))


@pytest.mark.parametrize("name", ["products/list_price", "cart/add", "audit/add"])
def test_a_file_is_shown_as_it_is_with_its_use_and_its_neighbours(developed, name):
    path = ROOT / "sql" / f"{name}.sql"
    answer = developed.get(f"/docs/sql/{name}", status=200)

    assert shown(answer.text) == path.read_text("utf-8")
    assert answer.headers.getall("Content-Security-Policy") == [POLICY]
    links = re.findall(r'href="/docs/sql/([^"]+)"', answer.text)
    assert links == [f"{path.parent.name}/{one.stem}" for one in sorted(path.parent.glob("*.sql"))]
    for link in links:
        developed.get(f"/docs/sql/{link}", status=200)


def test_who_uses_a_file_is_said_in_its_words(developed):
    page = developed.get("/docs/sql/products/list_price").text

    assert "GET /api/products?sort=price" in re.search(r"<strong>Used by</strong> (.*)</p>", page)[1]


@pytest.mark.parametrize(
    "name",
    [
        "products/none",
        "products/list.template",
        "products/list_price.sql",
        "none/list_price",
        "plans",
        "products/../cart/add",
        "products/%2e%2e%2fproducts%2flist_price",
        "..%2f..%2fserver",
        "..%2fmigrations/0001",
        "products/list_price%00",
        "Products/list_price",
    ],
)
def test_only_statements_are_shown(developed, name):
    assert developed.get(f"/docs/sql/{name}").status_int == 404


def test_a_shop_that_sells_shows_none(client):
    assert client.get("/docs/sql/products/list_price").status_int == 404


def test_what_stands_in_a_file_is_text():
    made = coloured("-- a <b> & c\nSELECT '<i>', id FROM t WHERE a < %(x)s AND b = 12 -- end")

    assert made == (
        '<span class="comment">-- a &lt;b&gt; &amp; c</span>\n<span class="word">SELECT</span> '
        '<span class="text">&#x27;&lt;i&gt;&#x27;</span>, id <span class="word">FROM</span> t '
        '<span class="word">WHERE</span> a &lt; <span class="value">%(x)s</span> <span class="word">AND</span> b = '
        '<span class="value">12</span> <span class="comment">-- end</span>'
    )
