"""Print the OpenAPI document of this API."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from core.app import app
from core.cli import say
from core.config import Config
from core.contract import openapi

HELP = "print the OpenAPI 3.1 document"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print it."""
    say(openapi.text(app).decode())
    return 0
