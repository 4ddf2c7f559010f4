"""How much of a request's time is the database's: seen by looking at its process list, again and again.

Used by `bench`. By Little's law (mean number under way = rate × mean time) the mean number of the shop's statements
under way, divided by the mean number of requests under way, is the share of a request's time that passes in the
database. That needs no instrument in the shop, works on MySQL and MariaDB alike, and no rights beyond the shop's own:
a login always sees its own connections.

A statement whose rows are being sent is done: on a busy machine the shop reads them, and goes on, while the database
still waits for a processor to note that they are gone. Counting those would more than double the share.
"""

import collections
import contextlib
import random
import re
import statistics
import time

from commands.embedded import answers, owner_url
from commands.load import clock
from commands.transaction import in_transaction
from core.database import UNFINISHED, DatabaseError, connect, number, refusal
from core.system import Stop

UNDER_WAY = ("Query", "Execute")  # what the process list calls a connection that runs a statement
SENT = ("Writing to net", "Sending to client")  # its state once the answer leaves: MariaDB's words, MySQL's
EVERY = 0.02  # seconds between two looks, on average


class Gauge:
    """Looks at the process list during a run. `why_not`: a sentence where that is not possible, else None."""

    def __init__(self, connection=None, why_not=None):
        self.why_not = why_not
        self.looks = []  # how many statements were under way, at each look
        self.names = collections.Counter()  # which ones, over all looks: by their files in sql/, or by their first word
        self.statements = 0  # that the whole database ran meanwhile, whoever sent them
        self._connection = connection
        self._chance = random.Random()  # noqa: S311 - looks at even distances could keep step with what they look at

    def watch(self, start, over):
        """Look from `start` (a time of `clock`) until `over()`."""
        if self.why_not:
            return
        try:
            with self._connection.cursor() as cursor:
                self._watch(cursor, start, over)
        except DatabaseError as error:
            self.why_not = f"The database went away meanwhile ({error.args[-1] if error.args else error})"

    def _watch(self, cursor, start, over):
        time.sleep(max(0, start - clock()))
        cursor.execute("SELECT DATABASE() AS name, CONNECTION_ID() AS id")
        own = cursor.fetchone()
        before, others = _statements(cursor), 0
        while not over():
            cursor.execute("SHOW PROCESSLIST")
            seen = [row for row in cursor.fetchall() if row["db"] == own["name"] and row["Id"] != own["id"]]
            others = max(others, len(seen))
            under_way = [_name(row["Info"]) for row in seen if _at_work(row)]
            self.looks.append(len(under_way))
            self.names.update(under_way)
            time.sleep(self._chance.uniform(0, 2 * EVERY))
        self.statements = max(0, _statements(cursor) - before - len(self.looks) - 1)
        if not others:
            self.why_not = "This login to the database does not see the shop's connections; it wants the right PROCESS"

    def share(self, requests):
        """Return (share, margin) for a mean number of requests under way; None where it is not known.

        Both from 0 to 1. The share is within the margin with a certainty of 95 %: 2 standard errors of the mean, but
        never less than 3 looks in which one statement more was under way (the "rule of three").
        """
        if self.why_not or not self.looks or not requests:
            return None
        error = statistics.stdev(self.looks) / len(self.looks) ** 0.5 if len(self.looks) > 1 else requests
        return statistics.mean(self.looks) / requests, max(2 * error, 3 / len(self.looks)) / requests


def _at_work(row):
    return row["Command"] in UNDER_WAY and row["State"] not in SENT


def _name(text):
    """Return which statement this is: the shop puts the name of its file in front."""
    named = re.match(r"/\* (\S+) \*/", text or "")
    return named[1] if named else (text or "unnamed").split()[0].lower()


def _statements(cursor):
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
    return int(cursor.fetchone()["Value"])


@contextlib.contextmanager
def gauge(config, shop, session):
    """Give a Gauge for the database of the settings, if it is the one that the shop at this address uses.

    `session`: a cart that the shop has just put a line into; only its own database knows that.
    """
    with contextlib.ExitStack() as stack:
        connection, why_not = None, None
        try:
            url = stack.enter_context(_database(config))
            if in_transaction(url, lambda db: db.many("cart/show", session_id=session)):
                connection = stack.enter_context(contextlib.closing(connect(url, 5)))
            else:
                why_not = f"The shop at {shop} uses another database than these settings name"
        except DatabaseError as error:
            why_not = refusal(url, error).removesuffix(".")
            if number(error) in UNFINISHED:
                why_not = f"The shop at {shop} uses another database than these settings name"
        except Stop as stop:
            why_not = str(stop).partition("\n")[0].rstrip(".")
        yield Gauge(connection, why_not)


def _database(config):
    """Return what gives the database's login, without starting a database."""
    if not config.database and not answers((config.data_dir / "run" / "s").resolve()):
        raise Stop("DATABASE_URL is not set, and the private MariaDB of this directory does not run")
    return owner_url(config)
