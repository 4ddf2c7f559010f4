-- Turn a webhook off whose receiver has answered that it is gone for good; unless it has got another address meanwhile.
-- used by: the chores of server.py serve
-- returns: count
-- changes: webhooks
-- params:
--   id
--   url  the address that answered so
-- sample: id=(SELECT MAX(id) FROM webhooks), url='https://erp.example/hooks'
-- index: webhooks PRIMARY
-- plan: primary key
UPDATE webhooks
SET is_active = FALSE
WHERE id = %(id)s AND url = %(url)s
