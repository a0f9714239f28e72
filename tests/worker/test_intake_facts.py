"""Facts about a case: money that comes and goes back, holds, closures, strategies, history by hand."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from tests.conftest import MakeApp
from worker.dunning.model import Case
from worker.jobs import BadJob

from .payloads import fact, reminder
from .rig import MORNING, PARIS, Rig, at, invoice, paid, stated


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def owed(rig: Rig, case: Case) -> str:
    """What the case owes now."""
    return str(rig.case(case.id).owed())


# ---- payments that come back


def test_a_case_that_was_taken_up_again_does_not_stand_in_the_next_ones_way(rig: Rig) -> None:
    """Two cases were paid; the first one's payment comes back and is made good: the debtor's next debt is a third."""
    first = rig.open()
    rig.take(paid(12, reference="T1"))
    rig.settle(first)
    second = rig.open(job_id="j-b", as_of=at(13), invoices=[invoice("F-B", date(2026, 3, 31))])
    rig.take(fact("payment_received", job_id="p-b", as_of=at(14), invoice="F-B", amount="100.00", currency="EUR"))
    rig.settle(second)
    rig.take(paid(15, kind="payment_failed", reference="T1"))
    rig.take(paid(16, reference="T2"))
    rig.settle(first)
    third = rig.open(job_id="j-c", as_of=at(17), invoices=[invoice("F-C", date(2026, 3, 31))])
    assert len({first.id, second.id, third.id}) == 3
    assert owed(rig, third) == "100.00"


def test_a_bounced_payment_reopens_the_case(rig: Rig) -> None:
    """What had ended it is undone: owed again, looked at now, and no longer spared for a part payment."""
    case = rig.open()
    rig.take(paid(12, reference="T1"))
    rig.settle(case)
    assert rig.case(case.id).ended
    rig.take(paid(14, kind="payment_failed", reference="T1"))
    assert rig.case(case.id).ended is None
    assert owed(rig, case) == "1200.50"
    assert rig.case(case.id).holds == ()
    assert rig.next_look(case) is not None


def test_a_bounced_payment_goes_to_the_newer_case(rig: Rig) -> None:
    """The debtor has an open case by now: it takes the invoice, and later words about it go there."""
    old = rig.open()
    rig.take(paid(12, reference="T1"))
    rig.settle(old)
    new = rig.open(job_id="n", as_of=at(13), invoices=[invoice("F-2", date(2026, 3, 31))])
    assert new.id != old.id
    rig.take(paid(14, kind="payment_failed", reference="T1"))
    assert rig.case(old.id).ended
    assert owed(rig, new) == "1300.50"
    rig.take(paid(15, "200.50"))
    assert owed(rig, new) == "1100.00"


def test_a_bounced_payment_of_a_case_undoes_the_parts_of_its_reference(rig: Rig) -> None:
    """A payment spread over invoices comes back from all of them; without such a reference it is a bad job."""
    case = rig.open(invoices=[invoice("F-1", date(2026, 3, 30)), invoice("F-2", date(2026, 3, 31))])
    rig.take(paid(12, "150.00", case=case.id, reference="T1"))
    assert [str(i.outstanding) for i in rig.case(case.id).invoices] == ["0", "50.00"]
    rig.take(paid(14, "150.00", kind="payment_failed", case=case.id, reference="T1"))
    assert owed(rig, case) == "200.00"
    with pytest.raises(BadJob, match="no payment of that reference"):
        rig.take(paid(15, kind="payment_failed", case=case.id, reference="T9"))


def test_money_in_another_currency_is_a_bad_job(rig: Rig) -> None:
    """A case has one currency."""
    rig.open()
    with pytest.raises(BadJob, match="not the case's"):
        rig.take(paid(12, currency="USD"))


# ---- closing, holding


@pytest.mark.parametrize("reason", ["handed_over", "insolvency", "written_off", "cancelled"])
def test_a_closed_case_is_not_started_over(rig: Rig, reason: str) -> None:
    """Its invoices are somebody else's business; another invoice of the debtor opens a new case."""
    case = rig.open()
    rig.take(fact("case_closed", case=case.id, reason=reason))
    assert rig.take(stated(15, "1200.50")).notes == (f"an invoice's case had ended: {reason}",)
    assert rig.open(job_id="n", invoices=[invoice("F-2", date(2026, 3, 31))]).id != case.id


def test_a_paid_case_starts_over_when_the_books_say_later_that_it_is_owed(rig: Rig) -> None:
    """`paid` is not final: a newer statement opens a new case."""
    case = rig.open()
    rig.take(paid(12))
    rig.settle(case)
    (again,) = rig.take(stated(15, "1200.50")).cases
    assert again != case.id
    assert str(rig.case(again).owed()) == "1200.50"


