"""Each thing that can be written back: from the provider's request to the next message that leaves, or does not."""

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.sandbox import Doors as Addresses
from channels.sandbox import Sandbox
from tests.conftest import MakeApp
from tests.worker.config_copy import B2B, DEMO, Copy
from tests.worker.programs import until
from tests.worker.rig import MORNING, Rig
from worker.dunning.model import Case, attempt_id
from worker.inbound import receive
from worker.inbox import read_receipt, read_reply
from worker.operations import release, tasks
from worker.replies import listen

from .served import TOKEN, Doors, serving

PHONE, MAILBOX = "+33639980101", "compta@exemple-sarl.example"
INBOUND = "0123456789abcdefghijABCDEFGHIJ-_"
#: Undisturbed, the step after the first reminder goes by SMS on that day.
NEXT = date(2026, 4, 7)
WAYS = ["sms", "email"]


@dataclass
class Correspondent:
    """A debtor who has had the first reminder by email and by SMS, and can answer either."""

    rig: Rig
    doors: Doors
    sandbox: Sandbox
    case: Case

    def write(self, way: str, text: str, **more: Any) -> None:
        """By that way, delivered twice; it is worked on as a worker would."""
        name = "SM" + "0a" * 16 if way == "sms" else "<w1@client.example>"
        for _ in range(2):
            if way == "sms":
                heard = self.sandbox.sms_from(PHONE, text, **{"id": name, **more})
            else:
                heard = self.sandbox.mail_from(MAILBOX, text, **{"id": name, **more})
            assert heard.status in (200, 204)
        self.hear()
        self.rig.settle(self.case)

    def arrive(self) -> None:
        """What was sent arrives, and relance hears of it: what is still on its way may be called back."""
        until(lambda: {handed["receipt"]["attempt"] for handed in self.doors.queued() if arrived(handed)} == self.sent)
        self.hear()

    @property
    def sent(self) -> set[str]:
        """The attempts that have left."""
        case = self.rig.case(self.case.id)
        return {attempt_id(case, send.attempt) for run in case.runs for send in run.sends}

    def hear(self) -> None:
        """What the doors took is worked on."""
        for handed in self.doors.queued():
            if "reply" in handed:
                listen(self.rig.app, read_reply(self.rig.app, handed["reply"]))
            else:
                receive(self.rig.app, read_receipt(handed["receipt"]))
        self.rig.app.broker.client.flushdb()

    def on(self, day: date) -> dict[str, int]:
        """Let that day come; how many messages have left since they wrote, by channel."""
        self.rig.jump(datetime(day.year, day.month, day.day, 10, tzinfo=MORNING.tzinfo))
        self.rig.settle(self.case)
        return dict(Counter(entry["channel"] for entry in self.sandbox.accepted()[2:]))

    @property
    def said(self) -> list[str]:
        """What they were taken to have said."""
        return [said.kind for said in self.rig.case(self.case.id).said]


