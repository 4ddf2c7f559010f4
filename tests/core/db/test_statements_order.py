"""Each order is total: two rows that it leaves open would change places from one page to the next."""

import re

import pytest

from core.db.statements import Statements
from core.setup.system import ROOT

CLAUSE = re.compile(
    r"\bORDER BY\b\s+((?:[^()]|\((?:[^()]|\([^()]*\))*\))+?)\s*(?=\bLIMIT\b|\bFOR UPDATE\b|\bON DUPLICATE\b|\)|\Z)"
)
UNIQUE = {  # what an order ends with: one row has it, of those that the statement returns
    *("id", "product_id", "category_id", "item_id", "word", "words", "prefix", "version", "position"),
    *("part", "first_part"),  # of one word and order
}
OTHERS = {  # file → why its order is total all the same
    "products/suggest_categories": "names of categories are unique",
    "products/suggest_names": "it has one row for each name",
    "products/next_name_zone": "prefixes are unique; the CASEs give one direction or the other",
}


def open_ones(text):
    """Return the orders of a statement that do not end with what is unique."""
    plain = re.sub(r"(?m)--.*$", "", text)
    clauses = [" ".join(clause.split()) for clause in CLAUSE.findall(plain)]
    return [clause for clause in clauses if re.split(r"[ .]", clause.removesuffix(" DESC"))[-1] not in UNIQUE]


def statements():
    """Return {name: text} of those that return or write rows in an order; which ones are deleted first is all one."""
    found = Statements(ROOT / "sql")
    return {one.name: one.text for one in found if not re.match(r"\s*(DELETE|UPDATE)", one.body)}


def test_each_order_is_total():
    assert {
        name: found for name, text in statements().items() if (found := open_ones(text)) and name not in OTHERS
    } == {}


def test_what_is_excepted_is_still_there():
    assert OTHERS.keys() <= {name for name, text in statements().items() if open_ones(text)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT id FROM t ORDER BY name LIMIT 5", ["name"]),
        ("SELECT id FROM t ORDER BY name DESC, id DESC\nLIMIT 5", []),
        ("SELECT id FROM (SELECT id FROM t ORDER BY name) AS p ORDER BY p.id", ["name"]),
        ("SELECT id FROM t ORDER BY id, name", ["id, name"]),
        ("SELECT id FROM t ORDER BY CASE WHEN a THEN b END,\n  t.id FOR UPDATE", []),
        ("SELECT id FROM t ORDER BY COALESCE(name, '')", ["COALESCE(name, '')"]),
    ],
)
def test_an_order_that_leaves_rows_open_is_found(text, found):
    assert open_ones(text) == found
