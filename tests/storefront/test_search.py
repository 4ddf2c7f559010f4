"""The search: results and suggestions as one types, with real keys; also late and out of order."""

from listing import asked, names, total
from selenium.webdriver.common.keys import Keys


def test_results_change_as_one_types_and_the_address_with_them(browser, shop):
    browser.visit("/shop")
    names(browser)

    field = browser.one("[role=combobox]")
    browser.click(field)
    field.send_keys("lam")
    browser.until(lambda: "search=lam" in browser.address())
    field.send_keys("p")

    browser.until(lambda: browser.address() == "/shop?search=lamp")
    total(browser, asked(shop, "search=lamp")["pagination"]["total"])
    assert all("lamp" in name.lower() for name in names(browser)[:3])
    assert browser.text("h1") == "Results for “lamp”"
    browser.driver.back()  # one step, however many letters
    total(browser, asked(shop)["pagination"]["total"])
    assert browser.address() == "/shop"


def test_an_answer_that_comes_late_never_replaces_a_newer_one(browser, shop):
    browser.visit("/shop")
    names(browser)
    browser.run(
        """const plain = window.fetch; window.asked = [];
        window.fetch = async (url, options) => {
            const address = new URL(url, location), text = address.searchParams.get('search');
            if (address.pathname !== '/api/products') return plain(url, options);
            asked.push(text);
            await new Promise(done => setTimeout(done, text === 'la' ? 3000 : 0));
            return plain(url, {...options, signal: undefined}); // as if it could not be aborted any more
        }"""
    )

    field = browser.one("[role=combobox]")
    field.send_keys("la")
    browser.until(lambda: browser.run("return asked.includes('la')"))
    field.send_keys("mp")
    total(browser, asked(shop, "search=lamp")["pagination"]["total"])
    seen = names(browser)
    browser.driver.execute_async_script("setTimeout(arguments[0], 3500)")

    assert names(browser) == seen
    total(browser, asked(shop, "search=lamp")["pagination"]["total"])


def options(browser):
    """Return the suggestions that are shown."""
    return [option.text for option in browser.all("#suggestions:not([hidden]) [role=option]")]


def marked(browser):
    """Return the suggestion that the arrows have reached, as a screen reader is told; None for none."""
    return browser.run(
        "const field = document.querySelector('[role=combobox]');"
        "return document.getElementById(field.getAttribute('aria-activedescendant'))?.innerText"
    )


def suggested(shop, text):
    """Return the names that the API suggests."""
    return [each["name"] for each in shop.ask(f"/api/products/suggest?q={text}")["suggestions"]]


def test_arrows_reach_the_suggestions_and_enter_takes_one(browser, shop):
    browser.visit("/shop")
    field = browser.one("[role=combobox]")
    assert field.get_attribute("aria-expanded") == "false"

    field.send_keys("desk la")
    browser.until(lambda: options(browser) == suggested(shop, "desk+la"))
    assert field.get_attribute("aria-expanded") == "true" and marked(browser) is None
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    second = marked(browser)
    assert second == options(browser)[1]
    browser.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert marked(browser) is None  # the text itself again
    browser.press(Keys.ARROW_UP)
    assert marked(browser) == options(browser)[-1]
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)

    browser.until(lambda: browser.text("h1") == second)


def test_escape_closes_the_suggestions_and_leaves_what_is_typed(browser):
    browser.visit("/shop")
    field = browser.one("[role=combobox]")
    field.send_keys("desk")
    browser.until(lambda: options(browser))

    browser.press(Keys.ESCAPE)

    assert options(browser) == [] and field.get_attribute("aria-expanded") == "false"
    assert field.get_attribute("value") == "desk" and browser.focused() == field


def test_a_category_is_suggested_and_leads_to_its_products(browser, shop):
    (garden,) = [each for each in shop.ask("/api/categories") if each["name"] == "Garden"]
    browser.visit("/shop")
    browser.one("[role=combobox]").send_keys("gard")
    browser.until(lambda: "All in Garden" in options(browser))

    browser.click(browser.all("[role=option]")[0])

    total(browser, garden["product_count"])
    assert browser.text("h1") == "Garden" and browser.address() == f"/shop?category_id={garden['id']}"


def test_what_was_perhaps_meant_is_suggested(browser, shop):
    browser.visit("/shop")
    browser.one("[role=combobox]").send_keys("hedphones")
    browser.until(lambda: options(browser) == ["Did you mean headphones"])

    browser.press(Keys.ARROW_DOWN, Keys.ENTER)

    total(browser, asked(shop, "search=headphones")["pagination"]["total"])
    assert browser.address() == "/shop?search=headphones"


def test_the_search_works_from_every_page(browser, shop):
    browser.visit(f"/shop/products/{shop.products()[0]['id']}")
    field = browser.one("[role=combobox]")
    field.send_keys("lamp")
    browser.until(lambda: options(browser))

    browser.press(Keys.ENTER)

    total(browser, asked(shop, "search=lamp")["pagination"]["total"])
    assert browser.address() == "/shop?search=lamp" and options(browser) == []
    browser.driver.back()
    browser.until(lambda: browser.all(".product .buy"))


def test_text_that_looks_like_markup_stays_text(browser):
    browser.visit("/shop?search=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%26%22'")

    browser.until(lambda: browser.text("h1") == "Results for “<img src=x onerror=alert(1)>&\"'”")
    assert not browser.all("h1 img")
