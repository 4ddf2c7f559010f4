"""How well the shop keeps selling in a flood of logins, and whether its refusals tell anything by their time.

    python3 tests/load/flood.py [--seconds 10] [--cost 12]

Starts a shop of its own (embedded database, limits off, the usual cost of a hash), then measures

- the product list with 8 clients, alone and beside 32 clients that log in without a pause, in turn, three rounds:
  requests per second, and the 99th percentile of a request's time;
- 50 logins each with an unknown name, a wrong password and an over-long password, in turn: the medians.

At the end the data must be sound (`server.py check --data`).

Needs nothing but the standard library; run it with nothing else on the machine.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "Correct-Horse-7"
LIST = ("GET", "/api/products?page=2", None)


def client(port, request, seconds, results):
    """Send one request again and again on one connection; put (status counts, times in seconds) into `results`."""
    method, path, body = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    statuses, times, end = {}, [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            statuses["broken"] = statuses.get("broken", 0) + 1
            continue
        times.append(time.perf_counter() - began)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    results.put((request[1], statuses, times))


def load(port, seconds, *groups):
    """Run (request, clients) groups together; return {path: (status counts, sorted times)}."""
    results, processes = multiprocessing.Queue(), []
    for request, count in groups:
        for _ in range(count):
            processes.append(multiprocessing.Process(target=client, args=(port, request, seconds, results)))
    for process in processes:
        process.start()
    gathered = {}
    for _ in processes:
        path, statuses, times = results.get()
        counts, all_times = gathered.setdefault(path, ({}, []))
        all_times += times
        for status, number in statuses.items():
            counts[status] = counts.get(status, 0) + number
    for process in processes:
        process.join()
    return {path: (counts, sorted(times)) for path, (counts, times) in gathered.items()}


@contextlib.contextmanager
def shop(cost):
    """Start a shop and give its port."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = {"DATA_DIR": folder, "RATE_LIMITS": "off", "BCRYPT_COST": str(cost), "LOG_LEVEL": "warning"}
        words = [sys.executable, str(ROOT / "server.py"), "--port", str(port)]
        process = subprocess.Popen(words, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready", timeout=2).close()
                    break
                time.sleep(0.1)
            yield port
            # While it serves: what the load has left must be sound.
            subprocess.run([*words[:2], "check", "--data"], env={**os.environ, **settings}, check=True)
        finally:
            process.terminate()
            process.wait(30)


def ask(port, path, body):
    """Send one request on a connection of its own; return (status, seconds)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    spent = time.perf_counter() - began
    connection.close()
    return answer.status, spent


def flood(port, seconds):
    """Measure the list alone and beside a flood, three times in turn."""
    attack = ("POST", "/api/users/login", json.dumps({"username": "alice", "password": "wrong"}))
    rates, tails = {"quiet": [], "flooded": []}, {"quiet": [], "flooded": []}
    for _ in range(3):
        for name, groups in (("quiet", [(LIST, 8)]), ("flooded", [(LIST, 8), (attack, 32)])):
            measured = load(port, seconds, *groups)
            counts, times = measured[LIST[1]]
            rates[name].append(len(times) / seconds)
            tails[name].append(times[int(len(times) * 0.99)] * 1000)
            extra = f"; logins: {measured[attack[1]][0]}" if name == "flooded" else ""
            print(
                f"{name:8} {rates[name][-1]:7.0f} lists/s, p99 {tails[name][-1]:6.1f} ms, {counts}{extra}", flush=True
            )
    share = statistics.median(f / q for f, q in zip(rates["flooded"], rates["quiet"], strict=True))
    print(f"share of the quiet throughput: {share:.2f}; p99 when flooded: {statistics.median(tails['flooded']):.0f} ms")


def timing(port):
    """Measure the three kinds of wrong logins in turn, 50 times each."""
    kinds = {
        "unknown name": {"username": "nobody", "password": PASSWORD},
        "wrong password": {"username": "alice", "password": "Wrong-Horse-7"},
        "over-long password": {"username": "alice", "password": "x" * 5000},
    }
    times = {kind: [] for kind in kinds}
    for _ in range(50):
        for kind, body in kinds.items():
            status, spent = ask(port, "/api/users/login", body)
            assert status == 401, status
            times[kind].append(spent * 1000)
    for kind, values in times.items():
        print(f"{kind:20} median {statistics.median(values):.1f} ms")
    medians = [statistics.median(values) for values in times.values()]
    print(f"apart by {max(medians) - min(medians):.1f} ms")


def main():
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cost", type=int, default=12, help="BCRYPT_COST")
    options = parser.parse_args()
    with shop(options.cost) as port:
        alice = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
        assert ask(port, "/api/users/register", alice)[0] == 201
        timing(port)
        flood(port, options.seconds)


if __name__ == "__main__":
    main()
