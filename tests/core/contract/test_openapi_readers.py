"""What the API document says to people and to programs that write clients: descriptions, examples, names, security."""

import json
import re

import pytest
from bottle import Bottle
from jsonschema import Draft202012Validator, FormatChecker

from core.app import app
from core.contract import openapi
from core.contract.shapes import Shape
from core.contract.validation import Headers

FORMATS = FormatChecker()
SENTENCE = re.compile(r"[A-Z`].*[.)]\Z", re.S)


@pytest.fixture(scope="module")
def document():
    """The document, as a client gets it."""
    return json.loads(openapi.text(app))


def operations(document):
    """Yield (operation id, operation)."""
    for path in document["paths"].values():
        for operation in path.values():
            yield operation["operationId"], operation


def parameters(document):
    """Yield (where, parameter) of every operation; those that are shared by their names alone."""
    yield from document["components"]["parameters"].items()
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if "$ref" not in parameter:
                yield f"{name} {parameter['in']} {parameter['name']}", parameter


def properties(found, where):
    """Yield (where, schema) of every field, however deep it stands."""
    if isinstance(found, dict):
        for name, inner in found.get("properties", {}).items():
            yield f"{where}.{name}", inner
    for key, inner in found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ():
        name = where if key in ("properties", "items", "schema") else f"{where}.{key}" if where else key
        yield from properties(inner, name)


def undescribed(named):
    """Return where what is named has no description, or one that is no sentence, or one that is an error message."""
    texts = {where: thing.get("description", "") for where, thing in named}
    return [where for where, text in texts.items() if not SENTENCE.match(text) or text.startswith("Must be ")]


def test_every_operation_has_a_description_beside_its_summary(document):
    assert undescribed(operations(document)) == []
    assert [name for name, operation in operations(document) if not operation["summary"]] == []


def test_every_parameter_of_a_query_a_path_or_a_header_has_a_description(document):
    assert undescribed(parameters(document)) == []


def test_every_field_of_a_request_or_an_answer_has_a_description(document):
    fields = dict(properties(document["components"]["schemas"], "")) | dict(properties(document["paths"], ""))

    assert undescribed(fields.items()) == []
    assert {"Product.price", "RegisterBody.password", "NotFoundError.code"} <= set(fields)


def test_every_tag_header_answer_and_security_scheme_has_a_description(document):
    parts = document["components"]
    answers = [
        (f"{name} {status}", answer) for name, o in operations(document) for status, answer in o["responses"].items()
    ]

    named = [(tag["name"], tag) for tag in document["tags"]]
    named += [*parts["headers"].items(), *parts["securitySchemes"].items(), *parts["responses"].items()]

    assert undescribed(named) == []
    assert undescribed((where, answer) for where, answer in answers if "$ref" not in answer) == []


def test_what_has_no_description_is_named():
    bare = Bottle()

    @bare.get(
        "/api/odd",
        auth="public",
        headers=Headers(Odd={"type": "string", "maxlength": 9}),
        returns=Shape("Odd", x={"type": "integer"}),
    )
    def odd():
        """Show something odd."""

    document = openapi.document(bare)

    assert undescribed(operations(document)) == ["odd"]
    assert undescribed(parameters(document)) == ["Odd"]
    assert undescribed(properties(document["components"]["schemas"], "")) == ["Odd.x"]


# Examples


def examples(found, where):
    """Yield (where, schema, example) for every example of a body, an answer, a parameter or a field."""
    if isinstance(found, dict):
        if "schema" in found and "example" in found:
            yield where, found["schema"], found["example"]
        if "schema" in found:
            yield from (
                (f"{where}.{name}", found["schema"], e["value"]) for name, e in found.get("examples", {}).items()
            )
        elif isinstance(found.get("examples"), list):
            yield from ((where, found, example) for example in found["examples"])
    for key, inner in found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ():
        if key not in ("example", "examples"):
            yield from examples(inner, f"{where}.{key}")


def test_every_example_keeps_to_its_schema_formats_included(document):
    components = {"components": document["components"]}
    wrong, count = {}, 0

    for where, schema, example in examples(document, ""):
        count += 1
        validator = Draft202012Validator(schema | components, format_checker=FORMATS)
        if errors := [error.message for error in validator.iter_errors(example)]:
            wrong[where] = errors

    assert wrong == {}
    assert count > 200
    assert "date-time" in FORMATS.checkers  # else a moment would be any text


def test_bodies_and_answers_and_what_an_address_needs_have_examples(document):
    lacking = [
        where for where, parameter in parameters(document) if parameter["in"] == "path" and "example" not in parameter
    ]
    for name, operation in operations(document):
        contents = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for part, described in contents.items():
            for media, content in described.get("content", {}).items():
                if media == "application/json" and name != "getOpenapiDocument" and "example" not in content:
                    lacking.append(f"{name} {part}")

    assert lacking == []


