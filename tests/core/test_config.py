"""Settings: what is malformed is said with variable, value and what is wanted, and no secret is ever repeated."""

import ast
import dataclasses
import pathlib
import re
from ipaddress import ip_network

import pytest

from core import config
from core.config import Config, Malformed, load
from core.setup.system import ROOT
from core.shop import CURRENCIES, Shop

SECRET = "correct-horse-battery-staple-0123456789"
NOWHERE = pathlib.Path("/nonexistent/.env")


def settings(**environ):
    """Load the settings from these variables alone."""
    return load(environ, NOWHERE)


def refused(**environ):
    """Return what is said against these variables."""
    with pytest.raises(Malformed) as caught:
        settings(**environ)
    return str(caught.value)


def database(text):
    """Return the DatabaseUrl for this DATABASE_URL."""
    return settings(DATABASE_URL=text).database


# Values


def test_nothing_has_to_be_set():
    assert settings() == dataclasses.replace(Config(), workers=settings().workers, threads=settings().threads)


def test_an_empty_variable_is_one_that_is_not_set():
    assert settings(PORT="", DATABASE_URL="  ", LOG_LEVEL="") == settings()


WANTED = {
    ("PORT", "http"): "a whole number from 1 to 65535",
    ("PORT", "0"): "a whole number from 1 to 65535",
    ("PORT", "65536"): "a whole number from 1 to 65535",
    ("PORT", "-1"): "a whole number from 1 to 65535",
    ("PORT", "80.5"): "a whole number from 1 to 65535",
    ("PORT", "8_080"): "a whole number from 1 to 65535",
    ("PORT", "٨٠"): "a whole number from 1 to 65535",
    ("PORT", "9" * 5000): "a whole number from 1 to 65535",
    ("METRICS", "yes"): "one of off, on, public",
    ("METRICS_PORT", "0"): "a whole number from 1 to 65535",
    ("WORKERS", "0"): "a whole number from 1 to 256",
    ("WORKERS", "many"): "a whole number from 1 to 256",
    ("THREADS", "257"): "a whole number from 1 to 256",
    ("DATABASE_CONNECTIONS", "1001"): "a whole number from 1 to 1000",
    ("DATABASE_TIMEOUT", "0"): "a number of seconds from 0.1 to 60",
    ("DATABASE_TIMEOUT", "61"): "a number of seconds from 0.1 to 60",
    ("DATABASE_TIMEOUT", "2s"): "a number of seconds from 0.1 to 60",
    ("DATABASE_TIMEOUT", "nan"): "a number of seconds from 0.1 to 60",
    ("DATABASE_TIMEOUT", "1e1"): "a number of seconds from 0.1 to 60",
    ("QUEUE_TIMEOUT", "0"): "a number of seconds from 0.1 to 3600",
    ("LOG_LEVEL", "loud"): "one of debug, info, warning, error",
    ("LOG_FORMAT", "xml"): "one of logfmt, json",
    ("SERVER_TIMING", "yes"): "one of on, off",
    ("SLOW_SQL", "200"): "a time such as 200ms or 1.5s, or 0 for never",
    ("SLOW_SQL", "0ms"): "a time such as 200ms or 1.5s, or 0 for never",
    ("SLOW_SQL", "2h"): "a time such as 200ms or 1.5s, or 0 for never",
    ("SLOW_SQL", "3601s"): "a time such as 200ms or 1.5s, or 0 for never",
    ("CORS_ORIGINS", "shop.example"): "origins such as https://shop.example",
    ("CORS_ORIGINS", "https://shop.example/path"): "origins such as https://shop.example",
    ("CORS_ORIGINS", "https://*.shop.example/?"): "origins such as https://shop.example",
    ("CURRENCY", "eur"): "the code of a currency (ISO 4217) in capital letters",
    ("CURRENCY", "EURO"): "the code of a currency (ISO 4217) in capital letters",
    ("CURRENCY", "€"): "the code of a currency (ISO 4217) in capital letters",
    ("CURRENCY", "ABC"): "the code of a currency (ISO 4217) in capital letters",
    ("CURRENCY", "JPY"): "It must have two decimals, as all prices have: JPY has none, KWD has three.",
    ("CURRENCY", "KWD"): "It must have two decimals, as all prices have: JPY has none, KWD has three.",
    ("SHOP_NAME", "B" * 61): "1 to 60 characters of text on one line",
    ("SHOP_NAME", "Bo\ndega"): "1 to 60 characters of text on one line",
    ("SHOP_NAME", "Bo\u202edega"): "1 to 60 characters of text on one line",
    ("BCRYPT_COST", "3"): "a whole number from 4 to 16",
    ("BCRYPT_COST", "17"): "a whole number from 4 to 16",
    ("SESSION_TTL", "a week"): "a time such as 30m, 12h, 7d, or a number of seconds",
    ("SESSION_TTL", "0"): "a time such as 30m, 12h, 7d, or a number of seconds",
    ("SESSION_IDLE", "1.5h"): "a time such as 30m, 12h, 7d, or a number of seconds",
    ("CART_TTL", "4000d"): "a time such as 30m, 12h, 7d, or a number of seconds",
    ("RATE_LIMITS", "yes"): "one of on, off",
    ("STOREFRONT_URL", "shop.example"): "an address such as https://shop.example",
    ("STOREFRONT_URL", "https://shop.example/?page=1"): "an address such as https://shop.example",
    ("STOREFRONT_URL", "https://a@shop.example"): "an address such as https://shop.example",
    ("TRUSTED_PROXIES", "proxy.example"): "addresses or networks such as 127.0.0.1, 10.0.0.0/8",
    ("TRUSTED_PROXIES", "10.0.0.1/33"): "addresses or networks such as 127.0.0.1, 10.0.0.0/8",
}


