"""What upstream says becomes events: validate, read, decide what is new, commit. All or nothing, once per job.

An older word never overrides a newer one: amounts are compared by `as_of`, when upstream's books said so, not by when
they arrive. A reminder computed before a payment and processed after it never revives the debt.
"""

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from worker import facts, feed
from worker.app import App
from worker.cases import Conflict, Refused
from worker.commit import Commit
from worker.jobs import BadJob, Job, parse
from worker.reminders import remind
from worker.taking import Taking

#: How long a job's id is remembered.
REMEMBERED = timedelta(days=90)
#: How often a job is read and decided again when others write to its case, and how much longer, in seconds, it waits
#: at most each time: of many who write at once one gets through, and chance makes it everybody's turn.
TRIES, WAIT, WAIT_MOST = 200, 0.001, 0.05

#: What is said of a job whose id another one had.
OTHER_CONTENT = "its id was taken before, with other content"

_log = structlog.get_logger("relance.intake")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a job did: the cases it changed, notes on what it did not.

    `repeated`: it had been taken before; then `cases` are those it changed then, and `other` says that its id was that
    of a job with other content, which this one did not replace.
    """

    job_id: str
    cases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    repeated: bool = False
    other: bool = False


Handler = Callable[[Taking, Any], None]

_HANDLERS: dict[str, Handler] = {
    "reminder_due": remind,
    "payment_received": facts.receive_payment,
    "payment_failed": facts.fail_payment,
    "payments_checked": facts.check_payments,
    "case_held": facts.hold,
    "case_released": facts.release,
    "case_closed": facts.close,
}


def take(app: App, payload: object, *, enqueued_at: datetime, expected: str | None = None) -> Taken:
    """Take a job in; when this returns it is in the store.

    Raises BadJob for what cannot be taken as it is, and redis errors. May be repeated.
    """
    job = parse(payload, app.config, now=app.clock.real())
    if expected and job.type != expected:
        raise BadJob([f"type: not {expected!r}, the actor's"])
    for turn in range(TRIES):
        taken = _take_once(app, job, enqueued_at)
        if taken:
            _log_taken(job, taken)
            return taken
        time.sleep(random.uniform(0, min(WAIT_MOST, WAIT * turn)))
    raise Conflict


def tell_of_refusal(app: App, payload: object, problems: Sequence[str], rejected: str) -> None:
    """Put into the stream of the creditor whose job could not be taken, if that much is known, why, and where it is."""
    job = payload if isinstance(payload, dict) else {}
    creditor, job_id = job.get("creditor"), job.get("job_id")
    if not isinstance(creditor, str) or creditor not in app.config.creditors:
        return
    commit = Commit(creditor)
    named = {"job_id": job_id[:64]} if isinstance(job_id, str) else {}
    at = app.clock.now().isoformat()
    commit.announce("", 0, "JobRejected", at=at, rejected=rejected, reason="; ".join(problems), **named)
    app.cases.commit(commit)


def _take_once(app: App, job: Job, enqueued_at: datetime) -> Taken | None:
    commit = Commit(job.creditor)
    # A clock ahead of ours must not make the next payment look older than this word.
    as_of = min(job.as_of or enqueued_at, app.clock.real())
    taking = Taking(app, commit, as_of=as_of, now=app.clock.now())
    mark = commit.keys.job(job.job_id)
    commit.guard("absent", mark)
    try:
        _HANDLERS[job.type](taking, job)
        feed.note(taking, job)
        content = " ".join([_digest(job), *taking.cases])
        commit.op("SET", mark, content, "EX", int(REMEMBERED.total_seconds()))
        app.cases.commit(commit)
    except Conflict:
        return None
    except BadJob:  # what made sense then may make none now: a repeat is a repeat all the same
        if not app.client.exists(mark):
            raise
        return _taken_before(app, job, mark)
    except Refused as refusal:
        return _taken_before(app, job, mark) if refusal.guard == "absent" else None
    return Taken(job.job_id, tuple(taking.cases), tuple(taking.notes))


def _digest(job: Job) -> str:
    """What tells a job from another of the same id, however each was written."""
    return hashlib.blake2b(job.model_dump_json().encode(), digest_size=8).hexdigest()


def _taken_before(app: App, job: Job, mark: str) -> Taken:
    """What the mark of that id says: the content it was taken with, and what it changed ("1": an older mark)."""
    content, *cases = cast("str", app.client.get(mark) or "1").split()
    other = content not in ("1", _digest(job))
    return Taken(job.job_id, tuple(cases), (OTHER_CONTENT,) if other else (), repeated=True, other=other)


def _log_taken(job: Job, taken: Taken) -> None:
    if taken.repeated:
        _log.info("job.repeated", job=job.job_id, creditor=job.creditor, type=job.type)
    else:
        _log.info("job.taken", job=job.job_id, creditor=job.creditor, type=job.type, cases=list(taken.cases))
    for note in taken.notes:
        _log.info("job.noted", job=job.job_id, creditor=job.creditor, note=note)
