-- Take the person out of the orders of an account that is about to be deleted: numbers, lines and amounts stay. The account
-- is locked before, so that no order of it is placed after this.
-- used by: DELETE /api/users/{id}
-- returns: count
-- changes: orders
-- params:
--   user_id
-- sample: user_id=(SELECT COALESCE(MAX(user_id), 1) FROM orders)
-- allow: temporary table on orders in MySQL (the orders of one account: what finds them is changed)
-- index: orders ix_orders_user
-- plan: ix_orders_user
UPDATE orders
SET user_id = NULL, email = NULL, shipping_address = NULL, note = NULL
WHERE user_id = %(user_id)s
