"""Hostile requests: whatever is sent, no answer is a 5xx but 503, none of ours is anything else than JSON, and the shop
goes on.

Two senders: schemathesis, which knows the API document, has an administrator's or a customer's token, and follows what
one answer says into the next request (its stateful phase); and bare sockets, with requests that were good before they
were broken. The short form sends 7,000, the long one 40,000. FAULTS_SEED repeats what the long form has printed.
"""

import collections
import itertools
import json
import os
import pathlib
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from helpers import as_url, eventually, servers, workers
from raw_http import connect
from test_openapi import ENDING, fuzz, stocked  # noqa: F401 - a fixture

SILENCE = 0.25  # seconds after which a server is taken to wait for the rest of a request
TOGETHER = 12  # connections
SESSION = b"Session-ID: hostile\r\n"
TABLE = b"name,price,stock_quantity\r\nCoffee,1.00,5\r\nCocoa,2.00,7\r\n"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,use_after_free"
)
NOT_JSON = {"text/html; charset=utf-8", "text/css", "text/javascript", "image/svg+xml", "text/csv; charset=utf-8"}


def post(path, body, more=b"", method=b"POST"):
    """Return a request with a body of JSON."""
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return b"%s %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n%s%s\r\n%s" % (method, path, more, length, body)


def get(path, more=b"", method=b"GET"):
    """Return a request without a body."""
    return b"%s %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n%s\r\n" % (method, path, more)


def good(token):
    """Return requests that are as they should be; of everybody's and, by this token, of an administrator's."""
    bearer = b"Authorization: Bearer " + token.encode() + b"\r\n"
    line = b'{"product_id": 1, "quantity": 2}'
    key = b"Idempotency-Key: 0b7c4f1e-7d57-4d3a-9d25-3b8a0a8f0001\r\n"
    chunks = b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n"
    return [
        get(b"/api/products?search=tea&sort=price&min_price=0.5&page=1&per_page=5"),
        get(b"/api/products/1", b'If-None-Match: "x"\r\nAccept-Encoding: gzip\r\nOrigin: http://front.example\r\n'),
        get(b"/api/products/suggest?q=te", method=b"HEAD"),
        get(b"/api/cart", SESSION),
        get(b"/api/cart/items", b"Origin: http://front.example\r\nAccess-Control-Request-Method: POST\r\n", b"OPTIONS"),
        post(b"/api/cart/items", line, SESSION),
        post(b"/api/cart/items/batch", b'{"items": [%s, %s]}' % (line, line), SESSION),
        post(b"/api/cart/items/1", b'{"quantity": 3}', SESSION, b"PUT"),
        get(b"/api/cart/items/1", SESSION, b"DELETE"),
        b"POST /api/cart/items HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" + SESSION + chunks % (len(line), line),
        post(b"/api/users/login", b'{"username": "somebody", "password": "Correct-Horse-7"}'),
        post(
            b"/api/users/register", b'{"username": "mallory", "email": "m@shop.example", "password": "Right-Horse-8"}'
        ),
        get(b"/api/users/me", bearer),
        get(b"/api/orders?status=placed&per_page=3", bearer),
        post(b"/api/orders", b'{"email": "a@shop.example", "expected_total": 20}', SESSION + key),
        post(b"/api/products", b'{"name": "tea", "price": 1.50, "stock_quantity": 7}', bearer),
        post(b"/api/products/1", b'{"name": "tea", "price": 1.50, "stock_quantity": 7}', bearer, b"PUT"),
        post(b"/api/products/1/stock", b'{"change": -1}', bearer),
        post(b"/api/categories", b'{"name": "hot"}', bearer),
        post(b"/api/webhooks", b'{"url": "https://x.example/y", "topics": ["order.paid"]}', bearer),
        post(b"/api/payments/dummy/webhook", b'{"id": "1", "status": "paid"}', b"Webhook-Signature: v1,x\r\n"),
        b"POST /api/products/import HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: text/csv\r\n"
        + bearer
        + b"Content-Length: %d\r\n\r\n%s" % (len(TABLE), TABLE),
    ]


