"""List every route: method, path, who may use it, what it does."""

import inspect

from core.app import app
from core.cli import say

HELP = "list every route"


def arguments(parser):
    """Declare the options: none."""


def run(options, config, shop):
    """Print the table."""
    rows = [("method", "path", "for", "what it does")]
    for route in sorted(app.routes, key=lambda route: (route.rule, route.method)):
        rows.append(
            (route.method, route.rule, route.config["auth"], (inspect.getdoc(route.callback) or "").split("\n")[0])
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0
