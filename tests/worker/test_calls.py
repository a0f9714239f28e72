"""Calls from end to end: a phone rings, keys are pressed, and the next message leaves, or does not.

The sandbox is Twilio: it fetches what to say over HTTP, signed, presses keys, and reports how the call went.
"""

import json
import socket
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from channels.sandbox import Reaction, Sandbox
from tests.conftest import MakeApp
from worker.dunning.answers import Answer
from worker.dunning.model import Case
from worker.inbound import answer, receive
from worker.inbox import read_receipt
from worker.operations import approve, release, tasks

from .config_copy import B2B, CHANNELS, DEMO, Copy
from .payloads import fact
from .programs import until
from .rig import MORNING, PARIS, Rig, outbox
from .test_web import conforms, hangs_up
from .web.served import TOKEN, Doors, serving
from .web.served import Answer as Answered

CA = "CA" + "1b" * 16
PHONE = "+33639980101"


@dataclass
class Line:
    """A debtor with a phone, whom the first reminder calls."""

    rig: Rig
    doors: Doors
    sandbox: Sandbox
    log: Path
    public: str

    def call(self, *keys: str, locale: str = "fr_FR", **reaction: Any) -> Case:
        """A call that was placed and went so; the case as it is once everything it led to has left."""
        self.sandbox.react(Reaction("voice", keys=keys, **reaction))
        case = self.rig.open(debtor__phone=PHONE, debtor__locale=locale)
        self.rig.settle(case)
        self.hear(1)
        self.rig.settle(case)
        return self.rig.case(case.id)

    def hear(self, calls: int) -> None:
        """Wait until that many calls are over, and take in what was reported of them."""
        until(lambda: len(self._lines("posted", said="completed")) >= calls)
        for handed in self.doors.queued():
            receive(self.rig.app, read_receipt(handed["receipt"]))
        self.rig.app.broker.client.flushdb()

    def heard(self) -> list[str]:
        """What was said on the phone, document by document."""
        return [line.get("text", "") for line in self._lines("twiml")]

    def _lines(self, event: str, **fields: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event and fields.items() <= line.items()]

    def left(self) -> Counter[str]:
        """How many messages have left, by channel, in all."""
        return Counter([each["channel"] for each in (*self.sandbox.accepted(), *outbox(Path()))])

    def on(self, case: Case, day: date, hour: int = 10) -> Counter[str]:
        """Let that day come."""
        self.rig.jump(datetime(day.year, day.month, day.day, hour, tzinfo=PARIS))
        self.rig.settle(case)
        return self.left()

    def post(self, case: Case, path: str = "", **form: str) -> Answered:
        """As Twilio asks the door of the first call: what to say, or `path`, what follows a key."""
        at = f"/webhooks/twilio/voice/{case.id}.1{path}"
        return self.doors.twilio(at, {"CallSid": CA, "CallStatus": "in-progress", **form}, public=self.public)

    def press(self, case: Case, *keys: str) -> list[bytes]:
        """Press these, each where the document before says; the documents."""
        documents = [self.post(case).body]
        for digit in keys:
            documents.append(self.post(case, way_on(documents[-1], case), Digits=digit).body)
        return documents


def way_on(document: bytes, case: Case) -> str:
    """Where a document posts what is pressed, below the call's own path."""
    gather = conforms(document).find("Gather")
    assert gather is not None, "the call is over"
    return urldefrag(gather.get("action", "")).url.partition(f"{case.id}.1")[2]


def words(document: bytes) -> str:
    """What a document says."""
    return " ".join("".join(say.itertext()) for say in ET.fromstring(document).iter("Say"))  # noqa: S314 our own


Open = Callable[[Callable[[Copy], None]], Line]


@pytest.fixture
def open_line(make_app: MakeApp, tmp_path: Path) -> Iterator[Open]:
    """Puts a line together, under the shipped configuration whose first reminder is a call, changed as a test wants."""
    with contextmanager(_lines)(make_app, tmp_path) as found:
        yield found


