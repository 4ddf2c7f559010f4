"""Settings: the environment and .env → one frozen dataclass, or a sentence on what is malformed.

Every variable is in .env.example with its default and meaning; a variable of the environment wins over .env. The
parsers at the end raise ValueError: what is wrong, as the rest of a sentence that begins with the variable's name.
"""

import dataclasses
import io
import ipaddress
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from email.headerregistry import Address
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from core import database_url, smtp_url
from core.cli import CommandError
from core.database_url import DatabaseUrl
from core.shop import Shop, currency_of, name_of
from core.smtp_url import SmtpUrl

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("logfmt", "json")
RENAMED = {"CACHE_SIZE": "CACHE_SIZE_MB", "TOTALS_TTL": "COUNT_CACHE_TTL"}  # old names, which still work in 1.x
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MOST_CONNECTIONS = 20  # specification.md, Scalability Considerations
CHORES_CONNECTIONS = 4  # of the process that does the chores: three lanes and the lock, see core/serving/chores.py


class Malformed(CommandError):
    """A setting is not what it should be; the message names the variable and what is wanted. Exit status 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=2)


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings. `database` is None without DATABASE_URL: then the embedded MariaDB is used."""

    database: DatabaseUrl | None = None
    replica: DatabaseUrl | None = None
    database_timeout: float = 2.0
    database_connections: int = MOST_CONNECTIONS
    secret_key: str | None = dataclasses.field(default=None, repr=False)
    cors_origins: tuple[str, ...] = ("http://localhost:3000", "http://localhost:5173")
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int = 8
    queue_timeout: float = 1.0  # seconds that a request may wait for a thread
    chores: bool = True
    smtp: SmtpUrl | None = None
    mail_from: Address = dataclasses.field(default_factory=lambda: Address(addr_spec="shop@localhost"))
    log_level: str = "info"
    log_format: str = "logfmt"
    server_timing: bool = True  # with a database of its own: False
    metrics: str = "off"  # on: on an address of its own; public: on the shop's
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    slow_sql: float = 0.2  # seconds from which a statement is a line in the log; 0: none
    data_dir: pathlib.Path = ROOT / ".data"
    sql_overlay: pathlib.Path | None = None
    shop: Shop = dataclasses.field(default_factory=Shop)
    bcrypt_cost: int = 12
    session_ttl: int = 7 * 24 * 3600  # seconds, like those below
    session_idle: int = 24 * 3600
    reauth_after: int = 15 * 60
    cart_ttl: int = 30 * 24 * 3600
    audit_ttl: int = 2 * 365 * 24 * 3600
    order_hold: int = 30 * 60
    manual_hold: int = 14 * 24 * 3600
    payment_providers: tuple[str, ...] = ("manual", "dummy")  # with a database of its own: manual alone
    webhooks_private: bool = False
    storefront: bool = True
    storefront_url: str | None = "http://localhost:8080"  # with a database of its own, or without a storefront: None
    payment_settings: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)  # PAYMENT_…
    cache_ttl: float = 5.0  # seconds that answers are cached; 0: not at all
    cache_size: int = 16 * 1024 * 1024  # bytes of them, for each worker
    cache_stale: int = 60  # seconds of age up to which an answer is given where no new one can be made; 0: none is
    count_cache_ttl: float = 5.0  # seconds that counts are cached
    rate_limits: bool = True
    rate_limit_storage: str | None = dataclasses.field(default=None, repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    old_names: tuple[str, ...] = ()  # settings that were given by a name of RENAMED

    @property
    def run_folder(self) -> pathlib.Path:
        """Where a running server has what others may look at: the private database's folder, or DATA_DIR itself."""
        return self.data_dir if self.database else self.data_dir / "run"


def load(environ: Mapping[str, str] | None = None, env_file: pathlib.Path = ROOT / ".env", **options: Any) -> Config:
    """Read the settings and return a Config; raise Malformed for the first one that is wrong.

    `options` are the command line's (host, port, workers, threads; None where not given) and win over all.
    """
    values: dict[str, str] = {}
    old_names = []
    for source in (_of_file(env_file), os.environ if environ is None else environ):
        old_names += [name for name in RENAMED if name in source]
        values.update({RENAMED[name]: source[name] for name in RENAMED if name in source})
        values.update(source)
    values.update({name.upper(): str(value) for name, value in options.items() if value is not None})

    def read(name: str, default: Any, parse: Callable[[str], Any]) -> Any:
        text = values.get(name, "").strip()
        try:
            return parse(text) if text else default
        except ValueError as error:
            raise Malformed(f"{name} {error}") from None

    database = read("DATABASE_URL", None, database_url.parse)
    replica = read("DATABASE_REPLICA_URL", None, database_url.parse)
    if replica and not database:
        raise Malformed("DATABASE_REPLICA_URL is set, and DATABASE_URL is not: of which database is it a replica?")
    connections = read("DATABASE_CONNECTIONS", MOST_CONNECTIONS, whole(1, 1000))
    chores = read("CHORES", "on", one_of(("on", "off"))) == "on"
    left = connections - (CHORES_CONNECTIONS if chores else 0)  # for the workers
    beats = 1 if replica else 0  # of each worker, see core/db/replica_watch.py
    threads = read("THREADS", None, whole(1, 256))  # what is not given follows from what is
    workers = read("WORKERS", max(1, min(_cores(), left // ((threads or 2) + beats))), whole(1, 256))
    threads = threads or max(1, min(8, left // workers - beats))
    if workers * (threads + beats) > left:
        more = ", each worker one more for DATABASE_REPLICA_URL" if replica else ""
        more += f", and the chores have {CHORES_CONNECTIONS} (none with CHORES=off)" if chores else ""
        raise Malformed(
            f"WORKERS × THREADS is {workers} × {threads}, and each thread has a database connection of its own{more}: "
            f"more than the {connections} that DATABASE_CONNECTIONS allows. Lower the one or raise the other."
        )
    smtp = read("SMTP_URL", None, smtp_url.parse)
    mail_from = read("MAIL_FROM", None, smtp_url.sender)
    if smtp and not mail_from:
        raise Malformed("MAIL_FROM is not set, and SMTP_URL is: in whose name do mails leave? shop@example.com, say.")
    port = read("PORT", Config.port, whole(1, 65535))
    storefront, own = read("STOREFRONT", "on", one_of(("on", "off"))) == "on", f"http://localhost:{port}"
    return Config(
        old_names=tuple(dict.fromkeys(old_names)),
        database=database,
        replica=replica,
        database_timeout=read("DATABASE_TIMEOUT", 2.0, seconds(0.1, 60)),
        database_connections=connections,
        secret_key=read("SECRET_KEY", None, secret),
        cors_origins=read("CORS_ORIGINS", Config.cors_origins, origins),
        host=read("HOST", Config.host, str),
        port=port,
        workers=workers,
        threads=threads,
        queue_timeout=read("QUEUE_TIMEOUT", Config.queue_timeout, seconds(0.1, 3600)),
        chores=chores,
        smtp=smtp,
        mail_from=mail_from or Address(addr_spec="shop@localhost"),
        shop=Shop(read("SHOP_NAME", Shop.name, name_of), read("CURRENCY", Shop.currency, currency_of)),
        metrics=read("METRICS", Config.metrics, one_of(("off", "on", "public"))),
        metrics_host=read("METRICS_HOST", Config.metrics_host, str),
        metrics_port=read("METRICS_PORT", Config.metrics_port, whole(1, 65535)),
        log_level=read("LOG_LEVEL", Config.log_level, one_of(LOG_LEVELS)),
        log_format=read("LOG_FORMAT", Config.log_format, one_of(LOG_FORMATS)),
        server_timing=read("SERVER_TIMING", "off" if database else "on", one_of(("on", "off"))) == "on",
        slow_sql=read("SLOW_SQL", Config.slow_sql, short_time),
        bcrypt_cost=read("BCRYPT_COST", Config.bcrypt_cost, whole(4, 16)),
        session_ttl=read("SESSION_TTL", Config.session_ttl, duration),
        session_idle=read("SESSION_IDLE", Config.session_idle, duration),
        reauth_after=read("REAUTH_AFTER", Config.reauth_after, duration_or_none),
        cart_ttl=read("CART_TTL", Config.cart_ttl, duration),
        audit_ttl=read("AUDIT_TTL", Config.audit_ttl, duration),
        order_hold=read("ORDER_HOLD", Config.order_hold, duration),
        manual_hold=read("MANUAL_HOLD", Config.manual_hold, duration),
        # With the private database the shop is being tried: payments without money are part of that.
        payment_providers=read("PAYMENT_PROVIDERS", ("manual",) if database else ("manual", "dummy"), names),
        webhooks_private=read("WEBHOOKS_PRIVATE", "off", one_of(("on", "off"))) == "on",
        storefront=storefront,
        # The shop's own, where it is being tried: what a request calls the shop is not asked.
        storefront_url=read("STOREFRONT_URL", own if storefront and not database else None, page_url),
        payment_settings={  # for providers of one's own, each of which knows its own
            name: text for name, text in values.items() if name.startswith("PAYMENT_") and name != "PAYMENT_PROVIDERS"
        },
        cache_ttl=read("CACHE_TTL", Config.cache_ttl, seconds(0, 3600)),
        cache_size=read("CACHE_SIZE_MB", Config.cache_size >> 20, whole(1, 4096)) << 20,
        cache_stale=read("CACHE_STALE", Config.cache_stale, whole(0, 24 * 3600)),
        count_cache_ttl=read("COUNT_CACHE_TTL", Config.count_cache_ttl, seconds(0, 3600)),
        rate_limits=read("RATE_LIMITS", "on", one_of(("on", "off"))) == "on",
        rate_limit_storage=read("RATE_LIMIT_STORAGE", None, redis_url),
        trusted_proxies=read("TRUSTED_PROXIES", (), networks),
        data_dir=read("DATA_DIR", Config.data_dir, folder),
        sql_overlay=read("SQL_OVERLAY", None, folder),
    )


def _of_file(path: pathlib.Path) -> dict[str, str]:
    """Return what .env says; raise Malformed with the number of a line that is not NAME=value."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Malformed(f"{path} cannot be read: {why}. Correct or remove it.") from None
    for part in parse_stream(io.StringIO(text)):
        if part.error:  # its text is not repeated: it may be a secret
            original = part.original.string
            blank = original[: len(original) - len(original.lstrip())].count("\n")
            raise Malformed(
                f"{path}, line {part.original.line + blank}, cannot be read; wanted is NAME=value, one on a line, "
                "and a value with spaces or quotes in it is put in quotes. .env.example shows how."
            )
    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"is {text!r}; wanted is a whole number from {least} to {most}.")
        return int(text)

    return parse


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of times from `least` to `most` seconds, with at most three decimals."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or not least <= float(text) <= most:
            raise ValueError(f"is {text!r}; wanted is a number of seconds from {least} to {most}.")
        return float(text)

    return parse


def short_time(text: str) -> float:
    """Parse a time of 0.1 ms to an hour: 200ms, 1.5s, or 0 for never; return seconds."""
    parts = re.fullmatch(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)(ms|s)", text)
    length = float(parts[1]) / {"ms": 1000, "s": 1}[parts[2]] if parts else 0.0
    if text != "0" and not 0.0001 <= length <= 3600:
        raise ValueError(f"is {text!r}; wanted is a time such as 200ms or 1.5s, or 0 for never.")
    return length


def duration(text: str) -> int:
    """Parse a time of one second to ten years: 30m, 12h, 7d, or a number of seconds; return seconds."""
    parts = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    length = int(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[parts[2]] if parts else 0
    if not 1 <= length <= 10 * 365 * 86400:
        raise ValueError(f"is {text!r}; wanted is a time such as 30m, 12h, 7d, or a number of seconds.")
    return length


def duration_or_none(text: str) -> int:
    """Parse a time as `duration` does, or 0."""
    return 0 if text == "0" else duration(text)


def folder(text: str) -> pathlib.Path:
    """Take the path of a folder, which need not be there."""
    return pathlib.Path(text).expanduser().resolve()


def networks(text: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of addresses and networks: 10.0.0.0/8, 127.0.0.1, ::1."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f"is {text!r}; wanted are addresses or networks such as 127.0.0.1, 10.0.0.0/8, separated by commas."
        ) from None


def names(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of names: each of 1 to 20 characters of a-z, 0-9 and _, and once."""
    found = tuple(part.strip() for part in text.split(","))
    if len(set(found)) < len(found) or not all(re.fullmatch(r"[a-z0-9_]{1,20}", name) for name in found):
        raise ValueError(f"is {text!r}; wanted are names such as manual, separated by commas, each once.")
    return found


def redis_url(text: str) -> str:
    """Take the address of a Redis for the package `limits`; it may hold a password, and is not repeated."""
    if not re.match(r"(redis|rediss|redis\+unix|redis\+sentinel|redis\+cluster|valkey|valkeys)://.", text):
        raise ValueError("cannot be read; wanted is redis://host:6379/0, or nothing for this host's own memory.")
    return text


def page_url(text: str) -> str:
    """Take the address under which pages stand, http or https, with nothing behind its path; cut the last slash off."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", text):
        raise ValueError(f"is {text[:80]!r}; wanted is an address such as https://shop.example.")
    return text.rstrip("/")


def one_of(words: Iterable[str]) -> Callable[[str], str]:
    """Return a parser of one word out of several, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"is {text!r}; wanted is one of {', '.join(words)}.")
        return text.lower()

    return parse


def secret(text: str) -> str:
    """Take a secret of at least 32 characters; its value is never repeated."""
    if len(text) < 32:
        raise ValueError(
            f"has {len(text)} characters; wanted are at least 32. "
            "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return text


def origins(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of web origins (RFC 6454: scheme://host[:port]), or `*` for all."""
    found = tuple(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())
    for origin in found:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@,*]+", origin):
            raise ValueError(
                f"has {origin!r}; wanted are origins such as https://shop.example, separated by commas, or *."
            )
    return found