VALUES = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"%00",
        b"%0d%0a",
        b"%",
        b"%zz",
        b"..%2f..%2f",
        b"../../",
        b"//",
        b"?",
        b"#",
        b"\\",
    ),
    *(
        b"'",
        b'"',
        b"' OR '1'='1",
        b"; DROP TABLE products; --",
        b"%s",
        b"%(id)s",
        b"{}",
        b"${x}",
        b"<script>",
        b"*/ x /*",
    ),
    *(b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", "é".encode(), "١".encode(), b" "),
    *(
        b"-1",
        b"0",
        b"1e999",
        b"NaN",
        b"9" * 400,
        b"0.1" + b"0" * 300,
        b"null",
        b"true",
        b"[]",
        b"[" * 5000,
        b'{"a":' * 900,
    ),
    *(b"&page=", b"&sort=x", b"=", b"&&", b",", b":", b'"id": 1, ', b'"quantity": ', b"x" * 3000, "ü".encode() * 300),
]
LINES = [
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: -5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(b"Content-Encoding: gzip\r\n", b"Content-Type: application/xml\r\n", b"Content-Type: multipart/form-data\r\n"),
    *(b"Range: bytes=0-1\r\n", b"If-Match: *\r\n", b"Cookie: " + b"a=b; " * 900 + b"\r\n", b"X: y\r\n" * 300),
    *(
        b'Forwarded: for="_x"\r\n',
        b"X-Forwarded-For: 1.2.3.4, ::1, x\r\n",
        b"X-Request-ID: a b\r\n",
        b"Upgrade: h2c\r\n",
    ),
    *(b"Authorization: Basic eDp5\r\n", b"Authorization: Bearer\r\n", b"Idempotency-Key: \r\n", b"Session-ID: \r\n"),
]
METHODS = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"get",
    b"PRI",
    b"\0",
]


def broken(requests, draw):
    """Return a good request with one to three things wrong, perhaps with another one behind it."""
    data = draw.choice(requests)
    for _ in range(draw.randint(1, 3)):
        data = draw.choice([inside, inside, inside, inside, framed, renamed, swapped])(data, draw)
    return data + draw.choice(requests) if draw.random() < 0.1 else data


def spoiled(data, draw, others):
    """Return bytes of which a part is one of the others, or another byte, or is gone, or is there many times."""
    at, end = sorted((draw.randint(0, len(data)), draw.randint(0, len(data))))
    end = min(end, at + 20)
    other = draw.choice(
        [draw.choice(others), draw.choice(others), bytes([draw.randrange(256)]), b"", data[at:end] * 20]
    )
    return data[:at] + other + data[end if draw.random() < 0.5 else at :]


def framed(data, draw):
    """Return a request that is wrong anywhere, its form too."""
    return spoiled(data, draw, VALUES + LINES)


def inside(data, draw):
    """Return a request whose form is right, and whose body, query or path is not."""
    head, _, body = data.partition(b"\r\n\r\n")
    method, _, rest = head.partition(b" ")
    target, _, rest = rest.partition(b" ")
    path, mark, query = target.partition(b"?")
    if body and draw.random() < 0.8:
        body = spoiled(body, draw, VALUES)
        rest = re.sub(rb"(?<=Content-Length: )\d+", b"%d" % len(body), rest)
    elif query and draw.random() < 0.8:
        query = quote(spoiled(query, draw, VALUES), safe="&=%+").encode()
    else:
        path = quote(spoiled(path, draw, VALUES), safe="/?%").encode()
    return b" ".join([method, path + mark + query, rest]) + b"\r\n\r\n" + body


def renamed(data, draw):
    """Return a request with another method."""
    return draw.choice(METHODS) + b" " + data.partition(b" ")[2]


def swapped(data, draw):
    """Return a request with two of its lines in each other's place."""
    lines = data.split(b"\r\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def answered(port, data):
    """Send bytes; return all that comes until the server closes, or is silent."""
    received = b""
    with connect(port) as connection:
        connection.settimeout(SILENCE)
        try:
            connection.sendall(data)
            while chunk := connection.recv(65536):
                received += chunk
        except TimeoutError:
            if received or SILENCE >= 5:
                return received
        except ConnectionError:  # it was refused before all had been sent
            return received
    return received


ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n((?:[!-9;-~]+: [^\r\n]*\r\n)*)\r\n")


def answers_in(received):
    """Yield (status, media type, body) of each answer; raise AssertionError where something else stands there."""
    at = 0
    while at < len(received):
        head = ANSWER.match(received, at)
        assert head, received[at : at + 300]
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head[2].splitlines())}
        at = head.end()
        size = int(headers.get(b"content-length", 0))
        if received[at : at + 7] == b"HTTP/1." or head[1][0:1] == b"1" or head[1] == b"304":
            size = 0  # the answer to HEAD
        body, at = received[at : at + size], at + size
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            at = received.index(b"0\r\n\r\n", at) + 5
        yield int(head[1]), headers, body


def trouble_of(received):
    """Return what is wrong with what was answered, or None; and the statuses."""
    statuses = []
    try:
        for status, headers, body in answers_in(received):
            statuses.append(status)
            kind = headers.get(b"content-type", b"").decode()
            if status >= 500 and status != 503:
                return f"{status}: {body[:300]!r}", statuses
            if body and kind == "application/json" and not headers.get(b"content-encoding"):
                if json.loads(body).keys() & {"success", "openapi"} == set():
                    return f"no envelope: {body[:300]!r}", statuses
            elif body and kind != "application/json" and (kind not in NOT_JSON or status >= 400):
                return f"{status} is {kind}: {body[:300]!r}", statuses
    except (AssertionError, ValueError) as error:
        return f"no answer of HTTP: {error}", statuses
    return None, statuses


