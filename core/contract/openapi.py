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
from core.contract.idempotency import KEY_SCHEMA
from core.contract.json_schema import Parts, body_schemas, example_of, reference, schema_of
from core.contract.openapi_answers import HEADERS, WILDCARD, Components, responses_of
from core.contract.validation import Body
from core.identity.auth import ADMIN, PUBLIC
from core.json_text import MEDIA_TYPE as JSON

TITLE = "Bodega"
VERSION = "1.0.0"
LICENSE = {"name": "MIT", "identifier": "MIT"}
DESCRIPTION = (
    "An e-commerce API: accounts, a catalogue, and what a visitor puts into a cart. Every answer is an envelope: "
    "`{success, data, message}`, or `{success, error: {code, message, details}}`. The operation `login` gives a token: "
    "send it as `Authorization: Bearer …`. `createCart` gives the id of a cart: send it as `Session-ID`."
)
BEARER = {"type": "http", "scheme": "bearer", "description": "The token that the operation login gives."}
KNOWN = {
    "type": "string",
    "description": "The `ETag` of the answer that is there already: if nothing has changed since, 304 comes back.",
}


@functools.cache
def text(app: Bottle) -> bytes:
    """Return the document as JSON, indented; made once, when all routes are there."""
    return orjson.dumps(document(app), option=orjson.OPT_INDENT_2)


def document(app: Bottle) -> dict[str, Any]:
    """Return the OpenAPI document of an app's routes, as a dict."""
    components: Components = {"schemas": {}, "responses": {}, "parameters": {}, "headers": HEADERS}
    components["securitySchemes"] = {"bearer": BEARER}
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        if route.config.get("hidden"):
            continue
        operation = _operation(route, components)
        paths.setdefault(WILDCARD.sub(r"{\1}", route.rule), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION, "license": LICENSE},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _tags(app).items()],
        "paths": dict(sorted(paths.items())),
        "components": {section: dict(sorted(named.items())) for section, named in components.items() if named},
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


def _operation(route: Route, components: Components) -> dict[str, Any]:
    callback = route.get_undecorated_callback()
    summary, _, more = (inspect.getdoc(callback) or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": _operation_id(route, callback.__name__),
        "tags": [_tag(_module(route))],
        "summary": summary.rstrip("."),
    }
    more += " For administrators only." if route.config["auth"] == ADMIN else ""
    if more.strip():
        operation["description"] = " ".join(more.split())
    if parameters := _parameters(route, components):
        operation["parameters"] = parameters
    if body := route.config.get("body"):
        content: dict[str, Any] = {"schema": _body(callback.__name__, body, components["schemas"])}
        example = {
            name: example_of(rules)
            for name, rules in body.fields.items()
            if ({"each", "fields"} & rules.keys() or "example" in rules.get("meta", {})) and name not in body.either[1:]
        }
        if example:
            content["example"] = example
        operation["requestBody"] = {"required": body.required, "content": {JSON: content}}
    elif consumes := route.config.get("consumes"):
        sent: dict[str, Any] = {"schema": {"type": "string", "examples": [consumes.example]}}
        if consumes.media_type == JSON:  # whatever its sender writes
            sent = {"schema": {"type": "object"}, "example": orjson.loads(consumes.example)}
        operation["requestBody"] = {"required": True, "content": {consumes.media_type: sent}}
    operation["security"] = _security(route, components)
    operation["responses"] = responses_of(route, components)
    return operation


def _body(name: str, body: Body, schemas: Parts) -> dict[str, Any]:
    """Put a handler's body into `schemas`, each of its forms under a name of its own; return the reference."""
    name = "".join(word.capitalize() for word in name.partition("_by_")[0].split("_"))  # twins have one
    forms = body_schemas(body, schemas)
    for chosen, schema in forms.items():
        schemas[f"{name}By{chosen.capitalize()}" if chosen else f"{name}Body"] = schema
    if body.either:
        schemas[f"{name}Body"] = {"oneOf": [reference("schemas", f"{name}By{form.capitalize()}") for form in forms]}
    return reference("schemas", f"{name}Body")


def _security(route: Route, components: Components) -> list[dict[str, list[str]]]:
    """Return what a request shows, one set of the list: nothing, a token, a secret that a header has, or both."""
    headers = route.config.get("headers")
    shown: dict[str, list[str]] = {}
    for name, rules in headers.fields.items() if headers else ():
        if scheme := rules.get("meta", {}).get("scheme"):
            about = {"type": "apiKey", "in": "header", "name": name, "description": rules["meta"]["description"]}
            components["securitySchemes"][scheme] = about
            shown[scheme] = []
    if route.config["auth"] != PUBLIC:
        return [{**shown, "bearer": []}]
    takes_token = "user" in inspect.signature(route.callback).parameters
    if takes_token:
        return [shown, {**shown, "bearer": []}]
    return [shown] if shown else []


def _parameters(route: Route, components: Components) -> list[dict[str, Any]]:
    found = [_parameter(name, "path", PATH_SCHEMAS[kind], True) for name, kind in WILDCARD.findall(route.rule)]
    headers, query = route.config.get("headers"), route.config.get("query")
    named = [
        # What is a security scheme too is not required: a page or a client that is authorized fills it.
        _parameter(name, "header", schema_of(rules), rules.get("required") and "scheme" not in rules.get("meta", {}))
        for name, rules in (headers.fields.items() if headers else ())
    ]
    if route.method == "POST":
        named.append(_parameter("Idempotency-Key", "header", KEY_SCHEMA, route.config.get("requires_key")))
    if route.config.get("cache"):
        named.append(_parameter("If-None-Match", "header", KNOWN, False))
    for parameter in named:
        shared = components["parameters"].setdefault(parameter["name"], parameter)
        found.append(reference("parameters", parameter["name"]) if shared == parameter else parameter)
    for name, rules in query.fields.items() if query else ():
        found.append(_parameter(name, "query", schema_of(rules), rules.get("required")))
    return found


def _parameter(name: str, where: str, schema: dict[str, Any], required: Any) -> dict[str, Any]:
    """Return a parameter, which takes the description of its schema, and its example where it is required.

    Swagger UI fills in the example of a parameter: of a filter, that would be sent unasked.
    """
    parameter = {"name": name, "in": where, "required": bool(required)}
    schema = dict(schema)
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if required and "examples" in schema:
        parameter["example"] = schema.pop("examples")[0]
    if schema.get("type") == "array":
        parameter["explode"] = False  # 1,2 and not twice the parameter
    return {**parameter, "schema": schema}
