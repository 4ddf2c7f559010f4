-- Add an order. Its lines follow by orders/add_items.
-- used by: POST /api/orders
-- returns: id
-- changes: orders
-- params:
--   number            random
--   user_id           the account, or NULL for a guest
--   token_hash        of a guest's Order-Token, or NULL
--   currency          of all amounts (ISO 4217)
--   total             what it costs
--   item_count        pieces
--   email             where the confirmation goes
--   shipping_address  JSON, or NULL
--   note              or NULL
--   placed_at         as orders/lock_cart gave it
--   expires_at        when it is canceled if nobody has paid
-- sample: number='00000-00000', user_id=NULL, token_hash=NULL, currency='EUR', total=19.90, item_count=1,
--   email='ada@example.com', shipping_address=NULL, note=NULL, placed_at='2026-01-31 12:00:00',
--   expires_at='2026-01-31 12:30:00'
INSERT INTO orders (
    number, user_id, token_hash, currency, total, item_count, email, shipping_address, note, placed_at, expires_at
)
VALUES (
    %(number)s, %(user_id)s, %(token_hash)s, %(currency)s, %(total)s, %(item_count)s, %(email)s, %(shipping_address)s,
    %(note)s, %(placed_at)s, %(expires_at)s
)
