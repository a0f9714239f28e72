"""Asking a provider whether it took a message: what is known of it, and who can be asked."""

from dataclasses import dataclass
from typing import cast

from channels.base import ConfigurationError, Finder, Found, Sought
from worker.app import App
from worker.commit import Keys
from worker.dunning.events import AttemptBegun
from worker.dunning.fold import apply
from worker.dunning.model import Case, Send, StepRun, attempt_id
from worker.messages import message_of, recipient, reference_of


class CannotTell(Exception):
    """The provider cannot be asked; the text is one word that says why."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of asking: the message if it is there, and whether its absence proves that it did not go."""

    found: Found | None
    proves: bool
    bound: float


def look_for(app: App, case: Case, run: StepRun, send: Send) -> Look:
    """Ask the provider that was called for that attempt. Raises CannotTell, and ChannelError for a list not read."""
    if send.begun is None:  # from a version that did not write it down
        raise CannotTell("no_time")
    finder, bound = _finder(app, send.provider)
    reference = reference_of(case.id, run.anchor, run.step, send.channel)
    then = _as_it_was(app, case, send.attempt)
    sought = Sought(
        attempt=attempt_id(case, send.attempt),
        message=message_of(case.id, reference),
        reference=reference,
        channel=send.channel,
        to=recipient(then, send.channel, app.config.creditors[case.creditor]),
        sender=send.sender,
        begun=send.begun,
        bound=bound,
        known=_known(app, case) if send.channel == "voice" else frozenset(),
    )
    return Look(finder.find(sought), finder.proves, bound)


def _finder(app: App, name: str) -> tuple[Finder, float]:
    try:
        provider = app.providers.get(name)
    except (ConfigurationError, KeyError):
        raise CannotTell("not_configured") from None
    if not (isinstance(provider, Finder) and provider.finds):
        raise CannotTell("no_list")
    return provider, provider.bound


def _as_it_was(app: App, case: Case, attempt: int) -> Case:
    """The case when that call began: upstream may have corrected the address since."""
    then: Case | None = None
    for event in app.cases.history(case.id):
        then = apply(then, event)
        if isinstance(event, AttemptBegun) and event.attempt == attempt:
            return then
    return case


def _known(app: App, case: Case) -> frozenset[str]:
    """The ids of this creditor's calls that are accounted for: two debtors may share a telephone."""
    return frozenset(cast("list[str]", app.client.zrange(Keys(case.creditor).calls, 0, -1)))