def worker_of(real):
    """Return the id of the one worker, as a set."""
    assert eventually(lambda: len(workers(real)) == 1)
    return workers(real)


def untroubled(real, before):
    """Require that no worker has died, nothing is a bug, and nothing is left open."""
    assert "Traceback" not in real.log and " a bug in " not in real.log and "crash" not in real.log
    assert set(re.findall(r" status=(5\d\d)", real.log)) <= {"503"}
    assert workers(real) == before
    assert real.request("/api/ready").status == 200
    descriptors = [pathlib.Path(f"/proc/{worker}/fd") for worker in before]
    assert eventually(lambda: all(len(list(folder.iterdir())) < 60 for folder in descriptors))


def troubles(port, requests, count, seed):
    """Break requests and send them; return what is wrong with the answers, with what was sent, and all statuses."""
    draw = random.Random(seed)
    sent = [broken(requests, draw) for _ in range(count)]
    with ThreadPoolExecutor(TOGETHER) as pool:
        judged = list(pool.map(lambda data: trouble_of(answered(port, data)), sent))
    wrong = [(trouble, data[:500]) for (trouble, _), data in zip(judged, sent, strict=True) if trouble]
    return wrong, [statuses for _, statuses in judged]


def test_broken_requests_are_answered_in_the_envelope_or_cut_off(stocked, either, figure):  # noqa: F811
    count, seed = either(6000, 20_000), int(os.environ.get("FAULTS_SEED") or either(1, time.time_ns() % 10**6))
    requests, known = good(stocked.token("admin")), worker_of(stocked)
    intact = [trouble_of(answered(stocked.port, data)) for data in requests]

    wrong, statuses = troubles(stocked.port, requests, count, seed)

    print(f"seed {seed}:", sorted(collections.Counter(itertools.chain(*statuses)).items()))
    figure("broken requests by sockets", count)
    assert [trouble for trouble, _ in intact if trouble] == []
    assert {status for _, statuses in intact for status in statuses} <= {200, 201, 204, 404, 409}  # good ones
    assert wrong[:3] == [], f"seed {seed}: {len(wrong)} answers"
    assert sum(map(bool, statuses)) > count / 2
    untroubled(stocked, known)


def test_a_bug_that_an_odd_query_brings_out_is_found(program_copy, accounts, sql, tmp_path):
    """The control."""
    page = program_copy / "core" / "contract" / "envelope.py"
    bug = "data = callback(**arguments) if '%' not in request.query_string else 1 / 0"
    page.write_text(page.read_text().replace("data = callback(**arguments)", bug))
    with servers(tmp_path, program_copy) as start:
        port = start("--workers", "1", DATABASE_URL=as_url(accounts.application), RATE_LIMITS="off").port

        wrong, _ = troubles(port, good("x" * 43)[:3], 500, 1)

    assert wrong and all(trouble.startswith("500") for trouble, _ in wrong)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "500"),
        (b"HTTP/1.1 502 Oh\r\n\r\n", "502"),
        (b"HTTP/1.1 400 Oh\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>", "400 is text/html"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok", "200 is text/plain"),
        (b"HTTP/1.1 400 Oh\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "no envelope"),
        (b"HTTP/1.1 400 Oh\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{x", "no answer of HTTP"),
        (b"Bad Request", "no answer of HTTP"),
    ],
)
def test_an_answer_that_is_not_as_promised_is_found(answer, trouble):
    """The control of the judge."""
    good = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"success": true}'

    assert trouble_of(good + answer)[0].startswith(trouble)
    assert trouble_of(good + good) == (None, [200, 200])


@pytest.mark.parametrize("role", ["admin", *(["customer"] if os.environ.get("FAULTS") == "long" else [])])
def test_what_follows_from_one_answer_into_the_next_request_breaks_nothing(stocked, role, tmp_path, either, figure):  # noqa: F811
    known, token = worker_of(stocked), stocked.token(role)
    phases, examples = either(("stateful", "25"), ("coverage,fuzzing,stateful", "200"))
    options = ["--phases", phases, "-n", examples, "--checks", CHECKS, "--header", f"Authorization: Bearer {token}"]

    found = fuzz(stocked, tmp_path, *options, *(word for name in ENDING for word in ("--exclude-operation-id", name)))

    figure(f"requests by schemathesis with the token of: {role}", stocked.log.count(" event=request "))
    assert found is None, found
    untroubled(stocked, known)
