"""What Twilio says of an SMS after it took it."""

import time
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from channels.sandbox import Fault, Reaction, Sandbox
from tests.worker.programs import until

from .clients import ACCOUNT
from .conftest import Events
from .receiver import Receiver

TO, FROM = "+33639981234", "+33939980000"


def text(twilio: Any, receiver: Receiver, to: str = TO, fragment: str = "", **more: str) -> Any:
    sender = {} if "messaging_service_sid" in more else {"from_": FROM}
    callback = f"{receiver.url}/status/att-1{fragment}"
    return twilio.messages.create(to=to, body="Bonjour", status_callback=callback, **sender, **more)


def statuses(receiver: Receiver, count: int) -> list[str]:
    return [each.form["MessageStatus"] for each in receiver.wait(count)]


def test_a_message_is_sent_and_delivered(twilio: Any, receiver: Receiver, events: Events) -> None:
    """The usual receipts come in order, signed over the URL without its fragment, with Twilio's fields."""
    message = text(twilio, receiver, fragment="#rc=3&rp=all")
    got = receiver.wait(2)
    assert all(each.signed and each.path == "/status/att-1" for each in got)
    sid = {"MessageSid": message.sid, "SmsSid": message.sid}
    ends = {"To": TO, "From": FROM, "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01"}
    status = {"MessageStatus": "sent", "SmsStatus": "sent"}
    assert got[0].form == {**sid, **ends, **status}
    assert got[1].form["MessageStatus"] == "delivered"
    assert twilio.messages(message.sid).fetch().status == "delivered"
    posted = events("posted")
    assert [(each["what"], each["id"], each["said"]) for each in posted] == [
        ("receipt", message.sid, "sent"),
        ("receipt", message.sid, "delivered"),
    ]
    assert [(each["status"], each["number"]) for each in posted] == [(204, 1), (204, 1)]


def test_without_a_callback_nothing_is_posted(twilio: Any, receiver: Receiver, events: Events) -> None:
    """A message that names no URL stays queued, and nobody is told anything."""
    message = twilio.messages.create(to=TO, body="Bonjour", from_=FROM)
    receiver.wait(0)
    assert twilio.messages(message.sid).fetch().status == "queued"
    assert events("posted") == []


def test_a_messaging_service_is_named(twilio: Any, receiver: Receiver) -> None:
    """A message through a service carries its sid."""
    service = "MG" + "0" * 32
    text(twilio, receiver, messaging_service_sid=service)
    assert receiver.wait(2)[0].form["MessagingServiceSid"] == service


@pytest.mark.parametrize(("to", "code"), [("+33639983003", "30003"), ("+33639983005", "30005")])
def test_test_numbers_are_undelivered(twilio: Any, receiver: Receiver, to: str, code: str) -> None:
    """The numbers of fiction fail without any order, each with its code, which the message keeps."""
    message = text(twilio, receiver, to=to)
    sent, undelivered = receiver.wait(2)
    assert "ErrorCode" not in sent.form
    assert (undelivered.form["MessageStatus"], undelivered.form["ErrorCode"]) == ("undelivered", code)
    assert twilio.messages(message.sid).fetch().error_code == int(code)


@pytest.mark.parametrize("words", [(), ("sent",), ("delivered", "sent"), ("sent", "sent", "delivered"), ("failed",)])
def test_receipts_come_as_ordered(twilio: Any, sandbox: Sandbox, receiver: Receiver, words: tuple[str, ...]) -> None:
    """None, one, out of order, twice: the receipts are those ordered, in that order."""
    sandbox.react(Reaction("sms", receipts=words))
    text(twilio, receiver)
    assert statuses(receiver, len(words)) == list(words)


