"""What upstream says twice, too late, too early, or of two debtors at once: nobody is chased who has paid."""

from datetime import timedelta

import pytest

from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.model import ZERO, Hold
from worker.jobs import BadJob

from .payloads import fact, reminder
from .rig import ENQUEUED, MORNING, NUMBER, HookedCases, Rig, at


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def test_a_payment_before_its_invoice_counts_though_the_reminder_was_enqueued_later(rig: Rig) -> None:
    """Neither job says when its books said so: the payment came, so it counts."""
    rig.take(fact("payment_received", invoice=NUMBER, amount="1200.50", currency="EUR"), ENQUEUED)
    case = rig.case(rig.take(reminder(as_of=...), ENQUEUED + timedelta(hours=1)).cases[0])
    assert case.owed() == ZERO
    rig.settle(case)
    assert rig.kinds(case)[-1] == "CaseEnded"


def test_an_early_part_payment_spares_nothing_but_itself(rig: Rig) -> None:
    """What is left of the invoice is chased."""
    rig.take(fact("payment_received", invoice=NUMBER, amount="1000", currency="EUR"), ENQUEUED)
    case = rig.case(rig.take(reminder(as_of=...), ENQUEUED + timedelta(hours=1)).cases[0])
    assert str(case.owed()) == "200.50"


def test_an_invoice_is_in_one_open_case_at_most(rig: Rig) -> None:
    """Upstream changed the debtor's id: the second case would not hear of the payment, so it is refused."""
    rig.open()
    with pytest.raises(BadJob, match="in another open case"):
        rig.take(reminder(job_id="j-2", debtor__id="D-other"))


def test_an_invoice_may_move_once_its_case_has_ended(rig: Rig) -> None:
    """A paid case keeps nobody from chasing the invoice under another name, if the books say later that it is owed."""
    case = rig.open()
    rig.take(fact("case_closed", case=case.id, reason="paid"))
    later = reminder(job_id="later", debtor__id="D-other", as_of=at(15))
    assert rig.take(later).cases


def test_a_payment_finds_its_invoice_though_it_moves_at_that_moment(rig: Rig, make_app: MakeApp) -> None:
    """Between reading where the invoice is and booking the money, another job opens a new case for it."""
    case = rig.open()
    rig.take(fact("case_closed", case=case.id, reason="paid"))
    other = Rig(make_app())
    rig.app.cases = HookedCases(
        rig.app.client, lambda: other.take(reminder(job_id="later", debtor__id="D-other", as_of=at(15)))
    )
    taken = rig.take(
        fact("payment_received", job_id="p", as_of=at(16), invoice=NUMBER, amount="1200.50", currency="EUR")
    )
    assert taken.cases != (case.id,)
    assert rig.case(taken.cases[0]).owed() == ZERO


@pytest.mark.parametrize("reason", ["paid", "credited"])
def test_an_older_reminder_does_not_undo_a_closing(rig: Rig, reason: str) -> None:
    """Closed as paid at one; a reminder computed at half past nine comes late and opens nothing."""
    case = rig.open()
    rig.take(fact("case_closed", job_id="c", as_of=at(13), case=case.id, reason=reason))
    assert rig.take(reminder(job_id="late", as_of=at(10))).cases == ()
    assert rig.case(case.id).ended


def test_a_clock_that_is_ahead_does_not_make_the_next_payment_old(rig: Rig) -> None:
    """The books were said to be of nine minutes from now; the payment of a minute later counts all the same."""
    soon = rig.app.clock.real() + timedelta(minutes=9)
    case = rig.case(rig.take(reminder(as_of=soon.isoformat())).cases[0])
    rig.take(
        fact("payment_received", invoice=NUMBER, amount="1200.50", currency="EUR"),
        rig.app.clock.real() + timedelta(minutes=1),
    )
    assert rig.case(case.id).owed() == ZERO


def test_a_job_that_names_no_strategy_follows_the_open_case(rig: Rig) -> None:
    """The case was opened under another than the creditor's usual one; the daily job need not know."""
    case = rig.open(strategy="b2c")
    taken = rig.take(reminder(job_id="j-2", as_of=at(12), invoices__0__outstanding="100.00"))
    assert taken.cases == (case.id,)
    assert str(rig.case(case.id).owed()) == "100.00"


def test_older_words_about_the_debtor_change_nothing(rig: Rig) -> None:
    """A job of the day before, with an invoice nobody knew, brings no old mailbox back."""
    case = rig.open(debtor__email="new@example.com")
    rig.take(
        reminder(
            job_id="old", as_of="2026-03-30T09:00:00+02:00", debtor__email="old@example.com", invoices__0__number="F-9"
        )
    )
    found = rig.case(case.id)
    assert found.debtor.email == "new@example.com"
    assert found.invoice("F-9")


def test_what_is_said_of_a_person_outlives_the_case(rig: Rig) -> None:
    """A debtor with a legal representative is not written to because of the next invoice either."""
    case = rig.open()
    rig.take(fact("case_held", job_id="h", case=case.id, reason="represented"))
    rig.pay()
    rig.settle(case)
    again = rig.open(job_id="j-2", as_of=at(15), invoices__0__number="F-2")
    assert again.id != case.id
    assert [hold.reason for hold in again.holds] == ["represented"]


def test_history_told_too_late_is_noted(rig: Rig) -> None:
    """The ladder of an open case stands where it stands."""
    rig.open()
    told = reminder(job_id="j-2", as_of=at(12), history={"last_step": "call", "on": "2026-03-30"})
    assert "history: the case is open already" in rig.take(told).notes


def test_nobody_is_told_to_call_somebody_who_has_paid(rig: Rig) -> None:
    """When the case ends its open tasks are withdrawn, and the history says so."""
    case = rig.open(invoices__0__due_on="2026-03-10", history={"last_step": "second_call", "on": "2026-03-30"})
    rig.jump(MORNING + timedelta(days=9))
    rig.settle(case)
    tasks = rig.app.cases.client.hkeys(Keys("demo").tasks)
    assert tasks
    rig.pay()
    rig.settle(case)
    assert rig.kinds(case)[-2:] == ["CaseEnded", "TasksWithdrawn"]
    assert rig.app.cases.client.hkeys(Keys("demo").tasks) == []


def test_many_promises_that_end_together_are_no_circle(rig: Rig) -> None:
    """Thirty invoices promised for one day: the look after it lapses them all."""
    one = reminder()["invoices"][0]
    case = rig.open(invoices=[{**one, "number": f"F-{n}"} for n in range(30)])
    for n in range(30):
        rig.take(fact("case_held", job_id=f"h-{n}", invoice=f"F-{n}", reason="promise", until="2026-04-08"))
    assert all(isinstance(hold, Hold) for hold in rig.case(case.id).holds)
    rig.jump(MORNING + timedelta(days=12))
    rig.settle(case)
    assert rig.kinds(case).count("HoldLapsed") == 30
    assert "LookFailed" not in rig.kinds(case)
