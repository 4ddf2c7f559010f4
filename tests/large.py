"""A database as large as plans need: 20,000 products and orders, and as many of everything else; the same each time."""

import contextlib

from helpers import TABLES, empty_tables, execute

from commands import seed

PRODUCTS = 20_000
FILLED = (  # as many accounts, sessions, lines in carts and entries in the audit trail as there are products
    """INSERT INTO users (id, username, email, password_hash)
       SELECT id, CONCAT('user', id), CONCAT('user', id, '@example.com'), '*' FROM products""",
    """INSERT INTO sessions (token_hash, user_id, last_used_at, expires_at)
       SELECT SHA2(id, 256), id, NOW() - INTERVAL id MINUTE, NOW() + INTERVAL 10000 - id MINUTE FROM users""",
    """INSERT INTO carts (session_id, version, updated_at)
       SELECT CONCAT('cart', id - 1), 1, NOW() - INTERVAL id * 100 MINUTE FROM products WHERE id <= 2000""",
    """INSERT INTO idempotency_keys (id, fingerprint, created_at)
       SELECT UNHEX(SHA2(id, 256)), '', NOW() - INTERVAL id MINUTE FROM products""",
    "UPDATE carts SET user_id = 1 WHERE session_id = 'cart1'",
    """INSERT INTO cart_items (session_id, product_id, updated_at)
       SELECT CONCAT('cart', MOD(id, 2000)), id, NOW() - INTERVAL id * 10 MINUTE FROM products""",
    """INSERT INTO audit_entries (user_id, user_name, entity, entity_id, action)
       SELECT 1, 'alice', IF(MOD(id, 20), 'product', 'category'), id, 'update' FROM products""",
    """INSERT INTO outbox (message_id, receiver, topic, payload, state, ended_at)
       SELECT CONCAT('msg_', id), CONCAT(IF(MOD(id, 3), 'mail ', 'webhook '), MOD(id, 700)), 'order.paid', '{}',
           CASE MOD(id, 20) WHEN 0 THEN 'waiting' WHEN 1 THEN 'dead' ELSE 'delivered' END,
           IF(MOD(id, 20), NOW() - INTERVAL id * 36 SECOND, NULL)
       FROM products""",
    "INSERT INTO webhooks (url, topics, salt) SELECT 'https://a.example', '[]', '' FROM products WHERE id <= 20",
    """INSERT INTO password_resets (message_id, user_id, token_hash, expires_at)
       SELECT CONCAT('msg_', id), id, SHA2(id, 256), NOW() + INTERVAL 10000 - id MINUTE FROM users""",
)
OF_ORDERS = (
    "UPDATE payments SET provider = 'dummy', reference = CONCAT('dummy-', id)",
    """INSERT INTO refunds (order_id, payment_id, reason, status, amount, currency)
       SELECT order_id, id, 'requested', 'succeeded', 1, currency FROM payments""",
    "UPDATE refunds SET retry_at = NOW() + INTERVAL id MINUTE, status = 'new' WHERE MOD(id, 100) = 0",
    "UPDATE payments SET retry_at = NOW() + INTERVAL id MINUTE WHERE MOD(id, 100) = 0",
)
ALL = ", ".join((*TABLES, "cart_items", "name_zones", "order_history", "order_items", "password_resets", "sessions"))
NUMBERED = ("audit_entries", "categories", "users", "orders", "payments", "refunds", "outbox", "webhooks")


@contextlib.contextmanager
def filled(owner):
    """Fill the tests' database, and empty it afterwards. Ids begin with 1: what `seed` draws depends on them."""
    empty_tables(owner)
    for table in NUMBERED:
        execute(owner, f"ALTER TABLE {table} AUTO_INCREMENT = 1")
    seed.fill(owner, PRODUCTS)
    for statement in FILLED:
        execute(owner, statement)
    seed.add_orders(owner, PRODUCTS, "EUR")
    for statement in OF_ORDERS:
        execute(owner, statement)
    execute(owner, f"ANALYZE TABLE {ALL}")
    yield
    empty_tables(owner)
