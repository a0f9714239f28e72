"""What operators do: approve, settle, release, the stop button. Each is a commit like any other."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import structlog

from channels.base import Accepted, Unavailable
from worker import silence
from worker.app import App
from worker.cases import Conflict
from worker.commit import Commit, Keys, Stored, moment
from worker.dunning.events import ApprovalGiven, Event, HoldReleased, TaskDone
from worker.dunning.model import parse_attempt_id
from worker.outcomes import record

_log = structlog.get_logger("relance.operations")


class NotPossible(Exception):
    """What was asked for does not fit the case; the text says why and what would."""


def load(app: App, case_id: str) -> Stored:
    """The case of that id. Raises NotPossible."""
    stored = app.cases.load(case_id) if "-" in case_id else None
    if stored is None:
        raise NotPossible(f"there is no case {case_id!r} (see `relance case list`)")
    return stored


def approve(app: App, case_id: str, step: str, by: str) -> None:
    """A person agrees that a step may go out, now or later. Raises NotPossible for a step that does not ask for it."""
    case = load(app, case_id).case
    strategy = app.config.strategies.get(case.strategy)
    if strategy is None:
        raise NotPossible(f"the case's strategy, {case.strategy!r}, is not configured any more")
    known = strategy.step(step)
    if known is None or not known.approval:
        wanting = [s.name for s in strategy.steps if s.approval]
        raise NotPossible(f"{step!r} is not a step that needs approval (those are: {', '.join(wanting)})")
    if case.ended:
        raise NotPossible(f"the case has ended: {case.ended.reason}")
    _change(app, case_id, lambda now: [ApprovalGiven(at=now, step=step, by=by)])


def release(app: App, case_id: str, reason: str | None, by: str) -> list[str]:
    """Lift the holds of a case, or those of one reason; returns their reasons. The rules place again what still holds.

    Raises NotPossible where there is none.
    """
    lifted = sorted({hold.reason for hold in load(app, case_id).case.holds if reason in (None, hold.reason)})
    if not lifted:
        raise NotPossible(f"the case has no hold{f' {reason!r}' if reason else ''} (see `relance explain {case_id}`)")
    _change(app, case_id, lambda now: [HoldReleased(at=now, reason=reason, by=by)])
    return lifted


def settle(app: App, attempt: str, *, went: bool, by: str) -> bool:
    """A person knows what became of an uncertain message. False if it is none, or not uncertain any more."""
    now = app.clock.now()
    if attempt not in {name for name, _ in uncertain_attempts(app)}:
        return False
    outcome = Accepted("", "settled by a person") if went else Unavailable("down", "settled", "settled by a person")
    return record(app, attempt, outcome, now, by=by)


def uncertain_attempts(app: App) -> list[tuple[str, datetime]]:
    """The attempts of which nobody knows whether they went, and since when."""
    found: list[tuple[str, datetime]] = []
    for creditor in app.config.creditors:
        entries = cast("list[tuple[str, float]]", app.client.zrange(Keys(creditor).uncertain, 0, -1, withscores=True))
        found += [(attempt, moment(score)) for attempt, score in entries]
    return sorted(found, key=lambda entry: entry[1])


@dataclass(frozen=True, slots=True)
class Doubt:
    """A message of which nobody knows whether it went, and since when (ladder time).

    `asked_at`: when its provider is asked next; None: a person has to say.
    """

    attempt: str
    since: datetime
    step: str
    channel: str
    provider: str
    asked_at: datetime | None


def doubts(app: App) -> list[Doubt]:
    """What `uncertain_attempts` names, and who is asked about it."""
    found: list[Doubt] = []
    for attempt, since in uncertain_attempts(app):
        case_id, number = parse_attempt_id(attempt)
        stored = app.cases.load(case_id)
        message = stored.case.find_attempt(number) if stored else None
        if message:
            run, send = message
            found.append(Doubt(attempt, since, run.step, send.channel, send.provider, send.settle_at))
    return found


def _change(app: App, case_id: str, events: Callable[[datetime], list[Event]]) -> None:
    while True:
        now = app.clock.now()
        stored = load(app, case_id)
        commit = Commit(stored.case.creditor)
        commit.change(stored, events(now))
        commit.look_by(case_id, now)
        try:
            app.cases.commit(commit)
        except Conflict:
            continue
        return


# ---- tasks


@dataclass(frozen=True, slots=True)
class Task:
    """Something a person is to do; `at` in ladder time."""

    id: str
    case: str
    kind: str
    title: str
    text: str
    at: datetime


def tasks(app: App, creditors: Iterable[str]) -> list[Task]:
    """What is to be done, oldest first."""
    found: list[Task] = []
    for creditor in creditors:
        entries = cast("dict[str, str]", app.client.hgetall(Keys(creditor).tasks))
        found += [_task(task_id, entry) for task_id, entry in entries.items()]
    return sorted(found, key=lambda task: (task.at, task.id))


def task_of(app: App, task_id: str) -> Task:
    """What is to be done. Raises NotPossible for a task that is not on the list."""
    entry = app.client.hget(Keys(task_id.partition("-")[0]).tasks, task_id)
    if entry is None:
        raise NotPossible(f"there is no task {task_id!r} (see `relance tasks list`)")
    return _task(task_id, cast("str", entry))


def _task(task_id: str, entry: str) -> Task:
    fields = json.loads(entry)
    return Task(id=task_id, **{**fields, "at": datetime.fromisoformat(fields["at"])})


def finish_task(app: App, task_id: str, by: str) -> None:
    """It is done. Raises NotPossible for a task that is not on the list."""
    while True:
        stored = load(app, task_of(app, task_id).case)
        commit = Commit(stored.case.creditor)
        commit.change(stored, [TaskDone(at=app.clock.now(), task=task_id, by=by)])
        commit.op("HDEL", commit.keys.tasks, task_id)
        try:
            app.cases.commit(commit)
        except Conflict:
            continue
        return


# ---- all of them

#: The creditors that were ever configured here; how many cases are read at a time.
_CREDITORS, _BATCH = "relance:creditors", 500


# ---- the stop button

#: Pauses of all creditors, kept for those that are configured later; and who was resumed from one of them since.
_PAUSED_ALL, _RESUMED = "relance:paused", "relance:resumed"


def scope_of(*, creditor: str | None, channel: str | None, strategy: str | None) -> str:
    """The name of what a pause covers, within a creditor."""
    if channel:
        return f"channel:{channel}"
    if strategy:
        return f"strategy:{strategy}"
    return "creditor" if creditor else "all"


def pause(app: App, creditors: Sequence[str], scope: str, *, everywhere: bool) -> None:
    """From the next `begin` on nothing in that scope goes out, until `resume`."""
    since = app.clock.real().isoformat()
    if everywhere:
        app.client.hset(_PAUSED_ALL, scope, since)
    for creditor in creditors:
        app.client.srem(_RESUMED, f"{creditor} {scope}")
        app.client.hset(Keys(creditor).paused, scope, since)
    _log.warning("pause.begun", creditors=list(creditors), scope=scope)


def resume(app: App, creditors: Sequence[str], scope: str, *, everywhere: bool) -> int:
    """Lift the pause; returns how many creditors it had covered."""
    if everywhere:
        app.client.hdel(_PAUSED_ALL, scope)
    else:
        app.client.sadd(_RESUMED, *(f"{creditor} {scope}" for creditor in creditors))
    lifted = sum(_lift(app, creditor, scope) for creditor in creditors)
    if lifted:
        _log.warning("pause.ended", creditors=list(creditors), scope=scope)
    return lifted


def _lift(app: App, creditor: str, scope: str) -> int:
    """Lift that creditor's pause, if there is one. What nobody was to look at meanwhile is not late."""
    key = Keys(creditor).paused
    if scope in silence.STOPPED and app.client.hexists(key, scope):
        silence.forgive(app.client, creditor, app.clock.now())
    return int(app.client.hdel(key, scope))


