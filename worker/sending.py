"""render -> ask upstream -> begin -> call -> record: how one message leaves, on one page.

Reserved means that nobody has called. `begin` is the last look and writes `sending`, on disk before the first byte goes
to the provider; it refuses when the facts moved since the message was rendered, or when the case may not be contacted
now. From there a call may have gone out, and its outcome is a fact (`outcomes.py`). What is tried again is the case,
never the call.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from channels.base import Accepted, Channel, ChannelError, ConfigurationError, Unavailable, Uncertain
from channels.settings import MESSAGING_SERVICE
from worker.app import App
from worker.beside import keep_in_step
from worker.cases import Conflict, Refused, Seen
from worker.commit import Commit, Stored, millis, suppressed_field
from worker.doubted import unless_it_went
from worker.dunning.events import AddressSuppressed, AttemptBegun, AttemptReleased
from worker.dunning.ladder import may_send, pauses
from worker.dunning.model import address_of, parse_attempt_id
from worker.durable import NotDurable
from worker.logs import place_of
from worker.look import failure
from worker.messages import NothingToSay, Prepared, can_be_answered, prepare
from worker.outcomes import Outcome, record
from worker.still_due import may_go
from worker.store import away, until_it_answers
from worker.trying import CHANGED, REPLACED, Try, release, store

#: The call starts within this long of `begin`, in seconds, or does not start.
START_WITHIN = 2.0
#: How often it starts over when the facts move under it.
TRIES = 8
_log = structlog.get_logger("relance.sending")


class Replaced(Exception):
    """The message's beginning is on another server, which sends nothing yet."""


#: Why nobody was called though the message had begun.
_NOT_CALLED: Mapping[type[Exception], tuple[str, str]] = {
    NotDurable: ("not_durable", "a disk of the store's is slow"),
    Replaced: ("replaced", "another server has taken the store over"),
}


@dataclass(frozen=True, slots=True)
class Begun:
    """When `sending` was asked for, by the monotonic clock, and the case as it then was stored, on which server."""

    at: float
    seen: Seen
    server: str


class NotNow(Exception):
    """The message may not leave now; the text is the reason."""


def deliver(app: App, attempt: str, at: datetime | None) -> None:
    """Send one reserved attempt, once. `at`: the ladder time it was decided for (a rehearsal); None: the clock's."""
    for _ in range(TRIES):
        trying = _read(app, attempt, at or app.clock.now())
        if trying is None:
            _log.info("attempt.superseded", attempt=attempt)
            return
        try:
            prepared = render(app, trying)
            trying = replace(trying, provider=_provider(app, trying))
            channel = app.providers.get(trying.provider)
        except NotNow as refusal:
            release(app, trying, str(refusal))
            return
        except Exception as error:
            if away(error):
                raise
            _fail(app, trying, error)
            return
        try:
            if not may_go(app, trying.seen, trying.send.attempt, trying.now):
                return
            cleared = unless_it_went(app, trying, prepared.message.sender)
            if cleared is None:
                return
            begun = begin(app, cleared, prepared, channel)
        except Refused as refusal:
            if refusal.guard == "is":  # nobody had told this case
                _learn_of_suppression(app, trying)
                return
            if refusal.guard == "server":
                app.continuity.renew()
            continue  # that, or somebody pressed the stop button: look again with fresh eyes
        except Conflict:
            continue  # the facts moved
        except (NotDurable, Replaced) as reason:
            record(app, attempt, Unavailable("down", *_NOT_CALLED[type(reason)]), trying.now)
            return
        outcome = call(channel, prepared, trying, begun.at)
        record(app, attempt, outcome, trying.now, seen=begun.seen, server=begun.server)
        return
    _log.warning("attempt.contended", attempt=attempt)


def _read(app: App, attempt: str, now: datetime) -> Try | None:
    """The reservation, if it still stands: a late, repeated or lost queue message does no harm.

    Raises LookupError for a case there is not: the message is not one of ours, and is set aside unread.
    """
    case_id, number = parse_attempt_id(attempt)
    server = app.continuity.server()
    seen = app.cases.see(case_id)
    if seen is None:
        raise LookupError("no such case")
    found = seen.case.find_attempt(number)
    if found is None or found[1].status != "reserved":
        return None
    return Try(seen, *found, now, server)


def render(app: App, trying: Try) -> Prepared:
    """The message as it reads now, if it may leave at all. Raises NotNow, and what rendering raises."""
    case, send = trying.seen.case, trying.send
    if app.continuity.pause_left():
        raise NotNow(REPLACED)
    if send.config != app.config.digest:  # before anything is read in it
        raise NotNow(CHANGED)
    strategy = app.config.strategies[case.strategy]
    reason = may_send(case, strategy, trying.run, send.channel, trying.now, app.around(trying.seen))
    if reason:
        raise NotNow(reason)
    try:
        return prepare(app, case, trying.run, send.channel, send.attempt, trying.now)
    except NothingToSay:
        raise NotNow("nothing left to claim") from None


