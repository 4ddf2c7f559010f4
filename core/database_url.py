"""DATABASE_URL: where the database is, and with which login. No message about it repeats any part of it.

It may name several servers, which hold the same data; core/db/primary.py chooses the one that is written to.
"""

import dataclasses
import pathlib
import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DRIVER_OF = {"mysql": "pymysql", "mysql+pymysql": "pymysql", "mysql+mysqldb": "mysqldb"}  # by scheme
OPTIONS = ("unix_socket", "ssl_ca", "ssl", "charset")
WANTED = (
    "Wanted is mysql://user:password@host:3306/database, with special characters in the password percent-encoded "
    "(@ is %40); where several servers hold the data, mysql://user:password@one:3306,two:3306/database."
)


@dataclasses.dataclass(frozen=True)
class DatabaseUrl:
    """Where the database is, and the login. The password is in no repr.

    `host` and `port` are of the only server, or of the first one; `others` are those after it.
    """

    database: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 3306
    unix_socket: str | None = None
    ssl_ca: str | None = None  # a file
    driver: str = "pymysql"  # or "mysqldb"; see core/db/drivers.py
    tls: bool = True  # to another machine; False: ?ssl=off
    others: tuple[tuple[str, int], ...] = ()  # (host, port)

    @property
    def place(self) -> str:
        """Return where this is, for people: "shop on 127.0.0.1:3306", or "shop on a:3306, b:3306"."""
        hosts = ", ".join(f"{host}:{port}" for host, port in ((self.host, self.port), *self.others))
        return f"{self.database} on {self.unix_socket or hosts}"

    @property
    def servers(self) -> tuple["DatabaseUrl", ...]:
        """Return one DatabaseUrl for each server, in the order of DATABASE_URL."""
        hosts = ((self.host, self.port), *self.others)
        return tuple(dataclasses.replace(self, host=host, port=port, others=()) for host, port in hosts)


def parse(text: str) -> DatabaseUrl:
    """Parse mysql://user:password@host:port,host:port/database?unix_socket=…&ssl_ca=…, or ?ssl=off

    mysql:// and mysql+pymysql:// mean PyMySQL; mysql+mysqldb:// means mysqlclient, the driver written in C. User and
    password may be percent-encoded. Raises ValueError; its message says what is wrong and holds nothing of the text,
    as any part of a malformed URL may be the password.
    """
    try:
        first, *more = _each(text)
        url, port = first, first.port or 3306
        others = tuple((other.hostname or "", other.port or 3306) for other in more)
    except ValueError:
        raise _wrong("has a host or port that cannot be read") from None
    if url.scheme not in DRIVER_OF:
        raise _wrong("does not begin with mysql://")
    database = unquote(url.path[1:])
    if not database or "/" in database:
        raise _wrong("names no database")
    if url.fragment:
        raise _wrong("has a #, which must be percent-encoded (%23)")
    if not all(host for host, _ in others) or (others and not url.hostname):
        raise _wrong("has a comma beside which there is no host")
    if len({(url.hostname, port), *others}) <= len(others):
        raise _wrong("names one server twice")
    options = parse_qs(url.query, keep_blank_values=True)
    if not options.keys() <= set(OPTIONS):
        raise _wrong("has an option that is not known; unix_socket, ssl_ca and ssl are")
    if any(len(values) > 1 or not values[0] for values in options.values()):
        raise _wrong("has an option without a value, or with two; each wants one")
    given = {option: values[0] for option, values in options.items()}
    if given.get("charset", "utf8mb4") != "utf8mb4":
        raise _wrong("has another charset than utf8mb4, which is the only one")
    if given.get("ssl", "off") != "off":
        raise _wrong("has an option ssl that is not off; without it, a connection to another machine uses TLS")
    if "ssl" in given and "ssl_ca" in given:
        raise _wrong("has ssl=off and ssl_ca, which exclude each other")
    if "ssl_ca" in given and not pathlib.Path(given["ssl_ca"]).is_file():
        raise _wrong("names a file with ssl_ca that is not there")
    if "unix_socket" in given and others:
        raise _wrong("has unix_socket and several hosts, which exclude each other")
    return DatabaseUrl(
        database=database,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        host=url.hostname or "127.0.0.1",
        port=port,
        unix_socket=given.get("unix_socket"),
        ssl_ca=given.get("ssl_ca"),
        driver=DRIVER_OF[url.scheme],
        tls="ssl" not in given,
        others=others,
    )


def _each(text: str) -> list[SplitResult]:
    """Return the URL of each host, for a URL with several between commas. Raises ValueError."""
    scheme, slashes, rest = text.partition("://")
    place, *_ = re.split(r"[/?#]", rest, maxsplit=1)
    who, at, hosts = place.rpartition("@")
    return [urlsplit(f"{scheme}{slashes}{who}{at}{host}{rest[len(place) :]}") for host in hosts.split(",")]


def _wrong(what: str) -> ValueError:
    return ValueError(f"{what}. {WANTED}")
