"""The two drivers, with connections that behave alike.

The only page that knows mysqlclient; PyMySQL is known here, in pymysql_rows.py and columns.py. PyMySQL is always
installed. mysqlclient (its module is MySQLdb, written in C) is optional, and is used where DATABASE_URL begins with
mysql+mysqldb://.
"""

import contextlib
import dataclasses
import functools
import math
import os
import shlex
import socket
import ssl
import sys
import weakref
from typing import Any, cast

import pymysql
from pymysql.constants import CLIENT, CR, FIELD_TYPE

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db import fitness, primary
from core.db.pymysql_rows import CONVERTERS, QuickConnection, lost_in_garbage, moment

try:
    import MySQLdb.connections
    import MySQLdb.converters
    import MySQLdb.cursors

    class Cursor(MySQLdb.cursors.DictCursor):
        """mysqlclient's cursor; where it cannot read an answer, the connection is lost, as for PyMySQL."""

        _query = lost_in_garbage(MySQLdb.cursors.DictCursor._query)

        def give_up(self) -> None:
            """Close the connection without a word to the server."""
            with contextlib.suppress(MySQLdb.MySQLError):
                self.connection.close()

except ImportError as missing:
    MySQLdb, MISSING = None, str(missing)

# What `except` takes. The classes below these two differ between the drivers: tell errors apart by `number`.
DatabaseError: tuple[type[Exception], ...] = (
    (pymysql.MySQLError, MySQLdb.MySQLError) if MySQLdb else (pymysql.MySQLError,)
)
READ_AS = {  # by mysqlclient
    FIELD_TYPE.TINY: CONVERTERS[FIELD_TYPE.TINY],
    FIELD_TYPE.DATETIME: moment,
    FIELD_TYPE.TIMESTAMP: moment,
}
threadsafety = 1  # threads share this module, but no connection (PEP 249)

AS_PYMYSQL = {2005: 2003, 2026: 2003, 2027: 2013}  # the C library has numbers of its own: unknown host, TLS, garbage


def connect(url: DatabaseUrl, timeout: float, statement_timeout: float | None = None, scripts: bool = False) -> Any:
    """Open a connection; raise DatabaseError, or CommandError where its driver is missing or has another version.

    Each statement is committed by itself until `begin()`; at READ COMMITTED a lone SELECT loses nothing by that.
    `timeout` bounds connecting and each read and write, in seconds; `statement_timeout` replaces it for reads (commands
    that run long statements); `scripts` allows several statements in one text (migrations, session.BEGIN).

    Where the URL names several servers, it is to the one that is written to.
    """
    longest = statement_timeout or timeout
    if url.others:  # one that has fallen silent just now is not waited for: there are others
        url, timeout = present(url), min(timeout, fitness.SILENCE)
    connection = (_mysqldb if url.driver == "mysqldb" else _pymysql)(url, timeout, longest, scripts)
    try:
        with connection.cursor() as cursor:
            limit = longest * 0.9  # the server gives up before we do, so that nothing runs on there
            maria = "MariaDB" in connection.get_server_info()
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(
                "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = %s, sql_mode = 'ONLY_FULL_GROUP_BY,"
                "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
                + ("max_statement_time = %s" if maria else "max_execution_time = %s"),
                (max(1, int(limit / 2)), limit if maria else int(limit * 1000)),
            )
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_check(url: DatabaseUrl, timeout: float, statement_timeout: float | None = None) -> Any:
    """Open a connection that can also describe a statement; by PyMySQL, as mysqlclient has no PREPARE."""
    return connect(dataclasses.replace(url, driver="pymysql"), timeout, statement_timeout)


def log_in(url: DatabaseUrl, connecting: float, answering: float) -> None:
    """Log in and leave, by PyMySQL; raise DatabaseError. Times, in seconds: to connect, and for each answer.

    Where the URL names several servers, one that answers is enough.
    """
    if url.others:
        primary_of(url).is_known_again(connecting + answering, fitness.Fitness.READ_ONLY)
    _open_to_ask(present(url), connecting, answering).close()


def present(url: DatabaseUrl) -> DatabaseUrl:
    """Return the one server that is written to now; raise DatabaseError where none of several can be used."""
    if not url.others:
        return url
    try:
        server = primary_of(url).server()
    except primary.NoServer as error:
        code, said = error.args
        raise pymysql.OperationalError(code or CR.CR_CONN_HOST_ERROR, said) from None
    return dataclasses.replace(server, driver=url.driver)


def primary_of(url: DatabaseUrl) -> primary.Primary:
    """Return the choice among the servers of this URL, which names several."""
    return primary.of(dataclasses.replace(url, driver="pymysql"), _open_to_ask)


