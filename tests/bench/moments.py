"""How long it takes: to open cases and to chase them, each by itself; one reminder at low load; after a kill."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

from tests.bench import machine
from tests.bench.parts import app_on
from tests.bench.stage import BrokenPromise, Stage, until
from tests.bench.workloads import CREDITOR, Relance, address
from worker.app import App
from worker.dunning.model import Case, Send, parse_attempt_id
from worker.operations import pause, resume
from worker.queues import REMINDERS

#: Between two reminders at low load, in seconds.
EVERY = 0.25
#: How long the provider takes for an answer while a worker is killed, so that it has calls under way.
ANSWER = 0.05


def phases(at: Stage, ours: Relance, channel: str, jobs: int) -> tuple[float, float]:
    """(jobs a second that become cases, reminders a second from due to recorded): what a drain does all at once."""
    ours.clear()
    numbers = ours.numbers(jobs)
    with app_on(at, 0) as app, ours.awake(channel):
        began = time.time()
        open_cases(app, ours, channel, numbers)
        resumed = time.time()
        resume(app, [CREDITOR], "creditor", everywhere=False)
        until(lambda: ours.finished(channel, jobs), f"{jobs} reminders that are due", 120)
        marks = ours.marks(channel, began, jobs)
    ours.verify(channel, numbers)
    return jobs / marks["opened"], jobs / (began + marks["end"] - resumed)


def open_cases(app: App, ours: Relance, channel: str, numbers: range) -> None:
    """Open the cases while nothing may be sent."""
    pause(app, [CREDITOR], "creditor", everywhere=False)
    ours.enqueue(channel, numbers)
    until(lambda: app.client.zcard(ours.keys.agenda) == len(numbers), "all cases on the agenda", 120)
    until(lambda: ours.drained(REMINDERS), "the intake's queue empty")


def latencies(at: Stage, ours: Relance, channel: str, jobs: int) -> list[float]:
    """From the time the agenda bears to the provider's acceptance, in milliseconds, of cases due one after another."""
    ours.clear()
    numbers = ours.numbers(jobs)
    with app_on(at, 0) as app, ours.awake(channel):
        open_cases(app, ours, channel, numbers)
        due = _spread(app, ours, channel)
        resume(app, [CREDITOR], "creditor", everywhere=False)
        until(lambda: ours.finished(channel, jobs), f"{jobs} reminders, one by one", 60 + jobs * EVERY, pause=0.1)
    ours.verify(channel, numbers)
    accepted = at.provider.accepted()
    return [(accepted[place][0] - moment) * 1000 for place, moment in due.items()]


def _spread(app: App, ours: Relance, channel: str) -> dict[str, float]:
    """Have the cases due one after another, from in a second on; when (Unix time), by "channel address"."""
    ids = cast("list[str]", app.client.zrange(ours.keys.agenda, 0, -1))
    start = int(time.time() * 1000) + 1000
    times = {case_id: start + round(turn * EVERY * 1000) for turn, case_id in enumerate(ids)}
    app.client.zadd(ours.keys.agenda, cast("Mapping[Any, float]", times), xx=True)
    return {_place(app, channel, case_id): moment / 1000 for case_id, moment in times.items()}


def _case(app: App, case_id: str) -> Case:
    stored = app.cases.load(case_id)
    if stored is None:
        raise BrokenPromise("a case is gone")
    return stored.case


def _place(app: App, channel: str, case_id: str) -> str:
    debtor = _case(app, case_id).debtor
    return f"{channel} {debtor.email if channel == 'email' else debtor.phone}"


@dataclass(frozen=True, slots=True)
class Recovery:
    """After a `kill -9`: seconds until the last of what the worker had in hand was sent; how many those were, and how
    many calls were under way, of which nobody knows whether they went.
    """

    seconds: float
    in_hand: int
    uncertain: int


def recover(at: Stage, ours: Relance, channel: str, jobs: int) -> Recovery:
    """Kill the channel's worker with messages in hand, under its supervisor. Raises BrokenPromise.

    What was reserved is sent by the worker that follows. What was being sent is never sent again blindly: it is settled
    as uncertain when its lease runs out, and not waited for here.
    """
    ours.clear()
    numbers = ours.numbers(jobs)
    with app_on(at, 0) as app, ours.awake(channel), ExitStack() as stack:
        at.provider.ask(f"latency {ANSWER}")
        stack.callback(at.provider.ask, "latency 0")
        ours.enqueue(channel, numbers)
        until(lambda: at.provider.count() >= jobs // 4, "some reminders sent")
        victims = ours.processes(channel)[channel]
        machine.kill(victims)
        killed = time.time()
        attempts = _in_hand(at, channel)
        sends = {attempt: _send(app, attempt) for attempt in attempts}
        reserved = [attempt for attempt, send in sends.items() if send.status == "reserved"]
        under_way = [attempt for attempt, send in sends.items() if send.status == "sending"]
        places = {_place(app, channel, parse_attempt_id(attempt)[0]) for attempt in reserved}
        unknown = {_place(app, channel, parse_attempt_id(attempt)[0]) for attempt in under_way}
        until(lambda: _all_sent(at, channel, numbers, unknown), "what the killed worker had in hand", 100, pause=0.05)
        time.sleep(0.5)  # whatever would be sent a second time
        accepted = at.provider.accepted()
    if any(len(times) > 1 for times in accepted.values()):
        raise BrokenPromise("a reminder was sent twice after a kill")
    last = max((accepted[place][0] for place in places), default=killed)
    return Recovery(max(0.0, last - killed), len(attempts), len(under_way))


def _all_sent(at: Stage, channel: str, numbers: range, unknown: set[str]) -> bool:
    wanted = {f"{channel} {address(channel, number)}" for number in numbers}
    return wanted - unknown <= at.provider.accepted().keys()


def _in_hand(at: Stage, channel: str) -> list[str]:
    """The attempts whose messages the dead worker had fetched and not acknowledged."""
    found: list[str] = []
    for key in at.broker.scan_iter(f"dramatiq:__acks__.*.{channel}"):
        ids = cast("set[str]", at.broker.smembers(key))
        if ids:
            messages = cast("list[str | None]", at.broker.hmget(f"dramatiq:{channel}.msgs", list(ids)))
            found += [json.loads(message)["kwargs"]["attempt"] for message in messages if message]
    return found


def _send(app: App, attempt: str) -> Send:
    case_id, number = parse_attempt_id(attempt)
    found = _case(app, case_id).find_attempt(number)
    if found is None:
        raise BrokenPromise("an attempt is gone")
    return found[1]
