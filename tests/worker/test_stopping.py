"""SIGTERM: what was begun is finished, the rest handed back; a second one is quick; nothing is lost or sent twice."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from channels.sandbox import Fault, Sandbox
from channels.settings import TwilioSettings
from tests.conftest import ROOT, MakeApp
from worker import forward
from worker.app import App, Rehearsal
from worker.dunning.model import Case, attempt_id
from worker.embedded import Embedded, Urls, running
from worker.processes import HANDING_BACK, PARENT_WITHIN, SERVERS_HAVE, STOP_WITHIN, Stop
from worker.web.server import ANSWER_WITHIN

from .config_copy import CHANNELS, Copy
from .programs import Program, living, program, run, sweep, until
from .rig import MORNING, Rig, bury_workers, outbox
from .test_processes import lines, urls
from .test_up import REHEARSE, job, ready

#: A provider takes the message at once, and answers when nobody is there any more.
MUTE = Fault("late", seconds=60, times=1)

#: A worker with as many seconds to stop as it is told, and one thread.
WORKER = """
import sys
from threading import Event
from worker import logs
from worker.app import App
from worker.processes import run_worker, stop_on_signals

queues, within = sys.argv[1].split(","), float(sys.argv[2])
logs.configure()
stop, app = Event(), App()
stop_on_signals(stop, within)
run_worker(app, app.broker, queues, 1, stop, within)
"""


#: A parent as `up` is, with one child, the embedded servers, and as many seconds to stop as it is told.
PARENT = """
import os, sys
from worker import logs
from worker.processes import Stop, Supervisor, stop_on_signals
from worker.up import servers

logs.configure()
stop = Stop(float(sys.argv[1]))
stop_on_signals(stop)
with servers(dict(os.environ), stop) as variables:
    Supervisor({"only": ("sandbox", "--log", "asked.jsonl")}, variables).run(stop)
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Providers."""
    with Sandbox() as found:
        yield found


@pytest.fixture
def environ(sandbox: Sandbox, store: Urls, tmp_path: Path) -> dict[str, str]:
    """The test's servers and providers, whose answers are waited for longer than any stop takes."""
    return {**urls(store), **patient(sandbox, tmp_path / "patient")}


def patient(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """What makes relance wait two minutes for an answer of the sandbox's."""
    copy = Copy(folder)
    copy.edit(CHANNELS, "kind: sendgrid_email", "kind: sendgrid_email\n    read_timeout: 120")
    sendgrid = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": sandbox.sendgrid_url}
    return {"RELANCE_CONFIG": str(copy.folder), **sendgrid}


@pytest.fixture
def rig(make_app: MakeApp, environ: dict[str, str]) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1, config=Path(environ["RELANCE_CONFIG"]), **sendgrid_of(environ)))


def sendgrid_of(environ: dict[str, str]) -> dict[str, str]:
    """What it says of SendGrid."""
    return {name: value for name, value in environ.items() if name.startswith("SENDGRID_")}


def begun(worker: Program, groups: int = 1) -> Program:
    """Wait until it works."""
    until(lambda: len(worker.lines("worker.started")) == groups)
    return worker


def settles_later(rig: Rig, case: Case, sandbox: Sandbox) -> None:
    """What was cut off is `sending`; its lease makes it uncertain; the provider has it once, and no more."""
    assert rig.kinds(case)[-1] == "AttemptBegun"
    rig.lose_leases()
    rig.settle(case)
    assert rig.kinds(case)[-1] == "AttemptUncertain"
    assert [entry["attempt"] for entry in sandbox.accepted()] == [attempt_id(case, 1)]


# ---- a worker


