"""From the message that leaves, through the provider's own request to our door, to what the case knows."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from channels.sandbox import Doors as Addresses
from channels.sandbox import Reaction, Sandbox
from tests.conftest import MakeApp
from tests.worker.config_copy import B2B, Copy
from tests.worker.programs import until
from tests.worker.rig import MORNING, Rig
from worker.dunning.events import AddressSuppressed
from worker.dunning.model import Case, Send
from worker.inbound import receive
from worker.inbox import read_receipt, read_reply

from .served import TOKEN, Doors, serving

PHONE = "+33639980101"


@contextmanager
def chasing(
    make_app: MakeApp, folder: Path, *reactions: Reaction, channel: str = "sms"
) -> Iterator[tuple[Rig, Doors, Sandbox]]:
    """A ladder whose first step is on that channel, providers that report what becomes of it, doors to report to."""
    copy = Copy(folder / "config")
    if channel == "sms":
        copy.edit(B2B, "channel: email\n    tone: 1", "channel: sms\n    notice: nudge\n    tone: 1")
    with socket.create_server(("127.0.0.1", 0)) as listener, Sandbox(reactions=reactions) as sandbox:
        port = listener.getsockname()[1]
        public = f"http://127.0.0.1:{port}"
        sandbox.report_to(Addresses.under(public))
        environ = {
            "PUBLIC_URL": public,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "SENDGRID_API_KEY": "SG.x",
            "SENDGRID_BASE_URL": sandbox.sendgrid_url,
            "SENDGRID_WEBHOOK_PUBLIC_KEY": sandbox.public_key,
        }
        app = make_app(at=MORNING, speed=1, config=copy.folder, **environ)
        with serving(app, listener):
            yield Rig(app), Doors(app, port), sandbox


def hear(rig: Rig, doors: Doors, case: Case, count: int) -> Send:
    """Wait for so many receipts, work on each as a worker would, and give what is known of the message."""
    handed = until(lambda: queued if len(queued := doors.queued()) >= count else None)
    assert len(handed) == count
    for each in handed:
        receive(rig.app, read_receipt(each["receipt"]))
    return rig.case(case.id).runs[0].sends[0]


def test_a_message_that_arrives_is_known_to_have(make_app: MakeApp, tmp_path: Path) -> None:
    """The provider is told where to report, does so twice, and the case knows what it said last."""
    with chasing(make_app, tmp_path) as (rig, doors, _):
        case = rig.open(debtor__phone=PHONE)
        rig.settle(case)
        assert hear(rig, doors, case, 2).receipt == "delivered"


def test_a_number_that_is_none_is_not_used_again(make_app: MakeApp, tmp_path: Path) -> None:
    """A landline, says the provider afterwards: another channel says it, at once."""
    lost = Reaction(channel="sms", receipts=("sent", "undelivered"), details={"ErrorCode": "30006"})
    with chasing(make_app, tmp_path, lost) as (rig, doors, _):
        case = rig.open(debtor__phone=PHONE)
        rig.settle(case)
        assert hear(rig, doors, case, 2).receipt == "hard"
        rig.settle(case)
        assert [send.channel for send in rig.case(case.id).runs[0].sends] == ["sms", "email"]


@pytest.mark.parametrize("early", [True, False])
def test_a_receipt_may_be_there_before_the_message_is(make_app: MakeApp, tmp_path: Path, early: bool) -> None:
    """It comes before the create call has returned, and says the same as one that comes after."""
    with chasing(make_app, tmp_path, Reaction(channel="sms", early=early)) as (rig, doors, _):
        case = rig.open(debtor__phone=PHONE)
        attempt = rig.reserve(case)
        seen: list[Send] = []
        if early:
            rig.providers.get("twilio_sms").after = lambda: seen.append(hear(rig, doors, case, 2))
        rig.deliver(case)
        found = hear(rig, doors, case, 2)
        assert len(seen) == early
        assert (found.attempt, found.receipt) == (int(attempt.rpartition(".")[2]), "delivered")
        assert found.status == "accepted"


@pytest.mark.parametrize(
    ("words", "known", "channels", "suppressed"),
    [
        (("processed", "delivered"), "delivered", ["email"], []),
        (("processed", "bounce"), "hard", ["email", "sms"], ["email"]),
        (("dropped",), "hard", ["email", "sms"], ["email"]),
        (("processed", "delivered", "open", "click", "unsubscribe"), "unsubscribed", ["email"], ["email"]),
        (("processed", "delivered", "spamreport"), "complained", ["email"], ["email"]),
    ],
    ids=["delivered", "bounced", "dropped", "unsubscribed", "spam"],
)
def test_what_becomes_of_an_email_is_known(
    make_app: MakeApp, tmp_path: Path, words: tuple[str, ...], known: str, channels: list[str], suppressed: list[str]
) -> None:
    """What did not arrive is said on the next channel at once; who wants no more email gets none, and no SMS for it."""
    reaction = Reaction(channel="email", receipts=words)
    with chasing(make_app, tmp_path, reaction, channel="email") as (rig, doors, _):
        case = rig.open(debtor__phone=PHONE)
        rig.settle(case, 1)
        said = [word for word in words if word not in ("open", "click")]
        assert hear(rig, doors, case, len(said)).receipt == known
        rig.settle(case)
        found = rig.case(case.id)
        assert [send.channel for send in found.runs[0].sends] == channels
        events = [event for event in rig.history(case) if isinstance(event, AddressSuppressed)]
        assert [channel for event in events for channel in event.channels] == suppressed


def test_what_somebody_texts_back_waits_to_be_read(make_app: MakeApp, tmp_path: Path) -> None:
    """Kept as it was written, once however often it comes; nothing is texted back by the door."""
    with chasing(make_app, tmp_path) as (rig, doors, sandbox):
        rig.settle(rig.open(debtor__phone=PHONE))
        heard = [sandbox.sms_from(PHONE, "C'est réglé ☺", id="SM" + "0a" * 16) for _ in range(2)]
        assert [(each.status, each.text) for each in heard] == [(200, "")] * 2
        names = {each["reply"] for each in doors.queued() if "reply" in each}
        (reply,) = [read_reply(rig.app, name) for name in names]
        assert reply is not None
        assert (reply.text, reply.sender) == ("C'est réglé ☺", PHONE)
