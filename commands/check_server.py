"""What `check` says of the servers of a cluster: whether each one stores what it has acknowledged."""

import contextlib
from collections.abc import Iterator

from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError, connect

TIMEOUT = 2  # seconds
VARIABLES = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN "
    "('wsrep_on', 'group_replication_group_name', 'innodb_flush_log_at_trx_commit')"
)

AT_RISK = (
    "is a node of a cluster, and its innodb_flush_log_at_trx_commit is {}: orders that were acknowledged are lost "
    "where all nodes go down at once (a power cut). Set it to 1 in the configuration of each node, and at once: "
    "SET GLOBAL innodb_flush_log_at_trx_commit = 1"
)


def risks(url: DatabaseUrl) -> Iterator[tuple[int, str]]:
    """Yield an exit status and a sentence for each server of a cluster that may lose what it has acknowledged.

    A node answers COMMIT when the others have the change in memory. Unless each writes its log to the disk before that,
    a cluster whose nodes go down together (a power cut) comes back without the last second's orders. A server that
    cannot be asked is said, with status 2: not all could be looked at. A server by itself is its owner's choice.
    """
    for server in url.servers:
        try:
            with contextlib.closing(connect(server, TIMEOUT)) as connection, connection.cursor() as cursor:
                cursor.execute(VARIABLES)
                told = {row["Variable_name"]: row["Value"] for row in cursor.fetchall()}
        except DatabaseError as error:
            yield 2, f"{server.place} could not be asked how it stores what it acknowledges: {error.args[-1]}"
            continue
        flushes = told["innodb_flush_log_at_trx_commit"]
        if flushes != "1" and (told.get("wsrep_on") == "ON" or told.get("group_replication_group_name")):
            yield 1, f"{server.place} {AT_RISK.format(flushes)}"
