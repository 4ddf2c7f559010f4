"""cerberus rules → JSON Schema (2020-12): the same declarations, in the form that the API document needs.

A rule that has no form there raises Unmapped and stops the start; but `places`, which a description has to say: many
validators divide by binary fractions, and `multipleOf: 0.01` refuses 19.99 there.
"""

from typing import Any

from core.contract.shapes import Rules, Shape
from core.contract.validation import Schema

TYPES: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "decimal": {"type": "number"},
    "amount": {"type": "number"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "ids": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
}
KEYWORDS = {
    "min": "minimum",
    "max": "maximum",
    "minlength": "minLength",
    "maxlength": "maxLength",
    "default": "default",
}
ELSEWHERE = {
    "type",
    "required",
    "nullable",
    "meta",
    "coerce",
    "shape",
    "items",
    "allowed",
    "regex",
    "places",
    "each",
    "schema",
    "fields",
    "refers",
}


Parts = dict[str, dict[str, Any]]  # the named schemas of a document


class Unmapped(LookupError):
    """A rule has no form in JSON Schema."""


def schema_of(rules: Any, parts: Parts | None = None) -> dict[str, Any]:
    """Return the JSON Schema of a field's rules. Shapes go into `parts` (name → schema) and are referred to."""
    if isinstance(rules, Shape):
        return _reference(rules, parts)
    if isinstance(rules, Rules):
        rules = rules.rules
    if unknown := set(rules) - set(KEYWORDS) - ELSEWHERE:
        raise Unmapped(
            f"no JSON Schema for the rule(s) {', '.join(sorted(unknown))};"
            " teach core/contract/json_schema.py or do without"
        )
    meta = rules.get("meta", {})
    about = {"description": meta["description"]} if "description" in meta else {}
    if "shape" in rules:
        found = _reference(rules["shape"], parts)
        return ({"anyOf": [found, {"type": "null"}]} if rules.get("nullable") else found) | about
    if "refers" in rules:
        return reference("schemas", rules["refers"]) | about
    if "fields" in rules:
        return body_schema(rules["fields"], parts) | about
    found = TYPES[rules["type"]] | about
    for rule, keyword in KEYWORDS.items():
        if rule in rules:
            found[keyword] = float(rules[rule]) if rule in ("min", "max") and found["type"] == "number" else rules[rule]
    if rules["type"] == "ids":
        found["maxItems"] = found.pop("maxLength")
    if "regex" in rules:
        pattern = rules["regex"].removesuffix(r"\Z")
        found["pattern"] = f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"
    if "allowed" in rules:
        found["enum"] = [*rules["allowed"], *([None] if rules.get("nullable") else [])]
    if "items" in rules:
        found["items"] = schema_of(rules["items"], parts)
    if "each" in rules or "schema" in rules:
        found["items"] = body_schema(rules["each"], parts) if "each" in rules else schema_of(rules["schema"], parts)
        found |= {"minItems": found.pop("minLength"), "maxItems": found.pop("maxLength")}
    if rules.get("nullable"):
        found["type"] = [found["type"], "null"]
    if "example" in meta:
        found["examples"] = [meta["example"]]
    return found


def body_schemas(schema: Schema, parts: Parts | None = None) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of a Body's forms: of each of the fields that exclude one another, or of "" alone."""
    return {name: body_schema(schema, parts, name) for name in schema.either or [""]}


def body_schema(schema: Schema, parts: Parts | None = None, chosen: str = "") -> dict[str, Any]:
    """Return the JSON Schema of a Body: an object, nothing but its fields, those that are required present.

    `chosen`: of the fields that exclude one another, the one that is there.
    """
    fields = {name: rules for name, rules in schema.fields.items() if name == chosen or name not in schema.either}
    required = [name for name, rules in fields.items() if rules.get("required") or name == chosen]
    return {
        "type": "object",
        "properties": {name: schema_of(rules, parts) for name, rules in fields.items()},
        **({"required": required} if required else {}),
        **({"minProperties": schema.least} if schema.least else {}),
        "additionalProperties": False,
    }


def _reference(shape: Shape, parts: Parts | None) -> dict[str, Any]:
    if parts is not None and shape.name not in parts:
        parts[shape.name] = {}  # so that a shape may hold itself
        parts[shape.name] = {
            "type": "object",
            "properties": {name: schema_of(rules, parts) for name, rules in shape.fields.items()},
            "required": shape.required,
            "additionalProperties": False,
        }
    return reference("schemas", shape.name)


def reference(section: str, name: str) -> dict[str, Any]:
    """Return a reference to a component of the document."""
    return {"$ref": f"#/components/{section}/{name}"}


def example_of(rules: Any) -> Any:
    """Return an example of what the rules describe."""
    if isinstance(rules, Rules):
        rules = rules.rules
    if isinstance(rules, Shape):
        return {name: example_of(inner) for name, inner in rules.fields.items() if inner.get("required", True)}
    if "shape" in rules:
        return example_of(rules["shape"])
    if "items" in rules:
        return [example_of(rules["items"])]
    if "each" in rules:
        return [example_of({"fields": rules["each"]})]
    if "fields" in rules:
        return {name: example_of(inner) for name, inner in rules["fields"].fields.items()}
    return rules.get("meta", {}).get("example")
