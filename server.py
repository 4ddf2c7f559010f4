#!/usr/bin/env python3
"""Bodega, an e-commerce API in Bottle and plain SQL.

    python3 server.py          everything, from nothing to a shop on http://127.0.0.1:8080
    python3 server.py test     the same preparation, then the whole test suite
    python3 server.py --help   the other commands

Only the standard library is needed to start; see core/setup/bootstrap.py.
"""

import os
import sys

from core.cli import CommandError
from core.setup import bootstrap
from core.setup.system import ROOT, pages, program


def _prepare(words):
    """Make the packages importable, if need be by starting anew in .venv."""
    testing = words[:1] == ["test"]
    elsewhere = os.environ.get("TEST_DATABASE_URL" if testing else "DATABASE_URL")
    bootstrap.prepare(testing, embedded=not elsewhere and not program("mariadbd"))


if __name__ == "__main__":
    try:
        _prepare(sys.argv[1:])
    except CommandError as stop:
        sys.exit(str(stop))
    except KeyboardInterrupt:
        sys.exit(130)

from commands import admin, check, migrate, openapi, optimize, purge, routes, seed, serve, test
from core import cli, config
from core.app import app
from core.cache import Cache
from core.contract import openapi as openapi_document
from core.contract.cached_answers import CachedAnswers
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests
from core.contract.validation import Validation
from core.db import migrations
from core.db.database import Database
from core.db.readiness import Readiness
from core.db.statements import Statements, missing, require_sound
from core.identity import auth
from core.identity.audit import Audit
from core.identity.auth import Auth, Tokens
from core.identity.budgets import Budgets
from core.identity.counters import Counters
from core.identity.limits import Limits
from core.identity.login_delays import LoginDelays
from core.identity.passwords import Passwords
from core.serving.cors import Cors
from core.serving.middleware import Middleware

# The order of the API document: a shopper's.
# isort: off
from resources import (
    products_list,
    products,
    products_csv,
    categories,
    cart,
    users,
    users_sessions,
    audit,
    service,
    docs,
)

# isort: on

RESOURCES = (products_list, products, products_csv, categories, cart, users, users_sessions, audit, service, docs)
COMMANDS = {
    "serve": serve,
    "migrate": migrate,
    "seed": seed,
    "check": check,
    "admin": admin,
    "purge": purge,
    "optimize": optimize,
    "routes": routes,
    "openapi": openapi,
    "test": test,
}


def shop(config, url, reload=False, *, generation=None, tries=None, before=None):
    """Wire the shop in the order in which a request meets things; return the WSGI application, with its `readiness`.

    `config`: the Config, with a secret_key; `url`: the DatabaseUrl to use; `generation`, `tries`: what the workers of
    this wiring share with those of the one before (a cache.Generation and counters.host_memory()); `before`: that one's
    Readiness. Raises CommandError where a SQL file is wrong, and then leaves an earlier wiring as it was; LookupError
    for a route that does not say who may use it.
    """
    needed = before.migrations if before else migrations.files()
    statements = Statements(ROOT / "sql", reload, migrations.tables(needed))
    require_sound(statements.problems + missing(ROOT / "sql", pages()))
    readiness = Readiness(url, config.database_timeout, statements, needed)
    if before:
        readiness.replace(before)
    # Whoever edits statements wants to see at once what they do: answers that are in memory would hide it.
    cache = Cache(0 if reload else config.cache_ttl, config.count_cache_ttl, config.cache_size, generation)
    database = Database(url, statements, config.database_timeout, cache)
    passwords = Passwords(config.bcrypt_cost, slots=max(1, config.threads // 2))
    tokens = Tokens(config.secret_key, config.session_ttl, config.session_idle, config.reauth_after)
    counters = Counters(config.rate_limit_storage, tries)
    limits = Limits(counters, config.rate_limits, config.trusted_proxies)
    delays = LoginDelays(counters, config.rate_limits)

    app.uninstall(True)
    for plugin in (
        ConditionalRequests(),
        CachedAnswers(cache),
        Envelope(),
        limits,
        Audit(add="audit/add"),
        Auth(database, tokens, users_sessions.find_user, passwords=passwords, delays=delays),
        Validation(),
        readiness,
        Budgets(limits, config.threads),
        database,
    ):
        app.install(plugin)
    auth.require_declared(app)
    openapi_document.text(app)  # stops the start where a route cannot be described
    return Middleware(app, Cors(config.cors_origins), cache.answers, readiness)


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], COMMANDS, config.load, shop))
