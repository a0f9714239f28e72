"""What to do about a case now: the one place where the rules of the ladder are read.

`decide` is pure: the same case, strategy, surroundings and moment give the same decision. The scheduler carries it out,
`explain` prints it.

========================================  ====================================================================
the case                                  is
========================================  ====================================================================
may be known of by a provider             asked about there: did this go, drop what is not to leave any more
has ended                                 left alone
owes nothing                              ended; what was promised is kept
has a message on its way                  left until the outcome is known
has a wrong invoice, or a corrected one   held for that invoice or no longer; the others go on
owes the debtor an answer                 given it: the link they asked for, the recap of a call
is held, or all it owes is                left until the hold lapses or somebody lifts it
is under a pause                          looked at again when the pause may be over
would claim, and no payment is heard of   looked at again the same way; a courtesy goes
has a step not finished                   given that step's next channel, or its next try
has a step that reached nobody            passed over, at once where the address is gone
was refused payment                       given the formal notice next, once a person approves it
has a next step whose day has come        given it: approval asked, skipped, handed over, or messages reserved
has a next step, not yet                  looked at again then
has no step left                          held `ladder_done`
========================================  ====================================================================
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Literal

from worker.dunning.contact import add_business_days, forward, gap_ends, start_of_day
from worker.dunning.decision import (
    FEED,
    Around,
    Decision,
    End,
    HandOver,
    HoldInvoices,
    Lapse,
    PlaceHold,
    Remind,
    Skip,
    Wait,
)
from worker.dunning.effects import EFFECTS
from worker.dunning.errands import may_run, next_errand
from worker.dunning.fold import still_owed
from worker.dunning.model import ZERO, Case, Hold, Invoice, StepRun
from worker.dunning.preflight import fit_from, wrong_invoices
from worker.dunning.questions import next_question, questions
from worker.dunning.reach import extended, plan_for, refused, retry_at, to_do
from worker.dunning.receipts import MISSED
from worker.dunning.standing import UNDELIVERABLE, Candidate, candidates
from worker.dunning.strategy import FOUND_BY_RULES, PROMISES, Step, Strategy
from worker.dunning.view import View, lines, opens_at, run_key, total, usable

#: How soon a case is looked at again that is paused, or whose channel's queue is full.
PAUSE_RECHECK, FULL_RECHECK = timedelta(minutes=5), timedelta(seconds=1)
#: Why a claim waits while nobody tells of payments.
STALE = f"paused: {FEED}"


def decide(case: Case, strategy: Strategy, now: datetime, around: Around) -> Decision:
    """What to do about the case at `now` (ladder time, aware). Never raises for a well-formed case."""
    under_way = any(send.status != "uncertain" for _, send in case.open_sends())
    if case.ended:
        decision: Decision = Wait("ended", None if under_way else next_question(case))
    elif under_way:
        return Wait("in_flight")
    else:
        decision = _of_open_case(View(case, strategy, now, around))
    # Asking takes a while: what the case itself needs comes first.
    asked = questions(case, now) if isinstance(decision, Wait) and not under_way else ()
    return asked[0] if asked else decision


def _of_open_case(view: View) -> Decision:
    case = view.case
    checked = _check_invoices(view)
    if checked:
        return checked
    if case.owed() == ZERO and not _corrections_to_come(case):
        kept = next((hold for hold in case.holds if hold.reason in PROMISES), None)
        return Lapse(kept, "kept") if kept else End("credited" if case.unpaid() else "paid")
    errand = next_errand(view)
    if isinstance(errand, Remind):
        return errand
    doubtful = Wait("held: uncertain", next_question(case)) if any(case.open_sends()) else None
    decision = doubtful or _held(view) or _paused(view) or _next(view)
    if (
        errand
        and isinstance(decision, Wait)
        and (decision.until is None or (errand.until or view.now) < decision.until)
    ):
        return errand
    return decision


def may_send(case: Case, strategy: Strategy, run: StepRun, channel: str, now: datetime, around: Around) -> str | None:
    """Why a message already reserved must not leave at `now`; None if it may. The last look asks this."""
    view = View(case, strategy, now, around)
    step = strategy.step(run.step)
    whole = case.case_hold()
    if case.ended:
        return f"the case ended: {case.ended.reason}"
    if run.errand:
        return "nothing is owed" if case.owed() == ZERO else may_run(view, run, channel)
    if total(case) == ZERO:
        return "nothing is owed"
    if whole:
        return f"held: {whole.reason}"
    if step is None or not _concerns(view, run, step):
        return "the invoice is no longer the one to chase"
    if _check_invoices(view):
        return "an invoice is wrong"
    if around.paused & pauses(strategy, step, channel):
        return "paused"
    if not usable(case, channel):
        return "the address cannot be used"
    return "outside of the contact window" if opens_at(view, channel, now, own=run) > now else None


def pauses(strategy: Strategy, step: Step | None, channel: str) -> set[str]:
    """The scopes of pauses that keep that message of a step from leaving; None: of an errand, which claims nothing."""
    claims = step is not None and not step.pre_due
    return {"all", "creditor", f"strategy:{strategy.name}", f"channel:{channel}", *([FEED] if claims else [])}


def _check_invoices(view: View) -> HoldInvoices | None:
    """Holds for the invoices that are not fit to be asked for; one of the check's own is over once it finds nothing.

    What somebody else placed stays as it is: they know more than we can see.
    """
    holds = {hold.invoice: hold for hold in view.case.holds if hold.reason == "invoice_defect" and hold.invoice}
    wrong = {invoice.number: _defect(view, invoice, found) for invoice, found in wrong_invoices(view.case, view.today)}
    placed = tuple(hold for number, hold in wrong.items() if _is_news(hold, holds.get(number)))
    lifted = tuple(hold for number, hold in holds.items() if hold.defects and number not in wrong)
    return HoldInvoices(placed, lifted) if placed or lifted else None


def _defect(view: View, invoice: Invoice, found: tuple[str, ...]) -> Hold:
    until = start_of_day(fit_from(invoice), view.zone) if found == ("issued_in_future",) else None
    return Hold(reason="invoice_defect", since=view.now, until=until, invoice=invoice.number, note=", ".join(found))


def _is_news(hold: Hold, known: Hold | None) -> bool:
    """Nothing holds the invoice yet, or the check itself did and finds something else by now, or another end to it."""
    return known is None or (bool(known.defects) and (known.note, known.until) != (hold.note, hold.until))


def _corrections_to_come(case: Case) -> bool:
    """Is nothing owed only because what is owed on a held invoice is not known?"""
    held = case.held_invoices()
    return any(invoice.unclear and invoice.number in held for invoice in case.invoices)


def _held(view: View) -> Decision | None:
    case = view.case
    for hold in case.holds:
        if _over(hold, view):
            return Lapse(hold, _outcome(hold, case))
    longest = case.case_hold()
    first_end = min((hold.until for hold in case.holds if hold.until), default=None)
    if longest:
        step = longest.note if longest.reason in ("approval_pending", "unreachable") else ""
        until = first_end if longest.reason in FOUND_BY_RULES else longest.until
        return Wait(f"held: {longest.reason}", until, step)
    if total(case) == ZERO:
        reasons = sorted({h.reason for h in case.holds})
        return Wait(f"held: {', '.join(reasons)}", first_end)
    if total(case) < view.strategy.min_amount:
        return PlaceHold(Hold(reason="below_minimum", since=view.now))
    return None


def _outcome(hold: Hold, case: Case) -> Literal["", "kept", "broken"]:
    if hold.reason not in PROMISES:
        return ""
    return "broken" if still_owed(case, hold.invoice) else "kept"


def _over(hold: Hold, view: View) -> bool:
    """Has its date passed, or has what it waits for come true?"""
    case, strategy = view.case, view.strategy
    if hold.until is not None and hold.until <= view.now:
        return True
    if hold.reason in PROMISES and hold.invoice and not still_owed(case, hold.invoice):
        return True
    match hold.reason:
        case "below_minimum":
            return total(case) >= strategy.min_amount
        case "unreachable":
            step = strategy.step(hold.note)
            return step is None or bool(plan_for(view, step)) or hold.note not in _up_next(view)
        case "no_job":
            return case.credit
        case "approval_pending":
            return hold.note not in {c.step.name for c in candidates(view) if _needs_approval(view, c)}
        case "ladder_done":
            return bool(candidates(view))
    return False


def _paused(view: View) -> Decision | None:
    scopes = view.around.paused & {"all", "creditor", f"strategy:{view.strategy.name}"}
    return Wait(f"paused: {', '.join(sorted(scopes))}", view.now + PAUSE_RECHECK) if scopes else None


def _next(view: View) -> Decision:
    going_on = _unfinished(view)
    if going_on:
        return going_on
    if view.strategy.driven_by == "jobs" and not view.case.credit:
        return PlaceHold(Hold(reason="no_job", since=view.now))
    coming = [_unless_stale(view, candidate) for candidate in candidates(view)]
    if not coming:
        return _nothing_left(view)
    best = min(coming, key=lambda c: (c.earliest, c.step.pre_due, view.strategy.index(c.step.name)))
    if best.earliest > view.now:
        return _no_later(view, Wait(best.reason, best.earliest, best.step.name))
    return _take(view, best)


def _unless_stale(view: View, candidate: Candidate) -> Candidate:
    """While nobody tells of payments, a claim whose day has come waits, whatever it would be; a courtesy goes."""
    if FEED not in view.around.paused or candidate.step.pre_due or candidate.earliest > view.now:
        return candidate
    return replace(candidate, earliest=view.now + PAUSE_RECHECK, reason=STALE)


def _no_later(view: View, wait: Wait) -> Wait:
    """A hold on one invoice may end before the step of the others is due."""
    first = min((hold.until for hold in view.case.holds if hold.until), default=None)
    return Wait(wait.reason, first) if first and wait.until and first < wait.until else wait


def _up_next(view: View) -> set[str]:
    """The names of the steps that are being taken or could be next."""
    going_on = _current(view)
    return {*([going_on[1].name] if going_on else []), *(c.step.name for c in candidates(view))}


def _nothing_left(view: View) -> Decision:
    future = [invoice.due_on for invoice in view.case.chased() if invoice.due_on >= view.today]
    if view.anchor is None and future:
        return _no_later(view, Wait("not_due", start_of_day(min(future) + timedelta(days=1), view.zone)))
    return PlaceHold(Hold(reason="ladder_done", since=view.now))


def _take(view: View, candidate: Candidate) -> Decision:
    case, step, anchor = view.case, candidate.step, candidate.anchor.number
    if total(case) < step.min_amount:
        return Skip(step, anchor, f"less than {step.min_amount} {case.currency} is owed")
    if _needs_approval(view, candidate):
        return PlaceHold(Hold(reason="approval_pending", since=view.now, note=step.name), step.name)
    if step.handover:
        return HandOver(step, anchor)
    plan = plan_for(view, step)
    if not plan:
        return PlaceHold(Hold(reason="unreachable", since=view.now, note=step.name), step.name)
    return _remind(view, step, anchor, covers=candidate.covers, wanted=plan, plan=plan)


def _needs_approval(view: View, candidate: Candidate) -> bool:
    """Must a person agree first? What they agreed to holds for the claim it was said of, and for no other."""
    case, step = view.case, candidate.step
    approved = step.name in dict(case.approved) and (step.pre_due or case.approved_for == candidate.anchor.number)
    return step.approval and not approved and total(case) >= step.min_amount


def _remind(
    view: View, step: Step, anchor: str, *, covers: tuple[str, ...], wanted: tuple[str, ...], plan: tuple[str, ...]
) -> Decision:
    """Reserve what is open now; wait for the first of the others."""
    if FEED in view.around.paused and not step.pre_due:
        return Wait(STALE, view.now + PAUSE_RECHECK, step.name)
    paused = {scope.removeprefix("channel:") for scope in view.around.paused if scope.startswith("channel:")}
    free = [channel for channel in wanted if channel not in paused]
    if not free:
        return Wait(f"paused: channel {', '.join(wanted)}", view.now + PAUSE_RECHECK, step.name)
    free = [channel for channel in free if channel not in view.around.full]
    if not free:
        return Wait("queue_full", view.now + FULL_RECHECK, step.name)
    own = view.case.run(step.name, anchor)
    opens = {channel: opens_at(view, channel, view.now, own) for channel in free}
    ready = tuple(channel for channel in free if opens[channel] <= view.now)
    if not ready:
        return Wait("window", min(opens.values()), step.name)
    if view.around.turn and not (own and own.taken):
        return Wait("ramp", view.around.turn, step.name)
    return Remind(step, anchor, covers, _deadline(view, step, anchor), ready, plan)


def _deadline(view: View, step: Step, anchor: str) -> date | None:
    """The date the message asks payment by: never on a day on which nobody can pay, never just "soon".

    A claim that gives no time of its own recalls the date given before, or gives three business days once that has
    passed. Before the due date there is none but the due date; a person who calls agrees on one.
    """
    if step.deadline is not None:
        return forward(view.today + timedelta(days=step.deadline), view.around.calendar)
    if step.pre_due or all(channel == "task" for channel in step.channels):
        return None
    given = [run.deadline for run in view.runs if run.deadline and anchor in (run.anchor, *run.covers)]
    latest = max(given, default=view.today)
    return latest if latest > view.today else add_business_days(view.today, 3, view.around.calendar)


def _unfinished(view: View) -> Decision | None:
    """The next channel or the next try of the step being taken, as long as it still concerns an invoice to chase."""
    current = _current(view)
    if current is None:
        return None
    run, step = current
    plan = extended(view, run, step)
    if all(refused(view.case, run, channel) for channel in plan):
        return _reached_nobody(view, run, step, plan)
    wanted = tuple(channel for channel in plan if to_do(view.case, run, step, channel))
    if not wanted:
        return None
    if _answered_since(view.case, run):
        return Skip(step, run.anchor, "they answered meanwhile")
    ready = tuple(channel for channel in wanted if retry_at(run, channel, view.now) <= view.now)
    if not ready:
        return Wait("backoff", min(retry_at(run, channel, view.now) for channel in wanted), step.name)
    gap = gap_ends(view.around.contacts, run_key(view.case.id, step.name, run.anchor), view.strategy.contact, view.zone)
    if gap and gap > view.now and not run.taken:  # nothing of it left, and another case has spoken to the debtor since
        return Wait("gap", gap, step.name)
    covers = tuple(i.number for i in lines(view.case, step, run.anchor, view.today) if i.kind == "invoice")
    return _remind(view, step, run.anchor, covers=covers, wanted=ready, plan=plan)


def _answered_since(case: Case, run: StepRun) -> bool:
    """Did a message of the run not get through, and have they answered since? Then the ladder goes on from there."""
    missed = any(send.receipt in MISSED for send in run.sends)
    stands = (said.kind == "refusal" or EFFECTS[said.kind].hold for said in case.said if said.at >= run.at)
    return missed and any(stands)


def _reached_nobody(view: View, run: StepRun, step: Step, plan: tuple[str, ...]) -> Decision:
    """Nobody answered, or nothing arrived: the ladder goes on. If the address is gone, the next step's goes at once."""
    if any(usable(view.case, channel) for channel in plan):
        return Skip(step, run.anchor, "reached nobody")
    after = view.strategy.steps[view.strategy.index(step.name) + 1 :]
    if after and not (after[0].handover or after[0].approval) and plan_for(view, after[0]):
        return Skip(step, run.anchor, UNDELIVERABLE)
    return PlaceHold(Hold(reason="unreachable", since=view.now, note=step.name), step.name)


def _current(view: View) -> tuple[StepRun, Step] | None:
    """The last step that messages were made for, if its invoice is still the one to chase."""
    runs = (run for run in reversed(view.case.runs) if run.sends and not run.errand)
    run = next((run for run in runs if not run.skipped), None)
    step = view.strategy.step(run.step) if run else None
    return (run, step) if run and step and _concerns(view, run, step) else None


def _concerns(view: View, run: StepRun, step: Step) -> bool:
    invoice = view.case.invoice(run.anchor)
    if invoice is None or invoice not in view.case.chased():
        return False
    return invoice.due_on >= view.today if step.pre_due else invoice == view.anchor
