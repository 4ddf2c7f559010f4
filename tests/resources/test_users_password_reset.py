"""A forgotten password: who asks learns nothing, and a token that was mailed sets a new one, once."""

import contextlib
import dataclasses
import hashlib
import ipaddress
import json
import logging
import re

import bcrypt
import pytest
from helpers import PASSWORD, SETTINGS, at_once, bearer, login, register
from test_users import during, events

from core.db.database import Database
from core.db.session import Session
from core.db.statements import Statements
from core.errors import ServiceUnavailable
from core.identity.auth import Tokens
from core.identity.passwords import Passwords
from core.outbox import Temporary
from core.setup.system import ROOT
from resources.outbox_delivery import Delivering
from resources.users_password_reset import ResetMails

RESET, CONFIRM = "/api/users/password-reset", "/api/users/password-reset/confirm"
NEW = "Another-Horse-8"
THIRD = "Brown-Kettle-31"
SHOPFRONT = "https://front.example"
TOKEN = r"[A-Za-z0-9_-]{43}"
NOBODYS = "A" * 43


class Post:
    """A channel of mails that keeps them; `failing`: so many attempts do not arrive."""

    threads = 2

    def __init__(self):
        self.tried = []  # (address, template, values)
        self.mails = []  # of these, what has arrived
        self.ids = []
        self.failing = 0

    def prepare(self, db, delivery):
        """Return what keeps the mail."""
        mail = (delivery.address, delivery.topic, json.loads(delivery.payload))

        def deliver():
            self.tried.append(mail)
            self.ids.append(delivery.message_id)
            if self.failing:
                self.failing -= 1
                raise Temporary("The server does not answer.")
            self.mails.append(mail)

        return deliver


@pytest.fixture
def db(accounts, sql):
    """The database as the chores use it."""
    return Database(accounts.application, Statements(ROOT / "sql"), 5.0)


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def deliver(db, post):
    """`deliver()`: what waits is delivered, as the chores do it; return the mails so far. `runs`: of the chore."""
    tokens = Tokens(SETTINGS.secret_key, SETTINGS.session_ttl, SETTINGS.session_idle)
    mails = ResetMails(post, tokens, SETTINGS.shop, SHOPFRONT)
    chore = Delivering({"reset": mails, "mail": post}, delay=lambda attempt: 0)

    def run(runs=1000):
        for _ in range(runs):
            if not chore.run(db):
                break
        return post.mails

    return run


@pytest.fixture
def alice(client):
    """A registered account's number."""
    return register(client).json["data"]["id"]


@pytest.fixture
def token_of(client, deliver):
    """`token_of()`: ask for a new password, and return the token that is mailed."""

    def ask(email="alice@example.com"):
        assert client.post_json(RESET, {"email": email}).status_int == 202
        return token_in([mail for mail in deliver() if mail[1] == "password_reset"][-1])

    return ask


def token_in(mail):
    """Return the token of a mail."""
    _, template, values = mail
    assert template == "password_reset"
    return re.fullmatch(rf"{re.escape(SHOPFRONT)}/password-reset#token=({TOKEN})", values["link"])[1]


def confirm(client, token, password=NEW, **headers):
    return client.post_json(CONFIRM, {"token": token, "password": password}, headers=headers)


def confirming(served, token, password):
    """Return what does the same at a real server."""
    return lambda: served.request(CONFIRM, "POST", {"token": token, "password": password})


def can_log_in(client, password, name="alice"):
    return client.post_json("/api/users/login", {"username": name, "password": password}).status_int == 200


def problems(answer):
    """Return what a 400 lists, by its fields."""
    assert (answer.status_int, answer.json["error"]["code"]) == (400, "VALIDATION_ERROR"), answer.text
    return {problem["field"]: problem["issue"] for problem in answer.json["error"]["details"]["errors"]}


def open_tokens(sql):
    return sql("SELECT COUNT(*) AS n FROM password_resets WHERE expires_at > CURRENT_TIMESTAMP")[0]["n"]


# Asking


