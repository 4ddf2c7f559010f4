"""What is in memory is given although it is void or out of date, where no new answer can be made; and for how long."""

import contextlib
import http.client
import threading
import time

import pytest
from raw_http import running
from test_cache import memory, never

from core.app import new_app
from core.cache import REVALIDATE, Cache, Cached
from core.contract.cached_answers import CachedAnswers
from core.contract.compression import Compression
from core.contract.envelope import Envelope
from core.contract.etag import ConditionalRequests
from core.errors import NotFound, ServiceUnavailable
from core.identity.auth import PUBLIC
from core.serving.cors import Cors
from core.serving.middleware import Middleware

TTL, STALE = 0.3, 3  # seconds


class Shop:
    """One page, on two servers over one memory: one answers from it at once, one through the application.

    `error`: what the handler raises, if anything. `asked`: how often it was run.
    """

    def __init__(self, stack, stale_for=STALE):
        self.error = None
        self.asked = 0
        self.cache = Cache(TTL, 0, 100_000, stale_for=stale_for)
        app = new_app()
        app.get("/page", callback=self.show, auth=PUBLIC, cache=Cached("things"))
        app.get("/hanging", callback=self.hang, auth=PUBLIC)
        app.get("/fixed", callback=lambda: "x", auth=PUBLIC, cache=Cached("things", control="public, max-age=9"))
        app.get("/settings", callback=lambda: "x", auth=PUBLIC, cache=Cached())
        for plugin in (ConditionalRequests(), CachedAnswers(self.cache), Compression(), Envelope()):
            app.install(plugin)
        self.hanging, self.released = threading.Semaphore(0), threading.Event()
        stack.callback(self.released.set)
        fast = stack.enter_context(running(Middleware(app, Cors(()), self.cache.answers, queue_timeout=0.2), 2))
        plain = stack.enter_context(running(Middleware(app, Cors(())), 2))
        self.ports = fast.effective_port, plain.effective_port

    def show(self):
        """Show how often this was run."""
        self.asked += 1
        if self.error:
            raise self.error
        return self.asked

    def hang(self):
        """Occupy a thread."""
        self.hanging.release()
        self.released.wait(20)

    def get(self, port, path="/page", **headers):
        """Return (status, headers, body)."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def both(self, path="/page", **headers):
        """Ask both servers."""
        return [self.get(port, path, **headers) for port in self.ports]


@pytest.fixture
def shop():
    """A Shop."""
    with contextlib.ExitStack() as stack:
        yield Shop(stack)


def test_what_is_out_of_date_or_void_is_given_up_to_an_age():
    cached = memory(seconds=0.1)
    cached.stale_for = 2
    cached.fetch("old", lambda: "old")
    time.sleep(1)
    cached.fetch("void", lambda: "void")
    cached._generation.advance()

    assert cached.peek("old") is None and cached.peek("void") is None
    assert cached.peek("old", stale=True)[0] == "old"
    cached.gives_stale = True

    thing, age = cached.fetch("old", never)
    assert thing == "old" and 1 <= age < 2
    assert cached.peek("void")[0] == "void"
    time.sleep(2 - age)
    assert cached.peek("old") is None and cached.peek("void")[0] == "void"
    cached.gives_stale = False
    assert cached.peek("void") is None


@pytest.mark.slow
def test_while_the_database_is_away_both_ways_give_what_is_in_memory_with_its_age(shop):
    began = time.monotonic()
    tag = shop.get(shop.ports[0])[1]["ETag"]
    shop.error = ServiceUnavailable()
    shop.cache.changed(["things"])

    shop.cache.serve_stale(True)
    now = shop.both()
    time.sleep(1.1)
    later, unchanged = shop.both(), shop.both(**{"If-None-Match": tag})
    asked = time.monotonic()
    time.sleep(STALE - 1)
    too_late = shop.both()

    assert {(status, headers["Cache-Control"]) for status, headers, _ in now} == {
        (200, f"public, max-age=0, stale-if-error={STALE}")
    }
    assert [status for status, *_ in later + unchanged] == [200, 200, 304, 304]
    assert all(int(headers["Age"]) >= 1 for _, headers, _ in later + unchanged)
    assert max(int(headers["Age"]) for _, headers, _ in now + later + unchanged) <= asked - began
    assert {body for *_, body in now + later} == {now[0][2]}
    assert [(status, headers["Age"], headers["Retry-After"]) for status, headers, _ in too_late] == [
        (503, None, "1")
    ] * 2
    assert shop.asked == 1 + 2


def test_when_the_database_is_back_what_is_void_is_not_given_any_more(shop):
    shop.get(shop.ports[0])
    shop.cache.serve_stale(True)
    shop.cache.changed(["things"])
    stale = shop.both()

    shop.cache.serve_stale(False)

    assert {body for *_, body in stale} == {stale[0][2]}
    assert b'"data":2' in shop.get(shop.ports[0])[2]


def test_where_an_answer_cannot_be_made_the_former_one_is_given_and_stays_what_it_is(shop):
    first = shop.get(shop.ports[0])
    time.sleep(TTL)
    shop.error = ServiceUnavailable()

    former = shop.both()
    shop.error = None
    new = shop.get(shop.ports[0])

    assert [(status, body) for status, _, body in former] == [(200, first[2])] * 2
    assert shop.asked == 1 + 2 + 1 and new[2] != first[2]


@pytest.mark.parametrize(("error", "status"), [(NotFound(), 404), (ZeroDivisionError(), 500)])
def test_other_errors_are_answered_as_such(shop, error, status):
    shop.get(shop.ports[0])
    time.sleep(TTL)
    shop.error = error

    assert [answer[0] for answer in shop.both()] == [status] * 2


def test_who_finds_no_thread_in_time_gets_what_is_out_of_date_too(shop):
    port = shop.ports[0]
    first = shop.get(port)
    time.sleep(TTL)
    waiting = [threading.Thread(target=shop.get, args=(port, "/hanging")) for _ in range(2)]
    for thread in waiting:
        thread.start()
    assert shop.hanging.acquire(timeout=10)

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        answers = []
        for path in ("/page", "/page", "/page?other", "/page"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read(), answer.headers["Age"]))
    shop.released.set()
    for thread in waiting:
        thread.join()

    assert [(status, bool(age)) for status, _, age in answers] == [(200, True), (200, True), (503, False), (200, True)]
    assert {body for status, body, _ in answers if status == 200} == {first[2]}
    assert shop.asked == 1


def test_a_token_gets_no_former_answer_and_what_was_never_asked_for_is_a_503(shop):
    shop.get(shop.ports[0])
    shop.error = ServiceUnavailable()
    shop.cache.serve_stale(True)

    assert [status for status, *_ in shop.both(Authorization="Bearer x")] == [503] * 2
    assert [status for status, *_ in shop.both("/page?other")] == [503] * 2


def test_other_caches_hear_it_of_what_the_database_makes_alone(shop):
    controls = [{headers["Cache-Control"] for _, headers, _ in shop.both(path)} for path in ("/fixed", "/settings")]

    assert controls == [{"public, max-age=9"}, {REVALIDATE}]


def test_with_0_nothing_that_is_out_of_date_is_given():
    with contextlib.ExitStack() as stack:
        shop = Shop(stack, stale_for=0)
        first = shop.get(shop.ports[0])
        shop.error = ServiceUnavailable()
        shop.cache.serve_stale(True)
        time.sleep(TTL)

        assert [status for status, *_ in shop.both()] == [503] * 2
        assert first[1]["Cache-Control"] == REVALIDATE
