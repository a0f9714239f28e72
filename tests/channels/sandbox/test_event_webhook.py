"""What SendGrid says of emails after it took them."""

import time
from typing import Any

import pytest
import requests
from sendgrid.helpers.eventwebhook import EventWebhook

from channels.sandbox import Doors, Reaction, Sandbox
from tests.worker.programs import until

from .clients import EMAIL, mail, smtp_client
from .conftest import Events
from .receiver import Got, Receiver

STAMP, SIGNATURE = "X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature"
DOOR = "/webhooks/sendgrid/events"


@pytest.fixture
def sandbox(sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    sandbox.report_to(Doors.under(receiver.url))
    return sandbox


def verified(got: Got, public_key: str) -> bool:
    """Does SendGrid's own helper find the raw body signed with that key?"""
    return bool(
        EventWebhook(public_key).verify_signature(got.body.decode(), got.headers[SIGNATURE], got.headers[STAMP])
    )


def told(receiver: Receiver, batches: int = 1) -> list[dict[str, Any]]:
    return [event for got in receiver.wait(batches, DOOR) for event in got.events]


def attempts(receiver: Receiver) -> set[str]:
    return {event["relance_attempt"] for got in receiver.at(DOOR) for event in got.events}


def words(receiver: Receiver, batches: int = 1) -> list[tuple[str, str | None]]:
    return [(each["event"], each.get("type")) for each in told(receiver, batches)]


def test_an_email_is_processed_and_delivered(
    sendgrid: Any, sandbox: Sandbox, receiver: Receiver, events: Events
) -> None:
    """One signed batch in SendGrid's own punctuation, our arguments flat among its fields."""
    message_id = sendgrid.send(mail()).headers["X-Message-Id"]
    [got] = receiver.wait(1, DOOR)
    assert verified(got, sandbox.public_key)
    assert got.body.endswith(b"]\r\n")
    assert got.body.count(b",\r\n") == 1
    processed, delivered = got.events
    assert (processed["event"], delivered["event"]) == ("processed", "delivered")
    assert {each["relance_attempt"] for each in got.events} == {"att-1"}
    assert {each["email"] for each in got.events} == {"ana@debtor.test"}
    assert all(each["sg_message_id"].startswith(f"{message_id}.recvd-") for each in got.events)
    assert all(each["smtp-id"] and abs(each["timestamp"] - time.time()) < 5 for each in got.events)
    assert processed["sg_event_id"] != delivered["sg_event_id"]
    [line] = events("posted")
    assert (line["what"], line["status"], line["number"]) == ("events", 204, 1)
    assert line["said"] == [[message_id, "processed"], [message_id, "delivered"]]


def test_another_key_does_not_verify(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Each sandbox has a key of its own, the same for its whole life, told on its control path too."""
    sendgrid.send(mail())
    [got] = receiver.wait(1, DOOR)
    with Sandbox() as other:
        assert not verified(got, other.public_key)
    shown = requests.get(f"{sandbox.twilio_url}/sandbox/public-key", timeout=5).json()["public_key"]
    assert shown == sandbox.public_key
    assert verified(got, shown)


def test_without_a_door_nothing_is_posted(sendgrid: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """No events URL, no events; and email over SMTP has no such webhook."""
    sandbox.report_to(Doors())
    sendgrid.send(mail())
    sandbox.report_to(Doors.under(receiver.url))
    with smtp_client(sandbox.smtp_url) as client:
        client.sendmail("billing@creditor.test", ["ana@gone.invalid"], EMAIL)
    receiver.wait(0)
    assert events("posted") == []


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("gone.invalid", [("processed", None), ("bounce", "bounce")]),
        ("full.invalid", [("processed", None), ("bounce", "blocked")]),
        ("spam.invalid", [("processed", None), ("delivered", None), ("spamreport", None)]),
    ],
)
def test_test_mailboxes_behave_without_any_order(
    sendgrid: Any, sandbox: Sandbox, receiver: Receiver, domain: str, expected: list[tuple[str, str | None]]
) -> None:
    """They are accepted, and then bounce hard, bounce softly, or complain."""
    assert sendgrid.send(mail(f"ana@{domain}")).status_code == 202
    assert words(receiver) == expected


def test_a_bounce_says_why(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """A bounce carries class, status and reason; details replace them, and an empty one takes its field away."""
    sandbox.react(Reaction("email", to="*@odd.test", receipts=("bounce",), details={"status": "", "reason": "why not"}))
    sendgrid.send(mail("ana@gone.invalid"))
    bounce = told(receiver)[1]
    assert (bounce["bounce_classification"], bounce["status"]) == ("Invalid Address", "5.1.1")
    sendgrid.send(mail("ana@odd.test"))
    odd = told(receiver, 2)[2]
    assert odd["reason"] == "why not"
    assert "status" not in odd


def test_every_event_can_be_ordered(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """All of SendGrid's words, out of order; the same one twice is one event told twice."""
    order = ("click", "open", "delivered", "processed", "deferred", "dropped", "unsubscribe", "delivered")
    sandbox.react(Reaction("email", receipts=order))
    sendgrid.send(mail())
    events = told(receiver)
    assert tuple(each["event"] for each in events) == order
    ids = [each["sg_event_id"] for each in events]
    assert ids[2] == ids[7]
    assert len(set(ids)) == len(order) - 1
    assert events[5]["reason"] == "Bounced Address"


def test_events_of_several_messages_share_a_batch(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Messages accepted close together are told of in one batch, each with its own attempt."""
    sandbox.react(Reaction("email", seconds=0.3, times=2))
    sendgrid.send(mail("ana@debtor.test", "att-1"))
    sendgrid.send(mail("ben@debtor.test", "att-2"))
    [got] = receiver.wait(1, DOOR)
    assert [each["relance_attempt"] for each in got.events] == ["att-1", "att-1", "att-2", "att-2"]


def test_a_refused_batch_comes_again(sendgrid: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """Anything but a 2xx is repeated, the same bytes with the same event ids, until it is taken."""
    answers = iter([(500, ""), (403, ""), (204, "")])
    receiver.answer = lambda _got: next(answers)
    sendgrid.send(mail())
    got = receiver.wait(3, DOOR)
    assert len({(each.body, each.headers[SIGNATURE]) for each in got}) == 1
    assert [(each["status"], each["number"]) for each in events("posted")] == [(500, 1), (403, 2), (204, 3)]


def test_events_can_come_before_the_answer(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Early events have arrived by the time mail/send is answered."""
    sandbox.react(Reaction(early=True))
    sendgrid.send(mail())
    assert len(receiver.got) == 1


def test_events_can_be_lost(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Every second message is never spoken of again."""
    sandbox.react(Reaction("email", every=2, receipts=()))
    for number in range(4):
        sendgrid.send(mail(attempt=f"att-{number}"))
    heard = {"att-0", "att-2"}
    until(lambda: attempts(receiver) >= heard)
    assert attempts(receiver) == heard