def test_a_mailed_token_sets_a_new_password(client, alice, token_of):
    answer = confirm(client, token_of())

    assert (answer.status_int, answer.json["data"]) == (200, {"ended": 0})
    assert can_log_in(client, NEW) and not can_log_in(client, PASSWORD)


def test_the_answer_is_the_same_for_an_address_that_no_account_has(client, alice):
    known, unknown = (client.post_json(RESET, {"email": f"{name}@example.com"}) for name in ("alice", "nobody"))

    assert (known.status_int, unknown.status_int) == (202, 202)
    assert known.body == unknown.body
    own = {"X-Request-ID", "Date"}
    assert {n: v for n, v in known.headers.items() if n not in own} == {
        n: v for n, v in unknown.headers.items() if n not in own
    }


@pytest.mark.parametrize("key", [False, True])
def test_the_request_does_the_same_statements_whether_or_not_there_is_an_account(client, alice, monkeypatch, key):
    sent, send, commit = [], Session._send, Session.commit
    monkeypatch.setattr(
        Session, "_send", lambda db, statements, *a: (sent.extend(s.name for s in statements), send(db, statements, *a))
    )
    monkeypatch.setattr(Session, "commit", lambda db: (sent.extend(["COMMIT"] * db.begun), commit(db)))
    done = []
    for name in ("alice", "nobody"):
        headers = {"Idempotency-Key": name} if key else {}
        assert client.post_json(RESET, {"email": f"{name}@example.com"}, headers=headers).status_int == 202
        done.append(sent.copy())
        sent.clear()

    assert done[0] == done[1]
    assert [name for name in done[0] if not name.startswith("idempotency_keys/")] == ["outbox/add", "COMMIT"]


def test_a_malformed_address_is_refused_as_elsewhere(client, sql):
    answers = [client.post_json(RESET, body) for body in ({"email": "alice"}, {"email": "a" * 256}, {"email": 7}, {})]

    registering = problems(client.post_json("/api/users/register", {"email": "alice"}))["email"]
    assert [problems(answer) for answer in answers[:3]] == [{"email": registering}] * 3
    assert problems(answers[3]) == {"email": "Is required."}
    assert sql("SELECT id FROM outbox") == []


def test_nothing_is_mailed_where_no_account_has_the_address(client, alice, deliver, sql):
    client.post_json(RESET, {"email": "nobody@example.com"})

    assert deliver() == []
    assert open_tokens(sql) == 0
    assert sql("SELECT state FROM outbox") == [{"state": "delivered"}]


def test_an_address_is_found_in_any_case_and_the_mail_goes_to_the_one_that_is_stored(client, alice, deliver):
    client.post_json(RESET, {"email": "ALICE@Example.COM"})

    assert [address for address, _, _ in deliver()] == ["alice@example.com"]


def test_an_address_that_only_looks_like_an_accounts_gets_no_mail(client, alice, deliver):
    for email in ("alıce@example.com", "alice@example.com.example.net", "alicé@example.com", "alice+1@example.com"):
        assert client.post_json(RESET, {"email": email}).status_int == 202

    assert deliver() == []


def test_the_link_leads_to_the_storefront_of_the_settings_whatever_the_request_says(client, alice, deliver):
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
    client.post_json(RESET, {"email": "alice@example.com"}, headers=evil)

    _, _, values = deliver()[0]

    assert token_in(deliver()[0]) and "evil" not in json.dumps(values)


def test_without_the_address_of_a_storefront_the_mail_has_the_bare_token(client, alice, db, post):
    tokens = Tokens(SETTINGS.secret_key, SETTINGS.session_ttl, SETTINGS.session_idle)
    client.post_json(RESET, {"email": "alice@example.com"})
    while Delivering({"reset": ResetMails(post, tokens, SETTINGS.shop)}).run(db):
        pass

    ((address, template, values),) = post.mails

    assert (address, template) == ("alice@example.com", "password_reset_token")
    assert confirm(client, values["token"]).status_int == 200


