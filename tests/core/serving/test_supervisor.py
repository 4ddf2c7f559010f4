"""Workers: SIGHUP replaces them one by one and takes what was edited, and no client notices."""

import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers import (
    LONG,
    NOWHERE,
    ORIGIN,
    SECRET,
    as_url,
    both_workers,
    environment,
    eventually,
    free_port,
    refuses,
    running,
    servers,
    workers,
)

from core.database_url import DatabaseUrl
from core.serving import server as ours
from core.serving.cors import Cors
from core.serving.middleware import Middleware
from core.setup.system import ROOT

SENT_TWICE = b"GET /api/health HTTP/1.1\r\nHost: shop\r\n\r\n" * 2


@pytest.fixture
def from_copy(tmp_path, program_copy, accounts, sql):
    """A real server of two workers that runs from `program_copy`."""
    with servers(tmp_path, program_copy) as start:
        yield start("--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application))


def hang_up(real):
    """Send SIGHUP; return once all workers have been replaced."""
    done = real.log.count("All workers are replaced.")
    real.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: real.log.count("All workers are replaced.") > done, 40), real.log


def failed_hang_up(real):
    """Send SIGHUP; return what the log says of why it changes nothing."""
    before = real.log
    real.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: "SIGHUP changes nothing" in real.log.removeprefix(before)), real.log
    return re.search("message=.*SIGHUP changes nothing.*", real.log.removeprefix(before))[0]


