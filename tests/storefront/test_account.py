"""Accounts in a real browser: making one, logging in and out, looking after it, and a forgotten password."""

import re

import pytest
from accessibility import axe, violations  # noqa: F401 - fixtures
from buyers import account, fill, in_cart, logged_in, open_cart, problems, remember, rows, token_of, with_cart
from helpers import PASSWORD, bearer, eventually

NEW = "Green-Gate-77"
TOKEN = "return localStorage.getItem('shop.token')"


def log_in(browser, name, password=PASSWORD):
    fill(browser, username=name, password=password)
    browser.click(browser.button("Log in", browser.one("main")))


def is_called(browser, name):
    browser.until(lambda: browser.text("#account").strip() == name)


def asked_for(browser):
    """Return the field for the current password that is shown; None where there is none."""
    shown = (field for field in browser.all("main [name=current_password]") if field.is_displayed())
    return next(shown, None)


def outdated(shop, name):
    """Let the logins of an account be older than what counts as just now."""
    rows(
        shop,
        "UPDATE sessions SET created_at = created_at - INTERVAL 1 HOUR WHERE user_id = "
        "(SELECT id FROM users WHERE username = %s)",
        name,
    )


def test_a_newcomer_makes_an_account_and_the_cart_comes_along(browser, shop):
    lamp = shop.add(name="Coming Lamp")
    with_cart(browser, shop, (lamp, 2), path="/shop/register?to=/shop/checkout")
    fill(browser, username="newcomer", email="newcomer@example.com", password=PASSWORD)

    browser.click(browser.button("Make the account"))

    browser.shows("Checkout", "h1")
    is_called(browser, "newcomer")
    browser.shows("Coming Lamp", ".summary")
    assert in_cart(shop, browser) == {lamp["id"]: 2}
    owner = rows(shop, "SELECT u.username FROM carts c JOIN users u ON u.id = c.user_id WHERE u.username = 'newcomer'")
    assert len(owner) == 1


def test_all_problems_of_a_new_account_stand_under_their_fields_at_once(browser, shop):
    browser.refusals += ["400", "409"]
    account(shop, "taken")
    browser.visit("/shop/register")
    fill(browser, username="taken", email="taken@", password="short")

    browser.click(browser.button("Make the account"))

    browser.until(lambda: len(problems(browser)) >= 2)
    assert problems(browser)["password"].startswith("Must be 8 to 128 characters, with an upper-case letter")
    assert "email" in problems(browser)
    fill(browser, email="another@example.com", password=PASSWORD)
    browser.click(browser.button("Make the account"))
    browser.until(lambda: problems(browser).keys() == {"username"})
    assert browser.focused().get_attribute("name") == "username"
    fill(browser, username="not_taken")
    browser.click(browser.button("Make the account"))
    is_called(browser, "not_taken")


def test_a_wrong_password_is_told_and_the_next_try_counts(browser, shop):
    browser.refusals.append("401")
    account(shop, "mistyped")
    browser.visit("/shop/login")

    log_in(browser, "mistyped@example.com", "Wrong-1234")
    browser.until(lambda: browser.text("main [role=alert]"))
    assert browser.run(TOKEN) is None
    log_in(browser, "mistyped@example.com")

    is_called(browser, "mistyped")


def test_a_login_leads_back_to_where_one_was_and_never_to_another_site(browser, shop):
    browser.refusals.append("401")
    account(shop, "returning")
    browser.visit("/shop/account")
    browser.shows("Log in to see this")
    browser.click(browser.button("Log in", browser.one("main")))
    log_in(browser, "returning")
    browser.shows("Hello, returning")

    for away in (
        "//evil.example/shop",
        "https://evil.example",
        "javascript:alert(1)",
        "/api/users/me",
        "/shop/../docs",
    ):
        browser.visit(f"/shop/login?to={away}")
        log_in(browser, "returning")
        browser.until(lambda: browser.address() in ("/shop", "/shop/"))


def test_what_cannot_be_had_of_the_guests_cart_is_told_at_the_login(browser, shop):
    many, gone = shop.add(name="Many Lamp", stock_quantity=5), shop.add(name="Gone Lamp")
    account(shop, "adjusted")
    with_cart(browser, shop, (many, 5), (gone, 1))
    browser.until(lambda: browser.one("#cart").get_attribute("aria-label") == "Cart, 6 pieces")
    shop.change(many["id"], stock_quantity=2)
    shop.withdraw(gone["id"])

    log_in(browser, "adjusted")

    browser.shows("Many Lamp: only 2 are there; your cart has these.", "dialog.cart")
    assert "Gone Lamp: is no longer sold." in browser.text("dialog.cart")
    assert in_cart(shop, browser) == {many["id"]: 2}


def test_an_old_login_is_asked_for_the_current_password_before_a_new_one(browser, shop):
    browser.refusals.append("403")
    logged_in(browser, shop, "changing", "/shop/account")
    other = token_of(shop, "changing")
    outdated(shop, "changing")
    browser.click(browser.one("main details:nth-of-type(2) summary"))
    fill(browser, password=NEW)
    browser.click(browser.button("Change the password"))
    current = browser.until(lambda: asked_for(browser))
    assert browser.focused() == current

    browser.type(current, PASSWORD)
    browser.click(browser.button("Change the password"))

    browser.shows("Your password is changed. All other logins have ended.")
    assert shop.real.request("/api/users/me", **bearer(other)).status == 401
    assert shop.ask("/api/users/login", "POST", {"username": "changing", "password": NEW})["token"]


