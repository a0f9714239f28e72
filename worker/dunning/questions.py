"""What providers are asked about a case: whether an uncertain message went, and to drop one that is not to leave."""

from datetime import datetime, timedelta

from worker.dunning.decision import Ask
from worker.dunning.model import Case, Hold, Send, StepRun
from worker.dunning.strategy import FOUND_BY_RULES

#: Channels whose providers keep messages for a while before they leave, and how long that may be.
QUEUED, QUEUED_FOR = frozenset({"voice", "sms"}), timedelta(hours=24)


def questions(case: Case, now: datetime) -> tuple[Ask, ...]:
    """What is to be asked now: a doubt may take a day to settle, and a phone rings soon, so none waits."""
    unwanted = [
        Ask(send.attempt, send.channel, "recall")
        for run in case.runs
        for send in run.sends
        if _waits_at_provider(run, send, now) and is_unwanted(case, run)
    ]
    doubtful = [
        Ask(send.attempt, send.channel, "settle")
        for _, send in case.open_sends()
        if send.status == "uncertain" and send.settle_at and send.settle_at <= now
    ]
    return (*unwanted, *doubtful)


def next_question(case: Case) -> datetime | None:
    """When something is to be asked next of what is uncertain; None: never, a person is to say."""
    return min((send.settle_at for _, send in case.open_sends() if send.settle_at), default=None)


def _waits_at_provider(run: StepRun, send: Send, now: datetime) -> bool:
    """Was it taken, and has nobody said yet that it left?"""
    taken = send.status == "accepted" and send.provider_id and not send.receipt and not send.recall
    return bool(taken) and send.channel in QUEUED and not run.errand and (send.taken_at or run.at) > now - QUEUED_FOR


def is_unwanted(case: Case, run: StepRun) -> bool:
    """Has what it is about been paid, held or closed since? What the ladder itself waits for does not count."""
    held = any(hold.invoice is None and _silences(hold) for hold in case.holds)
    return bool(case.ended) or held or run.anchor not in {invoice.number for invoice in case.chased()}


def _silences(hold: Hold) -> bool:
    return hold.reason not in FOUND_BY_RULES or hold.reason == "below_minimum"