class Client(http.client.HTTPConnection):
    """A client that keeps its connection as long as the server lets it."""

    def __init__(self, real):
        super().__init__("127.0.0.1", real.port, timeout=20)

    def ask(self, path, method="GET", body=None, **headers):
        """Return the answer's status and JSON; `sock` is None then, where the connection was not kept."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        text = None if body is None else json.dumps(body)
        self.request(method, path, text, {**given, **({"Content-Type": "application/json"} if text else {})})
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def connected():
    """`connected(real, count)`: clients with open connections; of a dozen, each of two workers is sure to have some."""
    with contextlib.ExitStack() as stack:

        def connect(real, count=12):
            clients = [stack.enter_context(contextlib.closing(Client(real))) for _ in range(count)]
            for client in clients:
                assert client.ask("/api/health")[0] == 200 and client.sock
            return clients

        yield connect


@contextlib.contextmanager
def load(real, ids):
    """Shop without a pause until the block ends; give the lists of the requests that failed, and that did not."""
    failed, done, over = [], [], threading.Event()

    def shop(number):
        client = Client(real)
        session = {"Session_ID": f"shopper-{number}"}
        reads = [("/api/products?per_page=5",), (f"/api/products/{ids[0]}",), ("/api/categories",)]
        writes = [("/api/cart/items", "POST", {"product_id": id, "quantity": 1}) for id in ids]
        for turn in range(10**9):
            if over.is_set():
                break
            asked = [*reads, *(writes if number % 2 else [])]
            try:
                status, _ = client.ask(*asked[turn % len(asked)], **session)
                (done if status in (200, 201) else failed).append((asked[turn % len(asked)], status))
            except (OSError, http.client.HTTPException) as error:
                failed.append((asked[turn % len(asked)], repr(error)))
                client.close()
            time.sleep((0, 0.001, 0.05, 0.3)[number % 4])  # some think before they go on
        client.close()

    threads = [threading.Thread(target=shop, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield failed, done
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


# No client notices


@pytest.mark.slow
def test_sighup_replaces_all_workers_without_a_failed_request(served, make):
    ids = make.products(3, stock=1_000_000)
    before = both_workers(served)

    with load(served, ids) as (failed, done):
        for _ in range(2):
            asked = len(done)
            hang_up(served)
            assert eventually(lambda asked=asked: len(done) > asked + 100)

    assert failed == []
    assert len(workers(served)) == 2 and not workers(served) & before
    assert "level=error" not in served.log and "Traceback" not in served.log


@pytest.mark.slow
def test_a_retiring_worker_answers_its_connections_and_says_that_it_closes_them(served, connected):
    clients = connected(served)

    served.process.send_signal(signal.SIGHUP)
    served.wait_for("its workers are replaced one by one")
    time.sleep(1)  # the first has retired by now, but for its connections; the second has to wait for that
    answers = [client.ask("/api/products?per_page=1")[0] for client in clients]
    ended = [client.sock is None for client in clients]
    again = [client.ask("/api/products?per_page=1")[0] for client in clients]

    assert answers == again == [200] * len(clients)
    assert any(ended)
    served.wait_for("All workers are replaced")


@pytest.mark.slow
def test_connections_that_stay_idle_hold_up_the_others_for_a_few_seconds_only(start):
    alone = start("--workers", "1", DATABASE_URL=as_url(NOWHERE))
    before = workers(alone)
    with socket.create_connection(("127.0.0.1", alone.port), timeout=20) as connection:
        time.sleep(0.3)
        started = time.monotonic()
        hang_up(alone)
        took = time.monotonic() - started
        ended = connection.recv(1) == b""

    assert ended and took > ours.DRAIN - 1
    assert not workers(alone) & before


@pytest.mark.slow
def test_a_request_under_way_is_answered_by_the_worker_that_retires(served):
    asked = (
        b"POST /api/cart/items HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    before = both_workers(served)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(asked + b"{")
        time.sleep(0.3)
        served.process.send_signal(signal.SIGHUP)
        waits = not eventually(lambda: not workers(served) & before, ours.DRAIN + 3)
        connection.sendall(b"}")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert waits
    assert answer.startswith(b"HTTP/1.1 400 ") and b"\r\nConnection: close\r\n" in answer
    served.wait_for("All workers are replaced")


@pytest.mark.slow
def test_a_write_through_a_worker_is_seen_by_all_others_while_they_are_replaced(served, connected, sql, make):
    id = make.product(price="10.00")
    password = "Blue-Kettle-42"
    served.request(
        "/api/users/register", "POST", {"username": "keeper", "email": "r@example.com", "password": password}
    )
    sql("UPDATE users SET role = 'admin'")
    token = served.request("/api/users/login", "POST", {"username": "keeper", "password": password}).json["data"][
        "token"
    ]
    clients = connected(served, 24)

    def seen(client):
        return client.ask(f"/api/products/{id}")[1]["data"]["price"]

    wrong = []
    served.process.send_signal(signal.SIGHUP)
    for turn, client in enumerate(clients):
        price = 20 + turn
        status, _ = client.ask(f"/api/products/{id}", "PUT", {"price": price}, Authorization=f"Bearer {token}")
        newcomers = connected(served, 4)
        prices = [status, seen(client), *map(seen, newcomers)]
        if prices != [200, *[price] * 5]:
            wrong.append((price, prices))
        for newcomer in newcomers:
            newcomer.close()

        time.sleep(0.1)

    assert wrong == []
    for client in clients:
        client.close()
    served.wait_for("All workers are replaced")


@pytest.mark.slow
def test_the_rate_limits_go_on_counting(served):
    def left():
        answer = served.request("/api/users/login", "POST", {"username": "nobody", "password": "x"})
        return int(re.search(r"r=([0-9]+)", answer.headers["Ratelimit"])[1])

    before = left()
    hang_up(served)

    assert left() == before - 1


@pytest.mark.parametrize("way", ["stop", "retire"])
def test_requests_that_were_sent_in_one_go_are_all_answered_before_the_end(way):
    entered = threading.Event()

    def slow(environ, start_response):
        entered.set()
        time.sleep(0.3)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    slow.routes = []  # as Bottle has them
    listening = socket.create_server(("127.0.0.1", 0))
    server = ours.Server(Middleware(slow, Cors((ORIGIN,))), listening.dup(), 2)
    thread = threading.Thread(target=server.run)
    thread.start()
    with listening, socket.create_connection(listening.getsockname(), timeout=10) as connection:
        connection.sendall(SENT_TWICE)
        assert entered.wait(10)
        getattr(server, way)()
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
        connection.close()
        thread.join(15)
        left_over = not refuses(listening.getsockname()[1])

    assert left_over == (way == "retire")  # the socket is another's then
    assert not thread.is_alive()
    assert answers.count(b"HTTP/1.1 200 OK") == 2 and answers.count(b"Connection: close") == 1
    assert answers.endswith(b"ok")


# What is taken, and what is not


@pytest.mark.slow
def test_sighup_takes_edited_sql_and_settings(from_copy, program_copy, make):
    id = make.product("Lamp")
    before = both_workers(from_copy)
    statement = program_copy / "sql/products/get.sql"
    statement.write_text(
        statement.read_text().replace("p.name,", "COALESCE(LEFT(CONCAT(p.name, ' (new)'), 255), '') AS name,")
    )
    (program_copy / ".env").write_text(
        "CORS_ORIGINS=https://edited.example\nHOST=127.0.0.2\nLOG_LEVEL=warning\nSHOP_NAME=Corner\nCURRENCY=CHF\n"
    )

    from_copy.process.send_signal(signal.SIGHUP)
    replaced = eventually(lambda: len(workers(from_copy)) == 2 and not workers(from_copy) & before)
    answer = from_copy.request(f"/api/products/{id}", Origin="https://edited.example", X_Request_ID="not-to-be-seen")

    assert replaced
    assert answer.json["data"]["name"] == "Lamp (new)"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://edited.example"
    told = from_copy.request("/api/shop").json["data"]
    assert (told["name"], told["currency"]) == ("Corner", "CHF")
    assert "HOST has changed; that takes a restart." in from_copy.log
    assert "not-to-be-seen" not in from_copy.log


@pytest.mark.slow
def test_a_broken_edit_leaves_the_workers_as_they_are(from_copy, program_copy, make):
    id = make.product("Lamp")
    before = both_workers(from_copy)
    statement = program_copy / "sql/products/get.sql"
    good = statement.read_text()

    statement.write_text(good.replace("%(id)s", "%(number)s"))
    about_sql = failed_hang_up(from_copy)
    statement.write_text(good)
    statement.write_text(
        good.replace("%(id)s", "%(number)s")
        .replace("--   id", "--   number", 1)
        .replace("-- sample: id", "-- sample: number")
    )
    about_parameters = failed_hang_up(from_copy)  # the next version's files, copied while this one runs
    statement.write_text(good)
    report = program_copy / "reports/best_sellers.sql"
    gone = report.rename(report.with_suffix(".away"))
    about_report = failed_hang_up(from_copy)
    gone.rename(report)
    (program_copy / ".env").write_text("CACHE_TTL=soon\n")
    about_setting = failed_hang_up(from_copy)
    (program_copy / ".env").write_text("it's broken\n")
    about_file = failed_hang_up(from_copy)
    answer = from_copy.request(f"/api/products/{id}")

    assert re.search(r"sql/products/get\.sql:[0-9]+: parameter number is not declared.*; Correct them; ", about_sql)
    assert "sql/products/get.sql:1: the code that runs knows it with id, and that it returns one" in about_parameters
    assert "reports/best_sellers.sql:1: it is gone, and its route is not: that takes a restart" in about_report
    assert "CACHE_TTL is 'soon'; wanted is a number of seconds" in about_setting
    assert ".env, line 1, cannot be read" in about_file
    assert workers(from_copy) == before and answer.status == 200
    (program_copy / ".env").write_text("")
    hang_up(from_copy)
    assert not workers(from_copy) & before


@pytest.mark.slow
def test_after_a_broken_edit_a_worker_that_dies_is_replaced_by_one_of_before(from_copy, program_copy, make):
    id = make.product("Lamp")
    both_workers(from_copy)
    (program_copy / "sql/products/get.sql").write_text("-- broken\n")
    failed_hang_up(from_copy)

    before = workers(from_copy)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    replaced = eventually(lambda: len(workers(from_copy)) == 2 and not workers(from_copy) & before)

    assert replaced
    assert from_copy.request(f"/api/products/{id}").json["data"]["name"] == "Lamp"


@pytest.mark.slow
def test_edited_python_code_needs_a_restart_and_the_log_says_so(from_copy, program_copy):
    os.utime(program_copy / "core/cache.py", (1, 1))

    hang_up(from_copy)

    assert "The Python code has changed since the start; that takes a restart." in from_copy.log


# Bad moments


@pytest.mark.slow
def test_many_sighups_at_once_and_during_the_replacement_end_with_all_workers_replaced(served, connected):
    before = both_workers(served)
    clients = connected(served)  # which makes it last

    for pause in (0, 0, 0.3, 0.3, 0.5):
        served.process.send_signal(signal.SIGHUP)
        time.sleep(pause)
    for client in clients:
        client.close()
    served.wait_for("All workers are replaced", 60)

    assert len(workers(served)) == 2 and not workers(served) & before
    assert served.request("/api/health").status == 200
    assert "level=error" not in served.log


@pytest.mark.slow
def test_a_worker_that_retires_is_no_death(served):
    both_workers(served)

    for _ in range(4):
        hang_up(served)  # two each; five deaths in ten seconds would be the end

    assert served.process.poll() is None and served.request("/api/health").status == 200
    assert "takes over" not in served.log


@pytest.mark.slow
def test_sigterm_during_the_replacement_ends_all(served, connected, lag):
    before = both_workers(served)
    connected(served)
    served.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: len(workers(served)) == 3)
    family = before | workers(served)
    time.sleep(0.3)

    began = time.monotonic()
    served.process.terminate()

    assert served.process.wait(LONG) == 0
    assert time.monotonic() - began < lag.bound(4, began)  # sooner than the idle connections would end
    assert not any(map(running, family)) and refuses(served.port)
    assert "level=error" not in served.log and "Traceback" not in served.log


@pytest.mark.slow
def test_a_worker_that_dies_during_the_replacement_is_replaced_too(served, connected):
    before = both_workers(served)
    connected(served)
    served.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: len(workers(served)) == 3)
    time.sleep(0.3)

    for pid in before:  # the one that retires, and the one whose turn has not come
        os.kill(pid, signal.SIGKILL)
    served.wait_for("All workers are replaced")

    assert len(workers(served)) == 2 and not workers(served) & before
    assert len(re.findall("Worker [0-9]+ ended with status -9; a new one takes over", served.log)) == 1
    assert len(re.findall("Worker [0-9]+ ended with status -9 while it retired", served.log)) == 1
    assert served.request("/api/health").status == 200


@pytest.mark.slow
def test_a_sighup_during_the_start_waits_until_there_are_workers(start):
    with socket.create_server(("127.0.0.1", 0)) as mute:  # a database that says nothing holds up the start
        early = start(
            "--workers", "1", DATABASE_URL=as_url(DatabaseUrl("shop", port=mute.getsockname()[1])), wait=False
        )
        visitor, _ = mute.accept()
        early.process.send_signal(signal.SIGHUP)
        visitor.close()

    early.wait_for("All workers are replaced")
    assert early.request("/api/health").status == 200


@pytest.mark.slow
def test_sighup_to_a_worker_does_nothing(served):
    before = both_workers(served)

    for pid in before:
        os.kill(pid, signal.SIGHUP)
    time.sleep(0.5)

    assert workers(served) == before
    assert served.request("/api/health").status == 200


DOOMED = """
import sys
import server
from core.serving import sockets
from core.serving.supervisor import Supervisor
from core import config
from core import logs
settings = config.load(port=sys.argv[1], workers=2, threads=2)
logs.configure(settings.log_level, settings.log_format)
bound = sockets.bind(settings.host, settings.port, 2)
sockets.start_listening(bound, settings.host, settings.port)
application = server.shop(settings, settings.database)
print("Serving on", flush=True)
sys.exit(Supervisor(application, bound, 2, wire=lambda before: "nothing that can be served").run())
"""


@pytest.mark.slow
def test_a_new_worker_that_dies_before_it_serves_leaves_the_old_ones_in_place(tmp_path):
    port, log = free_port(), tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(port)],
        env=environment(DATABASE_URL=as_url(NOWHERE), PYTHONPATH=str(ROOT), CHORES="off"),
        stdout=log.open("w"),
        stderr=log.open("a"),
    )
    try:
        assert eventually(lambda: not refuses(port))
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert eventually(lambda: len(children.read_text().split()) == 2)
        before = children.read_text()
        report = r"Worker [0-9]+ ended with status 1 before it served\. The workers that were not replaced yet go on"
        for number in (1, 2):  # the second time as well as the first
            process.send_signal(signal.SIGHUP)
            assert eventually(lambda number=number: len(re.findall(report, log.read_text())) == number), log.read_text()

        assert children.read_text() == before
        assert not refuses(port)
        assert log.read_text().count("a worker broke") == 2  # its last words are written
    finally:
        process.terminate()
        assert process.wait(LONG) == 0


@pytest.mark.slow
def test_closing_the_terminal_ends_it(tmp_path):
    try:
        ours_end, its_end = pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a pseudo-terminal ({error})")
    log = tmp_path / "log"
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, str(ROOT / "server.py"), "--port", str(free_port()), "--workers", "2"],
        env=environment(DATABASE_URL=as_url(NOWHERE)),
        stdin=its_end,
        stdout=its_end,
        stderr=log.open("w"),
    )
    os.close(its_end)
    try:
        said = b""
        while b"Serving on" not in said:
            said += os.read(ours_end, 1000)
        real = type("", (), {"process": process})
        family = both_workers(real)

        os.close(ours_end)

        assert process.wait(LONG) == 0
        assert not any(map(running, family))
        assert "Traceback" not in log.read_text() and "Exception" not in log.read_text()
    finally:
        process.kill()
        process.wait()


# What a worker takes


@pytest.mark.slow
def test_no_process_keeps_what_only_tells_that_a_worker_has_begun(served):
    def pipes(pid):
        return sum(os.readlink(found).startswith("pipe:") for found in pathlib.Path(f"/proc/{pid}/fd").iterdir())

    supervisor, before = served.process.pid, both_workers(served)
    assert eventually(lambda: [*map(pipes, [supervisor, *before])] == [2, 4, 4])

    os.kill(min(before), signal.SIGKILL)

    assert eventually(lambda: len(workers(served)) == 2 and workers(served) != before)
    assert eventually(lambda: [*map(pipes, [supervisor, *workers(served)])] == [2, 4, 4])


@pytest.mark.slow
def test_an_idle_worker_takes_80_mb_at_the_most_also_after_some_sighups(served, make):
    make.products(5)

    def resident(pid):
        return int(re.search(r"^Rss: +([0-9]+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])

    sizes = []
    for _ in range(3):
        for _ in range(10):
            assert served.request("/api/products").status == 200
        sizes += map(resident, both_workers(served))
        hang_up(served)

    assert max(sizes) <= 80 * 1024, sizes
    assert SECRET not in served.log
