"""What a route takes: cerberus schemas that are checked before its handler runs.

A route declares `query=Query(…)`, `body=Body(…)` or `headers=Headers(…)`; its handler gets the checked values as
`query` and `body`, and each header as an argument. Without a declaration a route takes no query parameters.
Rules are cerberus' own, with one addition: `meta: {"issue": "…"}` is the sentence for a field that no rule words.

The length of a text is checked first: normalising a text takes quadratic time, and 62 KB of it would stop a worker.
So every text field has a `maxlength` (or `allowed`); one without stops the start.
"""

import functools
import inspect
import itertools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self
from urllib.parse import parse_qsl

import cerberus
from bottle import Route, request

from core.contract.coercion import coercion_of, to_whole
from core.contract.request_body import LONGEST_ECHO, is_declared, json_of, parsed, raw_of
from core.contract.sentences import sentence, suggestion
from core.errors import UnsupportedMediaType, ValidationError

MOST_UNKNOWN = 10  # unknown fields that an answer lists
NOT_CERBERUS = ("default", "coerce", "each", "fields")  # applied here; cerberus would replace null by the default, too
LONGEST_ID = 20  # characters, with its comma
LONGEST_VALUE = 40  # characters of a number or a boolean, written as text
LONGEST_REMEMBERED = 256  # characters of a query string, or of headers, whose verdict is remembered
CLIENTS = 256  # whose headers are remembered: those who shop now. An id takes 0.5 KB, and 13 µs if it is forgotten


class _Validator(cerberus.Validator):
    """cerberus, without its surprises: `true` is no number, and a decimal is a type."""

    types_mapping = cerberus.Validator.types_mapping | {
        "integer": cerberus.TypeDefinition("integer", (int,), (bool,)),
        "number": cerberus.TypeDefinition("number", (int, float, Decimal), (bool,)),
        "decimal": cerberus.TypeDefinition("decimal", (Decimal,), ()),
        "ids": cerberus.TypeDefinition("ids", (tuple,), ()),
        "amount": cerberus.TypeDefinition("amount", (int, Decimal), (bool,)),  # in JSON; float is what has an exponent
    }

    def _validate_places(self, places: int, field: str, value: Any) -> None:
        """{'type': 'integer', 'min': 0}"""
        if isinstance(value, Decimal):
            _, digits, exponent = value.as_tuple()
            if any(digits[min(0, int(exponent) + places) or len(digits) :]):  # 1.100 has one decimal
                self._error(field, "too many decimals")

    def _validate_min(self, least: Any, field: str, value: Any) -> None:
        """{'nullable': False}"""
        super()._validate_min(_exact(least, value), field, value)

    def _validate_max(self, most: Any, field: str, value: Any) -> None:
        """{'nullable': False}"""
        super()._validate_max(_exact(most, value), field, value)


def _exact(bound: Any, value: Any) -> Any:
    """Return a bound as it is written: the float 99999999.99 is a little less than that."""
    return Decimal(str(bound)) if isinstance(bound, float) and isinstance(value, Decimal) else bound


