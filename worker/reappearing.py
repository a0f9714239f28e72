"""A try that was given up, and went after all: stored, and said aloud where the debtor got the message twice."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from worker.app import App
from worker.cases import Seen
from worker.dunning.events import Event
from worker.dunning.fold import fold
from worker.dunning.model import Case, attempt_id
from worker.dunning.reappearance import reappearance
from worker.look import commit_of

_log = structlog.get_logger("relance.reappearing")


def reappear(
    app: App,
    seen: Seen,
    number: int,
    now: datetime,
    *,
    provider_id: str,
    by: str,
    then: Callable[[Case], Sequence[Event]] = lambda _after: (),
) -> bool:
    """That try had gone, as `by` says; `then` gives what else follows, of the case after. Raises `Conflict`.

    False: it was not given up, or it was known; nothing was stored.
    """
    case, found = seen.case, seen.case.find_given_up(number)
    if found is None:
        return False
    events = reappearance(case, number, app.cases.history(case.id), at=now, provider_id=provider_id, by=by)
    if not events:
        return False
    after = fold(case, events)
    app.cases.commit(commit_of(seen, [*events, *then(after)], now))
    if after.find_attempt(number) is None:
        run, send = found
        _log.error("message.repeated", attempt=attempt_id(case, number), step=run.step, channel=send.channel)
    return True
