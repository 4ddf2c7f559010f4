"""Two nodes of Galera that are written to at once, as where two shops cannot reach the same one."""

from concurrent.futures import ThreadPoolExecutor

import galera
import pytest
from helpers import eventually, execute

from core.db.database import Database
from core.db.drivers import number
from core.db.measuring import COMMIT
from core.db.statements import Statements
from core.setup.system import ROOT

TIMES = 200  # of each node


def test_what_certification_refuses_at_commit_is_done_again_and_nothing_is_lost_or_done_twice(cluster, products):
    """Each change is of the same row; the later of two that overlap is told 1213, mostly in answer to its COMMIT."""
    if not isinstance(cluster, galera.Galera):
        pytest.skip("only Galera lets more than one server be written to")
    nodes, product, refused = cluster.nodes[:2], products[0], []
    stock = execute(nodes[0].owner, "SELECT stock_quantity AS n FROM products WHERE id = %s", [product])[0]["n"]

    def note(statement, _nanoseconds, _rows, error=None):
        if error and statement is COMMIT:
            refused.append(number(error))

    def change(node):
        db = Database(node.owner, Statements(ROOT / "sql"), 20, meter=note)
        for _ in range(TIMES):
            db.transaction(
                lambda session: session.run("products/change_stock", id=product, change=1, largest=2**31 - 1)
            )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(change, nodes))

    assert set(refused) == {1213}
    for node in cluster.nodes:
        there = f"SELECT stock_quantity - {stock} AS n FROM products WHERE id = {product}"
        assert eventually(lambda node=node, there=there: execute(node.owner, there) == [{"n": 2 * TIMES}])
    execute(nodes[0].owner, "UPDATE products SET stock_quantity = %s WHERE id = %s", [stock, product], by_hand=False)