def test_the_reason_of_a_failure_can_be_ordered(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Details go into the receipt that tells of the failure, and no other."""
    sandbox.react(Reaction("sms", receipts=("sent", "failed"), details={"ErrorCode": "30007"}))
    text(twilio, receiver)
    assert [each.form.get("ErrorCode") for each in receiver.wait(2)] == [None, "30007"]


def test_receipts_can_come_before_the_answer(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Early receipts have arrived by the time the create is answered, and even where it never is."""
    sandbox.react(Reaction(early=True))
    text(twilio, receiver)
    assert len(receiver.got) == 2
    sandbox.fault(Fault("accept_then_drop"))
    with pytest.raises(requests.ConnectionError):
        text(twilio, receiver)
    assert len(receiver.got) == 4


def test_receipts_can_be_late(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Delayed receipts come so many seconds after the answer."""
    sandbox.react(Reaction(seconds=0.3))
    start = time.monotonic()
    text(twilio, receiver)
    receiver.wait(2)
    assert time.monotonic() - start >= 0.3


def test_every_nth_message_can_lose_its_receipts(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """An order for every third message leaves the others as usual, and ends after its times."""
    sandbox.react(Reaction("sms", every=3, times=1, receipts=()))
    sids = [text(twilio, receiver).sid for _ in range(6)]
    told = {each.form["MessageSid"] for each in receiver.wait(10)}
    assert told == set(sids) - {sids[2]}


def test_orders_are_narrow_and_the_first_wins(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """A glob picks the numbers, an order comes before a test number, and cleared orders are forgotten."""
    sandbox.react(Reaction("sms", to="+3363998*", receipts=("failed",)))
    text(twilio, receiver, to="+33639983003")
    assert statuses(receiver, 1) == ["failed"]
    text(twilio, receiver, to="+33700000000")
    assert statuses(receiver, 3)[1:] == ["sent", "delivered"]
    sandbox.clear()
    text(twilio, receiver)
    assert statuses(receiver, 5)[3:] == ["sent", "delivered"]


@pytest.mark.parametrize(("fragment", "tries"), [("", 1), ("#rc=2&rp=all", 3), ("#rc=1&rp=5xx,rt", 2), ("#rc=2", 1)])
def test_a_refused_receipt_is_tried_again_as_the_fragment_says(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events, fragment: str, tries: int
) -> None:
    """A 503 is retried where rp names it and as often as rc says, under the same idempotency token."""
    receiver.answer = lambda _got: (503, "")
    sandbox.react(Reaction("sms", receipts=("sent",)))
    text(twilio, receiver, fragment=fragment)
    got = receiver.wait(tries)
    assert len({each.headers["I-Twilio-Idempotency-Token"] for each in got}) == 1
    assert len({each.body for each in got}) == 1
    assert [(each["status"], each["number"]) for each in events("posted")] == [(503, n + 1) for n in range(tries)]


def test_no_connection_is_tried_once_more(twilio: Any, sandbox: Sandbox, events: Events) -> None:
    """Twilio's default: one retry, and only where nobody listened."""
    sandbox.react(Reaction("sms", receipts=("sent",)))
    twilio.messages.create(to=TO, body="x", from_=FROM, status_callback="http://127.0.0.1:1/nobody")
    until(lambda: len(events("posted")) == 2)
    sandbox.close()
    assert [each["number"] for each in events("posted")] == [1, 2]
    assert all(each["error"].startswith("NewConnectionError") for each in events("posted"))


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"receipts": ("sent",)}, "name the channel"),
        ({"channel": "sms", "receipts": ("bounce",)}, "none of sms's: sent, delivered"),
        ({"answer": "somebody"}, "answer"),
        ({"keys": ("12x",)}, "keys"),
        ({"every": 0}, "every"),
        ({"word": 1}, "word"),
    ],
)
def test_an_order_nobody_understands_is_refused(order: dict[str, Any], complaint: str) -> None:
    """A word that no provider says, or that stands in the wrong place, is an error that names it."""
    with pytest.raises(ValidationError, match=complaint):
        Reaction(**order)


def test_what_is_still_to_be_posted_ends_with_the_sandbox(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Closing forgets delayed receipts and does not wait for them."""
    sandbox.react(Reaction(seconds=60))
    text(twilio, receiver)
    start = time.monotonic()
    sandbox.close()
    assert time.monotonic() - start < 5
    receiver.wait(0)
