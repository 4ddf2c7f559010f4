-- The trace that a message belongs to: the traceparent of W3C Trace Context, of the request that has written it, or NULL.
ALTER TABLE outbox ADD COLUMN traceparent CHAR(55) CHARACTER SET ascii COLLATE ascii_bin NULL;
