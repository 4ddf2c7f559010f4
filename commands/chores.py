"""Do the chores of the shop: deliver mails and webhooks, let orders expire, go on with payments, and purge.

`serve` has a process of its own for them; this command is for a shop that is served with CHORES=off. Of several, on
whatever hosts, one works and the others wait.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from commands.serve import with_secret
from core import logs, metrics
from core.cli import CommandError
from core.config import Config
from core.db.statement_totals import Sampler
from core.metrics_file import File
from core.serving.middleware import Middleware

HELP = "do the chores, where serve runs with CHORES=off"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options: none."""


def run(options: Namespace, config: Config, shop: Callable[..., Middleware]) -> int:
    """Do them until SIGTERM or Ctrl-C; return 0."""
    if not config.database:
        raise CommandError(
            "The private MariaDB runs with `serve`, which does its chores. Set DATABASE_URL for another."
        )
    logs.configure(config.log_level, config.log_format)
    counts = File(config.run_folder, 1)
    metrics.use(counts)
    try:
        chores = shop(with_secret(config), config.database, counts=counts).chores
        assert chores is not None  # noqa: S101 - the shop has some
        chores.run(look=Sampler(counts).sample)
    finally:
        counts.close()
    return 0
