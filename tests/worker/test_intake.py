"""What upstream says, in any order and any number of times: no debt is revived, no payment lost, no job done twice."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.model import Case

from .payloads import reminder
from .rig import MORNING, NUMBER, HookedCases, Rig, invoice, paid, stated


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def owed(rig: Rig, case: Case) -> str:
    """What the case owes now."""
    return str(rig.case(case.id).owed())


# ---- as_of


def test_a_reminder_computed_before_a_payment_never_revives_the_debt(rig: Rig) -> None:
    """Processed after it, it is ignored and says so."""
    case = rig.open()
    rig.take(paid(12))
    taken = rig.take(stated(11, "1200.50"))
    assert taken.notes == ("older than what the invoice knows",)
    assert taken.cases == ()
    assert owed(rig, case) == "0"


def test_it_does_not_revive_the_debt_after_the_case_has_ended_either(rig: Rig) -> None:
    """The ended case's invoice is still known: no new case is opened."""
    case = rig.open()
    rig.take(paid(12))
    rig.settle(case)
    assert rig.take(stated(11, "1200.50")).cases == ()
    assert list(rig.app.cases.case_ids("demo")) == [case.id]


def test_a_newer_statement_counts_the_payments_before_it(rig: Rig) -> None:
    """What the books say later replaces what was known; a payment after that still lowers it."""
    case = rig.open()
    rig.take(paid(12, "200.00"))
    rig.take(stated(14, "700.00"))
    assert owed(rig, case) == "700.00"
    rig.take(paid(15, "100.00"))
    rig.take(paid(13, "50.00"))
    assert owed(rig, case) == "600.00"


def test_of_two_words_at_the_same_moment_the_payment_counts(rig: Rig) -> None:
    """Equal `as_of`: rather ask for too little than for what was paid."""
    case = rig.open()
    rig.take(paid(9, "200.50"))
    assert owed(rig, case) == "1000.00"
    rig.take(stated(9, "1200.50"))
    assert owed(rig, case) == "1000.00"


def test_payments_may_come_in_any_order(rig: Rig) -> None:
    """Two part payments count both, whichever is told first."""
    case = rig.open()
    rig.take(paid(14, "200.00"))
    rig.take(paid(11, "300.50"))
    assert owed(rig, case) == "700.00"


Payment = tuple[int, int]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])  # own debtors
@given(st.lists(st.tuples(st.integers(10, 22), st.integers(1, 300)), max_size=5, unique_by=lambda payment: payment[0]))
def test_whatever_the_order_each_payment_counts_once_and_old_words_not_at_all(
    debts: Iterator[Case], rig: Rig, payments: list[Payment]
) -> None:
    """Part payments in any order, and after each a reminder computed before it: what is owed goes down, never up."""
    case = next(debts)
    (number,) = (invoice.number for invoice in case.invoices)
    for hour, amount in payments:
        rig.take(paid(hour, f"{amount}.00", invoice=number, job_id=f"{case.id}-{hour}"))
        latest = max(hour for hour, _ in payments[: payments.index((hour, amount)) + 1])
        old = {"debtor__id": case.debtor.id, "invoices__0__number": number, "job_id": f"{case.id}-old-{hour}"}
        rig.take(stated(latest - 1, "1200.50", **old))
    expected = max(Decimal(0), Decimal("1200.50") - sum(amount for _, amount in payments))
    assert rig.case(case.id).owed() == expected


@pytest.fixture
def debts(rig: Rig) -> Iterator[Case]:
    """Debtors, each with a case."""
    return (rig.open(job_id=f"o-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in itertools.count())


# ---- payments before their invoice


def test_a_payment_before_its_invoice_is_applied_when_it_appears(rig: Rig) -> None:
    """Kept thirty days under the invoice's number, then counted."""
    taken = rig.take(paid(12))
    assert taken.notes == ("kept 30 days for an invoice that is not known yet",)
    ttl: Any = rig.app.client.ttl(Keys("demo").early(NUMBER))
    assert timedelta(days=29) < timedelta(seconds=ttl) <= timedelta(days=30)
    case = rig.open()
    rig.settle(case)
    ended = rig.case(case.id).ended
    assert ended is not None
    assert ended.reason == "paid"
    assert rig.app.client.exists(Keys("demo").early(NUMBER)) == 0


def test_an_early_payment_older_than_the_invoices_word_was_counted_by_it(rig: Rig) -> None:
    """The statement is newer: it knew of the payment."""
    rig.take(paid(8, "200.00"))
    assert owed(rig, rig.open()) == "1200.50"


@pytest.mark.parametrize("first", ["payment", "invoice"])
def test_a_payment_and_its_invoice_at_the_same_moment_meet(rig: Rig, make_app: MakeApp, first: str) -> None:
    """Whichever is committed between the other's reading and its commit, the payment is applied: not kept, not lost."""
    other = Rig(make_app())
    jobs = {"invoice": reminder(), "payment": paid(12)}
    late = jobs.pop("invoice" if first == "payment" else "payment")
    (early,) = jobs.values()
    rig.app.cases = HookedCases(rig.app.client, lambda: other.take(early))
    rig.take(late)
    (case_id,) = rig.app.cases.case_ids("demo")
    assert str(rig.case(case_id).owed()) == "0"
    assert rig.app.client.exists(Keys("demo").early(NUMBER)) == 0


def both(*works: Any) -> None:
    """Do these at the same time."""
    threads = [Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- once


def test_the_same_job_id_twice_is_one_job(rig: Rig) -> None:
    """The second is answered as repeated and changes nothing, even with other content."""
    case = rig.open()
    rig.take(paid(12, "200.00", job_id="p"))
    again = rig.take(paid(13, "300.00", job_id="p"))
    assert again.repeated
    assert owed(rig, case) == "1000.50"
    ttl: Any = rig.app.client.ttl(Keys("demo").job("p"))
    assert timedelta(days=89) < timedelta(seconds=ttl) <= timedelta(days=90)


def test_a_job_taken_by_eight_workers_at_once_is_taken_once(rig: Rig) -> None:
    """The mark and the change are one commit."""
    case = rig.open()
    both(*[lambda: rig.take(paid(12, "200.00"))] * 8)
    assert owed(rig, case) == "1000.50"


def test_workers_that_take_jobs_of_one_debtor_at_once_lose_no_update(rig: Rig, make_app: MakeApp) -> None:
    """Sixteen threads, eighty part payments of one case: all are counted, none is refused."""
    case = rig.open()
    apps = [rig, Rig(make_app())]
    start = Barrier(16)

    def work(n: int) -> None:
        start.wait()
        for turn in range(5):
            apps[n % 2].take(paid(12, "1.00", job_id=f"p-{n}-{turn}"))

    both(*[lambda n=n: work(n) for n in range(16)])
    assert owed(rig, case) == "1120.50"
    assert rig.kinds(case).count("PaymentReceived") == 80


def test_two_workers_that_open_the_same_case_open_one(rig: Rig, make_app: MakeApp) -> None:
    """Two jobs about one debtor at once: one case with both invoices."""
    other = Rig(make_app())
    both(
        lambda: rig.open(job_id="a", invoices=[invoice("F-1", date(2026, 3, 30))]),
        lambda: other.open(job_id="b", invoices=[invoice("F-2", date(2026, 3, 31))]),
    )
    (case_id,) = rig.app.cases.case_ids("demo")
    assert {i.number for i in rig.case(case_id).invoices} == {"F-1", "F-2"}
