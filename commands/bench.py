"""Measure a running shop under a shopper's mix: 60 % lists, 20 % products, 15 % carts, 5 % adds to a cart.

It asks for what the shop itself lists, fills carts of its own, and empties them at the end. `wrk` makes the load where
it is installed; --no-wrk, or its absence, takes a generator in Python, which also tells the kinds of requests apart
and looks into every answer. The shop has to run with RATE_LIMITS=off, as one address makes all the adds. Exit status 1
if there were errors. Machines are noisy: compare runs of one machine, and read ratios (--compare).
"""

import argparse
import json
import multiprocessing
import os
import pathlib

from commands import load, wrk
from commands.figures import compare, report, row
from commands.processlist import gauge
from commands.shopper import MIX, PATIENCE, Mix, Shop
from core.config import whole
from core.system import Stop, program, say

HELP = "measure a running shop under a shopper's mix of requests"
EMPTYING = 60  # seconds to empty the carts


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--url", metavar="URL", help="the shop's address (default: that of HOST and PORT)")
    parser.add_argument("--seconds", default="10", metavar="N", help="how long (default 10)")
    parser.add_argument("--connections", default="16", metavar="N", help="shoppers at once (default 16)")
    parser.add_argument("--wrk", action=argparse.BooleanOptionalAction, help="make the load by wrk, or by Python")
    parser.add_argument("--seed", default="1", metavar="N", help="another number, another sequence (default 1)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--compare", type=pathlib.Path, metavar="FILE", help="print ratios to an earlier --json FILE")


def run(options, config, shop):
    """Measure, print the table, empty the carts; return 1 if there were errors."""
    seconds = whole(1, 600)("--seconds", options.seconds)
    connections = whole(1, 1000)("--connections", options.connections)
    seed = whole(0, 10**9 - 1)("--seed", options.seed)
    earlier = _earlier(options.compare) if options.compare else None
    if options.json:
        _write(options.json, "", "a")  # a place that cannot be written is better known before than after
    by_wrk = program("wrk") if options.wrk is not False else None
    if options.wrk and not by_wrk:
        raise Stop("wrk is not installed. Install it (on Debian: sudo apt-get install wrk), or leave out --wrk.")

    url = (options.url or _own_address(config)).rstrip("/")
    visitor = Shop(url)
    mix = Mix(visitor, seed)
    maker = _ByWrk(by_wrk, url, mix, connections) if by_wrk else _ByPython(visitor, mix, connections)
    say(f"A shopper's mix for {seconds} s on {connections} connections against {url}")
    say(f"({mix.products_total:,} products), made by {maker.name}.\n")
    try:
        first = mix.session("first", 0)
        visitor.data("/api/cart/items", "POST", {"product_id": mix.stocked[0], "quantity": 1}, Session_ID=first)
        with gauge(config, url, first) as eye:
            found = maker.measure(seconds, eye.watch)
    finally:
        left = _empty(visitor, mix, [first, *maker.sessions()])
    found |= {"url": url, "connections": connections, "seed": seed, "products": mix.products_total}
    found["database"] = _of_database(eye, found)
    report(found)
    if left:
        say(f"\n{left} of the carts could not be emptied; python3 server.py purge removes them after CART_TTL.")
    if earlier:
        compare(found, earlier)
    if options.json:
        _write(options.json, json.dumps(found, indent=2) + "\n")
    return 1 if found["all"]["errors"] or left else 0


def _own_address(config):
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - every address: one of them
    return f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"


