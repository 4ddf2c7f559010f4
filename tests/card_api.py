"""A card provider on loopback, as examples/card_provider.py wants it, with a ledger: a test can count the money.

It is as strict as a real one: a repeated key gets the first answer, money is taken once, no more goes back than was
taken. And as unreliable, if a test says so: it loses answers after it has done what was asked.
"""

import collections
import contextlib
import hmac
import http.client
import http.server
import json
import random
import shutil
import threading
import time
import urllib.request
from urllib.error import HTTPError

from core.setup.system import ROOT

KEY, SECRET = "sk_test", "whsec_test"


def wired_in(copy):
    """Do in a copy of the program what docs/payments.md says."""
    shutil.copy(ROOT / "examples" / "card_provider.py", copy / "resources" / "orders_card.py")
    page = copy / "resources" / "orders_payments.py"
    imports = "from resources.orders_card import Card\nfrom resources.orders_dummy import Dummy"
    text = page.read_text().replace("from resources.orders_dummy import Dummy", imports)
    text = text.replace("= (Manual, Dummy)", "= (Manual, Dummy, Card)")
    assert text.count("Card") == 2
    page.write_text(text)


class CardApi:
    """The provider: `with CardApi() as api`, then its `url`. What it has done is in `payments` and `refunds`."""

    def __init__(self, lose=0.0, slow=0.0, dice=None):
        self.lose, self.slow = lose, slow  # how many answers are lost, and up to how many seconds each takes
        self.lost = collections.Counter()  # the requests whose answers were lost
        self.lose_next = collections.Counter()  # (method, last word of the path) → how many more are lost
        self.asked = []  # (method, path)
        self.payments, self.refunds, self.answers = {}, {}, {}
        self.gate = threading.Event()  # while it is not set, nobody is answered
        self.gate.set()
        self.refunds_fail = self.refunds_wait = False
        self._dice = dice or random.Random()
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.settings = {"PAYMENT_CARD_API": self.url, "PAYMENT_CARD_KEY": KEY, "PAYMENT_CARD_SECRET": SECRET}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    # What happens on its side

    def customer(self, reference, status="authorized"):
        """Let the customer do what he was asked to do, or give it up (`declined`)."""
        with self._lock:
            payment = self.payments[reference]
            if payment["status"] == "requires_action":
                payment["status"] = status

    def event(self, reference, status=None, at=None, secret=SECRET):
        """Return a webhook on where a payment stands (or stood: `status`): its body and headers."""
        with self._lock:
            payment = dict(self.payments[reference])
        body = json.dumps({"payment": payment | {"status": status or payment["status"]}}).encode()
        stamp = str(int(time.time() if at is None else at))
        signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
        return body, {"Content-Type": "application/json", "Card-Signature": f"t={stamp},v1={signature}"}

    def tell(self, shop_url, reference, status=None, tries=1, **how):
        """Send a webhook to a shop, again while it is not taken; return its last status."""
        for _ in range(tries):
            body, headers = self.event(reference, status, **how)
            request = urllib.request.Request(f"{shop_url}/api/payments/card/webhook", body, headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status
            except HTTPError as error:
                with error:
                    answered = error.code
            except (OSError, http.client.HTTPException):
                answered = None
            time.sleep(0.02)
        return answered

    def net(self, order):
        """Return the cents that it holds of an order, and how many payments it has taken of it."""
        with self._lock:
            taken = {id: p["amount"] for id, p in self.payments.items() if p["statement"] == order and p["captured"]}
            back = sum(refund["amount"] for refund in self.refunds.values() if refund["payment"] in taken)
        return sum(taken.values()) - back, len(taken)

    # What it answers

    def _do(self, method, words, key, body):
        if key and key in self.answers:
            status, told = self.answers[key]
            return status, told, {"Idempotent-Replayed": "true"}
        status, told = self._done(method, words, body)
        if key:
            self.answers[key] = status, dict(told)
        return status, told, {}

    def _done(self, method, words, body):
        match (method, *words):
            case ("POST", "payments"):
                return self._create(body)
            case ("GET", "payments", id) if id in self.payments:
                return 200, self.payments[id]
            case ("POST", "payments", id, ("capture" | "cancel") as verb) if id in self.payments:
                payment = self.payments[id]
                if (
                    payment["status"]
                    not in {"capture": ["authorized"], "cancel": ["authorized", "requires_action"]}[verb]
                ):
                    return 409, {"error": f"it is {payment['status']}"}
                payment["status"] = {"capture": "captured", "cancel": "canceled"}[verb]
                payment["captured"] = verb == "capture"
                return 200, payment
            case ("POST", "refunds"):
                return self._refund(body)
            case ("GET", "refunds", id) if id in self.refunds:
                return 200, self.refunds[id]
        return 404, {"error": "no such thing"}

    def _create(self, body):
        assert set(body) == {"amount", "currency", "source", "statement"} and isinstance(body["amount"], int)
        if not body["source"].startswith("tok_"):
            return 422, {"error": "no such token"}
        id = f"pay_{len(self.payments) + 1}"
        status = {"tok_declined": "declined", "tok_3ds": "requires_action"}.get(body["source"], "authorized")
        payment = {"id": id, "status": status, "captured": False, "redirect_url": f"{self.url}/3ds/{id}", **body}
        self.payments[id] = payment
        return (402 if status == "declined" else 201), payment

    def _refund(self, body):
        payment = self.payments[body["payment"]]
        before = sum(refund["amount"] for refund in self.refunds.values() if refund["payment"] == payment["id"])
        if self.refunds_fail or not payment["captured"] or before + body["amount"] > payment["amount"]:
            return 422, {"error": "cannot be given back"}
        id = f"ref_{len(self.refunds) + 1}"
        self.refunds[id] = {"id": id, "status": "pending" if self.refunds_wait else "succeeded", **body}
        return 201, self.refunds[id]

    def _loses(self, method, word):
        """Whether this answer is lost."""
        with self._lock:
            certain = self.lose_next[method, word] > 0
            self.lose_next[method, word] -= certain
            lost = certain or self._dice.random() < self.lose
            self.lost[method, word] += lost
        return lost

    def _handler(api):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers["Content-Length"] or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                words = self.path.split("/")[2:]
                word = words[0] if words[-1] not in ("capture", "cancel") else words[-1]
                with api._lock:
                    pause = api._dice.uniform(0, api.slow)
                    api.asked.append((self.command, self.path))
                api.gate.wait()
                time.sleep(pause / 2)
                with api._lock:
                    if self.headers["Authorization"] != f"Bearer {KEY}":
                        status, told, more = 401, {"error": "wrong key"}, {}
                    else:
                        status, told, more = api._do(self.command, words, self.headers["Idempotency-Key"], body)
                    data = json.dumps(told).encode()
                time.sleep(pause / 2)
                if api._loses(self.command, word):
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(data)), "Connection": "close"}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # who asked was killed
                    self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        return Handler
