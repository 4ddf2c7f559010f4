"""The cart at the side, in a real browser: what it shows is what the shop has, whoever changes it meanwhile."""

import pytest
from accessibility import axe, violations  # noqa: F401 - fixtures
from buyers import in_cart, logged_in, of_line, open_cart, rows, token_of, with_cart
from helpers import bearer, eventually
from selenium.webdriver.common.keys import Keys

DRAWER = "dialog.cart"


def test_the_drawer_has_each_line_and_the_total_of_the_api(browser, shop):
    lamp, desk = shop.add(name="Drawer Lamp", price=19.9), shop.add(name="Drawer Desk", price=120)
    with_cart(browser, shop, (lamp, 3), (desk, 1))

    open_cart(browser)

    browser.shows("€179.70", DRAWER)
    shown = browser.text(DRAWER)
    assert all(text in shown for text in ("Drawer Lamp", "€19.90", "€59.70", "Drawer Desk", "Total of 4 pieces"))
    assert of_line(browser, lamp, "quantity").get_attribute("value") == "3"
    assert browser.one("#cart").get_attribute("aria-label") == "Cart, 4 pieces"


def test_the_focus_comes_back_to_the_button_and_keys_do_all(browser, shop):
    lamp = shop.add(name="Key Lamp")
    with_cart(browser, shop, (lamp, 1))
    browser.one("#cart[aria-label='Cart, 1 piece']")
    browser.run("document.getElementById('cart').focus()")

    browser.press(Keys.ENTER)
    browser.one("dialog.cart[open] .line")
    while browser.focused().get_attribute("data-key") != f"plus-{lamp['id']}":
        browser.press(Keys.TAB)
    browser.press(Keys.SPACE)
    browser.shows("Total of 2 pieces", DRAWER)

    assert browser.focused().get_attribute("data-key") == f"plus-{lamp['id']}"
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.focused().get_attribute("id") == "cart")
    assert in_cart(shop, browser) == {lamp["id"]: 2}


def test_many_clicks_in_a_row_end_at_their_sum(browser, shop):
    lamp = shop.add(stock_quantity=50)
    with_cart(browser, shop, (lamp, 1))
    open_cart(browser)

    for _ in range(9):
        of_line(browser, lamp, "plus").click()

    browser.shows("Total of 10 pieces", DRAWER)
    assert of_line(browser, lamp, "quantity").get_attribute("value") == "10"
    assert in_cart(shop, browser) == {lamp["id"]: 10}


def test_more_than_there_is_is_refused_in_the_line_which_offers_what_there_is(browser, shop):
    browser.refusals.append("409")
    lamp = shop.add(name="Rare Lamp", stock_quantity=3)
    with_cart(browser, shop, (lamp, 1))
    open_cart(browser)

    browser.type(of_line(browser, lamp, "quantity"), "7" + Keys.ENTER)
    browser.shows("Only 3 in stock.", DRAWER)
    assert of_line(browser, lamp, "quantity").get_attribute("value") == "1", "rolled back"
    browser.click(browser.button("Take 3 of Rare Lamp"))

    browser.shows("Total of 3 pieces", DRAWER)
    assert "Only 3" not in browser.text(DRAWER)
    assert in_cart(shop, browser) == {lamp["id"]: 3}


def test_what_is_sold_out_withdrawn_or_dearer_meanwhile_is_told_in_its_line(browser, shop):
    names = ("Gone Lamp", "Short Lamp", "Sold Lamp", "Dear Lamp")
    gone, short, sold, dear = (shop.add(name=name, price=10) for name in names)
    with_cart(browser, shop, (gone, 1), (short, 4), (sold, 1), (dear, 1))
    open_cart(browser)
    browser.shows("€70.00", DRAWER)
    browser.press(Keys.ESCAPE)
    shop.withdraw(gone["id"])
    shop.change(short["id"], stock_quantity=3)
    shop.change(sold["id"], stock_quantity=0)
    shop.change(dear["id"], price=12.5)

    open_cart(browser)

    browser.shows("No longer sold.", DRAWER)
    shown = browser.text(DRAWER)
    assert all(text in shown for text in ("Only 3 left.", "Sold out.", "was €10.00, now €12.50"))
    browser.shows("€12.50", f"{DRAWER} .total")
    browser.click(browser.button("Take 3 of Short Lamp"))
    browser.shows("€42.50", f"{DRAWER} .total")
    for name in ("Gone Lamp", "Sold Lamp"):
        browser.click(browser.button(f"Remove {name}"))
        browser.until(lambda name=name: name not in browser.text(DRAWER))
    assert in_cart(shop, browser) == {short["id"]: 3, dear["id"]: 1}


def test_the_open_drawer_says_so_when_an_owner_withdraws_the_product(browser, shop):
    browser.refusals.append("409")
    lamp = shop.add(name="Withdrawn Lamp")
    with_cart(browser, shop, (lamp, 1))
    open_cart(browser)
    plus = of_line(browser, lamp, "plus")
    shop.withdraw(lamp["id"])

    plus.click()

    browser.until(lambda: "no longer sold" in browser.text(DRAWER).lower())
    assert of_line(browser, lamp, "quantity").get_attribute("value") == "1", "rolled back"
    browser.click(browser.button("Remove Withdrawn Lamp"))
    browser.shows("Your cart is empty.", DRAWER)


