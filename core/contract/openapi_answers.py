"""The answers of a route, for the API document: what it returns, and every error that it declares or implies."""

import re
from typing import Any

from bottle import Route

from core import errors
from core.app import clashes_of
from core.contract.json_schema import Parts, example_of, schema_of
from core.contract.shapes import Shape
from core.identity.auth import ADMIN, OWNER, PUBLIC
from core.json_text import MEDIA_TYPE

WILDCARD = re.compile(r"<(\w+):(\w+)>")

FIELD = {"type": "string", "meta": {"example": "quantity"}}
ISSUE = {"type": "string", "meta": {"example": "Must be a whole number from 1 to 999."}}
ROW = {"type": "integer", "required": False, "meta": {"example": 2, "issue": "Where a table was sent."}}
PROBLEM = Shape("Problem", field=FIELD, issue=ISSUE, row=ROW)
TAKEN = Shape(
    "TakenDetails",
    field={"type": "string", "meta": {"example": "username"}},
    issue={"type": "string", "meta": {"example": "Is taken. Choose another one."}},
)
DETAILS = {  # code → what the contract promises of its details
    errors.ValidationError.code: Shape(
        "ValidationDetails",
        field=FIELD,
        issue=ISSUE,
        errors={"type": "list", "items": PROBLEM},
        row=ROW,
        total={"type": "integer", "required": False, "meta": {"example": 1}},
    ),
    errors.InsufficientStock.code: Shape(
        "StockDetails",
        field=FIELD,
        issue={"type": "string", "meta": {"example": "Only 3 in stock."}},
        available={"type": "integer", "meta": {"example": 3}},
    ),
    errors.DuplicateUsername.code: TAKEN,
    errors.DuplicateEmail.code: TAKEN,
}


def failures(route: Route) -> set[type[errors.ApiError]]:
    """Return the error classes that a route may answer with: declared, or implied by what it declares."""
    found = {errors.ValidationError, errors.InternalError, errors.ServiceUnavailable}
    found |= {*route.config.get("raises", ()), *clashes_of(route).values()}
    if route.config.get("body") or route.config.get("consumes"):
        found |= {errors.PayloadTooLarge, errors.UnsupportedMediaType}
    if route.config.get("body"):
        found.add(errors.MalformedJson)
    if route.config["auth"] != PUBLIC:
        found.add(errors.AuthenticationRequired)
    if route.config["auth"] in (OWNER, ADMIN):
        found.add(errors.Forbidden)
    if route.config.get("limit") or route.config.get("budget"):
        found.add(errors.RateLimited)
    if WILDCARD.search(route.rule):
        found.add(errors.NotFound)
    return found


def responses_of(route: Route, parts: Parts) -> dict[str, Any]:
    """Return the responses of an operation, by status."""
    responses = {str(route.config.get("status", 200)): _success(route, parts)}
    if route.config.get("cache"):
        responses["304"] = {
            "description": "Nothing has changed since the ETag in If-None-Match.",
            "headers": _headers(),
        }
    by_status: dict[int, list[type[errors.ApiError]]] = {}
    for failure in failures(route):
        by_status.setdefault(failure.default_status, []).append(failure)
    for status, classes in sorted(by_status.items()):
        responses[str(status)] = _failure(sorted(classes, key=lambda c: c.code), parts)
    return responses


def _headers(*names: str) -> dict[str, Any]:
    about = {
        "X-Request-ID": "What the log calls this request.",
        "ETag": "Changes when the answer does; send it as If-None-Match.",
        "Location": "The address of what was created.",
        "Retry-After": "Seconds to wait.",
    }
    return {name: {"schema": {"type": "string"}, "description": about[name]} for name in ("X-Request-ID", *names)}


def _success(route: Route, parts: Parts) -> dict[str, Any]:
    if media := route.config.get("produces"):  # not in the envelope: a download
        schema = {"type": "object"} if media == MEDIA_TYPE else {"type": "string"}
        headers = _headers(*(("ETag",) if route.config.get("cache") else ()))
        return {"description": route.config["message"], "headers": headers, "content": {media: {"schema": schema}}}
    returns, message = route.config.get("returns"), route.config.get("message", "OK")
    data = schema_of(returns, parts) if returns else {"type": "null"}
    envelope = {
        "type": "object",
        "properties": {"success": {"const": True}, "data": data, "message": {"type": "string"}},
        "required": ["success", "data", "message"],
        "additionalProperties": False,
    }
    example = {"success": True, "data": example_of(returns) if returns else None, "message": message}
    created = ("Location",) if route.config.get("status") == 201 and "id" in getattr(returns, "fields", ()) else ()
    headers = _headers(*created, *(("ETag",) if route.config.get("cache") else ()))
    return {
        "description": message,
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": envelope, "example": example}},
    }


def _failure(classes: list[type[errors.ApiError]], parts: Parts) -> dict[str, Any]:
    """Return the response of one status: one schema for each code, so that a client that has asked for the code knows
    the details."""
    by_code = {c.code: c for c in reversed(classes)}
    names = [_problem(code, parts) for code in sorted(by_code)]
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    examples = {code: {"value": _example(by_code[code])} for code in sorted(by_code)}
    waits = {errors.ServiceUnavailable, errors.RateLimited} & set(classes)
    content = {MEDIA_TYPE: {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}, "examples": examples}}
    about = " ".join(_about(c) for c in classes)
    return {"description": about, "headers": _headers(*(("Retry-After",) if waits else ())), "content": content}


def _problem(code: str, parts: Parts) -> str:
    """Put the envelope of one code into `parts`; return its name."""
    name = "".join(word.capitalize() for word in code.split("_")).removesuffix("Error") + "Error"
    details = schema_of(DETAILS[code], parts) if code in DETAILS else {"type": "object", "additionalProperties": True}
    said = {
        "type": "object",
        "properties": {"code": {"const": code}, "message": {"type": "string"}, "details": details},
        "required": ["code", "message", "details"],
        "additionalProperties": False,
    }
    parts[name] = {
        "type": "object",
        "properties": {"success": {"const": False}, "error": said},
        "required": ["success", "error"],
        "additionalProperties": False,
    }
    return name


def _about(failure: type[errors.ApiError]) -> str:
    """Return the first sentence of what a class says of itself."""
    return (failure.__doc__ or "").split("\n")[0].partition(". ")[0].removesuffix(".") + "."


def _example(failure: type[errors.ApiError]) -> dict[str, Any]:
    details = example_of(DETAILS[failure.code]) if failure.code in DETAILS else {}
    own = "message" in vars(failure) or failure is errors.InternalError
    if failure.code == errors.ValidationError.code:
        message = f"{details['field']}: {details['issue']}"
    else:
        message = failure.message if own else _about(failure)
    return {"success": False, "error": {"code": failure.code, "message": message, "details": details}}
