"""Mails of a shop that is served: soon after the order, and by texts that somebody may have edited wrongly."""

import email
import signal
import statistics
import time
from email import policy

import pytest
from helpers import as_url, command, eventually, servers
from test_outbox_mail import mailbox, served  # noqa: F401

BROKEN = "Subject: Hello\n\nDear $customer\n"
NAMED = "mails/order_placed.txt:3: there is no placeholder $customer"


def order(real, product, price, key):
    """Order a piece as a guest; return the order's number."""
    real.request("/api/cart/items", "POST", {"product_id": product, "quantity": 1}, Session_ID=key)
    body = {"expected_total": price, "email": f"{key}@example.com"}
    answer = real.request("/api/orders", "POST", body, Session_ID=key, Idempotency_Key=key)
    assert answer.status == 201, answer.body
    return answer.json["data"]["number"]


@pytest.mark.slow
def test_a_mail_leaves_within_about_a_second_of_the_order(start, accounts, make, mailbox, served, lag):  # noqa: F811
    url = f"smtp://127.0.0.1:{served()}?tls=off"
    product = make.product(price="10.00", stock=99)
    settings = {"CHORES": "on", "SMTP_URL": url, "MAIL_FROM": "Bodega <shop@example.com>", "RATE_LIMITS": "off"}
    real = start("--workers", "1", "--threads", "2", DATABASE_URL=as_url(accounts.application), **settings)
    real.wait_for("This host does the chores now")
    times = []

    for n in range(8):
        began = time.monotonic()
        number = order(real, product, 10, f"guest{n}")
        assert eventually(lambda number=number: any(number in mail["Subject"] for mail in mailbox.mails))
        times.append(time.monotonic() - began)
        time.sleep(0.13)

    print(f"from the order to the mail: {statistics.median(times):.2f} s, at most {max(times):.2f} s")
    assert statistics.median(times) < lag.bound(2) and len(mailbox.mails) == 8
    assert "level=error" not in real.log and "level=warning" not in real.log


@pytest.mark.slow
def test_without_any_setting_a_mail_is_a_file_beside_the_private_database(start, tmp_path):
    real = start("--workers", "1", "--threads", "2", DATA_DIR=str(tmp_path / "data"), CHORES="on")
    product = real.request("/api/products?in_stock=true&per_page=1").json["data"]["items"][0]

    number = order(real, product["id"], product["price"], "ada")

    path = real.wait_for(r"a mail is in (\S+\.eml)")[1]
    (file,) = (tmp_path / "data" / "mail").iterdir()
    assert path.endswith(file.name)
    mail = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    assert number in mail["Subject"] and mail["To"] == "ada@example.com" and product["name"] in mail.get_content()
    assert "ada@" not in real.log


@pytest.mark.slow
def test_a_wrong_placeholder_stops_the_start_and_is_named_by_check(program_copy, accounts):
    (program_copy / "mails" / "order_placed.txt").write_text(BROKEN)
    url = as_url(accounts.owner)

    started = command("serve", "--port", "1", home=program_copy, DATABASE_URL=url)
    checked = command("check", home=program_copy, DATABASE_URL=url)

    assert (started.returncode, checked.returncode) == (1, 1)
    assert NAMED in started.stderr and "Traceback" not in started.stderr
    assert NAMED in checked.stdout and "1 wrong." in checked.stdout


@pytest.mark.slow
def test_after_sighup_a_text_that_was_edited_wrongly_changes_nothing(program_copy, accounts, sql, tmp_path):
    with servers(tmp_path, program_copy) as begin:
        real = begin("--workers", "1", "--threads", "2", DATABASE_URL=as_url(accounts.application), CHORES="on")
        (program_copy / "mails" / "order_placed.txt").write_text(BROKEN)
        real.process.send_signal(signal.SIGHUP)

        real.wait_for("SIGHUP changes nothing: .*" + NAMED.replace("$", r"\$"))
        assert real.request("/api/ready").status == 200


@pytest.mark.slow
def test_without_a_mail_server_the_log_of_a_shop_with_a_database_says_what_to_set(start, accounts, sql):
    real = start("--workers", "1", "--threads", "2", DATABASE_URL=as_url(accounts.application), CHORES="on")

    assert real.wait_for("SMTP_URL is not set: mails wait")
