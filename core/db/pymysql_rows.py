"""Reads the rows that a statement returns, for PyMySQL: in one loop, straight into dicts.

PyMySQL itself reads a packet through four calls and a value through three, works out the columns anew each time, and
makes tuples that a cursor turns into dicts. A page of 20 products takes 110 µs of CPU instead of 270. To measure again:
time.process_time() around 1,000 runs of products/list_newest with limit=20, on a QuickConnection, and on PyMySQL's
Connection with its DictCursor.

This is the text protocol's result set and nothing else; connecting, sending, OK and error packets stay PyMySQL's. The
protocol: dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html
It uses what is private in PyMySQL, so it works with the one version that it was tested with (TESTED_WITH).
"""

import datetime
import functools
import shlex
import struct
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pymysql
from pymysql import connections, protocol
from pymysql.constants import COMMAND, CR, FIELD_TYPE, SERVER_STATUS
from pymysql.cursors import SSDictCursor
from pymysql.err import OperationalError

from core.cli import CommandError
from core.db.columns import BINARY, Column, column_of

TESTED_WITH = "1.2.4"  # the version of PyMySQL; requirements.txt and pyproject.toml have the same
NUMBERS = range(1000, 10_000)  # of the errors of servers, and of drivers
SYSTEM = range(1, 200)  # of what a server's own files or memory failed it in: 3 "Error writing file"
LARGEST_PACKET = 2**24 - 1  # bytes; what is longer goes on in the next packet
MOST_KNOWN = 1000  # kinds of results whose columns are remembered
PREPARED = struct.Struct("<BIHH")  # 0, the statement's number, how many columns and parameters it has
NUMBER = struct.Struct("<I")
TEXTS = {FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.VARCHAR, FIELD_TYPE.BLOB, FIELD_TYPE.TINY_BLOB}
TEXTS |= {FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BIT, FIELD_TYPE.GEOMETRY}
TheirConnection: Any = connections.Connection  # Any: the stubs leave out what is private
TheirResult: Any = connections.MySQLResult
Reader = tuple[str, Callable[[bytes], Any] | None]  # a column's name, and what reads a value (None: it stays bytes)


def moment(text: str) -> datetime.datetime | str:
    """Return a datetime, several times faster than the drivers' own ways: a page of products has forty of them."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return text  # 0000-00-00 00:00:00, stored by somebody with a lax sql_mode


def _moment(data: bytes) -> datetime.datetime | str:
    try:  # not by `moment`: a call more for each of them
        return datetime.datetime.fromisoformat(data.decode())
    except ValueError:
        return data.decode()


CONVERTERS: dict[int, Callable[[bytes], Any]] = {  # of values as they come, in bytes
    FIELD_TYPE.TINY: lambda data: data != b"0",  # TINYINT is the schema's boolean
    FIELD_TYPE.SHORT: int,
    FIELD_TYPE.INT24: int,
    FIELD_TYPE.LONG: int,
    FIELD_TYPE.LONGLONG: int,
    FIELD_TYPE.NEWDECIMAL: lambda data: Decimal(data.decode()),
    FIELD_TYPE.DATETIME: _moment,
    FIELD_TYPE.TIMESTAMP: _moment,
    FIELD_TYPE.FLOAT: float,
    FIELD_TYPE.DOUBLE: float,
    FIELD_TYPE.JSON: bytes.decode,
}


class Result(TheirResult):
    """A result whose `rows` are dicts by the names of the columns."""

    def _read_result_packet(self, first_packet: Any) -> None:
        connection = self.connection
        self.field_count = first_packet.read_length_encoded_integer()
        described = [connection.next_packet() for _ in range(self.field_count + 1)][:-1]  # the last one says: no more
        columns, self.description = connection.columns_of(described)
        rows: list[dict[str, Any]] = []
        self.rows = rows
        while True:
            data = connection.next_packet()
            if data[0] == 0xFE and len(data) < 9:
                break
            rows.append(_row(data, columns))
        self.warning_count = data[1] | data[2] << 8
        self.has_next = bool((data[3] | data[4] << 8) & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)
        self.affected_rows = len(rows)


def _row(data: bytes, columns: list[Reader]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    end = 0
    for name, convert in columns:
        length = data[end]
        at = end + 1
        if length >= 0xFB:
            if length == 0xFB:
                row[name], end = None, at
                continue
            size = (2, 3, 8)[length - 0xFC]  # of the length, which follows
            length = int.from_bytes(data[at : at + size], "little")
            at += size
        end = at + length
        row[name] = convert(data[at:end]) if convert else data[at:end]
    return row


def lost_in_garbage(speak: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method that reads an answer raise OperationalError 2013, lost, where it breaks off or makes no sense.

    A server that is killed may leave half an answer, in which a driver then finds an IndexError, a UnicodeDecodeError
    or an error without a number. What a server says of its own files is no garbage: one full folder of temporary
    tables is no database that is out of reach.
    """

    @functools.wraps(speak)
    def speaking(speaker: Any, *args: Any, **options: Any) -> Any:
        try:
            return speak(speaker, *args, **options)
        except Exception as error:
            others = isinstance(error, OSError | LookupError)  # whose numbers are the system's, or of our tables
            code = error.args[0] if error.args and not others else None
            if code in NUMBERS:  # by either driver
                raise
            speaker.give_up()
            if code in SYSTEM:
                raise
            what = "does not come" if isinstance(error, OSError) else "makes no sense"
            raise OperationalError(CR.CR_SERVER_LOST, f"the answer of the database {what}: {error!r}") from error

    return speaking


