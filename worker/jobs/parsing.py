"""The door: what passes is complete, in canonical form and harmless to show; what does not is a `BadJob`."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from worker.config import Config
from worker.dunning.strategy import Strategy
from worker.jobs import wire
from worker.jobs.schemas import SCHEMAS, Job, ReminderDue
from worker.problems import Problem, field_names, from_pydantic

LARGEST = 1_000_000  # bytes of JSON

_CLOCKS_APART = timedelta(minutes=10)  # how far upstream's clock may be ahead of ours


class BadJob(Exception):
    """The job cannot be used. `problems` has every fault, as `debtor.phone: not a phone number`; never a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse(payload: object, config: Config, now: datetime | None = None) -> Job:
    """The job in that JSON object, checked against the configuration; raises BadJob, and nothing else.

    With `now`, a job whose `as_of` lies in the future is refused: whatever the books said next would look older.
    """
    if not isinstance(payload, dict):
        raise BadJob(["not an object"])
    if problem := _unwieldy(payload):
        raise BadJob([problem])
    kind = payload.get("type")
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise BadJob(
            ["type: required" if kind is None else f"type: {wire.not_known('a type of job', str(kind), SCHEMAS)}"]
        )
    job = _validated(SCHEMAS[kind], payload, config)
    if problems := [str(problem) for problem in _against(job, config, now)]:
        raise BadJob(problems)
    return job


def _unwieldy(payload: dict[Any, Any]) -> str | None:
    """Why it is not even looked at: it is no JSON, or too much of it."""
    try:
        size = len(json.dumps(payload).encode())
    except (TypeError, ValueError, RecursionError):
        return "not JSON"
    return f"larger than {LARGEST} bytes" if size > LARGEST else None


def _validated(schema: type[Job], payload: Mapping[str, object], config: Config) -> Job:
    creditor = payload.get("creditor")
    known = config.creditors.get(creditor) if isinstance(creditor, str) else None
    problems: list[Problem] = []
    try:
        job = schema.model_validate(payload, context={"creditor": known})
    except ValidationError as error:
        problems = from_pydantic(error, field_names(schema), show=False)
    if known is None and isinstance(creditor, str):
        problems.insert(0, Problem(("creditor",), wire.not_known("a creditor", creditor, config.creditors)))
    if problems:
        raise BadJob([str(problem) for problem in problems])
    return job


def _against(job: Job, config: Config, now: datetime | None) -> Iterator[Problem]:
    """What is right in itself, but not here and now."""
    if now and job.as_of and job.as_of > now + _CLOCKS_APART:
        yield Problem(("as_of",), "in the future")
    if not isinstance(job, ReminderDue):
        return
    if job.strategy is not None and job.strategy not in config.strategies:
        yield Problem(("strategy",), wire.not_known("a strategy", job.strategy, config.strategies))
    elif strategy := strategy_of(job, config):
        yield from _unknown_step(job, strategy)
    else:
        yield Problem(("debtor", "kind"), "the creditor has no strategy for that kind")


def strategy_of(job: ReminderDue, config: Config) -> Strategy | None:
    """The strategy a reminder is to follow: the one it names, or the creditor's for that kind of debtor."""
    if job.strategy is not None:
        return config.strategies.get(job.strategy)
    return config.strategy_for(job.creditor, job.debtor.kind)


def _unknown_step(job: ReminderDue, strategy: Strategy) -> Iterator[Problem]:
    if job.history and strategy.step(job.history.last_step) is None:
        steps = [step.name for step in strategy.steps]
        yield Problem(
            ("history", "last_step"), wire.not_known(f"a step of {strategy.name}", job.history.last_step, steps)
        )
