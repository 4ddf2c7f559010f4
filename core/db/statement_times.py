"""How often each statement ran and how long it took: counted by all processes of a server, see core/metrics.py.

What reads it: core/db/statement_totals.py. What it costs: core/db/measuring.py.
"""

from bisect import bisect_left

from core.metrics import Metric, here

STEPS = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)
BOUNDS = [*(step * 10**power for power in range(2, 9) for step in STEPS), 10**11]  # of the classes: 10 µs to 100 s
ROWS, SPENT, LONGEST, ERRORS, COUNTS = range(5)  # in a record; the counts of the classes are the rest of it
RECORD = COUNTS + len(BOUNDS) + 1


class StatementTimes(Metric):
    """The statements by their names. Times are nanoseconds, as the program waited."""

    kind = "statement"

    def add(self, name: str, spent: int, rows: int, failed: bool) -> None:
        """Count one run of a statement: `spent` in nanoseconds, and the rows that it returned or changed."""
        place = self.places[(name,)]
        words, its_class = here.words, place + COUNTS + bisect_left(BOUNDS, spent)
        words[its_class] += 1
        words[place + SPENT] += spent
        words[place + ROWS] += rows
        if spent > words[place + LONGEST]:  # noqa: PLR1730 - to call max() would let other threads in between
            words[place + LONGEST] = spent
        if failed:
            words[place + ERRORS] += 1


TIMES = StatementTimes(
    "db_client_operation_duration_seconds",
    "Time that the program waited for a statement of sql/, by its file.",
    "db_query_summary",
    size=RECORD,
)
