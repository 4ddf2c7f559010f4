"""Settings: the environment and .env → one frozen dataclass, or a sentence on what is malformed.

Every variable stands in .env.example with its default and meaning; a variable of the environment wins over .env.
"""

import dataclasses
import io
import ipaddress
import os
import pathlib
import re
from urllib.parse import parse_qs, unquote, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from core.cli import CommandError

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRIVER_OF = {"mysql": "pymysql", "mysql+pymysql": "pymysql", "mysql+mysqldb": "mysqldb"}  # scheme of DATABASE_URL
LOG_LEVELS = ("debug", "info", "warning", "error")
RENAMED = {"CACHE_SIZE": "CACHE_SIZE_MB", "TOTALS_TTL": "COUNT_CACHE_TTL"}  # old names, which still work in 1.x
MOST_CONNECTIONS = 20  # specification.md, Scalability Considerations


class Malformed(CommandError):
    """A setting is not what it should be; the message names the variable and what is wanted. Exit status 2."""

    def __init__(self, message):
        super().__init__(message, code=2)


@dataclasses.dataclass(frozen=True)
class DatabaseUrl:
    """Where the database is and who we are there. The password is in no repr."""

    database: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 3306
    unix_socket: str | None = None
    ssl_ca: str | None = None
    driver: str = "pymysql"  # or "mysqldb"; see core/db/drivers.py
    tls: bool = True  # to another machine; False: ?ssl=off

    @property
    def place(self):
        """Return where this is, for people: "shop on 127.0.0.1:3306"."""
        return f"{self.database} on {self.unix_socket or f'{self.host}:{self.port}'}"


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings. `database` is None without DATABASE_URL: then the embedded MariaDB is used."""

    database: DatabaseUrl | None = None
    database_timeout: float = 2.0
    database_connections: int = MOST_CONNECTIONS
    secret_key: str | None = dataclasses.field(default=None, repr=False)
    cors_origins: tuple[str, ...] = ("http://localhost:3000",)
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int = 8
    log_level: str = "info"
    data_dir: pathlib.Path = ROOT / ".data"
    bcrypt_cost: int = 12
    session_ttl: int = 7 * 24 * 3600  # seconds, like the three below
    session_idle: int = 24 * 3600
    reauth_after: int = 15 * 60
    cart_ttl: int = 30 * 24 * 3600
    cache_ttl: float = 5.0  # seconds that answers are kept; 0: not at all
    cache_size: int = 16 * 1024 * 1024  # bytes of them, for each worker
    count_cache_ttl: float = 5.0  # seconds that counts are kept
    rate_limits: bool = True
    rate_limit_storage: str | None = dataclasses.field(default=None, repr=False)
    trusted_proxies: tuple = ()  # of ipaddress networks
    old_names: tuple[str, ...] = ()  # settings that were given by a name of RENAMED


def load(environ=None, env_file=ROOT / ".env", **options):
    """Read the settings and return a Config; raise Malformed for the first one that is wrong.

    `options` are the command line's (host, port, workers, threads; None where not given) and win over all.
    """
    values, old_names = {}, []
    for source in (_of_file(env_file), os.environ if environ is None else environ):
        old_names += [name for name in RENAMED if name in source]
        values.update({RENAMED[name]: source[name] for name in RENAMED if name in source})
        values.update(source)
    values.update({name.upper(): str(value) for name, value in options.items() if value is not None})

    def read(name, default, parse):
        text = values.get(name, "").strip()
        return default if text == "" else parse(name, text)

    connections = read("DATABASE_CONNECTIONS", MOST_CONNECTIONS, whole(1, 1000))
    threads = read("THREADS", None, whole(1, 256))  # what is not given follows from what is
    workers = read("WORKERS", max(1, min(_cores(), connections // (threads or 2))), whole(1, 256))
    threads = threads or max(1, min(8, connections // workers))
    if workers * threads > connections:
        raise Malformed(
            f"WORKERS × THREADS is {workers} × {threads}, and each thread has a database connection of its own: "
            f"more than the {connections} that DATABASE_CONNECTIONS allows. Lower the one or raise the other."
        )
    return Config(
        old_names=tuple(dict.fromkeys(old_names)),
        database=read("DATABASE_URL", None, database_url),
        database_timeout=read("DATABASE_TIMEOUT", 2.0, seconds(0.1, 60)),
        database_connections=connections,
        secret_key=read("SECRET_KEY", None, secret),
        cors_origins=read("CORS_ORIGINS", Config.cors_origins, origins),
        host=read("HOST", Config.host, lambda name, text: text),
        port=read("PORT", Config.port, whole(1, 65535)),
        workers=workers,
        threads=threads,
        log_level=read("LOG_LEVEL", Config.log_level, one_of(LOG_LEVELS)),
        bcrypt_cost=read("BCRYPT_COST", Config.bcrypt_cost, whole(4, 16)),
        session_ttl=read("SESSION_TTL", Config.session_ttl, duration),
        session_idle=read("SESSION_IDLE", Config.session_idle, duration),
        reauth_after=read("REAUTH_AFTER", Config.reauth_after, duration_or_none),
        cart_ttl=read("CART_TTL", Config.cart_ttl, duration),
        cache_ttl=read("CACHE_TTL", Config.cache_ttl, seconds(0, 3600)),
        cache_size=read("CACHE_SIZE_MB", Config.cache_size >> 20, whole(1, 4096)) << 20,
        count_cache_ttl=read("COUNT_CACHE_TTL", Config.count_cache_ttl, seconds(0, 3600)),
        rate_limits=read("RATE_LIMITS", "on", one_of(("on", "off"))) == "on",
        rate_limit_storage=read("RATE_LIMIT_STORAGE", None, redis_url),
        trusted_proxies=read("TRUSTED_PROXIES", (), networks),
        data_dir=read("DATA_DIR", Config.data_dir, lambda name, text: pathlib.Path(text).expanduser().resolve()),
    )


def _of_file(path):
    """Return what .env says; raise Malformed with the number of a line that is not NAME=value."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Malformed(f"{path} cannot be read: {why}. Mend or remove it.") from None
    for part in parse_stream(io.StringIO(text)):
        if part.error:  # its text is not repeated: it may be a secret
            blank = re.match(r"\s*", part.original.string)[0].count("\n")
            raise Malformed(
                f"{path}, line {part.original.line + blank}, cannot be read; wanted is NAME=value, one on a line, "
                "and a value with spaces or quotes in it stands in quotes. .env.example shows how."
            )
    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole(least, most):
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(name, text):
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise Malformed(f"{name} is {text!r}; wanted is a whole number from {least} to {most}.")
        return int(text)

    return parse


