"""Calls that ring, talk, listen to keys and report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from twilio.twiml.voice_response import Gather, VoiceResponse

from channels.sandbox import Reaction, Sandbox

from .conftest import Events
from .receiver import Got, Receiver

TO, FROM = "+33639981234", "+33939980000"
EVENTS = ["initiated", "ringing", "answered", "completed"]
SCHEMA = json.loads((Path(__file__).parents[2] / "contracts" / "twiml_voice_schema.json").read_text(encoding="utf-8"))


def call(twilio: Any, receiver: Receiver, to: str = TO, **more: Any) -> Any:
    asked = {"url": f"{receiver.url}/voice/att-1", "status_callback": f"{receiver.url}/status/att-1", **more}
    return twilio.calls.create(to=to, from_=FROM, **{"status_callback_event": EVENTS, **asked})


def menu(says: str, action: str | None = None, **attributes: Any) -> VoiceResponse:
    response = VoiceResponse()
    gather = Gather(**({"action": action} if action else {}), num_digits=1, **attributes)
    gather.say(says)
    response.append(gather)
    return response


def serve(receiver: Receiver, documents: Mapping[str, object]) -> None:
    """Answer each path with its document, and receipts with 204."""

    def answer(got: Got) -> tuple[int, str]:
        found = documents.get(got.path)
        return (204, "") if found is None else (200, str(found))

    receiver.answer = answer


def progress(receiver: Receiver, count: int) -> list[str]:
    return [each.form["CallStatus"] for each in receiver.wait(count, "/status")]


def heard(events: Events) -> list[tuple[str, str]]:
    return [(each["text"], each["digits"]) for each in events("twiml")]


def test_a_person_presses_keys_through_a_menu(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events
) -> None:
    """Each Gather's keys go signed to its action, relative, absolute or none, and every document is in the log."""
    first = menu("Tapez 1.", "key?state=who")
    first.say("Au revoir.")
    pages = {"who": menu("Tapez 3.", f"{receiver.url}/voice/other"), "when": VoiceResponse()}
    pages["when"].say("C'est noté.")

    def answer(got: Got) -> tuple[int, str]:
        if got.path == "/voice/other":
            return 200, str(pages["when"] if got.form.get("Digits") == "2" else menu("Tapez 2."))
        if got.path == "/voice/key":
            return 200, str(pages["who"])
        return (200, str(first)) if got.path == "/voice/att-1" else (204, "")

    receiver.answer = answer
    sandbox.react(Reaction("voice", to=TO, keys=("1", "3", "2")))
    made = call(twilio, receiver)
    progress(receiver, 4)
    documents = receiver.at("/voice")
    assert all(each.signed and each.form["CallSid"] == made.sid for each in receiver.got)
    assert [(each.path, each.form.get("Digits")) for each in documents] == [
        ("/voice/att-1", None),
        ("/voice/key", "1"),
        ("/voice/other", "3"),
        ("/voice/other", "2"),
    ]
    assert documents[1].query == {"state": ["who"]}
    assert heard(events) == [("Tapez 1.", "1"), ("Tapez 3.", "3"), ("Tapez 2.", "2"), ("C'est noté.", "")]
    assert {each["id"] for each in events("twiml")} == {made.sid}


def test_silence_goes_on_after_the_gather(twilio: Any, receiver: Receiver, events: Events) -> None:
    """Who presses nothing hears the rest of the document, and a Redirect leads on."""
    first = menu("Tapez 1.", "key")
    first.redirect("again")
    serve(receiver, {"/voice/att-1": first, "/voice/again": menu("Au revoir.")})
    call(twilio, receiver)
    progress(receiver, 4)
    assert [each.path for each in receiver.at("/voice")] == ["/voice/att-1", "/voice/again"]
    assert heard(events) == [("Tapez 1.", ""), ("Au revoir.", "")]


def test_silence_can_be_posted(twilio: Any, receiver: Receiver) -> None:
    """With actionOnEmptyResult the action is told that nothing was pressed."""
    said = VoiceResponse()
    said.hangup()
    serve(receiver, {"/voice/att-1": menu("Tapez 1.", "key", action_on_empty_result=True), "/voice/key": said})
    call(twilio, receiver)
    progress(receiver, 4)
    assert receiver.at("/voice/key")[0].form["Digits"] == ""


