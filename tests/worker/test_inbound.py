"""What debtors answer and providers report: from the fact to the next message that leaves, or does not."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Receipt
from tests.conftest import MakeApp
from worker.dunning.answers import Answer, AnswerKind
from worker.dunning.model import Case, attempt_id
from worker.inbound import NotAcceptable, answer, receive
from worker.operations import approve, release, tasks

from .rig import MORNING, PARIS, Rig, outbox


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A debtor with a mailbox and a phone, the morning after the invoice was due."""
    return Rig(make_app(at=MORNING, speed=1))


def reminded(rig: Rig) -> Case:
    """The first reminder has left, by email."""
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    return rig.case(case.id)


def say(kind: AnswerKind, **fields: Any) -> Answer:
    """An answer, from the page unless said otherwise."""
    return Answer(kind=kind, **{"source": "page", "ref": f"page-{kind}", **fields})


def sent(folder: Path) -> list[tuple[str, str]]:
    """(step as the wording's reference tells, channel) are the outbox's; here: channel and first words."""
    return [(line["channel"], line["subject"] or line["text"][:40]) for line in outbox(folder)]


def on(rig: Rig, case: Case, day: date, hour: int = 10) -> int:
    """Let that day come; how many messages have left until then, in all."""
    rig.jump(datetime(day.year, day.month, day.day, hour, tzinfo=PARIS))
    rig.settle(case)
    return len(outbox(Path()))


def test_a_promise_holds_until_its_date_and_two_business_days_and_then_is_broken(rig: Rig) -> None:
    """Nothing is sent while the promise stands; the next step then is one tone firmer, and only one step."""
    case = reminded(rig)
    answer(rig.app, case.id, say("promise", on=date(2026, 4, 15), method="transfer"))
    assert on(rig, case, date(2026, 4, 17)) == 1
    assert on(rig, case, date(2026, 4, 20)) == 2
    after = rig.case(case.id)
    assert [run.firmer for run in after.runs] == [False, True]
    assert after.promised_method == "transfer"
    (lapsed,) = [event for event in rig.history(case) if type(event).__name__ == "HoldLapsed"]
    assert lapsed.outcome == "broken"  # type: ignore[attr-defined]  # it is a HoldLapsed


def test_a_promise_that_is_kept_is_said_to_be(rig: Rig) -> None:
    """Upstream reads `kept`, and nothing is sent any more."""
    case = reminded(rig)
    answer(rig.app, case.id, say("promise", on=date(2026, 4, 15)))
    rig.pay()
    assert on(rig, case, date(2026, 4, 20)) == 1
    assert rig.kinds(case)[-2:] == ["HoldLapsed", "CaseEnded"]
    assert rig.history(case)[-2].outcome == "kept"  # type: ignore[attr-defined]  # it is a HoldLapsed


def test_hold_and_task(rig: Rig) -> None:
    """What a person must settle holds the case and is on their list; it goes on once they release it."""
    case = reminded(rig)
    answer(rig.app, case.id, say("dispute", text="Trois lampes cassées.\nVoir photos."))
    (task,) = tasks(rig.app, ["demo"])
    assert "Trois lampes cassées." in task.text
    assert on(rig, case, date(2026, 6, 20)) == 1
    release(rig.app, case.id, None, "somebody")
    assert on(rig, case, date(2026, 6, 22)) == 2


def test_a_refusal_leads_to_the_formal_notice_once_a_person_approves(rig: Rig) -> None:
    """No step in between, nothing without approval."""
    case = reminded(rig)
    answer(rig.app, case.id, say("refusal"))
    assert on(rig, case, date(2026, 4, 10)) == 1
    hold = rig.case(case.id).case_hold()
    assert hold
    assert (hold.reason, hold.note) == ("approval_pending", "formal_notice")


def test_opt_out_takes_that_channel_alone(rig: Rig) -> None:
    """The step after it goes by another channel; the address is on the list for other cases, too."""
    case = reminded(rig)
    answer(rig.app, case.id, say("opt_out", channels=("email",)))
    assert on(rig, case, date(2026, 4, 7)) == 2
    assert [channel for channel, _ in sent(Path())] == ["email", "sms"]
    other = rig.open(debtor__id="other", debtor__phone="+33639980102", invoices__0__number="F-9", job_id="j9")
    rig.settle(other)
    assert [channel for channel, _ in sent(Path())][2:] == ["sms"]


