"""Messages that a debtor is owed for having answered: the link asked for in a call, its recap, help.

They claim nothing and take no step, so that no hold, window or gap keeps them; a payment, the stop button and an
address that must not be used do.
"""

from collections.abc import Mapping
from datetime import timedelta

from worker.dunning.decision import Remind, Wait
from worker.dunning.model import ERRAND, StepRun
from worker.dunning.reach import retry_at
from worker.dunning.strategy import Step
from worker.dunning.view import View, usable

#: The errands there are, which are notices too, and the channels they may go by.
CHANNELS: Mapping[str, tuple[str, ...]] = {"link": ("sms",), "recap": ("email", "sms"), "help": ("sms",)}
#: What was asked for a day ago is not wanted any more.
STALE = timedelta(days=1)
_PAUSE_RECHECK = timedelta(minutes=5)


def step_of(run_step: str, channel: str) -> Step:
    """The errand as a step, which is what messages are made of."""
    return Step(name=run_step, when=(), notice=run_step.removeprefix(ERRAND), channels=(channel,))


def next_errand(view: View) -> Remind | Wait | None:
    """The first errand to run, or until when it waits; None if there is none."""
    waits: list[Wait] = []
    for errand in view.case.errands:
        name = ERRAND + errand.kind
        run = view.case.run(name, errand.ref)
        if errand.since + STALE < view.now or not usable(view.case, errand.channel) or _done(run):
            continue
        step = step_of(name, errand.channel)
        ready = retry_at(run, errand.channel, view.now) if run else view.now
        if view.around.paused & scopes(view, errand.channel):
            waits.append(Wait("paused: errand", view.now + _PAUSE_RECHECK, name))
        elif ready > view.now:
            waits.append(Wait("backoff", ready, name))
        else:
            channels = (errand.channel,)
            reason = "the debtor asked for it"
            return Remind(step, errand.ref, (), None, channels, channels, reason)
    return min(waits, key=lambda wait: wait.until or view.now, default=None)


def may_run(view: View, run: StepRun, channel: str) -> str | None:
    """Why an errand already reserved must not leave; None if it may."""
    if run.at + STALE < view.now:
        return "nobody waits for it any more"
    if view.around.paused & scopes(view, channel):
        return "paused"
    return None if usable(view.case, channel) else "the address cannot be used"


def scopes(view: View, channel: str) -> set[str]:
    """The pauses that keep a message of that channel from leaving."""
    return {"all", "creditor", f"strategy:{view.strategy.name}", f"channel:{channel}"}


def _done(run: StepRun | None) -> bool:
    return run is not None and any(
        send.status in ("accepted", "rejected", "uncertain", "undelivered") for send in run.sends
    )
