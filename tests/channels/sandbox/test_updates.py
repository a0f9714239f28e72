"""What has been accepted is cancelled or ended, by Twilio's own updates."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.twiml.voice_response import VoiceResponse

from channels.sandbox import Fault, Reaction, Sandbox

from .clients import twilio_client
from .conftest import Events
from .receiver import Got, Receiver

TO, FROM, SERVICE = "+33639981234", "+33939980000", "MG" + "0" * 32
EVENTS = ["initiated", "ringing", "answered", "completed"]


def call(twilio: Any, receiver: Receiver, **more: Any) -> Any:
    asked = {"url": f"{receiver.url}/voice/att-1", "status_callback": f"{receiver.url}/status/att-1", **more}
    return twilio.calls.create(to=TO, from_=FROM, status_callback_event=EVENTS, **asked)


def text(twilio: Any, receiver: Receiver, send_at: datetime | None = None, **more: Any) -> Any:
    timed = {"send_at": send_at, "schedule_type": "fixed"} if send_at else {}
    callback = f"{receiver.url}/status/att-1"
    fields = {"messaging_service_sid": SERVICE, "status_callback": callback, **timed, **more}
    return twilio.messages.create(to=TO, body="Bonjour", **fields)


def refused(change: Any, **fields: str) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        change(**fields)
    return caught.value.status, caught.value.code


def later(hours: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


class Gate:
    """Holds the receiver's answer to one request until the test lets it go on."""

    def __init__(self, receiver: Receiver, status: str) -> None:
        self.reached, self._go = threading.Event(), threading.Event()
        self._path, _, self._status = status.rpartition(" ")
        receiver.answer = self._answer

    def _answer(self, got: Got) -> tuple[int, str]:
        if got.path.startswith(self._path) and got.form["CallStatus"] == self._status:
            self.reached.set()
            self._go.wait(10)
        said = VoiceResponse()
        said.say("Bonjour")
        return (200, str(said)) if got.path.startswith("/voice") else (204, "")

    def __enter__(self) -> None:
        assert self.reached.wait(10)

    def __exit__(self, *_: object) -> None:
        self._go.set()


