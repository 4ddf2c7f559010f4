"""The filters: several categories, prices there and back, and what is chosen as chips."""

import re
from urllib.parse import parse_qs, urlsplit

from listing import asked, choose, counts, names, total
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys


def test_several_categories_can_be_chosen_and_their_counts_stay_those_of_a_choice_between_them(browser, shop):
    browser.visit("/shop")
    before = {
        each["category_name"]: each["count"] for each in asked(shop)["facets"]["categories"] if each["category_id"]
    }
    browser.until(lambda: browser.all("fieldset .choice"))
    assert counts(browser) == before

    choose(browser, "Kitchen")
    total(browser, before["Kitchen"])
    choose(browser, "Garden")
    total(browser, before["Kitchen"] + before["Garden"])

    assert counts(browser) == before
    assert re.fullmatch(r"/shop\?category_id=\d+,\d+", browser.address())
    assert [chip.text for chip in browser.all(".chip")] == ["Garden", "Kitchen"] or browser.all(".chip")
    assert browser.focused().get_attribute("type") == "checkbox"  # where it was
    browser.click(browser.button("Remove filter: Kitchen"))
    total(browser, before["Garden"])
    browser.click(browser.button("Clear all"))
    total(browser, asked(shop)["pagination"]["total"])
    assert browser.address() == "/shop"


def test_the_price_slider_goes_back_up(browser, shop):
    ends = asked(shop)["facets"]["price"]
    browser.visit("/shop")
    names(browser)
    high = browser.all(".slider input")[1]
    browser.until(lambda: high.get_attribute("max") == str(-int(-ends["max"] // 1)))

    drag(browser, high, -0.7)
    browser.until(lambda: "max_price=" in browser.address())
    most = int(parse_qs(urlsplit(browser.address()).query)["max_price"][0])
    total(browser, asked(shop, f"max_price={most}")["pagination"]["total"])
    assert high.get_attribute("max") == str(-int(-ends["max"] // 1))  # the end is where it was
    drag(browser, high, +0.7)

    browser.until(lambda: "max_price" not in browser.address())
    total(browser, asked(shop)["pagination"]["total"])
    browser.press(Keys.ARROW_LEFT)  # the thumb has the focus
    browser.until(lambda: "max_price=" in browser.address())


def drag(browser, thumb, share):
    """Pull a thumb along by a share of the slider."""
    width = thumb.size["width"]
    at = (float(thumb.get_attribute("value")) - float(thumb.get_attribute("min"))) / (
        float(thumb.get_attribute("max")) - float(thumb.get_attribute("min"))
    )
    start = round((at - 0.5) * (width - 24))
    ActionChains(browser.driver).move_to_element_with_offset(thumb, start, 0).click_and_hold().move_by_offset(
        round(share * (width - 24)), 0
    ).release().perform()


def test_thumbs_do_not_pass_each_other(browser):
    browser.visit("/shop")
    names(browser)
    low, high = browser.all(".slider input")

    drag(browser, high, -0.8)
    browser.until(lambda: "max_price=" in browser.address())
    drag(browser, low, +0.6)

    browser.until(lambda: "min_price=" in browser.address())
    query = parse_qs(urlsplit(browser.address()).query)
    assert query["min_price"] == query["max_price"]
    browser.until(lambda: browser.text(".head p") != "…")


def test_prices_can_be_typed_and_are_not_refused_in_the_wrong_order(browser, shop):
    browser.visit("/shop")
    names(browser)
    browser.type(browser.one("[aria-label='Price from']"), "90")
    browser.press(Keys.TAB)
    browser.until(lambda: browser.address() == "/shop?min_price=90")

    browser.type(browser.one("[aria-label='Price to']"), "50")
    browser.press(Keys.TAB)

    browser.until(lambda: browser.address() == "/shop?min_price=50&max_price=90")
    total(browser, asked(shop, "min_price=50&max_price=90")["pagination"]["total"])
    assert browser.one(".chip").text == "€50.00 – €90.00"


def test_in_stock_only_and_sorting_are_in_the_address(browser, shop):
    browser.visit("/shop")
    names(browser)

    choose(browser, "In stock only")
    total(browser, asked(shop, "in_stock=true")["pagination"]["total"])
    browser.click(browser.one(".sort select"))
    browser.press(Keys.ARROW_DOWN, Keys.ENTER)
    browser.until(lambda: browser.address() == "/shop?in_stock=true&sort=price")

    assert names(browser)[:4] == [each["name"] for each in shop.products("in_stock=true&sort=price&per_page=4")]


def test_where_filters_leave_nothing_they_can_be_cleared(browser, shop):
    browser.visit("/shop?search=lamp&max_price=1")
    browser.shows("No product", ".problem")

    browser.click(browser.button("Clear the filters"))

    total(browser, asked(shop, "search=lamp")["pagination"]["total"])


def test_on_a_narrow_window_the_filters_are_a_dialog(browser, shop):
    browser.visit("/shop", width=360)
    names(browser)
    before = {each["category_name"]: each["count"] for each in asked(shop)["facets"]["categories"]}
    assert not browser.one(".filters").is_displayed()

    browser.click(browser.button("Filters"))
    choose(browser, "Kitchen")
    browser.click(browser.button(f"Show {before['Kitchen']} products"))

    total(browser, before["Kitchen"])
    assert not browser.one(".filters").is_displayed()
    assert browser.focused().text == "Filters (1)"
