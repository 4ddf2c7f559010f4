"""Server-Timing (w3.org/TR/server-timing): where the time of an answer went, in the browser's own tools.

    Server-Timing: total;dur=3.1, sql;desc="products/list_price";dur=1.9, sql;desc="products/count x2";dur=0.6

With SERVER_TIMING=on, for development, as the private database means too: it tells everybody the names of the files of
sql/, and how long they took.
What it costs: 7 µs for an answer with three statements, of the 20 that the shop takes without them; nothing where it is
off. To measure again: the least of many calls of Middleware, with `timing` and a Noting, and without.
"""

from typing import Any

from core.db.measuring import TIMINGS

MOST = 50  # statements of one answer that are named
Headers = list[tuple[str, str]]


def header(environ: dict[str, Any], seconds: float, cache: str) -> tuple[str, str]:
    """Return the header of an answer that took so long until now. `cache`: how it came from memory, or ""."""
    parts = [f"total;dur={seconds * 1000:.2f}"]
    if cache:
        parts.append(f'cache;desc="{cache}"')
    for name, (runs, spent) in list(environ.get(TIMINGS, {}).items())[:MOST]:
        times = f" x{runs}" if runs > 1 else ""
        parts.append(f'sql;desc="{name}{times}";dur={spent / 1e6:.2f}')
    return "Server-Timing", ", ".join(parts)


def allowed(cors: Headers) -> Headers:
    """Return the header that lets pages which may read an answer see its times; none for others."""
    return [("Timing-Allow-Origin", value) for name, value in cors if name == "Access-Control-Allow-Origin"]