def test_a_flood_of_requests_holds_up_no_other_mail(client, alice, deliver, post, sql):
    for n in range(40):
        client.post_json(RESET, {"email": f"nobody{n}@example.com"})
    client.put_json(f"/api/users/{alice}", {"password": NEW}, headers=bearer(login(client)))

    deliver(runs=1)

    assert [template for _, template, _ in post.mails] == ["password_changed"]
    assert sql("SELECT COUNT(*) AS n FROM outbox WHERE state = 'waiting'")[0]["n"] > 30


def test_where_no_mail_can_leave_requests_do_not_pile_up(client, alice, db, sql):
    tokens = Tokens(SETTINGS.secret_key, SETTINGS.session_ttl, SETTINGS.session_idle)
    client.post_json(RESET, {"email": "alice@example.com"})
    chore = Delivering({"reset": ResetMails(None, tokens, SETTINGS.shop)})

    while chore.run(db):
        pass

    why = {"state": "dead", "error": "No mail can leave: SMTP_URL is not set."}
    assert sql("SELECT state, error FROM outbox") == [why]
    assert open_tokens(sql) == 0


# The token


def test_a_token_is_256_random_bits_and_stands_in_the_mail_alone(client, alice, token_of, sql, accounts, caplog):
    caplog.set_level(logging.DEBUG)
    token = token_of()
    confirm(client, NOBODYS)
    found = [
        "".join(map(str, row.values())) for table in ("outbox", "password_resets") for row in everything(sql, table)
    ]

    assert re.fullmatch(TOKEN, token)  # 32 bytes in base64
    assert found and not [text for text in found if token in text]
    assert hashlib.sha256(token.encode()).hexdigest() not in "".join(found)  # the hash is keyed
    assert not [record for record in caplog.records if token in record.getMessage() or token in str(record.__dict__)]


def everything(sql, table):
    return sql(f"SELECT * FROM {table}")


def test_a_token_lasts_half_an_hour(client, alice, token_of, sql):
    token = token_of()
    (row,) = sql("SELECT TIMESTAMPDIFF(SECOND, CURRENT_TIMESTAMP, expires_at) AS left_over FROM password_resets")
    sql("UPDATE password_resets SET expires_at = CURRENT_TIMESTAMP")

    late = confirm(client, token)

    assert 1790 <= row["left_over"] <= 1800
    assert set(problems(late)) == {"token"}
    assert can_log_in(client, PASSWORD)


def test_a_token_works_once(client, alice, token_of):
    token = token_of()

    first, again = confirm(client, token), confirm(client, token, THIRD)

    assert first.status_int == 200
    assert set(problems(again)) == {"token"}
    assert can_log_in(client, NEW)


def test_a_token_that_expires_while_the_hash_is_made_is_refused(client, alice, token_of, sql, monkeypatch):
    token, make = token_of(), bcrypt.hashpw
    expire = "UPDATE password_resets SET expires_at = CURRENT_TIMESTAMP"
    monkeypatch.setattr(bcrypt, "hashpw", lambda given, salt: (sql(expire), make(given, salt))[1])

    refused = confirm(client, token)

    assert set(problems(refused)) == {"token"}
    assert can_log_in(client, PASSWORD)


def test_a_wrong_an_expired_and_a_used_token_are_told_alike_after_the_same_statements(
    client, alice, token_of, sql, monkeypatch
):
    used = token_of()
    confirm(client, used)
    expired = token_of()
    sql("UPDATE password_resets SET expires_at = CURRENT_TIMESTAMP")
    sent, send = [], Session._send
    monkeypatch.setattr(
        Session, "_send", lambda db, statements, *a: (sent.extend(s.name for s in statements), send(db, statements, *a))
    )
    told = []
    for token in (NOBODYS, expired, used, "short", "x" * 100):
        answer = confirm(client, token, THIRD)
        told.append((answer.status_int, answer.body, tuple(sent)))
        sent.clear()

    assert told[0][0] == 400
    assert len(set(told)) == 1
    assert problems(confirm(client, "x" * 101)) == problems(confirm(client, "")) == problems(confirm(client, NOBODYS))