def seconds(least, most):
    """Return a parser of times from `least` to `most` seconds, with at most three decimals."""

    def parse(name, text):
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or not least <= float(text) <= most:
            raise Malformed(f"{name} is {text!r}; wanted is a number of seconds from {least} to {most}.")
        return float(text)

    return parse


def duration(name, text):
    """Parse a time of one second to ten years: 30m, 12h, 7d, or a number of seconds; return seconds."""
    parts = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    length = int(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[parts[2]] if parts else 0
    if not 1 <= length <= 10 * 365 * 86400:
        raise Malformed(f"{name} is {text!r}; wanted is a time such as 30m, 12h, 7d, or a number of seconds.")
    return length


def duration_or_none(name, text):
    """Parse a time as `duration` does, or 0."""
    return 0 if text == "0" else duration(name, text)


def networks(name, text):
    """Parse a comma-separated list of addresses and networks: 10.0.0.0/8, 127.0.0.1, ::1."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise Malformed(
            f"{name} is {text!r}; wanted are addresses or networks such as 127.0.0.1, 10.0.0.0/8, separated by commas."
        ) from None


def redis_url(name, text):
    """Take the address of a Redis for the package `limits`; it may hold a password, and is not repeated."""
    if not re.match(r"(redis|rediss|redis\+unix|redis\+sentinel|redis\+cluster|valkey|valkeys)://.", text):
        raise Malformed(f"{name} cannot be read; wanted is redis://host:6379/0, or nothing for this host's own memory.")
    return text


def one_of(words):
    """Return a parser of one word out of several, in any case."""

    def parse(name, text):
        if text.lower() not in words:
            raise Malformed(f"{name} is {text!r}; wanted is one of {', '.join(words)}.")
        return text.lower()

    return parse


def secret(name, text):
    """Take a secret of at least 32 characters; its value is never repeated."""
    if len(text) < 32:
        raise Malformed(
            f"{name} has {len(text)} characters; wanted are at least 32. "
            "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return text


def origins(name, text):
    """Parse a comma-separated list of web origins (RFC 6454: scheme://host[:port]), or `*` for all."""
    found = tuple(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())
    for origin in found:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@,*]+", origin):
            raise Malformed(
                f"{name} has {origin!r}; wanted are origins such as https://shop.example, separated by commas, or *."
            )
    return found


def database_url(name, text):
    """Parse mysql://user:password@host:port/database?unix_socket=…&ssl_ca=…, or ?ssl=off

    mysql:// and mysql+pymysql:// mean PyMySQL; mysql+mysqldb:// means mysqlclient, the driver written in C.
    User and password may be percent-encoded. The message for a malformed one never shows the password.
    """

    def wrong(what):
        # Whatever may be the password, also in a URL that lacks its scheme, its @ or the % of a special character.
        shown = re.sub(r"\A([a-z0-9+]*:/+)?([^:/?#@]*):.*@", r"\1\2:***@", text, flags=re.S | re.I)
        shown = re.sub(r":(?!/|\*\*\*@|[0-9]+(?:[/?#]|\Z))[^/?#@]*", ":***", shown)
        shown = re.sub(r"([?&](?!(?:unix_socket|ssl_ca|ssl|charset)=)[^=&]*)=[^&]*", r"\1=***", shown)
        return Malformed(
            f"{name} is {shown!r}: {what}. Wanted is mysql://user:password@host:3306/database, "
            "with special characters in the password percent-encoded (@ is %40)."
        )

    try:
        url = urlsplit(text)
        port = url.port or 3306
    except ValueError:
        raise wrong("its host or port cannot be read") from None
    if url.scheme not in DRIVER_OF:
        raise wrong("it does not begin with mysql://")
    database = unquote(url.path[1:])
    if not database or "/" in database:
        raise wrong("it names no database")
    if url.fragment:
        raise wrong("a # must be percent-encoded (%23)")
    options = parse_qs(url.query, keep_blank_values=True)
    for option, given in options.items():
        if option not in ("unix_socket", "ssl_ca", "ssl", "charset"):
            raise wrong(f"the option {option} is not known; unix_socket, ssl_ca and ssl are")
        if len(given) > 1 or not given[0]:
            raise wrong(f"the option {option} wants one value")
    if options.get("charset", ["utf8mb4"]) != ["utf8mb4"]:
        raise wrong("the charset can only be utf8mb4")
    if options.get("ssl", ["off"]) != ["off"]:
        raise wrong("the option ssl can only be off; without it, another machine is spoken to by TLS")
    ssl_ca = options.get("ssl_ca", [None])[0]
    if ssl_ca and "ssl" in options:
        raise wrong("ssl=off and ssl_ca exclude each other")
    if ssl_ca and not pathlib.Path(ssl_ca).is_file():
        raise wrong(f"there is no file {ssl_ca}")
    return DatabaseUrl(
        database=database,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        host=url.hostname or "127.0.0.1",
        port=port,
        unix_socket=options.get("unix_socket", [None])[0],
        ssl_ca=ssl_ca,
        driver=DRIVER_OF[url.scheme],
        tls="ssl" not in options,
    )
