"""Sentences for people whose request breaks a rule."""

import difflib
from collections.abc import Iterable
from typing import Any

from core.contract.request_body import LONGEST_ECHO


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" where one of the known names is close, else "."."""
    close = difflib.get_close_matches(given[:LONGEST_ECHO].lower(), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "."


def sentence(rules: dict[str, Any]) -> str:
    """Say in one sentence what a field must be: "Must be a whole number from 1 to 999."."""
    if "issue" in rules.get("meta", {}):
        return rules["meta"]["issue"]
    if "allowed" in rules:
        return f"Must be one of {', '.join(map(str, rules['allowed']))}."
    least, most = rules.get("min"), rules.get("max")
    shortest, longest = rules.get("minlength", 0), rules.get("maxlength")
    bounds = f" from {least} to {most}" if most is not None else f" of at least {least}" if least is not None else ""
    lengths = f" of {shortest} to {longest} characters" if longest is not None else ""
    return {
        "integer": f"Must be a whole number{bounds}.",
        "number": f"Must be a number{bounds}.",
        "decimal": f"Must be an amount{bounds}, with at most two decimals.",
        "amount": f"Must be a number{bounds}, with at most {rules.get('places')} decimals and no exponent.",
        "boolean": "Must be true or false.",
        "ids": f"Must be 1 to {longest} ids, separated by commas: whole numbers of at least 1.",
        "string": f"Must be text{lengths}.",
    }[rules["type"]]
