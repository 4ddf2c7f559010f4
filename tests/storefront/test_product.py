"""A product's page: what it is, what is left of it, how many to buy, and the answer where one asked."""

from listing import names, scroll_to
from selenium.webdriver.common.keys import Keys


def open_page(browser, product, width=1280):
    """Open a product's page; wait for what it says."""
    browser.visit(f"/shop/products/{product['id']}", width)
    browser.until(lambda: browser.text("h1") == product["name"])


def answer(browser, text):
    """Wait for what is said below the button."""
    browser.until(lambda: browser.text(".answer") == text)


def test_the_page_shows_what_the_product_is(browser, shop):
    product = shop.products("in_stock=true")[0]

    open_page(browser, product)

    shown = browser.text(".product")
    for text in (product["description"], f"€{product['price']:,.2f}", product["category_name"], "In stock"):
        assert text in shown or "Only" in shown
    picture = browser.one(".product img")
    browser.until(lambda: browser.run("return arguments[0].naturalWidth > 0", picture))
    assert picture.get_attribute("alt") == f"Picture of {product['name']}"
    assert browser.run("return document.title") == product["name"]
    browser.click(browser.button(product["category_name"]))
    browser.until(lambda: browser.address() == f"/shop?category_id={product['category_id']}")


def test_so_many_as_chosen_go_into_the_cart(browser, shop):
    open_page(browser, shop.add(name="Plenty Lamp", stock_quantity=40))

    browser.click(browser.button("One more"))
    browser.click(browser.button("One more"))
    browser.click(browser.button("One less"))
    browser.click(browser.button("Add to cart"))

    answer(browser, "Added to your cart.")
    browser.type(browser.one("[aria-label=Quantity]"), "5")
    browser.press(Keys.ENTER)
    answer(browser, "Added: 7 are in your cart.")


def test_a_quantity_stays_between_one_and_what_is_there(browser, shop):
    open_page(browser, shop.add(stock_quantity=4))
    field = browser.one("[aria-label=Quantity]")

    browser.click(browser.button("One less"))
    assert field.get_attribute("value") == "1"
    for typed, taken in (("99", "4"), ("0", "1"), ("2.6", "3")):
        browser.type(field, typed)
        browser.press(Keys.TAB)
        assert field.get_attribute("value") == taken


def test_more_than_there_is_says_how_many_are_left_and_how_many_are_in_the_cart(browser, shop):
    browser.refusals = ["409 (Conflict)"]
    open_page(browser, shop.add(stock_quantity=3))
    assert "Only 3 left" in browser.text(".product")
    browser.click(browser.button("One more"))
    browser.click(browser.button("Add to cart"))
    answer(browser, "Added to your cart.")

    browser.click(browser.button("Add to cart"))

    answer(browser, "Only 3 left, and 2 are in your cart.")


def test_a_product_that_is_withdrawn_meanwhile_says_so_in_place(browser, shop):
    browser.refusals = ["404 (Not Found)", "409 (Conflict)"]
    product = shop.add()
    open_page(browser, product)
    shop.withdraw(product["id"])

    browser.click(browser.button("Add to cart"))

    answer(browser, "This product is no longer sold.")


def test_a_product_that_is_sold_out_cannot_be_put_into_the_cart(browser, shop):
    open_page(browser, shop.add(stock_quantity=0))

    assert "Sold out" in browser.text(".product")
    assert not browser.button("Add to cart").is_enabled()
    assert not browser.all(".stepper")


def test_a_product_that_is_not_there_says_so_with_a_way_on(browser):
    browser.refusals = ["404 (Not Found)"]
    browser.visit("/shop/products/999999")

    browser.shows("no longer sold")
    browser.click(browser.button("See all products"))

    names(browser)


def test_offline_the_page_says_so_and_tries_again(browser):
    browser.refusals = ["ERR_INTERNET_DISCONNECTED"]
    browser.visit("/shop")
    first = names(browser)[0]
    browser.click(browser.all(".name a")[0])
    browser.until(lambda: browser.text("h1") == first)
    browser.driver.back()
    browser.until(lambda: browser.all(".grid"))
    seen = names(browser)

    browser.network(offline=True)
    browser.click(browser.all(".name a")[1])
    browser.shows("cannot be reached")
    browser.network()
    browser.click(browser.button("Try again"))

    browser.until(lambda: browser.text("h1") == seen[1])


def test_the_way_back_leads_to_where_the_list_was_left(browser):
    browser.visit("/shop?sort=name")
    names(browser)
    seen = scroll_to(browser, 80)
    address = browser.address()

    browser.all(".name a")[12].click()
    browser.click(browser.button("Back to the products"))

    browser.until(lambda: browser.all(".grid"))
    browser.until(lambda: names(browser)[:8] == seen[:8])
    assert browser.address() == address
