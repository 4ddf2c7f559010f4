-- Add a webhook. There may be more than are allowed then: webhooks/count_before tells.
-- used by: POST /api/webhooks
-- returns: id
-- changes: webhooks
-- params:
--   url
--   topics  JSON: ["order.paid", …]
--   salt    16 random bytes, of which the secret is made
-- sample: url='https://erp.example/hooks', topics='["order.paid"]', salt='0123456789abcdef'
INSERT INTO webhooks (url, topics, salt)
VALUES (%(url)s, %(topics)s, %(salt)s)
