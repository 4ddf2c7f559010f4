"""The list without an end: its place holds, nothing is missing, the focus stays."""

import re

import pytest
from listing import asked, names, places, scroll, scroll_to, total
from selenium.webdriver.common.keys import Keys


def same_places(before, now):
    """Whether all cards that were there, and are there, are where they were; most of them."""
    both = before.keys() & now.keys()
    return len(both) > 20 and all(before[name] == now[name] for name in both)


def test_back_shows_what_was_left_to_the_pixel_and_gives_the_focus_back(browser):
    browser.visit("/shop?sort=name")
    names(browser)
    scroll_to(browser, 200)
    before, link = places(browser), browser.all(".name a")[12]
    name, top = link.text, browser.run("return arguments[0].closest('li').getBoundingClientRect().top", link)

    link.click()
    browser.until(lambda: browser.text("h1") == name)
    assert browser.run("return scrollY") == 0
    browser.driver.back()
    browser.until(lambda: browser.all(".grid"))

    browser.until(lambda: places(browser).get(name) == round(top))
    assert same_places(before, places(browser))
    browser.until(lambda: browser.focused().text == name)


def test_a_reload_shows_the_same(browser):
    browser.visit("/shop?category_id=4,5,6&sort=-price")
    names(browser)
    scroll_to(browser, 60)
    before, address = places(browser), browser.address()

    browser.driver.refresh()

    browser.until(lambda: browser.all(".grid"))
    browser.until(lambda: same_places(before, places(browser)))
    assert browser.address() == address


def test_a_shared_link_shows_the_same_products_also_when_others_have_come_before_them(browser, shop):
    browser.visit("/shop")
    names(browser)
    seen, link = scroll_to(browser, 300), browser.address()
    assert re.fullmatch(r"/shop\?at=\d+&after=[\w-]+", link)
    for _ in range(5):
        shop.add(name="A Newcomer")

    browser.forget()
    browser.visit(link)

    browser.until(lambda: browser.all(".grid"))
    browser.until(lambda: names(browser)[:8] == seen[:8])


def test_from_a_shared_link_one_scrolls_up_to_the_beginning_and_nothing_is_missing(browser, shop):
    browser.visit("/shop?sort=price")
    names(browser)
    scroll_to(browser, 240)
    link = browser.address()
    every = [each["name"] for page in (1, 2, 3) for each in shop.products(f"sort=price&per_page=100&page={page}")]

    browser.forget()
    browser.visit(link)
    browser.until(lambda: browser.run("return scrollY") > 5000)
    found = set(names(browser))
    while browser.run("return scrollY") > 0:
        scroll(browser, -700)
        browser.driver.execute_async_script("setTimeout(arguments[0], 60)")
        found |= set(names(browser))

    assert set(every[:240]) <= found
    assert names(browser)[:8] == every[:8]
    browser.until(lambda: browser.address() == "/shop?sort=price")


@pytest.mark.parametrize("after", ["nonsense", "WyJwcmljZSIsMiwyNCwiOS45OSIsNF0"])
def test_an_address_with_a_cursor_that_does_not_fit_goes_by_the_number(browser, shop, after):
    browser.refusals = ["400 (Bad Request)"]

    browser.visit(f"/shop?sort=name&at=240&after={after}")

    expected = [each["name"] for each in shop.products("sort=name&per_page=24&page=11")]
    browser.until(lambda: names(browser)[:8] == expected[:8])


def test_an_address_behind_the_end_shows_the_end(browser, shop):
    browser.visit("/shop?search=lamp&at=9000")

    total(browser, asked(shop, "search=lamp")["pagination"]["total"])
    assert names(browser)


def test_a_page_that_cannot_be_had_is_said_below_the_products_that_are_there(browser):
    browser.refusals = ["ERR_INTERNET_DISCONNECTED"]
    browser.visit("/shop")
    seen = names(browser)

    browser.network(offline=True)
    scroll(browser, 6000)
    browser.shows("cannot be reached", ".problem")
    browser.network()
    browser.until(lambda: not browser.all(".problem:not([hidden])"))

    assert names(browser) and names(browser) != seen


def test_tab_leads_through_the_products_and_the_focus_is_never_lost(browser):
    browser.visit("/shop?in_stock=true")
    names(browser)
    browser.run("document.querySelector('.name a').focus()")
    link = "return document.activeElement.closest('li')?.index"

    seen = []
    for _ in range(60):
        seen.append(browser.run(link))
        browser.press(Keys.TAB)
        browser.until(lambda: browser.run("return !document.activeElement.closest('li')?.querySelector('.skeleton')"))

    assert seen == [index for index in range(30) for _ in "ab"]
    here = browser.focused()
    scroll(browser, 9000)
    browser.driver.execute_async_script("setTimeout(arguments[0], 500)")
    assert browser.focused() == here
    assert browser.run("return document.querySelectorAll('.goods').length") < 60


def test_screen_readers_hear_how_many_there_are_and_which_one_this_is(browser, shop):
    browser.visit("/shop")
    names(browser)
    size = asked(shop)["pagination"]["total"]
    total(browser, size)
    said = "return [...document.querySelectorAll('.goods')].map(li => [li.ariaPosInSet, li.ariaSetSize])"
    assert browser.run(said)[:2] == [["1", str(size)], ["2", str(size)]]

    scroll_to(browser, 100)

    positions = [int(position) for position, _ in browser.run(said)]
    assert positions == list(range(positions[0], positions[0] + len(positions))) and positions[0] > 50
