"""The facts: what is damaged in the store, who was cut off, who came back, all of it reaches the judge."""

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.facts import all_back, cases_of, cut_off
from tests.chaos.kills import Killer
from tests.chaos.stage import Stage
from tests.conftest import MakeApp
from tests.worker.rig import MORNING, Rig
from worker.codec import encode_case
from worker.commit import Keys
from worker.dunning.model import Case
from worker.embedded import Embedded
from worker.pack import pack

KEYS = Keys("demo")
SPEED = 1000.0


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due, of a ladder that runs fast."""
    return Rig(make_app(at=MORNING, speed=SPEED))


@pytest.fixture
def case(rig: Rig) -> Case:
    """One that was reminded, and whose next step is to come."""
    case = rig.open()
    rig.settle(case)
    return case


def fact(rig: Rig) -> dict[str, Any]:
    """What the facts say of the only case."""
    (found,) = cases_of(rig.app, "demo", SPEED)
    return found


def test_a_sound_case_is_said_to_be_sound(rig: Rig, case: Case) -> None:
    """Its snapshot is its history's, and the agenda has it: when its next step is due, by the real clock."""
    found, due, clock = fact(rig), rig.next_look(case), rig.app.clock
    assert (found["case"], found["folds"], found["in_flight"]) == (case.id, True, None)
    assert due
    wait = (due - clock.now()) / timedelta(seconds=SPEED)
    assert wait > 120
    assert found["agenda"] - clock.real().timestamp() == pytest.approx(wait, abs=60)


def test_a_damaged_snapshot_is_said_to_be_damaged(rig: Rig, case: Case) -> None:
    """Whatever it is that the history does not make of it."""
    stored = rig.app.cases.load(case.id)
    assert stored
    damaged = pack(encode_case(replace(stored.case, attempts=stored.case.attempts + 1)))
    rig.app.client.set(KEYS.case(case.id), f"{stored.version}||".encode() + damaged)
    assert fact(rig)["folds"] is False


def test_a_case_that_fell_off_the_agenda_is_said_to_have(rig: Rig, case: Case) -> None:
    """The rules still know what is next; nobody will ask them."""
    rig.app.client.zrem(KEYS.agenda, case.id)
    found = fact(rig)
    assert (found["state"], found["agenda"], found["in_flight"]) == ("waiting", None, None)
    assert found["next"]


def test_a_case_that_somebody_is_on_is_said_to_be(rig: Rig, case: Case) -> None:
    """With its lease, by the real clock."""
    until = rig.app.clock.real() + timedelta(minutes=5)
    rig.app.cases.set_aside(case.id, until)
    assert fact(rig)["in_flight"] == pytest.approx(until.timestamp(), abs=0.01)


def test_a_stream_that_differs_from_a_history_is_no_fact(rig: Rig, case: Case) -> None:
    """Moments are the stream's: with an event missing there, they would be those of others."""
    rig.app.client.ltrim(KEYS.history(case.id), 0, -2)
    with pytest.raises(RuntimeError, match="differ"):
        fact(rig)


def _said(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "child.kil')
    return path


def test_whoever_was_cut_off_is_in_the_facts(tmp_path: Path) -> None:
    """By whoever says so: the process itself, a worker of its messages, the parent of its child."""
    events = ("process.cut_off", "worker.started", "worker.cut_off", "child.died", "child.killed", "process.stopping")
    lines = _said(tmp_path / "lines", *({"event": event} for event in events))
    assert [line["event"] for line in cut_off(lines)] == ["process.cut_off", "worker.cut_off", "child.killed"]


def test_a_part_is_back_when_it_says_so_after_the_kill(tmp_path: Path) -> None:
    """Not when its process is there: it may never come to work."""
    lines = _said(
        tmp_path / "lines",
        {"event": "worker.started", "queues": ["sms"], "timestamp": "2026-11-18T12:00:00Z"},
        {"event": "web.started", "timestamp": "2026-11-18T12:00:10Z"},
    )
    (tmp_path / "log").touch()
    with subprocess.Popen(["true"]) as up:
        killer = Killer(Stage(tmp_path, tmp_path / "log", lines, {}, Embedded(tmp_path), up))
    first = 1_795_003_195.0  # 11:59:55
    killer.done = [{"part": "sms", "at": first}, {"part": "web", "at": first}]
    assert all_back(killer.stage, killer)
    killer.done.append({"part": "sms", "at": first + 8})
    assert not all_back(killer.stage, killer)
    killer.done = [{"part": "broker", "at": first}]
    assert not all_back(killer.stage, killer)
    killer.revived = [{"part": "broker", "at": first + 2}]
    assert all_back(killer.stage, killer)
