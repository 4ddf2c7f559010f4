"""From the cart to an order that is paid, in a real browser; the database is asked what has become of it."""

import itertools
import json
import time

import pytest
from accessibility import axe, violations  # noqa: F401 - fixtures
from buyers import ADDRESS, fill, logged_in, of_line, problems, remember, rows, stock, with_cart
from helpers import SECRET
from selenium.webdriver import ActionChains

from resources.orders_dummy import Dummy

HERE = "/shop/checkout"
NUMBER = itertools.count(1)


def filled(browser, shop, *lines):
    """Come with a cart to the checkout, and fill in the form as a guest; return the e-mail address."""
    email = f"guest{next(NUMBER)}@example.com"
    with_cart(browser, shop, *lines, path=HERE)
    fill(browser, email=email, **ADDRESS)
    return email


def placed(browser, shop, *lines):
    """Order as a guest; return the number."""
    filled(browser, shop, *lines)
    browser.click(browser.button("Place order"))
    browser.shows("Thank you. Your order is")
    return number_of(browser)


def number_of(browser):
    return browser.address().partition("/orders/")[2][:11]


def orders_of(shop, email):
    return rows(shop, "SELECT number, total, item_count FROM orders WHERE email = %s", email)


def pay(browser, way):
    browser.click(browser.one(f"input[value='{way}']"))
    browser.click(browser.button("Pay"))


def test_a_guest_orders_and_the_stock_falls_by_exactly_that(browser, shop):
    lamp, desk = shop.add(name="Order Lamp", price=19.9), shop.add(name="Order Desk", price=100)
    email = filled(browser, shop, (lamp, 3), (desk, 1))
    browser.shows("€159.70", ".summary")

    browser.click(browser.button("Place order"))

    browser.shows("Not paid yet")
    number = number_of(browser)
    assert f"Your order is {number}" in browser.text("h1")
    assert "It is held for you until" in browser.text() and "€159.70" in browser.text()
    assert (stock(shop, lamp), stock(shop, desk)) == (7, 9)
    assert [(row["number"], float(row["total"]), row["item_count"]) for row in orders_of(shop, email)] == [
        (number, 159.7, 4)
    ]
    browser.until(lambda: browser.one("#cart").get_attribute("aria-label") == "Cart")
    browser.driver.refresh()
    browser.shows("Not paid yet")
    browser.visit("/shop/orders")
    browser.shows(number)


def test_a_double_click_places_one_order(browser, shop):
    lamp = shop.add(name="Double Lamp")
    email = filled(browser, shop, (lamp, 1))
    button = browser.button("Place order")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", button)

    ActionChains(browser.driver).double_click(button).perform()

    browser.shows("Thank you.")
    assert len(orders_of(shop, email)) == 1
    assert stock(shop, lamp) == 9


def test_an_order_whose_answer_was_lost_is_placed_once_and_found_after_a_reload(browser, shop):
    browser.refusals.append("ERR_INTERNET_DISCONNECTED")
    lamp = shop.add(name="Lost Lamp")
    email = filled(browser, shop, (lamp, 2))
    lose = (
        "const ask = fetch; fetch = async (...sent) => { await ask(...sent); throw new TypeError('the line is cut'); }"
    )
    browser.run(f"{lose}; navigator.__defineGetter__('onLine', () => false)")
    browser.click(browser.button("Place order"))
    browser.shows("cannot be reached", ".summary")
    assert len(orders_of(shop, email)) == 1

    browser.driver.refresh()

    browser.shows("Thank you.")
    assert [row["number"] for row in orders_of(shop, email)] == [number_of(browser)]
    assert stock(shop, lamp) == 8
    browser.driver.refresh()
    browser.shows("Not paid yet")


def test_what_was_typed_is_there_after_a_reload_and_after_going_back(browser, shop):
    filled(browser, shop, (shop.add(), 1))

    browser.driver.refresh()
    browser.until(lambda: browser.one("main [name=line1]").get_attribute("value") == ADDRESS["line1"])
    browser.click(browser.button("Log in"))
    browser.shows("Forgot the password?")
    browser.driver.back()

    browser.until(lambda: browser.one("main [name=line1]").get_attribute("value") == ADDRESS["line1"])


