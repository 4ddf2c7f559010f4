"""Server-Timing: where the time of an answer went, as a browser's own tools read it."""

import re

import pytest
from helpers import as_url, servers
from test_docs_in_a_browser import fronts, listed, unlisted  # noqa: F401 - fixtures

from core.db.measuring import COMMIT, Noting
from core.logs import SERVING
from core.serving.server_timing import header

PARTS = re.compile(r'(\w+)(?:;desc="([^"]*)")?(?:;dur=([0-9.]+))?(?:, |\Z)')
SEEN = """const entries = performance.getEntriesByName(arguments[0]);
return entries.map(entry => entry.serverTiming.map(one => [one.name, one.description, one.duration]));"""


@pytest.fixture(scope="module")
def timed(accounts, fronts, tmp_path_factory):  # noqa: F811
    """A real server that tells its times, also to pages of the first origin."""
    variables = {"DATABASE_URL": as_url(accounts.application), "CORS_ORIGINS": fronts[0], "SERVER_TIMING": "on"}
    with servers(tmp_path_factory.mktemp("timed")) as start:
        yield start("--workers", "1", "--threads", "2", **variables)


def times(answer):
    """Return {(name, description): milliseconds or None} of an answer."""
    return {
        (name, said): spent and float(spent) for name, said, spent in PARTS.findall(answer.headers["Server-Timing"])
    }


def test_an_answer_names_the_files_that_it_ran_with_their_milliseconds_within_the_total(timed, make):
    product = make.product(stock=5)

    told = times(timed.request("/api/cart/items", "POST", {"product_id": product, "quantity": 1}, Session_ID="timed"))

    files = {said: spent for (name, said), spent in told.items() if name == "sql"}
    assert "COMMIT" in files and [said for said in files if said.startswith("cart/")]
    assert 0 < sum(files.values()) <= told["total", ""] < 10_000


def test_what_runs_more_than_once_is_named_once_with_how_often():
    environ = {}
    SERVING.set(environ)
    meter = Noting(0)
    for spent in (1_000_000, 500_000):
        meter(COMMIT, spent, 0)

    told = header(environ, 0.0034567, "")

    assert told == ("Server-Timing", 'total;dur=3.46, sql;desc="COMMIT x2";dur=1.50')


def test_an_answer_from_memory_says_so_and_names_no_file(timed, make):
    path = f"/api/products/{make.product()}"

    first, second, third = (times(timed.request(path)) for _ in range(3))

    assert ("cache", "miss") in first and ("sql", "products/get") in first
    for told in (second, third):
        assert ("cache", "hit") in told and ("total", "") in told and "sql" not in {name for name, _ in told}


def test_an_error_tells_its_times_too(timed):
    answer = timed.request("/api/products/999999")

    assert answer.status == 404 and ("sql", "products/get") in times(answer)


def test_only_pages_that_may_read_the_answer_may_read_its_times(timed, fronts):  # noqa: F811
    for path in ("/api/products", "/api/products", "/api/nothing"):  # the second is from memory
        for origin, allowed in ((fronts[0], fronts[0]), (fronts[1], None), (None, None)):
            answer = timed.request(path, **({"Origin": origin} if origin else {}))
            assert (
                answer.headers.get("Timing-Allow-Origin")
                == allowed
                == answer.headers.get("Access-Control-Allow-Origin")
            )


def test_without_the_setting_no_answer_tells_its_times(shop_server):
    for path in ("/api/products", "/api/products", "/api/nothing"):
        answer = shop_server.request(path, Origin="http://shop.example")
        assert not {"Server-Timing", "Timing-Allow-Origin"} & set(answer.headers)


@pytest.mark.slow
def test_a_browser_shows_the_files_and_their_times(listed, timed, make):  # noqa: F811
    url = f"{timed.url}/api/products/{make.product()}"

    listed.fetch(url)

    [[total, cache, *files]] = listed.run(SEEN, url)
    assert total[0] == "total" and total[2] > 0
    assert cache[:2] == ["cache", "miss"]
    assert [(name, said) for name, said, _ in files] == [("sql", "products/get")] and files[0][2] > 0


@pytest.mark.slow
def test_a_browser_shows_a_page_that_is_not_listed_nothing(unlisted, timed):  # noqa: F811
    url = f"{timed.url}/api/products?per_page=7"

    unlisted.run("return fetch(arguments[0], {mode: 'no-cors'}).then(() => 1)", url)

    assert unlisted.run(SEEN, url) == [[]]
