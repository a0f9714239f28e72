"""By which channels a step reaches the debtor: its own, the first that can, or a fallback."""

from datetime import datetime

from worker.dunning.model import Case, Send, StepRun, address_digest
from worker.dunning.strategy import Step
from worker.dunning.view import View, usable


def plan_for(view: View, step: Step) -> tuple[str, ...]:
    """The channels of the run: all of the step's that can reach, or the first, or the next one that can."""
    own = reachable(view, step)
    if own:
        return own[:1] if step.first else own
    return tuple(c for c in view.strategy.contact.fallback if usable(view.case, c))[:1]


def reachable(view: View, step: Step) -> tuple[str, ...]:
    people = tuple(c for c in step.channels if usable(view.case, c))
    if all(channel == "task" for channel in people) and any(channel != "task" for channel in step.channels):
        # A letter or a call by a person alone does not replace the message that was to go with it.
        spare = tuple(c for c in view.strategy.contact.fallback if usable(view.case, c) and c not in people)
        return (*spare[:1], *people) if spare or people else ()
    return people


def extended(view: View, run: StepRun, step: Step) -> tuple[str, ...]:
    """The run's channels, with one more when all that were tried were refused.

    When all were, and an address is new, the step is taken as if for the first time: one way to say it is enough.
    """
    case, plan = view.case, tuple(c for c in run.channels if usable(view.case, c) or run.send(c))
    tried = [channel for channel in plan if channel != "task"] or plan
    over = all(send.status == "rejected" or refused(case, run, send.channel) for send in run.sends)
    fresh = tuple(c for c in plan_for(view, step) if not _lost(case, run.send(c))) if over else ()
    if fresh:
        return (*(c for c in plan if c not in fresh and refused(case, run, c)), *fresh)
    if any(not refused(case, run, channel) for channel in tried):
        return plan
    spare = (c for c in (*step.channels, *view.strategy.contact.fallback) if c not in plan and usable(case, c))
    return (*plan, *list(spare)[:1])


def refused(case: Case, run: StepRun, channel: str) -> bool:
    """Was the message refused, did it not arrive, or did it not leave, and there is no address to try it with?"""
    send = run.send(channel)
    if _lost(case, send):
        return True
    unsaid = send is not None and send.status in ("rejected", "unavailable", "released")
    return unsaid and not usable(case, channel)


def to_do(case: Case, run: StepRun, step: Step, channel: str) -> bool:
    send = run.send(channel)
    if not usable(case, channel):
        return False
    if send is None or send.status in ("released", "unavailable"):
        return True
    corrected = send.status == "undelivered" and not _lost(case, send)
    return (send.status == "rejected" or corrected) and not _replaced(run, step)


def _lost(case: Case, send: Send | None) -> bool:
    """Did it not arrive at the very address that the debtor still has?"""
    return send is not None and send.status == "undelivered" and send.to == address_digest(case.debtor, send.channel)


def _replaced(run: StepRun, step: Step) -> bool:
    """Did another channel say it in place of one that refused? Then a new address is for the next step."""
    said = {send.channel for send in run.sends if send.status == "accepted"}
    return bool(said if step.first else said.difference(step.channels))


def retry_at(run: StepRun, channel: str, now: datetime) -> datetime:
    send = run.send(channel)
    return send.retry_at if send and send.status == "unavailable" and send.retry_at else now
