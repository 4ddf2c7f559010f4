"""Whether who runs a statement, by its header's `used by:`, is there: the routes and the commands.

    -- used by: PUT and DELETE /api/products/{id}, POST /api/products/import, server.py seed, the chores

Routes are written as in the API document; a query may follow. What else it says is for readers.
"""

import pkgutil
import re
from collections.abc import Iterable

from bottle import Bottle

import commands
from core.app import METHODS
from core.db.statement import Problem, Statement

METHOD = "|".join(METHODS)
ROUTES = re.compile(rf"((?:{METHOD})(?:(?:, | and )(?:{METHOD}))*) (/[^\s,;?]*)")
COMMAND = re.compile(r"server\.py (\w+)")
OTHERS = re.compile(r"\b(?:every route|the chores)\b|server\.py")


def unknown(statements: Iterable[Statement], bottle: Bottle) -> list[Problem]:
    """Return a Problem for each header that names a route or a command which is not there, or none at all."""
    routes = {f"{route.method} {_shown(route.rule)}" for route in bottle.routes}
    known = {module.name for module in pkgutil.iter_modules(commands.__path__) if "_" not in module.name}
    problems = []
    for statement in statements:
        text = statement.header.used_by
        found = ROUTES.findall(text)
        named = [f"{method} {_shown(path)}" for methods, path in found for method in re.findall(METHOD, methods)]
        missing = [route for route in named if route not in routes]
        missing += [f"server.py {command}" for command in COMMAND.findall(text) if command not in known]
        if missing:
            problems.append(statement.header.problem("used by", f"there is no {', and no '.join(missing)}"))
        elif not named and not OTHERS.search(text):
            what = "it names no route, as GET /api/cart, and no command, as server.py purge"
            problems.append(statement.header.problem("used by", what))
    return problems


def _shown(path: str) -> str:
    """Return a path with {} for each of its parameters: <id:id> in a rule, {id} in the API document."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)
