"""GET /metrics: it tells what all processes have counted, quickly, and on the address that was chosen for it."""

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from helpers import LONG, NOWHERE, SECRET, as_url, command, eventually, forked, free_port
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from core import metrics
from core.db.statement_times import BOUNDS, TIMES
from core.metrics import Counter, Gauge, Histogram
from core.serving.exposition import OF_STATEMENTS, Exposition
from core.serving.request_times import REQUESTS, answered

GROWN = Counter("test_grown_total", "What grew.", "how")
STANDS = Gauge("test_stands", "How things stand.")
WAITED = Histogram("test_waited_seconds", "What was waited.", bounds=(0.1, 1))
MS = 1_000_000


def read(text):
    """Return {(name, *labels): number} of a text, by the package's parser."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(counters):
    """Return what a scrape finds now."""
    return read(Exposition(counters).text().decode())


def cpu_of(job):
    """Return the seconds of CPU that this takes."""
    began = time.thread_time()
    job()
    return time.thread_time() - began


def of_address(port, path="/metrics"):
    """Return what is found at an address of this machine."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return read(answer.read().decode())


def test_the_parser_of_the_package_reads_it(counters):
    GROWN.add('a "quoted" \\ name', amount=3)
    STANDS.set(0)
    for seconds in (0.05, 0.1, 0.5, 7):
        WAITED.observe(seconds)

    found = scraped(counters)
    assert found["test_grown_total", ("how", 'a "quoted" \\ name')] == 3
    assert found["test_stands",] == 0
    assert [found["test_waited_seconds_bucket", ("le", le)] for le in ("0.1", "1", "+Inf")] == [2, 3, 4]
    assert (found["test_waited_seconds_count",], found["test_waited_seconds_sum",]) == (4, pytest.approx(7.65))


def test_each_metric_says_what_it_means_and_is_of_one_kind(counters):
    TIMES.add("cart/show", MS, 1, False)
    answered("GET", "/api/cart", "200", 0.1)

    families = list(text_string_to_metric_families(Exposition(counters).text().decode()))

    assert len({family.name for family in families}) == len(families)
    assert all(len(family.documentation) > 5 and family.type != "unknown" for family in families)


def test_statements_have_opentelemetrys_buckets(counters):
    """db.client.operation.duration: opentelemetry.io/docs/specs/semconv/database/database-metrics."""
    for ms in (0.5, 1, 3, 40, 20_000):
        TIMES.add("products/list_price", int(ms * MS), 20, ms > 1000)

    found = scraped(counters)
    label = ("db_query_summary", "products/list_price")
    buckets = [found["db_client_operation_duration_seconds_bucket", label, ("le", f"{le:g}")] for le in OF_STATEMENTS]
    assert buckets == [2, 3, 3, 4, 4, 4, 4, 4, 4]
    assert found["db_client_operation_duration_seconds_count", label] == 5
    assert found["db_client_operation_duration_seconds_sum", label] == pytest.approx(20.0445)
    assert (found["bodega_sql_rows_total", label], found["bodega_sql_errors_total", label]) == (100, 1)
    assert {int(le * 1e9) for le in OF_STATEMENTS} <= set(BOUNDS)


def test_requests_have_opentelemetrys_buckets_and_a_bounded_set_of_methods(counters):
    """http.server.request.duration: opentelemetry.io/docs/specs/semconv/http/http-metrics."""
    for method in ("GET", "BREW", "get", "x" * 5000):
        answered(method, "", "404", 0.001)

    found = scraped(counters)
    name = f"{REQUESTS.name}_count"
    cache, method = ("cache", ""), ("http_request_method", "_OTHER")
    rest = ("http_response_status_code", "404"), ("http_route", "")
    assert {key: n for key, n in found.items() if key[0] == name} == {
        (name, cache, method, *rest): 3,
        (name, cache, ("http_request_method", "GET"), *rest): 1,
    }
    assert REQUESTS.bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def test_a_counter_without_labels_is_there_before_it_counts(counters):
    assert scraped(counters)["test_waited_seconds_count",] == 0
    assert ("test_stands",) not in scraped(counters)


