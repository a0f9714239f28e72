"""What to do about a case now: the one place where the rules of the ladder are read.

`decide` is pure: the same case, strategy, surroundings and moment give the same decision. The scheduler carries it out,
`explain` prints it.

========================================  ====================================================================
the case                                  is
========================================  ====================================================================
has ended                                 left alone
owes nothing                              ended
has a message on its way                  left until the outcome is known
is held, or all it owes is                left until the hold lapses or somebody lifts it
is under a pause                          looked at again when the pause may be over
has a step not finished                   given that step's next channel, or its next try
has a next step whose day has come        given it: approval asked, skipped, handed over, or messages reserved
has a next step, not yet                  looked at again then
has no step left                          held `ladder_done`
========================================  ====================================================================
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from worker.dunning.contact import (
    add_business_days,
    backward,
    cap_ends,
    forward,
    gap_ends,
    local_date,
    next_open,
    start_of_day,
)
from worker.dunning.decision import Around, Decision, End, HandOver, Lapse, PlaceHold, Remind, Skip, Wait
from worker.dunning.model import ZERO, Case, Hold, Invoice, StepRun
from worker.dunning.strategy import Step, Strategy, When

#: Holds that the rules place, and lift as soon as what they wait for has come.
FOUND_BY_RULES = frozenset({"below_minimum", "unreachable", "no_job", "ladder_done", "approval_pending"})

#: How soon a case is looked at again that is paused, or whose channel's queue is full.
PAUSE_RECHECK, FULL_RECHECK = timedelta(minutes=5), timedelta(minutes=1)


def decide(case: Case, strategy: Strategy, now: datetime, around: Around) -> Decision:
    """What to do about the case at `now` (ladder time, aware). Never raises for a well-formed case."""
    if case.ended:
        return Wait("ended")
    open_sends = [send for _, send in case.open_sends()]
    if any(send.status != "uncertain" for send in open_sends):
        return Wait("in_flight")
    if case.owed() == ZERO:
        return End("credited" if case.unpaid() else "paid")
    if open_sends:
        return Wait("held: uncertain")
    view = _View(case, strategy, now, around)
    return _held(view) or _paused(view) or _next(view)


def lines(case: Case, step: Step, anchor: str, today: date) -> tuple[Invoice, ...]:
    """The invoices a message of that step lists, oldest first.

    A claim lists every overdue invoice that may be chased, and the credit notes that lower the total. A courtesy before
    the due date lists those whose own step it is, and nothing else.
    """
    if step.pre_due:
        own = case.run(step.name, anchor)
        covers = own.covers if own else (anchor,)
        return tuple(i for i in case.chased() if i.number in covers)
    overdue = tuple(i for i in case.chased() if i.due_on < today)
    notes = tuple(i for i in case.invoices if i.kind == "credit_note" and i.outstanding > 0)
    return (*overdue, *notes) if overdue else ()


def may_send(case: Case, strategy: Strategy, run: StepRun, channel: str, now: datetime, around: Around) -> str | None:
    """Why a message already reserved must not leave at `now`; None if it may. The last look asks this."""
    view = _View(case, strategy, now, around)
    step = strategy.step(run.step)
    whole = case.case_hold()
    if case.ended:
        return f"the case ended: {case.ended.reason}"
    if _total(case) == ZERO:
        return "nothing is owed"
    if whole:
        return f"held: {whole.reason}"
    if step is None or not _concerns(view, run, step):
        return "the invoice is no longer the one to chase"
    if around.paused & {"all", "creditor", f"strategy:{strategy.name}", f"channel:{channel}"}:
        return "paused"
    if not usable(case, channel):
        return "the address cannot be used"
    return "outside of the contact window" if _opens(view, channel, now, own=run) > now else None


def local_today(case: Case, now: datetime) -> date:
    """The date on the debtor's wall."""
    return local_date(now, case.debtor.timezone)


def usable(case: Case, channel: str) -> bool:
    """Does the debtor have an address for that channel that was not refused? A task needs none."""
    if channel in dict(case.unusable):
        return False
    if channel == "email":
        return case.debtor.email is not None
    if channel in ("sms", "voice"):
        return case.debtor.phone is not None
    return True


# ---- holds and pauses ------------------------------------------------------------------------------------------------


