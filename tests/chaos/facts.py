"""What relance itself says at the end, written down for the judge, who asks nobody else but the sandbox's log."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.kills import Killer
from tests.chaos.plan import Debtor, Plan
from tests.chaos.stage import DAY, Stage, Stopped, clock
from tests.chaos.upstream import Upstream
from tests.chaos.world import BOUND, CREDITOR, SETTLING
from worker.app import App
from worker.cases import Seen
from worker.codec import encode_event
from worker.commit import Keys
from worker.dunning.fold import fold
from worker.dunning.model import Case
from worker.explain import explain
from worker.stream import since

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: What the log says where somebody who was asked to stop did not, or left work undone.
_CUT_OFF = ("process.cut_off", "worker.cut_off", "child.killed")
#: What the log says of a part that is there again.
_STARTED = {"worker.started": "queues", "scheduler.started": "", "web.started": ""}


def write_facts(path: Path, stage: Stage, plan: Plan, upstream: Upstream, killer: Killer, stopped: Stopped) -> None:
    """Ask the store, and write what it says, one JSON document."""
    app = App(stage.environ, clock(plan))
    try:
        facts = {
            "seed": plan.seed,
            "bound": BOUND,
            "settles": bool(SETTLING),
            "debtors": [_debtor(debtor, upstream) for debtor in plan.debtors],
            "cases": list(cases_of(app, CREDITOR, DAY / plan.scale.day)),
            "kills": killer.done,
            "kills_planned": len(plan.kills),
            "kills_missed": killer.missed,
            "started": started(stage, killer),
            "deaths": [line for line in lines_of(stage.lines) if line["event"] == "child.died"],
            "cut_off": cut_off(stage.lines),
            "stopped": asdict(stopped),
        }
    finally:
        app.close()
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def _debtor(debtor: Debtor, upstream: Upstream) -> dict[str, Any]:
    """One of them: their addresses by channel, in the order of the steps, whether they are to pay, and when each job
    was answered.
    """
    return {
        "name": debtor.name,
        "to": {channel: debtor.address(channel) for channel in debtor.channels},
        "pays": debtor.pays is not None,
        "taken": upstream.taken.get(debtor.name),
        "paid": upstream.paid.get(debtor.name),
    }


def cases_of(app: App, creditor: str, speed: float) -> Iterator[dict[str, Any]]:
    """Every case as `relance explain` and `relance case show` have it, and when the scheduler will look at it.

    That is what the store's own entries say, for what the rules say of a case brings nobody to it: its place on the
    agenda, and its lease where somebody is on it, both by the real clock (Unix time).
    """
    committed, keys = _committed(app, creditor), Keys(creditor)
    for case_id in app.cases.case_ids(creditor):
        seen = app.cases.see(case_id)
        if seen is not None:
            due, lease = _score(app, keys.agenda, case_id), _score(app, keys.in_flight, case_id)
            agenda = None if due is None else time.time() + (due - app.clock.now().timestamp()) / speed
            yield {**_case(app, seen, committed[case_id]), "agenda": agenda, "in_flight": lease}


def _score(app: App, key: str, case_id: str) -> float | None:
    """That entry's moment, in seconds: on the agenda by the ladder's clock, in flight by the real one."""
    score = app.client.zscore(key, case_id)
    return None if score is None else float(score) / 1000


def _case(app: App, seen: Seen, committed: list[tuple[str, float]]) -> dict[str, Any]:
    case, history = seen.case, app.cases.history(seen.case.id)
    found = explain(app, seen, app.clock.now())
    return {
        "case": case.id,
        "debtor": case.debtor.id,
        "state": found.state,
        "next": found.next,
        "why": found.why,
        "ended": case.ended.reason if case.ended else None,
        "holds": sorted({hold.reason for hold in case.holds} | _uncertain(case)),
        "messages": [
            {"step": run.step, "channel": send.channel, "status": send.status, "code": send.code}
            for run in case.runs
            for send in run.sends
        ],
        "folds": fold(None, history) == case,
        "history": _timed([json.loads(encode_event(event)) for event in history], committed),
    }


def _uncertain(case: Case) -> set[str]:
    """An uncertain message holds its case, without a hold of its own in it."""
    return {"uncertain"} if any(send.status == "uncertain" for _, send in case.open_sends()) else set()


def _committed(app: App, creditor: str) -> defaultdict[str, list[tuple[str, float]]]:
    """Of each case, its events in order and when each was committed (Unix time), by the event stream's own ids."""
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for entry in since(app.client, creditor, _EPOCH):
        kind = json.loads(entry.event)["type"]
        if kind != "NextLook":
            found[entry.case].append((kind, entry.at.timestamp()))
    return found


def _timed(history: list[dict[str, Any]], committed: list[tuple[str, float]]) -> list[dict[str, Any]]:
    """The events with their moments. Raises RuntimeError where the stream says otherwise than the history."""
    if [event["type"] for event in history] != [kind for kind, _ in committed]:
        raise RuntimeError("the event stream and a history differ")
    return [{**event, "committed": at} for event, (_, at) in zip(history, committed, strict=True)]


def cut_off(path: Path) -> list[dict[str, Any]]:
    """What relance's own log says of those who had to be cut off."""
    return [line for line in lines_of(path) if line["event"] in _CUT_OFF]


def started(stage: Stage, killer: Killer) -> list[dict[str, Any]]:
    """Which part was there again, and when."""
    return [*killer.revived, *_started(stage.lines)]


def all_back(stage: Stage, killer: Killer) -> bool:
    """Was whatever was killed there again afterwards?"""
    latest = {each["part"]: each["at"] for each in sorted(started(stage, killer), key=lambda each: float(each["at"]))}
    return all(latest.get(kill["part"], 0.0) > kill["at"] for kill in killer.done)


def _started(path: Path) -> Iterator[dict[str, Any]]:
    """Which part was there again, and when, as relance's own log says."""
    for line in lines_of(path):
        if line["event"] in _STARTED:
            at = datetime.fromisoformat(line["timestamp"]).timestamp()
            yield {"part": _part(line), "at": at}


def _part(line: dict[str, Any]) -> str:
    if line["event"] != "worker.started":
        return str(line["event"]).partition(".")[0]
    queues: list[str] = line["queues"]
    return queues[0] if len(queues) == 1 else "intake"


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are whole: a process that is killed may leave half of one."""
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "event" in line:
            yield line


def at_rest(app: App, plan: Plan) -> bool:
    """Has every case been told all there is to tell, or is held or over? Raises redis errors."""
    ids = list(app.cases.case_ids(CREDITOR))
    if len(ids) < len(plan.debtors) or app.cases.in_flight([CREDITOR]):
        return False
    due = app.cases.next_due([CREDITOR]).get(CREDITOR)
    return due is None or due - app.clock.now() > timedelta(days=100)
