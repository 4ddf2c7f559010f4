#!/usr/bin/env python3
"""Bodega, an e-commerce API in Bottle and plain SQL.

    python3 server.py          everything, from nothing to a shop on http://127.0.0.1:8080
    python3 server.py test     the same preparation, then the whole test suite
    python3 server.py --help   the other commands

Only the standard library is needed to start; see core/setup/bootstrap.py.
"""

import os
import sys
from collections.abc import Callable

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

from commands import (
    admin,
    backup,
    check,
    chores,
    grants,
    migrate,
    openapi,
    optimize,
    overlay,
    purge,
    report,
    restore,
    routes,
    seed,
    serve,
    sql,
    test,
    top,
)
from core import cli, config
from core.app import app
from core.cache import Cache, Generation
from core.contract import openapi as openapi_document
from core.contract.cached_answers import CachedAnswers
from core.contract.compression import Compression
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests
from core.contract.forms import Forms
from core.contract.idempotency import Idempotency
from core.contract.validation import Validation
from core.database_url import DatabaseUrl
from core.db import migrations
from core.db.database import Database
from core.db.measuring import Meter, Noting
from core.db.readiness import Readiness
from core.db.replica import Replica
from core.db.statements import Statements, missing, require_sound
from core.identity import auth
from core.identity.audit import Audit
from core.identity.auth import Auth, Tokens
from core.identity.budgets import Budgets
from core.identity.changes import Changes
from core.identity.counters import Counters, HostMemory
from core.identity.limits import Limits
from core.identity.login_delays import LoginDelays
from core.identity.passwords import Passwords
from core.mails import Mails
from core.metrics_file import File
from core.outbox import Channel
from core.serving.chores import Chore, Chores
from core.serving.cors import Cors
from core.serving.exposition import Exposition
from core.serving.middleware import Middleware

# Their routes, in the order of the API document: a shopper's.
# isort: off
from resources import (  # noqa: F401
    shop as shop_resource,
    products_list,
    products,
    products_withdrawn,
    products_csv,
    products_suggest,
    categories,
    cart,
    cart_items,
    cart_batch,
    cart_merge,
    orders,
    orders_lists,
    orders_payments,
    orders_canceling,
    orders_fulfilment,
    orders_refunds,
    orders_export,
    users,
    users_sessions,
    users_password_reset,
    audit,
    outbox,
    outbox_webhooks,
    reports,
    service,
    images,
    docs,
    docs_sql,
    storefront,
)

# And what has no routes. Here, as it imports some that have.
from resources import cart_lines, orders_paying, orders_providers, outbox_delivery, outbox_mail, outbox_watch
from resources.outbox_webhooks_channel import Webhooks
from resources.outbox_webhooks_posting import Posting

# isort: on

COMMANDS = {
    module.__name__.removeprefix("commands."): module
    for module in (
        serve,
        chores,
        migrate,
        grants,
        seed,
        check,
        sql,
        top,
        overlay,
        report,
        admin,
        backup,
        restore,
        purge,
        optimize,
        routes,
        openapi,
        test,
    )
}


