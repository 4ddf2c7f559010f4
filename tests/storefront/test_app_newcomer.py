"""The whole: a newcomer finds, buys, pays and sees the order, and meets a product that is withdrawn meanwhile."""

import contextlib
import os
import pathlib
import struct

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from core.setup.system import ROOT

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH"}
PICTURES = ROOT / "docs" / "storefront"
LOOKS = [  # name, address, width, scheme
    ("products", "/", 1280, "light"),
    ("products-tablet", "/?sort=price", 768, "dark"),
    ("products-phone", "/", 360, "light"),
    ("product", "/shop/products/3", 1280, "dark"),
    ("calls", "/shop/products/3", 1280, "light"),
]
LARGEST = 1_500_000  # bytes of all pictures


def press(browser, name):
    """Click a button, also where it is drawn anew just then."""

    def pressed():
        with contextlib.suppress(StaleElementReferenceException):
            browser.click(browser.button(name))
            return True

    browser.until(pressed)


def test_a_newcomer_finds_buys_pays_and_sees_the_order(browser, second_browser, shop):
    lamp = shop.add(name="Moonbeam Reading Lamp", price=19.9, stock_quantity=8)

    browser.visit("/")
    browser.type(browser.one("#search input"), "moonbeam")
    browser.click(browser.button("Search"))
    browser.shows("1 product")
    browser.settle()
    browser.click(browser.one(f"main a[href='/shop/products/{lamp['id']}']"))
    browser.shows("Moonbeam Reading Lamp", "h1")
    browser.click(browser.button("Add to cart"))
    browser.shows("Added to your cart.")
    browser.click(browser.one("#cart"))
    press(browser, "Checkout")
    browser.shows("Checkout", "h1")
    browser.settle()
    for name, value in {"email": "ada@example.com", **ADDRESS}.items():
        field = browser.one(f"main [name={name}]")
        browser.until(field.is_displayed)
        browser.type(field, value)
    press(browser, "Place order")
    browser.shows("Thank you. Your order is")
    press(browser, "Pay")
    browser.shows("Paid")
    number = browser.address().partition("/orders/")[2][:11]

    assert shop.ask(f"/api/products/{lamp['id']}")["stock_quantity"] == 7
    browser.visit("/shop/orders")
    browser.shows(number)

    browser.visit(f"/shop/products/{lamp['id']}")
    browser.shows("In stock")
    second_browser.visit("/docs")
    gone = second_browser.fetch(f"/api/products/{lamp['id']}", method="DELETE", headers=shop._owner)
    assert gone["status"] == 200
    browser.refusals.append("404")
    browser.click(browser.button("Add to cart"))
    browser.shows("This product is no longer sold.")


def test_a_page_that_is_open_goes_on_where_its_version_is_gone(browser):
    """As after a restart with a newer release: one module of it cannot be had, so the page is loaded anew, once."""
    browser.visit("/shop/login")
    browser.one("main h1")
    browser.run("window.here = true")
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/register.js"]})
    browser.refusals += ["register.js", "ERR_BLOCKED"]

    browser.click(browser.one("main a[href^='/shop/register']"))
    browser.until(lambda: browser.run("return !window.here"))
    browser.shows("That did not work")  # not again and again
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.click(browser.button("Try again"))

    browser.until(lambda: browser.all("main form"))


def size_of(picture):
    """Return width and height of a PNG."""
    return struct.unpack(">II", picture.read_bytes()[16:24])


@pytest.mark.parametrize(("name", "path", "width", "scheme"), LOOKS, ids=[look[0] for look in LOOKS])
def test_the_pictures_of_the_documentation_show_the_shop(browser, tmp_path, name, path, width, scheme):
    """PICTURES=write makes them; else only their size is compared."""
    browser.visit(path, width, scheme)
    browser.until(lambda: browser.run("return [...document.querySelectorAll('main img')].some(img => img.complete)"))
    if name == "calls":
        browser.one("#inspect[aria-expanded]")
        browser.click(browser.button("See this page's API calls"))
        find = (
            "return [...document.querySelectorAll('#inspector summary')].find(row => /products.3/.test(row.innerText))"
        )
        browser.click(browser.until(lambda: browser.run(find)))
        browser.one("#inspector section")
        browser.run("scrollTo(0, 0); document.activeElement.blur()")
    browser.settle()
    new, kept = tmp_path / f"{name}.png", PICTURES / f"{name}.png"
    browser.picture(new)

    if os.environ.get("PICTURES") == "write":
        pathlib.Path(kept).write_bytes(new.read_bytes())
    assert size_of(new) == size_of(kept) == (width, 900)
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < LARGEST
    assert {path.stem for path in PICTURES.iterdir()} <= {look[0] for look in LOOKS}