def test_a_second_signal_ends_a_worker_in_the_middle_of_a_call(
    rig: Rig, sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    """It does not wait for the provider; the message comes back to the next worker, which leaves it alone."""
    sandbox.fault(MUTE)
    case = rig.open()
    with program(tmp_path, "worker", "--queues", "email", **environ) as worker:
        begun(worker)
        rig.reserve(case)
        until(sandbox.accepted)
        assert worker.stop_twice() == 1
        assert [line["asked_again"] for line in worker.lines("process.cut_off")] == [True]
    bury_workers(rig.app)
    with program(tmp_path, "worker", "--queues", "email", **environ) as worker:
        until(lambda: worker.lines("attempt.superseded"))
        assert worker.stop() == 0
    assert rig.app.broker.waiting("email") == {"email": 0}
    settles_later(rig, case, sandbox)


def test_a_call_that_takes_longer_than_a_stop_is_cut_off_and_the_rest_handed_back(
    rig: Rig, sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    """The worker says so and ends; what it had fetched and not begun leaves through the next one, once."""
    sandbox.fault(MUTE)
    first, second = rig.open(), rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    with program(tmp_path, "email", "5", code=WORKER, **environ) as worker:
        begun(worker)
        rig.tick()
        until(sandbox.accepted)
        until(lambda: rig.app.broker.client.llen("dramatiq:email") == 0)  # both are fetched
        assert worker.stop() == 0
        assert [(line["queues"], line["messages"]) for line in worker.lines("worker.cut_off")] == [(["email"], 1)]
    assert rig.app.broker.client.llen("dramatiq:email") == 1
    with program(tmp_path, "worker", "--queues", "email", **environ):
        until(lambda: len(sandbox.accepted()) == 2)
    cut_off, sent = sorted((first, second), key=lambda case: rig.kinds(case)[-1] != "AttemptBegun")
    assert rig.kinds(sent)[-1] == "AttemptAccepted"
    rig.lose_leases()
    rig.settle(cut_off)
    assert rig.kinds(cut_off)[-1] == "AttemptUncertain"
    assert sorted(entry["attempt"] for entry in sandbox.accepted()) == sorted(attempt_id(c, 1) for c in (first, second))


@contextmanager
def standing_still(folder: Path, name: str) -> Iterator[None]:
    """That embedded server answers nobody."""
    pid = int((folder / name / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class Own:
    """Servers of a test's own, which may be made to stand still, and the parts on them."""

    folder: Path
    environ: dict[str, str]
    app: App

    @contextmanager
    def standing_still(self, name: str) -> Iterator[None]:
        """That server answers nobody."""
        pid = int((self.folder / name / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Own]:
    """On a morning on which the first reminder is due."""
    folder = tmp_path_factory.mktemp("own")
    monkeypatch.chdir(folder)
    with Embedded(folder) as found:
        app = App({**urls(found), "RELANCE_CONFIG": str(ROOT / "config")}, Rehearsal(MORNING, 1))
        yield Own(folder, urls(found), app)
        app.close()


@pytest.mark.parametrize("server", ["cases", "broker"])
def test_a_worker_stops_though_a_server_hangs(server: str, own: Own) -> None:
    """In the time it has, whichever it is; every job is taken later, once, and none is rejected."""
    assert run(own.folder, "enqueue", "-", "--queue", stdin=lines(30), **own.environ).returncode == 0
    with program(own.folder, "reminders", "5", code=WORKER, **own.environ) as worker:
        until(lambda: worker.lines("job.taken"))
        with own.standing_still(server):
            worker.stop()
        assert worker.lines("worker.cut_off") or worker.lines("process.cut_off")
    bury_workers(own.app)
    with program(own.folder, "worker", "--queues", "reminders", **own.environ):
        until(lambda: own.app.broker.waiting("reminders") == {"reminders": 0})
    assert len(list(own.app.cases.case_ids("demo"))) == 30
    assert own.app.broker.rejected.count() == 0


# ---- a scheduler


def due(rig: Rig, count: int) -> list[Case]:
    """So many cases that are due."""
    return [rig.open(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(count)]


def test_a_scheduler_finishes_what_it_has_claimed(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """Told to stop among many cases that are due: each reservation has its message, and nobody waits for a lease."""
    rig = Rig(make_app(at=MORNING, speed=1))
    cases = due(rig, 250)
    with program(tmp_path, "scheduler", **urls(store)) as scheduler:
        until(lambda: scheduler.lines("attempt.reserved"))
        assert scheduler.stop() == 0
        assert scheduler.lines("scheduler.stopped")
    reserved = [attempt for case in cases for attempt in rig.reserved(case)]
    assert 0 < len(reserved) < len(cases)
    assert rig.app.broker.waiting("email") == {"email": len(reserved)}
    assert sum(rig.in_flight(case) for case in cases) == len(reserved)


def test_a_scheduler_told_twice_while_the_store_hangs(own: Own) -> None:
    """It goes at once, wherever it was: what it had claimed or reserved is made up for; each message leaves once."""
    rig = Rig(own.app)
    cases = due(rig, 120)
    with program(own.folder, "scheduler", **own.environ) as scheduler:
        until(lambda: scheduler.lines("attempt.reserved"))
        with own.standing_still("cases"):
            time.sleep(0.5)  # it asks for what is due at every turn, and is held up by now
            assert scheduler.stop_twice() == 1
    rig.lose_leases()
    for _ in range(3):
        rig.tick()
    for case in cases:
        rig.settle(case, 2)
    assert sorted(line["id"].partition(".")[0] for line in outbox(own.folder)) == sorted(case.id for case in cases)


# ---- those who have children


def test_a_second_signal_reaches_the_children_of_a_worker(
    rig: Rig, sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    """None of them goes on, whatever it was waiting for."""
    sandbox.fault(MUTE)
    case = rig.open()
    with program(tmp_path, "worker", "--threads", "1", **environ) as worker:
        begun(worker, 5)
        rig.reserve(case)
        until(sandbox.accepted)
        worker.stop_twice()
        assert set(living(tmp_path)) <= {os.getpid()}
        assert "email" in {line["child"] for line in worker.lines("child.killed")}
    settles_later(rig, case, sandbox)


def test_a_second_signal_ends_up_and_its_servers_gently(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Children at once, servers with everything on disk: the next one finds what was taken and what was begun."""
    folder = tmp_path_factory.mktemp("up")
    environ = patient(sandbox, folder / "patient")
    sandbox.fault(MUTE)
    with program(folder, "up", *REHEARSE, **environ) as up:
        ready(up)
        run(folder, "enqueue", "-", stdin=job(1), **environ)
        until(sandbox.accepted)
        run(folder, "enqueue", "-", stdin=job(2), **environ)
        up.stop_twice()
        until(lambda: living(folder) == {})
    with Embedded(folder / "var") as found:
        app = App({**urls(found), **environ})
        rig, names = Rig(app), list(app.cases.case_ids("demo"))
        cut_off = [rig.case(name) for name in names if rig.kinds(rig.case(name))[-1] == "AttemptBegun"]
        assert (len(names), len(cut_off)) == (2, 1)
        rig.lose_leases()
        rig.settle(cut_off[0])
        assert rig.kinds(cut_off[0])[-1] == "AttemptUncertain"
        app.close()
    taken = [entry["attempt"] for entry in sandbox.accepted()]
    assert taken.count(attempt_id(cut_off[0], 1)) == 1
    assert len(taken) == len(set(taken))
    sweep(folder)


@pytest.fixture
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """It has four seconds, of which its child has one and a half."""
    folder = tmp_path_factory.mktemp("parent")
    with program(folder, "4", code=PARENT) as found:
        until(lambda: found.child("worker.main sandbox") and (folder / "asked.jsonl").exists())
        yield found
    sweep(folder)


def test_a_child_that_hangs_is_killed_and_the_servers_are_stopped(parent: Program) -> None:
    """Asked once: nothing of it is left when the time is over, and the parent came to its end by itself."""
    os.kill(parent.child("worker.main sandbox"), signal.SIGSTOP)
    assert parent.stop() == 0
    assert living(parent.folder) == {}
    assert [line["child"] for line in parent.lines("child.killed")] == ["only"]
    assert parent.lines("process.cut_off") == []


@pytest.mark.parametrize("name", ["cases", "broker"])
def test_a_parent_that_has_to_give_up_leaves_nothing(parent: Program, name: str) -> None:
    """A server hangs, too: it is killed with what it holds in its file, and its parent has ended in time."""
    found = running(parent.folder / "var")
    assert found
    url = {"cases": found.redis_url, "broker": found.broker_url}[name]
    with redis.Redis.from_url(url) as client:
        client.set("k", "v")
    os.kill(parent.child("worker.main sandbox"), signal.SIGSTOP)
    os.kill(int((parent.folder / "var" / name / "pid").read_text()), signal.SIGSTOP)
    assert parent.stop() == 1
    until(lambda: living(parent.folder) == {}, 5)
    assert [line["child"] for line in parent.lines("child.killed")] == ["only", f"server for {name}"]
    assert [line["asked_again"] for line in parent.lines("process.cut_off")] == [False]
    with Embedded(parent.folder / "var"), redis.Redis.from_url(url) as client:
        assert client.get("k") == b"v"


def test_the_times_of_a_stop_hold_together() -> None:
    """As shipped, a call and a door's answer end before the process does, and every child before its parent kills it;
    the parent has ended within 30 s.
    """
    assert TwilioSettings().bound <= STOP_WITHIN - HANDING_BACK
    assert ANSWER_WITHIN + 2 < STOP_WITHIN
    assert forward.TIMEOUT.total_seconds() + 2 * forward.PATIENCE < STOP_WITHIN
    assert STOP_WITHIN + 1 <= PARENT_WITHIN - SERVERS_HAVE
    assert Stop().within == PARENT_WITHIN < 30
