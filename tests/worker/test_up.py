"""`relance up`: one command runs everything here, loses nothing, and leaves nothing behind."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .payloads import reminder
from .programs import Program, living, program, run, sweep, until
from .rig import MORNING, outbox

REHEARSE = ("--at", MORNING.strftime("%Y-%m-%dT%H:%M%z"), "--speed", "1")
GROUPS = 5  # jobs, email, sms, voice, task


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own, with a short name: sockets lie in it."""
    made = tmp_path_factory.mktemp("up")
    yield made
    sweep(made)


def job(number: int) -> str:
    """A reminder of a debtor of its own."""
    return json.dumps(reminder(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}"))


def ready(up: Program) -> Program:
    """Wait until its scheduler and all its workers work."""
    until(lambda: len(up.lines("worker.started")) >= GROUPS and up.lines("scheduler.started"))
    return up


def cases(folder: Path) -> list[dict[str, Any]]:
    """The cases in the store of the servers that run there."""
    found: list[dict[str, Any]] = json.loads(run(folder, "case", "list", "--json").stdout)
    return found


def test_up_runs_everything_and_leaves_nothing(folder: Path) -> None:
    """A job goes through; a killed child is started again; a second one is refused; SIGTERM ends all of it."""
    with program(folder, "up", *REHEARSE) as up:
        ready(up)
        assert all(line["event"] == "process.started" for line in up.lines()[:1])
        assert "demo: sms -> outbox (writes files to var/outbox)" in " ".join(up.lines("process.started")[0]["carries"])
        assert run(folder, "enqueue", "-", "--queue", stdin=job(1)).returncode == 0
        until(lambda: len(outbox(folder)) == 1)

        killed = up.child("--queues email")
        os.kill(killed, signal.SIGKILL)
        assert until(lambda: up.child("--queues email") not in (0, killed))
        assert [line["child"] for line in up.lines("child.died")] == ["email"]
        run(folder, "enqueue", "-", stdin=job(2))
        until(lambda: len(outbox(folder)) == 2)

        second = run(folder, "up")
        assert second.returncode == 2
        assert second.stderr.startswith("another process runs the servers in ")
        assert up.process.poll() is None

        assert up.stop() == 0
    assert living(folder) == {}
    assert not list(folder.glob("var/*.sock"))
    assert up.lines("child.killed") == []
    assert {line["event"] for line in up.lines() if line.get("level") == "error"} == {"child.died"}


def test_what_was_taken_in_survives_any_end(folder: Path) -> None:
    """Stopped gently with a job in the queue, or killed: whoever starts next finds the store, the servers, the job."""
    with program(folder, "up", *REHEARSE) as up:
        ready(up)
        run(folder, "pause")
        run(folder, "enqueue", "-", stdin=job(1))
        run(folder, "enqueue", "-", "--queue", stdin=job(2))
        up.stop()
    assert living(folder) == {}
    with program(folder, "up") as up:
        ready(up)
        until(lambda: len(cases(folder)) == 2)
        servers = {pid for pid, words in living(folder).items() if "valkey" in words}
        up.kill()
    until(lambda: set(living(folder)) == servers, 10)  # its children end by themselves; the servers hold what was taken
    with program(folder, "up") as up:
        ready(up)
        assert {pid for pid, words in living(folder).items() if "valkey" in words} == servers
        assert outbox(folder) == []
        run(folder, "resume")
        until(lambda: len(outbox(folder)) == 2)
        time.sleep(0.5)
        assert len(outbox(folder)) == 2
        assert up.stop() == 0
    assert living(folder) == {}


def test_a_rehearsal_with_real_credentials_does_not_start(folder: Path) -> None:
    """Refused before anything runs, and before the store holds a clock that would never leave it."""
    real = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t"}
    refused = run(folder, "up", *REHEARSE, **real)
    assert refused.returncode == 2
    assert "twilio_sms, twilio_voice reach real people" in refused.stderr
    assert living(folder) == {}