def test_a_queued_call_is_cancelled(twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """A call that waits in the provider's queue never rings; its end is told, and the log has a line of its own."""
    sandbox.react(Reaction("voice", seconds=60))
    made = call(twilio, receiver)
    assert (made.status, twilio.calls(made.sid).fetch().status) == ("queued", "queued")
    changed = twilio.calls(made.sid).update(status="canceled")
    assert (changed.status, changed.duration) == ("canceled", "0")
    [told] = receiver.wait(1)
    assert (told.form["CallStatus"], told.form["SequenceNumber"], told.signed) == ("canceled", "0", True)
    assert twilio.calls(made.sid).fetch().status == "canceled"
    [line] = events("canceled")
    assert (line["id"], line["attempt"], line["channel"]) == (made.sid, "att-1", "voice")
    lines = [(each["event"], each["request"]) for each in events()]
    assert lines.index(("canceled", line["request"])) < lines.index(("answered", line["request"]))


def test_a_cancelled_call_is_not_walked_when_its_turn_comes(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events
) -> None:
    """The queue comes to it, and finds it gone: no document is asked for, while the call behind it is walked."""
    sandbox.react(Reaction("voice", seconds=2))
    gone, walked = call(twilio, receiver), call(twilio, receiver, url=f"{receiver.url}/voice/att-2")
    assert twilio.calls(gone.sid).update(status="canceled").status == "canceled"
    receiver.wait(5, "/status")
    assert [each.path for each in receiver.at("/voice")] == ["/voice/att-2"]
    assert {each["id"] for each in events("twiml")} == {walked.sid}


@pytest.mark.parametrize(
    ("event", "status", "told"),
    [("initiated", "queued", ["initiated"]), ("ringing", "ringing", ["initiated", "ringing"])],
)
def test_a_ringing_call_is_cancelled(
    twilio: Any, receiver: Receiver, events: Events, event: str, status: str, told: list[str]
) -> None:
    """A phone that is dialled or rings stops there: nobody picks up, nothing is said."""
    gate = Gate(receiver, f"/status {event}")
    made = call(twilio, receiver)
    with gate:
        assert twilio.calls(made.sid).fetch().status == status
        assert twilio.calls(made.sid).update(status="canceled").status == "canceled"
    assert [each.form["CallStatus"] for each in receiver.wait(len(told) + 1)] == [*told, "canceled"]
    assert events("twiml") == []
    assert len(events("canceled")) == 1


def test_a_call_in_progress_is_ended(twilio: Any, receiver: Receiver, events: Events) -> None:
    """Cancelling leaves it as it is, as Twilio has it; completing ends it, and what comes after is not heard."""
    gate = Gate(receiver, "/voice in-progress")
    made = call(twilio, receiver)
    with gate:
        assert twilio.calls(made.sid).update(status="canceled").status == "in-progress"
        assert twilio.calls(made.sid).update(status="completed").status == "completed"
    told = [each.form["CallStatus"] for each in receiver.wait(4, "/status")]
    assert told == ["initiated", "ringing", "in-progress", "completed"]
    assert [each["attempt"] for each in events("ended")] == ["att-1"]
    assert events("canceled") == []
    assert [(each.get("text"), each["error"]) for each in events("twiml")] == [(None, "ended before it was heard")]


def test_completing_a_queued_call_cancels_it(twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """Nobody picked up, so it was not completed."""
    sandbox.react(Reaction("voice", seconds=60))
    made = call(twilio, receiver)
    assert twilio.calls(made.sid).update(status="completed").status == "canceled"
    assert [each["id"] for each in events("canceled")] == [made.sid]


@pytest.mark.parametrize("status", ["canceled", "completed"])
def test_what_is_over_cannot_be_changed(twilio: Any, receiver: Receiver, events: Events, status: str) -> None:
    """A call that ended, and one that was cancelled, are Twilio's 400, 21220; neither changes."""
    made = call(twilio, receiver, url=None, twiml="<Response/>")
    receiver.wait(4)
    assert refused(twilio.calls(made.sid).update, status=status) == (400, 21220)
    assert twilio.calls(made.sid).fetch().status == "completed"
    assert events("canceled", "ended") == []


def test_a_call_nobody_is_told_of_is_cancelled_once(twilio: Any, receiver: Receiver, events: Events) -> None:
    """Without any callback it waits for ever, can be cancelled, and the second time it is over."""
    made = twilio.calls.create(to=TO, from_=FROM, twiml="<Response/>")
    assert twilio.calls(made.sid).update(status="canceled").status == "canceled"
    assert refused(twilio.calls(made.sid).update, status="canceled") == (400, 21220)
    assert len(events("canceled")) == 1
    assert events("posted") == []


def test_a_silent_provider_tells_no_cancellation(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Where no receipts were ordered, none comes of a cancellation either."""
    sandbox.react(Reaction(receipts=(), seconds=60))
    twilio.calls(call(twilio, receiver).sid).update(status="canceled")
    twilio.messages(text(twilio, receiver, later()).sid).update(status="canceled")
    receiver.wait(0)


def test_only_one_of_many_cancels_a_call(twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """Eight at once: one finds it queued, the others find it over."""
    sandbox.react(Reaction("voice", seconds=60))
    sid, outcomes = call(twilio, receiver).sid, []

    def cancel() -> None:
        try:
            outcomes.append(twilio_client(sandbox.twilio_url).calls(sid).update(status="canceled").status)
        except TwilioRestException as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [21220] * 7 + ["canceled"]
    assert len(events("canceled")) == len(receiver.wait(1)) == 1


def test_a_scheduled_message_is_cancelled(twilio: Any, receiver: Receiver, events: Events) -> None:
    """Nothing was sent, one receipt says so and nothing else is told; a second time there is nothing to cancel."""
    made = text(twilio, receiver, later())
    assert made.status == "scheduled"
    changed = twilio.messages(made.sid).update(status="canceled")
    assert (changed.status, changed.date_sent) == ("canceled", None)
    [told] = receiver.wait(1)
    assert (told.form["MessageStatus"], told.form["MessageSid"], told.signed) == ("canceled", made.sid, True)
    assert refused(twilio.messages(made.sid).update, status="canceled") == (400, 30409)
    assert [(each["id"], each["attempt"]) for each in events("canceled")] == [(made.sid, "att-1")]


def test_a_scheduled_message_leaves_at_its_time(twilio: Any, receiver: Receiver) -> None:
    """No receipt comes before SendAt, and after it the message can no longer be cancelled."""
    at = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    arrived: list[datetime] = []

    def answer(_got: Got) -> tuple[int, str]:
        arrived.append(datetime.now(UTC))
        return 204, ""

    receiver.answer = answer
    made = text(twilio, receiver, at)
    assert [each.form["MessageStatus"] for each in receiver.wait(2)] == ["sent", "delivered"]
    assert min(arrived) >= at
    assert twilio.messages(made.sid).fetch().status == "delivered"
    assert refused(twilio.messages(made.sid).update, status="canceled") == (400, 30409)


def test_a_message_on_its_way_cannot_be_cancelled(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Only a scheduled one can: a queued one, and one whose time came before its receipts, are 30409."""
    sandbox.react(Reaction(seconds=60))
    assert refused(twilio.messages(text(twilio, receiver).sid).update, status="canceled") == (400, 30409)
    at = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    made = text(twilio, receiver, at)
    while (status := twilio.messages(made.sid).fetch().status) == "scheduled":
        assert datetime.now(UTC) < at + timedelta(seconds=10)
    assert status == "accepted"
    assert refused(twilio.messages(made.sid).update, status="canceled") == (400, 30409)


def test_a_cancelled_message_does_not_leave_when_its_time_comes(twilio: Any, receiver: Receiver) -> None:
    """Its time passes, and one receipt is all that was ever told of it."""
    at = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    made, kept = text(twilio, receiver, at), text(twilio, receiver, at)
    assert twilio.messages(made.sid).update(status="canceled").status == "canceled"
    told = [each.form["MessageStatus"] for each in receiver.wait(3) if each.form["MessageSid"] == made.sid]
    assert told == ["canceled"]
    assert twilio.messages(kept.sid).fetch().status == "delivered"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messaging_service_sid": None, "from_": FROM, "send_at": later()}, 35118),
        ({"schedule_type": "fixed"}, 35111),
        ({"send_at": later(-1)}, 35115),
        ({"send_at": "tomorrow"}, 35115),
    ],
)
def test_a_badly_timed_message_is_refused(twilio: Any, receiver: Receiver, fields: dict[str, Any], code: int) -> None:
    """A schedule needs a service and a time to come."""
    asked = {name: value for name, value in {"schedule_type": "fixed", **fields}.items() if value is not None}
    service = {} if "from_" in fields else {"messaging_service_sid": SERVICE}
    assert refused(twilio.messages.create, to=TO, body="x", **service, **asked) == (400, code)


def test_what_is_not_there_cannot_be_changed(twilio: Any, receiver: Receiver) -> None:
    """An unknown sid is 20404; what the sandbox does not do, like a redirect, is a 400 that says so."""
    assert refused(twilio.calls("CA" + "0" * 32).update, status="canceled") == (404, 20404)
    made = twilio.calls.create(to=TO, from_=FROM, twiml="<Response/>")
    assert refused(twilio.calls(made.sid).update, twiml="<Response/>")[0] == 400
    assert refused(twilio.messages(text(twilio, receiver).sid).update, body="")[0] == 400


def test_faults_leave_changes_alone(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """A provider whose sends and lists fail still fetches and cancels."""
    made = twilio.calls.create(to=TO, from_=FROM, twiml="<Response/>")
    sandbox.fault(Fault("500"))
    sandbox.fault(Fault("500", on="list"))
    assert twilio.calls(made.sid).update(status="canceled").status == "canceled"
    assert twilio.calls(made.sid).fetch().status == "canceled"
