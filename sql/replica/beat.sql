-- Note the moment at which a host writes this, so that it sees up to when a replica has all; the first time it is a new
-- row. A later one stays, where two processes write at once.
-- used by: every route that may read from a replica, each second while DATABASE_REPLICA_URL is set
-- returns: count
-- changes: replica_beats
-- params:
--   id    of the host, a random number
--   beat  the moment, in nanoseconds of the host's own clock
-- sample: id=1, beat=1
-- plan: primary key
INSERT INTO replica_beats (id, beat)
SELECT n.id, n.beat
FROM (SELECT %(id)s AS id, %(beat)s AS beat) AS n
ON DUPLICATE KEY UPDATE
    beat = GREATEST(replica_beats.beat, n.beat)
