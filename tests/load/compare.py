"""Compare two running shops under a shopper's mix of requests, or measure one.

    python3 tests/load/compare.py http://127.0.0.1:8080 [http://127.0.0.1:8081] [--rounds 3] [--seconds 10]

Each round drives the URLs one after the other with `wrk`, in alternating order. For each URL it prints requests per
second, the 50th and 99th percentile of a request's time, and the errors (answers that are not 2xx or 3xx, broken
connections, timeouts); then the ratio of the second to the first. The mix stands in shopper.lua beside this file.

The shops need products, and RATE_LIMITS=off, because one address adds to all the carts. The carts are emptied after
each round. Machines are noisy: read ratios, and run nothing else at the same time. Exit status 1 if there were errors.
Whether the data is still sound, `python3 server.py check --data` tells.
"""

import argparse
import http.client
import json
import pathlib
import secrets
import shutil
import statistics
import subprocess
import sys
import urllib.error
import urllib.request

SHOPPER = pathlib.Path(__file__).with_name("shopper.lua")
SESSIONS = 200  # carts; the more there are, the less stock one needs
ENOUGH = 50  # pieces in stock of a product that is added to carts
TIMEOUT = 30  # seconds for a request of this program's own


def fetch(url, method="GET", **headers):
    """Return the `data` of an answer."""
    request = urllib.request.Request(url, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]


def products(url):
    """Return the ids of up to 100 products that can be added to many carts."""
    items = fetch(url + "/api/products?per_page=100&in_stock=true")["items"]
    ids = [str(item["id"]) for item in items if item["stock_quantity"] >= ENOUGH]
    if not ids:
        sys.exit(f"{url} has no products with {ENOUGH} in stock. Add some: python3 server.py seed --products 2000")
    return ids


def empty(url, run):
    """Empty the carts of a run; return how many could not be emptied."""
    left = 0
    for number in range(1, SESSIONS + 1):
        try:
            fetch(url + "/api/cart", "DELETE", **{"Session-ID": f"{run}-{number}"})
        except (OSError, http.client.HTTPException):
            left += 1
    return left


def measure(wrk, url, ids, options, seed):
    """Drive one shop for a round; return {requests, seconds, p50, p99 (milliseconds), errors, left (carts)}."""
    run = f"load-{secrets.token_hex(6)}"
    threads = min(options.threads, options.connections)
    load = [wrk, f"-t{threads}", f"-c{options.connections}", f"-d{options.seconds}s", "-s", str(SHOPPER), url]
    try:
        done = subprocess.run(
            [*load, "--", str(seed), run, str(SESSIONS), *ids], stdout=subprocess.PIPE, check=True, text=True
        )
    finally:
        left = empty(url, run)
    return {**json.loads(done.stdout.splitlines()[-1]), "left": left}


def line(name, rates, rounds):
    """Return one line of the table: medians of the rounds, and the sum of their errors."""
    p50, p99 = (statistics.median(one[key] for one in rounds) for key in ("p50", "p99"))
    errors = sum(one["errors"] for one in rounds)
    return f"{name:32} {statistics.median(rates):10,.0f}/s  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  {errors} errors"


def main():
    """Run all rounds and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+", metavar="URL", help="one or two shops")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="for one shop in one round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of wrk; the shop needs cores too")
    options = parser.parse_args()
    if len(options.urls) > 2:
        parser.error("name one or two URLs")
    wrk = shutil.which("wrk") or sys.exit("wrk is missing. Install it: sudo apt-get install wrk")
    urls = [url.rstrip("/") for url in options.urls]
    try:
        ids = [products(url) for url in urls]
        found = [[] for _ in urls]
        for seed in range(1, options.rounds + 1):
            for place in range(len(urls))[:: 1 if seed % 2 else -1]:
                found[place].append(measure(wrk, urls[place], ids[place], options, seed))
    except urllib.error.URLError as error:
        sys.exit(f"A shop does not answer as it should: {error}. Start it with RATE_LIMITS=off, and name its URL.")

    rates = [[one["requests"] / one["seconds"] for one in rounds] for rounds in found]
    for url, own, rounds in zip(urls, rates, found, strict=True):
        print(line(url, own, rounds))
    if len(urls) == 2:
        ratios = [second / first for first, second in zip(*rates, strict=True)]
        print(f"second / first: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})")
    left, errors = (sum(one[key] for rounds in found for one in rounds) for key in ("left", "errors"))
    if errors:
        print("There were errors. Does the shop run with RATE_LIMITS=off?")
    if left:
        print(f"{left} carts could not be emptied; python3 server.py purge removes them after CART_TTL.")
    return 1 if errors or left else 0


if __name__ == "__main__":
    sys.exit(main())
