"""requests.http: what it holds, and that every request in it works, from the top to the bottom."""

import contextlib
import http.client
import json
import re
import time

import pytest
from conftest import Answer, as_url, command

from core import openapi, requests_http
from core.app import app
from core.system import ROOT

FILE = ROOT / "requests.http"
REGENERATE = "python3 server.py openapi --http > requests.http"


@pytest.fixture(scope="module")
def document():
    """The API document."""
    return json.loads(openapi.text(app))


def requests(text):
    """Return {name: (method, address, headers, body)} and the variables, as REST Client reads the file."""
    variables = dict(re.findall(r"^@(\w+) = (.*)$", text, re.M))
    found = {}
    for block in re.split(r"^###.*\n", text, flags=re.M):
        lines = [line for line in block.splitlines() if not line.startswith("@")]
        name = next((line.removeprefix("# @name ") for line in lines if line.startswith("# @name ")), None)
        while lines and (lines[0].startswith("#") or not lines[0].strip()):
            lines.pop(0)
        if not lines:
            continue
        assert name not in found
        method, address = lines.pop(0).split(" ", 1)
        end = lines.index("") if "" in lines else len(lines)
        headers = dict(line.split(": ", 1) for line in lines[:end])
        found[name] = method, address, headers, "\n".join(lines[end + 1 :])
    return found, variables


def at(answer, path):
    """Return what a JSONPath of this file's kind ($.data.items[0].id) finds, as REST Client writes it."""
    for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", path.removeprefix("$")):
        answer = answer[name] if name else answer[int(number)]
    return answer if isinstance(answer, str) else json.dumps(answer)


def filled(text, variables, answers):
    """Return a text with its {{…}} replaced; KeyError for what there is not."""

    def value(match):
        name, _, path = match[1].partition(".response.body.")
        if name == "$timestamp":
            return str(int(time.time()))
        return at(answers[name], path) if path else variables[name]

    return re.sub(r"\{\{(.+?)\}\}", value, text)


def send(real, method, path, body, headers):
    """Send a request over a real socket; return its status, its kind and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body.encode() if body else None, headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def test_the_file_is_what_the_document_gives(document):
    assert FILE.read_text(encoding="utf-8") == requests_http.text(document), f"Type: {REGENERATE}"
    assert command("openapi", "--http").stdout == FILE.read_text(encoding="utf-8")


def test_every_operation_of_the_document_is_in_it(document):
    found, _ = requests(FILE.read_text(encoding="utf-8"))

    asked = {name: (method, re.sub(r"\{\{host\}\}|\?.*", "", where)) for name, (method, where, _, _) in found.items()}
    described = {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(asked) == {*described, "administrator"}
    for name, (method, path) in described.items():
        assert asked[name][0] == method
        assert re.fullmatch(re.sub(r"\{\w+\}", r"\\{\\{[^/]+\\}\\}", path), asked[name][1]), name


@pytest.mark.slow
def test_every_request_works_from_the_top_to_the_bottom(document, start, accounts, sql, make):
    make.product("Oak Table", category_id=make.category("Home & Living"))
    real = start("--workers", "1", "--threads", "2", RATE_LIMITS="off", DATABASE_URL=as_url(accounts.application))
    found, variables = requests(FILE.read_text(encoding="utf-8"))
    admin = {"username": variables["admin"], "email": "keeper@shop.example", "password": variables["password"]}
    assert real.request("/api/users/register", "POST", admin).status == 201
    sql("UPDATE users SET role = 'admin'")
    variables["host"] = real.url
    answers, statuses = {}, {}

    for name, (method, address, headers, body) in found.items():
        path = filled(address, variables, answers).removeprefix(real.url)
        sent = {header: filled(value, variables, answers) for header, value in headers.items()}
        answer = send(real, method, path, filled(body, variables, answers), sent)
        statuses[name] = answer.status
        if "json" in answer.headers["Content-Type"]:
            answers[name] = answer.json

    expected = {
        operation["operationId"]: int(min(operation["responses"]))
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert statuses == {**expected, "administrator": 200}, answers
