-- Write down what happened to an order.
-- used by: POST /api/orders/{number}/payments, POST /api/orders/{number}/cancel, POST /api/orders/{number}/fulfil,
--   POST /api/orders/{number}/refunds, POST /api/payments/{provider}/webhook, server.py chores
-- returns: count
-- changes: order_history
-- params:
--   id       the order
--   what     fulfilled, canceled, …
--   by_whom  customer, admin, provider or shop
--   amount   of money that moved, or NULL
-- sample: id=(SELECT COALESCE(MAX(id), 1) FROM orders), what='fulfilled', by_whom='admin', amount=NULL
INSERT INTO order_history (order_id, what, by_whom, amount)
VALUES (%(id)s, %(what)s, %(by_whom)s, %(amount)s)
