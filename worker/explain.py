"""What is next for a case, when, and why not yet: the rules' own decision, in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from worker.app import App
from worker.cases import Seen
from worker.dunning.answers import AnswerKind
from worker.dunning.decision import Ask, Decision, End, HandOver, HoldInvoices, Lapse, PlaceHold, Remind, Skip, Wait
from worker.dunning.ladder import STALE, decide
from worker.dunning.model import Case, Send, StepRun, attempt_id
from worker.dunning.preflight import DEFECTS
from worker.dunning.strategy import Strategy
from worker.ramp import begins, called_at

#: Why a case waits, for a person.
REASONS = {
    "not_due": "its day has not come",
    "gap": "the minimum gap since the last contact has not passed",
    "window": "it is outside of the debtor's contact hours",
    "ramp": "many are due at once, and they go one after another",
    "queue_full": "the channel's workers are far behind",
    "backoff": "it did not get through; it is tried again then",
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
    "terms_misunderstood": "the debtor has a question about the terms; there is time to explain them",
    "not_received": "the debtor has not received the invoice; there is time to send it again",
    "instalments": "the debtor asks to pay in instalments: a person agrees on a plan",
    "call_me": "the debtor asks to be called back",
    "message": "the debtor wrote something that a person must read",
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


#: What a debtor can answer, for a person.
ANSWER_WORDS: dict[AnswerKind, str] = {
    "promise": "will pay",
    "already_paid": "says it is paid",
    "instalments": "asks for instalments",
    "refusal": "refuses to pay",
    "dispute": "disputes it",
    "not_received": "has not received the invoice",
    "invoice_error": "says the invoice is wrong",
    "terms_misunderstood": "has a question about the terms",
    "approval_circuit": "is having it approved",
    "mediation": "asks for mediation",
    "wrong_person": "is not the right person",
    "opt_out": "wants no more of these",
    "opt_in": "may be written to again",
    "complaint": "reported it as spam",
    "call_me": "asks to be called back",
    "message": "wrote something to be read",
    "confirmed": "is the right person",
    "method": "said how it will be paid",
    "link": "asked for the link",
    "help": "asked for help",
}


def answer_words(answer: Mapping[str, Any]) -> str:
    """An answer as the event stream has it, in one line, without the debtor's own words."""
    found = [ANSWER_WORDS.get(answer["kind"], answer["kind"])]
    found += [f"on {answer['on']}"] if answer.get("on") else []
    found += [f"{answer['count']} times"] if answer.get("count") else []
    found += [f"by {answer['method']}"] if answer.get("method") else []
    found += [f"({', '.join(answer['invoices'])})"] if answer.get("invoices") else []
    return f"answer by {answer['source']}: {' '.join(found)}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`state` is waiting, held, paused, in_flight, due or ended; `next` the step that comes next ("" if none).

    `at` says when (None: when a fact arrives), `why` is in words. `tasks` are those people have not done yet,
    `answers` the debtor's last ones.
    """

    case: str
    state: str
    next: str
    at: datetime | None
    why: str
    not_sent: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def explain(app: App, seen: Seen, now: datetime) -> Explanation:
    """What the rules say about the case now."""
    case = seen.case
    strategy = app.config.strategies.get(case.strategy)
    unsent = (*held_invoices(case), *not_sent(case))
    if strategy is None and not case.ended:
        gone = f"its strategy, {case.strategy!r}, is not configured any more"
        return Explanation(case.id, "held", "", None, gone, unsent, case.tasks)
    decision = _decided(app, seen, strategy, now) if strategy else Wait("ended")
    state, step, at = _state(decision)
    return Explanation(case.id, state, step, at, in_words(case, decision), unsent, case.tasks, answers(case))


def _decided(app: App, seen: Seen, strategy: Strategy, now: datetime) -> Decision:
    """As a scheduler would decide, who knows of the line too."""
    around = app.around(seen)
    decision = decide(seen.case, strategy, now, around)
    if app.config.creditors[seen.case.creditor].ramp and isinstance(decision, Remind) and begins(seen.case, decision):
        return decide(seen.case, strategy, now, replace(around, turn=called_at(app.client, seen.case)))
    return decision


def answers(case: Case) -> tuple[str, ...]:
    """What the debtor said last, and when."""
    return tuple(f"{local(case, said.at)}, {answer_words(asdict(said))}" for said in case.said)


def _state(decision: Decision) -> tuple[str, str, datetime | None]:
    match decision:
        case Wait("ended" | "in_flight" as reason, until, step):
            return reason, step, until
        case Wait(reason, _, step) if reason.startswith("paused: "):
            return "paused", step, None
        case Wait(reason, until, step):
            return ("held" if reason.startswith("held: ") else "waiting"), step, until
        case PlaceHold(hold, step):
            return "held", step, hold.until
        case Remind(step=step) | HandOver(step=step) | Skip(step=step):
            return "due", step.name, None
        case Ask(what="settle"):
            return "held", "", None
        case HoldInvoices() | Lapse() | End() | Ask():
            return "due", "", None


def in_words(case: Case, decision: Decision) -> str:
    """The decision's reason, for a person."""
    match decision:
        case Wait():
            return _wait_in_words(case, decision)
        case Ask():
            return f"{'held: ' if decision.what == 'settle' else ''}{decision.reason}: its provider is asked"
        case HoldInvoices(placed, lifted):
            held = [f"{hold.invoice} is held: {hold_words(hold.reason, hold.note)}" for hold in placed]
            return "at the next look, " + "; ".join([*held, *(f"{h.invoice} is no longer held" for h in lifted)])
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


