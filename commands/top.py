"""Show what the running server asks of its database, statement by statement, the heaviest first.

Its figures are of all its processes, since its start and in the last minute (60 to 70 seconds). A time is what the
program waited for an answer, and a share is that of all this time. Of statements that are sent in one text, each has
the time from the answer before it to its own; the first also has the way there and BEGIN. COMMIT stands for itself.
What was answered from memory is no call, and a transaction that ran again has called its statements again. p50 and p95
are a little off, by 13 % at the most. Where the output is no terminal, it is one table, and the command ends.
"""

import contextlib
import json
import os
import select
import shutil
import sys
import termios
import time
import tty
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any

from core.cli import CommandError, say
from core.config import Config
from core.db.statement_totals import Times, Totals, of_servers
from core.setup.embedded_process import shown

HELP = "show the statements that the running server spends its time with, live"
SORTS: dict[str, Callable[[Times], Any]] = {
    "minute": lambda times: (-times.minute_seconds, -times.seconds),
    "time": lambda times: -times.seconds,
    "calls": lambda times: -times.calls,
    "rows": lambda times: -times.rows,
    "errors": lambda times: -times.errors,
    "p50": lambda times: -times.quantile(0.5),
    "p95": lambda times: -times.quantile(0.95),
    "max": lambda times: -times.longest,
    "name": lambda times: times.name,
}
KEYS = {"m": "minute", "t": "time", "c": "calls", "r": "rows", "e": "errors", "5": "p50", "9": "p95", "x": "max"}
KEYS |= {"n": "name"}
HEADING = ["statement", "minute", "calls", "total", "calls", "p50 ms", "p95 ms", "max ms", "rows", "errors"]
ANOTHER_SCREEN, FORMER_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--once", action="store_true", help="print one table, and end")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON, once; shares are 0 to 1")
    parser.add_argument("--sort", choices=SORTS, default="minute", help="what comes first (default: minute)")
    parser.add_argument("--every", type=_seconds, default=2.0, metavar="SECONDS", help="0.1 to 3600 (default: 2)")


def run(options: Namespace, config: Config, shop: Callable[..., Any]) -> int:
    """Print once, or show until q or Ctrl-C; return 0. Raises CommandError where no server runs."""
    if options.json:
        say(json.dumps(as_json(look(config), options.sort), indent=2))
    elif options.once or not sys.stdout.isatty():
        for line in table(look(config), options.sort):
            say(line)
    else:
        _show(config, options.sort, options.every)
    return 0


def look(config: Config) -> Totals:
    """Return the counters of the server that runs with these settings; raise CommandError where there is none."""
    try:
        found = of_servers(config.run_folder) or of_servers(config.data_dir)
    except PermissionError as error:
        raise CommandError(f"{error.filename} is another user's. Type this command as the server's user.") from None
    if found is None:
        raise CommandError(
            f"No server runs with DATA_DIR {shown(config.data_dir)}, or none that can write there. Give this command "
            "the settings of the server: DATA_DIR, and DATABASE_URL where it has one."
        )
    return found


def table(totals: Totals, sort: str) -> list[str]:
    """Return what is shown: lines, the first two of them the heading; statements that ran, in this order."""
    rows = [HEADING]
    whole, recent = _sums(totals)
    for times in _sorted(totals, sort):
        rows.append(
            [
                times.name,
                f"{_part(times.minute_seconds, recent):.1%}",
                str(times.minute_calls),
                f"{_part(times.seconds, whole):.1%}",
                str(times.calls),
                f"{times.quantile(0.5) * 1000:.2f}",
                f"{times.quantile(0.95) * 1000:.2f}",
                f"{times.longest * 1000:.1f}",
                str(times.rows),
                str(times.errors),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    calls, minute_calls = (sum(map(of, totals.statements)) for of in (_calls, _minute_calls))
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(totals.started))
    return [
        f"{calls} calls, {whole:.1f} s of the database since {since}; "
        f"{minute_calls} calls, {recent:.1f} s in the last {totals.minute:.0f} s",
        *lines,
    ]


def as_json(totals: Totals, sort: str) -> dict[str, Any]:
    """Return everything for a program."""
    whole, recent = _sums(totals)
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(totals.started)),
        "seconds": round(totals.seconds, 3),
        "minute_seconds": round(totals.minute, 3),
        "statements": [
            {
                "statement": times.name,
                "calls": times.calls,
                "rows": times.rows,
                "errors": times.errors,
                "ms": round(times.seconds * 1000, 3),
                "share": round(_part(times.seconds, whole), 4),
                "p50_ms": round(times.quantile(0.5) * 1000, 3),
                "p95_ms": round(times.quantile(0.95) * 1000, 3),
                "max_ms": round(times.longest * 1000, 3),
                "minute": {
                    "calls": times.minute_calls,
                    "ms": round(times.minute_seconds * 1000, 3),
                    "share": round(_part(times.minute_seconds, recent), 4),
                },
            }
            for times in _sorted(totals, sort)
        ],
    }


def _sorted(totals: Totals, sort: str) -> list[Times]:
    return sorted((times for times in totals.statements if times.calls), key=SORTS[sort])


def _sums(totals: Totals) -> tuple[float, float]:
    """Return the seconds of all statements, since the start and in the last minute."""
    return sum(times.seconds for times in totals.statements), sum(times.minute_seconds for times in totals.statements)


def _calls(times: Times) -> int:
    return times.calls


def _minute_calls(times: Times) -> int:
    return times.minute_calls


def _part(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise ValueError
    return seconds


def _show(config: Config, sort: str, every: float) -> None:
    """Show the table on the terminal until q or Ctrl-C; a letter changes the order."""
    with _keys() as pressed:
        while True:
            width, height = shutil.get_terminal_size()
            first, *lines = table(look(config), sort)
            keys = "sort by " + " ".join(f"{key}:{name}" for key, name in KEYS.items()) + "  q:quit"
            shown = [first, keys, "", *lines][: height - 1]
            text = "".join(f"{line[:width]}{END_OF_LINE}\n" for line in shown)
            sys.stdout.write(HOME + text + END_OF_SCREEN)
            sys.stdout.flush()
            key = pressed(every)
            if key == "q":
                return
            sort = KEYS.get(key, sort)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Take the terminal's other screen, and give `pressed(seconds)`, which returns a key, or "" where none comes."""

    def pressed(seconds: float) -> str:
        if not sys.stdin.isatty():
            time.sleep(seconds)
            return ""
        ready = select.select([sys.stdin], [], [], seconds)[0]
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if ready else ""

    sys.stdout.write(ANOTHER_SCREEN)
    before = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    try:
        if before:
            tty.setcbreak(sys.stdin)
        yield pressed
    finally:
        if before:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(FORMER_SCREEN)
        sys.stdout.flush()
