"""The judge of the provider: one that does less wrong than it was to do proves nothing, and is found."""

import pytest

from tests.chaos.judge import judge
from tests.chaos.trial import Trial

#: As many as the small run has.
DEBTORS = 200


@pytest.fixture(scope="module")
def wrong() -> Trial:
    """A run in which the provider did all it was to do: of every twenty messages, each in its way."""
    return Trial(DEBTORS, wrong=True)


def told(trial: Trial) -> list[str]:
    """What the judge finds broken, by what it calls it."""
    verdict = judge(trial.log, trial.facts)
    assert {each.promise for each in verdict.broken} <= {"aim"}
    return [each.evidence.partition(":")[0] for each in verdict.broken]


def test_a_provider_that_did_it_all_is_wrong_enough(wrong: Trial) -> None:
    """And the figures say how much: shares of what was accepted, each fault, each kind of receipts."""
    verdict = judge(wrong.log, wrong.facts)
    assert verdict.broken == []
    names = ("answers_lost", "listed_late", "without_receipt", "faults", "receipts")
    assert [verdict.figures[name] for name in names] == [
        90,
        90,
        90,
        {"accept_then_drop": 60, "accept_then_500": 30, "late": 30, "hang": 30, "429": 30, "500": 30},
        {"before the answer": 60, "twice": 60, "in another order": 60},
    ]


def test_answers_that_are_not_lost_are_missed(wrong: Trial) -> None:
    """No tenth, and neither kind of it."""
    log = [{**line, "fault": None} if str(line.get("fault")).startswith("accept_") else line for line in wrong.log]
    assert told(_with(wrong, log)) == ["answers lost", "accept_then_drop", "accept_then_500"]


@pytest.mark.parametrize("seconds", [0.0, 29.0])
def test_lists_that_lag_too_little_are_missed(wrong: Trial, seconds: float) -> None:
    """Half a minute, or it is not what was to be shown."""
    log = [{**line, "seconds": seconds} if line["event"] == "delayed" else line for line in wrong.log]
    assert told(_with(wrong, log)) == ["listed 30 s late"]


def test_receipts_for_everything_are_missed(wrong: Trial) -> None:
    """Settling by lists is proven only where no receipt comes."""
    posted = {line["id"] for line in wrong.log if line["event"] == "posted"}
    more = [
        {**line, "event": "posted", "what": "receipt", "said": "delivered", "number": 1}
        for line in wrong.log
        if line["event"] == "accepted" and line["id"] not in posted
    ]
    assert told(_with(wrong, [*wrong.log, *more])) == ["without a receipt"]


@pytest.mark.parametrize("kind", ["accept_then_500", "late", "hang", "429", "500"])
def test_a_fault_that_nobody_met_is_missed(wrong: Trial, kind: str) -> None:
    """Each once at least."""
    log = [line for line in wrong.log if not (line["event"] == "failed" and line["fault"] == kind)]
    log = [{**line, "fault": None} if line.get("fault") == kind else line for line in log]
    assert told(_with(wrong, log)) == [kind]


def test_the_rarest_fault_is_asked_of_a_full_run_alone(wrong: Trial) -> None:
    """One in a hundred: a small run may go without, which the 600 messages above do; a large one does not."""
    more = [line for line in wrong.log if line["event"] == "failed"]
    assert told(_with(wrong, [*wrong.log, *more * 5])) == ["refuse"]


@pytest.mark.parametrize(("kind", "first"), [("before the answer", 10), ("twice", 12), ("in another order", 14)])
def test_a_kind_of_receipts_that_nobody_had_is_missed(wrong: Trial, kind: str, first: int) -> None:
    """Each once at least: first thing, twice, shuffled."""
    ids = [line["id"] for line in wrong.log if line["event"] == "accepted"]
    plain = {message for place, message in enumerate(ids) if place % 20 in (first, first + 1)}
    last = {line["id"]: line for line in wrong.log if line["event"] == "posted"}
    rest = [line for line in wrong.log if line["event"] != "posted" or line["id"] not in plain]
    assert told(_with(wrong, [*rest, *(last[message] for message in plain)])) == [f"receipts {kind}"]


def test_a_share_may_fall_short_as_chance_has_it(wrong: Trial) -> None:
    """Thirty late entries of six hundred are as likely as not a tenth badly drawn; twenty are not."""
    late = [line for line in wrong.log if line["event"] == "delayed"]
    rest = [line for line in wrong.log if line["event"] != "delayed"]
    assert told(_with(wrong, [*rest, *late[:31]])) == []
    assert told(_with(wrong, [*rest, *late[:30]])) == ["listed 30 s late"]


def test_a_tenth_is_held_against_a_full_run(wrong: Trial) -> None:
    """The more messages, the less is chance: of 6,000, a twentieth is no tenth."""
    late = [line for line in wrong.log if line["event"] == "delayed"]
    rest = [line for line in wrong.log if line["event"] not in ("delayed", "opened")] * 10
    assert "listed 30 s late" in [
        each.evidence.partition(":")[0] for each in judge([*rest, *late * 4], wrong.facts).broken
    ]


def _with(trial: Trial, log: list[dict[str, object]]) -> Trial:
    """The same facts, another log."""
    other = Trial(0)
    other.log, other.facts = log, trial.facts
    return other