def _lines(make_app: MakeApp, tmp_path: Path) -> Iterator[Open]:
    log = tmp_path / "sandbox.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as listener, Sandbox(log=log) as sandbox:
        port = listener.getsockname()[1]
        public = f"http://127.0.0.1:{port}"
        environ = {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "PUBLIC_URL": public,
            "RELANCE_SECRET_KEY": "k" * 40,
        }
        served = []

        def put_together(change: Callable[[Copy], None]) -> Line:
            copy = Copy(tmp_path / "config")
            copy.edit(B2B, "channel: email\n    tone: 1", "channel: voice\n    notice: call\n    tone: 1")
            change(copy)
            app = make_app(at=MORNING, speed=1, config=copy.folder, **environ)
            served.append(serving(app, listener))
            served[-1].__enter__()
            return Line(Rig(app), Doors(app, port), sandbox, log, public)

        try:
            yield put_together
        finally:
            for each in served:
                each.__exit__(None, None, None)


@pytest.fixture
def line(open_line: Open) -> Line:
    """A line under the shipped configuration."""
    return open_line(lambda _: None)


# ---- each key, from the signed request to the next message


#: The SMS step's day is Tuesday 7 April: the fifth of April is a Sunday, Easter Monday follows.
SMS_STEP = date(2026, 4, 7)


@pytest.mark.parametrize("locale", ["fr_FR", "en_GB"])
def test_nobody_presses_anything(line: Line, locale: str) -> None:
    """The greeting twice, the number to call, and no word of what it is about; silence, so the ladder goes on."""
    case = line.call(locale=locale)
    first, second, last = line.heard()
    assert first == second
    assert {"fr_FR": "appel automatique", "en_GB": "automated call"}[locale] in first
    assert {"fr_FR": "01, 99, 00, 12, 34", "en_GB": "9 9, 0 0, 1 2, 3 4"}[locale] in last
    for secret in ("factur", "invoice", "1200", "euro", "2026", "règl", "pay ", "dette", "debt"):
        assert secret not in f"{first} {last}".lower()
    assert line.left() == {"voice": 1}
    assert line.on(case, SMS_STEP) == {"voice": 1, "sms": 1}


def test_contact_is_not_an_answer(line: Line) -> None:
    """The right person who then says nothing is written to about the call, and is reminded as before."""
    case = line.call("1")
    assert [said.kind for said in case.said] == ["confirmed"]
    assert "1200 euros 50" in line.heard()[1]
    assert "F, 2 0 2 6, 0 0 1" in line.heard()[1]
    assert line.left() == {"voice": 1, "email": 1}
    assert line.on(case, SMS_STEP) == {"voice": 1, "email": 1, "sms": 1}


def test_the_link_leaves_while_they_are_on_the_phone(line: Line) -> None:
    """1: one SMS with the page's link, however often it is asked for; no hold, so the ladder goes on."""
    case = line.call("1", "1", "1")
    (text,) = [entry["text"] for entry in line.sandbox.accepted() if entry["channel"] == "sms"]
    assert f"{line.public}/r/" in text
    assert text.endswith(text.split("Réf. ")[1])
    assert line.left() == {"voice": 1, "sms": 1, "email": 1}
    assert line.on(case, SMS_STEP) == {"voice": 1, "sms": 2, "email": 1}


def test_already_paid_holds_five_business_days(line: Line) -> None:
    """2: long enough to see whether the money came; then the ladder goes on."""
    case = line.call("1", "2")
    assert line.on(case, date(2026, 4, 9)) == {"voice": 1, "email": 1}
    assert line.on(case, date(2026, 4, 10)) == {"voice": 1, "email": 1, "sms": 1}


