"""Delays after failed logins, which grow: so that passwords cannot be guessed, and strangers lock nobody out."""

from typing import NamedTuple

from limits import RateLimitItem
from limits.storage import Storage

from core.errors import RateLimited
from core.identity.counters import Counters
from core.identity.limits import Limit, wait
from core.metrics import Counter

REFUSED = Counter("bodega_logins_refused_total", "Logins that failed, or had to wait after failures.", "reason")

# For one account from one address the delay grows with each window, up to a day. A name and an e-mail address count
# together, as they are one account; only the shortest windows go by what was typed: otherwise a few tries would tell
# that this name and that address are one account.
TYPED_FAILURES = Limit("login-typed", "5/10 seconds; 10/minute")
PAIR_FAILURES = Limit("login-pair", "20/10 minutes; 40/hour; 100/day")
# All addresses together slow an account down too: the more failures in the hour and the day, the fewer tries a minute,
# but never for longer than a minute. An address that has logged in to the account before is exempt. So strangers do
# not lock out its owner, wherever the owner is.
ACCOUNT_FAILURES = Limit("login-account", "20/minute; 100/hour; 300/day")
AFTER_AN_HOUR_OF_IT, AFTER_A_DAY_OF_IT = 5, 2  # tries a minute, when the account's hour, its day is used up
KNOWN = Limit("login-known", "1000000/30 days")  # not a limit: notes who has logged in from where
ADDRESS_FAILURES = Limit("login-address", "50/minute; 200/10 minutes")


class Guess(NamedTuple):
    """A try to log in. `typed`: the name or e-mail address, in one form; `account`: whose it is, or again what was
    typed where there is no such account."""

    typed: str
    account: str
    address: str


class LoginDelays:
    """Counts failed logins; a handler that names `delays` gets it. `enabled`: RATE_LIMITS."""

    def __init__(self, counters: Counters, enabled: bool = True) -> None:
        self._counters = counters
        self._enabled = enabled

    def knows(self, guess: Guess) -> bool:
        """Whether this address has logged in to this account before; True for all where limits are off."""
        return not self._enabled or bool(self._counters.ask(lambda _, notes: notes.get(_known(guess))))

    def before_login(self, guess: Guess) -> None:
        """Raise RateLimited while the delay after failed logins lasts."""
        if not self._enabled:
            return

        def waits(counters: Storage, notes: Storage) -> list[int]:
            minute, hour, day = [(item, key) for limit, item, key in _failures(guess) if limit is ACCOUNT_FAILURES]
            allowed = minute[0].amount
            for (item, key), fewer in ((hour, AFTER_AN_HOUR_OF_IT), (day, AFTER_A_DAY_OF_IT)):
                allowed = fewer if counters.get(key) >= item.amount else allowed
            full = [] if notes.get(_known(guess)) or counters.get(minute[1]) < allowed else [minute]
            for limit, item, key in _failures(guess):
                if limit is not ACCOUNT_FAILURES and counters.get(key) >= item.amount:
                    full.append((item, key))
            return [wait(counters, item, key) for item, key in full]

        if found := self._counters.ask(waits):
            REFUSED.add("delay")
            raise RateLimited(max(found))

    def login_failed(self, guess: Guess) -> None:
        """Count a failed login."""
        REFUSED.add("password")
        if self._enabled:
            failures = _failures(guess)
            self._counters.ask(lambda counters, _: [counters.incr(key, item.get_expiry()) for _, item, key in failures])

    def login_succeeded(self, guess: Guess) -> None:
        """Forget the failures of this account from this address, and note that this address has logged in."""
        if not self._enabled:
            return

        def remember(counters: Storage, notes: Storage) -> None:
            notes.incr(_known(guess), KNOWN.items[0].get_expiry())
            for limit, _, key in _failures(guess):
                if limit in (TYPED_FAILURES, PAIR_FAILURES):
                    counters.clear(key)

        self._counters.ask(remember)


def _failures(guess: Guess) -> list[tuple[Limit, RateLimitItem, str]]:
    """Return the windows that count a failed login: (limit, window, key)."""
    counted: dict[Limit, tuple[str, ...]] = {
        TYPED_FAILURES: (guess.typed, guess.address),
        PAIR_FAILURES: (guess.account, guess.address),
        ACCOUNT_FAILURES: (guess.account,),
        ADDRESS_FAILURES: (guess.address,),
    }
    return [(limit, item, item.key_for(limit.name, *who)) for limit, who in counted.items() for item in limit.items]


def _known(guess: Guess) -> str:
    """Return the key of the note that this address has logged in to this account."""
    return KNOWN.items[0].key_for(KNOWN.name, guess.account, guess.address)