def test_no_hash_is_made_for_a_token_that_is_wrong(client, alice, monkeypatch):
    made = []
    monkeypatch.setattr(bcrypt, "hashpw", lambda *a: made.append(a))

    assert confirm(client, NOBODYS).status_int == 400
    assert made == []


def test_logins_of_strangers_do_not_take_the_slot_of_who_has_a_token(client, alice, token_of, monkeypatch):
    token, budget = token_of(), Passwords.budget
    occupied = []

    def flooded(passwords, stranger=True):
        if not occupied:
            with contextlib.suppress(ServiceUnavailable):
                while True:
                    occupied.append(budget(passwords))
                    occupied[-1].__enter__()
        return budget(passwords, stranger)

    monkeypatch.setattr(Passwords, "budget", flooded)
    try:
        answer = confirm(client, token)
    finally:
        for slot in occupied[:-1]:
            slot.__exit__(None, None, None)

    assert answer.status_int == 200


def test_the_password_is_held_to_the_rules_of_registration_and_all_problems_are_told_at_once(client, alice, token_of):
    token = token_of()
    for password in ("short", "Password1", "Has-alice-in-it-1", "My-Bodega-22", "nocapital-1", 7):
        assert set(problems(confirm(client, token, password))) == {"password"}

    wrong = problems(confirm(client, NOBODYS, "Password1"))
    empty = problems(client.post_json(CONFIRM, {}))

    assert set(wrong) == {"token", "password"}
    assert empty == {"token": "Is required.", "password": "Is required."}
    assert confirm(client, token).status_int == 200  # no refusal has used it up


def test_of_two_at_once_with_one_token_one_sets_its_password(served, client, alice, token_of, sql):
    for n in range(5):
        token = token_of()
        passwords = [f"Racing-Horse-{n}{i}" for i in range(4)]

        answers = at_once([confirming(served, token, password) for password in passwords])

        statuses = [answer.status for answer in answers]
        assert sorted(statuses).count(200) == 1 and set(statuses) <= {200, 400, 503}, served.log
        assert can_log_in(client, passwords[statuses.index(200)])


def test_of_two_at_once_with_two_tokens_of_one_account_one_sets_its_password(served, client, alice, token_of, sql):
    for n in range(5):
        pair = [(token_of(), f"Racing-Horse-{n}{i}") for i in range(2)]

        answers = at_once([confirming(served, *one) for one in pair])

        statuses = [answer.status for answer in answers]
        assert statuses.count(200) == 1 and set(statuses) <= {200, 400, 503}, served.log
        assert can_log_in(client, pair[statuses.index(200)][1])
        assert open_tokens(sql) == 0


def test_a_request_that_is_sent_again_with_its_key_gets_the_same_answer(client, alice, token_of):
    token = token_of()
    key = {"Idempotency-Key": "k-1"}

    first, again = (client.post_json(CONFIRM, {"token": token, "password": NEW}, headers=key) for _ in range(2))

    assert (first.status_int, again.status_int) == (200, 200)
    assert first.body == again.body
    assert again.headers["Idempotent-Replayed"] == "true"


# What it does


def test_a_new_password_ends_every_login(client, alice, token_of):
    phone, desk = login(client), login(client)

    answer = confirm(client, token_of())

    assert answer.json["data"] == {"ended": 2}
    assert [client.get("/api/users/me", headers=bearer(token)).status_int for token in (phone, desk)] == [401, 401]


def test_a_login_that_overtakes_it_with_the_old_password_opens_no_session(
    served, client, alice, token_of, sql, monkeypatch
):
    body = {"token": token_of(), "password": NEW}
    during(monkeypatch, lambda: served.request(CONFIRM, "POST", body))  # by another process, as this one hashes now

    assert not can_log_in(client, PASSWORD)
    assert sql("SELECT id FROM sessions") == []


def test_it_voids_the_other_tokens_of_the_account_and_nobody_elses(client, alice, token_of):
    register(client, "bob")
    first, second, bobs = token_of(), token_of(), token_of("bob@example.com")

    assert confirm(client, second).status_int == 200

    assert set(problems(confirm(client, first, THIRD))) == {"token"}
    assert confirm(client, bobs).status_int == 200