@pytest.mark.parametrize(
    ("keys", "day", "quiet", "next_day"),
    [
        (("1", "3", "1", "1"), date(2026, 4, 7), date(2026, 4, 9), date(2026, 4, 10)),
        (("1", "3", "2", ""), date(2026, 4, 8), date(2026, 4, 10), date(2026, 4, 13)),
        (("1", "3", "3", "4"), date(2026, 4, 15), date(2026, 4, 17), date(2026, 4, 20)),
        (("1", "3", "3", "9", "1", "2"), date(2026, 4, 7), date(2026, 4, 9), date(2026, 4, 10)),
    ],
    ids=["3 days", "7 days", "14 days", "changed"],
)
def test_a_promise_that_is_broken(line: Line, keys: tuple[str, ...], day: date, quiet: date, next_day: date) -> None:
    """3 and a date: read back, held until two business days after; then the next step, one tone firmer."""
    case = line.call(*keys)
    (hold,) = case.holds
    assert [said.on for said in case.said if said.kind == "promise"][-1] == day
    months = {4: "avril"}
    assert f"{day.day} {months[day.month]} 2026" in next(
        text for text in reversed(line.heard()) if "vous réglerez" in text
    )
    assert line.on(case, quiet) == {"voice": 1, "email": 1}
    assert line.on(case, next_day) == {"voice": 1, "email": 1, "sms": 1}
    after = line.rig.case(case.id)
    assert hold.reason == "promise"
    assert after.runs[-1].firmer
    assert "HoldLapsed" in line.rig.kinds(case)


def test_a_promise_in_english(line: Line) -> None:
    """Asked for, read back and confirmed in the debtor's language, by a voice that speaks it; broken, all the same."""
    case = line.call("1", "3", "1", "2", locale="en_GB")
    heard = line.heard()
    say = conforms(line.post(case).body).find(".//Say")
    assert say is not None
    assert (say.get("voice"), say.get("language")) == ("Polly.Amy-Neural", "en-GB")
    assert "1200 euros 50" in heard[1]
    assert "by Tuesday, 7 April 2026" in heard[3]
    assert "by card" in heard[4]
    (email,) = outbox(Path())
    assert "You will pay by Tuesday, 7 April 2026." in email["text"]
    assert line.on(case, date(2026, 4, 9)) == {"voice": 1, "email": 1}
    assert line.on(case, date(2026, 4, 10)) == {"voice": 1, "email": 1, "sms": 1}
    (last,) = [entry["text"] for entry in line.sandbox.accepted() if entry["channel"] == "sms"]
    assert "the agreed date has passed" in last


def test_a_promise_that_is_kept(line: Line) -> None:
    """Paid in time: nothing more is sent, and upstream reads that it was kept."""
    case = line.call("1", "3", "2", "1")
    assert case.promised_method == "transfer"
    line.rig.pay()
    assert line.on(case, date(2026, 4, 30)) == {"voice": 1, "email": 1}
    assert line.rig.kinds(case)[-2:] == ["HoldLapsed", "CaseEnded"]


@pytest.mark.parametrize(("key", "kind"), [("4", "instalments"), ("5", "dispute"), ("6", "call_me")])
def test_what_a_person_must_settle(line: Line, key: str, kind: str) -> None:
    """4, 5, 6: nothing leaves until a person, whose task it is, lets it go on."""
    case = line.call("1", key)
    assert [task.kind for task in tasks(line.rig.app, ["demo"])] == [kind]
    assert line.on(case, date(2026, 6, 19)) == {"voice": 1, "email": 1}
    release(line.rig.app, case.id, None, "somebody")
    assert line.on(case, date(2026, 6, 22)) == {"voice": 1, "email": 1, "sms": 1}


def test_a_refusal_leads_to_the_formal_notice(line: Line) -> None:
    """7: no step in between; it waits for a person's approval, and then leaves."""
    case = line.call("1", "7")
    assert line.on(case, date(2026, 4, 20)) == {"voice": 1, "email": 1}
    hold = line.rig.case(case.id).case_hold()
    assert hold
    assert (hold.reason, hold.note) == ("approval_pending", "formal_notice")
    approve(line.rig.app, case.id, "formal_notice", "somebody")
    assert line.on(case, date(2026, 4, 21)) == {"voice": 1, "email": 2}
    assert line.rig.case(case.id).runs[-1].step == "formal_notice"


