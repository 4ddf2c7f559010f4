"""DATABASE_URL: where the database is, and with which login. No message about it repeats any part of it."""

import dataclasses
import pathlib
from urllib.parse import parse_qs, unquote, urlsplit

DRIVER_OF = {"mysql": "pymysql", "mysql+pymysql": "pymysql", "mysql+mysqldb": "mysqldb"}  # by scheme
OPTIONS = ("unix_socket", "ssl_ca", "ssl", "charset")
WANTED = (
    "Wanted is mysql://user:password@host:3306/database, with special characters in the password percent-encoded "
    "(@ is %40)."
)


@dataclasses.dataclass(frozen=True)
class DatabaseUrl:
    """Where the database is, and the login. The password is in no repr."""

    database: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 3306
    unix_socket: str | None = None
    ssl_ca: str | None = None  # a file
    driver: str = "pymysql"  # or "mysqldb"; see core/db/drivers.py
    tls: bool = True  # to another machine; False: ?ssl=off

    @property
    def place(self) -> str:
        """Return where this is, for people: "shop on 127.0.0.1:3306"."""
        return f"{self.database} on {self.unix_socket or f'{self.host}:{self.port}'}"


def parse(text: str) -> DatabaseUrl:
    """Parse mysql://user:password@host:port/database?unix_socket=…&ssl_ca=…, or ?ssl=off

    mysql:// and mysql+pymysql:// mean PyMySQL; mysql+mysqldb:// means mysqlclient, the driver written in C. User and
    password may be percent-encoded. Raises ValueError; its message says what is wrong and holds nothing of the text,
    as any part of a malformed URL may be the password.
    """
    try:
        url = urlsplit(text)
        port = url.port or 3306
    except ValueError:
        raise _wrong("has a host or port that cannot be read") from None
    if url.scheme not in DRIVER_OF:
        raise _wrong("does not begin with mysql://")
    database = unquote(url.path[1:])
    if not database or "/" in database:
        raise _wrong("names no database")
    if url.fragment:
        raise _wrong("has a #, which must be percent-encoded (%23)")
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
    )


def _wrong(what: str) -> ValueError:
    return ValueError(f"{what}. {WANTED}")
