"""`explain`: for every state a case can be in, what is next, when, and why not yet."""

from datetime import timedelta
from pathlib import Path

import pytest

from channels.base import Rejected, Unavailable
from tests.conftest import MakeApp
from worker.app import App
from worker.dunning.model import Case
from worker.dunning.strategy import HOLDS
from worker.explain import HOLD_WORDS, Explanation, explain

from .config_copy import B2B, Copy
from .payloads import fact
from .rig import MORNING, Rig, invoice


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def explained(app: App, case: Case) -> Explanation:
    """What it says now."""
    seen = app.cases.see(case.id)
    assert seen is not None
    return explain(app, seen, app.clock.now())


def hold(rig: Rig, case: Case, reason: str, **more: str) -> None:
    """Upstream holds the case, or an invoice of it."""
    rig.take(fact("case_held", job_id=f"h-{reason}", case=case.id, reason=reason, **more))


def test_a_step_whose_day_has_come_is_due(rig: Rig) -> None:
    """At the next look it goes out; the channels are named."""
    found = explained(rig.app, rig.open())
    assert (found.state, found.next, found.at) == ("due", "first_reminder", None)
    assert found.why == "its day has come: email at the next look"


def test_a_step_whose_day_has_not_come_waits_for_it(rig: Rig) -> None:
    """With the moment it will go out, window and holidays counted in."""
    case = rig.open()
    rig.settle(case)
    found = explained(rig.app, case)
    assert (found.state, found.next, found.not_sent) == ("waiting", "sms_reminder", ())
    assert found.at == MORNING.replace(day=7, hour=9)  # the 6th is Easter Monday


def test_a_reserved_message_is_in_flight(rig: Rig) -> None:
    """A worker is on it, and which attempt is told."""
    case = rig.open()
    attempt = rig.reserve(case)
    found = explained(rig.app, case)
    assert (found.state, found.why) == ("in_flight", "a worker is on it")
    assert found.not_sent == (f"first_reminder, email: waits for its worker [{attempt}]",)


def test_outside_of_the_window_it_says_so(make_app: MakeApp) -> None:
    """At night it waits for the morning, and the reason is the hour."""
    rig = Rig(make_app(at=MORNING.replace(hour=22), speed=1))
    found = explained(rig.app, rig.open())
    assert found.why == "it is outside of the debtor's contact hours"
    assert found.at == MORNING.replace(day=2, hour=9)


def test_a_held_case_names_the_reason_and_the_end(rig: Rig) -> None:
    """In words, with the date on which the hold lapses."""
    case = rig.open()
    hold(rig, case, "dispute")
    assert explained(rig.app, case).why == "held: the debtor disputes it"
    rig.take(fact("case_released", job_id="r", case=case.id))
    until = MORNING + timedelta(days=2)
    hold(rig, case, "promise", until=until.date().isoformat())
    found = explained(rig.app, case)
    assert (found.state, found.why) == ("held", "held: the debtor promised to pay")
    assert found.at is not None
    assert found.at > MORNING


def test_an_invoice_that_is_held_is_told_although_the_case_goes_on(rig: Rig) -> None:
    """One disputed invoice of two: the other is chased, and why this one is not is said."""
    due = (MORNING - timedelta(days=1)).date()
    case = rig.open(invoices=[invoice("F-1", due), invoice("F-2", due)])
    hold(rig, case, "dispute", invoice="F-1")
    found = explained(rig.app, case)
    assert found.state == "due"
    assert found.not_sent == ("F-1: held, the debtor disputes it",)


def test_a_paid_case_has_ended(rig: Rig) -> None:
    """Before the next look it ends then; after it, it has."""
    case = rig.open()
    rig.pay()
    assert explained(rig.app, case).why == "ends at the next look: paid"
    rig.settle(case)
    found = explained(rig.app, case)
    assert (found.state, found.next, found.at, found.why) == ("ended", "", None, "the case has ended: paid")


def test_a_refused_message_says_what_took_its_place(rig: Rig) -> None:
    """Which channel was refused and why, after the next one went out."""
    rig.tap.answers = [Rejected("address", "550", "no such mailbox")]
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    found = explained(rig.app, case)
    assert found.not_sent == (f"first_reminder, email: refused by the provider (550) [{case.id}.1]",)
    assert found.state == "waiting"


