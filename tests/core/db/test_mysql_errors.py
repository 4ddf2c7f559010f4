"""What clients and the log are told where the database, or the machine under it, is in trouble.

The errors are the server's own: a block of statements makes it send each number.
"""

import logging

import pytest

from core.db.database import Database, DatabaseError
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.setup.system import ROOT

WRITING = "cannot write just now"
BUSY = "very busy"
AWAY = "does not answer"
TROUBLES = {
    3: WRITING,  # Error writing file '…' (Errcode: 28 "No space left on device")
    28: WRITING,
    126: WRITING,  # Index is corrupted: of a temporary table that had no room
    1021: WRITING,  # Disk full
    1026: WRITING,  # Error writing file
    1030: WRITING,  # Got error 28 from storage engine
    1034: WRITING,  # Incorrect key file for table
    1114: WRITING,  # The table is full
    1290: WRITING,  # --read-only
    1792: WRITING,  # in a READ ONLY transaction
    1836: WRITING,  # Running in read-only mode
    3098: WRITING,  # a MySQL group hands over to another primary
    5: BUSY,  # Out of memory
    1038: BUSY,  # Out of sort memory
    1206: BUSY,  # The total number of locks exceeds the lock table size
    1317: BUSY,  # Query execution was interrupted
    1969: BUSY,  # max_statement_time exceeded
    1040: AWAY,  # Too many connections
    1045: AWAY,  # Access denied
    1203: AWAY,  # max_user_connections
    1226: AWAY,  # the account's MAX_USER_CONNECTIONS
    3032: AWAY,  # offline mode: a MySQL server has left its group
    1820: AWAY,  # You must SET PASSWORD
    4151: AWAY,  # Account is locked
}


@pytest.fixture
def said(login):
    """`said(number)`: let the server answer with an error of this number; return (error, lines of the log)."""
    lines = []
    database = Database(
        login, Statements(ROOT / "sql"), 2.0, report=lambda level, *words: lines.append((level, words[0]))
    )

    def signal(session, number):
        session._cursor.execute(
            f"BEGIN NOT ATOMIC SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'a-secret'; END"
        )

    def ask(number):
        try:
            database.transaction(lambda session: signal(session, number))
        except Exception as error:
            return error, lines
        raise AssertionError(f"{number} was no error")

    try:
        database.transaction(lambda session: session._cursor.execute("BEGIN NOT ATOMIC DO 1; END"))
    except DatabaseError:
        pytest.skip("MySQL has blocks of statements in stored programs only")
    return ask


@pytest.mark.parametrize("number", TROUBLES)
def test_the_troubles_of_a_database_are_a_503_that_tells_clients_nothing_of_it_and_the_log_all(said, number):
    error, lines = said(number)

    assert isinstance(error, ServiceUnavailable), error
    assert TROUBLES[number] in error.message and "a-secret" not in error.message
    assert 1 <= int(error.get_header("Retry-After")) <= 10
    level = logging.WARNING if TROUBLES[number] == BUSY else logging.ERROR
    assert [at for at, _ in lines] == [level]


@pytest.mark.parametrize("number", [1064, 1366, 1365, 3140, 4078])
def test_what_only_a_bug_of_ours_can_cause_stays_the_error_that_it_is(said, number):
    error, lines = said(number)

    assert isinstance(error, DatabaseError) and lines == []