def test_the_last_piece_goes_to_a_second_browser_and_the_first_says_so(browser, second_browser, shop):
    lamp = shop.add(name="Last Lamp", stock_quantity=1)
    with_cart(browser, shop, (lamp, 1))
    with_cart(second_browser, shop, (lamp, 1), path="/shop/checkout")
    for name, value in (("email", "second@example.com"), ("name", "S"), ("line1", "1 Way"), ("city", "Ham")):
        second_browser.type(second_browser.one(f"main [name={name}]"), value)
    second_browser.click(second_browser.button("Place order"))
    second_browser.shows("Not paid yet")

    open_cart(browser)

    browser.shows("Sold out.", DRAWER)
    browser.shows("€0.00", f"{DRAWER} .total")


def test_another_tab_takes_a_change_over(browser, shop):
    lamp = shop.add()
    with_cart(browser, shop, (lamp, 1))
    open_cart(browser)
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    second = browser.driver.current_window_handle
    try:
        browser.driver.get(f"{shop.url}/shop/login")
        open_cart(browser)
        of_line(browser, lamp, "plus").click()
        browser.shows("Total of 2 pieces", DRAWER)
        browser.driver.switch_to.window(first)

        browser.shows("Total of 2 pieces", DRAWER)
        of_line(browser, lamp, "plus").click()
        browser.shows("Total of 3 pieces", DRAWER)
    finally:
        browser.driver.switch_to.window(second)
        browser.driver.close()
        browser.driver.switch_to.window(first)
    assert in_cart(shop, browser) == {lamp["id"]: 3}


def test_another_device_of_the_account_is_taken_over_when_the_drawer_opens(browser, shop):
    lamp = shop.add()
    token = logged_in(browser, shop, "devices", "/shop/login")
    open_cart(browser)
    browser.shows("Your cart is empty.", DRAWER)
    browser.press(Keys.ESCAPE)
    owner = bearer(token)
    session = shop.ask("/api/cart", "POST", **owner)["session_id"]
    shop.ask("/api/cart/items", "POST", {"product_id": lamp["id"], "quantity": 2}, Session_ID=session, **owner)

    open_cart(browser)

    browser.shows("Total of 2 pieces", DRAWER)


def test_an_empty_cart_has_a_way_on(browser, shop):
    browser.visit("/shop/login")

    open_cart(browser)

    browser.shows("Your cart is empty.", DRAWER)
    assert browser.button("See all products").get_attribute("href").endswith("/shop")
    assert rows(shop, "SELECT COUNT(*) AS n FROM carts WHERE session_id = %s", "null") == [{"n": 0}]


def test_without_a_connection_a_click_is_rolled_back_and_told(browser, shop):
    browser.refusals.append("ERR_INTERNET_DISCONNECTED")
    lamp = shop.add(name="Offline Lamp")
    with_cart(browser, shop, (lamp, 1))
    open_cart(browser)
    plus = of_line(browser, lamp, "plus")
    browser.network(offline=True)

    plus.click()
    browser.shows("The shop cannot be reached.", DRAWER)
    assert of_line(browser, lamp, "quantity").get_attribute("value") == "1"
    browser.network()
    of_line(browser, lamp, "plus").click()

    browser.shows("Total of 2 pieces", DRAWER)
    assert in_cart(shop, browser) == {lamp["id"]: 2}


def test_where_the_login_has_ended_the_cart_says_so_and_a_guest_can_go_on(browser, shop):
    browser.refusals += ["401", "403"]
    lamp = shop.add()
    token = logged_in(browser, shop, "ended", "/shop/login")
    session = shop.ask("/api/cart", "POST", **bearer(token))["session_id"]
    body = {"product_id": lamp["id"], "quantity": 2}
    shop.ask("/api/cart/items", "POST", body, Session_ID=session, **bearer(token))
    open_cart(browser)
    browser.shows("Total of 2 pieces", DRAWER)
    browser.press(Keys.ESCAPE)
    shop.ask("/api/users/logout?everywhere=true", "POST", **bearer(token_of(shop, "ended")))

    open_cart(browser)

    browser.shows("Your login has ended.", DRAWER)
    browser.until(lambda: browser.text("#account").strip() == "Log in")
    assert browser.button("Log in again").get_attribute("href").endswith("/shop/login?to=%2Fshop%2Flogin")
    assert eventually(lambda: browser.run("return localStorage.getItem('shop.session')") is None)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_finds_nothing_in_the_drawer(browser, shop, violations, width):  # noqa: F811
    names = ("Plain Lamp", "Axe Gone Lamp", "Axe Short Lamp", "Axe Dear Lamp")
    plain, gone, short, dear = (shop.add(name=name, price=10) for name in names)
    with_cart(browser, shop, (plain, 1), (gone, 1), (short, 4), (dear, 1))
    shop.withdraw(gone["id"])
    shop.change(short["id"], stock_quantity=3)
    shop.change(dear["id"], price=12.5)
    browser.visit("/shop/login", width)
    open_cart(browser)
    browser.shows("Only 3 left.", DRAWER)

    assert violations() == []
    assert browser.overhang() == 0
