"""Print the OpenAPI document of this API."""

from core.app import app
from core.cli import say
from core.contract import openapi

HELP = "print the OpenAPI 3.1 document"


def arguments(parser):
    """Declare the options: none."""


def run(options, config, shop):
    """Print it."""
    say(openapi.text(app).decode())
    return 0