def _held(view: "_View") -> Decision | None:
    case = view.case
    for hold in case.holds:
        if _over(hold, view):
            return Lapse(hold)
    longest = case.case_hold()
    first_end = min((hold.until for hold in case.holds if hold.until), default=None)
    if longest:
        step = longest.note if longest.reason in ("approval_pending", "unreachable") else ""
        until = first_end if longest.reason in FOUND_BY_RULES else longest.until
        return Wait(f"held: {longest.reason}", until, step)
    if _total(case) == ZERO:
        reasons = sorted({h.reason for h in case.holds})
        return Wait(f"held: {', '.join(reasons)}", first_end)
    if _total(case) < view.strategy.min_amount:
        return PlaceHold(Hold(reason="below_minimum", since=view.now))
    return None


def _over(hold: Hold, view: "_View") -> bool:
    """Has its date passed, or has what it waits for come true?"""
    case, strategy = view.case, view.strategy
    if hold.until is not None and hold.until <= view.now:
        return True
    match hold.reason:
        case "below_minimum":
            return _total(case) >= strategy.min_amount
        case "unreachable":
            step = strategy.step(hold.note)
            return step is None or bool(_plan(view, step)) or hold.note not in _up_next(view)
        case "no_job":
            return case.credit
        case "approval_pending":
            return hold.note not in {c.step.name for c in _candidates(view) if _needs_approval(view, c)}
        case "ladder_done":
            return bool(_candidates(view))
    return False


def _total(case: Case) -> Decimal:
    """What may be chased: the unpaid invoices without a hold of their own, less the credit notes."""
    return max(ZERO, sum((invoice.outstanding for invoice in case.chased()), ZERO) - _credits(case))


def _credits(case: Case) -> Decimal:
    return sum((note.outstanding for note in case.invoices if note.kind == "credit_note"), ZERO)


def _paused(view: "_View") -> Decision | None:
    scopes = view.around.paused & {"all", "creditor", f"strategy:{view.strategy.name}"}
    return Wait(f"paused: {', '.join(sorted(scopes))}", view.now + PAUSE_RECHECK) if scopes else None