def test_all_problems_stand_under_their_fields_at_once_and_the_first_has_the_focus(browser, shop):
    browser.refusals.append("400")
    with_cart(browser, shop, (shop.add(), 1), path=HERE)
    fill(browser, email="ada@", postal_code="1" * 21)

    browser.click(browser.button("Place order"))

    browser.until(lambda: len(problems(browser)) == 5)
    found = problems(browser)
    assert found.keys() == {"email", "name", "line1", "city", "postal_code"}
    assert found["name"] == "Is required."
    assert browser.focused().get_attribute("name") == "email"


def test_another_price_meanwhile_is_told_and_ordered_when_it_is_agreed_to(browser, shop):
    browser.refusals.append("409")
    lamp = shop.add(name="Dearer Lamp", price=10)
    email = filled(browser, shop, (lamp, 2))
    shop.change(lamp["id"], price=12.5)

    browser.click(browser.button("Place order"))

    browser.shows("The total was €20.00 and is €25.00 now.")
    assert "was €10.00, now €12.50" in browser.text(".summary")
    assert orders_of(shop, email) == [] and stock(shop, lamp) == 10
    browser.click(browser.button("Place order"))
    browser.shows("Thank you.")
    assert [float(row["total"]) for row in orders_of(shop, email)] == [25.0]


def test_what_is_withdrawn_meanwhile_is_told_and_the_rest_can_be_ordered(browser, shop):
    browser.refusals.append("409")
    lamp, gone = shop.add(name="Staying Lamp", price=10), shop.add(name="Leaving Lamp", price=5)
    email = filled(browser, shop, (lamp, 1), (gone, 1))
    shop.withdraw(gone["id"])

    browser.click(browser.button("Place order"))
    browser.shows("Your cart has changed: nothing is ordered yet.")
    browser.shows("No longer sold.", ".summary")
    browser.click(of_line(browser, gone, "remove"))
    browser.until(lambda: "Leaving Lamp" not in browser.text(".summary"))
    browser.click(browser.button("Place order"))

    browser.shows("Thank you.")
    assert [float(row["total"]) for row in orders_of(shop, email)] == [10.0]


def test_an_empty_cart_at_the_checkout_has_a_way_on(browser):
    browser.visit(HERE)

    browser.shows("There is nothing in your cart.")
    assert browser.button("See all products").get_attribute("href").endswith("/shop")


def test_a_declined_payment_is_told_and_another_one_pays(browser, shop):
    browser.refusals.append("402")
    number = placed(browser, shop, (shop.add(), 1))

    pay(browser, "dummy decline")
    browser.shows("The payment was declined. Try another way to pay.")
    browser.shows("A payment was declined")
    pay(browser, "dummy pay")

    browser.shows("The shop gets it ready for you.")
    assert "declined. Try" not in browser.text()
    (order,) = rows(shop, "SELECT payment_status, paid, total FROM orders WHERE number = %s", number)
    assert order["payment_status"] == "paid" and order["paid"] == order["total"]


def test_a_payment_that_comes_later_is_seen_when_it_comes(browser, shop):
    number = placed(browser, shop, (shop.add(), 1))
    pay(browser, "dummy later")
    browser.shows("Payment under way")

    (payment,) = rows(
        shop, "SELECT p.reference FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.number = %s", number
    )
    body = {"reference": payment["reference"], "status": "captured"}
    at = str(int(time.time()))
    signed = Dummy(SECRET).signed("w1", at, json.dumps(body).encode())
    headers = {"webhook_id": "w1", "webhook_timestamp": at, "webhook_signature": signed}
    shop.ask("/api/payments/dummy/webhook", "POST", body, **headers)

    browser.shows("The shop gets it ready for you.")


def test_a_transfer_says_what_to_write_on_it(browser, shop):
    number = placed(browser, shop, (shop.add(price=10), 1))

    pay(browser, "manual ")

    browser.shows(f"Transfer €10.00 to the shop, and write {number} on it.")
    browser.driver.refresh()
    browser.shows(f"write {number} on it.")


