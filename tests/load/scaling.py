"""What do so many requests a second take? Tables of docs/scaling.md, from the costs that costs.py measured.

    .venv/bin/python tests/load/scaling.py [FILE] [--rates 1000 10000 100000 1000000] [--core 30]

It computes, and measures nothing: each figure is a share of the mix (kinds.py) times a cost, and the assumptions are
the constants below. How many answers come from memory is computed too, from how long an answer lives there: CACHE_TTL,
or until the next order on the same host, as an order changes the stock that lists show. The last lines compare what is
so expected of the mix with what costs.py measured.
"""

import argparse
import json
import math
import pathlib

from mix import CATEGORIES, KEPT, LISTS, MIX, REPLICATED

FOUND = pathlib.Path(__file__).with_name("costs.json")
BUSY = 0.5  # how busy processors are at the peak that the rate is; the rest is for bursts, and for a host that is gone
AVERAGE = 1 / 3  # of the peak: what a day has on average
HOST, SERVER = 4, 64  # cores of a host of the shop, and of the largest server for a database
BEHIND = 0.02  # seconds after an order in which its host reads from no replica: with five a second it read 90 % there
CORE = 30  # euros a month for a core with 4 GB of memory
DISK, TRAFFIC = 0.10, 0.05  # euros for a gigabyte: of disk a month, of answers that leave
COPIES = 3  # of the data, at the least
CACHE_TTL = 5  # seconds
RATES = [1_000, 10_000, 100_000, 1_000_000]
THREADS = 8  # of a worker; each has a connection
ADDS = 3  # to a cart, before it is ordered or left
CARTS_FOR, KEYS_FOR, MAILS_FOR, LOG_FOR, ORDERS_FOR = 30, 1, 7, 3, 365  # days that they are there
DELIVERED = 800  # mails a second that the chores of one host send: docs/operating.md
DAY = 86400
REMEMBERED = ("list from memory", "product from memory")


def hits(kind, products, rate, orders, ttl=CACHE_TTL):
    """Return the share of a kind's answers that one worker has in memory.

    `rate`: requests of this kind that it gets in a second; `orders`: that its host gets. The n-th most popular of the
    different requests comes 1/n as often as the first. An answer lives until `ttl` is over or an order voids it.
    """
    different = {"list": LISTS, "total": CATEGORIES, "categories": 1}.get(kind, products)
    first = rate / sum(1 / place for place in range(1, different + 1))
    lives = (1 - math.exp(-orders * ttl)) / orders if orders else ttl
    again = (first / place * lives for place in range(1, different + 1))
    return sum(first / place / rate * more / (1 + more) for place, more in enumerate(again, 1))


def shares(products, rate, workers, orders):
    """Return {what costs.py measured: its share of all requests}. `orders`: a second, on each host."""
    found = {}
    for kind, thousandth in MIX.items():
        share = thousandth / 1000
        hit = hits(kind, products, rate * share / workers, orders) if kind in KEPT else 0
        found[kind] = share * (1 - hit)
        remembered = "list from memory" if kind == "list" else "product from memory"
        if kind in KEPT:
            found[remembered] = found.get(remembered, 0) + share * hit
    totals = hits("total", products, rate * found["list"] / workers, orders)  # are kept, too
    found["list and its total"] = found["list"] * (1 - totals)
    found["list"] *= totals
    return found


def of_each(found, costs, name, kinds=None):
    """Return what a request takes on average, of a column."""
    return sum(share * costs[kind][name] for kind, share in found.items() if kinds is None or kind in kinds)


def remembered(found):
    """Return the share of the answers that may come from memory, and do."""
    return sum(found[kind] for kind in REMEMBERED) / sum(MIX[kind] for kind in KEPT) * 1000


