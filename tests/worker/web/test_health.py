"""What supervisors and load balancers ask: is it there, and can it do its work?"""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.conftest import MakeApp
from tests.worker.rig import MORNING, Rig
from worker.app import App
from worker.commit import Keys
from worker.embedded import Embedded
from worker.operations import pause
from worker.web.health import STALE

from .served import opened


def ready(app: App) -> tuple[int, Any]:
    """The answer to /readyz."""
    with opened(app) as doors:
        assert doors.ask("GET", "/healthz").status == 200
        answer = doors.ask("GET", "/readyz")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(("behind", "fine"), [(STALE - timedelta(minutes=1), True), (STALE * 2, False)])
@pytest.mark.parametrize("speed", [None, 43_200.0])
def test_an_agenda_that_nobody_keeps_is_told(
    make_app: MakeApp, behind: timedelta, fine: bool, speed: float | None
) -> None:
    """A case whose day has long come, or has just; on a faster clock ten minutes are as many times longer."""
    app = make_app(at=MORNING if speed else None, speed=speed)
    assert ready(app) == (200, {"status": "ok"})
    case = Rig(app).open()
    late = app.clock.now() - behind * (speed or 1)
    app.client.zadd(Keys("demo").agenda, cast("Mapping[Any, float]", {case.id: late.timestamp() * 1000}))
    found = ready(app)
    assert found == ((200, {"status": "ok"}) if fine else (503, {"status": "not ready", "wrong": ["agenda"]}))


def test_a_pause_is_no_fault(make_app: MakeApp) -> None:
    """What is paused is looked at again and again, and so is never overdue."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    pause(rig.app, ["demo"], "creditor", everywhere=False)
    for _ in range(3):
        rig.jump((rig.next_look(case) or MORNING) + timedelta(seconds=1))
        rig.settle(case)
    assert ready(rig.app)[0] == 200


def test_servers_that_are_away_are_named(make_app: MakeApp, tmp_path: Path) -> None:
    """And nothing of their URLs, which may hold passwords."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(REDIS_URL=urls.redis_url, BROKER_URL=urls.broker_url)
    assert ready(app) == (503, {"status": "not ready", "wrong": ["store", "queue", "agenda"]})