def test_closing_one_of_several_invoices_leaves_the_others(rig: Rig) -> None:
    """A cancelled invoice is settled; the case goes on with the rest."""
    case = rig.open(invoices=[invoice("F-1", date(2026, 3, 30)), invoice("F-2", date(2026, 3, 31))])
    rig.take(fact("case_closed", invoice="F-1", reason="cancelled"))
    assert rig.case(case.id).ended is None
    assert owed(rig, case) == "100.00"


@pytest.mark.parametrize(
    ("job", "until"),
    [
        # A promise for Good Friday's eve: two business days for the bank, behind Easter Monday.
        ({"reason": "promise", "until": "2026-04-02"}, datetime(2026, 4, 8, tzinfo=PARIS)),
        ({"reason": "dispute", "until": "2026-04-02"}, datetime(2026, 4, 3, tzinfo=PARIS)),
        ({"reason": "dispute"}, None),
        ({"reason": "already_paid"}, datetime(2026, 4, 10, tzinfo=PARIS)),
    ],
)
def test_a_hold_lasts_as_long_as_its_reason_says(rig: Rig, job: dict[str, str], until: datetime | None) -> None:
    """The day given and its grace in the debtor's calendar, the reason's own length, or until it is released."""
    case = rig.open()
    rig.take(fact("case_held", case=case.id, **job))
    (hold,) = rig.case(case.id).holds
    assert hold.until == until


def test_good_friday_is_no_holiday_in_paris_but_it_is_in_alsace(rig: Rig) -> None:
    """The grace is counted in the debtor's own calendar."""
    case = rig.open(debtor__subdivision="67")
    rig.take(fact("case_held", case=case.id, reason="promise", until="2026-04-02"))
    (hold,) = rig.case(case.id).holds
    assert hold.until == datetime(2026, 4, 9, tzinfo=PARIS)


def test_a_release_lifts_what_it_names(rig: Rig) -> None:
    """By reason, or all of them."""
    case = rig.open()
    for n, reason in enumerate(("dispute", "manual", "represented")):
        rig.take(fact("case_held", job_id=f"h-{n}", case=case.id, reason=reason))
    rig.take(fact("case_released", job_id="r-1", case=case.id, reason="manual"))
    assert [hold.reason for hold in rig.case(case.id).holds] == ["dispute", "represented"]
    rig.take(fact("case_released", job_id="r-2", case=case.id))
    assert rig.case(case.id).holds == ()


def test_a_part_payment_spares_the_debtor_three_business_days(rig: Rig) -> None:
    """Wednesday to Tuesday: Easter Monday is none."""
    case = rig.open()
    rig.take(paid(12, "200.00"))
    (hold,) = rig.case(case.id).holds
    assert (hold.reason, hold.until) == ("partial_payment", datetime(2026, 4, 8, tzinfo=PARIS))


@pytest.mark.parametrize("kind", ["case_held", "case_released", "case_closed", "payment_received", "payment_failed"])
def test_a_fact_about_another_creditors_case_is_a_bad_job(rig: Rig, kind: str) -> None:
    """A case id that is not the creditor's is unknown."""
    money = {"amount": "1.00", "currency": "EUR"} if kind.startswith("payment") else {}
    reason = {"case_held": {"reason": "manual"}, "case_closed": {"reason": "cancelled"}}.get(kind, {})
    with pytest.raises(BadJob, match="no such case"):
        rig.take(fact(kind, case="other-abcdefghijklmnop", **money, **reason))


# ---- cases and strategies


def test_credit_notes_lower_the_total_and_are_never_the_anchor(rig: Rig) -> None:
    """The oldest document is a credit note: the message is about the invoice, less the note."""
    note = invoice("AV-1", date(2026, 3, 2), "50.00", kind="credit_note")
    case = rig.open(invoices=[note, invoice("F-1", date(2026, 3, 31))])
    assert owed(rig, case) == "50.00"
    rig.reserve(case)
    (run,) = rig.case(case.id).runs
    assert run.anchor == "F-1"


def test_a_credit_note_alone_opens_nothing(rig: Rig) -> None:
    """It lowers nothing yet, and must not be forgotten: upstream is told to send it with, or after, an invoice."""
    note = invoice("AV-1", date(2026, 3, 2), "50.00", kind="credit_note")
    with pytest.raises(BadJob, match="a credit note without anything owed"):
        rig.take(reminder(invoices=[note]))


