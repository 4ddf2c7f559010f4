"""`server.py overlay`, and what the shop and `check` do with the folder of SQL_OVERLAY."""

import dataclasses
import signal

import pytest
from helpers import SETTINGS, as_url, command, eventually, is_one_sentence

from core.cli import CommandError
from core.db.overlay import checksum, marked
from core.setup.system import ROOT

GET = "products/get"
RELEASED = (ROOT / "sql" / f"{GET}.sql").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tuned"


@pytest.fixture
def overlay(typed, folder):
    """`overlay(*words)`: type the command; return (exit status, output, errors)."""
    return lambda *words: typed("overlay", *words, SQL_OVERLAY=str(folder))


@pytest.fixture
def tuned(overlay, folder):
    """A tuned version of GET that can be told from the released one: it is never found."""
    overlay(GET)
    path = folder / f"{GET}.sql"
    assert path.read_text().rstrip().endswith("AND p.is_active = 1")
    path.write_text(path.read_text().rstrip() + " AND p.id < 0\n")
    return path


def age(path):
    """Let a tuned version be one of an older file."""
    path.write_text(path.read_text().replace(checksum(RELEASED), "0" * 64))


def test_a_copy_to_edit_has_the_checksum_of_what_it_replaces_and_no_note_of_a_template(overlay, folder):
    status, output, errors = overlay(GET)

    path = folder / f"{GET}.sql"
    lines = path.read_text().splitlines()
    assert (status, output, errors) == (0, f"{path} stands for sql/{GET}.sql as it is now.\n", "")
    assert f"-- replaces: {checksum(RELEASED)}" in lines
    assert [line for line in RELEASED.splitlines() if not line.startswith("-- note: written from")] == [
        line for line in lines if not line.startswith("-- replaces:")
    ]


def test_what_is_there_is_listed(overlay, tuned):
    assert overlay() == (0, f"{'in use'.ljust(len(str(tuned)))}  in place of\n{tuned}  sql/{GET}.sql\n", "")


def test_an_empty_folder_says_so(overlay, folder):
    folder.mkdir()

    assert overlay() == (0, f"{folder} has no file; all statements run as released.\n", "")


def test_a_copy_is_not_overwritten(overlay, tuned):
    before = tuned.read_text()

    assert overlay(GET) == (1, "", f"{tuned} is there already; nothing was changed.\n")
    assert tuned.read_text() == before


@pytest.mark.parametrize("name", ["products/nothing", "../sql/products/get", "products", "/etc/passwd"])
def test_a_name_that_is_none_is_refused(overlay, folder, name):
    status, output, errors = overlay(name)

    assert (status, output) == (2, "") and errors.startswith(f"There is no sql/{name}.sql.")
    assert not folder.exists()


def test_without_the_setting_it_says_what_is_missing(typed):
    status, _, errors = typed("overlay")

    assert status == 1 and errors.startswith("SQL_OVERLAY is not set.") and is_one_sentence(errors)


def test_one_for_an_older_file_is_named_until_it_is_renewed(overlay, tuned):
    age(tuned)
    edited = tuned.read_text()

    status, output, _ = overlay()
    renewed = overlay("--renew", GET)

    assert status == 1 and f"Your {tuned} was made for an older sql/{GET}.sql, and is in use." in output
    assert renewed == (0, f"{tuned} stands for sql/{GET}.sql as it is now.\n", "")
    assert tuned.read_text() == edited.replace("0" * 64, checksum(RELEASED))
    assert overlay()[0] == 0


def test_renewing_what_is_not_there_is_refused(overlay, folder):
    assert overlay("--renew", GET) == (1, "", f"{folder / GET}.sql is not there; nothing was changed.\n")


# The shop


def settings(folder):
    return dataclasses.replace(SETTINGS, sql_overlay=folder)


def test_the_shop_runs_the_tuned_version(wired, make, tuned, folder, caplog):
    id = make.product("Lamp")

    with caplog.at_level("INFO"):
        answer = wired(settings(folder)).get(f"/api/products/{id}", status="*")

    assert answer.status_int == 404
    assert f"SQL_OVERLAY has versions in use of {GET}" in caplog.text
    assert "older" not in caplog.text
    assert wired().get(f"/api/products/{id}").json["data"]["name"] == "Lamp"


def test_the_start_logs_what_was_made_for_an_older_file_and_uses_it(wired, make, tuned, folder, caplog):
    age(tuned)
    id = make.product("Lamp")

    assert wired(settings(folder)).get(f"/api/products/{id}", status="*").status_int == 404
    assert f"Your {tuned} was made for an older sql/{GET}.sql, and is in use. Compare the two" in caplog.text


