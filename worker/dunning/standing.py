"""Where the ladder stands for which invoice, and from when on its next step may be taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from worker.dunning.contact import add_business_days, backward, forward, gap_ends, local_date, start_of_day
from worker.dunning.model import Case, Invoice, StepRun
from worker.dunning.reach import reachable
from worker.dunning.strategy import Step, When
from worker.dunning.view import View, opens_at, run_key

#: Why a step was passed over whose address is gone: the next one is taken at once in its place.
UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step that could be next, for an anchor, not before a moment."""

    step: Step
    anchor: Invoice
    covers: tuple[str, ...]
    earliest: datetime
    reason: str = "not_due"


def candidates(view: View) -> list[Candidate]:
    """What could come next: a claim on the oldest overdue invoice, courtesies for those not yet due."""
    return [*_claim_candidates(view), *_courtesy_candidates(view)]


def _claim_candidates(view: View) -> Iterable[Candidate]:
    """The next step after the due date, for the oldest overdue invoice."""
    anchor = view.anchor or _next_to_be_late(view)
    if anchor is None:
        return
    steps = view.claims
    place = _place(view, anchor, steps)
    if view.case.refusal:
        place = next((i for i in range(place, len(steps)) if _is_notice(steps[i])), place)
    if place >= len(steps):
        return
    step = steps[place]
    at_once = view.strategy.driven_by == "jobs" or (view.case.refusal and _is_notice(step))
    day = max(view.today, anchor.due_on + timedelta(days=1)) if at_once else _day(view, anchor, step)
    covers = tuple(i.number for i in view.case.chased() if i.due_on < max(view.today, day))
    yield _at(view, step, anchor, covers, forward(day, view.around.calendar))


def _is_notice(step: Step) -> bool:
    """Is it where a refusal leads? Once the notice was given, its time runs, whatever is said."""
    return step.approval and not step.handover


def _next_to_be_late(view: View) -> Invoice | None:
    return next((i for i in view.case.chased() if i.due_on >= view.today), None)


def _place(view: View, anchor: Invoice, steps: Sequence[Step]) -> int:
    """The index of the next claim step for this anchor: the one behind where the ladder stands.

    No invoice is first heard of by a step that hangs on a deadline: without one, the step that gives it comes first.
    """
    place = _standing(view, anchor, steps) + 1
    if place >= len(steps) or all(when.origin != "previous_deadline" for when in steps[place].when):
        return place
    index = {step.name: i for i, step in enumerate(steps)}
    giving = max((i for i, step in enumerate(steps[:place]) if step.deadline is not None), default=-1)
    given = any(index[run.step] >= giving and _names(run, anchor) for run in view.runs)
    return place if given or giving < 0 or _own(view, anchor) else giving


def _standing(view: View, anchor: Invoice, steps: Sequence[Step]) -> int:
    """The index of the last claim step that counts as taken for this anchor; -1 if none.

    For a new anchor the ladder stands at the highest step whose day it has reached, never above where the old anchor
    stood; a step that told of it is not taken again. An anchor that had steps of its own goes on behind them.
    """
    index = {step.name: i for i, step in enumerate(steps)}
    runs = view.runs
    if not runs:
        return -1
    old = index[runs[-1].step]
    told = max(
        (min(index[run.step], _reached(view, anchor, steps, run)) for run in runs if _names(run, anchor)), default=-1
    )
    own = max((index[run.step] for run in _own(view, anchor)), default=None)
    if own is not None:
        return max(own, min(told, old))
    stands = min(_reached(view, anchor, steps), old)
    return stands if told >= stands else stands - 1


def _own(view: View, anchor: Invoice) -> list[StepRun]:
    return [run for run in view.runs if run.anchor == anchor.number]


def _names(run: StepRun, invoice: Invoice) -> bool:
    return invoice.number in (run.anchor, *run.covers)


def _reached(view: View, anchor: Invoice, steps: Sequence[Step], by: StepRun | None = None) -> int:
    """The index of the highest step whose day the invoice has reached, today or when that run was taken; -1 if none."""
    on = local_date(by.at, view.zone) if by else view.today
    return max((i for i, step in enumerate(steps) if (day := _due_day(view, anchor, step)) and day <= on), default=-1)


def _due_day(view: View, invoice: Invoice, step: Step) -> date | None:
    """The day of a step as far as it hangs on the due date; None if it does not."""
    days = [_offset(view, invoice.due_on, when) for when in step.when if when.origin == "due"]
    return max(days, default=None)


