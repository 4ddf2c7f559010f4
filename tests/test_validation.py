"""What the checks of requests remember, and what they must not."""

import io

import pytest

from core.app import app
from core.errors import ValidationError
from core.validation import LONGEST_REMEMBERED, Body, Headers

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
