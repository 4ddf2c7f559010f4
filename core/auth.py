"""Who may use a route. Every route says so with `auth=…`; one that does not stops the start."""

PUBLIC = "public"  # anyone, without a token

KNOWN = (PUBLIC,)


def require_declared(app):
    """Raise LookupError, naming the route, if one declares no `auth` or one that does not exist."""
    for route in app.routes:
        if route.config.get("auth") not in KNOWN:
            raise LookupError(f"{route.method} {route.rule} declares no auth; say who may use it: auth=PUBLIC, …")
