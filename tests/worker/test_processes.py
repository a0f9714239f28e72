"""Processes: children that are started again, workers that finish what they began, and stores they refuse."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import redis

from channels.sandbox import Fault, Sandbox
from tests.conftest import MakeApp
from worker.app import App, Rehearsal
from worker.clock import CLOCK_KEY
from worker.dunning.model import attempt_id
from worker.embedded import Urls
from worker.processes import Stop, Supervisor

from .payloads import reminder
from .programs import environment, living, program, run, until
from .rig import MORNING, Rig

REAL = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t"}


def urls(store: Urls) -> dict[str, str]:
    """Where a program finds the test's servers."""
    return {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url}


# ---- supervision


def test_a_child_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often, each time after a longer pause; and at the end none is left."""
    monkeypatch.chdir(tmp_path)
    stop = Stop()
    supervisor = Supervisor({"only": ("sandbox", "--log", str(tmp_path / "log"))}, environment())
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    own = os.getpid()
    try:
        seen: set[int] = set()
        for _ in range(2):
            pid = until(lambda: next((p for p in living(tmp_path) if p not in seen and p != own), 0))
            seen.add(pid)
            time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)
        until(lambda: [p for p in living(tmp_path) if p not in seen and p != own])
    finally:
        stop.set()
        thread.join(40)
    assert set(living(tmp_path)) <= {own}


def test_a_worker_without_queues_runs_a_child_for_each_group(store: Urls, tmp_path: Path) -> None:
    """A process per channel, so that a slow provider fills nobody else's threads, and one for jobs; none remains."""
    with program(tmp_path, "worker", "--threads", "1", **urls(store)) as worker:
        until(lambda: len(worker.lines("worker.started")) == 5)
        groups = sorted(tuple(line["queues"]) for line in worker.lines("worker.started"))
        assert groups == [("email",), ("facts", "inbound", "reminders"), ("sms",), ("task",), ("voice",)]
        assert len(living(tmp_path)) == 6
        assert worker.lines()[0]["event"] == "process.started"
        assert worker.lines()[0]["carries"][0].startswith("demo: email -> outbox (writes files to var/outbox)")
        assert worker.stop() == 0
    assert living(tmp_path) == {}
    assert len(worker.lines("worker.stopped")) == 5


def test_processes_of_one_group_are_started_one_by_one(tmp_path: Path) -> None:
    """`--processes` belongs to the parent of all groups: beside `--queues` it is refused, not passed over."""
    refused = run(tmp_path, "worker", "--queues", "email", "--processes", "2", COLUMNS="200")
    assert refused.returncode == 2
    assert "with --queues there is one process" in refused.stderr


# ---- a rehearsal never reaches people


@pytest.mark.parametrize("arguments", [("worker", "--queues", "sms"), ("worker",), ("up",)])
def test_a_rehearsed_store_refuses_real_providers(
    make_app: MakeApp, store: Urls, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 2 before anything is fetched from a queue, with what to do about it."""
    make_app(at=MORNING, speed=60)
    refused = run(tmp_path, *arguments, **urls(store), **REAL)
    assert refused.returncode == 2
    assert "twilio_sms, twilio_voice reach real people or systems: use a sandbox" in refused.stderr
    assert "worker.started" not in refused.stderr


def test_a_rehearsal_cannot_begin_with_real_providers(store: Urls, tmp_path: Path) -> None:
    """A scheduler with a set clock, by mistake, on the store of production: the store stays as it is."""
    refused = run(tmp_path, "scheduler", "--speed", "60", **urls(store), **REAL)
    assert refused.returncode == 2
    with redis.Redis.from_url(store.redis_url) as client:
        assert not client.exists(CLOCK_KEY)


def test_a_rehearsal_that_begins_later_stops_the_workers_that_run(make_app: MakeApp, store: Urls) -> None:
    """A worker with real credentials was there first; from the rehearsal's first moment on it sends nothing."""
    rig = Rig(make_app())
    providers = App({**urls(store), **REAL, "RELANCE_CONFIG": str(rig.app.config.folder)}).providers
    assert providers.get("twilio_sms").real
    make_app(at=MORNING, speed=60)
    with pytest.raises(Exception, match="reaches real people, and the store held a rehearsal's clock"):
        providers.get("twilio_sms")


def test_another_clock_than_the_stores_is_told_and_ignored(make_app: MakeApp, store: Urls) -> None:
    """The first process's clock counts."""
    make_app(at=MORNING, speed=60)
    late = App({**urls(store), "RELANCE_CONFIG": str(make_app().config.folder)}, Rehearsal(MORNING, 5))
    assert not late.clock_heeded
    assert late.clock.now().date() == MORNING.date()
    late.close()


# ---- SIGTERM


def test_a_call_under_way_is_finished_and_recorded(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """SIGTERM in the middle of a slow provider's answer: the worker waits for it, stores it, and only then ends."""
    with Sandbox() as sandbox:
        sandbox.fault(Fault("late", seconds=2.0))
        sendgrid = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": sandbox.sendgrid_url}
        rig = Rig(make_app(at=MORNING, speed=1, **sendgrid))
        case = rig.open()
        with program(tmp_path, "worker", "--queues", "email", **urls(store), **sendgrid) as worker:
            until(lambda: worker.lines("worker.started"))
            rig.reserve(case)
            until(sandbox.accepted)
            assert rig.kinds(case)[-1] == "AttemptBegun"
            assert worker.stop() == 0
        assert rig.kinds(case)[-1] == "AttemptAccepted"
        assert [entry["attempt"] for entry in sandbox.accepted()] == [attempt_id(case, 1)]


def test_a_job_in_the_queue_outlives_its_worker(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """Killed or stopped before it was taken, it is there for the next one."""
    rig = Rig(make_app(at=MORNING, speed=1))
    with program(tmp_path, "worker", "--queues", "reminders", "--threads", "1", **urls(store)) as worker:
        until(lambda: worker.lines("worker.started"))
        worker.stop()
        enqueued = run(tmp_path, "enqueue", "-", "--queue", stdin=lines(20), **urls(store))
        assert enqueued.returncode == 0
    with program(tmp_path, "worker", "--queues", "reminders", "--threads", "1", **urls(store)) as worker:
        until(lambda: worker.lines("job.taken"))
        worker.kill()
    with program(tmp_path, "worker", "--queues", "reminders", "--threads", "2", **urls(store)):
        until(lambda: len(list(rig.app.cases.case_ids("demo"))) == 20)


def lines(count: int) -> str:
    """So many jobs, each of a debtor of its own."""
    jobs = (reminder(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(1, count + 1))
    return "\n".join(json.dumps(job) for job in jobs)