@pytest.mark.parametrize("keys", [("1", "8"), ("8",)], ids=["from the menu", "at once"])
def test_a_wrong_number_is_not_used_again(line: Line, keys: tuple[str, ...]) -> None:
    """8: neither called nor texted; a person is told, and what comes next goes by email."""
    case = line.call(*keys)
    assert dict(case.unusable) == {"sms": "wrong_person, call", "voice": "wrong_person, call"}
    assert [task.kind for task in tasks(line.rig.app, ["demo"])] == ["wrong_person"]
    before = line.left()
    assert line.on(case, SMS_STEP) == before + Counter(email=1)


@pytest.mark.parametrize("keys", [("1", "0"), ("0",)], ids=["from the menu", "at once"])
def test_no_more_calls(line: Line, keys: tuple[str, ...]) -> None:
    """0: the next call's step goes by another channel, an SMS still may."""
    case = line.call(*keys)
    assert line.on(case, SMS_STEP) == {"voice": 1, "email": 1, "sms": 1}
    assert line.on(case, date(2026, 4, 10))["voice"] == 1
    assert sum(line.left().values()) == 4


def test_repeat_and_mistakes_change_nothing(line: Line) -> None:
    """9 says it again; a key that means nothing is said to mean nothing."""
    case = line.call("1", "9", "*", "2")
    heard = line.heard()
    assert heard[1] == heard[2]
    assert "aucun choix" in heard[3]
    assert [said.kind for said in case.said] == ["confirmed", "already_paid"]


@pytest.mark.parametrize("keys", [("9",), ("1", "9"), ("1", "9", "9", "*")], ids="".join)
def test_to_have_it_repeated_is_not_an_answer(line: Line, keys: tuple[str, ...]) -> None:
    """9 and a key that means nothing, and then silence: the next step comes on its day."""
    case = line.call(*keys)
    assert {said.kind for said in case.said} <= {"confirmed"}
    assert not case.holds
    before = line.left()
    assert line.on(case, SMS_STEP) == before + Counter(sms=1)


# ---- the recap


def test_the_recap_says_what_was_pressed_and_leaves_once(line: Line) -> None:
    """Although the promise holds the case; of a date that was changed it has the last."""
    case = line.call("1", "3", "3", "9", "2", "1")
    (email,) = outbox(Path())
    assert "8 avril 2026" in email["text"]
    assert "15 avril" not in email["text"]
    assert "par virement" in email["text"]
    assert email["subject"] == "Facture F-2026/001 : suite à notre appel"
    line.rig.settle(case)
    assert line.left() == {"voice": 1, "email": 1}


def test_the_recap_goes_by_sms_to_whoever_has_no_mailbox(line: Line) -> None:
    """And in English to whoever is written to in English."""
    line.sandbox.react(Reaction("voice", keys=("1", "5")))
    case = line.rig.open(debtor__phone=PHONE, debtor__email=..., debtor__locale="en_GB")
    line.rig.settle(case)
    line.hear(1)
    line.rig.settle(case)
    (text,) = [entry["text"] for entry in line.sandbox.accepted() if entry["channel"] == "sms"]
    assert "something is wrong" in text


def test_no_recap_after_a_payment(line: Line) -> None:
    """Paid before the call was over: nothing follows."""
    line.sandbox.react(Reaction("voice", keys=("1", "2"), receipts=()))
    case = line.rig.open(debtor__phone=PHONE)
    line.rig.settle(case)
    until(lambda: len(line.heard()) == 3)
    line.rig.pay()
    line.rig.settle(case)
    line.post(case)
    assert line.left() == {"voice": 1}


# ---- the door


@pytest.fixture
def ringing(line: Line) -> tuple[Line, Case]:
    """A call placed, of which the sandbox says nothing: the test itself is Twilio."""
    line.sandbox.react(Reaction("voice", answer="busy", receipts=()))
    case = line.rig.open(debtor__phone=PHONE)
    line.rig.settle(case)
    return line, line.rig.case(case.id)


