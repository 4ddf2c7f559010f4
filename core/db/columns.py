"""The columns of a result: what a header declares, and what the server says of a statement that it has prepared.

    id INT, price DECIMAL(10,2), description TEXT NULL

NULL is where the server cannot rule it out. Names and types are compared exactly, but for three in which the servers
differ for one and the same expression: what is declared as BIGINT may be a smaller whole number, DATETIME(6) may have
fewer decimals, and JSON may be a text.
"""

import re
from typing import Any, NamedTuple

from pymysql.constants import FIELD_TYPE, FLAG

COLUMN = re.compile(r"([A-Za-z_]\w*) +([A-Z][A-Z0-9]*(?:\(\d+(?:, ?\d+)?\))?(?: UNSIGNED)?)( NULL)?\Z")
SPLIT = re.compile(r", *(?![^(]*\))")
BINARY = 63  # the number of the character set of what is no text
BYTES = 4  # of a character, in the connection's utf8mb4
NUMBERS = {
    FIELD_TYPE.TINY: "TINYINT",
    FIELD_TYPE.SHORT: "SMALLINT",
    FIELD_TYPE.INT24: "MEDIUMINT",
    FIELD_TYPE.LONG: "INT",
    FIELD_TYPE.LONGLONG: "BIGINT",
    FIELD_TYPE.YEAR: "YEAR",
    FIELD_TYPE.BIT: "BIT",
    FIELD_TYPE.FLOAT: "FLOAT",
    FIELD_TYPE.DOUBLE: "DOUBLE",
}
TIMES = {
    FIELD_TYPE.DATE: ("DATE", 10),
    FIELD_TYPE.TIME: ("TIME", 10),
    FIELD_TYPE.DATETIME: ("DATETIME", 19),
    FIELD_TYPE.TIMESTAMP: ("TIMESTAMP", 19),
}
LONG_TEXTS = ((255, "TINY"), (65_535, ""), (16_777_215, "MEDIUM"), (2**32, "LONG"))
SMALLER = ("SMALLINT", "MEDIUMINT", "INT", "BIGINT")
TEXT_OF_JSON = ("TEXT", "MEDIUMTEXT", "LONGTEXT")


class Column(NamedTuple):
    """One column of a result."""

    type: str  # as in CREATE TABLE
    nullable: bool

    def __str__(self) -> str:
        return self.type + " NULL" * self.nullable

    def covers(self, other: "Column") -> bool:
        """Whether a column that is declared like this may be like the other one."""
        return self.nullable >= other.nullable and (
            self.type == other.type
            or (self.type in SMALLER and other.type in SMALLER[: SMALLER.index(self.type)])
            or (self.type.startswith("DATETIME(") and other.type.startswith("DATETIME") and other.type <= self.type)
            or (self.type == "JSON" and other.type in TEXT_OF_JSON)
        )


Columns = dict[str, Column]


def parse(text: str) -> Columns:
    """Return {name: Column} of a header's `columns:`; raise ValueError with what is wrong."""
    columns: Columns = {}
    for part in SPLIT.split(text.strip()):
        found = COLUMN.match(part.strip())
        if not found:
            raise ValueError(f"'columns:' wants 'name TYPE' or 'name TYPE NULL', separated by commas; it has {part!r}")
        if found[1] in columns:
            raise ValueError(f"column {found[1]} is declared twice")
        columns[found[1]] = Column(found[2].replace(", ", ","), bool(found[3]))
    return columns


def written(columns: Columns) -> str:
    """Return columns as a header declares them."""
    return ", ".join(f"{name} {column}" for name, column in columns.items())


def column_of(field: Any) -> Column:
    """Return the Column that a column definition packet (pymysql's FieldDescriptorPacket) describes."""
    return Column(_type_of(field), not field.flags & FLAG.NOT_NULL)


def _type_of(field: Any) -> str:
    kind, length = field.type_code, field.length
    if kind in NUMBERS:
        return NUMBERS[kind] + " UNSIGNED" * bool(field.flags & FLAG.UNSIGNED and kind != FIELD_TYPE.YEAR)
    if kind == FIELD_TYPE.NEWDECIMAL:
        digits = length - bool(field.scale) - (not field.flags & FLAG.UNSIGNED)  # without the point and the sign
        return f"DECIMAL({digits},{field.scale})" + " UNSIGNED" * bool(field.flags & FLAG.UNSIGNED)
    if kind in TIMES:
        name, shortest = TIMES[kind]
        decimals = length - shortest - 1 if length > shortest else 0
        return f"{name}({decimals})" if decimals > 0 else name
    if kind == FIELD_TYPE.JSON:
        return "JSON"
    if kind == FIELD_TYPE.NULL:
        return "NULL"
    return _text_of(field)


def _text_of(field: Any) -> str:
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return "ENUM" if field.flags & FLAG.ENUM else "SET"
    is_text = field.charsetnr != BINARY
    size = field.length // BYTES if is_text else field.length
    if field.type_code in (FIELD_TYPE.STRING, FIELD_TYPE.VAR_STRING, FIELD_TYPE.VARCHAR):
        name = "CHAR" if is_text else "BINARY"
        return f"{name if field.type_code == FIELD_TYPE.STRING else 'VAR' + name}({size})"
    prefix = next(prefix for most, prefix in LONG_TEXTS if size <= most)
    return prefix + ("TEXT" if is_text else "BLOB")
