"""What a form must be beyond the rules of its fields: a route declares `checks=function`.

The function gets what it names, as the handler does; `body` has the fields that passed their rules. It returns its
problems, in the order in which they are told: (field, issue), or a class of errors.Taken. All problems, whoever found
them, leave in one answer, so that a form is corrected once. The handler runs only where there are none.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from bottle import Route

from core.errors import ApiError, Taken, ValidationError

Problem = tuple[str, str] | type[Taken]


class Forms:
    """The plugin that runs a route's checks, in the transaction of its handler."""

    name = "forms"
    api = 2

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Wrap the routes that declare checks; `problems` are those that the validation has found."""
        checks = route.config.get("checks")
        if not checks:
            return callback
        names = inspect.signature(checks).parameters

        def correct(*, problems: Sequence[Problem] = (), **arguments: Any) -> Any:
            if found := [*problems, *checks(**{name: arguments[name] for name in names})]:
                raise refusal(found)
            return callback(**arguments)

        return correct


def refusal(problems: Sequence[Problem]) -> ApiError:
    """Return the error that tells all of these: a 409 where nothing else is wrong than that values are taken."""
    taken = [problem for problem in problems if isinstance(problem, type)]
    if len(taken) == len(problems):
        return taken[0](*taken[1:])
    return ValidationError(*((p.field, p.issue) if isinstance(p, type) else p for p in problems))
