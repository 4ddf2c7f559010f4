"""The list of products: what its cards say and do, and what it says where it cannot show any."""

from listing import CARDS, asked, choose, names, total


def test_cards_show_picture_name_category_price_and_a_button(browser, shop):
    browser.visit("/shop")
    first = shop.products()[0]

    card = browser.one(CARDS)

    assert first["name"] in card.text and first["category_name"] in card.text
    assert f"€{first['price']:,.2f}" in card.text
    browser.until(lambda: browser.run("return arguments[0].querySelector('img').naturalWidth > 0", card))
    assert browser.one("button", card).text == "Add to cart"
    total(browser, asked(shop)["pagination"]["total"])


def test_what_is_sold_out_or_nearly_so_says_so(browser, shop):
    shop.add(name="Sold Lamp", stock_quantity=0)
    shop.add(name="Rare Lamp", stock_quantity=3)

    browser.visit("/shop")

    assert names(browser)[:2] == ["Rare Lamp", "Sold Lamp"]
    rare, sold = browser.all(CARDS)[:2]
    assert "Only 3 left" in rare.text
    assert "Sold out" in sold.text and not browser.one("button", sold).is_enabled()


def test_an_address_that_the_api_refuses_says_why_and_leads_on(browser, shop):
    browser.refusals = ["400 (Bad Request)"]
    browser.visit("/shop?min_price=cheap")

    browser.shows("min_price", ".problem")
    browser.click(browser.button("See all products"))

    total(browser, asked(shop)["pagination"]["total"])


def test_where_nothing_is_found_what_was_meant_is_a_click_away(browser, shop):
    browser.visit("/shop?search=hedphones")
    browser.shows("No product", ".problem")

    browser.click(browser.button("Did you mean “headphones”?"))

    total(browser, asked(shop, "search=headphones")["pagination"]["total"])
    assert browser.address() == "/shop?search=headphones"
    assert browser.one("[role=combobox]").get_attribute("value") == "headphones"


def test_offline_is_said_in_place_and_mends_itself(browser, shop):
    browser.refusals = ["ERR_INTERNET_DISCONNECTED"]
    browser.visit("/shop")
    seen = names(browser)

    browser.network(offline=True)
    choose(browser, "Kitchen")
    browser.shows("cannot be reached", ".problem")
    assert browser.one("#offline").is_displayed()
    browser.click(browser.button("Try again"))
    browser.shows("cannot be reached", ".problem")
    browser.network()

    names(browser)
    browser.until(lambda: not browser.all(".problem:not([hidden])"))
    assert names(browser) != seen
    assert not browser.one("#offline").is_displayed()


def test_a_product_goes_into_the_cart_from_its_card(browser, shop):
    shop.add(name="Single Lamp", stock_quantity=1)
    browser.refusals = ["409 (Conflict)"]
    browser.visit("/shop")
    names(browser)
    card = browser.one(CARDS)

    browser.click(browser.one("button", card))
    browser.until(lambda: "Added to your cart." in card.text)
    browser.click(browser.one("button", card))

    browser.until(lambda: "Only 1 left, and 1 is in your cart." in card.text)