def _offset(view: View, base: date, when: When) -> date:
    if when.business:
        return add_business_days(base, when.days, view.around.calendar)
    return base + timedelta(days=when.days)


def _day(view: View, anchor: Invoice, step: Step) -> date:
    """The day of a claim step: the latest of what its `when` says, moved along if the ladder is late."""
    day = max(_origin(view, anchor, when) for when in step.when)
    day = max(day, anchor.due_on + timedelta(days=1))
    before = next((run for run in reversed(view.runs) if run.anchor == anchor.number), None)
    if before is None:
        return day
    if before.skipped == UNDELIVERABLE and all(when.origin == "due" for when in step.when):
        return max(view.today, anchor.due_on + timedelta(days=1))
    taken, offset = local_date(before.at, view.zone), _due_offset(step)
    previous = view.strategy.step(before.step)
    previous_offset = _due_offset(previous) if previous else None
    if offset is None or previous_offset is None:
        return day
    lateness = (taken - anchor.due_on).days - previous_offset
    if lateness > view.strategy.contact.late_after_days:
        day = max(day, taken + timedelta(days=offset - previous_offset))
    return day


def _due_offset(step: Step) -> int | None:
    return next((when.days for when in step.when if when.origin == "due"), None)


def _origin(view: View, anchor: Invoice, when: When) -> date:
    runs = [run for run in view.runs if _names(run, anchor)]
    base = anchor.due_on
    if when.origin != "due" and runs:
        base = local_date(runs[-1].at, view.zone)
    if when.origin == "previous_deadline":
        base = max([run.deadline for run in runs if run.deadline], default=base)
    return _offset(view, base, when)


def _courtesy_candidates(view: View) -> Iterable[Candidate]:
    """For each invoice not yet due, its next step before the due date."""
    claimed = view.runs  # an invoice already claimed, whose date upstream moved, gets no courtesy afterwards
    waiting = [i for i in view.case.chased() if i.due_on >= view.today and not any(_names(run, i) for run in claimed)]
    for invoice in waiting:
        step = _courtesy_step(view, invoice)
        if step is None:
            continue
        day = max(_courtesy_day(view, invoice, step), view.today)
        covers = tuple(
            i.number for i in waiting if not _said(view.case, step, i) and _courtesy_day(view, i, step) <= day
        )
        candidate = _at(view, step, invoice, covers, day)
        if local_date(candidate.earliest, view.zone) <= invoice.due_on:
            yield candidate


def _courtesy_step(view: View, invoice: Invoice) -> Step | None:
    """The first that was not taken; but of several whose day has come, the last."""
    steps = [step for step in view.strategy.steps if step.pre_due]
    taken = max((i for i, step in enumerate(steps) if _said(view.case, step, invoice)), default=-1)
    left = steps[taken + 1 :]
    if view.strategy.driven_by == "jobs":
        return next(iter(left), None)
    reached = [step for step in left if _courtesy_day(view, invoice, step) <= view.today]
    return next(iter([*reached[-1:], *left]), None)


def _courtesy_day(view: View, invoice: Invoice, step: Step) -> date:
    """Its day, shifted backward to a business day; any day will do where jobs drive."""
    if view.strategy.driven_by == "jobs":
        return view.today
    return backward(_due_day(view, invoice, step) or invoice.due_on, view.around.calendar)


def _said(case: Case, step: Step, invoice: Invoice) -> bool:
    return any(run.taken and run.step == step.name and _names(run, invoice) for run in case.runs)


def _at(view: View, step: Step, anchor: Invoice, covers: tuple[str, ...], day: date) -> Candidate:
    """The candidate's earliest moment: its day, the minimum gap, the open hours and caps of its channels."""
    reason = "not_due"
    moment = max(view.now, start_of_day(day, view.zone))
    gap = gap_ends(
        view.around.contacts, run_key(view.case.id, step.name, anchor.number), view.strategy.contact, view.zone
    )
    if gap and gap > moment and not step.handover:
        moment, reason = gap, "gap"
    channels = reachable(view, step) or step.channels
    opens = min((opens_at(view, channel, moment) for channel in channels), default=opens_at(view, "", moment))
    if opens > moment and moment <= view.now:
        reason = "window"
    return Candidate(step, anchor, covers, opens, reason)
