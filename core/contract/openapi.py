"""The route table → an OpenAPI 3.1 document. Nothing is written twice: what a route declares is what is described.

Parameters and bodies come from the very schemas that validate; a cerberus rule that has no form in JSON Schema stops
the start, so that the document cannot say less than what is checked.
"""

import functools
import inspect
import re

import orjson

from core import errors
from core.app import PATH_SCHEMAS
from core.contract.json_schema import body_schema, example_of, schema_of
from core.contract.shapes import Shape
from core.identity.auth import ADMIN, OWNER, PUBLIC
from core.json_text import MEDIA_TYPE as JSON

TITLE = "Bodega"
VERSION = "1.0.0"
DESCRIPTION = (
    "An e-commerce API: accounts, catalogue and carts. Every answer is an envelope: `{success, data, message}`, or "
    "`{success, error: {code, message, details}}`. Log in with the operation `login`, and send the token as "
    "`Authorization: Bearer …`."
)
WILDCARD = re.compile(r"<(\w+):(\w+)>")


@functools.cache
def text(app):
    """Return the document as JSON, indented; made once, when all routes are there."""
    return orjson.dumps(document(app), option=orjson.OPT_INDENT_2)


def document(app):
    """Return the OpenAPI document of an app's routes, as a dict."""
    parts = {}
    paths = {}
    for route in app.routes:
        if route.config.get("hidden"):
            continue
        operation = _operation(route, parts)
        paths.setdefault(WILDCARD.sub(r"{\1}", route.rule), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _tags(app).items()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(parts.items())),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token that the operation login gives.",
                }
            },
        },
    }


def _module(route):
    return inspect.getmodule(route.get_undecorated_callback())


def _tag(module):
    """Return a resource's tag: its TAG, or the first part of its file's name. products_csv.py belongs to Products."""
    return getattr(module, "TAG", module.__name__.rpartition(".")[2].partition("_")[0].capitalize())


def _tags(app):
    """Return {tag: the first sentence of its resource's docstring}, in the order of the routes."""
    found = {}
    for route in app.routes:
        if not route.config.get("hidden"):
            module = _module(route)
            found.setdefault(_tag(module), inspect.getdoc(module).split("\n")[0])
    return found


def _operation_id(route, name):
    """Return the handler's name in camel case. The path with more parameters of a handler with two says it has them."""
    twins = [other for other in route.app.routes if other.callback is route.callback and other.method == route.method]
    if route is not min(twins, key=lambda twin: twin.rule.count("<")):
        name += "_by_" + WILDCARD.findall(route.rule)[0][0]
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _operation(route, parts):
    tag = _tag(_module(route))
    callback = route.get_undecorated_callback()
    summary, _, more = (inspect.getdoc(callback) or "").partition("\n")
    name = _operation_id(route, callback.__name__)
    operation = {"operationId": name, "tags": [tag], "summary": summary.rstrip(".")}
    if more.strip():
        operation["description"] = " ".join(more.split())
    if parameters := _parameters(route, parts):
        operation["parameters"] = parameters
    if body := route.config.get("body"):
        component = "".join(word.capitalize() for word in callback.__name__.split("_")) + "Body"
        parts[component] = body_schema(body, parts)
        content = {"schema": {"$ref": f"#/components/schemas/{component}"}}
        example = {n: r["meta"]["example"] for n, r in body.fields.items() if "example" in r.get("meta", {})}
        if example:
            content["example"] = example
        operation["requestBody"] = {"required": body.required, "content": {JSON: content}}
    elif consumes := route.config.get("consumes"):
        schema = {"type": "string", "examples": [consumes.example]}
        operation["requestBody"] = {"required": True, "content": {consumes.media_type: {"schema": schema}}}
    if route.config["auth"] != PUBLIC:
        operation["security"] = [{"bearer": [ADMIN] if route.config["auth"] == ADMIN else []}]  # a role, OpenAPI 3.1
    operation["responses"] = _responses(route, parts)
    return operation


