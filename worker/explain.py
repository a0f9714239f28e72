"""What is next for a case, when, and why not yet: the rules' own decision, in words."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from worker.app import App
from worker.cases import Seen
from worker.dunning.decision import Decision, End, HandOver, Lapse, PlaceHold, Remind, Skip, Wait
from worker.dunning.ladder import decide
from worker.dunning.model import Case, Send, StepRun, attempt_id

#: Why a case waits, for a person.
REASONS = {
    "not_due": "its day has not come",
    "gap": "the minimum gap since the last contact has not passed",
    "window": "it is outside of the debtor's contact hours",
    "backoff": "the provider was unavailable; it is tried again then",
    "in_flight": "a worker is on it",
    "ended": "the case has ended",
}

#: What a hold means, for a person.
HOLD_WORDS = {
    "promise": "the debtor promised to pay",
    "plan": "a payment plan is being kept",
    "already_paid": "the debtor says it is paid; the bank is given time",
    "dispute": "the debtor disputes it",
    "mediation": "a mediation was asked for",
    "approval_circuit": "it is being approved at the debtor's",
    "terms_misunderstood": "the terms were explained; the debtor is given time",
    "invoice_defect": "the invoice is wrong",
    "represented": "the debtor has a legal representative: contact that person alone",
    "vulnerable": "the debtor is vulnerable: a person decides",
    "manual": "upstream paused it",
    "partial_payment": "part of it was just paid",
    "approval_pending": "a person must approve the step",
    "unreachable": "no address of the debtor can be used",
    "below_minimum": "too little is owed to chase",
    "no_job": "the strategy is driven by jobs, and none has come",
    "ladder_done": "every step was taken",
    "error": "it failed three times in a row, or a provider refused the content",
    "uncertain": "a message may have gone: settle it with `relance attempts uncertain settle`",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`next` is the step that comes next ("" if none); `at` when (None: when a fact arrives); `why` in words."""

    case: str
    state: str
    next: str
    at: datetime | None
    why: str
    not_sent: tuple[str, ...]


def explain(app: App, seen: Seen, now: datetime) -> Explanation:
    """What the rules say about the case now."""
    case = seen.case
    decision = decide(case, app.config.strategies[case.strategy], now, app.around(seen))
    state, step, at = _state(decision)
    return Explanation(case.id, state, step, at, in_words(case, decision), tuple(not_sent(case)))


def _state(decision: Decision) -> tuple[str, str, datetime | None]:
    match decision:
        case Wait(reason, until, step):
            held = reason.startswith("held")
            return ("held" if held else "ended" if reason == "ended" else "waiting"), step, until
        case PlaceHold(hold, step):
            return "held", step, hold.until
        case Remind(step=step) | HandOver(step=step) | Skip(step=step):
            return "due", step.name, None
        case Lapse() | End():
            return "due", "", None


def in_words(case: Case, decision: Decision) -> str:
    """The decision's reason, for a person."""
    match decision:
        case Wait("ended"):
            return f"the case has ended: {case.ended.reason if case.ended else ''}"
        case Wait(reason) if reason.startswith("held: "):
            return "held: " + "; ".join(HOLD_WORDS.get(name, name) for name in reason[6:].split(", "))
        case Wait(reason):
            return REASONS.get(reason, reason)
        case PlaceHold(hold):
            return f"held: {HOLD_WORDS.get(hold.reason, hold.reason)}"
        case Remind(channels=channels):
            return f"its day has come: {', '.join(channels)} at the next look"
        case HandOver(step):
            return f"handed over to: {step.handover}, at the next look"
        case Skip(reason=reason):
            return f"skipped: {reason}"
        case End(reason):
            return f"ends at the next look: {reason}"
        case Lapse(hold):
            return f"no longer held: {hold.reason}"


def not_sent(case: Case) -> list[str]:
    """What was to leave and did not, and why."""
    lines = [f"{run.step}: skipped, {run.skipped}" for run in case.runs if run.skipped]
    for run in case.runs:
        lines += [_unsent(case, run, send) for send in run.sends if send.status not in ("accepted", "sending")]
    return lines


def _unsent(case: Case, run: StepRun, send: Send) -> str:
    words = {
        "reserved": "waits for its worker",
        "uncertain": f"may have gone ({send.code})",
        "rejected": f"refused by the provider ({send.code})",
        "unavailable": f"the provider was unavailable ({send.code}), tried {send.tries} times",
        "released": f"not sent: {send.code}",
    }
    return f"{run.step}, {send.channel}: {words[send.status]} [{attempt_id(case, send.attempt)}]"


def local(case: Case, moment: datetime) -> str:
    """A time as on the debtor's wall."""
    return moment.astimezone(ZoneInfo(case.debtor.timezone)).strftime("%a %Y-%m-%d %H:%M %Z")
