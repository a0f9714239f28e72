"""What became of a call: a fact, committed on whatever version of the case is there until it is stored.

*Rejected* for the address: the step's next channel, at once. *Unavailable*: surely not sent; the next provider, or the
same again after a back-off. *Uncertain*: it may have gone; never sent again blindly, held until a receipt, a list or a
person settles it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from channels.base import Accepted, ChannelError, Rejected, Unavailable, Uncertain
from worker.app import App
from worker.beside import keep_in_step
from worker.cases import Conflict, Refused, Seen
from worker.commit import Commit
from worker.dunning.decision import Wait
from worker.dunning.events import (
    AttemptAccepted,
    AttemptFound,
    AttemptRejected,
    AttemptUnavailable,
    AttemptUncertain,
    Event,
    HoldPlaced,
    TaskOpened,
)
from worker.dunning.ladder import decide
from worker.dunning.model import Case, Hold, Send, StepRun, attempt_id, parse_attempt_id
from worker.dunning.receipts import is_forgotten
from worker.logs import place_of
from worker.look import announce, settle_agenda
from worker.messages import NothingToSay, prepare
from worker.reappearing import reappear
from worker.store import until_it_answers

Outcome = Accepted | ChannelError

_log = structlog.get_logger("relance.outcomes")


@dataclass(frozen=True, slots=True)
class _Known:
    """The message an outcome is about, in the case as just read, or as written on that `server`.

    `by` settled it, if somebody did; `called` is the provider, where the worker that called it says what it heard.
    """

    seen: Seen
    run: StepRun
    send: Send
    now: datetime
    by: str = ""
    possible_copy: bool = False
    server: str = ""
    called: str = ""


def record(
    app: App,
    attempt: str,
    outcome: Outcome,
    now: datetime,
    by: str = "",
    seen: Seen | None = None,
    *,
    possible_copy: bool = False,
    server: str = "",
) -> bool:
    """Store the outcome; returns when it is stored (True), or known, or of no attempt we know (False).

    `seen` is the case as the caller last wrote it, on that `server`: it saves reading it, if nobody has written to it
    since. One that took over has other versions of it.
    `possible_copy`: it is *unavailable* only because nobody can tell, and is sent again all the same.
    """
    case_id, number = parse_attempt_id(attempt)
    begun = seen.case.find_attempt(number) if seen else None
    called = begun[1].provider if begun else ""

    def store(known: Seen | None) -> bool:
        seen = known or app.cases.see(case_id)
        found = seen.case.find_attempt(number) if seen else None
        if seen and found and _outranks(outcome, found[1]):
            on = server if known else ""
            app.cases.commit(_commit(app, _Known(seen, *found, now, by, possible_copy, on, called), outcome))
            return True
        if seen and isinstance(outcome, Accepted) and _went_all_the_same(app, seen, number, outcome, now, by):
            return True
        _log.info("outcome.known", attempt=attempt, case=case_id)
        return False

    while True:
        known, seen = seen, None
        try:
            return until_it_answers(partial(store, known))
        except (Conflict, Refused):
            continue


def _outranks(outcome: Outcome, send: Send) -> bool:
    """Only a call under way has an outcome, and an uncertain one can be settled: what was said first stands.

    Of a call that the store has forgotten, its caller knows best.
    """
    if is_forgotten(send):
        return isinstance(outcome, Accepted | Uncertain)
    if send.status == "uncertain":
        return isinstance(outcome, Accepted | Rejected | Unavailable)
    return send.status == "sending"


def _went_all_the_same(app: App, seen: Seen, number: int, outcome: Accepted, now: datetime, by: str) -> bool:
    """Its worker was cut off from the store until it had been given up. False: it was not, or it is known.

    A task is done nowhere but here: one that was given up was not opened.
    """
    found = seen.case.find_given_up(number)
    if found is None or found[1].channel == "task":
        return False
    return reappear(app, seen, number, now, provider_id=outcome.provider_id, by=by)


def _commit(app: App, known: _Known, outcome: Outcome) -> Commit:
    events = _events(app, known, outcome)
    commit = Commit(known.seen.case.creditor)
    if known.server:
        commit.guard_server(known.server)
    case = commit.change(known.seen.stored, events)
    commit.op("ZREM", commit.keys.uncertain, attempt_id(case, known.send.attempt))
    keep_in_step(commit, case, events, known.now)
    wait = _wait(app, case, known)
    settle_agenda(commit, case, wait, known.now)
    if wait:
        announce(commit, known.seen.stored.version + 1, case, wait, known.now)
    return commit


def _wait(app: App, case: Case, known: _Known) -> Wait | None:
    """Until when the case can be left; None: look at once. An outcome is stored, whatever the rules make of it."""
    try:
        decision = decide(case, app.config.strategies[case.strategy], known.now, app.around(known.seen))
    except Exception as error:
        _log.error("look.failed", case=case.id, place=place_of(error), error=type(error).__name__)
        return None
    return decision if isinstance(decision, Wait) else None


def _events(app: App, known: _Known, outcome: Outcome) -> list[Event]:
    now, number = known.now, known.send.attempt
    match outcome:
        case Accepted(provider_id) if is_forgotten(known.send):
            called = known.called or app.providers.pick(known.seen.case.creditor, known.send.channel, known.send.tries)
            found = AttemptFound(at=now, attempt=number, provider=called, provider_id=provider_id)
            return [found, *_task(app, known)]
        case Accepted(provider_id):
            real_at = app.clock.real() if app.clock.rehearsal else None
            accepted = AttemptAccepted(at=now, attempt=number, provider_id=provider_id, by=known.by, real_at=real_at)
            return [accepted, *_task(app, known)]
        case Rejected(why="content"):
            note = f"{known.run.step}, {known.send.channel}: the content was refused ({outcome.code})"
            hold = HoldPlaced(at=now, hold=Hold(reason="error", since=now, note=note))
            return [AttemptRejected(at=now, attempt=number, why=outcome.why, code=outcome.code), hold]
        case Rejected():
            return [AttemptRejected(at=now, attempt=number, why=outcome.why, code=outcome.code)]
        case Unavailable():
            retry_at = max(now, app.clock.ladder_after(_backoff(app, known, outcome)))
            return [
                AttemptUnavailable(
                    at=now,
                    attempt=number,
                    why=outcome.why,
                    code=outcome.code,
                    retry_at=retry_at,
                    by=known.by,
                    possible_copy=known.possible_copy,
                )
            ]
        case _:
            wait = app.config.channels[known.send.channel].receipt_within
            return [
                AttemptUncertain(
                    at=now, attempt=number, code=outcome.code, settle_at=max(now, app.clock.ladder_after(wait))
                )
            ]


def _task(app: App, known: _Known) -> list[Event]:
    """On the channel `task`, what was accepted is for a person to do, unless the case is over or held meanwhile."""
    if known.send.channel != "task" or known.seen.case.ended:
        return []
    case, number = known.seen.case, known.send.attempt
    title, text = known.run.step, ""
    try:
        wording = prepare(app, case, known.run, "task", number, known.now).wording
        title, text = wording.subject, wording.text
    except NothingToSay:
        return []
    except Exception as error:
        _log.error("render.failed", attempt=attempt_id(case, number), place=place_of(error), error=type(error).__name__)
    return [TaskOpened(at=known.now, task=attempt_id(case, number), kind=known.run.step, title=title, text=text)]


def _backoff(app: App, known: _Known, outcome: Unavailable) -> timedelta:
    """The next provider at once, as long as there is one that was not tried; then longer and longer waits."""
    case, send = known.seen.case, known.send
    providers = app.providers.route(case.creditor, send.channel).providers
    if send.tries % len(providers):
        return timedelta()
    waits = app.config.strategies[case.strategy].backoff
    wait = waits[max(0, min(send.tries // len(providers), len(waits)) - 1)]
    return max(wait, outcome.retry_after or timedelta())
