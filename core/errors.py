"""The ways in which a request fails: one class for each code of the API contract.

Handlers raise them; core/envelope.py turns them into JSON. A message is a sentence for a person that says what
to do, and never a library's or the database's own words. `details` is what the contract promises for the code.
"""

from bottle import HTTPError


class ApiError(HTTPError):
    """A failure that the client is told about: `code`, a message, details and headers of its own."""

    default_status = 500
    code = "INTERNAL_ERROR"
    message = "Something went wrong on our side. Try again; if it lasts, tell us the X-Request-ID."

    def __init__(self, message=None, details=None, headers=None):
        super().__init__(**(headers or {}))
        self.message = message or self.message
        self.details = details or {}


class InternalError(ApiError):
    """A bug of ours; nothing of the inside is told."""


class ValidationError(ApiError):
    """What was sent breaks a rule. `problems`: [(field, issue), …], at least one, the first shown first."""

    default_status = 400
    code = "VALIDATION_ERROR"

    def __init__(self, *problems):
        listed = [{"field": field, "issue": issue} for field, issue in problems]
        super().__init__(f"{problems[0][0]}: {problems[0][1]}", {**listed[0], "errors": listed})


class MalformedJson(ApiError):
    """The body is not the JSON object that it should be."""

    default_status = 400
    code = "MALFORMED_JSON"


class NotFound(ApiError):
    """There is nothing here."""

    default_status = 404
    code = "NOT_FOUND"
    message = "There is nothing at this address."


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    default_status = 405
    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method, allowed):
        listed = ", ".join(allowed)
        super().__init__(f"{method} does not work here; these methods do: {listed}.", headers={"Allow": listed})


class Conflict(ApiError):
    """The request does not fit the present state."""

    default_status = 409
    code = "CONFLICT"
    message = "This clashes with something that is there already."


class InsufficientStock(ApiError):
    """More was asked for than there is. `available`: the units in stock."""

    default_status = 409
    code = "INSUFFICIENT_STOCK"

    def __init__(self, issue, available):
        super().__init__(issue, {"field": "quantity", "issue": issue, "available": available})


class PayloadTooLarge(ApiError):
    """The body is over the limit."""

    default_status = 413
    code = "PAYLOAD_TOO_LARGE"
    message = "The body is too large; at most 64 KiB are taken."


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON."""

    default_status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = "Send the body as JSON, with the header Content-Type: application/json."


class ServiceUnavailable(ApiError):
    """We cannot answer now; `Retry-After` says when to try again, in seconds."""

    default_status = 503
    code = "SERVICE_UNAVAILABLE"
    message = "The shop cannot answer just now. Try again in a moment."

    def __init__(self, message=None, details=None, retry_after=1):
        super().__init__(message, details, {"Retry-After": str(retry_after)})
