"""The backlog guard: after an outage or a big import messages do not go all at once, but a share in each stretch.

Off unless a creditor's file has `ramp`. It concerns the first message of a step, where its case is late, was just
opened, or was kept back by a pause or a shut window. So many of those are no backlog and go; the rest stands in line,
looked at when its turn comes (`ramp.lua` has all of it, so any number of schedulers may call and ask).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import redis
import structlog

from worker.app import App
from worker.commit import Commit, Keys, millis, moment
from worker.config import Ramp
from worker.dunning.decision import Remind, Wait
from worker.dunning.model import ERRAND, Case
from worker.store import Script

#: A case is just opened for so long.
FRESH = timedelta(minutes=10)
#: Waits behind which the message is as due as before.
_STILL_DUE = frozenset({"backoff", "queue_full", "in_flight", "ramp"})

_log = structlog.get_logger("relance.ramp")


@dataclass(frozen=True, slots=True)
class Asking:
    """A case that is to get its first message of a step now, and the time its agenda entry bore."""

    case: Case
    at: datetime


def begins(case: Case, remind: Remind) -> bool:
    """Is it the first message of a step of the ladder? What has begun goes on, and errands have no line."""
    run = case.run(remind.step.name, remind.anchor)
    return not remind.step.name.startswith(ERRAND) and not (run and run.taken)


class Ramps:
    """The lines of all creditors. Off in a rehearsal."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._script = Script(app.client, (Path(__file__).parent / "ramp.lua").read_text())

    def call(self, creditor: str, now: datetime) -> None:
        """Put those whose turn has come onto the agenda. Raises redis errors."""
        ramp = self._ramp(creditor)
        if ramp:
            answer = self._run(creditor, "call", ramp, now)
            if answer:
                _log.info("ramp.ended", creditor=creditor, cases=int(answer[1]))

    def put_off(self, asking: Iterable[Asking], now: datetime) -> dict[str, datetime]:
        """Which of the cases must wait, and until when at the latest. Raises redis errors."""
        by_creditor = defaultdict[str, list[Asking]](list)
        for each in asking:
            by_creditor[each.case.creditor].append(each)
        found: dict[str, datetime] = {}
        for creditor, those in by_creditor.items():
            if ramp := self._ramp(creditor):
                found |= self._ask(creditor, ramp, those, now)
        return found

    def note(self, commit: Commit, case: Case, wait: Wait, at: datetime) -> None:
        """Whoever was to go `at` that time and is kept back by a pause or a shut window is late when it is over."""
        if self._ramp(commit.creditor) is None or wait.reason in _STILL_DUE or wait.step.startswith(ERRAND):
            return
        if wait.reason == "window" or wait.reason.startswith("paused: "):
            commit.op("ZADD", commit.keys.missed, "NX", millis(at), case.id)
            return
        for key in (commit.keys.line, commit.keys.turns, commit.keys.missed):
            commit.op("ZREM", key, case.id)

    def _ramp(self, creditor: str) -> Ramp | None:
        return None if self._app.clock.rehearsal else self._app.config.creditors[creditor].ramp

    def _ask(self, creditor: str, ramp: Ramp, asking: list[Asking], now: datetime) -> dict[str, datetime]:
        begun, size, *until = self._run(creditor, "ask", ramp, now, *_arguments(asking, now))
        if begun:
            _log.warning("ramp.begun", creditor=creditor, cases=size, per=str(ramp))
        pairs = zip(asking, until, strict=True)
        return {each.case.id: moment(score) for each, score in pairs if score}

    def _run(self, creditor: str, what: str, ramp: Ramp, now: datetime, *arguments: Any) -> list[Any]:
        keys = Keys(creditor)
        names = [keys.agenda, keys.expected, keys.line, keys.turns, keys.missed, keys.gone, keys.ramp]
        per = ramp.per // timedelta(milliseconds=1)
        answer = self._script(names, [what, int(now.timestamp() * 1000), per, ramp.percent, *arguments])
        return cast("list[Any]", answer)


def _arguments(asking: Iterable[Asking], now: datetime) -> Iterator[Any]:
    for each in asking:
        yield each.case.id
        yield millis(each.at)
        yield int(now - each.case.opened_at < FRESH)


def called_at(client: redis.Redis, case: Case) -> datetime | None:
    """When a case that stands in line is looked at again at the latest; None where it does not."""
    keys = Keys(case.creditor)
    with client.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.line, case.id)
        pipe.zscore(keys.agenda, case.id)
        place, look = pipe.execute()
    return moment(look) if place is not None and look is not None else None


def in_line(app: App) -> Mapping[str, int]:
    """How many cases stand in line, of each creditor with a ramp."""
    names = [name for name, creditor in app.config.creditors.items() if creditor.ramp]
    with app.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zcard(Keys(name).line)
        return dict(zip(names, pipe.execute(), strict=True))
