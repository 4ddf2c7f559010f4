"""The list and a product's page, for those who see them not at all, or not well: axe finds nothing."""

import pytest
from listing import choose, names

everywhere = pytest.mark.parametrize("width", [360, 768, 1280])

ELSEWHERE = ("#cart ", ".notes ")  # the cart has tests of its own
COVERED = ("overlapped by another", "partially overlaps other")  # by suggestions; or cut: axe cannot tell the colour


def ours(found):
    """Return what axe has against the list, the search and the product's page."""
    return [text for text in found if not any(words in text for words in (*ELSEWHERE, *COVERED))]


@everywhere
def test_axe_finds_nothing_on_the_list(browser, violations, width):
    browser.visit("/shop?search=lamp&in_stock=true&min_price=20", width)
    names(browser)
    plain = violations()

    browser.one("[role=combobox]").send_keys(" d")
    browser.until(lambda: browser.all("#suggestions:not([hidden]) [role=option]"))
    suggested = violations()

    assert ours(plain) == ours(suggested) == []
    assert browser.overhang() == 0


@everywhere
def test_axe_finds_nothing_where_nothing_is_found_and_among_the_filters(browser, violations, width):
    browser.visit("/shop?search=hedphones", width)
    browser.shows("No product", ".problem")
    nothing = violations()

    if width < 960:
        browser.click(browser.button("Filters"))
    choose(browser, "In stock only")
    browser.until(lambda: "in_stock" in browser.address())

    assert ours(nothing) == ours(violations()) == []
    assert browser.overhang() == 0


@everywhere
def test_axe_finds_nothing_on_a_product_page_and_beside_its_answers(browser, shop, violations, width):
    browser.refusals = ["409 (Conflict)"]
    browser.visit(f"/shop/products/{shop.add(stock_quantity=1)['id']}", width)
    browser.click(browser.button("Add to cart"))
    browser.until(lambda: "Added" in browser.text(".answer"))
    added = violations()

    browser.click(browser.button("Add to cart"))
    browser.until(lambda: "Only 1" in browser.text(".answer"))

    assert ours(added) == ours(violations()) == []
    assert browser.overhang() == 0
