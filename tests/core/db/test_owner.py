"""What commands run in the database: the same transactions as requests, and sentences for the terminal."""

import pytest
from helpers import free_port

from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.db.drivers import DatabaseError
from core.db.owner import explained, in_transaction


def names(sql):
    """Return the names of all categories."""
    return [row["name"] for row in sql("SELECT name FROM categories ORDER BY id")]


def add(db, name):
    """Add a category."""
    return db.add("categories/add", name=name, description=None)


def test_what_a_command_does_is_committed_or_rolled_back(accounts, sql):
    def fail(db):
        add(db, "Coffee")
        raise ValueError("after the write")

    in_transaction(accounts.owner, lambda db: add(db, "Tea"))
    with pytest.raises(ValueError, match="after the write"):
        in_transaction(accounts.owner, fail)

    assert names(sql) == ["Tea"]


def test_a_command_that_was_the_victim_of_a_deadlock_runs_again(accounts, sql):
    runs = []

    def work(db):
        runs.append(db.again)
        add(db, "Tea")
        if not db.again:
            raise DatabaseError[0](1213, "Deadlock found when trying to get lock")

    in_transaction(accounts.owner, work)

    assert runs == [False, True]
    assert names(sql) == ["Tea"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (1213, "Others changed the same rows in shop on 127.0.0.1:3306, again and again. Nothing was changed here"),
        (1146, "The tables are not there yet, or not all of them. Type: python3 server.py migrate"),
        (
            1142,
            "The database shop on 127.0.0.1:3306 refused: why. Give this command the login of the database's owner.",
        ),
        (1419, "The database shop on 127.0.0.1:3306 refused: why"),
    ],
)
def test_what_the_database_refuses_a_command_is_a_sentence(number, sentence):
    with pytest.raises(CommandError) as raised, explained(DatabaseUrl("shop")):
        raise DatabaseError[0](number, "why")

    assert str(raised.value).startswith(sentence)


def test_a_command_without_its_database_ends_with_a_sentence_that_says_where_it_was_looked_for():
    nowhere = DatabaseUrl(database="shop", port=free_port())

    with pytest.raises(CommandError, match=rf"shop on 127\.0\.0\.1:{nowhere.port} cannot be reached\. Start it"):  # noqa: SIM117
        with explained(nowhere):
            in_transaction(nowhere, lambda db: None)
