"""What docs/sql.md says under "Find the slow one", as it stands there, on a private MariaDB."""

import contextlib
import os
import re
import stat
import subprocess

import pytest
from helpers import environment, execute

from core.db.drivers import DatabaseError, connect
from core.setup import system
from core.setup.embedded import Embedded
from core.setup.system import ROOT, program

SECTION = re.search(r"^## Find the slow one\n(.*?)^## ", (ROOT / "docs" / "sql.md").read_text("utf-8"), re.M | re.S)[1]
CODE = re.compile(r"^    (?!…)(.+\n(?:    .+\n)*)", re.M)
BLOCKS = [re.sub(r"^    ", "", code, flags=re.M) for code in CODE.findall(SECTION)]
SHELL = next(block for block in BLOCKS if block.startswith("mariadb "))
SAMPLES = next(block for block in BLOCKS if "query_sample_text" in block)
CONSUMERS = next(block for block in BLOCKS if block.startswith("UPDATE "))
HISTORY = next(block for block in BLOCKS if "events_statements_history_long" in block)

needs_the_client = pytest.mark.skipif(not program("mariadb"), reason="needs the client mariadb")


@needs_the_client
def test_the_slow_log_has_statements_of_connections_that_were_open_before(start, tmp_path):
    """As they stand: first what switches the log on, then SIGHUP, then a request, then what shows the log."""
    home = {"DATA_DIR": str(tmp_path / ".data"), "CACHE_TTL": "0", "COUNT_CACHE_TTL": "0"}
    real = start("--workers", "1", "--threads", "1", **home)
    on, hangup, *show = SHELL.splitlines()
    real.request("/api/products/2")  # opens the connection

    def typed(script):
        variables = environment(PATH=f"{os.path.dirname(program('mariadb'))}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logged(id):
        real.request("/api/products/2", X_Request_ID=id)
        return f"/* products/get request={id} */" in typed("\n".join(show))

    typed(on.replace("0.05", "0"))  # so that every statement is slow
    assert not logged("before-sighup")
    typed(hangup)
    real.wait_for("All workers are replaced")

    assert logged("after-sighup")


@contextlib.contextmanager
def with_performance_schema(folder, monkeypatch):
    """Run a private MariaDB as a DBA would have it; give its owner's login."""
    real = system.program("mariadbd")
    wrapper = folder / "mariadbd"
    wrapper.write_text(f'#!/bin/sh\nfirst=$1; shift; exec "{real}" "$first" --performance-schema=ON "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(system, "program", lambda *names: str(wrapper) if "mariadbd" in names else program(*names))
    with Embedded(folder / "data", tell=lambda line: None) as accounts:
        yield accounts.owner


@pytest.mark.slow
@pytest.mark.skipif(not program("mariadbd"), reason="needs mariadbd")
def test_mariadb_counts_by_file_in_the_texts_that_it_keeps(tmp_path, monkeypatch):
    with with_performance_schema(tmp_path, monkeypatch) as owner:
        execute(owner, CONSUMERS.strip().rstrip(";").replace("%", "%%"), ())
        for n in range(3):
            execute(owner, f"/* products/get request=r{n} */ SELECT 1")
        rows = execute(owner, HISTORY.strip().rstrip(";"))

    assert {row["file"]: row["calls"] for row in rows}["products/get"] == 3


def test_mysql_has_a_sample_with_the_file_and_the_request(accounts):
    """For an account that may read performance_schema: that of a test on a MySQL whose owner is its administrator."""
    with contextlib.closing(connect(accounts.owner, 10)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION() AS version, @@performance_schema AS is_on")
        server = cursor.fetchone()
    if "MariaDB" in server["version"]:  # which has another recipe, as docs/sql.md says
        with pytest.raises(DatabaseError, match="query_sample_text"):
            execute(accounts.owner, SAMPLES.strip().rstrip(";"))
        return
    if not server["is_on"]:
        pytest.skip("needs a MySQL with performance_schema")
    execute(accounts.owner, "/* products/get request=a-sample */ SELECT 1 AS one_of_test_top_recipes")

    rows = execute(accounts.owner, SAMPLES.strip().rstrip(";").replace("LIMIT 20", "LIMIT 1000"))

    assert any(row["sample"].startswith("/* products/get request=a-sample */") for row in rows)