def test_a_gauge_is_gone_when_its_time_is_over_or_its_process_has_ended(counters):
    child = forked(lambda: (STANDS.set(3), signal.pause()))

    assert eventually(lambda: STANDS.set(4, lasts=0.3) or scraped(counters).get(("test_stands",)) == 7)
    assert eventually(lambda: scraped(counters).get(("test_stands",)) == 3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert ("test_stands",) not in scraped(counters)


@pytest.mark.slow
def test_a_hundred_replaced_processes_leave_no_file_and_no_counter_decreases(counters, tmp_path):
    """Each is killed amid its counting, and its successor begins before it has ended."""
    exposition = Exposition(counters)

    def serve():
        metrics.be("worker")
        while True:
            answered("GET", "/api/cart", "200", 0.004)
            TIMES.add("cart/show", MS, 1, False)

    def growing():
        exposition._until = 0
        found = read(exposition.text().decode())
        return {key: n for key, n in found.items() if not key[0].startswith(("process_", "test_stands"))}

    children, before, decreased = [], {}, []
    for number in range(100):
        children.append(forked(serve))
        seen = before.get((f"{TIMES.name}_count", ("db_query_summary", "cart/show")), 0)
        assert eventually(lambda: growing().get((f"{TIMES.name}_count", ("db_query_summary", "cart/show")), 0) > seen)  # noqa: B023
        if number:
            os.kill(children[number - 1], signal.SIGKILL)
            os.waitpid(children[number - 1], 0)
        after = growing()
        decreased += [key for key, n in before.items() if after.get(key, -1) < n]
        before = after
    os.kill(children[-1], signal.SIGKILL)
    os.waitpid(children[-1], 0)

    assert decreased == []
    assert os.listdir(tmp_path / "run") == [counters.path.name]


def test_a_scrape_takes_less_than_the_package_takes_to_write_the_same_lines(counters):
    """Of six processes, each with 200 statements and 150 kinds of answers: 5,000 lines."""

    def fill():
        for number in range(200):
            TIMES.add(f"products/statement_{number}", number * 10_000, 1, False)
        for number in range(150):
            answered("GET", f"/api/things/{number}/<id:id>", "200", number / 1000)
        signal.pause()

    children = [forked(fill) for _ in range(6)]
    exposition = Exposition(counters)
    key = (f"{TIMES.name}_count", ("db_query_summary", "products/statement_199"))
    try:
        assert eventually(lambda: scraped(counters).get(key) == 6)
        text = exposition.text()
        families = list(text_string_to_metric_families(text.decode()))
        packages = CollectorRegistry()
        packages.collect = lambda: families
        ours, theirs = [], []
        for _ in range(15):  # in turn, so that whatever else runs here slows both
            exposition._until = 0
            ours.append(cpu_of(exposition.text))
            theirs.append(cpu_of(lambda: generate_latest(packages)))
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    lines = text.count(b"\n")
    print(f"a scrape of {lines} lines takes {min(ours) * 1000:.1f} ms of CPU, the package {min(theirs) * 1000:.1f}")
    assert lines > 5000 and len(generate_latest(packages).splitlines()) > 5000
    assert min(ours) < min(theirs)


def test_who_asks_again_at_once_gets_the_same_text(counters):
    exposition = Exposition(counters)
    first = exposition.text()
    GROWN.add("more")

    assert exposition.text() is first
    assert eventually(lambda: b"more" in exposition.text())


# With a server


@pytest.fixture
def watched(start, accounts, make, tmp_path):
    """A server with two workers whose figures stand on a port of their own."""
    make.product("Tea", price="3.00")
    port = free_port()
    server = start(
        *("--workers", "2", "--threads", "4"),
        DATABASE_URL=as_url(accounts.application),
        METRICS="on",
        METRICS_PORT=str(port),
        DATA_DIR=str(tmp_path / "data"),
        CHORES="on",
    )
    server.metrics = lambda: of_address(port)
    server.metrics_port = port
    assert eventually(lambda: quiet(server.metrics))
    return server


def quiet(call):
    """Return what a call returns; None where nobody answers."""
    with contextlib.suppress(OSError):
        return call()


def requests_of(found, **wanted):
    """Return how many requests a scrape has, of those with these labels."""
    name = f"{REQUESTS.name}_count"
    return sum(n for (first, *labels), n in found.items() if first == name and wanted.items() <= dict(labels).items())


def of_role(found, role):
    """Return the ids of the processes that a scrape names, with this role."""
    return {int(dict(rest)["pid"]) for (name, *rest), _ in found.items() if dict(rest).get("role") == role}


def test_every_request_of_all_workers_is_there_once(watched):
    for number in range(120):
        watched.request(("/api/products", "/api/nowhere", f"/nix/{number}", "/api/orders/nothing")[number % 4])

    assert eventually(lambda: requests_of(watched.metrics()) == 120)
    found = watched.metrics()
    listed = {"http_route": "/api/products", "http_response_status_code": "200", "http_request_method": "GET"}
    assert requests_of(found, **listed) == 30
    assert requests_of(found, **listed, cache="hit") == 30 - requests_of(found, **listed, cache="miss") > 0
    assert requests_of(found, http_route="", http_response_status_code="404") == 90 - requests_of(
        found, http_route="/api/orders/<number:order>"
    )


def test_what_cannot_be_read_is_counted_too(watched):
    with socket.create_connection(("127.0.0.1", watched.port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 400")

    assert eventually(lambda: requests_of(watched.metrics(), http_response_status_code="400") == 1)


def test_statements_and_processes_are_there(watched):
    watched.request("/api/categories")

    assert eventually(lambda: ("db_query_summary", "categories/list") in {k[1] for k in watched.metrics() if k[1:]})
    found = watched.metrics()
    assert len(of_role(found, "worker")) == 2
    assert of_role(found, "supervisor") == {watched.process.pid}
    assert len(of_role(found, "chores")) == len(of_role(found, "metrics")) == 1
    memory = [n for key, n in found.items() if key[0] == "process_resident_memory_bytes"]
    assert len(memory) == 5 and min(memory) > 5_000_000


def test_it_is_not_on_the_address_of_the_shop_unless_asked(watched):
    assert watched.request("/metrics").status == 404
    with pytest.raises(urllib.error.HTTPError, match="404"):
        of_address(watched.metrics_port, "/api/products")


def test_with_public_it_is_on_the_address_of_the_shop_and_nowhere_else(start, accounts):
    port = free_port()
    server = start(DATABASE_URL=as_url(accounts.application), METRICS="public", METRICS_PORT=str(port))

    found = of_address(server.port)

    assert of_role(found, "supervisor") == {server.process.pid}
    assert server.request("/metrics").headers["Cache-Control"] == "no-store"
    assert server.request("/metrics", method="POST").status == 404
    with pytest.raises(urllib.error.URLError, match="refused"):
        of_address(port)


def test_by_default_it_is_nowhere(start, accounts):
    server = start(DATABASE_URL=as_url(accounts.application))

    assert server.request("/metrics").status == 404


def test_it_is_told_while_the_database_is_away(start, lag):
    port = free_port()
    server = start(DATABASE_URL=as_url(NOWHERE), METRICS="on", METRICS_PORT=str(port))
    assert server.request("/api/products").status == 503

    assert eventually(lambda: requests_of(quiet(lambda: of_address(port)) or {}, http_response_status_code="503") > 0)
    began = time.monotonic()
    of_address(port)
    assert time.monotonic() - began < lag.bound(1, began)


def test_its_process_is_replaced_when_it_dies_and_the_shop_goes_on(watched):
    [old] = of_role(watched.metrics(), "metrics")
    os.kill(old, signal.SIGKILL)

    assert watched.request("/api/health").status == 200
    assert eventually(lambda: of_role(quiet(watched.metrics) or {}, "metrics") - {old})
    assert f"Metrics {old} ended with status -9" in watched.log


def test_clients_that_send_nothing_keep_no_scrape_waiting(watched, lag):
    idle = [socket.create_connection(("127.0.0.1", watched.metrics_port), timeout=10) for _ in range(20)]
    try:
        began = time.monotonic()
        watched.metrics()
        assert time.monotonic() - began < lag.bound(2, began)
        idle[0].settimeout(LONG)
        assert idle[0].recv(1) == b""  # it is cut off after 5 seconds
    finally:
        for client in idle:
            client.close()


def test_its_port_must_be_free(accounts):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command(
            "serve",
            *("--port", str(free_port())),
            DATABASE_URL=as_url(accounts.application),
            SECRET_KEY=SECRET,
            METRICS="on",
            METRICS_PORT=str(port),
        )

    assert done.returncode == 1
    assert f"METRICS_HOST and METRICS_PORT are 127.0.0.1 and {port}, where nothing can listen" in done.stderr


@pytest.mark.slow
def test_no_counter_decreases_while_workers_are_replaced_under_load(watched, tmp_path):
    """Kills and rolling restarts in turn; every request that was answered is there at the end."""
    stop, answers, before, decreased = threading.Event(), [], {}, []

    def load():
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(watched.request("/api/categories").status)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for turn in range(6):
            if turn % 2:
                old = of_role(watched.metrics(), "worker")
                watched.process.send_signal(signal.SIGHUP)
                assert eventually(lambda: not old & of_role(watched.metrics(), "worker"))  # noqa: B023
            else:
                os.kill(min(of_role(watched.metrics(), "worker")), signal.SIGKILL)
                time.sleep(2.1)
            found = {key: n for key, n in watched.metrics().items() if not key[0].startswith("process_")}
            decreased += [key for key, n in before.items() if found.get(key, -1) < n]
            before = found
    finally:
        stop.set()
        thread.join()

    time.sleep(0.6)
    found = watched.metrics()
    assert decreased == []
    assert requests_of(found, http_route="/api/categories") >= len(answers) > 50
    assert found["bodega_workers_replaced_total", ("reason", "died")] == 3
    assert found["bodega_workers_replaced_total", ("reason", "restart")] == 6
    assert len(list((tmp_path / "data").rglob("counters-*"))) == 1