def test_a_new_name_and_address_are_shown_at_once(browser, shop):
    logged_in(browser, shop, "before", "/shop/account")
    browser.click(browser.one("main details summary"))
    fill(browser, username="afterwards", email="afterwards@example.com")

    browser.click(browser.button("Save"))

    browser.shows("Your account is changed.")
    is_called(browser, "afterwards")
    assert rows(shop, "SELECT email FROM users WHERE username = 'afterwards'") == [{"email": "afterwards@example.com"}]


def test_a_login_that_is_ended_elsewhere_is_told_and_one_comes_back_after_logging_in(browser, second_browser, shop):
    second_browser.refusals.append("401")
    logged_in(second_browser, shop, "ending", "/shop/orders")
    second_browser.shows("There are none.")
    remember(browser, token=token_of(shop, "ending"))
    browser.visit("/shop/account")
    browser.shows("This login")

    browser.click(browser.one("main .orders button"))
    browser.until(lambda: not browser.all("main .orders button"))
    second_browser.click(second_browser.button("Canceled"))

    second_browser.shows("Log in to see this")
    is_called(second_browser, "Log in")
    second_browser.click(second_browser.button("Log in", second_browser.one("main")))
    log_in(second_browser, "ending")
    second_browser.until(lambda: second_browser.address() == "/shop/orders?status=canceled")


def test_logging_out_ends_the_login_and_takes_the_cart_from_this_browser(browser, shop):
    lamp = shop.add()
    account(shop, "leaving")
    with_cart(browser, shop, (lamp, 1), path="/shop/login?to=/shop/account")
    log_in(browser, "leaving")
    browser.shows("Hello, leaving")
    token = browser.run(TOKEN)

    browser.click(browser.button("Log out"))

    is_called(browser, "Log in")
    assert shop.real.request("/api/users/me", **bearer(token)).status == 401
    open_cart(browser)
    browser.shows("Your cart is empty.", "dialog.cart")
    assert len(rows(shop, "SELECT 1 FROM cart_items WHERE product_id = %s", lamp["id"])) == 1, "kept for the account"


def test_logging_out_everywhere_ends_all_logins(browser, shop):
    logged_in(browser, shop, "everywhere", "/shop/account")
    other = token_of(shop, "everywhere")

    browser.click(browser.button("Log out everywhere"))

    is_called(browser, "Log in")
    assert shop.real.request("/api/users/me", **bearer(other)).status == 401


def test_an_account_is_deleted_with_its_password(browser, shop):
    browser.refusals.append("403")
    logged_in(browser, shop, "deleted", "/shop/account")
    outdated(shop, "deleted")
    browser.shows("This login")
    browser.click(browser.all("main details summary")[-1])
    browser.click(browser.button("Delete the account", browser.one("main details:last-of-type form")))
    browser.type(browser.until(lambda: asked_for(browser)), PASSWORD)

    browser.click(browser.button("Delete the account", browser.one("main details:last-of-type form")))

    is_called(browser, "Log in")
    assert rows(shop, "SELECT 1 FROM users WHERE username = 'deleted'") == []


def test_a_forgotten_password_is_replaced_by_the_link_of_the_mail(browser, shop):
    browser.refusals.append("400")
    email = account(shop, "forgetful")
    browser.visit("/shop/login")
    browser.click(browser.button("Forgot the password?"))
    fill(browser, email=email)
    browser.click(browser.button("Send the mail"))
    browser.shows("a mail is on its way to it.")
    mail = eventually(lambda: shop.mails(email), 30) and shop.mails(email)[-1]
    (link,) = re.findall(r"http\S+/password-reset#token=\S+", mail.get_content())
    path = "/password-reset" + link.partition("/password-reset")[2]
    assert link.startswith(f"http://localhost:{shop.real.port}/")

    browser.visit(path)
    browser.shows("Choose a new password")
    assert browser.address() == "/password-reset", "the token leaves the address at once"
    fill(browser, password="weak")
    browser.click(browser.button("Set the password"))
    browser.until(lambda: problems(browser))
    browser.driver.refresh()
    fill(browser, password=NEW)
    browser.click(browser.button("Set the password"))
    browser.shows("Password changed.")
    browser.click(browser.button("Log in", browser.one("main")))
    log_in(browser, "forgetful", NEW)

    is_called(browser, "forgetful")
    browser.visit(path)
    fill(browser, password="Blue-Fence-31")
    browser.click(browser.button("Set the password"))
    browser.shows("Ask for a new one.")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_finds_nothing_in_the_forms_and_the_account(browser, shop, violations, width):  # noqa: F811
    browser.refusals.append("400")
    for path in ("/shop/login", "/shop/register", "/shop/password-reset", "/password-reset#token=x"):
        browser.visit(path, width)
        browser.click(browser.one("main form button[type=submit]"))
        browser.until(lambda: problems(browser))
        browser.run("scrollTo(0, 0)")  # where the bar covers nothing
        assert violations() == []
        assert browser.overhang() == 0
    logged_in(browser, shop, f"axe_{width}", "/api/health")
    browser.visit("/shop/account", width)
    browser.shows("This login")
    for summary in browser.all("main summary"):
        browser.click(summary)

    browser.run("scrollTo(0, 0)")  # where the bar covers nothing
    assert violations() == []
    assert browser.overhang() == 0
