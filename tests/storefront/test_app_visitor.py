"""The visitor of these tests sees what is wrong: that the other tests find nothing means something only then."""

import pytest


def test_a_visitor_who_finds_nothing_wrong_is_at_peace(browser):
    browser.visit("/docs")
    browser.one("h1")

    browser.require_peace()


def test_a_visitor_counts_the_hosts_that_were_asked(browser, shop):
    browser.visit("/docs")
    assert browser.hosts_so_far() == {shop.url.removeprefix("http://")}

    browser.driver.get(shop.url.replace("127.0.0.1", "localhost") + "/api/health")

    with pytest.raises(AssertionError):
        browser.require_peace()
    browser.hosts_so_far().clear()
