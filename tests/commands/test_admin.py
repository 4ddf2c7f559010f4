"""`server.py admin`: who becomes an administrator, and who is unknown."""

import pytest
from helpers import as_url, is_one_sentence


@pytest.fixture
def ada(sql):
    """A registered account."""
    sql("INSERT INTO users (username, email, password_hash) VALUES ('Ada', 'ada@shop.example', 'x')")
    return lambda: sql("SELECT role FROM users")[0]["role"]


def test_admin_gives_the_role(typed, accounts, ada):
    status, output, _ = typed("admin", "ada", DATABASE_URL=as_url(accounts.owner))

    assert status == 0
    assert output.startswith("Ada has the e-mail address ada@shop.example and registered on 2")
    assert output.endswith("(UTC).\nAda is an administrator now.\n")
    assert ada() == "admin"


def test_admin_says_so_where_the_account_has_the_role_already(typed, accounts, ada):
    typed("admin", "Ada", DATABASE_URL=as_url(accounts.owner))

    status, output, _ = typed("admin", "Ada", DATABASE_URL=as_url(accounts.owner))

    assert (status, output.splitlines()[1:]) == (0, ["Ada is an administrator already."])


@pytest.mark.parametrize("name", ["bob", "", "ada%", "Ädä", "ada\\", "' OR 1=1 -- "])
def test_admin_for_an_unknown_account_gives_a_sentence(typed, accounts, ada, name):
    status, output, errors = typed("admin", "--", name, DATABASE_URL=as_url(accounts.owner))

    assert (status, output) == (1, "")
    assert errors.startswith(f"There is no account {name!r}.")
    assert is_one_sentence(errors)
    assert ada() == "customer"