@pytest.mark.parametrize("change", [{"password": THIRD}, {"email": "new@example.com"}])
def test_a_new_password_or_address_voids_open_tokens(client, alice, token_of, change):
    token = token_of()
    assert client.put_json(f"/api/users/{alice}", change, headers=bearer(login(client))).status_int == 200

    assert set(problems(confirm(client, token))) == {"token"}


def test_a_new_name_voids_none(client, alice, token_of):
    token = token_of()
    client.put_json(f"/api/users/{alice}", {"username": "alicia"}, headers=bearer(login(client)))

    assert confirm(client, token).status_int == 200
    assert can_log_in(client, NEW, "alicia")


def test_a_deleted_account_takes_its_tokens_along(client, alice, token_of, sql):
    token = token_of()
    client.delete(f"/api/users/{alice}", headers=bearer(login(client)))

    assert set(problems(confirm(client, token))) == {"token"}
    assert everything(sql, "password_resets") == []


def test_an_address_that_was_given_up_before_the_mail_gets_none(client, alice, deliver, sql):
    client.post_json(RESET, {"email": "alice@example.com"})
    client.put_json(f"/api/users/{alice}", {"email": "new@example.com"}, headers=bearer(login(client)))

    assert [mail for _, mail, _ in deliver()] == ["email_changed"]


def test_the_owner_is_told_by_mail(client, alice, token_of, deliver):
    confirm(client, token_of())

    assert deliver()[-1] == ("alice@example.com", "password_changed", {"shop": "Bodega", "username": "alice"})


@pytest.mark.parametrize(
    ("change", "mails"),
    [
        ({"password": NEW}, ["password_changed"]),
        ({"email": "new@example.com"}, ["email_changed"]),
        ({"email": "new@example.com", "password": NEW, "username": "alicia"}, ["password_changed", "email_changed"]),
        ({"username": "alicia"}, []),
        ({"email": "Alice@example.com"}, []),
    ],
)
def test_the_owner_is_told_of_other_changes_too_at_the_address_of_before(client, alice, deliver, change, mails):
    client.put_json(f"/api/users/{alice}", change, headers=bearer(login(client)))

    values = {"shop": "Bodega", "username": "alice"}
    assert deliver() == [("alice@example.com", mail, values) for mail in mails]


def test_what_was_mistyped_from_here_no_longer_delays_the_owner(wired, sql, deliver):
    shop = wired(dataclasses.replace(SETTINGS, rate_limits=True))
    register(shop)
    body = {"username": "alice", "password": "Wrong-Horse-9"}
    tries = [shop.post_json("/api/users/login", body, status="*").status_int for _ in range(6)]
    shop.post_json(RESET, {"email": "alice@example.com"})

    answer = shop.post_json(CONFIRM, {"token": token_in(deliver()[-1]), "password": NEW})

    assert (tries[-1], answer.status_int) == (429, 200)
    assert can_log_in(shop, NEW)


def test_guesses_of_others_still_delay_others(wired, sql, deliver):
    proxies = (ipaddress.ip_network("10.0.0.1"),)
    shop = wired(
        dataclasses.replace(SETTINGS, rate_limits=True, trusted_proxies=proxies),
        extra_environ={"REMOTE_ADDR": "10.0.0.1"},
    )
    register(shop)

    def guess(address):
        headers = {"X-Forwarded-For": address}
        body = {"username": "alice", "password": "Wrong-Horse-9"}
        return shop.post_json("/api/users/login", body, headers=headers, status="*").status_int

    for n in range(20):
        guess(f"198.51.100.{n // 4}")
    own = {"X-Forwarded-For": "203.0.113.9"}
    shop.post_json(RESET, {"email": "alice@example.com"}, headers=own)

    shop.post_json(CONFIRM, {"token": token_in(deliver()[-1]), "password": NEW}, headers=own)

    assert guess("198.51.100.77") == 429
    body = {"username": "alice", "password": NEW}
    assert shop.post_json("/api/users/login", body, headers=own, status="*").status_int == 200  # known from here now


