"""What a ladder would do, day by day: the shipped strategies on one example."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.conftest import ROOT
from worker.config import Config, load
from worker.plan import Rung, example

DUE = date(2026, 3, 31)


@pytest.fixture(scope="module")
def shipped() -> Config:
    """The configuration as it ships."""
    return load(ROOT / "config")


def days(config: Config, strategy: str, amount: str = "1200") -> list[str]:
    """`2026-04-01 first_reminder email`, a line for each step."""
    return [
        " ".join((rung.on.isoformat(), rung.step, *rung.channels))
        for rung in example(config, strategy, due_on=DUE, amount=Decimal(amount))
    ]


def test_a_public_buyer_is_written_to_and_nothing_else(shipped: Config) -> None:
    """No SMS, no automated call; three letters, a call by a person, a notice, and the mediator."""
    assert days(shipped, "public") == [
        "2026-03-24 courtesy email",
        "2026-04-03 first_reminder email",
        "2026-04-20 second_reminder email",
        "2026-04-30 human_call task",
        "2026-05-11 formal_notice email task",
        "2026-06-15 handover",
    ]


def test_after_a_refusal_the_formal_notice_comes_first(shipped: Config) -> None:
    """Eight days after it, and three business days for the bank, a last word; then a lawyer."""
    assert days(shipped, "direct_notice") == [
        "2026-04-01 formal_notice email task",
        "2026-04-14 last_word email task",
        "2026-04-21 handover",
    ]


def test_the_plan_says_what_a_person_must_do_first(shipped: Config) -> None:
    """The notice needs approval and gives a date; the end says who takes over."""
    notice, _, end = example(shipped, "direct_notice", due_on=DUE, amount=Decimal(100))
    assert (notice.note, notice.deadline) == ("needs approval", date(2026, 4, 9))
    assert end == Rung(on=date(2026, 4, 21), step="handover", tone=4, channels=(), note="handed over to: lawyer")


def test_a_small_amount_skips_what_needs_more(shipped: Config) -> None:
    """Nobody calls in person about a hundred euros."""
    assert "2026-04-23 human_call" in days(shipped, "b2b", "100")
    assert "2026-04-23 human_call task" in days(shipped, "b2b", "1200")


def test_every_step_of_every_strategy_is_reached(shipped: Config) -> None:
    """An example that nobody answers climbs each ladder to its end, one step at a time, never twice."""
    for name, strategy in shipped.strategies.items():
        steps = [rung.step for rung in example(shipped, name, due_on=DUE, amount=Decimal(5000))]
        assert steps == [step.name for step in strategy.steps]


def test_who_is_called_is_not_given_formal_notice_the_same_day(shipped: Config) -> None:
    """Whatever holidays and gaps push together: two days at least to do as was agreed on the phone."""
    for due_on in (date(2026, 1, 1) + timedelta(days=count) for count in range(0, 365, 11)):
        on = {rung.step: rung.on for rung in example(shipped, "b2b", due_on=due_on, amount=Decimal(1200))}
        assert on["formal_notice"] - on["human_call"] >= timedelta(days=2), due_on