def test_a_provider_that_was_away_is_told_with_the_next_try(rig: Rig) -> None:
    """How often it was tried, and when again."""
    rig.tap.answers = [Unavailable("down", "503", "try later")]
    case = rig.open()
    rig.settle(case)
    found = explained(rig.app, case)
    assert found.why == "it did not get through; it is tried again then"
    assert found.at is not None
    assert "the provider was unavailable (503), tried 1 times" in found.not_sent[0]


def test_a_debtor_nobody_can_reach_is_held(rig: Rig) -> None:
    """Every address refused: it says that none can be used."""
    rig.tap.answers = [Rejected("address", "550", "no such mailbox")]
    case = rig.open()
    rig.settle(case)
    assert explained(rig.app, case).why.startswith("held: no address of the debtor can be used")


def test_a_fault_of_ours_is_told_with_its_place(rig: Rig) -> None:
    """Content that a provider refuses holds the case, and explain says which step, channel and code."""
    rig.tap.answers = [Rejected("content", "400", "bad content")]
    case = rig.open()
    rig.settle(case)
    assert "first_reminder, email: the content was refused (400)" in explained(rig.app, case).why


def test_a_creditor_without_a_voice_number_is_told(make_app: MakeApp, tmp_path: Path) -> None:
    """A ladder that calls, named by a job of a creditor who cannot call: held, with what is missing."""
    copy = Copy(tmp_path / "config")
    for old in ("\nvoice:\n  caller_id: +33 9 48 00 00 00\n", "  consumer: b2c\n"):
        copy.edit("creditors/demo.yaml", old, "\n" if old.startswith("\n") else "")
    for file in (B2B,):
        copy.edit(file, "fallback: [email, sms, voice]", "fallback: [email, sms]")
        copy.edit(file, "channel: voice", "channel: sms")
        copy.edit(file, "channel: voice", "channel: sms")
        copy.edit(file, "caps: {voice: 4 in 30d}", "caps: {}")
    copy.edit("strategies/b2c.yaml", "debtors: [consumer]", "debtors: [consumer, business]")
    copy.edit(
        "strategies/b2c.yaml",
        "  - name: first_reminder\n    when: due + 3d\n    channel: email",
        "  - name: call\n    when: due + 1d\n    channel: voice",
    )
    copy.edit(
        "strategies/b2c.yaml", "  - name: call\n    when: due + 24d", "  - name: second_call\n    when: due + 24d"
    )
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    case = rig.open(strategy="b2c", debtor__phone="+33639980101")
    for minutes in range(5):
        rig.jump(MORNING + timedelta(minutes=2 * minutes))
        rig.settle(case)
    assert "creditors/demo.yaml: voice: no sender is set" in explained(rig.app, case).why
    assert rig.tap.messages == []


def test_a_strategy_that_is_gone_is_told(make_app: MakeApp, tmp_path: Path) -> None:
    """A file renamed under open cases does not make explain fail."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    copy = Copy(tmp_path / "config")
    (copy.folder / B2B).rename(copy.folder / "strategies" / "b2x.yaml")
    copy.edit("strategies/b2x.yaml", "name: b2b", "name: b2x")
    copy.edit("creditors/demo.yaml", "business: b2b", "business: b2x")
    found = explained(make_app(config=copy.folder), case)
    assert (found.state, found.why) == ("held", "its strategy, 'b2b', is not configured any more")


def test_every_hold_has_its_words() -> None:
    """No operator reads a code."""
    assert set(HOLDS) - set(HOLD_WORDS) == set()


def test_what_people_have_not_done_yet_is_told(rig: Rig) -> None:
    """Before somebody approves the notice they should know that the call was never made."""
    case = rig.open(invoices__0__due_on="2026-03-10", history={"last_step": "second_call", "on": "2026-03-30"})
    rig.jump(MORNING + timedelta(days=9))
    rig.settle(case)
    assert explained(rig.app, case).tasks == (f"{case.id}.1",)