class Schema:
    """A document's fields and their rules. An object of its own, because Bottle flattens dicts in a route's config."""

    unknown = "Unknown field {field}"
    either: tuple[str, ...] = ()  # fields of which a document has exactly one
    least = 0  # fields that a document has

    def __init__(self, **fields: dict[str, Any]) -> None:
        self.fields = fields
        rules = {name: {r: v for r, v in rules.items() if r not in NOT_CERBERUS} for name, rules in fields.items()}
        self._rules = _Validator(rules).schema  # checked once: cerberus would do it for each document
        self._defaults = {name: rules["default"] for name, rules in fields.items() if "default" in rules}
        self._coercers = {name: rules["coerce"] for name, rules in fields.items() if "coerce" in rules}
        self._longest = {name: _longest(name, rules) for name, rules in fields.items()}
        self._lists: dict[str, Schema] = {name: rules["each"] for name, rules in fields.items() if "each" in rules}
        self._objects: dict[str, Schema] = {
            name: rules["fields"] for name, rules in fields.items() if "fields" in rules
        }

    def check(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document with defaults and coerced values; raise ValidationError for all that is wrong."""
        known, problems = self.examine(document)
        if problems:
            raise ValidationError(*problems)
        return known

    def examine(self, document: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Return the fields that pass, with defaults and coerced values; and the problems: (field, issue)."""
        # Unknown fields are found here: thousands of them would keep cerberus busy for minutes.
        unknown = list(itertools.islice((field for field in document if field not in self.fields), MOST_UNKNOWN))
        known = self._defaults | {field: value for field, value in document.items() if field in self.fields}
        problems = []
        if self.either and sum(field in document for field in self.either) != 1:
            problems.append((self.either[0], f"Send either {' or '.join(self.either)}."))
        if len(document) < self.least:
            problems.append((next(iter(self.fields)), f"Send at least one of {', '.join(self.fields)}."))
        for field, value in known.items():
            if isinstance(value, str) and len(value) > self._longest[field]:
                problems.append((field, sentence(self.fields[field])))
                known[field] = ""  # the text itself is never looked at
        for field in [field for field in known if field in self._coercers]:
            try:
                known[field] = self._coercers[field](known[field])
            except (ValueError, KeyError, ArithmeticError):
                problems.append((field, sentence(self.fields[field])))
        for field in [field for field in known if field in self._lists]:
            known[field], wrong = self._checked_each(field, known[field])
            problems += wrong
        for field in [field for field in known if field in self._objects and isinstance(known[field], dict)]:
            checked, wrong = self._objects[field].examine(known[field])
            known[field] = known[field] if wrong else checked
            problems += [(f"{field}.{name}", issue) for name, issue in wrong]
        validator = _Validator(self._rules)  # a new one each time: a shared one mixes up its callers' errors
        # Without cerberus' own normalising: it copies and checks the rules each time, nine tenths of the whole.
        if validator.validate(known, normalize=False) and not unknown and not problems:
            return known, []
        problems += [self._problem(error) for error in validator._errors] + [self._unknown(field) for field in unknown]
        failed = {re.split(r"[.[]", field)[0] for field, _ in problems}  # items[3].quantity is one of items
        return {field: value for field, value in known.items() if field not in failed}, list(dict.fromkeys(problems))

    def _checked_each(self, field: str, given: Any) -> tuple[Any, list[tuple[str, str]]]:
        """Return a list of objects, checked by the rule `each`, and their problems: ("items[3].quantity", …)."""
        if not isinstance(given, list) or len(given) > self.fields[field]["maxlength"]:
            return given, []  # cerberus says so
        checked, problems = [], []
        for place, document in enumerate(given):
            where = f"{field}[{place}]"
            if not isinstance(document, dict):
                problems.append((where, "Must be an object."))
                continue
            fields, wrong = self._lists[field].examine(document)
            checked.append(fields)
            problems += [(f"{where}.{name}", issue) for name, issue in wrong]
        return (given if problems else checked), problems

    def _unknown(self, field: str) -> tuple[str, str]:
        shown = str(field)[:LONGEST_ECHO] or "(without a name)"
        return shown, self.unknown.format(field=shown) + suggestion(shown, self.fields)

    def _problem(self, error: Any) -> tuple[str, str]:
        field = error.document_path[0]
        if error.code == cerberus.errors.REQUIRED_FIELD.code:
            return field, "Is required."
        return field, sentence(self.fields[field])


class Body(Schema):
    """The fields of a JSON object. An integer may be written as 1.0 (JSON Schema 2020-12, 4.2.3).

    What holds nothing but numbers is remembered by its bytes, as query strings are; nothing else is: passwords.
    """

    required = True

    def __init__(self, **fields: dict[str, Any]) -> None:
        whole = {"coerce": to_whole}
        super().__init__(
            **{n: {**whole, **rules} if rules["type"] == "integer" else rules for n, rules in fields.items()}
        )
        numbers = all(rules["type"] == "integer" for rules in fields.values())
        self._remembered = functools.lru_cache(1024)(self._check_raw) if numbers else None  # not what it refuses

    def with_either(self, *fields: str) -> Self:
        """Return this body, of which a request has exactly one of these fields; the document has a form for each."""
        self.either = fields
        return self

    def read(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Return the checked body of a request."""
        raw = json_of(environ)
        if self._remembered and len(raw) <= LONGEST_REMEMBERED:
            return dict(self._remembered(raw))
        return self._check_raw(raw)

    def examined(self, environ: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Return what `examine` returns of a request's body."""
        return self.examine(parsed(json_of(environ)))

    def _check_raw(self, raw: bytes) -> dict[str, Any]:
        return self.check(parsed(raw))


class Changes(Body):
    """The fields of a change: at least one is sent."""

    least = 1


class OptionalBody(Body):
    """A body that may be left out, and then has no fields: of a DELETE, for example."""

    required = False

    def read(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Return the checked body of a request, or the defaults where there is none."""
        empty = environ.get("CONTENT_LENGTH") in (None, "", "0")
        return self.check({}) if empty else super().read(environ)


class Upload:
    """A body that is no JSON, of at most `largest` bytes: `consumes=Upload(…)`; the handler gets it as `upload`."""

    def __init__(self, media_type: str, largest: int, example: str) -> None:
        self.media_type = media_type
        self.largest = largest
        self.example = example

    def read(self, environ: dict[str, Any]) -> bytes:
        """Return the body; raise UnsupportedMediaType or PayloadTooLarge."""
        if not is_declared(environ, self.media_type):
            raise UnsupportedMediaType(f"Send it in UTF-8, with the header Content-Type: {self.media_type}.")
        return raw_of(environ, self.largest)


class Query(Schema):
    """The parameters of a query string. Types are coerced from text: integer, decimal, boolean, string, ids.

    ids: a tuple of positive numbers, from text like "3,1,2"; of several that are the same the first one counts.
    """

    unknown = "Unknown parameter {field}"

    def __init__(self, **fields: dict[str, Any]) -> None:
        super().__init__(**{name: {**coercion_of(rules), **rules} for name, rules in fields.items()})
        self._remembered = functools.lru_cache(1024)(self._check_text)  # not what it refuses

    def check_text(self, text: str) -> dict[str, Any]:
        """Check a raw query string; refuse unknown and repeated parameters and what is not UTF-8."""
        return dict(self._remembered(text)) if len(text) <= LONGEST_REMEMBERED else self._check_text(text)

    def _check_text(self, text: str) -> dict[str, Any]:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
        except (UnicodeDecodeError, ValueError):
            raise ValidationError(("query", "Must be UTF-8 text of at most 50 parameters.")) from None
        document = dict(pairs)
        if len(document) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)[:LONGEST_ECHO]
            raise ValidationError((twice, f"Must be given once, not {names.count(twice)} times."))
        return self.check(document)


class Headers(Schema):
    """Request headers by their names (`**{"Session-ID": {…}}`); the handler gets each as an argument (session_id)."""

    def __init__(self, **fields: dict[str, Any]) -> None:
        super().__init__(**fields)
        self._keys = ["HTTP_" + name.upper().replace("-", "_") for name in fields]
        self._remembered = functools.lru_cache(CLIENTS)(self._check_values)  # not what it refuses

    def check_environ(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Return the checked headers as arguments."""
        values = tuple(environ.get(key) for key in self._keys)
        short = sum(len(value or "") for value in values) <= LONGEST_REMEMBERED
        return self._remembered(values) if short else self._check_values(values)

    def _check_values(self, values: tuple[str | None, ...]) -> dict[str, Any]:
        given = {name: value for name, value in zip(self.fields, values, strict=True) if value is not None}
        return {name.lower().replace("-", "_"): value for name, value in self.check(given).items()}


class AnyQuery:
    """The query of a page, whose script reads it: any is taken, and none of it looked at."""

    def check_text(self, text: str) -> dict[str, Any]:
        """Take a query string; return no parameters."""
        return {}


NO_QUERY, ANY_QUERY = Query(), AnyQuery()


class Validation:
    """The plugin that checks what a route declares before its handler runs.

    Where the route has `checks`, the problems of a body are passed on to them (core/contract/forms.py).
    """

    name = "validation"
    api = 2

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap every route; a handler gets of query and body what it names."""
        query = route.config.get("query", NO_QUERY)
        body, checks, consumes, headers = map(route.config.get, ("body", "checks", "consumes", "headers"))
        names = inspect.signature(route.callback).parameters

        def validated(**arguments: Any) -> Any:
            environ = request.environ
            if headers:
                arguments.update(headers.check_environ(environ))
            checked = query.check_text(environ.get("QUERY_STRING", ""))
            if "query" in names:
                arguments["query"] = checked
            if body and checks:
                arguments["body"], arguments["problems"] = body.examined(environ)
            elif body:
                arguments["body"] = body.read(environ)
            if consumes:
                arguments["upload"] = consumes.read(environ)
            return callback(**arguments)

        return validated


def _longest(name: str, rules: dict[str, Any]) -> int:
    """Return how many characters a field's text may have; raise LookupError where nothing says so."""
    if rules["type"] == "ids":
        return LONGEST_ID * rules["maxlength"]
    if rules["type"] != "string":
        return LONGEST_VALUE
    if "maxlength" not in rules and "allowed" not in rules:
        raise LookupError(f"{name} is text of any length; say how long it may be: maxlength=…")
    return rules["maxlength"] if "maxlength" in rules else max(map(len, rules["allowed"]))
