"""The shop itself: what a storefront asks for first, to know how to show prices and what it may offer."""

from typing import Any

from core.app import app, bounds_of
from core.cache import Cached
from core.contract.shapes import Shape, field
from core.db.database import Row
from core.identity.auth import PUBLIC
from core.shop import Shop

MINUTE = Cached(control="public, max-age=60")  # name and currency change with a restart only

FEATURES = {  # what it is called → the route without which there is none, and what it means
    "registration": ("POST", "/api/users/register", "Whether customers can make accounts."),
    "password_reset": ("POST", "/api/users/password-reset", "Whether a forgotten password can be replaced, by a mail."),
    "guest_carts": ("POST", "/api/cart", "Whether a visitor without an account can fill a cart."),
    "account_carts": ("POST", "/api/cart/merge", "Whether an account has a cart, the same on every device."),
    "suggestions": ("GET", "/api/products/suggest", "Whether there are suggestions for what is being typed."),
    "orders": ("POST", "/api/orders", "Whether a cart can be ordered here."),
}
LIMITS = {  # which bounds of the routes are told, an example, and what they mean
    "per_page": (100, "The most products on one page of a list."),
    "cart_lines": (100, "The most different products in a cart."),
    "line_quantity": (999, "The most pieces that one request can ask for of a product."),
}
SHOP = Shape(
    "Shop",
    name=field("string", "What the shop is called.", Shop.name),
    payment_providers=field(
        "list",
        "The ways to pay an order, by the names that `createPayment` takes.",
        items={"type": "string", "meta": {"description": "The name of a way to pay.", "example": "manual"}},
    ),
    currency=field("string", "The currency of all prices and totals (ISO 4217). It has two decimals.", Shop.currency),
    features=field(
        "dict",
        "What this version of the shop can do, so that a storefront shows no more than that.",
        shape=Shape(
            "ShopFeatures", **{name: field("boolean", about, True) for name, (_, _, about) in FEATURES.items()}
        ),
    ),
    limits=field(
        "dict",
        "The limits that a storefront meets first.",
        shape=Shape("ShopLimits", **{name: field("integer", about, most) for name, (most, about) in LIMITS.items()}),
    ),
)


@app.get("/api/shop", auth=PUBLIC, cache=MINUTE, returns=SHOP, message="Shop found.")
def get_shop(shop: Shop, providers: Any) -> Row:
    """Say what the shop is called, which currency its prices are in, and what it can do.

    A storefront asks once, before it shows anything; the answer may be cached for a minute.
    """
    routes = {(route.method, route.rule) for route in app.routes}
    bounds = bounds_of(app)
    return {
        "name": shop.name,
        "currency": shop.currency,
        "payment_providers": providers.names,
        "features": {name: (method, rule) in routes for name, (method, rule, _) in FEATURES.items()},
        "limits": {name: bounds[name] for name in LIMITS},
    }