def test_the_same_form_again_gets_the_same_words(ringing: tuple[Line, Case]) -> None:
    """Every document of a call is asked for twice; what it did is done once, and the second promise counts anew."""
    line, case = ringing
    document = line.post(case).body
    for digit in ("1", "9", "1", "3", "3", "9", "1", "1"):
        path = way_on(document, case)
        document = line.post(case, path, Digits=digit).body
        before = line.rig.kinds(case)
        assert line.post(case, path, Digits=digit).body == document
        assert line.rig.kinds(case) == before
    said = line.rig.case(case.id).said
    assert [each.kind for each in said] == ["confirmed", "link", "promise", "promise", "method"]
    assert [each.on for each in said if each.on] == [date(2026, 4, 15), date(2026, 4, 7)]


@pytest.mark.parametrize("keys", [("1", "7"), ("8",), ("1", "4"), ("1", "2")], ids="".join)
def test_the_last_form_again_gets_the_last_words(ringing: tuple[Line, Case], keys: tuple[str, ...]) -> None:
    """Also once the rules have made of the answer what they do: a hold for approval, another step."""
    line, case = ringing
    documents = line.press(case, *keys)
    line.rig.settle(case)
    again = line.post(case, way_on(documents[-2], case), Digits=keys[-1]).body
    assert again == documents[-1]
    assert words(again)


@pytest.mark.parametrize(
    "meanwhile",
    [
        fact("payment_received", invoice="F-2026/001", amount="1200.50", currency="EUR"),
        fact("case_held", reason="vulnerable"),
        fact("case_closed", reason="cancelled"),
    ],
    ids=["paid", "held", "closed"],
)
def test_what_happens_in_the_middle_of_a_call_ends_it(ringing: tuple[Line, Case], meanwhile: dict[str, Any]) -> None:
    """A key pressed after that does nothing. Whoever has just paid is thanked; else the line goes silent."""
    line, case = ringing
    documents = line.press(case, "1")
    target = {} if meanwhile["type"] == "payment_received" else {"case": case.id}
    line.rig.take({**meanwhile, **target})
    line.rig.settle(case)
    before = line.rig.kinds(case)
    last = line.post(case, way_on(documents[-1], case), Digits="5").body
    if meanwhile["type"] == "payment_received":
        assert "Votre règlement vient de nous parvenir" in words(last)
        assert [element.tag for element in conforms(last)] == ["Say", "Hangup"]
    else:
        assert hangs_up(last)
    assert hangs_up(line.post(case).body)
    assert line.rig.kinds(case) == before


def test_an_answer_by_another_way_ends_the_call(ringing: tuple[Line, Case]) -> None:
    """Disputed on the page while the phone rang: it has nothing to say any more."""
    line, case = ringing
    answer(line.rig.app, case.id, Answer(kind="dispute", source="page", ref="p"))
    assert hangs_up(line.post(case).body)


@pytest.mark.parametrize(
    "path", ["/key", "/key?at=nowhere", "/key?at=menu&again=99", "/key?at=menu&changes=x", "/key?at="]
)
def test_a_place_we_did_not_write_hangs_up(ringing: tuple[Line, Case], path: str) -> None:
    """Signed or not in error: no exception, no effect."""
    line, case = ringing
    before = line.rig.kinds(case)
    reply = line.post(case, path, Digits="2")
    assert (reply.status, hangs_up(reply.body)) == (200, True)
    assert line.rig.kinds(case) == before