def _write(app: App, commit: Commit) -> None:
    """Once, however often its answer is lost: the same commit again is the same commit, which no guard is asked about.

    Raises as `begin`.
    """
    asked = 0

    def write() -> None:
        nonlocal asked
        asked += 1
        app.cases.commit(commit, durable=True)

    until_it_answers(write)
    if asked > 1:
        until_it_answers(app.continuity.renew)
        if app.continuity.pause_left():
            raise Replaced


def _provider(app: App, trying: Try) -> str:
    """Who carries it: asked only once the configuration is known to be the one it was decided under."""
    return app.providers.pick(trying.seen.case.creditor, trying.send.channel, trying.send.tries)


def begin(app: App, trying: Try, prepared: Prepared, channel: Channel) -> Begun:
    """The last look and `sending`, in one script, on disk.

    Raises Conflict when the facts moved since the message was rendered, Refused when something is paused or the store's
    server is not the one that was known as the try began, NotDurable when it may not be on disk, Replaced when it is,
    on another server.
    """
    case, real = trying.seen.case, app.clock.real()
    event = AttemptBegun(
        at=trying.now,
        attempt=trying.send.attempt,
        provider=trying.provider,
        lease=real + timedelta(seconds=3 * channel.bound),
        wording=prepared.wording.digest,
        words=prepared.wording.words,
        reference=prepared.message.reference,
        segments=prepared.wording.segments,
        sender=prepared.message.sender,
        possible_copy=trying.send.possible_copy,
        real_at=real if app.clock.rehearsal else None,
    )
    commit = Commit(case.creditor)
    after = commit.change(trying.seen.stored, [event])
    keep_in_step(commit, after, [event], trying.now)
    strategy = app.config.strategies[case.strategy]
    step = None if trying.run.errand else strategy.step(trying.run.step)
    commit.guard_server(trying.server)
    commit.guard("free", commit.keys.paused, *sorted(pauses(strategy, step, trying.send.channel)))
    address = address_of(case.debtor, trying.send.channel)
    if address:
        commit.guard("is", commit.keys.suppressed, suppressed_field(trying.send.channel, address), "")
    sender = prepared.message.sender
    if trying.send.channel == "sms" and (can_be_answered(sender) or MESSAGING_SERVICE.fullmatch(sender)):
        # Who answers an SMS is known by their number alone; nobody can answer a name.
        commit.op("HSET", commit.keys.phones, prepared.message.to, f"{millis(trying.now)}|{case.id}")
    commit.lease(case.id, event.lease)
    begun = time.monotonic()
    _write(app, commit)
    stored = Stored(after, trying.seen.stored.version + 1)
    return Begun(begun, replace(trying.seen, stored=stored), trying.server)


def call(channel: Channel, prepared: Prepared, trying: Try, begun: float) -> Outcome:
    """The provider's answer, whatever it is; logged before it is stored."""
    started = time.monotonic()
    try:
        if started - begun > START_WITHIN:
            raise Unavailable("down", "late", "the call did not start in time")
        outcome: Outcome = channel.send(prepared.message)
    except ChannelError as error:
        outcome = error
    except Exception as error:
        _log.error("provider.failed", provider=trying.provider, place=place_of(error), error=type(error).__name__)
        outcome = Uncertain(type(error).__name__, "the adapter raised what it should not")
    _log.info(
        "call.answered",
        outcome=type(outcome).__name__.lower(),
        attempt=trying.attempt,
        case=trying.seen.case.id,
        creditor=trying.seen.case.creditor,
        step=trying.run.step,
        channel=trying.send.channel,
        provider=trying.provider,
        provider_id=outcome.provider_id if isinstance(outcome, Accepted) else "",
        code=outcome.code if isinstance(outcome, ChannelError) else "",
        duration_ms=round((time.monotonic() - started) * 1000),
        config=trying.send.config,
    )
    return outcome


def _learn_of_suppression(app: App, trying: Try) -> None:
    """The address is on the suppression list: give the reservation back, and let the case know."""
    now = trying.now
    store(
        app,
        trying,
        AttemptReleased(at=now, attempt=trying.send.attempt, why="the address is suppressed"),
        AddressSuppressed(at=now, channels=(trying.send.channel,), why="suppressed", by="list"),
    )


def _fail(app: App, trying: Try, error: Exception) -> None:
    """The message could not be made: a template, a provider's settings, or a fault of ours."""
    place = str(error) if isinstance(error, ConfigurationError) else place_of(error)
    _log.error("render.failed", attempt=trying.attempt, place=place, error=type(error).__name__)
    released = AttemptReleased(at=trying.now, attempt=trying.send.attempt, why="could not be rendered")
    try:
        app.cases.commit(failure(trying.seen, trying.now, place, released))
    except Conflict:
        return  # its lease runs out