# ---- the ladder ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _View:
    """A case and everything needed to read it, with the questions the rules ask."""

    case: Case
    strategy: Strategy
    now: datetime
    around: Around

    @property
    def zone(self) -> str:
        return self.case.debtor.timezone

    @property
    def today(self) -> date:
        return local_date(self.now, self.zone)

    def anchor(self) -> Invoice | None:
        """The oldest overdue invoice that may be chased; None while credit notes outweigh what is overdue."""
        overdue = [i for i in self.case.chased() if i.due_on < self.today]
        worth = sum((i.outstanding for i in overdue), ZERO) > _credits(self.case)
        return overdue[0] if worth else None

    def claims(self) -> tuple[Step, ...]:
        """The steps after the due date."""
        return tuple(step for step in self.strategy.steps if not step.pre_due)

    def runs(self) -> list[StepRun]:
        """The runs of claim steps, as they were taken."""
        names = {step.name for step in self.claims()}
        return [run for run in self.case.runs if run.taken and run.step in names]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A step that could be next, for an anchor, not before a moment."""

    step: Step
    anchor: Invoice
    covers: tuple[str, ...]
    earliest: datetime
    reason: str = "not_due"


def _next(view: _View) -> Decision:
    going_on = _unfinished(view)
    if going_on:
        return going_on
    if view.strategy.driven_by == "jobs" and not view.case.credit:
        return PlaceHold(Hold(reason="no_job", since=view.now))
    candidates = _candidates(view)
    if not candidates:
        return _nothing_left(view)
    best = min(candidates, key=lambda c: (c.earliest, c.step.pre_due, view.strategy.index(c.step.name)))
    if best.earliest > view.now:
        return _no_later(view, Wait(best.reason, best.earliest, best.step.name))
    return _take(view, best)


def _no_later(view: _View, wait: Wait) -> Wait:
    """A hold on one invoice may end before the step of the others is due."""
    first = min((hold.until for hold in view.case.holds if hold.until), default=None)
    return Wait(wait.reason, first) if first and wait.until and first < wait.until else wait


def _up_next(view: _View) -> set[str]:
    """The names of the steps that are being taken or could be next."""
    going_on = _current(view)
    return {*([going_on[1].name] if going_on else []), *(c.step.name for c in _candidates(view))}


def _candidates(view: _View) -> list[_Candidate]:
    return [*_claim_candidates(view), *_courtesy_candidates(view)]


def _nothing_left(view: _View) -> Decision:
    future = [invoice.due_on for invoice in view.case.chased() if invoice.due_on >= view.today]
    if view.anchor() is None and future:
        return _no_later(view, Wait("not_due", start_of_day(min(future) + timedelta(days=1), view.zone)))
    return PlaceHold(Hold(reason="ladder_done", since=view.now))


def _claim_candidates(view: _View) -> Iterable[_Candidate]:
    """The next step after the due date, for the oldest overdue invoice."""
    anchor = view.anchor() or _next_to_be_late(view)
    if anchor is None:
        return
    steps = view.claims()
    place = _place(view, anchor, steps)
    if place >= len(steps):
        return
    step = steps[place]
    by_job = view.strategy.driven_by == "jobs"
    day = max(view.today, anchor.due_on + timedelta(days=1)) if by_job else _day(view, anchor, step)
    covers = tuple(i.number for i in view.case.chased() if i.due_on < max(view.today, day))
    yield _at(view, step, anchor, covers, forward(day, view.around.calendar))


def _next_to_be_late(view: _View) -> Invoice | None:
    return next((i for i in view.case.chased() if i.due_on >= view.today), None)


def _place(view: _View, anchor: Invoice, steps: Sequence[Step]) -> int:
    """The index of the next claim step for this anchor: the one behind where the ladder stands.

    No invoice is first heard of by a step that hangs on a deadline: without one, the step that gives it comes first.
    """
    place = _standing(view, anchor, steps) + 1
    if place >= len(steps) or all(when.origin != "previous_deadline" for when in steps[place].when):
        return place
    index = {step.name: i for i, step in enumerate(steps)}
    giving = max((i for i, step in enumerate(steps[:place]) if step.deadline is not None), default=-1)
    given = any(index[run.step] >= giving and _names(run, anchor) for run in view.runs())
    return place if given or giving < 0 or _own(view, anchor) else giving


def _standing(view: _View, anchor: Invoice, steps: Sequence[Step]) -> int:
    """The index of the last claim step that counts as taken for this anchor; -1 if none.

    For a new anchor the ladder stands at the highest step whose day it has reached, never above where the old anchor
    stood; a step that told of it is not taken again. An anchor that had steps of its own goes on behind them.
    """
    index = {step.name: i for i, step in enumerate(steps)}
    runs = view.runs()
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


def _own(view: _View, anchor: Invoice) -> list[StepRun]:
    return [run for run in view.runs() if run.anchor == anchor.number]


def _names(run: StepRun, invoice: Invoice) -> bool:
    return invoice.number in (run.anchor, *run.covers)


def _reached(view: _View, anchor: Invoice, steps: Sequence[Step], by: StepRun | None = None) -> int:
    """The index of the highest step whose day the invoice has reached, today or when that run was taken; -1 if none."""
    on = local_date(by.at, view.zone) if by else view.today
    return max((i for i, step in enumerate(steps) if (day := _due_day(view, anchor, step)) and day <= on), default=-1)


def _due_day(view: _View, invoice: Invoice, step: Step) -> date | None:
    """The day of a step as far as it hangs on the due date; None if it does not."""
    days = [_offset(view, invoice.due_on, when) for when in step.when if when.origin == "due"]
    return max(days, default=None)


def _offset(view: _View, base: date, when: When) -> date:
    if when.business:
        return add_business_days(base, when.days, view.around.calendar)
    return base + timedelta(days=when.days)


def _day(view: _View, anchor: Invoice, step: Step) -> date:
    """The day of a claim step: the latest of what its `when` says, moved along if the ladder is late."""
    day = max(_origin(view, anchor, when) for when in step.when)
    day = max(day, anchor.due_on + timedelta(days=1))
    before = next((run for run in reversed(view.runs()) if run.anchor == anchor.number), None)
    if before is None:
        return day
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


def _origin(view: _View, anchor: Invoice, when: When) -> date:
    runs = [run for run in view.runs() if _names(run, anchor)]
    base = anchor.due_on
    if when.origin != "due" and runs:
        base = local_date(runs[-1].at, view.zone)
    if when.origin == "previous_deadline":
        base = max([run.deadline for run in runs if run.deadline], default=base)
    return _offset(view, base, when)


def _courtesy_candidates(view: _View) -> Iterable[_Candidate]:
    """For each invoice not yet due, its next step before the due date."""
    waiting = [i for i in view.case.chased() if i.due_on >= view.today]
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


def _courtesy_step(view: _View, invoice: Invoice) -> Step | None:
    """The first that was not taken; but of several whose day has come, the last."""
    steps = [step for step in view.strategy.steps if step.pre_due]
    taken = max((i for i, step in enumerate(steps) if _said(view.case, step, invoice)), default=-1)
    left = steps[taken + 1 :]
    if view.strategy.driven_by == "jobs":
        return next(iter(left), None)
    reached = [step for step in left if _courtesy_day(view, invoice, step) <= view.today]
    return next(iter([*reached[-1:], *left]), None)


def _courtesy_day(view: _View, invoice: Invoice, step: Step) -> date:
    """Its day, shifted backward to a business day; any day will do where jobs drive."""
    if view.strategy.driven_by == "jobs":
        return view.today
    return backward(_due_day(view, invoice, step) or invoice.due_on, view.around.calendar)


def _said(case: Case, step: Step, invoice: Invoice) -> bool:
    return any(run.taken and run.step == step.name and _names(run, invoice) for run in case.runs)


def _at(view: _View, step: Step, anchor: Invoice, covers: tuple[str, ...], day: date) -> _Candidate:
    """The candidate's earliest moment: its day, the minimum gap, the open hours and caps of its channels."""
    reason = "not_due"
    moment = max(view.now, start_of_day(day, view.zone))
    gap = gap_ends(
        view.around.contacts, run_key(view.case.id, step.name, anchor.number), view.strategy.contact, view.zone
    )
    if gap and gap > moment and not step.handover:
        moment, reason = gap, "gap"
    channels = _reachable(view, step) or step.channels
    opens = min((_opens(view, channel, moment) for channel in channels), default=_opens(view, "", moment))
    if opens > moment and moment <= view.now:
        reason = "window"
    return _Candidate(step, anchor, covers, opens, reason)


