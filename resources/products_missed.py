"""What customers look for and the shop does not have: searches without a hit are counted, for a report.

A request only adds to a count in the memory of its worker, in a microsecond. The first one after PAUSE seconds stores
all counts of that worker in one statement: so searches without a hit cost one write in PAUSE seconds at the most,
however many there are, and in a quiet shop each is stored at once. What a worker has not stored when it ends is lost.
An answer from the cache is not counted.

Nothing personal is stored: no account, no address, no time but the day, and no text that may be about a person (an @,
or more than MOST_DIGITS digits). At most MOST_WORDINGS different texts are counted between two writes.
"""

import logging
import threading
import time
import unicodedata
from collections import Counter

from core.db.database import Database, DatabaseError
from core.errors import ApiError
from core.json_text import dump
from resources.products_typed import words_of

PAUSE = 10  # seconds
MOST_WORDINGS = 200
MOST_DIGITS = 6  # more may be a telephone number
LONGEST = 100  # characters, of the column
FAILURES: tuple[type[Exception], ...] = (ApiError, *DatabaseError)

log = logging.getLogger("bodega.search")


class MissedSearches:
    """The counts of one worker, which its threads share."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._next = 0.0

    def note(self, database: Database, text: str) -> None:
        """Count a search that found nothing. Raises nothing: a search does not fail because of this."""
        plain = unicodedata.normalize("NFKC", text)  # an input method may write @ as ＠
        if "@" in plain or sum(character.isdigit() for character in plain) > MOST_DIGITS:
            return
        words = " ".join(words_of(text.casefold()))[:LONGEST]
        now = time.monotonic()
        with self._lock:
            if words in self._counts or len(self._counts) < MOST_WORDINGS:
                self._counts[words] += 1
            if now < self._next:
                return
            self._next = now + self._pause
            counted, self._counts = self._counts, Counter()
        rows = dump(list(counted.items())).decode()
        try:
            database.transaction(lambda db: db.run("missed_searches/add", rows=rows))
        except FAILURES as error:  # a database that only reads, say
            log.warning("%d searches without a hit could not be noted: %s", sum(counted.values()), error)