def socket_of(connection: Any) -> socket.socket:
    """Return the socket of a connection, by which another thread than the one that waits on it can end it: `hang_up`.

    mysqlclient shows its own to nobody else while one waits; so this is one more descriptor, closed with the object.
    """
    if isinstance(connection, QuickConnection):
        return cast("socket.socket", connection._sock)
    same = socket.socket(fileno=os.dup(connection.fileno()))
    weakref.finalize(connection, same.close)
    return same


def hang_up(end: socket.socket) -> None:
    """Shut a socket down: who waits on its connection hears at once that it is lost."""
    with contextlib.suppress(OSError):  # it may be closed already
        socket.socket.shutdown(end, socket.SHUT_RDWR)  # as it is beneath TLS


def number(error: BaseException) -> int:
    """Return MySQL's number of a DatabaseError, the same for both drivers; 0 where it has none."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return AS_PYMYSQL.get(code, code)


def _open_to_ask(url: DatabaseUrl, connecting: float, answering: float) -> Any:
    return _pymysql(url, answering, answering, False, connect_timeout=connecting)


def _common(url: DatabaseUrl, timeout: float) -> dict[str, Any]:
    return {
        "port": url.port,
        "user": url.user,
        "password": url.password,
        "database": url.database,
        "charset": "utf8mb4",
        "collation": "utf8mb4_unicode_520_ci",
        "autocommit": True,
        "local_infile": False,  # a server must not be able to ask for files of this machine
        "connect_timeout": timeout,
    }


def _is_local(url: DatabaseUrl) -> bool:
    return bool(url.unix_socket) or url.host in ("127.0.0.1", "::1", "localhost")


def _is_verified(url: DatabaseUrl) -> bool:
    """Whether to use TLS alone, and only with a server that proves to be that host.

    Another one in its place could ask for the password in the clear, or encrypted with a key of its own.
    """
    return bool(url.ssl_ca) or (url.tls and not _is_local(url))


def _pymysql(url: DatabaseUrl, timeout: float, statement_timeout: float, scripts: bool, **more: Any) -> Any:
    connection = QuickConnection(
        **_common(url, timeout) | more,
        host=url.host,
        unix_socket=url.unix_socket,
        read_timeout=timeout,  # of the login
        write_timeout=statement_timeout,
        client_flag=CLIENT.MULTI_STATEMENTS if scripts else 0,  # never FOUND_ROWS: see sql/cart/add.sql
        ssl=_tls(url.ssl_ca) if _is_verified(url) else None,
        ssl_disabled=not _is_verified(url),
        program_name="bodega",
    )
    connection._read_timeout = statement_timeout
    return connection


def _mysqldb(url: DatabaseUrl, timeout: float, statement_timeout: float, scripts: bool) -> Any:
    if not MySQLdb:
        raise CommandError(
            "DATABASE_URL asks for mysql+mysqldb://, and the package mysqlclient cannot be imported "
            f"({MISSING}). Type this, then start again:\n\n"
            f"    {shlex.quote(sys.executable)} -m pip install mysqlclient\n\n"
            "pip compiles it: that needs a C compiler, pkg-config, and the headers of Python and of the database's "
            "C library (on Debian: gcc pkg-config python3-dev libmariadb-dev). "
            "Or let DATABASE_URL begin with mysql://, which needs none of it."
        )
    options = _common(url, math.ceil(timeout)) | {
        # The C library takes "localhost" for its own unix socket, and no other spelling of it.
        "host": "Localhost" if url.host == "localhost" else url.host,
        "read_timeout": math.ceil(statement_timeout),  # it counts in whole seconds
        "write_timeout": math.ceil(statement_timeout),
        "conv": {**MySQLdb.converters.conversions, **READ_AS},
        "binary_prefix": True,  # bytes are not text; PyMySQL does the same
        "multi_statements": scripts,
        "cursorclass": Cursor,
    }
    if url.unix_socket:
        options |= {"host": "localhost", "unix_socket": url.unix_socket}
    # PREFERRED: on this machine MariaDB's C library uses no TLS, as PyMySQL does. MySQL's library uses it where the
    # server can: without, it refuses MySQL's default login.
    mode = "VERIFY_IDENTITY" if _is_verified(url) else "PREFERRED" if _is_local(url) else "DISABLED"
    system = ssl.get_default_verify_paths()
    trusted = {"ca": url.ssl_ca} if url.ssl_ca else {"ca": system.cafile, "capath": system.capath}
    files = {name: path for name, path in trusted.items() if path} if _is_verified(url) else {}
    return MySQLdb.connections.Connection(**options, ssl=files, ssl_mode=mode)


@functools.cache  # making one takes 24 ms
def _tls(ca: str | None) -> ssl.SSLContext:
    """Return the TLS settings for this CA file, or for the CAs that this machine knows."""
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # MySQL's own CA lacks an extension
    return context