@pytest.mark.parametrize(("name", "value"), WANTED, ids=lambda text: text[:25])
def test_a_malformed_value_is_named_with_what_is_wanted(name, value):
    said = refused(**{name: value})

    assert name in said
    assert repr(value) in said
    assert WANTED[name, value] in said


@pytest.mark.parametrize(
    ("name", "value", "field", "meaning"),
    [
        ("PORT", " 8081 ", "port", 8081),
        ("DATABASE_TIMEOUT", "0.5", "database_timeout", 0.5),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("SERVER_TIMING", "on", "server_timing", True),
        ("SLOW_SQL", "50ms", "slow_sql", 0.05),
        ("SLOW_SQL", "1.5s", "slow_sql", 1.5),
        ("SLOW_SQL", "0.1ms", "slow_sql", 0.0001),
        ("SLOW_SQL", "0", "slow_sql", 0.0),
        ("CORS_ORIGINS", "*", "cors_origins", ("*",)),
        ("CORS_ORIGINS", "https://a.example/, http://b.example:3000,", "cors_origins", None),
        ("HOST", "::1", "host", "::1"),
        ("SHOP_NAME", " Ada’s Läden & Söhne ", "shop", Shop("Ada’s Läden & Söhne", "EUR")),
        ("SHOP_NAME", "B" * 60, "shop", Shop("B" * 60, "EUR")),
        ("CURRENCY", "CHF", "shop", Shop("Bodega", "CHF")),
        ("DATA_DIR", "/var/lib/shop", "data_dir", pathlib.Path("/var/lib/shop")),
        ("SECRET_KEY", SECRET, "secret_key", SECRET),
        ("SESSION_TTL", "90", "session_ttl", 90),
        ("SESSION_TTL", "30m", "session_ttl", 1800),
        ("CART_TTL", "2d", "cart_ttl", 172800),
        ("STOREFRONT_URL", "https://shop.example:8443/de/", "storefront_url", "https://shop.example:8443/de"),
        ("STOREFRONT_URL", "http://[::1]:5173", "storefront_url", "http://[::1]:5173"),
        ("RATE_LIMITS", "OFF", "rate_limits", False),
        ("TRUSTED_PROXIES", "::1, 10.0.0.0/8", "trusted_proxies", (ip_network("::1"), ip_network("10.0.0.0/8"))),
        ("RATE_LIMIT_STORAGE", "redis://:pw@h:6379/0", "rate_limit_storage", "redis://:pw@h:6379/0"),
    ],
)
def test_a_good_value_is_taken(name, value, field, meaning):
    meaning = ("https://a.example", "http://b.example:3000") if meaning is None else meaning

    assert getattr(settings(**{name: value}), field) == meaning


