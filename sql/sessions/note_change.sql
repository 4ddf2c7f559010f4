-- Count a change that a login has made, in the transaction of the change: a replica that has the count has the change.
-- used by: every route that wants a token and changes something, while DATABASE_REPLICA_URL is set
-- returns: count
-- changes: sessions
-- params:
--   token_hash  64 hexadecimal digits
-- sample: token_hash=(SELECT COALESCE(MAX(token_hash), '0a') FROM sessions)
-- index: sessions PRIMARY
-- reads: at most 5
-- plan: primary key
UPDATE sessions
SET changes = changes + 1
WHERE token_hash = %(token_hash)s
