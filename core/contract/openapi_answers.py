"""The answers of a route, for the API document: what it returns, and every error that it declares or implies.

`sends=("Location",)` on a route names the headers that its handler sets: those that nothing else declares.
"""

import re
from typing import Any

from bottle import Route

from core import errors
from core.app import clashes_of
from core.contract.json_schema import Parts, example_of, reference, schema_of
from core.contract.shapes import Rules, Shape, field
from core.identity.auth import ADMIN, OWNER, PUBLIC
from core.json_text import MEDIA_TYPE

WILDCARD = re.compile(r"<(\w+):(\w+)>")

Components = dict[str, Parts]  # the sections of a document's components: schemas, responses, parameters, …

FIELD = field("string", "What is wrong: the name of a field, a parameter or a header.", "quantity")
ISSUE = field("string", "A sentence that can be shown beside it.", "Must be a whole number from 1 to 999.")
ROW = field("integer", "The row of the table that was sent, as a spreadsheet counts.", 2, required=False)
PROBLEM = Shape("Problem", field=FIELD, issue=ISSUE, row=ROW)
TAKEN = Shape(
    "TakenDetails",
    field=field("string", "What is taken: username or email.", "username"),
    issue=field("string", "A sentence that can be shown beside it.", "Is taken. Choose another one."),
    errors=field("list", "All that is taken, the first one too.", items=PROBLEM),
)
REFUSED_CODE = errors.InsufficientStock.code
REFUSED = Shape(
    "RefusedItem",
    field=field("string", "Where the item stands.", "items[3]"),
    code=field("string", "What is wrong with it, for a program.", REFUSED_CODE),
    issue=field("string", "A sentence that can be shown beside it.", "Only 3 in stock."),
    in_stock=field("integer", "How many pieces are in stock.", 3, required=False),
    in_cart=field("integer", "How many of them the cart holds already.", 0, required=False),
    available=field("integer", "The quantity that could have been had.", 3, required=False),
)
CART = {"session_id": "c", "version": 5, "currency": "EUR", "items": [], "item_count": 0, "line_count": 0, "total": 0}
DETAILS = {  # code → what the contract promises of its details
    errors.ValidationError.code: Shape(
        "ValidationDetails",
        field=FIELD,
        issue=ISSUE,
        errors=field("list", "All problems, the first one too.", items=PROBLEM),
        row=ROW,
        total=field("integer", "How many problems a table has, where not all are listed.", 1, required=False),
    ),
    errors.InsufficientStock.code: Shape(
        "StockDetails",
        field=FIELD,
        issue=field("string", "A sentence that can be shown beside it.", "Only 3 in stock."),
        in_stock=field("integer", "How many pieces are in stock.", 3),
        in_cart=field("integer", "How many of them the cart holds already.", 0, required=False),
        available=field("integer", "The quantity that this very request could have had.", 3),
        errors=field("list", "Of a batch: each item that cannot be had.", items=REFUSED, required=False),
        code=field("string", "Of a batch: what is wrong with the first of them.", REFUSED_CODE, required=False),
    ),
    errors.DuplicateUsername.code: TAKEN,
    errors.DuplicateEmail.code: TAKEN,
    errors.CartChanged.code: Shape(
        "CartChangedDetails",
        cart={"type": "dict", "refers": "Cart", "meta": {"description": "The cart as it is now.", "example": CART}},
    ),
    errors.OrderState.code: Shape(
        "OrderStateDetails",
        status=field("string", "Where the goods are.", "fulfilled"),
        payment_status=field("string", "Where the money is.", "paid"),
    ),
}

ALWAYS = ("X-Request-ID", "ETag", "Location")  # where the document has them, they are there
HEADERS: Parts = {
    name: {"schema": {"type": "string"}, "description": about, "required": name in ALWAYS}
    for name, about in {
        "X-Request-ID": "What the log calls this request.",
        "ETag": "Changes when what is answered does; send it as If-None-Match, or as If-Match with a change.",
        "Location": "The address of what was created.",
        "Link": 'The address of the next page, as `<…>; rel="next"`; not on the last one.',
        "Idempotent-Replayed": "The word true where it is the first answer, repeated for its Idempotency-Key.",
        "RateLimit": "How many tries are left (r), and the seconds until there are more (t).",
        "RateLimit-Policy": "How many tries there are (q) in how many seconds (w).",
        "Retry-After": "Seconds to wait.",
    }.items()
}


def failures(route: Route) -> set[type[errors.ApiError]]:
    """Return the error classes that a route may answer with: declared, or implied by what it declares."""
    found = {errors.ValidationError, errors.InternalError, errors.ServiceUnavailable}
    found |= {*route.config.get("raises", ()), *clashes_of(route).values()}
    if route.config.get("body") or route.config.get("consumes"):
        found |= {errors.PayloadTooLarge, errors.UnsupportedMediaType}
    if route.config.get("body"):
        found.add(errors.MalformedJson)
    if route.method == "POST":
        found |= {errors.IdempotencyKeyReused, errors.InProgress}
    if route.config.get("requires_key"):
        found.add(errors.IdempotencyKeyRequired)
    if route.config["auth"] != PUBLIC:
        found.add(errors.AuthenticationRequired)
    if route.config["auth"] in (OWNER, ADMIN):
        found.add(errors.Forbidden)
    if route.config.get("limit") or route.config.get("budget"):
        found.add(errors.RateLimited)
    if WILDCARD.search(route.rule):
        found.add(errors.NotFound)
    return found