def test_no_example_fills_in_what_can_be_left_out(document):
    given = dict(parameters(document))

    assert [where for where, parameter in given.items() if "example" in parameter and not parameter["required"]] == []
    assert given["listProducts query search"]["schema"]["examples"] and given["getProduct path id"]["example"]


# Names and security


def test_an_answer_is_one_named_schema_and_holds_data(document):
    schemas, names = document["components"]["schemas"], set()
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if (
                status[0] == "2"
                and "application/json" in answer["content"]
                and operation["operationId"] != "getOpenapiDocument"
            ):
                names.add(answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])

    assert {"ProductAnswer", "CategoryListAnswer", "CartAnswer", "EndedSessionsAnswer"} <= names
    assert all(name.endswith("Answer") for name in names)
    data = {name: schemas[name]["properties"]["data"] for name in names}
    assert [name for name, schema in data.items() if schema.get("type") == "null"] == []


def test_a_failure_is_one_named_schema_for_each_code_which_is_constant(document):
    schemas = document["components"]["schemas"]
    errors = {name: schema for name, schema in schemas.items() if name.endswith("Error")}

    codes = {name: schema["properties"]["code"]["const"] for name, schema in errors.items()}

    assert codes["NotFoundError"] == "NOT_FOUND" and codes["ValidationError"] == "VALIDATION_ERROR"
    assert len(set(codes.values())) == len(codes) > 10
    for _, operation in operations(document):
        failed = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert failed and all(set(answer) == {"$ref"} for answer in failed.values())


def test_a_public_operation_says_that_it_needs_no_token_and_one_that_takes_one_says_both(document):
    security = {name: operation["security"] for name, operation in operations(document)}

    assert security["listProducts"] == security["login"] == security["getShop"] == []
    assert security["getProduct"] == [{}, {"bearer": []}]
    assert security["getOwnAccount"] == [{"bearer": []}]
    assert security["createProduct"] == [{"bearer": []}]
    admin = [
        name for name, operation in operations(document) if "administrators only" in operation.get("description", "")
    ]
    assert "createProduct" in admin and "getAccount" not in admin


def test_authorize_fills_the_session_id_which_is_a_parameter_too(document):
    security = {name: operation["security"] for name, operation in operations(document)}

    assert document["components"]["securitySchemes"]["cart"]["name"] == "Session-ID"
    assert security["getCart"] == [{"cart": []}, {"bearer": [], "cart": []}]
    assert security["getCartBySessionId"] == [{}, {"bearer": []}]
    assert document["components"]["parameters"]["Session-ID"]["required"] is False


def test_a_header_that_is_a_secret_is_a_security_scheme_and_a_parameter_that_is_not_required():
    bare = Bottle()
    rules = {"type": "string", "maxlength": 9, "required": True}
    meta = {"description": "Whose thing it is.", "scheme": "thing"}

    @bare.get(
        "/api/thing", auth="public", headers=Headers(**{"Thing-ID": {**rules, "meta": meta}}), returns=Shape("Thing")
    )
    def get_thing(user):
        """Show a thing."""

    found = openapi.document(bare)

    scheme = {"type": "apiKey", "in": "header", "name": "Thing-ID", "description": "Whose thing it is."}
    assert found["components"]["securitySchemes"]["thing"] == scheme
    assert found["paths"]["/api/thing"]["get"]["security"] == [{"thing": []}, {"thing": [], "bearer": []}]
    assert found["components"]["parameters"]["Thing-ID"]["required"] is False


def test_a_body_that_has_one_of_two_fields_has_a_form_for_each(document):
    schemas = document["components"]["schemas"]

    forms = [schemas[form["$ref"].rpartition("/")[2]] for form in schemas["LoginBody"]["oneOf"]]

    assert [sorted(form["required"]) for form in forms] == [["password", "username"], ["email", "password"]]
    assert all(form["additionalProperties"] is False for form in forms)


def test_an_answer_lists_the_headers_that_it_has(document):
    headers = {
        name: {
            header
            for status, answer in operation["responses"].items()
            if status[0] == "2"
            for header in answer["headers"]
        }
        for name, operation in operations(document)
    }

    assert headers["createProduct"] == {"X-Request-ID", "Location", "ETag", "Idempotent-Replayed"}
    assert headers["listProducts"] == {"X-Request-ID", "Link", "ETag"}
    assert headers["getCart"] == headers["clearCart"] == {"X-Request-ID", "ETag"}
    assert headers["getOwnAccount"] == {"X-Request-ID"}
    assert {"RateLimit", "RateLimit-Policy"} <= headers["register"]
    always = {name for name, header in document["components"]["headers"].items() if header["required"]}
    assert always == {"X-Request-ID", "Location", "ETag"}  # schemathesis misses them where they are not sent
