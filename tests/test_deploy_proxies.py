"""nginx and HAProxy, with the files of deploy/, in front of real shops. Only ports, paths and hosts are others."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import NOWHERE, PASSWORD, SECRET, as_url, bearer, eventually, free_port
from passing import Parent
from test_drivers_tls import certificates

from core.contract.request_body import LARGEST_BODY
from core.setup import system
from core.setup.system import ROOT

VISITOR = "127.0.0.2"  # where clients connect from; the proxy itself connects from 127.0.0.1
NGINX, HAPROXY = (ROOT / "deploy" / name for name in ("nginx.conf", "haproxy.cfg"))
PROGRAMS = {"nginx": NGINX, "haproxy": HAPROXY}

pytestmark = pytest.mark.slow


def replaced(text, **values):
    """Return the text with other words in it; each must be there."""
    for before, after in values.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


def nginx(folder, port, hosts):
    """Return the words that start nginx."""
    lines = "\n".join(f"server 127.0.0.1:{host} max_fails=3 fail_timeout=5s;" for host in hosts)
    certificate = "/etc/ssl/shop.example/{}.pem"
    text = replaced(
        re.sub(r"^ *listen \[::\].*\n", "", NGINX.read_text(), flags=re.MULTILINE),
        **{
            "server 127.0.0.1:8080 max_fails=3 fail_timeout=5s;": lines,
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            certificate.format("fullchain"): str(folder / "server.pem"),
            certificate.format("privkey"): str(folder / "server.key"),
        },
    )
    (folder / "bodega.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 2; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/bodega.conf; }}"
    )
    return [system.program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def haproxy(folder, port, hosts):
    """Return the words that start HAProxy."""
    lines = "\n    ".join(f"server host{host} 127.0.0.1:{host}" for host in hosts)
    (folder / "shop.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    text = replaced(
        HAPROXY.read_text(),
        **{
            "server one 127.0.0.1:8080": lines,
            "bind :443": f"bind 127.0.0.1:{port}",
            "bind :80": f"bind 127.0.0.1:{free_port()}",
            "/etc/haproxy/shop.pem": str(folder / "shop.pem"),
        },
    )
    (folder / "haproxy.cfg").write_text(text)
    return [system.program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


class Proxy:
    """A proxy that runs. Clients connect from VISITOR, by TLS, and check its certificate."""

    def __init__(self, folder, port):
        self.port = port
        self.tls = ssl.create_default_context(cafile=folder / "ca.pem")

    def connect(self):
        """Return a connection for requests."""
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=30, source_address=(VISITOR, 0), context=self.tls
        )

    def ask(self, path, method="GET", body=None, **headers):
        """Return the status, the headers and the body of an answer; the headers as keywords."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given["Content-Type"] = "application/json"
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def raw(self, data):
        """Send bytes; return what comes."""
        with (
            socket.create_connection(("localhost", self.port), timeout=30) as plain,
            self.tls.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(data)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received


@contextlib.contextmanager
def proxying(name, folder, *hosts):
    """Run a proxy in front of the shops at these ports; give a Proxy."""
    folder.mkdir(exist_ok=True)
    certificates(folder)
    port, log = free_port(), folder / "log"
    words = globals()[name](folder, port, hosts)
    process = subprocess.Popen(words, stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True)
    proxy = Proxy(folder, port)
    try:
        assert eventually(lambda: process.poll() is not None or answers(proxy)), log.read_text()
        assert process.poll() is None, log.read_text()
        yield proxy
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def answers(proxy):
    """Whether it listens."""
    try:
        proxy.ask("/api/health")
    except OSError:
        return False
    return True


@pytest.fixture(params=PROGRAMS)
def name(request):
    """The name of a proxy that is here."""
    if not system.program(request.param):
        pytest.skip(f"needs {request.param}")
    return request.param


@pytest.fixture
def front(name, tmp_path):
    """`front(*ports)`: a Proxy in front of the shops there, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda *ports: stack.enter_context(proxying(name, tmp_path / name, *ports))


@pytest.fixture
def behind(start, accounts, sql):
    """A real shop that trusts a proxy on this machine."""
    return start(
        "--workers", "2", "--threads", "4", DATABASE_URL=as_url(accounts.application), TRUSTED_PROXIES="127.0.0.1"
    )


def failure(answer):
    """Return the code of a failure in its envelope, with all the headers that it has to have."""
    status, headers, body = answer
    told = json.loads(body)
    assert told["success"] is False and headers["Content-Type"] == "application/json", answer
    assert headers["X-Request-ID"] and told["error"]["message"] and isinstance(told["error"]["details"], dict)
    if status == 503:
        assert int(headers["Retry-After"]) > 0
    return told["error"]["code"]


def test_answers_pass_as_the_shop_made_them(front, behind, make):
    proxy, id = front(behind.port), make.product("Lamp", description="bright " * 300)
    path = f"/api/products/{id}"
    asked = {"Accept_Encoding": "gzip", "X_Request_ID": "of-the-client-1", "Origin": "http://localhost:3000"}

    through, direct = proxy.ask(path, **asked), behind.request(path, **asked)
    status, headers, body = through

    assert (status, body) == (200, direct.body)
    own = {name.lower(): value for name, value in direct.headers.items()}
    for name in ("date", "connection", "age", "server"):
        own.pop(name, None)
    assert {name: headers[name] for name in own} == own
    assert own["content-encoding"] == "gzip" and own["x-request-id"] == "of-the-client-1" and own["etag"]
    assert own["access-control-allow-origin"] and headers["Strict-Transport-Security"] == "max-age=31536000"
    assert proxy.ask(path, If_None_Match=headers["ETag"], Accept_Encoding="gzip")[0] == 304
    assert proxy.ask("/api/products/999999999")[0] == 404 and proxy.ask(path, "OPTIONS")[0] == 204
    assert proxy.ask("/")[0] == proxy.ask("/docs")[0] == 200


def test_it_speaks_http_2_and_sends_plain_http_away(front, behind, name, tmp_path):
    proxy = front(behind.port)
    proxy.tls.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", proxy.port), timeout=10) as plain,
        proxy.tls.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"

    page = {"nginx": "bodega.conf", "haproxy": "haproxy.cfg"}[name]
    written = (tmp_path / name / page).read_text()
    port = re.search(r"(?:listen|bind) 127\.0\.0\.1:(\d+);?$", written, re.MULTILINE)[1]
    connection = http.client.HTTPConnection("localhost", int(port), timeout=10)
    connection.request("GET", "/api/health?a=1", headers={"Host": "localhost"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/api/health?a=1")
    connection.close()


def test_the_shop_sees_the_address_of_the_client_whatever_the_client_says(front, behind):
    proxy = front(behind.port)
    account = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    assert proxy.ask("/api/users/register", "POST", account)[0] == 201
    account.pop("email")

    status, _, body = proxy.ask("/api/users/login", "POST", account, X_Forwarded_For="203.0.113.7, 127.0.0.1")
    token = json.loads(body)["data"]["token"]
    _, _, listed = proxy.ask("/api/users/me/sessions", **bearer(token))

    assert status == 200
    assert {row["address"] for row in json.loads(listed)["data"]} == {VISITOR}


def test_bodies_that_are_too_large_are_refused_and_tables_pass_after_a_look_at_the_token(front, behind, sql):
    proxy = front(behind.port)
    large = b'{"username": "' + b"x" * LARGEST_BODY + b'"}'
    assert failure(proxy.ask("/api/users/login", "POST", large, Content_Type="application/json")) == "PAYLOAD_TOO_LARGE"
    just = b'{"username": "a", "password": "b"' + b" " * (LARGEST_BODY - 34) + b"}"
    assert len(just) == LARGEST_BODY
    assert proxy.ask("/api/users/login", "POST", just, Content_Type="application/json")[0] == 401

    keeper = {"username": "keeper", "password": PASSWORD}
    proxy.ask("/api/users/register", "POST", {**keeper, "email": "keeper@example.com"})
    sql("UPDATE users SET role = 'admin'", by_hand=False)
    token = json.loads(proxy.ask("/api/users/login", "POST", keeper)[2])["data"]["token"]
    rows = "".join(f"Lamp {n},{'bright ' * 200},1.50,1\n" for n in range(200))
    table = f"name,description,price,stock_quantity\n{rows}".encode()
    assert len(table) > 3 * LARGEST_BODY
    status, _, body = proxy.ask("/api/products/import", "POST", table, Content_Type="text/csv", **bearer(token))
    assert status == 200, body
    with contextlib.closing(proxy.connect()) as connection:  # refused by its headers, before the body comes
        connection.putrequest("POST", "/api/products/import")
        connection.putheader("Content-Type", "text/csv")
        connection.putheader("Content-Length", str(20 * 1024 * 1024))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 401 and json.loads(answer.read())["error"]["code"] == "AUTHENTICATION_REQUIRED"


def test_what_the_proxy_says_by_itself_has_the_shops_form(front, behind, name):
    proxy = front(behind.port)
    assert failure(proxy.ask("/metrics")) == "NOT_FOUND"
    if name == "nginx":  # HAProxy has a page of its own there, which only a further file replaces
        refuses_what_is_no_request(proxy)

    behind.stop()
    for method in ("GET", "POST", "PUT"):
        answer = proxy.ask("/api/products", method)
        assert (answer[0], failure(answer)) == (503, "SERVICE_UNAVAILABLE")


def refuses_what_is_no_request(proxy):
    """Check what a line that is no header gets."""
    said = proxy.raw(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and json.loads(body)["error"]["code"] == "VALIDATION_ERROR"
    assert json.loads(body)["error"]["details"]["field"] == "request"


def test_no_protocol_is_switched(front, behind):
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}

    status, headers, _ = front(behind.port).ask("/api/health", Sec_WebSocket_Version="13", **asked)

    assert status == 200 and not headers["Upgrade"]


class Broken:
    """A host that is ready, and breaks each connection once it has read another request; `got` counts these."""

    def __init__(self):
        self.got = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # it is closed
            while True:
                threading.Thread(target=self._serve, args=(self._door.accept()[0],), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            while head := connection.recv(65536):
                method, path = head.split(b" ", 2)[:2]
                if path not in (b"/api/ready", b"/api/health"):
                    self.got.append(method.decode())
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        """Listen no more."""
        self._door.close()


def test_only_what_changes_nothing_is_sent_again_to_another_host(front, behind, make):
    """The control is in it: GET meets the broken host, too, and is repeated."""
    id = make.product("Lamp", stock=100)
    with contextlib.closing(Broken()) as broken:
        proxy = front(behind.port, broken.port)
        for method in ("POST", "PUT", "DELETE"):
            broken.got.clear()
            sent = 0
            while not broken.got and sent < 20:
                sent += 1
                path = "/api/cart/items" if method == "POST" else f"/api/cart/items/{id}"
                line = {"product_id": id, "quantity": 1} if method == "POST" else None
                answer = proxy.ask(path, method, line, Session_ID=f"v-{method}-{sent}")
            assert broken.got == [method]
            assert (answer[0], failure(answer)) == (503, "SERVICE_UNAVAILABLE")
            assert behind.request("/api/cart", Session_ID=f"v-{method}-{sent}").json["data"]["items"] == []

        broken.got.clear()
        statuses = []
        # nginx has left the host out: for 5 seconds, and each of its processes by itself.
        assert eventually(lambda: statuses.append(proxy.ask(f"/api/products/{id}")[0]) or broken.got, 30)
        assert set(statuses) == {200} and set(broken.got) == {"GET"}


def test_what_no_host_has_seen_goes_to_another_one(front, behind, make):
    id, nobody = make.product("Lamp", stock=100), free_port()
    proxy = front(behind.port, nobody)

    line = {"product_id": id, "quantity": 1}
    statuses = {proxy.ask("/api/cart/items", "POST", line, Session_ID=f"v-{n}")[0] for n in range(8)}

    assert statuses == {201}


def test_a_restart_behind_it_is_seen_by_nobody(name, tmp_path, accounts, sql, make):
    """The shop is on a socket that stays open, as bodega.socket does; its connections with the proxy are kept ones."""
    id, over, statuses = make.product("Lamp", stock=10_000), threading.Event(), []
    settings = {"DATABASE_URL": as_url(accounts.application), "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMITS": "off"}
    words = ("--workers", "2", "--threads", "4")

    def shop(proxy, number):
        with contextlib.closing(proxy.connect()) as connection:
            while not over.is_set():
                for method, path in (("GET", f"/api/products/{id}"), ("POST", "/api/cart/items")):
                    body = json.dumps({"product_id": id, "quantity": 1}) if method == "POST" else None
                    given = {"Session-ID": f"v-{number}-{len(statuses)}", "Content-Type": "application/json"}
                    connection.request(method, path, body, given)
                    answer = connection.getresponse()
                    answer.read()
                    statuses.append(answer.status)
                time.sleep(0.02)

    with contextlib.closing(Parent(tmp_path)) as parent:
        real = parent.start(*words, **settings)
        with proxying(name, tmp_path / name, parent.port) as proxy, ThreadPoolExecutor(8) as pool:
            shoppers = [pool.submit(shop, proxy, number) for number in range(8)]
            try:
                for _ in range(2):
                    time.sleep(0.5)
                    assert real.stop() == 0
                    real = parent.start(*words, **settings)
                time.sleep(0.5)
            finally:
                over.set()
            for one in shoppers:
                one.result()

    assert set(statuses) == {200, 201} and len(statuses) > 50, statuses


def test_haproxy_leaves_out_the_host_that_cannot_work_and_asks_it_where_there_is_no_other(
    start, behind, tmp_path, make
):
    if not system.program("haproxy"):
        pytest.skip("needs haproxy")
    without = start("--workers", "1", "--threads", "2", DATABASE_URL=as_url(NOWHERE), SECRET_KEY=SECRET)
    with proxying("haproxy", tmp_path / "haproxy", without.port, behind.port) as proxy:
        assert eventually(lambda: {proxy.ask("/api/products")[0] for _ in range(6)} == {200}, 20)
        behind.stop()
        assert eventually(lambda: "database" in json.loads(proxy.ask("/api/products")[2])["error"]["message"], 20)

        assert failure(proxy.ask("/api/products")) == "SERVICE_UNAVAILABLE"
        assert proxy.ask("/api/health")[0] == 200
