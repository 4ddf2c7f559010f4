"""List every route: method, path, who may use it, what it does."""

import inspect
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.app import app
from core.cli import say_table
from core.config import Config

HELP = "list every route"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print the table."""
    rows = [("method", "path", "for", "what it does")]
    for route in sorted(app.routes, key=lambda route: (route.rule, route.method)):
        about = (inspect.getdoc(route.callback) or "").split("\n")[0]
        rows.append((route.method, route.rule, route.config["auth"], about))
    say_table(rows)
    return 0
