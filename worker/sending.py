"""render -> ask upstream -> begin -> call -> record: how one message leaves, on one page.

Reserved means that nobody has called. `begin` is the last look and writes `sending`, on disk before the first byte goes
to the provider; it refuses when the facts moved since the message was rendered, or when the case may not be contacted
now. From there a call may have gone out, and its outcome is a fact (`outcomes.py`). What is tried again is the case,
never the call.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from channels.base import Accepted, Channel, ChannelError, ConfigurationError, Unavailable, Uncertain
from channels.settings import MESSAGING_SERVICE
from worker.app import App
from worker.beside import keep_in_step
from worker.cases import Conflict, NotDurable, Refused, Seen
from worker.commit import Commit, Stored, millis, suppressed_field
from worker.dunning.events import (
    AddressSuppressed,
    AttemptBegun,
    AttemptFound,
    AttemptReleased,
    AttemptUncertain,
    Event,
)
from worker.dunning.ladder import may_send
from worker.dunning.model import Send, StepRun, address_of, attempt_id, parse_attempt_id
from worker.logs import place_of
from worker.look import failure, settle_agenda
from worker.messages import NothingToSay, Prepared, can_be_answered, prepare
from worker.outcomes import Outcome, record
from worker.seeking import CannotTell, any_try
from worker.still_due import may_go
from worker.store import away, until_it_answers

#: The call starts within this long of `begin`, in seconds, or does not start.
START_WITHIN = 2.0
#: How often it starts over when the facts move under it.
TRIES = 8
#: Why a reservation is given back, where it would be of no use to make it again at once: a configuration is being
#: rolled out; a provider's list cannot be read.
CHANGED, UNREAD = "configuration changed", "nobody can tell yet whether it went before"
PAUSING, RELEASE_PAUSE = (CHANGED, UNREAD), timedelta(minutes=1)

_log = structlog.get_logger("relance.sending")


@dataclass(frozen=True, slots=True)
class Try:
    """One try at one message: the case as just read, the reservation, the ladder time it happens at, and by whom.

    The provider is chosen here, not when the attempt is reserved: who sends has the credentials, a scheduler need not.
    """

    seen: Seen
    run: StepRun
    send: Send
    now: datetime
    provider: str = ""

    @property
    def attempt(self) -> str:
        """Our id of it."""
        return attempt_id(self.seen.case, self.send.attempt)


@dataclass(frozen=True, slots=True)
class Begun:
    """When `sending` was asked for, by the monotonic clock, and the case as it then was stored."""

    at: float
    seen: Seen


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
            if _went_before(app, trying, prepared):
                return
            begun = begin(app, trying, prepared, channel)
        except Refused as refusal:
            if refusal.guard == "is":  # nobody had told this case
                _learn_of_suppression(app, trying)
                return
            continue  # somebody pressed the stop button: look again with fresh eyes
        except Conflict:
            continue  # the facts moved
        except NotDurable:
            record(app, attempt, Unavailable("down", "not_durable", "the store's disk is slow"), trying.now)
            return
        outcome = call(channel, prepared, trying, begun.at)
        record(app, attempt, outcome, trying.now, seen=begun.seen)
        return
    _log.warning("attempt.contended", attempt=attempt)


def _read(app: App, attempt: str, now: datetime) -> Try | None:
    """The reservation, if it still stands: a late, repeated or lost queue message does no harm.

    Raises LookupError for a case there is not: the message is not one of ours, and is set aside unread.
    """
    case_id, number = parse_attempt_id(attempt)
    seen = app.cases.see(case_id)
    if seen is None:
        raise LookupError("no such case")
    found = seen.case.find_attempt(number)
    if found is None or found[1].status != "reserved":
        return None
    return Try(seen, *found, now)


def render(app: App, trying: Try) -> Prepared:
    """The message as it reads now, if it may leave at all. Raises NotNow, and what rendering raises."""
    case, send = trying.seen.case, trying.send
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


def _provider(app: App, trying: Try) -> str:
    """Who carries it: asked only once the configuration is known to be the one it was decided under."""
    return app.providers.pick(trying.seen.case.creditor, trying.send.channel, trying.send.tries)


def begin(app: App, trying: Try, prepared: Prepared, channel: Channel) -> Begun:
    """The last look and `sending`, in one script, on disk.

    Raises Conflict when the facts moved since the message was rendered, Refused when something is paused, NotDurable
    when it may not be on disk.
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
    scopes = ("all", "creditor", f"strategy:{case.strategy}", f"channel:{trying.send.channel}")
    commit.guard("free", commit.keys.paused, *scopes)
    address = address_of(case.debtor, trying.send.channel)
    if address:
        commit.guard("is", commit.keys.suppressed, suppressed_field(trying.send.channel, address), "")
    sender = prepared.message.sender
    if trying.send.channel == "sms" and (can_be_answered(sender) or MESSAGING_SERVICE.fullmatch(sender)):
        # Who answers an SMS is known by their number alone; nobody can answer a name.
        commit.op("HSET", commit.keys.phones, prepared.message.to, f"{millis(trying.now)}|{case.id}")
    commit.lease(case.id, event.lease)
    begun = time.monotonic()
    until_it_answers(lambda: app.cases.commit(commit, durable=True))  # the same commit again is the same commit
    stored = Stored(after, trying.seen.stored.version + 1)
    return Begun(begun, replace(trying.seen, stored=stored))


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


def _went_before(app: App, trying: Try, prepared: Prepared) -> bool:
    """Where the store may have forgotten a try, its provider is asked first. True: this one is dealt with.

    One whose provider cannot be asked is in doubt until a person says; what they said is not asked again.
    """
    case, run, send = trying.seen.case, trying.run, trying.send
    since = case.forgotten_since
    if since is None or send.given_up:
        return False
    try:
        sent_then = replace(send, provider=trying.provider, sender=prepared.message.sender, begun=since)
        found = any_try(app, case, run, sent_then)
    except CannotTell:
        _store(app, trying, AttemptUncertain(at=trying.now, attempt=send.attempt, code="restored"))
        return True
    except ChannelError as error:
        _log.warning("list.unread", attempt=trying.attempt, provider=trying.provider, code=error.code)
        release(app, trying, UNREAD)
        return True
    if found:
        event = AttemptFound(
            at=trying.now, attempt=send.attempt, provider=trying.provider, provider_id=found.provider_id
        )
        _store(app, trying, event)
    return found is not None


def release(app: App, trying: Try, why: str) -> None:
    """Give the reservation back: nobody has called. The case is looked at again."""
    released = AttemptReleased(at=trying.now, attempt=trying.send.attempt, why=why)
    _store(app, trying, released, pause=RELEASE_PAUSE if why in PAUSING else timedelta())


def _store(app: App, trying: Try, *events: Event, pause: timedelta = timedelta()) -> None:
    """Write down what became of a reservation that nobody calls for; the case is looked at again after the pause."""
    commit = Commit(trying.seen.case.creditor)
    after = commit.change(trying.seen.stored, events)
    keep_in_step(commit, after, events, trying.now)
    settle_agenda(commit, after, None, trying.now + pause)
    try:
        app.cases.commit(commit)
    except Conflict:
        return  # whoever wrote first has made the case be looked at, or its lease runs out


def _learn_of_suppression(app: App, trying: Try) -> None:
    """The address is on the suppression list: give the reservation back, and let the case know."""
    now = trying.now
    _store(
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