def shop(
    settings: config.Config,
    url: DatabaseUrl,
    reload: bool = False,
    *,
    generation: Generation | None = None,
    memory: HostMemory | None = None,
    counts: File | None = None,
    before: Readiness | None = None,
    give: Callable[[Statements], None] | None = None,
) -> Middleware:
    """Put the shop together, in the order in which a request meets things; return the WSGI application.

    `settings`: with a secret_key. `reload`: take edits of sql/ at once. `counts`: where is counted what GET /metrics
    tells; without it, no statement is logged as slow. During a rolling restart, `generation`, `memory` and `counts` are
    what the old workers share with the new ones, and `before` is the old Readiness. `give`: gives the account of `url`
    the rights for these statements. Raises CommandError where a SQL file is wrong, and then leaves the former shop as
    it was; LookupError for a route that does not say who may use it.
    """
    if not settings.secret_key:
        raise CommandError("SECRET_KEY is not set. Make one, and keep it in .env; .env.example says how.")
    needed = before.migrations if before else migrations.files()
    tables = migrations.tables(needed)
    statements = Statements(ROOT / "sql", reload, tables, settings.sql_overlay, [ROOT / reports.FOLDER])
    mails = Mails()
    wrong = [*statements.problems, *missing(ROOT / "sql", pages()), *reports.problems(statements), *mails.problems]
    if before:
        wrong += statements.called_otherwise(before.statements)
    require_sound(wrong)
    statements.log_tuned()
    if give:
        give(statements)
    readiness = Readiness(url, settings.database_timeout, statements, needed)
    if before:
        readiness.replace(before)
    # With --reload nothing is cached: an edit of a statement is seen at once.
    answers_for = 0 if reload else settings.cache_ttl
    cache = Cache(answers_for, settings.count_cache_ttl, settings.cache_size, generation, settings.cache_stale)
    meter = (Noting if settings.server_timing else Meter)(settings.slow_sql) if counts else None
    replica = None
    if settings.replica:
        replica = Replica(
            settings.replica,
            url,
            settings.database_timeout,
            statements,
            cache.generation,
            meter=meter,
            beat="replica/beat",
            get="replica/get",
            note="sessions/note_change",
            changes="sessions/changes",
        )
    database = Database(url, statements, settings.database_timeout, cache, meter=meter, replica=replica)
    passwords = Passwords(settings.bcrypt_cost, slots=max(1, settings.threads // 2))
    tokens = Tokens(settings.secret_key, settings.session_ttl, settings.session_idle, settings.reauth_after)
    counters = Counters(settings.rate_limit_storage, memory)
    changes = Changes(counters, cache.generation, url.database)
    cache.tell = changes.tell
    limits = Limits(counters, settings.rate_limits, settings.trusted_proxies)
    delays = LoginDelays(counters, settings.rate_limits)
    providers = orders_providers.enabled(orders_payments.KNOWN, settings)
    webhooks = Webhooks(settings.secret_key, Posting(settings.webhooks_private))
    channels: dict[str, Channel] = {"webhook": webhooks}
    send = outbox_mail.way_of(settings)  # no := here: an older Python reads this file, to say which one is needed
    if send:
        channels["mail"] = outbox_mail.MailChannel(send, mails, settings.mail_from)
    channels["reset"] = users_password_reset.ResetMails(
        channels.get("mail"), tokens, settings.shop, settings.storefront_url
    )

    app.uninstall(True)
    for plugin in (
        ConditionalRequests(),
        CachedAnswers(cache),
        Compression(),
        Envelope(docs.page_of),
        limits,
        Audit(add="audit/add"),
        Auth(
            database,
            tokens,
            users_sessions.find_user,
            passwords=passwords,
            delays=delays,
            shop=settings.shop,
            merge_carts=cart_merge.merge_at_login,
            read_cart=cart_lines.read,
            order_hold=settings.order_hold,
            providers=providers,
            webhooks=webhooks,
            sources=statements if settings.server_timing else None,
            storefront=storefront.Storefront(settings.shop, settings.storefront, reload or not settings.database),
        ),
        Validation(),
        readiness,
        Budgets(limits, settings.threads),
        database,
        Idempotency(
            settings.secret_key,
            limits,
            delays,
            settings.threads,
            add="idempotency_keys/add",
            get="idempotency_keys/get",
            store="idempotency_keys/store",
        ),
        Forms(),
    ):
        app.install(plugin)
    auth.require_declared(app)
    openapi_document.text(app)  # stops the start where a route cannot be described
    return Middleware(
        app,
        Cors(settings.cors_origins),
        cache.answers,
        readiness,
        chores_of(settings, database, readiness, providers, channels),
        queue_timeout=settings.queue_timeout,
        metrics=Exposition(counts) if counts and settings.metrics == "public" else None,
        timing=settings.server_timing,
        changes=changes,
    )


def chores_of(
    settings: config.Config,
    database: Database,
    readiness: Readiness,
    providers: orders_providers.Providers,
    channels: dict[str, Channel],
) -> Chores:
    """Return what the shop does beside answering: each list in a thread of its own, one chore at a time.

    `channels`: how the outbox reaches the receivers of each kind.
    """
    delivering = outbox_delivery.Delivering(channels)
    return Chores(
        database,
        readiness,
        [
            Chore("delivery", delivering.run, every=1, finish=delivering.finish),
            Chore("watch", outbox_watch.Watching(channels).run, every=outbox_watch.EVERY),
        ],
        [
            Chore("expiry", orders_canceling.expire, every=2),
            Chore("payments", lambda database: orders_paying.reconcile(database, providers), every=2),
        ],
        [Chore("purge", lambda database: purge.everything(database, settings), every=3600)],
    )


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], COMMANDS, config.load, shop))