def _wait_in_words(case: Case, wait: Wait) -> str:
    match wait:
        case Wait("ended"):
            return f"the case has ended: {case.ended.reason if case.ended else ''}"
        case Wait("held: uncertain", until) if until:
            return (
                f"held: {HOLD_WORDS['uncertain']}, or wait: its provider is asked then, and a receipt may come before"
            )
        case Wait(reason) if reason.startswith("held: "):
            return "held: " + "; ".join(_hold_in_words(case, name) for name in reason[6:].split(", "))
        case Wait(reason) if reason == STALE:
            return "nothing was heard of payments for too long: nothing is claimed until upstream tells of them"
        case Wait(reason) if reason.startswith("paused: "):
            return f"{reason} (nothing goes out until `relance resume`)"
        case Wait(reason):
            return REASONS.get(reason, reason)


def _hold_in_words(case: Case, reason: str) -> str:
    words = {hold_words(reason, hold.note) for hold in case.holds if hold.reason == reason}
    return "; ".join(sorted(words)) or HOLD_WORDS.get(reason, reason)


def hold_words(reason: str, note: str) -> str:
    """What a hold means, with its detail: what is wrong with an invoice, in words instead of names."""
    detail = "; ".join(DEFECTS.get(name, name) for name in note.split(", ")) if reason == "invoice_defect" else note
    return HOLD_WORDS.get(reason, reason) + (f" ({detail})" if detail else "")


def held_invoices(case: Case) -> list[str]:
    """The invoices that are not chased although the case is."""
    return [
        f"{hold.invoice}: held, {hold_words(hold.reason, hold.note)}"
        + (f", until {local(case, hold.until)}" if hold.until else "")
        for hold in case.holds
        if hold.invoice
    ]


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
        "undelivered": f"it did not arrive ({send.code})",
    }
    return f"{run.step}, {send.channel}: {words[send.status]} [{attempt_id(case, send.attempt)}]"


def local(case: Case, moment: datetime) -> str:
    """A time as on the debtor's wall."""
    return moment.astimezone(ZoneInfo(case.debtor.timezone)).strftime("%a %Y-%m-%d %H:%M %Z")