@pytest.fixture(params=["fr_FR", "en_GB"])
def debtor(request: pytest.FixtureRequest, make_app: MakeApp, tmp_path: Path) -> Iterator[Correspondent]:
    """Once in French, once in English."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "sender: AtelierDemo", "sender: '+33938000000'")
    copy.edit(DEMO, "sender_name: Atelier Démo", "sender_name: Atelier Démo\n  answers_at: answers.example")
    copy.edit(B2B, "channel: email\n    tone: 1", "channels: [email, sms]\n    tone: 1")
    with socket.create_server(("127.0.0.1", 0)) as listener, Sandbox() as sandbox:
        port = listener.getsockname()[1]
        public = f"http://127.0.0.1:{port}"
        sandbox.report_to(Addresses.under(public, INBOUND))
        environ = {
            "PUBLIC_URL": public,
            "RELANCE_SECRET_KEY": "k" * 40,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "SENDGRID_API_KEY": "SG.x",
            "SENDGRID_BASE_URL": sandbox.sendgrid_url,
            "SENDGRID_WEBHOOK_PUBLIC_KEY": sandbox.public_key,
            "SENDGRID_INBOUND_SECRET": INBOUND,
        }
        rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder, **environ))
        with serving(rig.app, listener):
            case = rig.open(debtor__phone=PHONE, debtor__email=MAILBOX, debtor__locale=request.param)
            rig.settle(case)
            assert sorted(entry["channel"] for entry in sandbox.accepted()) == ["email", "sms"]
            correspondent = Correspondent(rig, Doors(rig.app, port), sandbox, case)
            correspondent.arrive()
            yield correspondent


def arrived(handed: dict[str, Any]) -> bool:
    """Is it the news that a message was delivered?"""
    return bool(handed.get("receipt", {}).get("what") == "delivered")


def words(debtor: Correspondent, french: str, english: str) -> str:
    """As they would write it."""
    return french if debtor.case.debtor.locale == "fr_FR" else english


@pytest.mark.parametrize("way", WAYS)
def test_paid_holds_five_business_days(debtor: Correspondent, way: str) -> None:
    """Nothing meanwhile; no money came, so the next step leaves, once."""
    debtor.write(way, words(debtor, "Bonjour, c'est payé, merci", "Hello, this has already been paid, thanks"))
    assert debtor.said == ["already_paid"]
    assert debtor.on(date(2026, 4, 9)) == {}
    assert debtor.on(date(2026, 4, 10)) == {"sms": 1}


@pytest.mark.parametrize("way", WAYS)
def test_paid_and_there_it_is(debtor: Correspondent, way: str) -> None:
    """Nothing is sent any more."""
    debtor.write(way, words(debtor, "C'est payé", "Already paid"))
    debtor.rig.pay()
    assert debtor.on(date(2026, 7, 1)) == {}


@pytest.mark.parametrize("way", WAYS)
def test_a_promise_that_is_broken(debtor: Correspondent, way: str) -> None:
    """Its date and two business days; then the next step, one tone firmer."""
    debtor.write(way, words(debtor, "Je vous règle le 15 avril", "I will pay on 15 April"))
    assert debtor.said == ["promise"]
    assert debtor.on(date(2026, 4, 17)) == {}
    assert debtor.on(date(2026, 4, 20)) == {"sms": 1}
    assert [run.firmer for run in debtor.rig.case(debtor.case.id).runs] == [False, True]


@pytest.mark.parametrize("way", WAYS)
def test_a_promise_that_is_kept(debtor: Correspondent, way: str) -> None:
    """Upstream reads so, and nothing is sent any more."""
    debtor.write(way, words(debtor, "Je vous règle le 15 avril", "I will pay on 15 April"))
    debtor.rig.pay()
    assert debtor.on(date(2026, 7, 1)) == {}
    assert debtor.rig.kinds(debtor.case)[-2:] == ["HoldLapsed", "CaseEnded"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("french", "english", "kind"),
    [
        ("Je conteste cette facture", "I dispute this invoice", "dispute"),
        ("Je vois avec mon associé à son retour", "I shall ask my partner when she is back", "message"),
        ("Je paierai le 25/12/2026", "I will pay on 25 December 2026", "message"),
    ],
    ids=["dispute", "message", "too far"],
)
def test_what_a_person_must_settle(debtor: Correspondent, way: str, french: str, english: str, kind: str) -> None:
    """Nothing leaves until a person, who reads their words in a task, lets it go on."""
    debtor.write(way, words(debtor, french, english))
    assert debtor.said == [kind]
    (task,) = tasks(debtor.rig.app, ["demo"])
    assert words(debtor, french, english) in task.text
    assert debtor.on(date(2026, 6, 22)) == {}
    release(debtor.rig.app, debtor.case.id, None, "somebody")
    assert debtor.on(date(2026, 6, 23)) == {"sms": 1}


@pytest.mark.parametrize("more", [{}, {"opt_out": "STOP"}], ids=["the word", "the provider's"])
def test_stop_and_start_by_sms(debtor: Correspondent, more: dict[str, Any]) -> None:
    """The next step goes by email; once they want SMS again, the one after the call goes by both."""
    debtor.write("sms", words(debtor, "Arrêt svp", "stop please"), **more)
    assert debtor.on(NEXT) == {"email": 1}
    debtor.write("sms", "START", id="SM" + "0b" * 16)
    assert debtor.said == ["opt_out", "opt_in"]
    debtor.on(date(2026, 4, 13))
    assert debtor.on(date(2026, 4, 16)) == {"email": 2, "voice": 1, "sms": 1}


def test_stop_and_start_by_email(debtor: Correspondent) -> None:
    """Emails alone stop, and come again."""
    debtor.write("email", "STOP")
    assert dict(debtor.rig.case(debtor.case.id).unusable) == {"email": "opted_out, email"}
    assert debtor.on(NEXT) == {"sms": 1}
    debtor.on(date(2026, 4, 10))
    assert debtor.on(date(2026, 4, 16)) == {"sms": 2, "voice": 1}
    debtor.write("email", "START", id="<w2@client.example>")
    assert not debtor.rig.case(debtor.case.id).unusable


def test_help_by_sms_is_answered_and_holds_nothing(debtor: Correspondent) -> None:
    """One SMS that says who writes and whom to call; the next step on its day."""
    debtor.write("sms", words(debtor, "Aide", "help"))
    assert debtor.on(date(2026, 4, 2)) == {"sms": 1}
    assert "Atelier Démo" in debtor.sandbox.accepted()[-1]["text"]
    assert debtor.on(NEXT) == {"sms": 2}


def test_help_that_the_provider_answered_is_not_answered_again(debtor: Correspondent) -> None:
    """Advanced Opt-Out has texted back already."""
    debtor.write("sms", "HELP", opt_out="HELP")
    assert debtor.on(date(2026, 4, 2)) == {}
    assert debtor.on(NEXT) == {"sms": 1}


@pytest.mark.parametrize(
    ("text", "headers"),
    [("Je conteste cette facture", {"Auto-Submitted": "auto-replied"}), ("Je suis absent jusqu'au 20 avril.", {})],
    ids=["by its header", "by its words"],
)
def test_an_auto_reply_changes_nothing(debtor: Correspondent, text: str, headers: dict[str, str]) -> None:
    """It was written by nobody."""
    debtor.write("email", text, headers=headers)
    assert debtor.said == []
    assert debtor.on(NEXT) == {"sms": 1}
