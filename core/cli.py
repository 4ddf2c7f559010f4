"""The command line: finds the command, reads the settings, and turns what goes wrong into a sentence."""

import argparse
import difflib
import pathlib
import sys

from core import config
from core.db.database import UNFINISHED, DatabaseError, number, refusal
from core.errors import ApiError
from core.setup.system import Stop


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are one sentence on what to do, with exit status 2."""

    def error(self, message):
        """Leave with a sentence."""
        raise Stop(f"{message[:1].upper()}{message[1:]}. Type {self.prog} --help to see what there is.", code=2)


def main(words, commands, shop):
    """Run one command; return the exit status (0, 1 for a failure, 2 for a wrong command line)."""
    settings = None
    try:
        command, options = read(words, commands)
        given = {name: getattr(options, name, None) for name in ("host", "port", "workers", "threads")}
        settings = config.load(**given)

        return commands[command].run(options, settings, shop)
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    except config.Malformed as malformed:
        print(malformed, file=sys.stderr)
        return 2
    except ApiError as error:  # a client would be told no more; an operator is
        known = isinstance(error.__cause__, DatabaseError)
        print(_about_database(settings, error.__cause__) if known else error.message, file=sys.stderr)
        return 1
    except DatabaseError as error:
        print(_about_database(settings, error), file=sys.stderr)
        return 1
    except BrokenPipeError:  # `server.py routes | head`
        sys.stderr.close()
        return 1
    except OSError as error:
        if not settings or settings.database or not _concerns(error, settings.data_dir):
            raise
        print(
            f"DATA_DIR is {str(settings.data_dir)!r}, which cannot be used ({error.strerror}). "
            "Set it to a directory on a disk with room, which this user may write to.",
            file=sys.stderr,
        )
        return 1
    except (KeyboardInterrupt, EOFError):  # EOFError: Ctrl-D at a question
        return 130


def _about_database(settings, error):
    """Return the sentence for a DatabaseError."""
    if number(error) in UNFINISHED:
        return "The tables are not there yet, or not all of them. Type: python3 server.py migrate"
    embedded = config.DatabaseUrl("shop", unix_socket=".data/run/s")
    return refusal(settings.database if settings and settings.database else embedded, error)


def _concerns(error, folder):
    """Whether an OSError is about this folder, what is in it, or what it is in."""
    place = pathlib.Path(error.filename or "nowhere")
    return place.is_relative_to(folder) or folder.is_relative_to(place)


def read(words, commands):
    """Return the command's name and its options; `serve` where no command is named."""
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["serve", *words]
    if not words[0].startswith("-") and words[0] not in commands:
        close = difflib.get_close_matches(words[0], commands, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise Stop(f"There is no command {words[0]!r}.{hint} There are {', '.join(commands)}.", code=2)
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