def test_the_shop_does_not_start_with_one_that_is_another_for_the_code(wired, tuned, folder):
    tuned.write_text(tuned.read_text().replace("-- columns: id INT", "-- columns: id BIGINT"))

    with pytest.raises(CommandError, match=rf"^{tuned}:\d+: 'columns: .*: sql/{GET}\.sql has id INT, "):
        wired(settings(folder))


def test_no_tuned_version_lets_a_replica_answer_where_the_code_wants_the_newest_rows(wired, folder):
    own = folder / "cart" / "find.sql"
    own.parent.mkdir(parents=True)
    released = (ROOT / "sql" / "cart" / "find.sql").read_text()
    own.write_text(marked(released.replace("-- returns: one", "-- returns: one\n-- replica: ok"), released))

    with pytest.raises(CommandError, match=r"'replica: ok': sql/cart/find\.sql has no such line"):
        wired(settings(folder))


def test_the_server_does_not_start_with_a_folder_that_is_not_there(accounts, folder):
    done = command("serve", "--port", "1", DATABASE_URL=as_url(accounts.application), SQL_OVERLAY=str(folder))

    assert done.returncode == 1
    assert f"{folder}:1: SQL_OVERLAY names this folder, and it is not there; make it" in done.stderr


def test_check_looks_at_what_is_in_use_and_names_what_was_made_for_an_older_file(accounts, typed, tuned, folder):
    variables = {"DATABASE_URL": as_url(accounts.owner), "SQL_OVERLAY": str(folder)}

    fine = typed("check", **variables)
    age(tuned)
    older = typed("check", **variables)
    tuned.write_text(tuned.read_text().replace("p.id < 0", "p.nothing < 0"))
    wrong = typed("check", **variables)

    alone = [typed("check", name, **variables) for name in (GET, str(tuned), "products/list_price")]
    compared = typed("check", "--compare", str(ROOT), GET, **variables)

    assert fine[0] == 0, fine
    assert [status for status, _, _ in alone] == [1, 1, 0]
    assert [f"{tuned}:" in output for _, output, _ in alone] == [True, True, False]
    assert ["1 statements checked" in output for _, output, _ in alone] == [True] * 3
    assert str(tuned) in compared[1]
    assert older[0] == 1 and f"Your {tuned} was made for an older sql/{GET}.sql" in older[1]
    assert wrong[0] == 1 and f"{tuned}:" in wrong[1] and "Unknown column 'p.nothing'" in wrong[1]


def test_the_command_sql_shows_and_runs_what_is_in_use(accounts, typed, tuned, folder):
    variables = {"DATABASE_URL": as_url(accounts.owner), "SQL_OVERLAY": str(folder)}

    assert f"({tuned})" in typed("sql", "products/get", **variables, COLUMNS="300")[1] + typed("sql", **variables)[1]
    assert "p.id < 0" in typed("sql", "products/get", "id=1", "--print", **variables)[1]


def test_grants_are_those_of_what_is_in_use(typed, tuned, folder):
    tuned.write_text(tuned.read_text().replace("p.id < 0", "p.id IN (SELECT id FROM order_history)"))
    without, with_it = typed("grants"), typed("grants", SQL_OVERLAY=str(folder))

    assert without[0] == with_it[0] == 0
    tuned.write_text(tuned.read_text().replace("order_history", "(order_history)"))
    status, _, errors = typed("grants", SQL_OVERLAY=str(folder))
    assert status == 1 and errors.startswith(f"{tuned}:")


@pytest.mark.slow
def test_reload_takes_a_tuned_version_at_once_and_sighup_does_too(start, accounts, make, tuned, folder):
    id, aside = make.product("Lamp"), tuned.with_suffix(".off")
    tuned.rename(aside)
    variables = {"DATABASE_URL": as_url(accounts.application), "SQL_OVERLAY": str(folder), "CACHE_TTL": "0"}
    reloading = start("--workers", "1", "--reload", **variables)
    plain = start("--workers", "1", **variables)

    def seen():
        return [shop.request(f"/api/products/{id}").status for shop in (reloading, plain)]

    assert seen() == [200, 200]
    aside.rename(tuned)
    assert seen() == [404, 200]
    plain.process.send_signal(signal.SIGHUP)
    plain.wait_for("SQL_OVERLAY has versions in use of products/get")
    plain.wait_for("the shop is wired anew")
    assert eventually(lambda: seen() == [404, 404])
    tuned.unlink()
    assert seen()[0] == 200