def test_the_mails_of_a_shop_that_is_being_tried_link_to_its_own_storefront():
    assert settings(PORT="8099", HOST="192.0.2.1").storefront_url == "http://localhost:8099"
    assert settings(STOREFRONT="off").storefront_url is None
    assert settings(DATABASE_URL="mysql://a:b@h/d", SECRET_KEY=SECRET).storefront_url is None
    assert settings(STOREFRONT_URL="https://shop.example").storefront_url == "https://shop.example"


def test_every_currency_is_one_that_has_two_decimals():
    """Some that have none, three or four; and some of which all have heard."""
    others = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF BHD IQD JOD KWD LYD OMR TND CLF UYW"

    assert all(re.fullmatch("[A-Z]{3}", code) for code in CURRENCIES)
    assert CURRENCIES.isdisjoint(others.split())
    assert {*["EUR", "USD", "GBP", "CHF", "CAD", "AUD", "SEK", "PLN", "INR", "BRL", "CNY", "ZAR", "MXN"]} <= CURRENCIES


def test_a_data_directory_may_be_in_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")

    assert settings(DATA_DIR="~/shop").data_dir == pathlib.Path("/home/ada/shop")


def test_the_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().port = 1


# Connections


@pytest.mark.parametrize(
    ("workers", "threads", "connections"), [("3", "7", None), ("21", None, None), (None, "21", None), ("2", "2", "3")]
)
def test_more_threads_than_connections_are_refused(workers, threads, connections):
    given = {"WORKERS": workers, "THREADS": threads, "DATABASE_CONNECTIONS": connections}

    said = refused(**{name: value for name, value in given.items() if value})

    assert "WORKERS × THREADS is " in said
    assert f"more than the {connections or 20} that DATABASE_CONNECTIONS allows. Lower the one or raise" in said


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("given", [{}, {"THREADS": "8"}, {"WORKERS": "5"}, {"DATABASE_CONNECTIONS": "5"}])
def test_what_is_not_given_fits_what_is_on_any_machine(monkeypatch, cores, given):
    monkeypatch.setattr(config, "_cores", lambda: cores)

    found = settings(**given)

    assert 1 <= found.workers * found.threads <= found.database_connections - config.CHORES_CONNECTIONS
    assert {name: str(getattr(found, name.lower())) for name in given if name != "DATABASE_CONNECTIONS"} == {
        name: value for name, value in given.items() if name != "DATABASE_CONNECTIONS"
    }


def test_the_connections_of_the_chores_are_counted():
    with pytest.raises(config.Malformed) as refused:
        load({"WORKERS": "2", "THREADS": "9"})

    assert "the chores have 4 (none with CHORES=off): more than the 20" in str(refused.value)
    assert load({"WORKERS": "2", "THREADS": "8"}).chores
    assert load({"WORKERS": "2", "THREADS": "10", "CHORES": "off"}).chores is False
    assert load({"DATABASE_CONNECTIONS": "1", "CHORES": "off"}).threads == 1


def test_a_replica_takes_one_more_connection_of_each_worker():
    url = {"DATABASE_URL": "mysql://a:b@h/d", "DATABASE_REPLICA_URL": "mysql://a:b@r/d", "SECRET_KEY": SECRET}
    with pytest.raises(config.Malformed) as refused:
        load({"WORKERS": "2", "THREADS": "8", **url})

    assert "of its own, each worker one more for DATABASE_REPLICA_URL, and the chores have 4" in str(refused.value)
    assert load({"WORKERS": "2", "THREADS": "7", **url}).threads == 7
    assert load({"WORKERS": "2", **url}).threads == 7
    assert load({"DATABASE_CONNECTIONS": "2", "CHORES": "off", **url}).threads == 1


