"""Searches without a hit: what is counted, what is not, and that no search waits or fails for it."""

import dataclasses

import pytest
from helpers import LONG, SETTINGS, at_once

from core.db.database import Database
from core.db.statements import Statements
from core.setup.system import ROOT
from resources import products_list
from resources.products_missed import MOST_WORDINGS, MissedSearches


@pytest.fixture
def missed(monkeypatch):
    """The counts of this worker, stored at each search."""
    found = MissedSearches(pause=0)
    monkeypatch.setattr(products_list, "MISSED", found)
    return found


@pytest.fixture
def database(accounts, sql):
    """The database as the shop uses it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


def noted(sql):
    """Return {words: how often}."""
    return {row["words"]: row["searches"] for row in sql("SELECT words, searches FROM missed_searches")}


def test_a_search_without_a_hit_is_noted_by_its_words_in_any_case(client, missed, make, sql):
    make.product(name="Lamp")

    for text in ("unicorn", "  Unicorn! ", "unicorn saddle", "lamp", "", "?!"):
        assert client.get("/api/products", {"search": text}).status_int == 200

    assert noted(sql) == {"unicorn": 2, "unicorn saddle": 1}
    (row,) = sql("SELECT first_day = CURRENT_DATE AND last_day = CURRENT_DATE AS today FROM missed_searches LIMIT 1")
    assert row == {"today": 1}


@pytest.mark.parametrize("filters", [{"category_id": 1}, {"min_price": 5}, {"max_price": 5}, {"in_stock": "true"}])
def test_a_search_that_finds_nothing_for_its_filters_is_not_noted(client, missed, sql, filters):
    client.get("/api/products", {"search": "unicorn", **filters})

    assert noted(sql) == {}


@pytest.mark.parametrize("text", ["ada@example.com", "ada＠example.com", "call 0171 234567", "ada 1815-12-10"])
def test_what_may_be_about_a_person_is_not_noted(client, missed, sql, text):
    client.get("/api/products", {"search": text})

    assert noted(sql) == {}


def test_one_write_in_some_seconds_holds_all_that_was_looked_for_meanwhile(database, sql):
    missed = MissedSearches(pause=LONG)
    missed.note(database, "first")
    at_once([lambda: [missed.note(database, "more") for _ in range(50)]] * 8)
    before = noted(sql)
    missed._next -= LONG

    missed.note(database, "last")

    assert before == {"first": 1}
    assert noted(sql) == {"first": 1, "more": 400, "last": 1}


def test_what_a_flood_of_different_searches_leaves_is_bounded(database, sql):
    missed = MissedSearches(pause=LONG)
    for number in range(10 * MOST_WORDINGS):
        missed.note(database, f"nothing {number}")
    missed._next -= LONG
    missed.note(database, "nothing 1")

    assert len(noted(sql)) == MOST_WORDINGS + 1


def test_workers_that_note_the_same_at_once_lose_none(database, sql):
    workers = [MissedSearches(pause=0) for _ in range(6)]

    at_once([lambda own=own: [own.note(database, f"w{n % 3}") for n in range(20)] for own in workers])

    assert sum(noted(sql).values()) == 120


def test_a_search_does_not_fail_where_nothing_can_be_noted(wired, accounts, sql, missed, caplog):
    client = wired(dataclasses.replace(SETTINGS))
    sql("ALTER TABLE missed_searches RENAME TO missed_searches_away")
    try:
        answer = client.get("/api/products", {"search": "unicorn"})
    finally:
        sql("ALTER TABLE missed_searches_away RENAME TO missed_searches")

    assert answer.json["data"]["items"] == []
    assert "1 searches without a hit could not be noted" in caplog.text


def test_a_long_search_in_any_script_is_cut_to_what_the_column_has(database, sql):
    MissedSearches().note(database, "ǰ" * 100)

    assert [len(words) for words in noted(sql)] == [100]
