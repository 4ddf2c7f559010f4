-- Note that an attempt has failed, and when the next one is due. A report that comes too late (another attempt has begun)
-- changes nothing.
-- used by: server.py chores
-- returns: count
-- changes: outbox
-- params:
--   id       of the message
--   attempt  its number; 1 is the first
--   delay    seconds until the next one
--   error    why it failed, in a sentence
-- sample: id=(SELECT MAX(id) FROM outbox), attempt=1, delay=5, error='The server does not answer.'
-- reads: at most 5
UPDATE outbox FORCE INDEX (PRIMARY)
SET due_at = CURRENT_TIMESTAMP + INTERVAL %(delay)s SECOND, error = %(error)s
WHERE id = %(id)s AND state = 'waiting' AND attempts = %(attempt)s
