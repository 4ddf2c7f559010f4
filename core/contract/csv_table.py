"""Tables that are sent while they are read (CSV, RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def pieces(header: Sequence[str], batches: Iterable[Iterable[Sequence[Any]]]) -> Iterator[bytes]:
    """Yield a table in pieces, one for each batch of its rows, the first with the header. None is an empty cell."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    for rows in batches:
        table.writerows(rows)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
