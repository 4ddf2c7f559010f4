-- Give a webhook these values; webhooks/lock has locked it.
-- used by: PUT /api/webhooks/{id}
-- returns: count
-- changes: webhooks
-- params:
--   id
--   url
--   topics     JSON: ["order.paid", …]
--   is_active
-- sample: id=(SELECT MAX(id) FROM webhooks), url='https://erp.example/hooks', topics='["order.paid"]', is_active=1
-- index: webhooks PRIMARY
-- plan: primary key
UPDATE webhooks
SET url = %(url)s,
    topics = %(topics)s,
    is_active = %(is_active)s
WHERE id = %(id)s