@pytest.mark.parametrize("what", ["hard", "soft"])
def test_what_does_not_arrive_is_said_by_another_channel(rig: Rig, what: Any) -> None:
    """At once where the address is gone; after one more try where it may pass."""
    case = reminded(rig)
    receive(rig.app, Receipt(attempt_id(case, 1), what, "sendgrid", "550"))
    rig.settle(case)
    if what == "soft":
        assert len(outbox(Path())) == 1
        assert on(rig, case, date(2026, 4, 1), 17) == 2
        latest = rig.case(case.id).runs[-1].sends[0].attempt
        receive(rig.app, Receipt(attempt_id(case, latest), what, "sendgrid", "550"))
        rig.settle(case)
    assert [channel for channel, _ in sent(Path())][-1] == "sms"
    assert (dict(rig.case(case.id).unusable) == {"email": "bounced, sendgrid"}) == (what == "hard")


def test_the_same_answer_twice_is_one(rig: Rig) -> None:
    """A form sent again, a message delivered twice: nothing changes, and whoever asks is told so."""
    case = reminded(rig)
    first = say("dispute")
    assert not answer(rig.app, case.id, first).repeated
    before = rig.kinds(case)
    assert answer(rig.app, case.id, first).repeated
    assert rig.kinds(case) == before
    assert not answer(rig.app, case.id, replace(first, ref="another")).repeated


@pytest.mark.parametrize("day", [None, date(2026, 3, 31), date(2026, 5, 2)])
def test_a_date_out_of_reach_is_not_a_promise(rig: Rig, day: date | None) -> None:
    """No date, a day gone by, or one too far away: nothing is stored."""
    case = reminded(rig)
    before = rig.kinds(case)
    with pytest.raises(NotAcceptable, match="date"):
        answer(rig.app, case.id, say("promise", on=day))
    assert rig.kinds(case) == before


def test_a_promise_can_be_moved_but_not_for_ever(rig: Rig) -> None:
    """The last day counts from when it was first made, however often it is made anew."""
    case = reminded(rig)
    answer(rig.app, case.id, say("promise", on=date(2026, 4, 15), ref="1"))
    rig.jump(MORNING + timedelta(days=10))
    answer(rig.app, case.id, say("promise", on=date(2026, 5, 1), ref="2"))
    with pytest.raises(NotAcceptable, match="date"):
        answer(rig.app, case.id, say("promise", on=date(2026, 5, 4), ref="3"))


def test_a_refusal_after_the_notice_does_not_shorten_its_time(rig: Rig) -> None:
    """What was given in writing is kept to: the file is handed over no sooner for their having said no once more."""
    case = reminded(rig)
    answer(rig.app, case.id, say("refusal"))
    on(rig, case, date(2026, 4, 8))
    approve(rig.app, case.id, "formal_notice", "somebody")
    approve(rig.app, case.id, "handover", "somebody")
    on(rig, case, date(2026, 4, 9))
    assert rig.case(case.id).runs[-1].step == "formal_notice"
    answer(rig.app, case.id, say("refusal", ref="again"))
    on(rig, case, date(2026, 4, 13))
    assert rig.case(case.id).ended is None
    assert rig.case(case.id).case_hold() is None


def test_what_did_not_get_through_is_not_said_again_after_an_answer(rig: Rig) -> None:
    """A mailbox was full; they promised meanwhile, and did not keep it: the next step comes, firmer, not the same."""
    case = reminded(rig)
    receive(rig.app, Receipt(attempt_id(case, 1), "soft", "sendgrid", "452"))
    answer(rig.app, case.id, say("promise", on=date(2026, 4, 8)))
    assert on(rig, case, date(2026, 4, 13)) == 2
    assert [(run.step, run.firmer) for run in rig.case(case.id).runs if not run.skipped] == [("sms_reminder", True)]


def test_a_dispute_of_what_was_paid_holds_once_the_payment_comes_back(rig: Rig) -> None:
    """The case had ended; a person was told; the ladder does not go on over their head."""
    case = reminded(rig)
    rig.pay()
    rig.settle(case)
    answer(rig.app, case.id, say("dispute"))
    failed = {"type": "payment_failed", "version": 1, "job_id": "f", "creditor": "demo", "invoice": "F-2026/001"}
    rig.take({**failed, "amount": "1200.50", "currency": "EUR"}, MORNING + timedelta(hours=9))
    hold = rig.case(case.id).case_hold()
    assert rig.case(case.id).ended is None
    assert hold
    assert hold.reason == "dispute"


def test_help_is_given_once_a_day(rig: Rig) -> None:
    """Two machines that answer each other come to an end."""
    case = reminded(rig)
    for turn in range(5):
        answer(rig.app, case.id, say("help", source="sms", ref=str(turn)))
        rig.settle(case)
    assert [channel for channel, _ in sent(Path())].count("sms") == 1
