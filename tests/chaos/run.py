"""One run: the plan is played, the dust settles, the facts are written."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import redis

from tests.chaos.facts import all_back, at_rest, write_facts
from tests.chaos.kills import Killer
from tests.chaos.plan import Plan
from tests.chaos.stage import Stage, clock, queued, stage
from tests.chaos.upstream import Upstream
from tests.chaos.world import BEGINS
from worker.app import App
from worker.queues import FACTS, INBOUND, REMINDERS

#: How long the last messages may take to come to rest, in seconds: leases, second looks. On a slow machine queues are
#: longer, the more cases the more.
PATIENCE, PATIENCE_FOR_EACH = 300.0, 0.5
LOG, FACTS_FILE = "sandbox.jsonl", "facts.json"


def play(folder: Path, plan: Plan, say: Callable[[str], None], *, killing: bool = True) -> None:
    """Play it in that empty folder, and leave there the sandbox's log and the facts."""
    with stage(folder, plan) as at:
        say(f"seed {plan.seed}: {len(plan.debtors)} cases, {len(plan.kills) if killing else 0} kills, in {folder}")
        upstream = Upstream(plan, at.public_url, at.environ["BROKER_URL"])
        killer, stop = Killer(at), Event()
        began = _morning(at, plan)
        with ThreadPoolExecutor(2) as hands:
            try:
                kills = hands.submit(killer.run, plan.kills if killing else (), began, stop)
                opening = hands.submit(upstream.run, began)
                opening.result()
                kills.result()
                say("all was asked for and all was killed; it comes to rest")
                _settle(at, plan, killer, say)
            finally:
                stop.set()
                upstream.stop()
        write_facts(folder / FACTS_FILE, at, plan, upstream, killer, at.stop())


def _morning(at: Stage, plan: Plan) -> float:
    """Wait until the ladder's clock stands at the hour it began at; the moment by the monotonic clock.

    So the plan knows when its days turn.
    """
    app = App(at.environ, clock(plan))
    try:
        gone = app.clock.now() - datetime.fromisoformat(BEGINS)
    finally:
        app.close()
    wait = (-gone % timedelta(days=1)) / timedelta(days=1) * plan.scale.day
    return time.monotonic() + wait


def _settle(at: Stage, plan: Plan, killer: Killer, say: Callable[[str], None]) -> None:
    """Wait until nothing more will happen by itself; what has not come to rest in time is for the judge."""
    app = App(at.environ, clock(plan))
    since = time.monotonic()
    deadline = since + PATIENCE + PATIENCE_FOR_EACH * len(plan.debtors)
    try:
        while time.monotonic() < deadline:
            if _quiet(at, app, plan) and all_back(at, killer):
                say(f"at rest after {time.monotonic() - since:.0f} s")
                return
            time.sleep(0.5)
        say(f"not at rest after {time.monotonic() - since:.0f} s")
    finally:
        app.close()


def _quiet(at: Stage, app: App, plan: Plan) -> bool:
    try:
        waiting = queued(at, REMINDERS, FACTS, INBOUND, *app.config.channels)
        return not waiting and at_rest(app, plan)
    except redis.RedisError:
        return False
