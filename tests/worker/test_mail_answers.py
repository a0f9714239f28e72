"""From the mail that a program or a server wrote to what then leaves, or does not."""

from datetime import timedelta
from pathlib import Path

import pytest

from channels.mail_in import read_mail
from tests.channels import mails
from tests.conftest import MakeApp
from worker.dunning.events import AddressSuppressed, AttemptAccepted
from worker.dunning.model import Case, attempt_id
from worker.inbound import receive
from worker.inbox import hand_in_mail, read_receipt, read_reply
from worker.replies import listen

from .config_copy import Copy
from .rig import MORNING, Rig, outbox
from .web.served import Doors

SECRET = {"PUBLIC_URL": "https://relance.example", "RELANCE_SECRET_KEY": "k" * 32}


@pytest.fixture
def rig(make_app: MakeApp, tmp_path: Path) -> Rig:
    """A creditor whose debtors have mailboxes of their own to answer to."""
    copy = Copy(tmp_path / "config")
    name = "sender_name: Atelier Démo"
    copy.edit("creditors/demo.yaml", name, f"{name}\n  answers_at: answers.example.com")
    return Rig(make_app(at=MORNING, speed=1, config=copy.folder, **SECRET))


@pytest.fixture
def case(rig: Rig) -> Case:
    """Somebody who has had an email."""
    case = rig.open()
    rig.settle(case)
    return rig.case(case.id)


def arrives(rig: Rig, case: Case, raw: bytes) -> None:
    """The mail comes in, about that case and its one email, and is worked on as a worker would."""
    (sent,) = [event for event in rig.history(case) if isinstance(event, AttemptAccepted)]
    assert rig.app.links
    mailbox = rig.app.links.mailbox(case.id, "answers.example.com")
    raw = raw.replace(mails.BOX.encode(), mailbox.encode())
    raw = raw.replace(mails.ATTEMPT.encode(), attempt_id(case, sent.attempt).encode())
    hand_in_mail(rig.app, read_mail(raw))
    for handed in Doors(rig.app, 0).queued():
        if "reply" in handed:
            listen(rig.app, read_reply(rig.app, handed["reply"]))
        else:
            receive(rig.app, read_receipt(handed["receipt"]))


def left_after(rig: Rig, case: Case, days: int) -> list[str]:
    """The channels of what has left until then."""
    rig.jump(MORNING + timedelta(days=days))
    rig.settle(case)
    return [line["channel"] for line in outbox(Path())]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (mails.GMAIL_FR, "already_paid"),
        (mails.OUTLOOK_TEXT, "promise"),
        (mails.OUTLOOK_HTML, "dispute"),
        (mails.THUNDERBIRD, "dispute"),
        (mails.OUTLOOK_WEB, "message"),
    ],
    ids=["gmail", "outlook", "outlook html", "thunderbird", "outlook web"],
)
def test_what_they_wrote_is_heard_and_nothing_of_what_they_quote(rig: Rig, case: Case, raw: bytes, kind: str) -> None:
    """One answer, however the program writes; the ladder waits."""
    before = left_after(rig, case, 0)
    arrives(rig, case, raw)
    assert [said.kind for said in rig.case(case.id).said] == [kind]
    assert left_after(rig, case, 5) == before


@pytest.mark.parametrize("raw", [mails.OUT_OF_OFFICE_OUTLOOK, mails.OUT_OF_OFFICE_GMAIL], ids=["outlook", "gmail"])
def test_an_out_of_office_holds_nothing(rig: Rig, case: Case, raw: bytes) -> None:
    """It is not a reply."""
    before = rig.kinds(case)
    arrives(rig, case, raw)
    assert rig.kinds(case) == before


@pytest.mark.parametrize(
    ("raw", "channels", "why"),
    [
        (mails.POSTFIX, {"email"}, "bounced"),
        (mails.EXCHANGE, {"email"}, "bounced"),
        (mails.COMPLAINT, {"email"}, "complained"),
        (mails.GMAIL_REPORT, set(), ""),
        (mails.DELAYED, set(), ""),
    ],
    ids=["postfix", "exchange", "complaint", "full", "delayed"],
)
def test_a_mailbox_that_is_none_is_used_no_more(rig: Rig, case: Case, raw: bytes, channels: set[str], why: str) -> None:
    """What came back says whose it was; a full mailbox, or a delay, leaves the address as it is."""
    arrives(rig, case, raw)
    suppressed = [event for event in rig.history(case) if isinstance(event, AddressSuppressed)]
    assert {channel for event in suppressed for channel in event.channels} == channels
    assert [event.why for event in suppressed] == ([why] if why else [])
