"""What the checks of requests remember, and what they must not."""

import gc
import io
import json
import re
import time
import tracemalloc
import unicodedata
from urllib.parse import quote

import pytest

from core.app import app
from core.contract.validation import CLIENTS, LONGEST_REMEMBERED, Body, Headers, Query
from core.errors import ValidationError

NUMBERS = Body(product_id={"type": "integer", "required": True}, quantity={"type": "integer", "default": 1})
TOKEN = Headers(**{"Session-ID": {"type": "string", "maxlength": 1000}})


def posted(raw):
    """Return the environment of a request with this JSON body."""
    return {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(raw)), "wsgi.input": io.BytesIO(raw)}


def test_a_body_of_numbers_is_checked_once_and_each_caller_has_it_for_itself():
    raw = b'{"product_id": 7}'

    first, second = NUMBERS.read(posted(raw)), NUMBERS.read(posted(raw))
    first["product_id"] = "spoilt"

    assert second == NUMBERS.read(posted(raw)) == {"product_id": 7, "quantity": 1}
    assert NUMBERS._remembered.cache_info().hits >= 2


def test_what_is_refused_is_refused_again():
    for _ in range(2):
        with pytest.raises(ValidationError):
            NUMBERS.read(posted(b'{"product_id": "7"}'))


def test_a_long_body_is_not_remembered():
    raw = b'{"product_id": 7' + b" " * LONGEST_REMEMBERED + b"}"
    before = NUMBERS._remembered.cache_info().currsize

    assert NUMBERS.read(posted(raw)) == {"product_id": 7, "quantity": 1}
    assert NUMBERS._remembered.cache_info().currsize == before


def test_no_body_with_text_is_remembered_for_it_may_be_a_password():
    bodies = [route.config["body"] for route in app.routes if route.config.get("body")]

    remembering = [body for body in bodies if body._remembered]

    assert any("password" in body.fields for body in bodies)
    assert all(rules["type"] == "integer" for body in remembering for rules in body.fields.values())
    assert remembering


def test_headers_are_remembered_by_their_values_unless_they_are_long():
    for value in ("a", "b", "a", "x" * (LONGEST_REMEMBERED + 1)):
        assert TOKEN.check_environ({"HTTP_SESSION_ID": value}) == {"session_id": value}
    assert TOKEN.check_environ({}) == {}

    assert TOKEN._remembered.cache_info().currsize == 3


def test_headers_of_many_clients_take_little_memory():
    headers = Headers(**{"Session-ID": {"type": "string", "maxlength": 1000}})
    tracemalloc.start()
    try:
        for number in range(20 * CLIENTS):
            headers.check_environ({"HTTP_SESSION_ID": f"{number:036}"})
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 1000 * CLIENTS


@pytest.mark.parametrize("declared", [Body, Query, Headers])
def test_a_text_whose_length_nothing_bounds_stops_the_start(declared):
    with pytest.raises(LookupError, match="note is text of any length"):
        declared(note={"type": "string", "regex": "a+"})

    declared(note={"type": "string", "maxlength": 5}, kind={"type": "string", "allowed": ["a", "b"]})


def test_a_text_that_is_too_long_meets_no_further_rule():
    schema = Body(note={"type": "string", "maxlength": 5, "regex": r"(a+)+\Z", "required": True})

    began = time.process_time()
    with pytest.raises(ValidationError) as refused:
        schema.check({"note": "a" * 30 + "b"})  # the pattern alone would take a minute

    assert refused.value.details["errors"] == [{"field": "note", "issue": "Must be text of 0 to 5 characters."}]
    assert time.process_time() - began < 5


MARKS = sorted(filter(unicodedata.combining, map(chr, range(0x300, 0x700))), key=unicodedata.combining, reverse=True)
HOSTILE = {  # what takes time by the square, or worse, where it is not bounded
    "marks": "a" + "".join(mark * (30_000 // len(MARKS)) for mark in MARKS) + "@example.com",
    "letters": "Aa1" + "x" * 60_000,
    "digits": "1" * 60_000,
    "blanks": "a" + " " * 60_000,
    "brackets": "[" + "]:1" * 20_000,
}
MOST = 1  # seconds of this process; a login of marks took several
SENT = ("Authorization", "Content-Type", "If-None-Match", "Origin", "X-Forwarded-For", "X-Request-ID")


def hostile_requests(route, text):
    """Yield (method, address, body, headers), each with the text in one place where the route takes one."""
    path = re.sub(r"<\w+:\w+>", "1", route.rule)
    body, query, headers = (route.config.get(kind) for kind in ("body", "query", "headers"))
    fine = dict.fromkeys(headers.fields, "1") if headers else {}
    for name in body.fields if body else ():
        examples = {n: r.get("meta", {}).get("example", "1") for n, r in body.fields.items()}
        needed = {n: example for n, example in examples.items() if body.fields[n].get("required")}
        yield route.method, path, {**needed, name: text}, fine
        yield route.method, path, {**examples, name: text}, fine
    if body:
        yield route.method, path, {text: 1}, fine
    for name in getattr(query, "fields", ()):  # a page of the storefront takes any
        yield route.method, f"{path}?{name}={quote(text)}", None, fine
    yield route.method, f"{path}?{quote(text)}=1", None, fine
    for name in headers.fields if headers else ():
        yield route.method, path, None, fine | {name: text}
    for name in SENT:
        yield route.method, path, None, fine | {name: text}
    for part in re.findall(r"<\w+:\w+>", route.rule):
        yield route.method, re.sub(r"<\w+:\w+>", "1", route.rule.replace(part, quote(text), 1)), None, fine


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_stops_a_worker_wherever_it_stands(client, sql, kind):
    keeper = {"username": "keeper", "email": "keeper@example.com", "password": "Correct-Horse-7"}
    client.post_json("/api/users/register", keeper)
    sql("UPDATE users SET role = 'admin'")
    token = client.post_json("/api/users/login", {"username": "keeper", "password": keeper["password"]})
    client.extra_environ["HTTP_AUTHORIZATION"] = f"Bearer {token.json['data']['token']}"
    text, slow, asked = HOSTILE[kind], [], 0

    for route in [route for route in app.routes if route.rule != "/api/users/logout"]:
        for method, address, body, headers in hostile_requests(route, text):
            sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
            data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
            if data:
                sent["Content-Type"] = "application/json"
            began = time.process_time()
            answer = client.request(address, method=method, headers=sent, body=data)
            spent = time.process_time() - began
            asked += 1
            assert answer.status_int < 500, (method, route.rule, answer.text[:300])
            if spent > MOST:
                slow.append((method, route.rule, list(body or headers), round(spent, 2)))

    assert slow == []
    assert asked > 3 * len(app.routes)


def test_what_excludes_one_another_is_said_beside_all_other_problems():
    rules = {"type": "string", "maxlength": 9}
    body = Body(name=rules, email=rules, count={"type": "integer"}).with_either("name", "email")

    for document in ({"count": "x"}, {"count": "x", "name": "a", "email": "b"}):
        with pytest.raises(ValidationError) as refused:
            body.check(document)
        problems = [(problem["field"], problem["issue"]) for problem in refused.value.details["errors"]]
        assert problems == [("name", "Send either name or email."), ("count", "Must be a whole number.")]
    assert body.check({"email": "b"}) == {"email": "b"}
