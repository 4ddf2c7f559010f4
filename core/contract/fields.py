"""Rules of fields that several resources have: a line of text, a longer text, an address, an amount, a count."""

from typing import Any

Rules = dict[str, Any]
LARGEST_COUNT = 2**31 - 1  # INT in MySQL

_CONTROLS = r"\x00-\x1f\x7f-\x9f\ufeff"  # the last: a byte order mark, blank to JavaScript and not to Python
_SOLID = rf"[^\s{_CONTROLS}]"


def line(longest: int, example: str) -> Rules:
    """Return the rules of a text of one line that is not blank."""
    return {
        "type": "string",
        "minlength": 1,
        "maxlength": longest,
        "regex": rf"[^\S{_CONTROLS}]*{_SOLID}[^{_CONTROLS}]*\Z",
        "meta": {
            "issue": f"Must be text of 1 to {longest} characters, on one line and not blank.",
            "example": example,
        },
    }


def text(example: str) -> Rules:
    """Return the rules of a text of several lines, or null: 64,000 bytes at the most, where a TEXT holds 65,535."""
    return {
        "type": "string",
        "nullable": True,
        "maxlength": 16000,
        "regex": r"[^\x00]*\Z",
        "meta": {"issue": "Must be null or text of at most 16000 characters.", "example": example},
    }


def address(longest: int, example: str) -> Rules:
    """Return the rules of a URL or a path, or null. `//host` and `/\\host` are no paths: browsers go to that host."""
    return {
        "type": "string",
        "nullable": True,
        "maxlength": longest,
        "regex": rf"([Hh][Tt][Tt][Pp][Ss]?://[^\s{_CONTROLS}\\/?#]{_SOLID}*|/([^\s{_CONTROLS}\\/]{_SOLID}*)?)\Z",
        "meta": {
            "issue": f"Must be null, an http(s) URL or a path that begins with '/', of at most {longest} characters.",
            "example": example,
        },
    }


SESSION_ID = r"[A-Za-z0-9._~-]{1,255}"  # of a cart; pattern


def session_id(issue: str, description: str, **meta: str) -> Rules:
    """Return the rules of the session id of a cart; `issue` is the sentence for what is none."""
    about = {"issue": issue, "description": description, "example": "my-cart", **meta}
    return {"type": "string", "maxlength": 255, "regex": SESSION_ID + r"\Z", "meta": about}


AMOUNT: Rules = {
    "type": "amount",
    "min": 0.01,
    "max": 99999999.99,
    "places": 2,
    "meta": {"example": 19.9},
}  # DECIMAL(10, 2)
COUNT: Rules = {"type": "integer", "min": 0, "max": LARGEST_COUNT, "meta": {"example": 12}}
ID: Rules = {"type": "integer", "min": 1, "max": LARGEST_COUNT, "meta": {"example": 5}}
FLAG: Rules = {"type": "boolean", "meta": {"example": True}}
