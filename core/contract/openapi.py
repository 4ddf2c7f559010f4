"""The route table → an OpenAPI 3.1 document. Nothing is written twice: what a route declares is what is described.

Parameters and bodies come from the very schemas that validate; a cerberus rule that has no form in JSON Schema stops
the start, so that the document cannot say less than what is checked.
"""

import functools
import inspect
import sys
from types import ModuleType
from typing import Any

import orjson
from bottle import Bottle, Route

from core.app import PATH_SCHEMAS
from core.contract.json_schema import Parts, body_schema, schema_of
from core.contract.openapi_answers import WILDCARD, responses_of
from core.identity.auth import ADMIN, PUBLIC
from core.json_text import MEDIA_TYPE as JSON

TITLE = "Bodega"
VERSION = "1.0.0"
DESCRIPTION = (
    "An e-commerce API: accounts, catalogue and carts. Every answer is an envelope: `{success, data, message}`, or "
    "`{success, error: {code, message, details}}`. Log in with the operation `login`, and send the token as "
    "`Authorization: Bearer …`."
)


@functools.cache
def text(app: Bottle) -> bytes:
    """Return the document as JSON, indented; made once, when all routes are there."""
    return orjson.dumps(document(app), option=orjson.OPT_INDENT_2)


def document(app: Bottle) -> dict[str, Any]:
    """Return the OpenAPI document of an app's routes, as a dict."""
    parts: Parts = {}
    paths: dict[str, dict[str, Any]] = {}
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


def _module(route: Route) -> ModuleType:
    return sys.modules[route.get_undecorated_callback().__module__]


def _tag(module: ModuleType) -> str:
    """Return a resource's tag: its TAG, or the first part of its file's name. products_csv.py belongs to Products."""
    return getattr(module, "TAG", module.__name__.rpartition(".")[2].partition("_")[0].capitalize())


def _tags(app: Bottle) -> dict[str, str]:
    """Return {tag: the first sentence of its resource's docstring}, in the order of the routes."""
    found: dict[str, str] = {}
    for route in app.routes:
        if not route.config.get("hidden"):
            module = _module(route)
            if _tag(module) not in found or "_" not in module.__name__:  # products.py speaks for products_csv.py too
                found[_tag(module)] = (module.__doc__ or "").split("\n")[0]
    return found


def _operation_id(route: Route, name: str) -> str:
    """Return the handler's name in camel case. The path with more parameters of a handler with two says it has them."""
    twins = [other for other in route.app.routes if other.callback is route.callback and other.method == route.method]
    if route is not min(twins, key=lambda twin: twin.rule.count("<")):
        name += "_by_" + WILDCARD.findall(route.rule)[0][0]
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _operation(route: Route, parts: Parts) -> dict[str, Any]:
    tag = _tag(_module(route))
    callback = route.get_undecorated_callback()
    summary, _, more = (inspect.getdoc(callback) or "").partition("\n")
    name = _operation_id(route, callback.__name__)
    operation: dict[str, Any] = {"operationId": name, "tags": [tag], "summary": summary.rstrip(".")}
    if more.strip():
        operation["description"] = " ".join(more.split())
    if parameters := _parameters(route, parts):
        operation["parameters"] = parameters
    if body := route.config.get("body"):
        component = "".join(word.capitalize() for word in callback.__name__.split("_")) + "Body"
        parts[component] = body_schema(body, parts)
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{component}"}}
        example = {n: r["meta"]["example"] for n, r in body.fields.items() if "example" in r.get("meta", {})}
        if example:
            content["example"] = example
        operation["requestBody"] = {"required": body.required, "content": {JSON: content}}
    elif consumes := route.config.get("consumes"):
        schema = {"type": "string", "examples": [consumes.example]}
        operation["requestBody"] = {"required": True, "content": {consumes.media_type: {"schema": schema}}}
    if route.config["auth"] != PUBLIC:
        operation["security"] = [{"bearer": [ADMIN] if route.config["auth"] == ADMIN else []}]  # a role, OpenAPI 3.1
    operation["responses"] = responses_of(route, parts)
    return operation


def _parameters(route: Route, parts: Parts) -> list[dict[str, Any]]:
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
