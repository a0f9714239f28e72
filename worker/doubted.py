"""What the store may have forgotten is not sent before its provider was asked: after a restore, or a new server."""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from channels.base import ChannelError, Found
from worker.app import App
from worker.dunning.events import AttemptFound, AttemptReleased, AttemptUncertain
from worker.dunning.forgotten import may_have_gone
from worker.dunning.model import RESTORED
from worker.inbound import receive
from worker.seeking import CannotTell, any_try
from worker.trying import UNREAD, Try, release, store

_log = structlog.get_logger("relance.sending")


def unless_it_went(app: App, trying: Try, sender: str) -> Try | None:
    """Where the store may have forgotten a try, its provider is asked first. None: this one is dealt with.

    Any of the channel's providers may have been called. Where one cannot be asked, a message of a restored case is in
    doubt until a person says; what they said is not asked again. After a failover it leaves, as a possible copy.
    """
    case, run, send = trying.seen.case, trying.run, trying.send
    restored, replaced = _restored(app, trying), _replaced(app)
    since = min((moment for moment in (restored, replaced) if moment), default=None)
    if since is None:
        return trying
    try:
        sent_then = replace(send, sender=sender, begun=since)
        asked = any_try(app, case, run, sent_then, app.providers.route(case.creditor, send.channel).providers)
    except CannotTell:
        if restored is None:
            return _as_it_may_be(app, trying)
        store(app, trying, AttemptUncertain(at=trying.now, attempt=send.attempt, code=RESTORED))
        return None
    except ChannelError as error:
        _log.warning("list.unread", attempt=trying.attempt, provider=trying.provider, code=error.code)
        release(app, trying, UNREAD)
        return None
    if asked.found:
        _adopt(app, trying, asked.provider, asked.found)
        return None
    return None if restored is not None and not asked.proves and _too_early(app, trying) else trying


def _as_it_may_be(app: App, trying: Try) -> Try:
    """Of what a replica has on its disk nothing is forgotten; of the rest nobody can tell, and that is written down."""
    waited_for = app.cases.durable.replicas > 0
    return trying if waited_for else replace(trying, send=replace(trying.send, possible_copy=True))


def _adopt(app: App, trying: Try, provider: str, found: Found) -> None:
    """What it is called there, and what became of it since: it may not have arrived."""
    found_there = AttemptFound(
        at=trying.now, attempt=trying.send.attempt, provider=provider, provider_id=found.provider_id
    )
    store(app, trying, found_there)
    if found.receipt:
        receive(app, found.receipt)


def _restored(app: App, trying: Try) -> datetime | None:
    """Since when a restored case may have forgotten that message; None where it cannot have gone, or a person says."""
    case = trying.seen.case
    if case.forgotten_since is None or trying.send.vouched:
        return None
    history = app.cases.history(case.id)
    could = may_have_gone(case, app.config.strategies[case.strategy], trying.run, history)
    return case.forgotten_since if could else None


def _replaced(app: App) -> datetime | None:
    """Since when the store may have forgotten what was begun: another server has it now, or it came back."""
    doubt = app.continuity.doubt()
    return doubt.since if doubt else None


def _too_early(app: App, trying: Try) -> bool:
    """A list may lag behind: what is not in it proves nothing until long after the last call that was forgotten."""
    restored, clock = trying.seen.case.restored_at or trying.now, app.clock
    lag = clock.ladder_after(app.config.channels[trying.send.channel].look_again) - clock.ladder_after(timedelta())
    if trying.now >= restored + lag:
        return False
    released = AttemptReleased(at=trying.now, attempt=trying.send.attempt, why=UNREAD)
    store(app, trying, released, again=restored + lag)
    return True
