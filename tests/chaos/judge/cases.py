"""How each case ended: by a payment, held for a person, or with somebody who will look at it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.judge.reading import Broken, Facts, Run, keys, paid

#: The share of cases that may wait for a person without an explanation in the provider's log.
MOST_HELD = 0.02
#: Holds that excuse no silence: every step was taken, or no address of the last one can be used. The provider's log
#: explains them, or nothing does.
DONE, UNREACHABLE = EXPLAINED = ("ladder_done", "unreachable")
#: An uncertain message holds its case, even one that is over, for somebody must find out.
UNCERTAIN = "uncertain"
#: What fell due after relance was asked to stop, or so many seconds before, it can not have come to: a receipt that
#: arrives then puts its case onto the agenda for now.
STOPPING = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """The cases that a person must look at, by reason; `explained` those of them that the provider's log explains.

    `cases` is how many there are in all, `unexplained` how many have a reason that it does not explain.
    """

    reasons: Counter[str]
    explained: Counter[str]
    cases: int
    unexplained: int


def held(run: Run) -> Held:
    """Count them."""
    reasons: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    cases = unexplained = 0
    for debtor, case in run.followed():
        found = {hold for hold in case["holds"] if hold == UNCERTAIN or not case["ended"]}
        clear = {hold for hold in found if _explained(run, debtor, hold)}
        reasons.update(found)
        explained.update(clear)
        cases += bool(found)
        unexplained += any(_counts(run, hold) for hold in found - clear)
    return Held(reasons, explained, cases, unexplained)


def _explained(run: Run, debtor: Facts, hold: str) -> bool:
    """Does the provider's log say why? Every message was taken or its address refused, for `unreachable` some were."""
    silent = [key for key in keys(debtor) if key not in run.accepted]
    if hold not in EXPLAINED or any(key not in run.refused for key in silent):
        return False
    return hold == DONE or bool(silent)


def _counts(run: Run, hold: str) -> bool:
    """Without settling, every lost answer without a receipt is uncertain: those have no bound."""
    return hold != UNCERTAIN or run.facts["settles"]


def held_too_many(run: Run, found: Held) -> Iterator[Broken]:
    """More than a few, and nothing explains them."""
    if found.unexplained > MOST_HELD * len(run.taken):
        reasons = dict(found.reasons - found.explained)
        yield Broken("held", f"{found.unexplained} of {len(run.taken)} cases wait for a person: {reasons}")


def ends(run: Run) -> Iterator[Broken]:
    """Whoever did not pay is still chased."""
    for debtor, case in run.followed():
        if case["ended"] and not paid(debtor, case):
            yield Broken("end", f"{case['case']}: it ended, {case['ended']}, and nobody paid it")


def limbo(run: Run) -> Iterator[Broken]:
    """Open cases that nobody will look at."""
    for case in run.cases.values():
        if not (case["ended"] or case["holds"] or _looked_at(run, case)):
            entries = f"agenda {case['agenda']}, in flight {case['in_flight']}"
            yield Broken("limbo", f"{case['case']}: {case['state']}, {case['why']}, {entries}")


def _looked_at(run: Run, case: Facts) -> bool:
    """Will the scheduler come to it? By the store's own entries, and none that it passed over."""
    entries: list[float] = [entry for entry in (case["agenda"], case["in_flight"]) if entry is not None]
    asked: float = run.facts["stopped"]["asked"]
    return max(entries, default=0.0) > asked - STOPPING


def unfolded(run: Run) -> Iterator[Broken]:
    """A snapshot that its history does not make."""
    return (Broken("fold", case["case"]) for case in run.cases.values() if not case["folds"])