def _opens(view: _View, channel: str, moment: datetime, own: StepRun | None = None) -> datetime:
    """When the channel may be used from `moment` on; a reservation of its `own` run is not a contact yet."""
    key = run_key(view.case.id, own.step, own.anchor) if own else ""
    contacts = [contact for contact in view.around.contacts if contact.run != key]
    cap = cap_ends(contacts, channel, view.strategy.contact, view.zone)
    window = view.strategy.contact.window_for(channel)
    return next_open(max(moment, cap) if cap else moment, window, view.zone, view.around.calendar)


def run_key(case_id: str, step: str, anchor: str) -> str:
    """What tells the contacts of one run from all others."""
    return f"{case_id}|{step}|{anchor}"


# ---- taking a step ---------------------------------------------------------------------------------------------------


def _take(view: _View, candidate: _Candidate) -> Decision:
    case, step, anchor = view.case, candidate.step, candidate.anchor.number
    if _total(case) < step.min_amount:
        return Skip(step, anchor, f"less than {step.min_amount} {case.currency} is owed")
    if _needs_approval(view, candidate):
        return PlaceHold(Hold(reason="approval_pending", since=view.now, note=step.name), step.name)
    if step.handover:
        return HandOver(step, anchor)
    plan = _plan(view, step)
    if not plan:
        return PlaceHold(Hold(reason="unreachable", since=view.now, note=step.name), step.name)
    return _remind(view, step, anchor, covers=candidate.covers, wanted=plan, plan=plan)


def _needs_approval(view: _View, candidate: _Candidate) -> bool:
    """Must a person agree first? What they agreed to holds for the claim it was said of, and for no other."""
    case, step = view.case, candidate.step
    approved = step.name in dict(case.approved) and (step.pre_due or case.approved_for == candidate.anchor.number)
    return step.approval and not approved and _total(case) >= step.min_amount


def _plan(view: _View, step: Step) -> tuple[str, ...]:
    """The channels of the run: all of the step's that can reach, or the first, or the next one that can."""
    own = _reachable(view, step)
    if own:
        return own[:1] if step.first else own
    return tuple(c for c in view.strategy.contact.fallback if usable(view.case, c))[:1]


def _reachable(view: _View, step: Step) -> tuple[str, ...]:
    people = tuple(c for c in step.channels if usable(view.case, c))
    if all(channel == "task" for channel in people) and any(channel != "task" for channel in step.channels):
        # A letter or a call by a person alone does not replace the message that was to go with it.
        spare = tuple(c for c in view.strategy.contact.fallback if usable(view.case, c) and c not in people)
        return (*spare[:1], *people) if spare or people else ()
    return people


