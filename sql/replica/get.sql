-- Which beat of a host a replica has, and which server it is.
-- used by: every route that may read from a replica
-- returns: one
-- columns: beat BIGINT NULL, server VARCHAR(80) NULL
-- params:
--   id  of the host
-- sample: id=1
-- replica: ok
-- index: replica_beats PRIMARY
-- plan: primary key
SELECT
    (SELECT beat FROM replica_beats WHERE id = %(id)s) AS beat,
    CAST(CONCAT(@@hostname, ':', @@port) AS CHAR(80)) AS server