def test_a_gather_takes_what_it_counts(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """numDigits cuts, the finishing key ends and is not told, and a GET carries its keys in a signed query."""
    several = VoiceResponse()
    several.gather(action="/code", method="GET")
    serve(receiver, {"/voice/att-1": menu("Tapez 1.", "/next"), "/next": several, "/code": VoiceResponse()})
    sandbox.react(Reaction(keys=("98", "75001#4")))
    call(twilio, receiver)
    progress(receiver, 4)
    assert receiver.at("/next")[0].form["Digits"] == "9"
    [code] = receiver.at("/code")
    assert (code.method, code.query["Digits"], code.signed) == ("GET", ["75001"], True)


def test_the_calls_life_is_told_in_order(twilio: Any, receiver: Receiver, events: Events) -> None:
    """The events asked for are posted as they happen, numbered, with how long it took; the call keeps its status."""
    said = VoiceResponse()
    said.say("Bonjour " * 200)
    serve(receiver, {"/voice/att-1": said})
    made = call(twilio, receiver)
    assert progress(receiver, 4) == ["initiated", "ringing", "in-progress", "completed"]
    told = [each.form for each in receiver.at("/status")]
    assert [each["SequenceNumber"] for each in told] == ["0", "1", "2", "3"]
    assert {each["CallbackSource"] for each in told} == {"call-progress-events"}
    assert (told[3]["CallDuration"], told[3]["Duration"], told[3]["SipResponseCode"]) == ("80", "2", "200")
    assert "AnsweredBy" not in told[3]
    assert all(each["Timestamp"].endswith("+0000") for each in told)
    assert [each.path for each in receiver.got][2:4] == ["/status/att-1", "/voice/att-1"]
    fetched = twilio.calls(made.sid).fetch()
    assert (fetched.status, fetched.duration) == ("completed", "80")
    assert [each["said"] for each in events("posted")] == EVENTS


def test_only_the_events_asked_for_are_told(twilio: Any, receiver: Receiver) -> None:
    """Without a list, Twilio tells of the end alone."""
    serve(receiver, {"/voice/att-1": VoiceResponse()})
    call(twilio, receiver, status_callback_event=[])
    assert progress(receiver, 1) == ["completed"]
    call(twilio, receiver, status_callback_event=["ringing"])
    assert progress(receiver, 2)[1] == "ringing"


@pytest.mark.parametrize(
    ("to", "order", "status"),
    [
        ("+33639980486", None, "busy"),
        ("+33639980480", None, "no-answer"),
        (TO, Reaction(answer="failed"), "failed"),
        (TO, Reaction("voice", answer="canceled"), "canceled"),
    ],
)
def test_nobody_picks_up(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, to: str, order: Reaction | None, status: str
) -> None:
    """An unanswered call asks for no words, and its end comes through the completed event."""
    if order is not None:
        sandbox.react(order)
    call(twilio, receiver, to=to)
    assert progress(receiver, 3) == ["initiated", "ringing", status]
    assert receiver.at("/status")[2].form["CallDuration"] == "0"
    assert receiver.at("/voice") == []


@pytest.mark.parametrize(
    ("detection", "answer", "told"),
    [
        ("DetectMessageEnd", "machine", "machine_end_beep"),
        ("Enable", "machine", "machine_start"),
        ("DetectMessageEnd", "machine_end_silence", "machine_end_silence"),
        ("Enable", "human", "human"),
    ],
)
def test_who_picked_up_is_told_where_asked(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, detection: str, answer: Any, told: str
) -> None:
    """With detection on, the first document's request and the completed receipt say who answered."""
    serve(receiver, {"/voice/att-1": menu("Bonjour.", "key"), "/voice/key": VoiceResponse()})
    sandbox.react(Reaction("voice", answer=answer, keys=("1",)))
    call(twilio, receiver, machine_detection=detection)
    progress(receiver, 4)
    assert [each.form.get("AnsweredBy") for each in receiver.at("/voice")] == [told, None]
    assert receiver.at("/status")[3].form["AnsweredBy"] == told


def test_detection_can_come_on_its_own(twilio: Any, receiver: Receiver) -> None:
    """Asynchronous detection goes to its own URL, and the document's request does not wait for it."""
    serve(receiver, {"/voice/att-1": VoiceResponse()})
    later = {"async_amd": "true", "async_amd_status_callback": f"{receiver.url}/amd/att-1"}
    call(twilio, receiver, to="+33639980888", machine_detection="DetectMessageEnd", **later)
    progress(receiver, 4)
    [detected] = receiver.wait(1, "/amd")
    assert (detected.form["AnsweredBy"], detected.signed) == ("machine_end_beep", True)
    assert "AnsweredBy" not in receiver.at("/voice")[0].form


def test_somebody_hangs_up_in_the_middle(twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """After so many documents the line is dead, whatever keys were still to come."""
    serve(receiver, {"/voice/att-1": menu("Tapez 1.", "key"), "/voice/key": menu("Tapez 3.", "key")})
    sandbox.react(Reaction("voice", keys=("1", "3", "3"), hangs_up=2))
    call(twilio, receiver)
    assert progress(receiver, 4)[3] == "completed"
    assert heard(events) == [("Tapez 1.", "1"), ("Tapez 3.", "")]


def test_a_dead_line_is_not_redirected(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Who has hung up hears no document that the last one leads to."""
    onward = VoiceResponse()
    onward.redirect("/voice/next")
    serve(receiver, {"/voice/att-1": onward, "/voice/next": VoiceResponse()})
    sandbox.react(Reaction("voice", hangs_up=1))
    call(twilio, receiver)
    assert progress(receiver, 4)[3] == "completed"
    assert [each.path for each in receiver.at("/voice")] == ["/voice/att-1"]


def test_a_loop_ends(twilio: Any, receiver: Receiver, events: Events) -> None:
    """A document that leads to itself is left after 60 rounds, and the log says so."""
    loop = VoiceResponse()
    loop.redirect("")
    serve(receiver, {"/voice/att-1": loop})
    call(twilio, receiver)
    progress(receiver, 4)
    assert len(receiver.at("/voice")) == 60
    assert "a loop" in events("twiml")[-1]["error"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("Bonjour", "12100: no XML"),
        ("<Reponse/>", "12100: expected <Response>, found <Reponse>"),
        ("<Response><say>x</say></Response>", "12100: <Response> has no <say>"),
        ("<Response><Gather><Hangup/></Gather></Response>", "12100: <Gather> has no <Hangup>"),
        ("<Response><Say><b>x</b></Say></Response>", "12100: <Say> has no <b>"),
        ("<Response><Dial>+33639981234</Dial></Response>", "the sandbox does not know how to <Dial>"),
    ],
)
def test_what_cannot_be_said_ends_the_call(
    twilio: Any, receiver: Receiver, events: Events, document: str, error: str
) -> None:
    """A document that is no TwiML is an error in the log, nothing of it is heard, and the call is over."""
    serve(receiver, {"/voice/att-1": document})
    call(twilio, receiver)
    assert progress(receiver, 4)[3] == "completed"
    [line] = events("twiml")
    assert error in line["error"]
    assert "text" not in line


def test_inline_words_are_gone_through_too(twilio: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """A call that brings its document and asks for receipts presses its keys from there."""
    serve(receiver, {"/key": VoiceResponse()})
    sandbox.react(Reaction(keys=("1",)))
    inline = {"url": None, "twiml": str(menu("Tapez 1.", f"{receiver.url}/key"))}
    asked = {name: value for name, value in inline.items() if value}
    twilio.calls.create(to=TO, from_=FROM, status_callback=f"{receiver.url}/status/att-1", **asked)
    progress(receiver, 1)
    assert receiver.at("/key")[0].form["Digits"] == "1"
    assert heard(events) == [("Tapez 1.", "1"), ("", "")]


@pytest.mark.parametrize("words", [("completed", "ringing", "initiated"), ("completed", "completed"), ()])
def test_a_calls_receipts_come_as_ordered(
    twilio: Any, sandbox: Sandbox, receiver: Receiver, words: tuple[str, ...]
) -> None:
    """Ordered receipts come when the call is over, in that order, each with the number it was born with."""
    serve(receiver, {"/voice/att-1": VoiceResponse()})
    sandbox.react(Reaction("voice", receipts=words))
    call(twilio, receiver)
    receiver.wait(1, "/voice")
    progress(receiver, len(words))
    numbers = [each.form["SequenceNumber"] for each in receiver.at("/status")]
    assert numbers == [str(EVENTS.index(word)) for word in words]


def test_what_never_happened_is_not_told(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """An order for a receipt that the call does not come to, or did not ask for, leaves it out."""
    sandbox.react(Reaction("voice", answer="busy", receipts=("answered", "completed", "ringing")))
    call(twilio, receiver, status_callback_event=["initiated", "completed"])
    assert progress(receiver, 1) == ["busy"]


def test_an_early_call_is_over_before_it_is_answered(twilio: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Ordered early, the whole call has happened by the time the create returns."""
    serve(receiver, {"/voice/att-1": VoiceResponse()})
    sandbox.react(Reaction("voice", early=True))
    call(twilio, receiver)
    assert [each.path for each in receiver.got].count("/status/att-1") == 4


def test_the_sandbox_knows_the_verbs_twilio_knows(twilio: Any, receiver: Receiver, events: Events) -> None:
    """Element by element, what may stand in a Response, a Gather or a Say is what the published schema says."""
    frames = {"Response": "{}", "Gather": "<Gather>{}</Gather>", "Say": "<Say>{}</Say>"}
    names = sorted(set(SCHEMA) - {"Response"})
    pages = {
        f"/voice/{parent}/{name}": f"<Response>{frame.format(f'<{name}/>')}</Response>"
        for parent, frame in frames.items()
        for name in names
    }
    serve(receiver, pages)
    for path in pages:
        call(twilio, receiver, url=receiver.url + path, status_callback_event=["completed"])
    progress(receiver, len(pages))
    lines = {each["url"].removeprefix(receiver.url): each for each in events("twiml")}
    refused = {path for path, each in lines.items() if each.get("error", "").startswith("12100")}
    allowed = {
        f"/voice/{parent}/{name}" for parent in frames for name in SCHEMA[parent]["children"] if name != "add_child"
    }
    assert len(pages) == 3 * len(names) > 150
    assert refused == set(pages) - allowed