def test_a_replica_is_one_of_a_database_of_ones_own():
    said = refused(DATABASE_REPLICA_URL="mysql://a:secret@r/d")

    assert said.startswith("DATABASE_REPLICA_URL is set, and DATABASE_URL is not")
    assert "secret" not in said
    assert settings(DATABASE_URL="mysql://a:b@h/d", DATABASE_REPLICA_URL="mysql://a:b@r/d").replica.host == "r"


# DATABASE_URL


@pytest.mark.parametrize(
    ("scheme", "driver"), [("mysql", "pymysql"), ("mysql+pymysql", "pymysql"), ("mysql+mysqldb", "mysqldb")]
)
def test_a_database_url_has_driver_user_password_host_port_and_database(scheme, driver):
    url = database(f"{scheme}://ada:secret@db.example:3307/shop")

    assert dataclasses.astuple(url) == ("shop", "ada", "secret", "db.example", 3307, None, None, driver, True, ())


def test_the_port_is_3306_and_the_host_this_machine_unless_it_says_otherwise():
    assert (database("mysql://db.example/shop").port, database("mysql:///shop").host) == (3306, "127.0.0.1")


def test_special_characters_are_percent_encoded():
    url = database("mysql://a%40b:p%40ss%2Fw%3Ard%25%23+@h/my%20shop")

    assert (url.user, url.password, url.database) == ("a@b", "p@ss/w:rd%#+", "my shop")


def test_an_ipv6_address_is_in_brackets():
    assert database("mysql://u@[::1]:3307/shop").host == "::1"


def test_a_unix_socket_is_an_option():
    url = database("mysql://u@/shop?unix_socket=/run/my%20sql.sock")

    assert url.unix_socket == "/run/my sql.sock"
    assert url.place == "shop on /run/my sql.sock"


def test_several_servers_stand_between_commas_each_with_a_port_of_its_own():
    url = database("mysql+mysqldb://ada:se%2Ccret@one:3306,two,[::1]:3307/shop?ssl=off")

    assert (url.host, url.port, url.others) == ("one", 3306, (("two", 3306), ("::1", 3307)))
    assert url.place == "shop on one:3306, two:3306, ::1:3307"
    assert [(one.host, one.port, one.others) for one in url.servers] == [
        ("one", 3306, ()),
        ("two", 3306, ()),
        ("::1", 3307, ()),
    ]
    assert {(one.user, one.password, one.driver, one.database, one.tls) for one in url.servers} == {
        ("ada", "se,cret", "mysqldb", "shop", False)
    }


def test_one_server_is_a_list_of_one():
    url = database("mysql://ada:secret@one/shop")

    assert url.servers == (url,)


def test_only_the_url_allows_another_machine_without_tls():
    assert database("mysql://u@h/shop").tls
    assert not database("mysql://u@h/shop?ssl=off").tls


