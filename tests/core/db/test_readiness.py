"""Ready or not: what runs is judged, every statement is PREPAREd as soon as that can be, and a broken one is named."""

import contextlib
import dataclasses
import re
import socket
import threading

import pytest
from helpers import as_url, eventually, free_port, servers, workers
from test_statements import edit
from test_supervisor import failed_hang_up, hang_up

BROKEN = "sql/products/list_newest.sql"
NAMED = r"sql/products/list_newest\.sql:[0-9]+: syntax error near '[^']*ORDR BY"


@pytest.fixture
def begin(tmp_path, program_copy):
    """`begin(*words, **variables)`: a real server that runs from `program_copy`, whose files a test may edit."""
    with servers(tmp_path, program_copy) as start:
        yield start


@pytest.fixture
def url(accounts, sql):
    """DATABASE_URL of the tests' database, with empty tables."""
    return as_url(accounts.application)


def misspell(program_copy):
    """Break a statement in a way that only the server sees; return what corrects it."""
    path = program_copy / BROKEN
    good = path.read_text()
    edit(path, re.sub(r"\bORDER BY (?=created_at|p\.created_at)", "ORDR BY ", good))
    assert "ORDR BY" in path.read_text()
    return lambda: edit(path, good)


class Door:
    """A port behind which the tests' database is, once it is opened."""

    def __init__(self, login):
        self._login = login
        self.port = free_port()
        self.url = as_url(dataclasses.replace(login, unix_socket=None, host="127.0.0.1", port=self.port))
        self._open = contextlib.ExitStack()

    def open(self):
        """Let everybody in from now on."""
        listening = self._open.enter_context(socket.create_server(("127.0.0.1", self.port)))
        threading.Thread(target=self._let_in, args=(listening,), daemon=True).start()

    def _let_in(self, listening):
        with contextlib.suppress(OSError):
            while True:
                visitor = self._open.enter_context(listening.accept()[0])
                kind = socket.AF_UNIX if self._login.unix_socket else socket.AF_INET
                inside = self._open.enter_context(socket.socket(kind))
                inside.connect(self._login.unix_socket or (self._login.host, self._login.port))
                for source, target in ((visitor, inside), (inside, visitor)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        """Let nobody in any more, and everybody out."""
        self._open.close()


@pytest.fixture
def door(accounts, sql):
    """A Door that is closed."""
    found = Door(accounts.application)
    yield found
    found.close()


@pytest.fixture
def pending(sql):
    """The newest migration is recorded as not applied; call it to record it."""
    (row,) = sql("SELECT * FROM schema_migrations ORDER BY version DESC LIMIT 1")
    sql("DELETE FROM schema_migrations WHERE version = %s", [row["version"]])

    def applied():
        sql("REPLACE INTO schema_migrations VALUES (%s, %s, %s, %s, %s)", list(row.values()))

    yield applied
    applied()


def is_ready(real):
    """Whether a server says that it is."""
    return real.request("/api/ready").status == 200


# The start


@pytest.mark.slow
def test_a_statement_that_the_server_refuses_is_named_at_the_start_and_the_shop_is_not_ready(begin, program_copy, url):
    correct = misspell(program_copy)
    shop = begin("--workers", "2", "--threads", "2", DATABASE_URL=url)

    shop.wait_for(NAMED)
    answer = shop.request("/api/ready")
    correct()
    hang_up(shop)

    assert (answer.status, answer.json["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "ORDR" not in answer.json["error"]["message"]
    assert is_ready(shop)
    assert len(re.findall(NAMED, shop.log)) == 1


@pytest.mark.slow
def test_where_the_database_comes_later_statements_are_looked_at_as_soon_as_it_is_there(begin, program_copy, door):
    misspell(program_copy)
    shop = begin("--workers", "2", "--threads", "2", DATABASE_URL=door.url)
    shop.wait_for("answers 503 until it can be reached")
    assert not re.search(NAMED, shop.log)

    door.open()

    shop.wait_for(NAMED)  # nobody has asked for anything
    assert not is_ready(shop)


@pytest.mark.slow
def test_where_the_database_comes_later_a_sound_shop_is_ready_soon(begin, door):
    shop = begin("--workers", "2", "--threads", "2", DATABASE_URL=door.url)
    assert not is_ready(shop)

    door.open()

    assert eventually(lambda: is_ready(shop))


@pytest.mark.slow
def test_pending_migrations_are_named_and_statements_looked_at_when_they_are_applied(begin, program_copy, url, pending):
    misspell(program_copy)
    shop = begin("--workers", "1", "--threads", "2", DATABASE_URL=url)
    shop.wait_for("Migrations are pending: .* until you type: python3 server.py migrate")
    before = shop.log

    pending()

    shop.wait_for(NAMED)
    assert "sql/" not in before
    assert not is_ready(shop)


# SIGHUP


@pytest.mark.slow
def test_sighup_with_a_statement_that_the_server_refuses_leaves_the_workers_as_they_are(begin, program_copy, url, make):
    make.product("Lamp")
    shop = begin("--workers", "2", "--threads", "2", DATABASE_URL=url, CACHE_TTL="0")
    assert is_ready(shop) and eventually(lambda: len(workers(shop)) == 2)
    before = workers(shop)
    correct = misspell(program_copy)

    said = failed_hang_up(shop)
    lists = [shop.request("/api/products").status for _ in range(6)]

    assert re.search(NAMED, said)
    assert workers(shop) == before and lists == [200] * 6 and is_ready(shop)
    correct()
    hang_up(shop)
    assert not workers(shop) & before and is_ready(shop)


@pytest.mark.slow
def test_sighup_takes_no_edit_that_cannot_be_checked_in_place_of_a_good_version(begin, program_copy, door):
    door.open()
    shop = begin("--workers", "1", "--threads", "2", DATABASE_URL=door.url, DATABASE_TIMEOUT="1")
    assert is_ready(shop)
    before = workers(shop)
    door.close()

    hang_up(shop)  # nothing was edited
    renewed = workers(shop)
    misspell(program_copy)
    said = failed_hang_up(shop)

    assert not renewed & before
    assert "cannot be checked now" in said
    assert workers(shop) == renewed


# What is judged


@pytest.mark.slow
def test_files_that_come_to_lie_in_the_folders_change_nothing_while_it_runs(begin, program_copy, url):
    shop = begin("--workers", "2", "--threads", "2", DATABASE_URL=url)
    assert is_ready(shop)
    applied = program_copy / "migrations/0001_categories.up.sql"

    applied.write_text(applied.read_text().replace("-- What", "-- All that"))
    (program_copy / "migrations/0998_next.up.sql").write_text("CREATE TABLE next_one (id INT NOT NULL PRIMARY KEY);\n")
    ready = [shop.request("/api/ready").status for _ in range(4)]
    (program_copy / "migrations/0998_next.down.sql").write_text("DROP TABLE next_one;\n")
    (program_copy / "sql/cart/show.sql").write_text("not loaded")
    ready += [shop.request("/api/ready").status for _ in range(4)]

    assert ready == [200] * 8


@pytest.mark.slow
def test_half_of_the_next_versions_migrations_does_not_hinder_sighup(begin, program_copy, url):
    shop = begin("--workers", "1", "--threads", "2", DATABASE_URL=url)
    assert is_ready(shop)
    (program_copy / "migrations/0998_next.up.sql").write_text("CREATE TABLE next_one (id INT NOT NULL PRIMARY KEY);\n")

    hang_up(shop)

    assert is_ready(shop)


# --reload


@pytest.mark.slow
def test_with_reload_an_edit_shows_at_once_in_all_workers_whatever_is_cached(begin, program_copy, url, make):
    id = make.product("Lamp")
    variables = {"DATABASE_URL": url, "CACHE_TTL": "3600", "COUNT_CACHE_TTL": "3600"}
    shop = begin("--workers", "2", "--threads", "2", "--reload", **variables)

    def seen():
        """Ask on connections enough that each worker has some."""
        names = {shop.request(f"/api/products/{id}").json["data"]["name"] for _ in range(12)}
        return names, {shop.request("/api/products").json["data"]["pagination"]["total"] for _ in range(12)}

    before = seen()
    statement, count = program_copy / "sql/products/get.sql", program_copy / "sql/products/count.sql"
    edit(
        statement,
        statement.read_text().replace("p.name,", "COALESCE(LEFT(CONCAT(p.name, ' (new)'), 255), '') AS name,"),
    )
    edit(count, count.read_text().replace("SELECT COUNT(*)", "SELECT COUNT(*) + 41"))

    assert before == ({"Lamp"}, {1})
    assert seen() == ({"Lamp (new)"}, {42})


@pytest.mark.slow
def test_with_reload_a_shop_that_began_with_a_broken_statement_is_ready_when_it_is_corrected(begin, program_copy, url):
    correct = misspell(program_copy)
    shop = begin("--workers", "2", "--threads", "2", "--reload", DATABASE_URL=url)
    shop.wait_for(NAMED)
    assert not is_ready(shop)

    correct()

    assert eventually(lambda: all(is_ready(shop) for _ in range(6)))
