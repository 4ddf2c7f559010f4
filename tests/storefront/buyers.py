"""Visitors who buy: a cart that is filled, an account that is logged in, a form that is filled in, and the database."""

from helpers import PASSWORD, execute

from core.setup.embedded import borrowed

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH"}


def rows(shop, statement, *args):
    """Run a statement in the shop's database as its owner; return the rows."""
    with borrowed(shop.data) as owner:
        return execute(owner, statement, args, by_hand=False)


def stock(shop, product):
    """Return how many pieces the database has of a product."""
    return rows(shop, "SELECT stock_quantity FROM products WHERE id = %s", product["id"])[0]["stock_quantity"]


def in_cart(shop, browser):
    """Return the lines of a visitor's cart in the database: the quantity of each product id."""
    session = browser.run("return localStorage.getItem('shop.session')")
    lines = rows(shop, "SELECT product_id, quantity FROM cart_items WHERE session_id = %s", session)
    return {line["product_id"]: line["quantity"] for line in lines}


def with_cart(browser, shop, *lines, path="/shop/login", **size):
    """Let a visitor come back who has put (product, quantity) into the cart, to this address."""
    session = shop.ask("/api/cart", "POST")["session_id"]
    for product, quantity in lines:
        body = {"product_id": product["id"], "quantity": quantity}
        shop.ask("/api/cart/items", "POST", body, Session_ID=session)
    remember(browser, session=session)
    browser.visit(path, **size)
    return session


def remember(browser, **values):
    """Let the browser have these in its storage: token, session."""
    if not browser.driver.current_url.startswith(browser.url):
        browser.visit("/api/health")  # the lightest page
    for name, value in values.items():
        browser.run("localStorage.setItem(`shop.${arguments[0]}`, arguments[1])", name, value)


def account(shop, name):
    """Make an account by the API; return its e-mail address."""
    email = f"{name}@example.com"
    shop.ask("/api/users/register", "POST", {"username": name, "email": email, "password": PASSWORD})
    return email


def token_of(shop, name):
    """Log an account in by the API; return the token."""
    return shop.ask("/api/users/login", "POST", {"username": name, "password": PASSWORD})["token"]


def logged_in(browser, shop, name, path):
    """Let a visitor come who has an account and is logged in; return the token."""
    account(shop, name)
    token = token_of(shop, name)
    remember(browser, token=token)
    browser.visit(path)
    return token


def fill(browser, **values):
    """Type into the fields of the page's form."""
    for name, value in values.items():
        field = browser.one(f"main [name={name}]")
        browser.until(field.is_displayed)
        browser.type(field, value)


def problems(browser):
    """Return what stands under the fields of the page, by their names."""
    return browser.run(
        """return Object.fromEntries([...document.querySelectorAll('main [aria-invalid=true]')].map(
        field => [field.name, document.getElementById(`${field.id}-problem`).textContent]))"""
    )


def open_cart(browser):
    """Open the drawer, and wait until the lines are there."""
    browser.click(browser.one("#cart[aria-label]"))
    browser.one("dialog.cart[open]")


def of_line(browser, product, name):
    """Return the control of a product's line: minus, plus, quantity, remove, take."""
    return browser.one(f"dialog[open] [data-key='{name}-{product['id']}'], main [data-key='{name}-{product['id']}']")