def responses_of(route: Route, components: Components) -> dict[str, Any]:
    """Return the responses of an operation, by status. Those that say that it failed are shared by all."""
    responses = {str(route.config.get("status", 200)): _success(route, components["schemas"])}
    if route.config.get("cache"):
        responses["304"] = {
            "description": "Nothing has changed since the ETag in If-None-Match.",
            "headers": _headers("ETag"),
        }
    by_status: dict[int, dict[str, type[errors.ApiError]]] = {}
    for failure in failures(route):
        by_status.setdefault(failure.default_status, {})[failure.code] = _owner(failure)
    for status, by_code in sorted(by_status.items()):
        responses[str(status)] = _failure(by_code, components)
    return responses


def _owner(failure: type[errors.ApiError]) -> type[errors.ApiError]:
    """Return the class that a code belongs to: DuplicateName has that of Conflict."""
    parents = [parent for parent in failure.__mro__ if issubclass(parent, errors.ApiError)]
    return [parent for parent in parents[:-1] if parent.code == failure.code][-1]


def _sent(route: Route) -> list[str]:
    """Return the headers of a success: those that the route declares by `sends`, and those that it implies."""
    takes = route.config.get("headers")
    implied = {
        "ETag": route.config.get("cache") or (takes and "If-Match" in takes.fields),
        "Idempotent-Replayed": route.method == "POST",
        "RateLimit": route.config.get("limit"),
        "RateLimit-Policy": route.config.get("limit"),
    }
    return [*dict.fromkeys([*route.config.get("sends", ()), *(name for name, sent in implied.items() if sent)])]


def _headers(*names: str) -> dict[str, Any]:
    return {name: reference("headers", name) for name in ("X-Request-ID", *names)}


def _success(route: Route, schemas: Parts) -> dict[str, Any]:
    headers = _headers(*_sent(route))
    if media := route.config.get("produces"):  # not in the envelope: a download
        schema = {"type": "object"} if media == MEDIA_TYPE else {"type": "string"}
        content: dict[str, Any] = {media: {"schema": schema}}
        return {"description": route.config["message"], "headers": headers, "content": content}
    returns, message = route.config.get("returns"), route.config.get("message", "OK")
    if returns is None:
        raise LookupError(f"{route.method} {route.rule} answers without data; say what is left, by returns=…")
    example = {"success": True, "data": example_of(returns), "message": message}
    content = {MEDIA_TYPE: {"schema": _envelope(returns, schemas), "example": example}}
    if other := route.config.get("also_produces"):  # for those who ask for it
        content[other] = {"schema": {"type": "string"}}
    return {"description": message, "headers": headers, "content": content}


def _envelope(returns: Shape | Rules, schemas: Parts) -> dict[str, Any]:
    """Put the envelope around what is returned into `schemas`: a ProductAnswer, a CategoryListAnswer."""
    name = returns.name if isinstance(returns, Shape) else f"{returns.rules['items'].name}List"
    schemas[f"{name}Answer"] = _object(
        success={"type": "boolean", "const": True, "description": "It was done."},
        data={"description": "What was asked for.", **schema_of(returns, schemas)},
        message={"type": "string", "description": "What was done, as a sentence for a person."},
    )
    return reference("schemas", f"{name}Answer")


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all of these properties, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _failure(by_code: dict[str, type[errors.ApiError]], components: Components) -> dict[str, Any]:
    """Put the response of these codes, which have one status, into the components; return the reference.

    There is one schema for each code, so that a client that has asked for the code knows the details.
    """
    codes = sorted(by_code)
    name = "Or".join(_name(code) for code in codes)
    if name not in components["responses"]:
        problems = [_problem(code, components["schemas"]) for code in codes]
        components["schemas"][f"{name}Failure"] = _object(
            success={"type": "boolean", "const": False, "description": "It was not done."},
            error={"description": "What went wrong.", **(problems[0] if len(problems) == 1 else {"oneOf": problems})},
        )
        waits = {errors.ServiceUnavailable.code, errors.RateLimited.code, errors.InProgress.code} & set(codes)
        components["responses"][name] = {
            "description": " ".join(_about(by_code[code]) for code in codes),
            "headers": _headers(*(("Retry-After",) if waits else ())),
            "content": {
                MEDIA_TYPE: {
                    "schema": reference("schemas", f"{name}Failure"),
                    "examples": {code: {"value": _example(by_code[code])} for code in codes},
                }
            },
        }
    return reference("responses", name)


def _name(code: str) -> str:
    """Return a code as a name of components: NOT_FOUND is NotFound, VALIDATION_ERROR Validation."""
    return "".join(word.capitalize() for word in code.split("_")).removesuffix("Error")


def _problem(code: str, schemas: Parts) -> dict[str, Any]:
    """Put the error of one code into `schemas`: a NotFoundError; return the reference."""
    details = schema_of(DETAILS[code], schemas) if code in DETAILS else {"type": "object", "additionalProperties": True}
    schemas[f"{_name(code)}Error"] = _object(
        code={"type": "string", "const": code, "description": "What went wrong, for a program."},
        message={"type": "string", "description": "What went wrong and what to do, as a sentence for a person."},
        details={"description": "More about it, for a program.", **details},
    )
    return reference("schemas", f"{_name(code)}Error")


def _about(failure: type[errors.ApiError]) -> str:
    """Return the first sentence of what a class says of itself."""
    return (failure.__doc__ or "").split("\n")[0].partition(". ")[0].removesuffix(".") + "."


def _example(failure: type[errors.ApiError]) -> dict[str, Any]:
    details = example_of(DETAILS[failure.code]) if failure.code in DETAILS else {}
    own = "message" in vars(failure) or failure is errors.InternalError
    if failure.code == errors.ValidationError.code:
        message = f"{details['field']}: {details['issue']}"
    else:
        message = failure.message if own else _about(failure)
    return {"success": False, "error": {"code": failure.code, "message": message, "details": details}}
