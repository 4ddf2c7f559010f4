-- Which payment a provider means.
-- used by: POST /api/payments/{provider}/webhook
-- returns: one
-- columns: id INT
-- params:
--   provider
--   reference  what the provider calls it
-- sample: provider='dummy', reference=(SELECT COALESCE(MAX(reference), 'none') FROM payments)
-- index: payments uq_payments_reference
-- reads: at most 5
-- plan: uq_payments_reference
SELECT p.id
FROM payments AS p
WHERE p.provider = %(provider)s
  AND p.reference = %(reference)s
