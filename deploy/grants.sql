-- The rights that the shop's account needs, table by table. It may change rows and nothing of the schema; and it can
-- neither change nor remove what the audit trail has.
--
-- For a database of your own: migrate with an account that may change the schema (python3 server.py migrate), create
-- the account shop, and run this file with the mysql client. Where your database or account has another name, edit the
-- names here. The private MariaDB takes these rights at each start.

GRANT SELECT, INSERT ON shop.audit_entries TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.cart_items TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.carts TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.categories TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.idempotency_keys TO shop;
GRANT SELECT, INSERT, DELETE ON shop.import_parts TO shop;
GRANT SELECT, INSERT, DELETE ON shop.known_words TO shop;
GRANT SELECT, INSERT ON shop.order_history TO shop;
GRANT SELECT, INSERT, UPDATE ON shop.order_items TO shop;
GRANT SELECT, INSERT, UPDATE ON shop.orders TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.outbox TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.password_resets TO shop;
GRANT SELECT, INSERT, UPDATE ON shop.payments TO shop;
GRANT SELECT, INSERT ON shop.name_zones TO shop;
GRANT SELECT, INSERT, DELETE ON shop.product_words TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.products TO shop;
GRANT SELECT, INSERT, UPDATE ON shop.refunds TO shop;
GRANT SELECT ON shop.schema_migrations TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.sessions TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.users TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.webhooks TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.word_zones TO shop;
GRANT SELECT, UPDATE ON shop.word_zones_until TO shop;
