"""The command line: finds the command, and ends it with a sentence where it cannot go on.

Only the standard library is used, in words that every Python 3 can read: this page says what is missing.
"""

import argparse
import difflib
import sys


class CommandError(Exception):
    """The command cannot go on; the message is a sentence that says what to do next. Exit status 1, or `code`."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def say(line):
    """Tell the person at the terminal what was asked for, in one line."""
    print(line, flush=True)


def tell(line):
    """Tell the person what is being prepared, beside what a command was asked for: on standard error."""
    print(line, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are one sentence on what to do, with exit status 2."""

    def error(self, message):
        """Leave with a sentence."""
        raise CommandError(f"{message[:1].upper()}{message[1:]}. Type {self.prog} --help to see what there is.", code=2)


def main(words, commands, load, shop):
    """Run one command; return the exit status (0, 1 for a failure, 2 for a wrong command line).

    `load(**options)` reads the settings, and `shop` wires the application; both go to the command.
    """
    try:
        command, options = read(words, commands)
        given = {name: getattr(options, name, None) for name in ("host", "port", "workers", "threads")}
        return commands[command].run(options, load(**given), shop)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.code
    except BrokenPipeError:  # `server.py routes | head`
        sys.stderr.close()
        return 1
    except (KeyboardInterrupt, EOFError):  # EOFError: Ctrl-D at a question
        return 130


def read(words, commands):
    """Return the command's name and its options; `serve` where no command is named."""
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
        module.arguments(
            subparsers.add_parser(name, help=module.HELP, description=module.__doc__, prog=f"{parser.prog} {name}")
        )
    if words[0] == "test":  # pytest's own options are not ours to judge
        return "test", argparse.Namespace(pytest=words[1:])
    return words[0], parser.parse_args(words)