def test_an_order_is_canceled_after_a_question_and_what_was_paid_goes_back(browser, shop):
    lamp = shop.add(price=10)
    number = placed(browser, shop, (lamp, 4))
    pay(browser, "dummy pay")
    browser.shows("The shop gets it ready for you.")
    assert stock(shop, lamp) == 6

    browser.click(browser.button("Cancel order"))
    browser.click(browser.button("Keep order"))
    browser.click(browser.button("Cancel order"))
    assert "What you paid goes back to you." in browser.text("dialog[open]")
    browser.click(browser.button("Cancel order", browser.one("dialog[open]")))

    browser.shows("€40.00 goes back to you")
    assert stock(shop, lamp) == 10
    (order,) = rows(shop, "SELECT status, refunded FROM orders WHERE number = %s", number)
    assert (order["status"], float(order["refunded"])) == ("canceled", 40.0)


def test_an_order_that_was_sent_meanwhile_is_not_canceled_and_shown_as_it_is(browser, shop):
    browser.refusals.append("409")
    number = placed(browser, shop, (shop.add(), 1))
    pay(browser, "dummy pay")
    browser.shows("The shop gets it ready for you.")
    shop.fulfil(number)

    browser.click(browser.button("Cancel order"))
    browser.click(browser.button("Cancel order", browser.one("dialog[open]")))

    browser.shows("Only an order that is neither fulfilled nor canceled can be canceled.")
    browser.shows("Sent", ".standing")


def test_a_guests_order_opens_in_no_other_browser(browser, shop):
    browser.refusals.append("404")
    number = placed(browser, shop, (shop.add(), 1))
    browser.run("localStorage.removeItem('shop.orders')")

    browser.driver.refresh()

    browser.shows("This order does not open here")
    assert number in browser.button("Log in", browser.one("main")).get_attribute("href")


def test_an_account_orders_to_its_own_address_and_sees_its_orders_page_by_page(browser, shop):
    lamp = shop.add(name="Account Lamp", price=10, stock_quantity=50)
    token = logged_in(browser, shop, "buyer", "/api/health")
    headers = {"Authorization": f"Bearer {token}"}
    session = shop.ask("/api/cart", "POST", **headers)["session_id"]
    for n in range(25):
        shop.ask("/api/cart/items", "POST", {"product_id": lamp["id"], "quantity": 1}, Session_ID=session, **headers)
        if n < 24:
            shop.ask("/api/orders", "POST", {"expected_total": 10}, **headers, Idempotency_Key=f"page-{n}")
    remember(browser, session=session)
    browser.visit(HERE)
    assert browser.one("main [name=email]").get_attribute("value") == "buyer@example.com"
    fill(browser, **ADDRESS)
    browser.click(browser.button("Place order"))
    browser.shows("Thank you.")
    number = number_of(browser)

    browser.visit("/shop/orders")
    browser.until(lambda: len(browser.all(".orders li")) == 20)
    assert number in browser.text(".orders li")
    browser.click(browser.button("Show more"))
    browser.until(lambda: len(browser.all(".orders li")) == 25)
    browser.click(browser.all(".orders a")[24])
    browser.shows("What happened")
    browser.driver.back()
    browser.until(lambda: len(browser.all(".orders li")) == 25)
    browser.click(browser.button("Canceled"))
    browser.shows("There are none.")

    assert stock(shop, lamp) == 25


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_finds_nothing_at_the_checkout_and_in_the_order(browser, shop, violations, width):  # noqa: F811
    number = placed(browser, shop, (shop.add(name="Axe Lamp"), 1))
    browser.visit(f"/shop/orders/{number}", width)
    browser.shows("How do you want to pay?")
    browser.run("scrollTo(0, 0)")  # where the bar covers nothing
    assert violations() == []
    assert browser.overhang() == 0
    browser.visit("/shop/orders", width)
    browser.shows(number)
    browser.run("scrollTo(0, 0)")  # where the bar covers nothing
    assert violations() == []
    browser.refusals.append("400")
    with_cart(browser, shop, (shop.add(name="Axe Lamp"), 1), path=HERE, width=width)
    fill(browser, email="ada@", **ADDRESS)  # axe cannot tell about fields without a text
    browser.click(browser.button("Place order"))
    browser.until(lambda: problems(browser))

    browser.run("scrollTo(0, 0)")  # where the bar covers nothing
    assert violations() == []
    assert browser.overhang() == 0
