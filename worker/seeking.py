"""Asking a provider whether it took a message: what is known of it, and who can be asked.

An attempt is asked for when its outcome was lost (`settling.py`), and every try at a message before it is sent where
the store may have forgotten one (`sending.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from channels.base import ChannelError, ConfigurationError, Finder, Found, Sought, Uncertain
from worker.app import App
from worker.commit import Keys
from worker.dunning.events import AttemptBegun
from worker.dunning.fold import apply
from worker.dunning.model import Case, Send, StepRun, attempt_id
from worker.messages import message_of, recipient, reference_of

#: So near to its end a list is not relied on: clocks differ, and nobody says at which hour it is cut.
BRINK = timedelta(hours=1)


class CannotTell(Exception):
    """The provider cannot be asked, cannot tell, or cannot know any more; the text is one word that says why."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of asking: the message if it is there, and whether its absence proves that it did not go."""

    found: Found | None
    proves: bool
    bound: float


def look_for(app: App, case: Case, run: StepRun, send: Send) -> Look:
    """Ask the provider that was called for that attempt. Raises CannotTell, and ChannelError for a list not read."""
    finder, bound = _finder(app, send.provider)
    sought = _sought(app, _as_it_was(app, case, send.attempt), run, send, bound)
    return Look(_find(app, finder, sought), finder.proves, bound)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking several: whose list has the message, and whether its absence from all proves anything."""

    provider: str = ""
    found: Found | None = None
    proves: bool = True


def any_try(app: App, case: Case, run: StepRun, send: Send, providers: Iterable[str]) -> Asked:
    """Ask these providers whether that message went since `send.begun` by a try that the history lacks.

    Any of them may have been called: where one cannot tell and no other has it, raises as `look_for`.
    """
    proves, fault = True, None
    for name in providers:
        try:
            finder, bound = _finder(app, name)
            sought = _sought(app, case, run, send, bound)
            found = _find(app, finder, replace(sought, any_try=True))
        except (CannotTell, ChannelError) as error:
            fault = error
            continue
        if found:
            return Asked(name, found)
        proves = proves and finder.proves
    if fault:
        raise fault
    return Asked(proves=proves)


def who_can_tell(app: App, creditor: str, channel: str) -> str:
    """Who is asked whether a message went that the store may have forgotten, in words."""
    names = app.providers.route(creditor, channel).providers
    return "; ".join(_can_tell(app, name) for name in names)


def _can_tell(app: App, name: str) -> str:
    try:
        finder, _ = _finder(app, name)
    except CannotTell as reason:
        why = {"no_list": "has no list", "not_configured": "cannot work here"}[str(reason)]
        return f"{name} {why}, so a person is asked (relance attempts uncertain list)"
    if finder.reach is None:
        return f"{name} is asked"
    days = f"{name} is asked, and tells of {finder.reach.days} days"
    return f"{days}; of what may have gone before, a person is asked (relance attempts uncertain list)"


def _sought(app: App, case: Case, run: StepRun, send: Send, bound: float) -> Sought:
    if send.begun is None:  # from a version that did not write it down
        raise CannotTell("no_time")
    reference = reference_of(case.id, run.anchor, run.step, send.channel)
    return Sought(
        attempt=attempt_id(case, send.attempt),
        message=message_of(case.id, reference),
        reference=reference,
        channel=send.channel,
        to=recipient(case, send.channel, app.config.creditors[case.creditor]),
        sender=send.sender,
        begun=send.begun,
        bound=bound,
        known=_in_history(app, case) | (_accounted_for(app, case) if send.channel == "voice" else frozenset()),
    )


def _find(app: App, finder: Finder, sought: Sought) -> Found | None:
    """The message, or None. Raises ChannelError for a list not read, CannotTell also where the list begins too late."""
    try:
        found = finder.find(sought)
    except Uncertain as doubt:
        raise CannotTell(doubt.code) from None
    if found is None and finder.reach is not None and app.clock.real() - sought.begun > finder.reach - BRINK:
        raise CannotTell("too_old")
    return found


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


def _accounted_for(app: App, case: Case) -> frozenset[str]:
    """The ids of this creditor's calls that are accounted for: two debtors may share a telephone."""
    return frozenset(cast("list[str]", app.client.zrange(Keys(case.creditor).calls, 0, -1)))


def _in_history(app: App, case: Case) -> frozenset[str]:
    """The provider's ids of all messages of the case that are known."""
    found = (getattr(event, "provider_id", "") for event in app.cases.history(case.id))
    return frozenset(each for each in found if each)
