"""The command line: runs one command, and ends it with a sentence where it cannot go on.

This file uses only the standard library and syntax that every Python 3.6+ can read: it runs before packages exist.
"""

import argparse
import difflib
import sys
from typing import Any, Callable, Optional  # noqa: UP035 - the old name, for an old Python

journal: Optional[Callable[[str, bool], None]] = None  # noqa: UP045 - what takes the place of standard error


class CommandError(Exception):
    """The command cannot go on; the message is a sentence that says what to do next. Exit status 1, or `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def say(line: str) -> None:
    """Print one line of a command's result."""
    print(line, flush=True)


def tell(line: str) -> None:
    """Print one line of progress to standard error: a result that was redirected to a file stays clean."""
    _tell(line)


def _tell(text: str, failure: bool = False) -> None:
    if journal:
        journal(text, failure)
    else:
        print(text, file=sys.stderr, flush=True)


def say_table(rows: list) -> None:
    """Print rows of texts in columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())  # noqa: B905


def confirm(question: str, command: str) -> None:
    """Ask at the terminal whether to go on. Raises CommandError for a no, and where nobody can answer.

    `command` runs without asking, for example "seed --yes".
    """
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is here to answer; if you mean it: python3 server.py {command}")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.")


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is a CommandError with exit status 2."""

    def error(self, message: str) -> Any:
        """Raise CommandError."""
        raise CommandError(f"{message[:1].upper()}{message[1:]}. Type {self.prog} --help to see what there is.", code=2)


def main(words: list, commands: dict, load: Callable[..., Any], shop: Callable[..., Any]) -> int:
    """Run one command; return the exit status (0, 1 for a failure, 2 for a wrong command line).

    `commands`: {name: module}. `load(**options)` reads the settings and `shop` wires the application, for the command.
    """
    try:
        command, options = read(words, commands)
        given = {name: getattr(options, name, None) for name in ("host", "port", "workers", "threads")}
        return commands[command].run(options, load(**given), shop)
    except CommandError as error:
        _tell(str(error), failure=True)
        return error.code
    except BrokenPipeError:  # `server.py routes | head`
        sys.stderr.close()
        return 1
    except (KeyboardInterrupt, EOFError):  # EOFError: Ctrl-D at a question
        return 130


def read(words: list, commands: dict) -> tuple:
    """Return (the command's name, its options); the command is `serve` where none is named."""
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["serve", *words]
    if not words[0].startswith("-") and words[0] not in commands:
        close = difflib.get_close_matches(words[0], commands, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise CommandError(f"There is no command {words[0]!r}.{hint} There are {', '.join(commands)}.", code=2)
    parser = Parser(
        prog="python3 server.py",
        description="Bodega, an e-commerce API in Bottle and plain SQL.",
        epilog="Settings come from the environment and .env; .env.example lists them all.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, module in commands.items():
        prog = f"{parser.prog} {name}"
        module.arguments(subparsers.add_parser(name, help=module.HELP, description=module.__doc__, prog=prog))
    if words[0] == "test":  # all its options are pytest's
        return "test", argparse.Namespace(pytest=words[1:])
    options, left = parser.parse_known_args(words)
    if left and (not hasattr(options, "words") or any(word.startswith("-") for word in left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:  # argparse takes words that stand together, and those of `sql` may stand between options
        options.words += left
    return words[0], options