def of_shop(told, rate):
    """Return what the shop takes, and the shares of requests that its memory leaves."""
    costs, products, orders = told["kinds"], told["on"]["products"], rate * MIX["order"] / 1000
    workers, least = 2.0, 2.0
    for _ in range(30):  # more workers have fewer answers in memory each, and so there must be more
        hosts = math.ceil(workers / HOST)
        found = shares(products, rate, workers, orders / hosts)
        workers = max(least, rate * of_each(found, costs, "shop") / 1e6 / BUSY)
    count = math.ceil(workers)
    return found, {
        "memory": remembered(found),
        "undisturbed": remembered(shares(products, rate, workers, 0)),
        "workers": workers,
        "hosts": hosts,
        "shop memory": count * told["sizes"]["worker"],
        "connections": count * THREADS,
        "connections memory": count * THREADS * told["sizes"]["connection"],
    }


def of_database(told, rate, found, shop):
    """Return the cores that the database takes, for all that is read and for the rest; and how many servers that is.

    Where one server does not do all of it, there are replicas for reading. What has to be done where the writes are is
    shared by `shards`; each has `replicas`, which also apply all writes of their shard.
    """
    costs = told["kinds"]
    writing = [kind for kind in MIX if costs[kind]["binlog_commits"] > 0.1]
    read = rate * of_each(found, costs, "database", (*REPLICATED, "list and its total")) / 1e6 / BUSY
    primary = rate * of_each(found, costs, "database", [kind for kind in MIX if kind not in REPLICATED]) / 1e6 / BUSY
    applied = rate * of_each(found, costs, "replica", writing) / 1e6 / BUSY
    alone = read + primary <= SERVER
    elsewhere = 0.0 if alone else math.exp(-rate * MIX["order"] / 1000 / shop["hosts"] * BEHIND)
    shards = math.ceil((primary + read * (1 - elsewhere)) / SERVER)
    replicas = 0 if alone else math.ceil(read * elsewhere / shards / (SERVER - applied / shards))
    return {
        "read": read,
        "primary": primary,
        "elsewhere": elsewhere,
        "applied": applied / shards,
        "shards": shards,
        "replicas": replicas,
        "cores": shop["workers"] + read + primary + replicas * applied,
    }


def of_data(told, rate, found):
    """Return the bytes that are kept."""
    costs, sizes = told["kinds"], told["sizes"]
    orders = rate * MIX["order"] / 1000
    daily = orders * AVERAGE * DAY
    carts = rate * MIX["add to a cart"] / 1000 / ADDS * AVERAGE * DAY
    logged = rate * of_each(found, costs, "binlog_bytes_written")
    return {
        "orders": orders,
        "writes": rate * of_each(found, costs, "binlog_commits"),
        "mails": orders / DELIVERED,
        "carts": carts * CARTS_FOR * sizes["cart"],
        "kept": daily * (sizes["order"] * ORDERS_FOR + sizes["message"] * MAILS_FOR + 2 * sizes["key"] * KEYS_FOR),
        "log": logged,
        "log kept": logged * AVERAGE * DAY * LOG_FOR,
    }


def needs(told, rate):
    """Return what so many requests a second take."""
    found, shop = of_shop(told, rate)
    database, data = of_database(told, rate, found, shop), of_data(told, rate, found)
    answers = rate * of_each(found, told["kinds"], "answer")
    stored = (data["carts"] + data["kept"] + data["log kept"]) * max(COPIES, 1 + database["replicas"])
    return {
        **shop,
        **database,
        **data,
        "answers": answers * 8,
        "from database": rate * of_each(found, told["kinds"], "bytes_sent") * 8,
        "disk and traffic": stored / 1e9 * DISK + answers * AVERAGE * DAY * 30 / 1e9 * TRAFFIC,
    }


def in_bytes(number):
    """Return bytes in words."""
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} EB"


def in_bits(number):
    """Return bits a second in words."""
    return f"{plain(number / 1e9)} Gbit/s" if number >= 1e9 else f"{plain(number / 1e6)} Mbit/s"


def in_ms(microseconds):
    """Return milliseconds in words."""
    return f"{microseconds / 1000:.3g}" if microseconds >= 100 else f"{microseconds / 1000:.3f}"


