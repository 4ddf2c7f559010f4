"""`server.py grants`: what it prints is SQL that the database's owner runs as it stands."""

from helpers import account, as_url, command, execute, may_make_accounts
from pytest import skip

from core.db import rights
from core.db.owner import least_rights
from core.db.statements import Statements
from core.setup.system import ROOT


def test_what_it_prints_gives_an_account_the_rights_that_the_files_need(accounts, typed):
    if not may_make_accounts(accounts.owner):
        skip("the login of TEST_DATABASE_URL may not make accounts")
    with account(accounts.owner, "bodega_printed") as login:
        status, printed, errors = typed("grants", "--user", login.user, DATABASE_URL=as_url(accounts.owner))
        for line in printed.splitlines():
            execute(accounts.owner, line.removesuffix(";"))
        shown = [next(iter(row.values())) for row in execute(login, "SHOW GRANTS")]

    assert (status, errors) == (0, "")
    assert all(line.endswith(";") for line in printed.splitlines() if not line.startswith("--"))
    given = [grant.replace(f"{grant[-1]}bodega_printed{grant[-1]}@", "`bodega_printed`@") for grant in shown]
    for grant in rights.grants(
        least_rights(Statements(ROOT / "sql", more=[ROOT / "reports"])), accounts.owner.database, login.user
    ):
        assert any(grant.split(" TO ")[0] == line.split(" TO ")[0] for line in given), grant
    assert len(shown) == len(least_rights(Statements(ROOT / "sql", more=[ROOT / "reports"]))) + 1


def test_account_and_database_are_those_of_database_url(typed):
    _, printed, _ = typed("grants", DATABASE_URL="mysql://a%60b:secret@db.example/my%20shop")

    assert "GRANT SELECT ON `my shop`.`schema_migrations` TO `a``b`@`%`;" in printed.splitlines()
    assert "secret" not in printed


def test_without_database_url_they_are_those_of_the_private_database(typed):
    assert "GRANT SELECT ON `shop`.`schema_migrations` TO `shop`@`localhost`;" in typed("grants")[1].splitlines()


def test_what_is_no_account_is_refused_with_a_sentence(typed):
    assert typed("grants", "--user", "@home") == (
        2,
        "",
        "--user: '@home' is no account; wanted is NAME or NAME@HOST.\n",
    )


def test_a_statement_whose_tables_are_not_certain_is_named_and_nothing_is_printed(program_copy):
    path = program_copy / "sql/webhooks/list.sql"
    path.write_text(path.read_text().replace("FROM webhooks", "FROM (webhooks)", 1))

    done = command("grants", home=program_copy)

    assert (done.returncode, done.stdout) == (1, "")
    assert "sql/webhooks/list.sql:" in done.stderr and "which tables it reads is not certain" in done.stderr
