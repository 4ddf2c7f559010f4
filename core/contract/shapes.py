"""What the data of an answer looks like, for the API document."""

from typing import Any


class Shape:
    """A name, and fields with rules like a schema's: `returns=Shape("Cart", total={"type": "number"})`.

    Further rules: `shape` (another Shape) for a dict, `items` (rules or a Shape) for a list, `nullable`; an example
    stands in `meta: {"example": …}`. A route declares `returns=SHAPE`, or `returns=SHAPE.many` for a list of them.
    """

    def __init__(self, name: str, /, **fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields

    @property
    def many(self) -> "Rules":
        """Return the rules of a list of these."""
        return Rules(type="list", items=self)


class Rules:
    """Rules of one value, in an object of its own: Bottle flattens a dict in a route's config."""

    def __init__(self, **rules: Any) -> None:
        self.rules = rules
