-- Write what the world is to hear, in the transaction of what it tells: mails for one address, and events for each active
-- webhook that wants their topic.
-- used by: POST /api/orders, POST /api/products, PUT and DELETE /api/products/{id}, POST /api/products/{id}/stock,
--   POST /api/products/import, POST /api/webhooks/{id}/test,
--   POST /api/users/password-reset, POST /api/users/password-reset/confirm, PUT /api/users/{id}
-- returns: count
-- changes: outbox
-- params:
--   messages  JSON: [[message_id, receiver or null, topic, payload as text, traceparent or null], …]; a receiver of null:
--             the webhooks that want the topic
-- sample: messages='[["msg_1", "mail ada@example.com", "order_placed", "{}"], ["msg_2", null, "order.placed", "{}", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]]'
-- allow: full scan on webhooks (there are at most 20)
-- allow: filesort on document (the messages of one change)
-- allow: temporary table on document (the same)
INSERT INTO outbox (message_id, receiver, topic, payload, traceparent)
SELECT m.message_id, COALESCE(m.receiver, CONCAT('webhook ', w.id)), m.topic, m.payload, m.traceparent
FROM JSON_TABLE(%(messages)s, '$[*]' COLUMNS (
    position    FOR ORDINALITY,
    message_id  VARCHAR(36)  PATH '$[0]',
    receiver    VARCHAR(300) PATH '$[1]',
    topic       VARCHAR(40)  PATH '$[2]',
    payload     MEDIUMTEXT   PATH '$[3]',
    traceparent CHAR(55)     PATH '$[4]'
)) AS m
LEFT JOIN webhooks AS w ON m.receiver IS NULL AND w.is_active = 1 AND JSON_CONTAINS(w.topics, JSON_QUOTE(m.topic))
WHERE m.receiver IS NOT NULL OR w.id IS NOT NULL
ORDER BY m.position, w.id