def test_a_key_that_was_not_signed_does_nothing(ringing: tuple[Line, Case]) -> None:
    """Another token, another place, another key than was signed: 403."""
    line, case = ringing
    path = f"/webhooks/twilio/voice/{case.id}.1/key?at=menu"
    form = {"CallSid": CA, "Digits": "2"}
    before = line.doors.kept()
    assert line.doors.twilio(path, form, token="guessed", public=line.public).status == 403
    signature = RequestValidator(TOKEN).compute_signature(line.public + path, form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    for at, body in ((path, b"CallSid=" + CA.encode() + b"&Digits=5"), (path.replace("menu", "date"), b"Digits=2")):
        assert line.doors.ask("POST", at, body, headers).status == 403
    assert line.doors.kept() == before


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(st.sampled_from(["at", "again", "changes", "x"]), st.text(max_size=20), max_size=4),
    form=st.dictionaries(st.sampled_from(["Digits", "CallSid", "AnsweredBy", "x"]), st.text(max_size=40), min_size=1),
    signed=st.booleans(),
)
def test_no_request_is_too_odd(
    ringing: tuple[Line, Case], query: dict[str, str], form: dict[str, str], signed: bool
) -> None:
    """Whatever is posted, to the first door or to the keys': a document or 403, and nothing changes."""
    line, case = ringing
    before, nowhere = line.rig.kinds(case), {**query, "at": f"?{query.get('at', '')}"}
    for path in (f"/key?{urlencode(nowhere)}", f"?{urlencode({**query, 'x': ''})}"):
        at = f"/webhooks/twilio/voice/{case.id}.1{path}"
        reply = line.doors.twilio(at, form, token=TOKEN if signed else "guessed", public=line.public)
        assert reply.status == (200 if signed else 403)
        if signed:
            conforms(reply.body)
    assert line.rig.kinds(case) == before


# ---- recorders


@pytest.mark.parametrize(
    ("answered_by", "says"),
    [
        ("machine_end_beep", True),
        ("machine_end_silence", True),
        ("machine_end_other", True),
        ("machine_start", False),
        ("fax", False),
    ],
)
def test_a_recorder_gets_the_neutral_message(ringing: tuple[Line, Case], answered_by: str, says: bool) -> None:
    """Who called and which number, once it may speak; to a fax, or over somebody's own greeting, nothing."""
    line, case = ringing
    document = line.post(case, AnsweredBy=answered_by).body
    assert bool(words(document)) == says
    assert [element.tag for element in conforms(document)] == (["Say", "Hangup"] if says else ["Hangup"])
    for secret in ("factur", "euro", "1200", "tapez", "Exemple SARL"):
        assert secret not in words(document)
    (_, send) = line.rig.case(case.id).find_attempt(1) or (None, None)
    assert send
    assert send.receipt == "machine"
    assert line.post(case, AnsweredBy=answered_by).body == document


@pytest.mark.parametrize("answered_by", ["human", "unknown", ""])
def test_whoever_may_be_a_person_is_asked(ringing: tuple[Line, Case], answered_by: str) -> None:
    """An unknown is somebody until they press nothing."""
    line, case = ringing
    assert conforms(line.post(case, AnsweredBy=answered_by).body).find("Gather") is not None


def test_a_recorder_can_be_hung_up_on(open_line: Open) -> None:
    """By configuration; a voicemail was a contact all the same, and the ladder goes on."""

    def change(copy: Copy) -> None:
        copy.edit(CHANNELS, "kind: twilio_voice", "kind: twilio_voice\n    machine_detection: DetectMessageEnd")
        copy.edit(DEMO, "voice:\n", "voice:\n  voicemail: hangup\n")

    line = open_line(change)
    case = line.call(answer="machine")
    assert line.heard() == [""]
    assert line.on(case, SMS_STEP) == {"voice": 1, "sms": 1}


@pytest.mark.parametrize("keys", [(), ("1", "2")])
def test_the_wait_for_what_comes_after_does_not_silence_a_call(open_line: Open, keys: tuple[str, ...]) -> None:
    """A case that takes its next step when its next job comes is held the moment the phone rings."""
    line = open_line(lambda copy: copy.edit(B2B, "driven_by: ladder", "driven_by: jobs"))
    line.sandbox.react(Reaction("voice", answer="busy", receipts=()))
    case = line.rig.open(debtor__phone=PHONE)
    line.rig.settle(case)
    assert [hold.reason for hold in line.rig.case(case.id).holds] == ["no_job"]
    documents = line.press(case, *keys)
    assert all(words(document) for document in documents)


