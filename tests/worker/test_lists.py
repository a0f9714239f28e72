"""When a provider's list is asked, how long it may fail to answer, and what its silence does not prove."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from channels.base import Receipt
from channels.sandbox import Fault, Sandbox
from tests.conftest import MakeApp
from worker.dunning.events import AttemptSought, AttemptUnavailable, AttemptUnsettled
from worker.dunning.model import Case, attempt_id
from worker.inbound import receive
from worker.operations import doubts

from .rig import MORNING, Crash, Rig
from .test_settling import MINUTE, PHONE, TO_SMS, account, die, last, of_kind

SECOND = timedelta(seconds=1)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A provider with a log."""
    with Sandbox(log=tmp_path / "log") as sandbox:
        yield sandbox


@pytest.fixture
def rig(make_app: MakeApp, sandbox: Sandbox) -> Rig:
    """A morning on which an SMS is due."""
    return Rig(make_app(at=MORNING, speed=1, **account(sandbox)))


def lists_read(folder: Path) -> int:
    """How often the provider was asked for what it had taken."""
    return sum(json.loads(line).get("method") == "GET" for line in (folder / "log").read_text().splitlines())


def go_through(rig: Rig, case: Case, hours: int) -> None:
    """Let that time pass, a quarter of an hour at a time."""
    for _ in range(4 * hours):
        rig.wait(15 * MINUTE)
        rig.go_on(case, rounds=2)


def test_a_list_that_cannot_be_read_is_no_answer(rig: Rig, sandbox: Sandbox) -> None:
    """The provider took the message and its lists are down for hours: it is not sent again, and adopted in the end."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    sandbox.fault(Fault("500", on="list"))
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    go_through(rig, case, 5)
    assert (last(rig, case).status, len(sandbox.accepted())) == ("uncertain", 1)
    sandbox.clear()
    go_through(rig, case, 1)
    assert (last(rig, case).status, len(sandbox.accepted())) == ("accepted", 1)


def test_a_list_that_is_not_read_for_a_day_is_given_up(rig: Rig, sandbox: Sandbox, tmp_path: Path) -> None:
    """Then a person is asked, and the provider no more."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    sandbox.fault(Fault("500", on="list"))
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    go_through(rig, case, 23)
    assert not of_kind(rig, case, AttemptUnsettled)
    go_through(rig, case, 2)
    (unsettled,) = of_kind(rig, case, AttemptUnsettled)
    assert (unsettled.why, unsettled.settle_at) == ("unread", None)
    read = lists_read(tmp_path)
    go_through(rig, case, 2)
    assert lists_read(tmp_path) == read
    assert len(sandbox.accepted()) == 1


def test_a_worker_that_died_leaves_time_for_the_receipt(rig: Rig, sandbox: Sandbox, tmp_path: Path) -> None:
    """Its lease runs out after seconds: the provider is asked three minutes after the call began, and no sooner."""
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.tick()
    rig.providers.get("twilio_sms").after = die
    with pytest.raises(Crash):
        rig.deliver(case)
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert (last(rig, case).status, lists_read(tmp_path)) == ("uncertain", 0)
    rig.wait(MINUTE + SECOND)
    rig.go_on(case)
    assert (last(rig, case).status, len(sandbox.accepted())) == ("accepted", 1)


def test_the_second_look_counts_from_the_end_of_the_call(rig: Rig, sandbox: Sandbox) -> None:
    """A call may reach the provider as late as its own bound: ten minutes after that an absence counts, not before."""
    sandbox.fault(Fault("drop", channel="sms", times=1))
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    rig.wait(4 * MINUTE)
    rig.go_on(case)
    assert len(of_kind(rig, case, AttemptSought)) == 1
    bound = timedelta(seconds=rig.providers.get("twilio_sms").bound)
    assert bound > 4 * SECOND
    begun = last(rig, case).begun
    assert begun
    rig.wait(begun + 10 * MINUTE + bound / 2 - rig.app.clock.real())
    rig.go_on(case)
    assert not of_kind(rig, case, AttemptUnavailable)
    rig.wait(bound)
    rig.go_on(case)
    assert len(of_kind(rig, case, AttemptUnavailable)) == 1


def test_what_a_receipt_settles_is_in_doubt_no_more(rig: Rig, sandbox: Sandbox) -> None:
    """Though it says only that the provider has the message: no person is asked about it."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    assert len(doubts(rig.app)) == 1
    assert receive(rig.app, Receipt(attempt_id(case, 1), "taken", "twilio", "queued", "SM" + "1" * 32))
    assert (last(rig, case).status, doubts(rig.app)) == ("accepted", [])