def remember_creditors(app: App) -> None:
    """Whose cases the store may hold, so that those of a creditor whose file is removed are not forgotten."""
    app.client.sadd(_CREDITORS, *app.config.creditors)


def known_creditors(app: App) -> list[str]:
    """Those whose cases the store may hold: the configured ones, then those whose file is gone."""
    gone = cast("set[str]", app.client.smembers(_CREDITORS)).difference(app.config.creditors)
    return [*app.config.creditors, *sorted(gone)]


def orphaned(app: App) -> dict[str, int]:
    """How many open cases there are of creditors that are not configured any more: nobody looks at them."""
    gone = cast("set[str]", app.client.smembers(_CREDITORS)).difference(app.config.creditors)
    counts = {creditor: _open_cases(app, creditor) for creditor in sorted(gone)}
    return {creditor: count for creditor, count in counts.items() if count}


def _open_cases(app: App, creditor: str) -> int:
    names = list(app.cases.case_ids(creditor))
    batches = (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))
    return sum(not found.case.ended for batch in batches for found in app.cases.load_many(creditor, batch).values())


def spread_pauses(app: App) -> None:
    """A creditor configured after everything was paused is paused too, unless it was resumed by its name."""
    for scope, since in cast("dict[str, str]", app.client.hgetall(_PAUSED_ALL)).items():
        for creditor in app.config.creditors:
            if not app.client.sismember(_RESUMED, f"{creditor} {scope}"):
                app.client.hsetnx(Keys(creditor).paused, scope, since)


def paused(app: App) -> dict[str, list[str]]:
    """What is paused, by creditor; empty when nothing is."""
    found = {name: sorted(cast("list[str]", app.client.hkeys(Keys(name).paused))) for name in app.config.creditors}
    return {name: scopes for name, scopes in found.items() if scopes}
