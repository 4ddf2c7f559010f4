"""What tests of several files of core/db share."""

import dataclasses

import pytest
from helpers import IN_C
from trial import trial  # noqa: F401 - a fixture


@pytest.fixture(params=["pymysql", pytest.param("mysqldb", marks=IN_C)])
def login(accounts, request):
    """The application's login, by each of the drivers."""
    return dataclasses.replace(accounts.application, driver=request.param)