def test_another_strategy_than_the_open_cases_is_a_bad_job(rig: Rig) -> None:
    """A case keeps its strategy; once it is over the next one may follow another."""
    case = rig.open()
    with pytest.raises(BadJob, match="follows 'b2b'"):
        rig.take(reminder(job_id="x", strategy="b2c"))
    rig.take(fact("case_closed", case=case.id, reason="paid"))
    again = rig.open(job_id="y", strategy="b2c", invoices=[invoice("F-2", date(2026, 3, 31))])
    assert again.strategy == "b2c"


def test_a_named_case_must_be_the_debtors_open_one(rig: Rig) -> None:
    """Neither a made-up case nor an ended one."""
    case = rig.open()
    assert rig.open(job_id="ok", case=case.id, as_of=at(10)).id == case.id
    with pytest.raises(BadJob, match="not this debtor's open case"):
        rig.take(reminder(job_id="x", case="demo-nosuchcase", as_of=at(11)))


def test_a_currency_has_a_case_of_its_own(rig: Rig) -> None:
    """One debtor, one creditor, one currency."""
    dollars = rig.open(job_id="usd", invoices=[invoice("F-2", date(2026, 3, 31), currency="USD")])
    assert rig.open().id != dollars.id


def test_a_better_known_debtor_is_taken_over_by_newer_words_only(rig: Rig) -> None:
    """A new address replaces the old one, and an old job does not bring the old one back."""
    case = rig.open()
    rig.take(stated(12, "1200.50", debtor__email="new@example.com"))
    rig.take(stated(11, "1200.50"))
    assert rig.case(case.id).debtor.email == "new@example.com"


def test_history_by_hand_lets_the_ladder_stand_there(rig: Rig) -> None:
    """What people sent counts: the step is not repeated, its day keeps the gap, and the next step follows."""
    case = rig.open(history={"last_step": "first_reminder", "on": "2026-03-31"})
    (run,) = rig.case(case.id).runs
    assert (run.step, run.by_hand, run.at.date()) == ("first_reminder", True, date(2026, 3, 31))
    assert len(rig.contacts(case)) == 1
    rig.settle(case)
    look = rig.next_look(case)
    assert look is not None
    assert look >= datetime(2026, 4, 3, tzinfo=PARIS)
    assert "AttemptReserved" not in rig.kinds(case)


# ---- strategies of another kind


def other_ladder(rig: Rig, **changes: Any) -> None:
    """The debtors' strategy, changed."""
    config = rig.app.config
    b2b = replace(config.strategies["b2b"], **changes)
    rig.app.config = replace(config, strategies={**config.strategies, "b2b": b2b})


def test_group_by_invoice_gives_each_its_case(rig: Rig) -> None:
    """Two invoices, two cases; a word about one brings that one up to date."""
    other_ladder(rig, group_by="invoice")
    job = reminder(invoices=[invoice("F-1", date(2026, 3, 30)), invoice("F-2", date(2026, 3, 31))])
    one, two = rig.take(job).cases
    assert {rig.case(one).group, rig.case(two).group} == {"F-1", "F-2"}
    rig.take(reminder(job_id="j-2", as_of=at(12), invoices=[invoice("F-1", date(2026, 3, 30), outstanding="40.00")]))
    assert sorted(str(rig.case(case).owed()) for case in (one, two)) == ["100.00", "40.00"]


def test_driven_by_jobs_each_job_is_worth_one_step(rig: Rig) -> None:
    """The first job sends the first step; without another nothing follows; early ones are one credit, not two."""
    other_ladder(rig, driven_by="jobs")
    case = rig.open(invoices=[invoice("F-1", date(2026, 3, 31))])
    rig.settle(case)
    assert rig.kinds(case).count("AttemptAccepted") == 1
    assert [hold.reason for hold in rig.case(case.id).holds] == ["no_job"]
    for n in range(2):
        rig.take(reminder(job_id=f"more-{n}", as_of=at(12 + n), invoices=[invoice("F-1", date(2026, 3, 31))]))
    for _ in range(3):
        rig.settle(case)
        look = rig.next_look(case)
        if look:
            rig.jump(look)
    assert rig.kinds(case).count("AttemptAccepted") == 2


def test_a_bounced_payment_does_not_undo_newer_words_of_the_newer_case(rig: Rig) -> None:
    """An invoice that the newer case knows better already is left as it is there."""
    old = rig.open()
    rig.take(paid(12, reference="T1"))
    rig.settle(old)
    (new,) = rig.take(stated(15, "300.00")).cases
    rig.take(paid(14, kind="payment_failed", case=old.id, reference="T1"))
    assert str(rig.case(new).owed()) == "300.00"