class _ByPython:
    """The load of commands/load.py."""

    def __init__(self, visitor, mix, connections):
        self.address, self.mix, self.connections = (visitor.host, visitor.port), mix, connections
        self.processes = min(connections, max(1, (os.cpu_count() or 1) // 2))  # the shop wants cores too
        self.name = f"{self.processes} process{'es' if self.processes > 1 else ''} of Python"
        self.adds = multiprocessing.RawArray("L", connections)  # seen here also when the run is broken off

    def measure(self, seconds, meanwhile):
        """Return the figures as a dict; see commands/figures.py."""
        walks = [self.mix.walk(number, self.adds) for number in range(self.connections)]
        tally = load.generate(self.address, walks, seconds, self.processes, meanwhile)
        kinds = {kind: row(tally, (kind,), seconds) for kind in MIX}
        every = row(tally, MIX, seconds)
        for one in kinds.values():
            one["share"] = one["requests"] / every["requests"] if every["requests"] else 0.0
        return {
            "generator": "python",
            "seconds": seconds,
            "kinds": kinds,
            "all": every,
            "errors": {kind: dict(reasons) for kind, reasons in tally.errors.items()},
            "refused_for_stock": tally.refused,
            "busy": tally.busy,
            "under_way": sum(map(sum, tally.times.values())) / seconds / 1e6,
        }

    def sessions(self):
        """Return the carts that were filled."""
        return [session for number, adds in enumerate(self.adds) for session in self.mix.sessions(number, adds)]


class _ByWrk:
    """The load of commands/wrk.py."""

    def __init__(self, path, url, mix, connections):
        self.path, self.url, self.mix, self.connections = path, url, mix, connections
        self.threads = min(connections, max(1, (os.cpu_count() or 1) // 2))
        self.name = f"wrk with {self.threads} thread{'s' if self.threads > 1 else ''}"
        self.adds = []

    def measure(self, seconds, meanwhile):
        """Return the figures as a dict; see commands/figures.py."""
        given = {"connections": self.connections, "threads": self.threads, "meanwhile": meanwhile}
        said = wrk.run(self.path, self.url, self.mix, seconds=seconds, **given)
        self.adds = said["made"]
        seconds, sent = said["us"] / 1e6, sum(said[kind] for kind in MIX)
        broken = {
            "answers that are not 2xx (429 where tries are limited: start it with RATE_LIMITS=off)": said["status"],
            "connections not made": said["connect"],
            "connections broken off": said["read"] + said["write"],
            f"no answer within {PATIENCE} s": said["timeout"],
        }
        errors = {why: number for why, number in broken.items() if number}
        times = {f"p{share}_ms": said[f"p{share}"] / 1e3 for share in (50, 95, 99)}
        return {
            "generator": "wrk",
            "seconds": seconds,
            "kinds": {
                kind: {"requests": said[kind], "per_second": said[kind] / seconds, "share": said[kind] / sent}
                for kind in MIX
            },
            "all": {
                "requests": said["requests"],
                "per_second": said["requests"] / seconds,
                **times,
                "errors": sum(errors.values()),
            },
            "errors": {"all": errors} if errors else {},
            "refused_for_stock": None,
            "busy": None,
            "under_way": said["mean"] * said["requests"] / said["us"],
        }

    def sessions(self):
        """Return the carts that were filled; none are known where wrk failed."""
        return [session for number, adds in enumerate(self.adds) for session in self.mix.sessions(number, adds)]


def _of_database(eye, found):
    share = eye.share(found["under_way"])
    if not share:
        return {"share": None, "why_not": eye.why_not or "There was no answer to measure it by"}
    return {
        "share": share[0],
        "margin": share[1],
        "looks": len(eye.looks),
        "statements_per_request": eye.statements / found["all"]["requests"],
        "statements": {name: number / sum(eye.looks) for name, number in eye.names.most_common()},
    }


def _empty(visitor, mix, sessions):
    """Empty these carts; return how many could not be."""
    walks = [(("carts", mix.empty(session)) for session in sessions[n::8]) for n in range(8)]
    now = load.clock()
    tally = load.drive((visitor.host, visitor.port), walks, now, now + EMPTYING)
    return (
        len(sessions)
        - len(tally.times.get("carts", ()))
        + sum(number for why, number in tally.errors.get("carts", {}).items() if why[0].isdigit())
    )


def _earlier(path):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        wanted = {*MIX, "all"} <= {*found["kinds"], *found}
    except OSError as error:
        raise Stop(f"--compare {path} cannot be read: {error.strerror}.", code=2) from None
    except (ValueError, KeyError, TypeError):
        wanted = False
    if not wanted:
        raise Stop(f"--compare {path} is not what bench --json writes.", code=2)
    return found


def _write(path, text, mode="w"):
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Stop(f"--json {path} cannot be written: {error.strerror}.", code=2) from None