def test_a_ca_file_that_exists_is_taken(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.touch()

    assert database(f"mysql://u@h/shop?ssl_ca={ca}").ssl_ca == str(ca)


NO_DATABASE, NO_HOST, NO_SCHEME = (
    "names no database",
    "has a host or port that cannot be read",
    "does not begin with mysql://",
)
NO_PLACE = "has a comma beside which there is no host"
BAD_OPTION = "has an option that is not known; unix_socket, ssl_ca and ssl are"
BAD_VALUE = "has an option without a value, or with two; each wants one"
BAD_URLS = {  # hunter2 stands for the password, wherever a mistake has put it
    "mysql://h": NO_DATABASE,
    "mysql://u:hunter2@h/": NO_DATABASE,
    "mysql://:hunter2@h/": NO_DATABASE,
    "mysql://u:p@hunter2@h/": NO_DATABASE,
    "mysql://u:p\nhunter2@h/": NO_DATABASE,
    "mysql://u:p/hunter2@h/shop": NO_HOST,
    "mysql:/u:hunter2@h/shop": NO_DATABASE,
    "mysql://h/a/b": NO_DATABASE,
    "mysql://u:hunter2@h:http/shop": NO_HOST,
    "mysql://h:65536/shop": NO_HOST,
    "mysql://[::1/shop": NO_HOST,
    "mysql://u:hunter2": NO_HOST,
    "mysql://u:hunter2/shop": NO_HOST,
    "mysql://u:p#hunter2@h/shop": NO_HOST,
    "mysql://u:p?hunter2@h/shop": NO_HOST,
    "mysql://u:hunter2@a:3306,b:http/shop": NO_HOST,
    "mysql://u:hunter2@a,b:65536/shop": NO_HOST,
    "mysql://u:hunter2@a,[::1/shop": NO_HOST,
    "mysql://u:hunter2@a,,b/shop": NO_PLACE,
    "mysql://u:hunter2@,b/shop": NO_PLACE,
    "mysql://u:hunter2@a,:3307/shop": NO_PLACE,
    "mysql://u:hunter2@a,b,a:3306/shop": "names one server twice",
    "mysql://u:hunter2@a,b": NO_DATABASE,
    "mysql://u:p,hunter2/shop": NO_HOST,
    "mysql://u:hunter2@a,b/shop?unix_socket=/s": "has unix_socket and several hosts, which exclude each other",
    "mysql://h/shop#hunter2": "has a #, which must be percent-encoded (%23)",
    "mysql://h/shop?password=hunter2": BAD_OPTION,
    "mysql://u:x@h/shop?hunter2=on": BAD_OPTION,
    "mysql://h/shop?ssl=on": "has an option ssl that is not off; without it, a connection to another machine uses TLS",
    "mysql://h/shop?ssl=off&ssl_ca=/etc/hosts": "has ssl=off and ssl_ca, which exclude each other",
    "mysql://h/shop?unix_socket=": BAD_VALUE,
    "mysql://h/shop?ssl_ca=/a&ssl_ca=/b": BAD_VALUE,
    "mysql://h/shop?ssl_ca=/hunter2/ca.pem": "names a file with ssl_ca that is not there",
    "mysql://h/shop?charset=hunter2": "has another charset than utf8mb4, which is the only one",
    "postgres://u:hunter2@h/shop": NO_SCHEME,
    "mysql+mysqlclient://h/shop": NO_SCHEME,
    "u:hunter2@h/shop": NO_SCHEME,
    "localhost": NO_SCHEME,
}


@pytest.mark.parametrize("text", BAD_URLS)
def test_a_malformed_database_url_says_what_is_wrong_and_nothing_of_the_url(text):
    assert refused(DATABASE_URL=text) == (
        f"DATABASE_URL {BAD_URLS[text]}. Wanted is mysql://user:password@host:3306/database, with special characters "
        "in the password percent-encoded (@ is %40); where several servers hold the data, "
        "mysql://user:password@one:3306,two:3306/database."
    )


# Secrets

PASSWORD = "hunter2"


def test_no_message_about_the_secret_key_holds_it():
    said = refused(SECRET_KEY="hunter2")

    assert PASSWORD not in said
    assert said.startswith("SECRET_KEY has 7 characters; wanted are at least 32.")
    assert "secrets.token_urlsafe" in said


def test_no_message_about_the_store_of_limits_holds_its_password():
    said = refused(RATE_LIMIT_STORAGE="http://:hunter2@h")

    assert PASSWORD not in said
    assert said.startswith("RATE_LIMIT_STORAGE cannot be read; wanted is redis://host:6379/0")


def test_no_repr_of_the_settings_holds_a_secret():
    found = settings(
        SECRET_KEY=SECRET, DATABASE_URL="mysql://u:hunter2@h/shop", RATE_LIMIT_STORAGE="redis://:hunter2@h"
    )

    for text in (repr(found), str(found), repr(found.database), found.database.place):
        assert SECRET not in text
        assert PASSWORD not in text


# .env


@pytest.fixture
def env_file(tmp_path):
    """`env_file(text, **environ)`: the settings with this .env and this environment."""

    def load_with(text, **environ):
        path = tmp_path / ".env"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(environ, path)

    return load_with


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path):
    path = tmp_path / ".env"
    path.write_text("PORT=1001\nHOST=10.0.0.1\nLOG_LEVEL=debug\n")

    found = load({"PORT": "1002", "HOST": "10.0.0.2"}, path, port=1003, host=None)

    assert (found.port, found.host, found.log_level) == (1003, "10.0.0.2", "debug")