def _remind(
    view: _View, step: Step, anchor: str, *, covers: tuple[str, ...], wanted: tuple[str, ...], plan: tuple[str, ...]
) -> Decision:
    """Reserve what is open now; wait for the first of the others."""
    paused = {scope.removeprefix("channel:") for scope in view.around.paused if scope.startswith("channel:")}
    free = [channel for channel in wanted if channel not in paused]
    if not free:
        return Wait(f"paused: channel {', '.join(wanted)}", view.now + PAUSE_RECHECK, step.name)
    free = [channel for channel in free if channel not in view.around.full]
    if not free:
        return Wait("queue_full", view.now + FULL_RECHECK, step.name)
    opens = {channel: _opens(view, channel, view.now) for channel in free}
    ready = tuple(channel for channel in free if opens[channel] <= view.now)
    if not ready:
        return Wait("window", min(opens.values()), step.name)
    return Remind(step, anchor, covers, _deadline(view, step), ready, plan)


def _deadline(view: _View, step: Step) -> date | None:
    """The date the message asks payment by: never on a day on which nobody can pay."""
    if step.deadline is None:
        return None
    return forward(view.today + timedelta(days=step.deadline), view.around.calendar)


# ---- a step that is not finished -------------------------------------------------------------------------------------


def _unfinished(view: _View) -> Decision | None:
    """The next channel or the next try of the step being taken, as long as it still concerns an invoice to chase."""
    current = _current(view)
    if current is None:
        return None
    run, step = current
    plan = _extended(view, run, step)
    if all(_refused(view.case, run, channel) for channel in plan):
        return PlaceHold(Hold(reason="unreachable", since=view.now, note=step.name), step.name)
    wanted = tuple(channel for channel in plan if _to_do(view.case, run, step, channel))
    if not wanted:
        return None
    ready = tuple(channel for channel in wanted if _retry_at(run, channel, view.now) <= view.now)
    if not ready:
        return Wait("backoff", min(_retry_at(run, channel, view.now) for channel in wanted), step.name)
    gap = gap_ends(view.around.contacts, run_key(view.case.id, step.name, run.anchor), view.strategy.contact, view.zone)
    if gap and gap > view.now and not run.taken:  # nothing of it left, and another case has spoken to the debtor since
        return Wait("gap", gap, step.name)
    covers = tuple(i.number for i in lines(view.case, step, run.anchor, view.today) if i.kind == "invoice")
    return _remind(view, step, run.anchor, covers=covers, wanted=ready, plan=plan)


def _current(view: _View) -> tuple[StepRun, Step] | None:
    """The last step that messages were made for, if its invoice is still the one to chase."""
    run = next((run for run in reversed(view.case.runs) if run.sends), None)
    step = view.strategy.step(run.step) if run else None
    return (run, step) if run and step and _concerns(view, run, step) else None


def _concerns(view: _View, run: StepRun, step: Step) -> bool:
    invoice = view.case.invoice(run.anchor)
    if invoice is None or invoice not in view.case.chased():
        return False
    return invoice.due_on >= view.today if step.pre_due else invoice == view.anchor()


def _extended(view: _View, run: StepRun, step: Step) -> tuple[str, ...]:
    """The run's channels, with one more when all that were tried were refused.

    When all were, and an address is new, the step is taken as if for the first time: one way to say it is enough.
    """
    case, plan = view.case, tuple(c for c in run.channels if usable(view.case, c) or run.send(c))
    tried = [channel for channel in plan if channel != "task"] or plan
    over = all(send.status == "rejected" or _refused(case, run, send.channel) for send in run.sends)
    if over and (fresh := _plan(view, step)):
        return (*(c for c in plan if c not in fresh and _refused(case, run, c)), *fresh)
    if any(not _refused(case, run, channel) for channel in tried):
        return plan
    spare = (c for c in (*step.channels, *view.strategy.contact.fallback) if c not in plan and usable(case, c))
    return (*plan, *list(spare)[:1])


def _refused(case: Case, run: StepRun, channel: str) -> bool:
    """Was the message refused, or did it not leave, and there is no address to try it with?"""
    send = run.send(channel)
    unsaid = send is not None and send.status in ("rejected", "unavailable", "released")
    return unsaid and not usable(case, channel)


def _to_do(case: Case, run: StepRun, step: Step, channel: str) -> bool:
    send = run.send(channel)
    if not usable(case, channel):
        return False
    if send is None or send.status in ("released", "unavailable"):
        return True
    return send.status == "rejected" and not _replaced(run, step)


def _replaced(run: StepRun, step: Step) -> bool:
    """Did another channel say it in place of one that refused? Then a new address is for the next step."""
    said = {send.channel for send in run.sends if send.status == "accepted"}
    return bool(said if step.first else said.difference(step.channels))


def _retry_at(run: StepRun, channel: str, now: datetime) -> datetime:
    send = run.send(channel)
    return send.retry_at if send and send.status == "unavailable" and send.retry_at else now
