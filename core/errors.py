"""The ways in which a request fails: one class for each code of the API contract.

Handlers raise them; core/contract/envelope.py turns them into JSON. A message is a sentence for a person that says what
to do, and never a library's or the database's own words. `details` is what the contract promises for the code.
"""

from typing import Any

from bottle import HTTPError


class ApiError(HTTPError):
    """A failure with an answer for the client: `code`, a message, details and headers of its own."""

    default_status = 500
    code = "INTERNAL_ERROR"
    message = "Something went wrong on our side. Try again; if it lasts, tell us the X-Request-ID."

    def __init__(
        self, message: str | None = None, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(**(headers or {}))
        self.message = message or self.message
        self.details = details or {}


class InternalError(ApiError):
    """Something went wrong on our side; nothing internal is said."""


class ValidationError(ApiError):
    """What was sent breaks a rule. `problems`: [(field, issue), …], at least one, the first shown first."""

    default_status = 400
    code = "VALIDATION_ERROR"

    def __init__(self, *problems: tuple[str, str]) -> None:
        listed = [{"field": field, "issue": issue} for field, issue in problems]
        super().__init__(f"{problems[0][0]}: {problems[0][1]}", {**listed[0], "errors": listed})


class InvalidRows(ValidationError):
    """Rows of a table break rules. `problems`: (row, field, issue) of the first ones; `total`: how many in all."""

    def __init__(self, problems: list[tuple[int, str, str]], total: int) -> None:
        row, field, issue = problems[0]
        super().__init__((field, issue))
        listed = [{"row": row, "field": field, "issue": issue} for row, field, issue in problems]
        more = f" There are {total} problems; details lists {len(listed)} of them." if total > 1 else ""
        self.message = f"row {row}, {field}: {issue}{more} Nothing was stored."
        self.details = {**listed[0], "total": total, "errors": listed}


class MalformedJson(ApiError):
    """The body is not the JSON object that it should be."""

    default_status = 400
    code = "MALFORMED_JSON"


class AuthenticationRequired(ApiError):
    """Nobody is logged in: no token, or one that is not valid."""

    default_status = 401
    code = "AUTHENTICATION_REQUIRED"
    message = "Log in first, and send the token as the header Authorization: Bearer …"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class InvalidCredentials(ApiError):
    """Name and password do not belong together; which of them is wrong is not told."""

    default_status = 401
    code = "INVALID_CREDENTIALS"
    message = "The name or the password is wrong."


class Forbidden(ApiError):
    """Somebody is logged in, and may not do this."""

    default_status = 403
    code = "FORBIDDEN"
    message = "This account may not do this."


class ReauthenticationRequired(ApiError):
    """The login is too old for this, and the password does not stand beside it."""

    default_status = 403
    code = "REAUTHENTICATION_REQUIRED"
    message = "This login is too old for that. Send your password too, as current_password, or log in again first."


class NotFound(ApiError):
    """There is nothing here."""

    default_status = 404
    code = "NOT_FOUND"
    message = "There is nothing at this address."


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    default_status = 405
    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: list[str]) -> None:
        listed = ", ".join(allowed)
        super().__init__(f"{method} does not work here; these methods do: {listed}.", headers={"Allow": listed})


class Conflict(ApiError):
    """The request does not fit the present state."""

    default_status = 409
    code = "CONFLICT"
    message = "This clashes with something that is there already."


class Taken(Conflict):
    """What only one may have is another's. `others`: further classes of this kind, for the same form."""

    field: str
    issue: str

    def __init__(self, *others: "type[Taken]") -> None:
        listed = [{"field": taken.field, "issue": taken.issue} for taken in (type(self), *others)]
        super().__init__(f"{self.field}: {self.issue}", {**listed[0], "errors": listed})


class DuplicateUsername(Taken):
    """The username is taken."""

    code = "DUPLICATE_USERNAME"
    field = "username"
    issue = "Is taken. Choose another one."


class DuplicateEmail(Taken):
    """The e-mail address belongs to another account."""

    code = "DUPLICATE_EMAIL"
    field = "email"
    issue = "Belongs to an account already. Log in with it, or choose another one."


class DuplicateName(Taken):
    """The name is another category's."""

    field = "name"
    issue = "Is the name of another category. Choose another one."