def _parameters(route, parts):
    found = [
        {"name": name, "in": "path", "required": True, "schema": PATH_SCHEMAS[kind]}
        for name, kind in WILDCARD.findall(route.rule)
    ]
    for where, declared in (("header", route.config.get("headers")), ("query", route.config.get("query"))):
        for name, rules in declared.fields.items() if declared else ():
            schema = schema_of(rules, parts)
            parameter = {"name": name, "in": where, "required": bool(rules.get("required")), "schema": schema}
            if "description" in schema:
                parameter["description"] = schema.pop("description")
            found.append(parameter)
    if route.config.get("cache"):
        known = {"type": "string", "description": "The ETag of what is there already."}
        found.append({"name": "If-None-Match", "in": "header", "required": False, "schema": known})
    return found


def failures(route):
    """Return the error classes that a route may answer with: declared, or implied by what it declares."""
    found = {errors.ValidationError, errors.InternalError, errors.ServiceUnavailable, *route.config.get("raises", ())}
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


def _responses(route, parts):
    responses = {str(route.config.get("status", 200)): _success(route, parts)}
    if route.config.get("cache"):
        responses["304"] = {
            "description": "Nothing has changed since the ETag in If-None-Match.",
            "headers": _headers(),
        }
    by_status = {}
    for failure in failures(route):
        by_status.setdefault(failure.default_status, []).append(failure)
    for status, classes in sorted(by_status.items()):
        responses[str(status)] = _failure(sorted(classes, key=lambda c: c.code), parts)
    return responses


def _headers(*names):
    about = {
        "X-Request-ID": "What the log calls this request.",
        "ETag": "Changes when the answer does; send it as If-None-Match.",
        "Location": "The address of what was created.",
        "Retry-After": "Seconds to wait.",
    }
    return {name: {"schema": {"type": "string"}, "description": about[name]} for name in ("X-Request-ID", *names)}


def _success(route, parts):
    if media := route.config.get("produces"):  # not in the envelope: a download
        schema = {"type": "object"} if media == JSON else {"type": "string"}
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
    return {"description": message, "headers": headers, "content": {JSON: {"schema": envelope, "example": example}}}


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


def _failure(classes, parts):
    """Return the response of one status: one schema for each code, so that a client that has asked for the code knows
    the details."""
    by_code = {c.code: c for c in reversed(classes)}
    names = [_problem(code, parts) for code in sorted(by_code)]
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    examples = {code: {"value": _example(by_code[code])} for code in sorted(by_code)}
    waits = {errors.ServiceUnavailable, errors.RateLimited} & set(classes)
    content = {JSON: {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}, "examples": examples}}
    about = " ".join(_about(c) for c in classes)
    return {"description": about, "headers": _headers(*(("Retry-After",) if waits else ())), "content": content}


def _problem(code, parts):
    """Put the envelope of one code into `parts`; return its name."""
    name = "".join(word.capitalize() for word in code.split("_")).removesuffix("Error") + "Error"
    details = schema_of(DETAILS[code], parts) if code in DETAILS else {"type": "object", "additionalProperties": True}
    told = {
        "type": "object",
        "properties": {"code": {"const": code}, "message": {"type": "string"}, "details": details},
        "required": ["code", "message", "details"],
        "additionalProperties": False,
    }
    parts[name] = {
        "type": "object",
        "properties": {"success": {"const": False}, "error": told},
        "required": ["success", "error"],
        "additionalProperties": False,
    }
    return name


def _about(failure):
    """Return the first sentence of what a class says of itself."""
    return inspect.getdoc(failure).split("\n")[0].partition(". ")[0].removesuffix(".") + "."


def _example(failure):
    details = example_of(DETAILS[failure.code]) if failure.code in DETAILS else {}
    own = "message" in vars(failure) or failure is errors.InternalError
    if failure.code == errors.ValidationError.code:
        message = f"{details['field']}: {details['issue']}"
    else:
        message = failure.message if own else _about(failure)
    return {"success": False, "error": {"code": failure.code, "message": message, "details": details}}
