"""The messages of the outbox, before they are rows."""

import json
import re
from decimal import Decimal

from core import outbox


def test_an_event_has_the_form_of_standard_webhooks_and_exact_amounts():
    message_id, receiver, topic, payload = outbox.event("order.paid", {"total": Decimal("19.90")})

    assert re.fullmatch(r"msg_[0-9a-f]{32}", message_id)
    assert (receiver, topic) == (None, "order.paid")
    assert '"total":19.90' in payload
    told = json.loads(payload)
    assert (told["type"], set(told)) == ("order.paid", {"type", "timestamp", "data"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["timestamp"])


def test_a_mail_is_for_one_address_and_each_message_has_an_id_of_its_own():
    first, second = (outbox.mail("ada@example.com", "order_placed", {"number": "7"}) for _ in range(2))

    assert first[1:] == ("mail ada@example.com", "order_placed", '{"number":"7"}')
    assert first[0] != second[0]
    assert json.loads(outbox.document(first, second)) == [[*first, None], [*second, None]]  # and no trace
