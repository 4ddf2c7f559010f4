"""The error numbers of MySQL and MariaDB, and what to tell people about them: clients, and who types a command.

The numbers: dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, mariadb.com/kb/en/mariadb-error-codes/
"""

import logging
import re
from collections.abc import Callable, Mapping

from core.database_url import DatabaseUrl
from core.db.drivers import number
from core.db.pymysql_rows import SYSTEM
from core.errors import ApiError, Conflict, ServiceUnavailable

LOCK_WAIT = 1205  # waited too long for a lock
RETRYABLE = {LOCK_WAIT, 1213, 1020, 1467}  # lock wait, deadlock, and what MariaDB says in place of 1213
# In answer to COMMIT these say that nothing was stored: another node of a Galera cluster was faster; the node takes no
# statements (any more); the server has become read-only. What else a node says there (1180, 1205, 1317) is not sure.
UNDONE = {1213, 1047, 1290}
SILENT = {0, 2002, 2003, 2006, 2013, 2014, 2055}  # nothing came from the server, or nothing that makes sense
LOST = SILENT | {1040, 1047, 1053, 1129, 1135, 1203, 1927, 3032, 3168, 4031}
REFUSED = {1044, 1045, 1049, 1130, 1226, 1227, 1251, 1698, 1820, 1862, 2012, 2059, 2061, 3118, 4151}
DENIED = {1142, 1143}  # one statement, on one table or column
TOO_LONG = {1028, 1317, 1969, 3024}
TOO_MANY = {1461}  # prepared statements of all connections
NOT_MIGRATED = {1054, 1146, 1305}  # no such column, table, function: a migration is pending
NO_MEMORY = {5, 1037, 1038, 1041, 1206}
READ_ONLY = {1290, 1792, 1836, 3098}  # 3098: a MySQL group hands over to another primary
FILES = {*SYSTEM, 1016, 1021, 1023, 1024, 1026, 1030, 1034, 1114, 1878} - NO_MEMORY  # the disk is full, say
CONSTRAINTS = {1062, 1451, 1452, 3819, 4025}  # unique, foreign and check constraints

UNREACHABLE = "The shop's database does not answer. Try again in a moment."

Clashes = Mapping[str, type[ApiError]]  # name of a constraint → what a violation means to a client


def client_error(url: DatabaseUrl, error: Exception, clashes: Clashes, report: Callable[..., None]) -> Exception:
    """Return the ApiError for clients in place of a DatabaseError; `report(level, …)` gets the database's own words.

    An error that is a bug of ours is returned as it is.
    """
    code = number(error)
    if code in CONSTRAINTS:
        key = str(error.args[-1]).rpartition(" for key ")[2]  # before it stands what the client sent
        return next((meaning for name, meaning in clashes.items() if name in key), Conflict)()
    if code in LOST | REFUSED:
        report(logging.ERROR, "The database %s is out of reach: %s", url.place, error)
        return ServiceUnavailable(UNREACHABLE)
    if code in DENIED:
        report(logging.ERROR, "The account %r lacks a right, see server.py grants: %s", url.user, error)
        return ServiceUnavailable(UNREACHABLE)
    if code in NOT_MIGRATED:
        report(
            logging.ERROR, "The schema is not the one this version needs: %s. Type: python3 server.py migrate", error
        )
        return ServiceUnavailable("The shop is being updated. Try again in a moment.", retry_after=10)
    if code in READ_ONLY | FILES:
        report(logging.ERROR, "The database cannot write; its disk may be full, or it is read-only: %s", error)
        return ServiceUnavailable("The shop's database cannot write just now. Try again in a moment.", retry_after=10)
    if code in RETRYABLE | TOO_LONG | NO_MEMORY:
        report(logging.WARNING, "The database could not finish: %s", error)
        return ServiceUnavailable("The shop is very busy. Try again in a moment.")
    return error


def refusal(url: DatabaseUrl, error: Exception) -> str:
    """Return the sentence for a person at the terminal whose command the database refused."""
    code, message = number(error), str(error.args[-1] if error.args else error)
    if code in (1045, 1698):
        return f"The database refused the login {url.user!r} at {url.place}. Check user and password in DATABASE_URL."
    if code in (1044, 1049):
        return (
            f"There is no database {url.database!r} there, or {url.user!r} may not use it. Create it and grant the "
            f"rights: CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4; GRANT ALL ON `{url.database}`.* TO …;"
        )
    if code in LOST and re.search(r"\b(SSL|TLS)\b", message):
        host = "one of these" if url.others else url.host
        return (
            f"The database {url.place} does not prove that it is {host}, so the password was not sent. Give it a "
            "certificate for that name, and name its CA in DATABASE_URL if this machine does not know it "
            "(?ssl_ca=/path/to/ca.pem); or say that it may be spoken to in the clear, in a network that is yours alone "
            f"(?ssl=off). (It said: {message})"
        )
    if code in LOST:
        return f"The database {url.place} cannot be reached. Start it, or correct DATABASE_URL. (It said: {message})"
    if code in NOT_MIGRATED:
        return "The tables are not there yet, or not all of them. Type: python3 server.py migrate"
    if code in RETRYABLE | CONSTRAINTS:
        return (
            f"Others changed the same rows in {url.place}, again and again. Nothing was changed here; try again later. "
            f"(It said: {message})"
        )
    owners = ". Give this command the login of the database's owner." if code in DENIED else ""
    return f"The database {url.place} refused: {message}{owners}"