# How often


def test_an_account_gets_three_mails_in_half_an_hour_and_the_answer_does_not_tell(client, alice, deliver, sql):
    answers = []
    for _ in range(5):
        answers.append(client.post_json(RESET, {"email": "alice@example.com"}).body)
        deliver()
    mails = len(deliver())
    sql("UPDATE password_resets SET expires_at = CURRENT_TIMESTAMP")
    client.post_json(RESET, {"email": "alice@example.com"})

    assert len(set(answers)) == 1
    assert mails == 3
    assert len(deliver()) == 4


def test_who_uses_the_mails_up_for_somebody_else_voids_none_of_them(client, alice, deliver):
    for _ in range(5):
        client.post_json(RESET, {"email": "alice@example.com"})
        deliver()

    assert confirm(client, token_in(deliver()[0])).status_int == 200


@pytest.mark.parametrize(("path", "body", "least"), [(RESET, {"email": "a@example.com"}, 10), (CONFIRM, {}, 20)])
def test_an_address_may_ask_and_guess_so_often(wired, sql, path, body, least):
    shop = wired(dataclasses.replace(SETTINGS, rate_limits=True))

    statuses = [shop.post_json(path, body, status="*").status_int for _ in range(least + 1)]

    assert statuses[:-1] == [statuses[0]] * least
    assert statuses[-1] == 429


def test_an_attempt_that_is_repeated_makes_a_new_token_and_voids_the_former(client, alice, post, deliver, sql):
    post.failing = 2
    client.post_json(RESET, {"email": "alice@example.com"})

    deliver()

    tokens = [token_in(mail) for mail in post.tried]
    assert len(set(tokens)) == len(set(post.ids)) == 3  # nor does a mail server take it for the same mail
    assert open_tokens(sql) == 1
    assert [confirm(client, token).status_int for token in tokens] == [400, 400, 200]


def test_attempts_of_one_mail_count_once(client, alice, post, deliver):
    post.failing = 4
    client.post_json(RESET, {"email": "alice@example.com"})

    assert len(deliver()) == 1


def test_a_request_that_could_not_be_mailed_for_half_an_hour_is_dropped(client, alice, deliver, sql):
    client.post_json(RESET, {"email": "alice@example.com"})
    sql("UPDATE outbox SET created_at = CURRENT_TIMESTAMP - INTERVAL 1801 SECOND")

    assert deliver() == []
    assert open_tokens(sql) == 0


# What is left behind


def test_asking_and_setting_leave_lines_in_the_audit_without_address_and_token(client, alice, deliver, caplog):
    caplog.set_level(logging.INFO)
    client.post_json(RESET, {"email": "alice@example.com"}, headers={"X-Request-ID": "r-1"})
    token = token_in(deliver()[-1])
    confirm(client, NOBODYS, **{"X-Request-ID": "r-2"})
    confirm(client, token, **{"X-Request-ID": "r-3"})

    lines = events(caplog)

    assert [line for line in lines if "event=password_reset_request outcome=success " in line and "r-1" in line]
    assert [line for line in lines if f"event=password_reset_mail user_id={alice}" in line]
    assert [line for line in lines if "event=password_reset outcome=failure user_id=unknown " in line and "r-2" in line]
    assert [
        line for line in lines if f"event=password_reset outcome=success user_id={alice} " in line and "r-3" in line
    ]
    assert not [line for line in lines if "alice@" in line or token in line]


def test_the_outbox_has_the_typed_address_and_nothing_else(client, alice, sql):
    client.post_json(RESET, {"email": "Alice@example.com"})

    (row,) = everything(sql, "outbox")

    assert (row["receiver"], row["topic"], row["payload"]) == ("reset alice@example.com", "password_reset", "{}")


def test_a_storefront_hears_that_there_is_such_a_thing(client, sql):
    assert client.get("/api/shop").json["data"]["features"]["password_reset"] is True
