"""The figures of a run, as `bench` computes, prints and compares them.

A run is a dict, which --json writes as it is:

    url, generator ("python" or "wrk"), connections, seconds, seed, products
    kinds       {kind: {requests, share, per_second, p50_ms, p95_ms, p99_ms, errors}}; of wrk only the first three
    all         the same of all together, but for the share
    errors      {kind: {what went wrong: how often}}
    refused_for_stock    adds answered INSUFFICIENT_STOCK; None where the generator cannot tell
    busy        share of its time that the generator did not wait; None where it cannot tell
    under_way   requests under way on average
    database    {share, margin, looks, statements_per_request, statements: {name: its share of that time}}, or
                 {share: None, why_not}
"""

import math

from commands.shopper import LIMITED
from core.system import say

BUSY = 0.9  # of its time: from there on the load generator is what is measured
LONGEST = 5  # statements that are named
FIGURES = ("per_second", "p50_ms", "p95_ms", "p99_ms")


def percentile(ordered, share):
    """Return the smallest of these sorted values that `share` per cent of them do not exceed; None of none."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] if ordered else None


def row(tally, kinds, seconds):
    """Return one row of the table: of these kinds together, in requests, requests per second and milliseconds.

    Requests are those that were answered, in whatever way; an error without an answer is counted in `errors` alone.
    """
    times = sorted(time for kind in kinds for time in tally.times.get(kind, ()))
    found = {"requests": len(times), "per_second": (len(times) - sum(tally.late[kind] for kind in kinds)) / seconds}
    for share in (50, 95, 99):
        found[f"p{share}_ms"] = percentile(times, share) / 1e3 if times else None
    return found | {"errors": sum(sum(tally.errors.get(kind, {}).values()) for kind in kinds)}


def report(found):
    """Print the figures of a run as a table, and what is to be known about them."""
    table = [["", "share", "requests", "per second", "p50", "p95", "p99", "errors"]]
    for name, row in [*found["kinds"].items(), ("all", {**found["all"], "share": 1})]:
        times = [_time(row.get(key)) for key in FIGURES[1:]]
        errors = f"{row['errors']:,}" if "errors" in row else "-"
        table.append(
            [name, f"{row['share'] * 100:.1f} %", f"{row['requests']:,}", f"{row['per_second']:,.0f}", *times, errors]
        )
    _print(table)
    database = found["database"]
    if database["share"] is None:
        say(f"\nShare of a request's time in the database: unknown. {database['why_not']}.")
    else:
        share, margin = _percent(database["share"]), _percent(database["margin"])
        say(
            f"\nIn the database: about {share} of a request's time (± {margin}, {database['looks']} looks at its "
            f"process list), in {database['statements_per_request']:.2f} statements."
        )
        longest = [f"{name} {_percent(part)}" for name, part in [*database["statements"].items()][:LONGEST]]
        if longest:
            say(f"Of that time: {', '.join(longest)}.")
    if found["generator"] == "wrk":
        say("wrk does not time the kinds apart, nor look into answers; --no-wrk does.")
    elif found["busy"] >= BUSY:
        say(f"The load generator was busy {_percent(found['busy'])} of its time: the shop can do more. Install wrk.")
    else:
        say(f"The load generator was busy {_percent(found['busy'])} of its time.")
    if found["refused_for_stock"]:
        say(f"{found['refused_for_stock']:,} adds were refused because the stock is too small; these are no errors.")
    for kind, reasons in found["errors"].items():
        for why, number in sorted(reasons.items(), key=lambda pair: -pair[1]):
            say(f"Errors in {kind}: {number:,} × {why}." + (f" {LIMITED}" if why.startswith("429") else ""))


def compare(found, earlier):
    """Print what this run is to an earlier one: new ÷ old, for each figure that both have."""
    table = [["now ÷ before", "per second", "p50", "p95", "p99"]]
    before = {**earlier["kinds"], "all": earlier["all"]}
    for name, row in {**found["kinds"], "all": found["all"]}.items():
        ratios = [(row.get(key), before.get(name, {}).get(key)) for key in FIGURES]
        table.append([name, *(f"{new / old:.2f}" if new and old else "-" for new, old in ratios)])
    say("")
    _print(table)
    for what in ("generator", "connections", "products"):
        if found[what] != earlier.get(what):
            say(f"Not alike: {what} {found[what]} now, {earlier.get(what)} before.")


def _print(table):
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *cells in table:
        say("  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))]).rstrip())


def _time(ms):
    if ms is None:
        return "-"
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:,.0f} ms"


def _percent(share):
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"