# ---- calls in vain


def test_a_busy_line_is_called_again_at_another_hour_and_then_written_to(line: Line) -> None:
    """Three calls, hours apart and within the window, each a contact that the cap counts; then another channel."""
    line.sandbox.react(Reaction("voice", answer="busy"))
    case = line.rig.open(debtor__phone=PHONE)
    hours = []
    for calls in (1, 2, 3):
        for _ in range(4):  # the time to call again may fall into the lunch hour, or the night
            line.rig.settle(case)
            if line.left()["voice"] == calls:
                break
            line.rig.jump((line.rig.next_look(case) or MORNING) + timedelta(seconds=1))
        assert line.left() == {"voice": calls}
        hours.append(line.rig.app.clock.now().astimezone(PARIS))
        line.hear(calls)
        superseded = line.doors.twilio(
            f"/webhooks/twilio/voice/{case.id}.{calls - 1}", {"CallSid": CA}, public=line.public
        )
        assert hangs_up(superseded.body)
    line.rig.settle(case)
    assert all(later - before > timedelta(hours=2) for before, later in pairwise(hours))
    assert all(9 <= at.hour < 18 and at.hour not in (12, 13) for at in hours)
    assert len([c for c in line.rig.contacts(case) if "|voice" in c]) == 3
    assert line.left() == {"voice": 3, "email": 1}


def test_a_step_may_call_once(open_line: Open) -> None:
    """`attempts: 1`: nobody picked up, so it is written at once."""
    line = open_line(
        lambda copy: copy.edit(B2B, "notice: call\n    tone: 1", "notice: call\n    attempts: 1\n    tone: 1")
    )
    line.call(answer="no-answer")
    assert line.left() == {"voice": 1, "email": 1}


# ---- what is configured


def test_keys_and_voices_are_the_creditors(open_line: Open) -> None:
    """Other keys are asked for and understood; each language has the voice it was given."""

    def change(copy: Copy) -> None:
        keys = "keys: {confirm: 5, dispute: 7, refusal: 3, promise: 5}"
        voices = "voices: {fr-FR: Polly.Remi-Neural, en-US: Polly.Matthew}"
        copy.edit(DEMO, "voice:\n", f"voice:\n  {keys}\n  {voices}\n")

    line = open_line(change)
    case = line.call("5", "7")
    assert "tapez 5" in line.heard()[0]
    assert [said.kind for said in case.said] == ["confirmed", "dispute"]
    say = conforms(line.post(case).body).find(".//Say")
    assert say is not None
    assert (say.get("voice"), say.get("language")) == ("Polly.Remi-Neural", "fr-FR")
    other = line.rig.open(debtor__phone="+33639980102", debtor__id="D-2", debtor__locale="en_GB", job_id="j-9",
                          invoices__0__number="F-9")  # fmt: skip
    line.rig.settle(other)
    say = conforms(line.post(other).body).find(".//Say")
    assert say is not None
    assert (say.get("voice"), say.get("language")) == ("Polly.Matthew", "en-US")


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("keys: {refusal: 5}", "voice.keys: dispute and refusal are asked for together, and both have the key 5"),
        ("keys: {refuse: 5}", "'refuse' is not something that can be pressed for; did you mean 'refusal'?"),
        ("keys: {refusal: 12}", "voice.keys.refusal: 12 is not a key of a phone (one digit, 0 to 9)"),
        ("voices: {fr: Polly.Lea}", "'fr' is not a language with its country (such as 'fr-FR')"),
        ("voicemail: beep", "voice.voicemail: 'beep' is not one of: 'message' or 'hangup'"),
    ],
)
def test_a_menu_that_makes_no_sense_is_a_mistake(tmp_path: Path, own: str, problem: str) -> None:
    """Named with its place before anybody is called."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "voice:\n", f"voice:\n  {own}\n")
    assert any(problem in found for found in copy.problems())
