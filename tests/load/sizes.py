"""How many bytes a product, an account, a login, a cart, an order take; a worker, and a connection. For costs.py."""

import contextlib
import pathlib

from helpers import LONG, execute
from kinds import insert
from trouble import vitals

from core.db import drivers

TABLES = {  # what a thing consists of; the first table has a row for each
    "product": ("products", "product_words", "known_words", "word_zones", "name_zones"),
    "account": ("users",),
    "login": ("sessions",),
    "cart": ("carts", "cart_items"),
    "order": ("orders", "order_items", "order_history", "payments", "refunds"),
    "message": ("outbox",),
    "key": ("idempotency_keys",),
}
ROWS = 50_000
CONNECTIONS = 100


def sizes(database, shop):
    """Return the bytes of each thing on the disk; of `worker` and `connection` those of memory (the database's)."""
    owner = database.owner
    add_some(owner)
    found = {}
    for thing, tables in TABLES.items():
        for table in tables:
            execute(owner, f"ANALYZE TABLE {table}")
        rows = execute(owner, f"SELECT COUNT(*) AS n FROM {tables[0]}")[0]["n"]
        found[thing] = sum(on_disk(database, table) for table in tables) / max(rows, 1)
    words = sum(path.stat().st_size for path in files(database) if path.name.startswith("FTS_"))
    found["product"] += words / execute(owner, "SELECT COUNT(*) AS n FROM products")[0]["n"]
    held = vitals(shop)
    found["worker"] = held["memory"] * 2**20 / (held["processes"] - 1)
    found["connection"] = of_a_connection(database)
    return found


def add_some(owner):
    """Add accounts and logins by the ten thousands, so that pages which are half full weigh little."""
    names = [f"sized{number}" for number in range(ROWS)]
    insert(owner, "users (username, email, password_hash)", [(n, f"{n}@example.com", "x" * 60) for n in names])
    ids = [row["id"] for row in execute(owner, "SELECT id FROM users WHERE username LIKE 'sized%%'")]
    hashes = execute(owner, f"SELECT SHA2(seq, 256) AS hash FROM seq_1_to_{ROWS}")
    rows = [(row["hash"], id, "2037-01-01", "203.0.113.9") for row, id in zip(hashes, ids, strict=True)]
    insert(owner, "sessions (token_hash, user_id, expires_at, address)", rows)


def files(database):
    """Return the files of the shop's tables."""
    return list((database.folder / "mariadb" / "shop").glob("*.ibd"))


def on_disk(database, table):
    """Return the bytes of a table's pages, with its indexes."""
    wanted = (
        "SELECT data_length + index_length AS bytes FROM information_schema.tables"
        " WHERE table_schema = 'shop' AND table_name = %s"
    )
    return int(execute(database.owner, wanted, [table])[0]["bytes"])


def of_a_connection(database):
    """Return how much more memory the database has for each connection that has asked something."""
    status = pathlib.Path(f"/proc/{database.process.pid}/smaps_rollup")

    def memory():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("Rss:")) * 1024

    before = memory()
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(contextlib.closing(drivers.connect(database.application, LONG)))
            cursor = stack.enter_context(connection.cursor())
            cursor.execute("SELECT id, name FROM products WHERE is_active = 1 ORDER BY price LIMIT 20")
            cursor.fetchall()
        return (memory() - before) / CONNECTIONS
