"""An uncertain message is settled, not guessed: by the provider's list where there is one, else by a person.

A receipt may settle it at any time, and is waited for first. A list may lag behind, so a message that is not in it
counts as not sent only once it was looked for twice, the second time long after its call was over. Where nobody can
tell, it is held, or sent again as a possible copy: as the channel's configuration says.

A worker of the channel does this, since it has the provider's credentials. It may come twice and late: what was
settled meanwhile is left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from channels.base import Accepted, ChannelError, ConfigurationError, Found, Recaller, Unavailable
from worker.app import App
from worker.cases import Conflict, Seen
from worker.commit import Commit
from worker.config import ChannelRules
from worker.dunning.events import AttemptRecalled, AttemptSought, AttemptUnsettled, Event, RecallRefused
from worker.dunning.model import Send, StepRun, attempt_id, parse_attempt_id
from worker.dunning.questions import is_unwanted
from worker.inbound import receive
from worker.look import commit_of
from worker.outcomes import record
from worker.seeking import CannotTell, Look, look_for

#: Who settled it, in the history.
LIST, RULE = "list", "resend_after"
#: A list that cannot be read is asked for again, after ever longer waits, for so long.
GIVE_UP, LONGEST_WAIT = timedelta(hours=24), timedelta(hours=1)
#: A provider that could not be told to drop a message is told again after this long (real time).
RECALL_AGAIN = timedelta(seconds=10)

_log = structlog.get_logger("relance.settling")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The message a question is about, in the case as just read."""

    seen: Seen
    run: StepRun
    send: Send

    @property
    def attempt(self) -> str:
        return attempt_id(self.seen.case, self.send.attempt)


def settle(app: App, attempt: str) -> None:
    """Find out what became of an uncertain attempt, or when to ask again. May be repeated. Raises redis errors."""
    asked = _read(app, attempt, lambda asked: asked.send.status == "uncertain")
    if asked is None:
        return
    begun, rules = asked.send.begun, app.config.channels[asked.send.channel]
    early = begun + rules.receipt_within - app.clock.real() if begun else timedelta()
    if early > timedelta():
        _look_later(app, asked, early)
        return
    try:
        look = look_for(app, asked.seen.case, asked.run, asked.send)
    except CannotTell as reason:
        _nobody_can_tell(app, asked, rules, str(reason))
    except ChannelError as error:
        _not_read(app, asked, rules, error)
    else:
        _weigh(app, asked, rules, look)


def _read(app: App, attempt: str, stands: Callable[[_Asked], bool]) -> _Asked | None:
    """The message, if the question still stands: it may have been answered by others meanwhile."""
    case_id, number = parse_attempt_id(attempt)
    seen = app.cases.see(case_id)
    if seen is None:
        raise LookupError("no such case")
    found = seen.case.find_attempt(number)
    asked = _Asked(seen, *found) if found else None
    if asked and stands(asked):
        return asked
    _log.info("attempt.superseded", attempt=attempt)
    return None


def _weigh(app: App, asked: _Asked, rules: ChannelRules, look: Look) -> None:
    """It went; or surely not; or it is looked for once more."""
    if look.found:
        _adopt(app, asked, look.found)
        return
    now, real = app.clock.now(), app.clock.real()
    begun = asked.send.begun or real
    last = begun + timedelta(seconds=look.bound) + rules.look_again
    if look.proves or (asked.send.looks and real >= last):
        record(app, asked.attempt, Unavailable("down", "absent", "the provider never had it"), now, by=LIST)
        return
    wait = max(last - real, rules.look_again / 10)
    _store(app, asked, [AttemptSought(at=now, attempt=asked.send.attempt, settle_at=app.clock.ladder_after(wait))])


def _adopt(app: App, asked: _Asked, found: Found) -> None:
    """The provider has it: what it is called there, and what became of it since."""
    record(app, asked.attempt, Accepted(found.provider_id), app.clock.now(), by=LIST)
    if found.receipt:
        receive(app, found.receipt)


def _nobody_can_tell(app: App, asked: _Asked, rules: ChannelRules, why: str) -> None:
    now, begun = app.clock.now(), asked.send.begun
    again = None
    if rules.resend_after and begun:
        wait = begun + rules.resend_after - app.clock.real()
        if wait <= timedelta():
            unknown = Unavailable("down", why, "nobody can tell")
            record(app, asked.attempt, unknown, now, by=RULE, possible_copy=True)
            return
        again = app.clock.ladder_after(wait)
    _store(app, asked, [AttemptUnsettled(at=now, attempt=asked.send.attempt, why=why, settle_at=again)])


def _not_read(app: App, asked: _Asked, rules: ChannelRules, error: ChannelError) -> None:
    """The list cannot be read now: ask again later, and not for ever."""
    _log.warning("list.unread", attempt=asked.attempt, provider=asked.send.provider, code=error.code)
    since = app.clock.real() - asked.send.begun if asked.send.begun else GIVE_UP
    if since >= GIVE_UP:
        _nobody_can_tell(app, asked, rules, "unread")
        return
    wait = min(LONGEST_WAIT, max(rules.receipt_within / 6, since / 4))
    asked_for = error.retry_after if isinstance(error, Unavailable) else None
    _look_later(app, asked, max(wait, asked_for or timedelta()))


def recall(app: App, attempt: str) -> None:
    """Have the provider drop what has not left, for a case that was paid, held or closed. May be repeated.

    Raises redis errors.
    """

    def stands(asked: _Asked) -> bool:
        waits = asked.send.status == "accepted" and not asked.send.recall
        return waits and is_unwanted(asked.seen.case, asked.run)

    asked = _read(app, attempt, stands)
    if asked is None:
        return
    send, now = asked.send, app.clock.now()
    try:
        done = _cancel(app, send)
    except ChannelError as error:
        _log.warning("recall.failed", attempt=attempt, provider=send.provider, code=error.code)
        _look_later(app, asked, RECALL_AGAIN)
        return
    kind = AttemptRecalled if done else RecallRefused
    _store(app, asked, [kind(at=now, attempt=send.attempt, provider=send.provider)])


def _cancel(app: App, send: Send) -> bool:
    try:
        provider = app.providers.get(send.provider)
    except (ConfigurationError, KeyError):
        return False
    return isinstance(provider, Recaller) and provider.recall(send.provider_id)


def _look_later(app: App, asked: _Asked, wait: timedelta) -> None:
    """Nothing is known yet: the case is looked at again when `wait` of real time has passed."""
    commit = Commit(asked.seen.case.creditor)
    case = commit.change(asked.seen.stored, [])
    commit.unlease(case.id)
    commit.look_by(case.id, app.clock.ladder_after(wait))  # another question about it may be more pressing
    _commit(app, commit)


def _store(app: App, asked: _Asked, events: Sequence[Event]) -> None:
    _commit(app, commit_of(asked.seen, events, _at(events)))


def _at(events: Sequence[Event]) -> datetime:
    return events[-1].at


def _commit(app: App, commit: Commit) -> None:
    try:
        app.cases.commit(commit)
    except Conflict:
        return  # whoever wrote first has made the case be looked at, or its lease runs out