class InsufficientStock(ApiError):
    """More was asked for than there is.

    `available`: the quantity that this very request could have had. `in_cart`: how many the cart holds; `held`: whether
    they count on top of what was asked for. `field`: what asked for too many.
    """

    default_status = 409
    code = "INSUFFICIENT_STOCK"

    def __init__(
        self, in_stock: int, available: int, in_cart: int | None = None, *, held: bool = False, field: str = "quantity"
    ) -> None:
        issue = self.sentence(in_stock, in_cart or 0 if held else 0)
        details = {"field": field, "issue": issue, "in_stock": in_stock, "available": available}
        super().__init__(issue, details if in_cart is None else {**details, "in_cart": in_cart})

    @staticmethod
    def sentence(in_stock: int, in_cart: int = 0) -> str:
        """Return what is told to a shopper. `in_cart`: how many count because the cart holds them already."""
        held = f", and the cart holds {in_cart} already" if in_cart else ""
        return f"Only {in_stock} in stock{held}." if in_stock else "Sold out."


class ProductWithdrawn(ApiError):
    """The product is in the cart, and is no longer sold."""

    default_status = 409
    code = "PRODUCT_WITHDRAWN"
    message = "This product is no longer sold. Remove it from the cart."


class CartFull(ApiError):
    """The cart has as many lines as it may have."""

    default_status = 409
    code = "CART_FULL"
    message = "The cart is full. Remove a line first."


class CartEmpty(ApiError):
    """There is nothing in the cart that could be ordered."""

    default_status = 409
    code = "CART_EMPTY"
    message = "The cart is empty. Put something into it first."


class CartChanged(ApiError):
    """The cart is not what the customer has agreed to any more. `cart`: as it is now."""

    default_status = 409
    code = "CART_CHANGED"
    message = "The cart is not what you saw: look at it again, then order at its present total."

    def __init__(self, cart: dict[str, Any]) -> None:
        super().__init__(details={"cart": cart})


class OrderState(ApiError):
    """The order is in a state that does not allow this. `order`: its status and payment_status are told."""

    default_status = 409
    code = "ORDER_STATE"

    def __init__(self, message: str, order: dict[str, Any]) -> None:
        super().__init__(message, {name: order[name] for name in ("status", "payment_status")})


class PaymentDeclined(ApiError):
    """The provider says that this payment will not be made."""

    default_status = 402
    code = "PAYMENT_DECLINED"
    message = "The payment was declined. Try another way to pay."


class ItemsRefused(ApiError):
    """Some items of a batch cannot be had; nothing was changed. It takes code and status of the first of them.

    `refusals`: (where: "items[3]", the error of the item), in the order of the batch.
    """

    default_status = 409
    code = "CONFLICT"

    def __init__(self, refusals: list[tuple[str, ApiError]]) -> None:
        listed = [
            {**error.details, "field": where, "code": error.code, "issue": error.message} for where, error in refusals
        ]
        super().__init__(f"{listed[0]['field']}: {listed[0]['issue']}", {**listed[0], "errors": listed})
        self.code, self.status = listed[0]["code"], refusals[0][1].status_code


class PreconditionFailed(ApiError):
    """It is not what If-Match says any more: somebody was faster (RFC 9110, 13.1.1)."""

    default_status = 412
    code = "PRECONDITION_FAILED"
    message = "This has been changed since you read it. Read it again, and send the change with its new ETag."


class IdempotencyKeyRequired(ApiError):
    """This request must not be sent without a key: sent twice, it would have its effect twice."""

    default_status = 400
    code = "IDEMPOTENCY_KEY_REQUIRED"
    message = "Send an Idempotency-Key: a new UUID, and the same one when you repeat this request."


class IdempotencyKeyReused(ApiError):
    """The Idempotency-Key belongs to another request (draft-ietf-httpapi-idempotency-key-header, 2.7)."""

    default_status = 422
    code = "IDEMPOTENCY_KEY_REUSED"
    message = "This Idempotency-Key was sent with another request before. Take a new key for each new request."


class InProgress(ApiError):
    """A request with the same Idempotency-Key is still under way."""

    default_status = 409
    code = "IN_PROGRESS"
    message = "The same request is still under way. Wait a moment, then send it again with the same Idempotency-Key."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


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


class RateLimited(ApiError):
    """Too many tries; `Retry-After` says when the next one counts, in seconds.

    `quota`: the RateLimit headers of the policy that refused, where it has a name for clients.
    """

    default_status = 429
    code = "RATE_LIMITED"

    def __init__(self, retry_after: int, quota: list[tuple[str, str]] | None = None) -> None:
        message = f"Too many tries. Wait {retry_after} second(s), then try again."
        super().__init__(message, headers={"Retry-After": str(retry_after)})
        self.quota = quota or []


class ServiceUnavailable(ApiError):
    """We cannot answer now; `Retry-After` says when to try again, in seconds."""

    default_status = 503
    code = "SERVICE_UNAVAILABLE"
    message = "The shop cannot answer just now. Try again in a moment."

    def __init__(self, message: str | None = None, details: dict[str, Any] | None = None, retry_after: int = 1) -> None:
        super().__init__(message, details, {"Retry-After": str(retry_after)})
