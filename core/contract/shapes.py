"""What the data of an answer looks like, for the API document."""

from typing import Any


class Shape:
    """A name, and fields with rules like a schema's: `returns=Shape("Cart", total={"type": "number"})`.

    Further rules: `shape` (another Shape) for a dict, `items` (rules or a Shape) for a list, `nullable`. What a field
    means to a reader and an example stand in `meta: {"description": "…", "example": …}`; `field` writes such rules. A
    route declares `returns=SHAPE`, or `returns=SHAPE.many` for a list of them.
    """

    def __init__(self, name: str, /, **fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields
        self.required = [name for name, rules in fields.items() if rules.get("required", True)]

    def at_least(self, *names: str) -> "Shape":
        """Return this shape, of which every answer has these fields, and its example all of them."""
        self.required = list(names)
        return self

    @property
    def many(self) -> "Rules":
        """Return the rules of a list of these."""
        return Rules(type="list", items=self)


def field(kind: str, description: str, example: Any = None, **rules: Any) -> dict[str, Any]:
    """Return the rules of a field: its type, what it means to a reader, an example, and further rules.

    The example of a dict or a list is made of those of its parts.
    """
    meta = (
        {"description": description} if kind in ("dict", "list") else {"description": description, "example": example}
    )
    return {"type": kind, **rules, "meta": meta}


def described(rules: dict[str, Any], description: str, **rules_too: Any) -> dict[str, Any]:
    """Return the rules with a description for a reader, and with further rules."""
    return {**rules, **rules_too, "meta": {**rules.get("meta", {}), "description": description}}


class Rules:
    """Rules of one value, in an object of its own: Bottle flattens a dict in a route's config."""

    def __init__(self, **rules: Any) -> None:
        self.rules = rules
