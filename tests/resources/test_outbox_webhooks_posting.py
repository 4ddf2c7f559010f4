"""The POST of a webhook, over real sockets: its time, its TLS, and the one look-up that it goes by."""

import socket
import ssl
import threading
import time

import pytest
from helpers import LONG
from receiver import receiving
from test_drivers_tls import certificates

from core.outbox import Temporary
from resources import outbox_webhooks_posting
from resources.outbox_webhooks_posting import LONGEST_ANSWER, Posting


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The folder of the certificates of a receiver: server.pem for localhost, and ca.pem, which has signed it."""
    folder = tmp_path_factory.mktemp("receiver")
    certificates(folder)
    return folder


@pytest.fixture
def secure(tls):
    """A receiver with TLS."""
    with receiving((tls / "server.pem", tls / "server.key")) as receiver:
        yield receiver


@pytest.fixture
def plain():
    """A receiver without TLS."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def trusting(tls, monkeypatch):
    """Our own authority is one of this machine's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.pem"))


class Names:
    """A name server: each look-up gets the next of these answers, the last one for ever."""

    def __init__(self, *answers):
        self.answers = [answer.split() for answer in answers]
        self.asked = []

    def __call__(self, host, port, type):
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [found for address in answer for found in socket.getaddrinfo(address, port, type=type)]


@pytest.fixture
def loopback_counts_as_public(monkeypatch):
    """The rule is another one here, so that a test needs no internet: 127.0.0.1 is public, all else is not."""
    monkeypatch.setattr(outbox_webhooks_posting, "is_public", lambda address: address == "127.0.0.1")


def handler(*pieces, pause=0.0):
    """Return what answers these bytes, one piece after the other."""

    def answer(request):
        for piece in pieces:
            request.wfile.write(piece)
            request.wfile.flush()
            time.sleep(pause)
        request.close_connection = True

    return answer


def test_a_message_arrives_as_it_is_with_its_headers(plain):
    status = Posting(private=True).post(plain.url + "?shop=1", {"Webhook-Id": "msg_1"}, b'{"a":"\xc3\xbc"}')

    [got] = plain.got
    assert status == 204
    assert (got.path, got.body) == ("/hooks?shop=1", b'{"a":"\xc3\xbc"}')
    assert got.headers["host"] == f"localhost:{plain.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == "msg_1"


def test_a_certificate_of_a_known_authority_for_the_name_is_accepted(secure, trusting):
    assert Posting(private=True).post(secure.url, {}, b"{}") == 204


def test_a_certificate_of_an_unknown_authority_is_not(secure):
    with pytest.raises(Temporary, match="Its certificate is not accepted"):
        Posting(private=True).post(secure.url, {}, b"{}")
    assert secure.got == []


def test_a_certificate_for_another_name_is_not_accepted_though_the_address_is_the_right_one(secure, trusting):
    posting = Posting(private=True, resolve=Names("127.0.0.1"))

    with pytest.raises(Temporary, match=r"Its certificate is not accepted.*other\.example"):
        posting.post(f"https://other.example:{secure.port}/", {}, b"{}")
    assert secure.got == []


def test_an_old_version_of_tls_is_not_spoken():
    assert Posting().context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_what_does_not_speak_tls_is_reported(plain):
    with pytest.raises(Temporary, match="TLS"):
        Posting(private=True).post(plain.url.replace("http:", "https:"), {}, b"{}")


def test_a_redirect_is_an_answer_and_is_not_followed(plain):
    plain.answer = handler(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    assert Posting(private=True).post(plain.url, {}, b"{}") == 302
    assert [got.path for got in plain.got] == ["/hooks"]


def test_no_proxy_of_the_environment_is_used(plain, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert Posting(private=True).post(plain.url, {}, b"{}") == 204


GIVEN_UP = 4  # seconds; each would take 5 and more, and may take 0.5


def timed(posting, url):
    """Post; return how many seconds it took until it was given up."""
    began = time.monotonic()
    with pytest.raises(Temporary, match="did not answer within"):
        posting.post(url, {}, b"{}")
    return time.monotonic() - began


@pytest.mark.parametrize(
    "answer",
    [
        handler(*([b"H"] * 50), pause=0.1),
        handler(b"HTTP/1.1 200 OK\r\n", *([b"X"] * 50), pause=0.1),
        handler(b"HTTP/1.1 200 OK\r\n", *([b"X-A: 1\r\n"] * 50), pause=0.1),
        handler(*([b"HTTP/1.1 100 Continue\r\n\r\n"] * 50), pause=0.1),
        handler(b"", pause=5),
    ],
    ids=["letter by letter", "a header without end", "many headers", "go on, go on", "nothing"],
)
def test_a_receiver_that_dribbles_is_given_up_in_time(plain, answer):
    plain.answer = answer

    assert timed(Posting(private=True, timeout=0.5), plain.url) < GIVEN_UP


def test_a_receiver_that_dribbles_by_tls_is_given_up_in_time(secure, trusting):
    secure.answer = handler(*([b"H"] * 50), pause=0.1)

    assert timed(Posting(private=True, timeout=0.5), secure.url) < GIVEN_UP


def test_a_receiver_that_shakes_no_hands_is_given_up_in_time(trusting):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert timed(Posting(private=True, timeout=0.5), f"https://localhost:{silent.getsockname()[1]}/") < GIVEN_UP


def test_a_receiver_that_reads_nothing_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(Temporary, match="did not answer within"):
            url = f"http://localhost:{silent.getsockname()[1]}/"
            Posting(private=True, timeout=0.5).post(url, {}, b" " * (16 << 20))

        assert time.monotonic() - began < GIVEN_UP


def test_a_name_server_that_does_not_answer_is_given_up_in_time():
    asked = threading.Event()

    assert timed(Posting(timeout=0.5, resolve=lambda *_, **__: asked.wait(LONG)), "https://slow.example/") < GIVEN_UP
    asked.set()


def test_what_is_answered_beyond_a_bound_is_not_read(plain):
    sent = []

    def endless(request):
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            for _ in range(1000):
                request.wfile.write(b"x" * 65536)
                sent.append(65536)
        except OSError:
            request.close_connection = True

    plain.answer = endless

    assert Posting(private=True).post(plain.url, {}, b"{}") == 200
    assert sum(sent) < 32 << 20  # what the buffers of two sockets hold, and no more
    assert LONGEST_ANSWER == 65536


def test_a_body_that_breaks_off_changes_nothing_of_the_status(plain):
    plain.answer = handler(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    assert Posting(private=True).post(plain.url, {}, b"{}") == 200


def test_a_body_that_dribbles_takes_no_longer_than_all_may(plain):
    plain.answer = handler(b"HTTP/1.1 200 OK\r\n\r\n", *([b"x"] * 50), pause=0.1)
    began = time.monotonic()

    assert Posting(private=True, timeout=0.5).post(plain.url, {}, b"{}") == 200
    assert time.monotonic() - began < GIVEN_UP


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 200],
)
def test_what_is_no_answer_is_a_failure(plain, answer):
    plain.answer = handler(answer)

    with pytest.raises(Temporary):
        Posting(private=True).post(plain.url, {}, b"{}")


def test_a_header_without_end_is_not_read_without_end(plain):
    plain.answer = handler(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 100_000)

    with pytest.raises(Temporary, match="as HTTP has it"):
        Posting(private=True).post(plain.url, {}, b"{}")


def test_nobody_listening_is_a_failure(plain):
    with pytest.raises(Temporary, match="refused"):
        Posting(private=True).post("http://localhost:1024/", {}, b"{}")


def test_a_name_that_is_not_known_is_a_failure():
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Temporary, match="not known to the name servers"):
        Posting(resolve=unknown).post("https://nowhere.example/", {}, b"{}")


@pytest.mark.parametrize("addresses", ["127.0.0.1", "10.0.0.1 192.168.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::1"])
def test_a_name_that_stands_for_private_addresses_is_not_connected_to(secure, trusting, addresses):
    with pytest.raises(Temporary, match="no public address"):
        Posting(resolve=Names(addresses)).post(secure.url, {}, b"{}")
    assert secure.got == []


def test_of_a_name_with_public_and_private_addresses_only_the_public_ones_are_tried(
    secure, trusting, loopback_counts_as_public
):
    with socket.create_server(("127.0.0.2", secure.port)) as private:
        private.settimeout(0.2)

        assert Posting(resolve=Names("127.0.0.2 ::1 127.0.0.1")).post(secure.url, {}, b"{}") == 204
        with pytest.raises(TimeoutError):
            private.accept()


def test_a_name_that_is_bound_anew_after_the_judgement_gets_nothing(secure, trusting, loopback_counts_as_public):
    names = Names("127.0.0.1", "127.0.0.2")  # public when it is judged, private from then on
    with socket.create_server(("127.0.0.2", secure.port)) as private:
        private.settimeout(0.2)
        posting = Posting(resolve=names)

        assert posting.post(secure.url, {}, b"{}") == 204
        assert names.asked == ["localhost"]
        with pytest.raises(Temporary, match="no public address"):
            posting.post(secure.url, {}, b"{}")
        with pytest.raises(TimeoutError):
            private.accept()


def test_an_address_that_swallows_what_it_gets_leaves_time_for_the_next(plain):
    with socket.socket() as full:  # its queue is full: whoever comes waits in vain
        full.bind(("127.0.0.2", plain.port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", plain.port))
        time.sleep(0.1)

        assert Posting(private=True, timeout=3, resolve=Names("127.0.0.2 127.0.0.1")).post(plain.url, {}, b"{}") == 204
        for one in waiting:
            one.close()


def test_http_is_refused_once_private_networks_are_not_allowed_any_more(plain):
    with pytest.raises(Temporary, match="Must begin with https"):
        Posting().post(plain.url, {}, b"{}")
    assert plain.got == []


def test_an_ip_address_is_checked_against_the_certificate(secure, trusting):
    posting = Posting(private=True)

    with pytest.raises(Temporary, match="Its certificate is not accepted"):
        posting.post(f"https://127.0.0.1:{secure.port}/", {}, b"{}")  # the certificate has localhost and 127.0.0.2