def plain(number):
    """Return a number with two digits that count, or a whole one."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


ROWS = {  # of the table
    "lists, products and categories from memory": lambda n: f"{n['memory']:.0%}",
    "the same, if orders voided nothing": lambda n: f"{n['undisturbed']:.0%}",
    "cores of the shop": lambda n: plain(n["workers"]),
    f"its hosts, of {HOST} cores": lambda n: plain(n["hosts"]),
    "its memory": lambda n: in_bytes(n["shop memory"]),
    "cores of the database: carts, orders, accounts": lambda n: plain(n["primary"]),
    "cores of the database: catalogue and searches": lambda n: plain(n["read"]),
    "of these, on replicas": lambda n: f"{n['elsewhere']:.0%}",
    f"shards, each with a server of {SERVER} cores that is written to": lambda n: plain(n["shards"]),
    "replicas of each": lambda n: plain(n["replicas"]),
    "cores of each replica that apply the writes": lambda n: plain(n["applied"]),
    "connections to the database": lambda n: plain(n["connections"]),
    "its memory for them": lambda n: in_bytes(n["connections memory"]),
    "orders a second": lambda n: plain(n["orders"]),
    "transactions that write, a second": lambda n: plain(n["writes"]),
    "hosts whose chores send the mails": lambda n: plain(n["mails"]),
    f"disk: carts of {CARTS_FOR} days": lambda n: in_bytes(n["carts"]),
    "disk: orders of a year, keys, messages": lambda n: in_bytes(n["kept"]),
    f"binary log, a second; of {LOG_FOR} days": lambda n: f"{in_bytes(n['log'])}; {in_bytes(n['log kept'])}",
    "network: answers": lambda n: in_bits(n["answers"]),
    "network: database to shop": lambda n: in_bits(n["from database"]),
}


def table(told, rates, core):
    """Return the table of what rates take, as Markdown. `core`: euros a month."""
    found = [needs(told, rate) for rate in rates]
    lines = [f"| requests a second | {' | '.join(f'{rate:,}' for rate in rates)} |", "|---" * (len(rates) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(tell, found))} |" for name, tell in ROWS.items()]
    lines.append(f"| cores, in euros a month | {' | '.join(plain(one['cores'] * core) for one in found)} |")
    lines.append(f"| disk and traffic, too | {' | '.join(plain(one['disk and traffic']) for one in found)} |")
    return "\n".join(lines)


def costs_table(told):
    """Return the table of what each kind of request costs, as Markdown."""
    kinds = told["kinds"]
    floor = kinds["health"]["shop"] + kinds["health"]["database"]
    lines = [
        "| | of 1,000 | shop, ms | database, ms | × floor | replica, ms | answer, bytes | binary log, bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, one in kinds.items():
        times = (one["shop"] + one["database"]) / floor
        writes = one["binlog_commits"] > 0.1
        cells = [kind, str(MIX.get(kind, "")), in_ms(one["shop"]), in_ms(one["database"]), f"{times:.1f}"]
        cells += [in_ms(one["replica"]) if writes else "", plain(one["answer"])]
        cells += [plain(one["binlog_bytes_written"]) if writes else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sizes_table(told):
    """Return the table of what things take, as Markdown."""
    lines = ["| | bytes |", "|---|---|"]
    return "\n".join(lines + [f"| {thing} | {plain(float(f'{size:.3g}'))} |" for thing, size in told["sizes"].items()])


def compared(told):
    """Return the table of what the mix was expected to take where it was measured, and what it took, as Markdown."""
    mix, cores = told["mix"], told["on"]["workers"]
    found = shares(told["on"]["products"], mix["rate"], cores, mix["rate"] * MIX["order"] / 1000)
    lines = ["| µs for a request of the mix | computed | measured | measured ÷ computed |", "|---|---|---|---|"]
    for name in ("shop", "database"):
        expected = of_each(found, told["kinds"], name)
        lines.append(f"| {name} | {expected:,.0f} | {mix[name]:,.0f} | {mix[name] / expected:.2f} |")
    return "\n".join(lines)


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=pathlib.Path, default=FOUND)
    parser.add_argument("--rates", nargs="+", type=int, default=RATES)
    parser.add_argument("--core", type=float, default=CORE, help="euros a month")
    options = parser.parse_args()
    told = json.loads(options.file.read_text())
    print(costs_table(told), sizes_table(told), table(told, options.rates, options.core), compared(told), sep="\n\n")


if __name__ == "__main__":
    main()
