"""Facts that upstream may send about a case: payments, holds, releases, ends."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.worker.payloads import fact, refused
from worker.config import Config, load
from worker.dunning.strategy import END_REASONS, HOLDS
from worker.jobs import CaseHeld, CaseReleased, PaymentReceived, parse
from worker.jobs.schemas import UPSTREAM_HOLDS


@pytest.fixture(scope="module")
def config() -> Config:
    """The configuration as shipped."""
    return load(Path(__file__).parents[2] / "config")


def test_a_payment_names_an_invoice_or_a_case(config: Config) -> None:
    """One of them and only one; how and when are optional, so that a payment is never refused for a detail."""
    job = parse(fact("payment_received", invoice="F-1", amount="10.00", currency="EUR"), config)
    assert isinstance(job, PaymentReceived)
    assert (job.amount, job.received_on, job.means) == (Decimal("10.00"), None, "")
    parse(fact("payment_failed", case="demo-1", amount="10.00", currency="EUR", reason="R-transaction"), config)
    neither = fact("payment_received", amount="10", currency="EUR")
    assert refused(neither, config) == ["needs either invoice or case"]
    assert refused(neither | {"invoice": "F-1", "case": "demo-1"}, config) == ["needs either invoice or case"]
    assert refused(neither | {"invoice": "F-1", "amount": "0.00"}, config) == ["amount: zero"]


def test_a_hold_has_a_known_reason_and_a_date_where_it_needs_one(config: Config) -> None:
    """A promise without its date is refused; a dispute lasts until it is released; rules' own holds are not sent."""
    job = parse(fact("case_held", case="demo-1", invoice="F-1", reason="promise", until="2026-04-30"), config)
    assert isinstance(job, CaseHeld)
    assert (job.reason, job.until) == ("promise", date(2026, 4, 30))
    for reason in ("promise", "plan", "approval_circuit"):
        assert refused(fact("case_held", case="demo-1", reason=reason), config) == ["until: required for that reason"]
    parse(fact("case_held", invoice="F-1", reason="dispute"), config)
    assert refused(fact("case_held", reason="dispute"), config) == ["needs a case, an invoice or both"]
    assert refused(fact("case_held", case="demo-1", reason="unreachable"), config)[0].startswith("reason: not one of: ")
    assert set(UPSTREAM_HOLDS) <= set(HOLDS)


def test_a_release_and_a_close_say_what_they_are_about(config: Config) -> None:
    """A release may lift one reason or all; a close needs a reason there is."""
    job = parse(fact("case_released", case="demo-1"), config)
    assert isinstance(job, CaseReleased)
    assert job.reason is None
    parse(fact("case_released", invoice="F-1", reason="dispute"), config)
    for reason in END_REASONS:
        parse(fact("case_closed", case="demo-1", reason=reason), config)
    assert refused(fact("case_closed", case="demo-1", reason="bored"), config)[0].startswith(
        "reason: not one of: paid,"
    )
    assert refused(fact("case_closed", case="a", invoice="b", reason="paid"), config) == [
        "needs either invoice or case"
    ]
