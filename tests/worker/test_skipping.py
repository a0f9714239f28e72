"""Idle stretches of a rehearsal are skipped, and nothing that somebody is about to do."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dramatiq
import pytest

from tests.conftest import MakeApp
from worker.clock import RehearsalClock
from worker.commit import Keys
from worker.dunning.model import Case
from worker.queues import FACTS, Queues
from worker.scheduler import QUIET, Scheduler

from .payloads import fact
from .rig import MORNING, Rig

EVENTS = Keys("demo").events
#: In a test the clock runs as real time does, so whatever is later than this was skipped to.
SOON = MORNING + timedelta(hours=1)


class Interrupted:
    """The queues. Right after somebody asked what waits in them something happens, once."""

    def __init__(self, queues: Queues, meanwhile: Callable[[], object]) -> None:
        self._queues, self._meanwhile = queues, [meanwhile]

    def enqueue(self, message: "dramatiq.Message[None]") -> object:
        """As the queues do."""
        return self._queues.enqueue(message)

    def waiting(self, *queues: str) -> dict[str, int]:
        """What was so a moment ago."""
        answer = self._queues.waiting(*queues)
        while self._meanwhile:
            self._meanwhile.pop()()
        return answer


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


@pytest.fixture
def case(rig: Rig) -> Case:
    """A case that waits for days: the first reminder has just left, and whoever acts on events knows."""
    case = rig.open()
    rig.settle(case)
    rig.app.broker.client.flushdb()
    attend(rig)
    return case


def attend(rig: Rig) -> None:
    """Whoever acts on events has seen all there are."""
    last: Any = rig.app.client.xrevrange(EVENTS, count=1)
    clock(rig).attend({EVENTS: last[0][0]}, 30)


def clock(rig: Rig) -> RehearsalClock:
    """The rehearsal's."""
    assert isinstance(rig.app.clock, RehearsalClock)
    return rig.app.clock


def pay(rig: Rig) -> None:
    """Hand in a job."""
    job = fact("payment_received", job_id="paid", invoice="F-2026/001", amount="1200.50", currency="EUR")
    rig.app.broker.enqueue(dramatiq.Message(FACTS, "payment_received", (), {"job": job}, {}))


def look_around(rig: Rig, meanwhile: Callable[[], object]) -> None:
    """A scheduler that has had nothing to do for a while looks whether it may skip."""
    scheduler = Scheduler(rig.app, Interrupted(rig.app.broker, meanwhile), skip_idle=True)
    time.sleep(QUIET + 0.01)
    scheduler.tick()


def test_an_idle_stretch_is_skipped(rig: Rig, case: Case) -> None:
    """To the next look at a case."""
    look = rig.next_look(case)
    look_around(rig, lambda: None)
    assert look is not None
    assert look <= clock(rig).now() < look + timedelta(minutes=1)


def test_skipping_ends_at_an_appointment(rig: Rig, case: Case) -> None:
    """Somebody is to act before that, and has not yet."""
    clock(rig).meet(SOON)
    look_around(rig, lambda: None)
    assert SOON <= clock(rig).now() < SOON + timedelta(minutes=1)


def test_an_appointment_kept_meanwhile_has_its_day(rig: Rig, case: Case) -> None:
    """Nothing was in the queues when they were asked; by then there is, and the appointment is over."""
    moment = clock(rig).now()
    clock(rig).meet(moment)

    def act() -> None:
        pay(rig)
        clock(rig).met(moment)

    look_around(rig, act)
    assert clock(rig).now() < SOON


def test_an_answer_given_meanwhile_has_its_day(rig: Rig, case: Case) -> None:
    """An event was seen, and acted on, between two looks at what is going on: both say that nothing is."""

    def act() -> None:
        rig.app.client.xadd(EVENTS, {"case": case.id, "version": 9, "event": "{}"})
        pay(rig)
        attend(rig)

    look_around(rig, act)
    assert clock(rig).now() < SOON
