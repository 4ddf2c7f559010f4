"""The drawer with the API calls: what it tells of each, and that curl, TypeScript and the links to SQL hold."""

import json
import re
import subprocess

import pytest
from accessibility import axe, violations  # noqa: F401 - fixtures
from selenium.webdriver.common.keys import Keys


def open_drawer(browser):
    """Click the button at the foot, which is wired when all else is there."""
    browser.one("#inspect[aria-expanded]")
    browser.click(browser.button("See this page's API calls"))


@pytest.fixture
def opened(browser):
    """A visitor at a product, who has opened the drawer by the button at the foot."""
    browser.visit("/shop/products/3")
    open_drawer(browser)
    browser.until(lambda: len(browser.all("#inspector li")) >= 2)
    return browser


def opened_row(browser, method, path):
    """Open the row of a call; return its element when it is filled."""
    find = """return [...document.querySelectorAll('#inspector ol > li')].find(row =>
        row.querySelector('.method').textContent === arguments[0]
            && row.querySelector('.url').textContent.split('?')[0] === arguments[1])"""
    row = browser.until(lambda: browser.run(find, method, path))
    browser.click(browser.one("summary", row))
    browser.one("section", row)
    return row


def code_of(browser, row, title):
    """Return the text of a frame."""
    return browser.run("return arguments[0].textContent", browser.one(f"pre[aria-label='{title}']", row))


def test_each_call_is_told_with_its_status_its_time_and_its_size(opened):
    rows = [row.text for row in opened.all("#inspector ol > li")]

    assert any(re.search(r"GET\s+/api/products/3\s+200\s+[\d.,]+ ms · [\d.,]+ K?B", row) for row in rows), rows
    assert any("/api/shop" in row for row in rows)


def test_a_call_names_the_sql_that_it_ran_and_leads_to_its_source(opened, shop):
    shop.change(3, name="Another Name")  # so that no memory has it
    opened.driver.refresh()
    open_drawer(opened)
    row = opened_row(opened, "GET", "/api/products/3")

    link = opened.one("a[href^='/docs/sql/']", row)
    assert re.fullmatch(r"sql/products/\w+\.sql", link.text)
    assert re.search(r"[\d.,]+ ms", opened.one("section", row).text)

    page = shop.real.request("/docs/sql/" + link.text.removeprefix("sql/").removesuffix(".sql"))
    assert page.status == 200 and b"SELECT" in page.body


def test_what_comes_from_a_memory_is_told(opened):
    opened.driver.refresh()
    open_drawer(opened)
    row = opened_row(opened, "GET", "/api/products/3")

    assert re.search(r"304|memory", opened.one("summary", row).text)


def test_the_command_runs_as_it_stands_and_gives_the_same(opened):
    row = opened_row(opened, "GET", "/api/products/3")

    command = code_of(opened, row, "curl")
    ran = subprocess.run(["bash", "-c", command], capture_output=True, check=True)

    assert json.loads(ran.stdout)["data"] == json.loads(code_of(opened, row, "Answer"))["data"]


def test_a_call_with_a_body_runs_as_a_command_too_whatever_is_in_it(opened):
    opened.run(
        """return import(document.querySelector('script[type=module]').src.replace('app.js', 'api.js')).then(({call}) =>
        call('POST', '/api/users/login', {body: {email: "o'hara@example.com", password: "It's $HOME `x`"}})
            .catch(() => {}))"""
    )
    opened.refusals.append("401")
    row = opened_row(opened, "POST", "/api/users/login")

    command = code_of(opened, row, "curl")
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, env={"PASSWORD": "wrong", "PATH": "/usr/bin:/bin"}
    )

    assert json.loads(ran.stdout)["error"]["code"] == "INVALID_CREDENTIALS"
    assert "HOME" not in row.text and '"password": "…"' in code_of(opened, row, "Request")
    assert "o'hara" in code_of(opened, row, "Request")


def test_a_call_is_shown_as_typescript_of_the_generated_types(opened):
    row = opened_row(opened, "GET", "/api/products/3")

    text = code_of(opened, row, "TypeScript")

    assert 'client.GET("/api/products/{id}", {\n  params: {\n    path: {\n      id: 3\n    }\n  }\n});' in text
    assert 'import createClient from "openapi-fetch";' in text


def test_the_drawer_is_used_by_keyboard_and_covers_nothing(opened):
    assert opened.run("return document.getElementById('inspector').contains(document.activeElement)")
    for width in (360, 1280):
        opened.visit("/shop/products/3", width)
        open_drawer(opened)
        opened.one("#inspector summary")
        opened.click(opened.one(".brand"))  # Visitor.click fails where something covers it
        assert opened.overhang() == 0
        opened.click(opened.one("#inspector summary"))
        opened.press(Keys.ESCAPE)
        assert not opened.one("#inspector").is_displayed()


def test_the_tab_at_the_edge_opens_it_too(browser):
    browser.visit("/shop/products/3")

    browser.click(browser.button("API calls of this page"))

    assert browser.one("#inspector").is_displayed()
    assert browser.one("#inspect").get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_in_the_drawer_and_on_the_page_of_a_file(opened, violations, width):  # noqa: F811
    opened.visit("/shop/products/3", width)
    open_drawer(opened)
    opened_row(opened, "GET", "/api/products/3")
    opened.run("scrollTo(0, 0)")  # so that the bar at the top covers nothing
    assert violations() == []

    opened.visit("/docs/sql/products/list_price", width)
    assert violations() == []
    assert opened.overhang() == 0