def test_a_file_may_have_comments_quotes_exports_and_a_byte_order_mark(env_file):
    text = "\ufeffPORT=1001\n# a comment\n\nexport HOST='10.0.0.1'\r\nLOG_LEVEL=\"debug\" # here too\n"

    found = env_file(text)

    assert (found.port, found.host, found.log_level) == (1001, "10.0.0.1", "debug")


@pytest.mark.parametrize(
    ("text", "line"), [("PORT 1001\n", 1), ("HOST=x\n\nSECRET_KEY='hunter2\n", 3), ("A=1\nthis is hunter2\n", 2)]
)
def test_a_line_that_cannot_be_read_is_named_and_not_repeated(env_file, text, line):
    with pytest.raises(Malformed) as caught:
        env_file(text)

    assert re.search(rf"/\.env, line {line}, cannot be read; wanted is NAME=value", str(caught.value))
    assert PASSWORD not in str(caught.value)


def test_a_file_that_is_not_utf_8_gives_a_sentence(env_file):
    with pytest.raises(Malformed, match=r"/\.env cannot be read: it is not UTF-8\. Correct or remove it\."):
        env_file("HOST=é".encode("latin-1"))


def test_a_directory_in_its_place_gives_a_sentence(tmp_path):
    with pytest.raises(Malformed, match=r"cannot be read: Is a directory\."):
        load({}, tmp_path)


# .env.example

EXAMPLE = (ROOT / ".env.example").read_text()


def test_the_example_lists_every_variable_and_no_other():
    tree = ast.parse((ROOT / "core" / "config.py").read_text())
    read = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read"
    }

    listed = re.findall(r"^#([A-Z][A-Z0-9_]*)=", EXAMPLE, re.M)

    assert sorted(listed) == sorted(read)


def test_the_example_sets_nothing_by_itself(env_file):
    assert env_file(EXAMPLE) == settings()


def test_the_example_shows_the_defaults(env_file, monkeypatch):
    monkeypatch.chdir(ROOT)
    examples = ("database", "replica", "secret_key", "workers", "threads", "rate_limit_storage", "trusted_proxies")
    examples += ("smtp", "mail_from", "storefront_url", "sql_overlay")
    examples += ("payment_providers", "server_timing")  # whose defaults depend on the database
    free = dict.fromkeys(examples)  # these show a form, not a default

    shown = env_file(re.sub(r"^#(?=[A-Z][A-Z0-9_]*=)", "", EXAMPLE, flags=re.M))

    assert shown.database.database == shown.replica.database == "shop"
    assert dataclasses.replace(shown, **free) == dataclasses.replace(settings(), **free)


def test_the_example_explains_each_variable_with_its_default():
    parts = re.split(r"\n\n", EXAMPLE)[1:]

    for part in parts:
        assert re.search(r"^# [^\n]+(\n# [^\n]+)*\n#[A-Z][A-Z0-9_]*=\S*$", part.strip()), part
        assert "Default: " in part, part


def test_a_setting_by_its_old_name_works_and_is_named(tmp_path):
    file = tmp_path / ".env"
    file.write_text("TOTALS_TTL=7\nCACHE_SIZE_MB=2\n")

    found = load({"CACHE_SIZE": "3"}, file)

    assert (found.count_cache_ttl, found.cache_size) == (7.0, 3 << 20)  # the environment wins over .env
    assert found.old_names == ("TOTALS_TTL", "CACHE_SIZE")


def test_a_new_name_wins_over_the_old_one_beside_it(tmp_path):
    found = load({"TOTALS_TTL": "7", "COUNT_CACHE_TTL": "8"}, tmp_path / "none")

    assert found.count_cache_ttl == 8.0
