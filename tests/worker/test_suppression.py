"""The suppression list: what is on it is not used, by whatever way it came there, until it is taken off."""

import io
from pathlib import Path

import pytest

from tests.conftest import MakeApp
from worker.dunning.answers import Answer
from worker.inbound import answer
from worker.operations import NotPossible
from worker.suppression import add, export, listed, remove, take_in

from .payloads import reminder
from .rig import MORNING, Rig, outbox

MAILBOX, NUMBER = "contact@garage-dupont.example", "+33639980101"


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """The morning after the invoice was due."""
    return Rig(make_app(at=MORNING, speed=1))


def mailbox() -> str:
    """That of the debtor of `payloads.reminder`."""
    address: str = reminder()["debtor"]["email"]
    return address


def channels() -> list[str]:
    """By what the outbox was given messages."""
    return [line["channel"] for line in outbox(Path())]


def test_a_case_opened_later_does_not_use_it(rig: Rig) -> None:
    """The list is of the creditor, not of a case; letters' case makes no other mailbox."""
    add(rig.app, "demo", "email", mailbox().upper(), why="bounced", by="an import")
    case = rig.open(debtor__phone=NUMBER)
    rig.settle(case)
    assert channels() == ["sms"]
    assert dict(rig.case(case.id).unusable) == {"email": "suppressed, list"}


def test_a_case_that_was_open_learns_of_it_in_the_last_look(rig: Rig) -> None:
    """What was reserved before the address came onto the list does not leave; another channel says it."""
    case = rig.open(debtor__phone=NUMBER)
    rig.reserve(case)
    add(rig.app, "demo", "email", mailbox(), why="by hand", by="somebody")
    rig.settle(case)
    assert channels() == ["sms"]


def test_an_address_that_upstream_corrects_to_a_suppressed_one_is_not_used(rig: Rig) -> None:
    """The old one was suppressed too: that says nothing of the new one, the list does."""
    add(rig.app, "demo", "email", mailbox(), why="bounced", by="x")
    add(rig.app, "demo", "email", "other@debtor.example", why="bounced", by="x")
    case = rig.open(debtor__phone=NUMBER)
    rig.open(debtor__phone=NUMBER, debtor__email="other@debtor.example", job_id="2", as_of="2026-03-31T12:00:00+02:00")
    assert "email" in dict(rig.case(case.id).unusable)


def test_taken_off_the_list_it_is_used_again(rig: Rig) -> None:
    """By the cases that knew of it, too."""
    case = rig.open(debtor__phone=NUMBER)
    answer(rig.app, case.id, Answer(kind="opt_out", source="page", ref="1", channels=("email",)))
    (entry,) = listed(rig.app, "demo")
    assert (entry.channel, entry.address, entry.why, entry.by) == ("email", mailbox(), "opted_out", "page")
    assert remove(rig.app, "demo", "email", mailbox(), "somebody")
    assert not rig.case(case.id).unusable
    rig.settle(case)
    assert channels() == ["email"]
    assert not remove(rig.app, "demo", "email", mailbox(), "somebody")


def test_what_is_exported_can_be_imported(rig: Rig) -> None:
    """The same list, to the letter; what is there already is left as it is."""
    add(rig.app, "demo", "sms", NUMBER, why='opted_out, says "she"', by="somebody")
    add(rig.app, "demo", "email", mailbox(), why="bounced", by="x")
    file = io.StringIO()
    assert export(rig.app, "demo", file) == 2
    before = listed(rig.app, "demo")
    remove(rig.app, "demo", "sms", NUMBER, "somebody")
    assert take_in(rig.app, "demo", file.getvalue().splitlines(keepends=True), "y") == (1, 1)
    assert listed(rig.app, "demo") == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("channel,mail\nemail,a@b.example\n", "line 1: the column 'address' is missing"),
        ("", "line 1: the column 'channel' is missing"),
        ("channel,address\nemail,a@b.example\nfax,+33639980101\nsms,12\n", "line 3: 'fax' is not one of"),
    ],
)
def test_a_list_with_a_wrong_line_adds_nothing(rig: Rig, text: str, words: str) -> None:
    """All of it, or nothing; every wrong line is named, and quotes no address."""
    with pytest.raises(NotPossible) as found:
        take_in(rig.app, "demo", text.splitlines(keepends=True), "x")
    assert words in str(found.value)
    assert "12" not in str(found.value).replace("line", "")
    assert not listed(rig.app, "demo")