class QuickConnection(TheirConnection):
    """PyMySQL's connection, whose plain cursor gives dicts. Raises CommandError with another version of PyMySQL."""

    connect = lost_in_garbage(TheirConnection.connect)
    _read_ok_packet = lost_in_garbage(TheirConnection._read_ok_packet)

    def __init__(self, **options: Any) -> None:
        if pymysql.VERSION_STRING != TESTED_WITH:
            raise CommandError(
                f"PyMySQL {pymysql.VERSION_STRING} is installed, and this version of the shop works with {TESTED_WITH} "
                f"alone. Type: {shlex.quote(sys.executable)} -m pip install pymysql=={TESTED_WITH}; or install "
                "mysqlclient and let DATABASE_URL begin with mysql+mysqldb://."
            )
        # What the server says of the columns, in bytes → (columns, description)
        self._columns: dict[tuple[bytes, ...], tuple[list[Reader], Any]] = {}
        super().__init__(**options)

    def give_up(self) -> None:
        """Close without a word to the server."""
        self._force_close()

    def _lost(self, why: str) -> OperationalError:
        self._force_close()
        return OperationalError(CR.CR_SERVER_LOST, why)

    @lost_in_garbage
    def _read_query_result(self, unbuffered: bool = False) -> int:
        if unbuffered:
            return super()._read_query_result(unbuffered)
        self._result = None
        result = Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def next_packet(self) -> bytes:
        """Return the body of the next packet in bytes; raise DatabaseError for an error, or where it is cut off.

        An OSError (a timeout, say) is left to `lost_in_garbage`, once for all packets of an answer.
        """
        read = self._rfile.read
        header = read(4)
        length = header[0] | header[1] << 8 | header[2] << 16 if len(header) == 4 else 0
        body: bytes = read(length)
        if len(header) < 4 or len(body) < length:
            raise self._lost("the answer of the database breaks off")
        if header[3] != self._next_seq_id:
            raise self._lost("the packets of the answer are out of order")
        self._next_seq_id: int = (header[3] + 1) % 256
        if length == LARGEST_PACKET:
            return body + self.next_packet()
        if length and body[0] == 0xFF:
            if body[3:4] != b"#":  # it marks the state that belongs to every error
                raise OperationalError(CR.CR_SERVER_LOST, "the answer of the database makes no sense")
            protocol.MysqlPacket(body, self.encoding).raise_for_error()
        return body

    @lost_in_garbage
    def describe(self, text: str) -> list[tuple[str, Column]]:
        """Return the columns of what a statement would return, by the server's PREPARE; it has ? for its parameters.

        Empty for a statement that returns nothing. Raises DatabaseError with what the server says against it.
        """
        self._execute_command(COMMAND.COM_STMT_PREPARE, text)
        _, number, columns, parameters, *_ = PREPARED.unpack_from(self.next_packet())
        for _ in range(parameters + bool(parameters)):  # one more packet says that there are no more
            self.next_packet()
        packets = [self.next_packet() for _ in range(columns + bool(columns))][:columns]
        self._execute_command(COMMAND.COM_STMT_CLOSE, NUMBER.pack(number))  # has no answer
        fields: list[Any] = [protocol.FieldDescriptorPacket(packet, self.encoding) for packet in packets]
        return [(field.name, column_of(field)) for field in fields]

    def first_rows(self, text: str, values: Any, most: int) -> tuple[list[dict[str, Any]], int]:
        """Return the first rows of a result, `most` at the most, and how many there are; no others come into memory."""
        with self.cursor(SSDictCursor) as cursor:
            cursor.execute(text, values)
            rows = list(cursor.fetchmany(most))
            return rows, len(rows) + sum(1 for _ in cursor)

    def columns_of(self, described: list[bytes]) -> tuple[list[Reader], Any]:
        """Return [(name, converter or None)] and the description of PEP 249 for these descriptor packets."""
        key = tuple(described)
        known = self._columns.get(key)
        if known is None:
            if len(self._columns) >= MOST_KNOWN:
                self._columns.clear()
            fields: list[Any] = [protocol.FieldDescriptorPacket(packet, self.encoding) for packet in described]
            columns = [(field.name, self._converter(field)) for field in fields]
            known = self._columns[key] = (columns, tuple(field.description() for field in fields))
        return known

    def _converter(self, field: Any) -> Callable[[bytes], Any] | None:
        if field.type_code in TEXTS:
            return None if field.charsetnr == BINARY else bytes.decode
        if field.type_code in CONVERTERS:
            return CONVERTERS[field.type_code]
        theirs = self.decoders.get(field.type_code)
        return (lambda data: theirs(data.decode())) if theirs else bytes.decode
