"""The log tells the story without a name, an address or a number."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from channels.sandbox.faults import Fault
from channels.sandbox.sandbox import Sandbox
from tests.conftest import ROOT
from worker.embedded import Embedded, Urls

from .programs import environment
from .rehearsal import EXPECTED, SECRETS


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a rehearsal with every kind of trouble writes to stderr."""
    folder = tmp_path_factory.mktemp("logs")
    faults = [
        Fault("accept_then_drop", to="*@hang.example.com"),
        Fault("429", to="*@down.invalid"),
        Fault("refuse", channel="sms"),
    ]
    with Embedded(folder / "var") as urls, Sandbox(faults=faults) as sandbox:
        variables = {
            "REDIS_URL": urls.redis_url,
            "BROKER_URL": urls.broker_url,
            "RELANCE_CONFIG": str(ROOT / "config"),
            "PYTHONPATH": str(ROOT),
            "SENDGRID_API_KEY": "key",
            "SENDGRID_BASE_URL": sandbox.sendgrid_url,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "PUBLIC_URL": "http://127.0.0.1:9",  # nobody is there, and nobody is asked
            "RELANCE_SECRET_KEY": "k" * 32,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.worker.rehearsal"],
            env=os.environ | variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


@cache
def parsed(log: str) -> list[dict[str, Any]]:
    """Its lines."""
    return [json.loads(line) for line in log.splitlines()]


def test_every_line_is_one_json_object(log: str) -> None:
    """With its event, level and time, whoever logged it."""
    assert all({"event", "level", "timestamp"} <= line.keys() for line in parsed(log))


def test_the_rehearsal_ran_into_everything(log: str) -> None:
    """A search that did not meet the troubles proves nothing."""
    assert {line["event"] for line in parsed(log)} >= EXPECTED


@pytest.mark.parametrize("secret", SECRETS)
def test_nobody_can_be_found_in_the_log(log: str, secret: str) -> None:
    """Names, mailboxes, numbers and subjects stay out: of jobs, bad jobs, poison, failures and tracebacks."""
    assert [line for line in log.splitlines() if secret in line.lower()] == []


def test_an_exception_is_told_by_its_place(log: str) -> None:
    """Where it was raised and of what kind; its text, which may quote a person, is not there."""
    failed = [line for line in parsed(log) if "trace" in line]
    assert failed
    assert all(line["error"] and line["trace"] for line in failed)


_SEND = """
import os, sys
from tests.worker.rig import MORNING, Rig
from worker.app import App, Rehearsal
from worker.logs import configure

configure()
rig = Rig(App(rehearsal=Rehearsal(MORNING, 1)))
case = rig.open()
rig.reserve(case)
read, write = os.pipe()
os.dup2(write, 2)
{fault}
rig.deliver(case)
print(*rig.kinds(case))
"""
FAULTS = {
    "nobody reads": "os.close(read)",
    "full": "os.set_blocking(2, False); os.write(2, bytes(10**6))",
    "closed": "sys.stderr.close()",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_cannot_be_written_stops_no_send(fault: str, store: Urls, tmp_path: Path) -> None:
    """The provider has answered, and its answer cannot be logged: it is stored all the same, never left uncertain."""
    variables = environment(REDIS_URL=store.redis_url, BROKER_URL=store.broker_url, PYTHONUNBUFFERED="")
    code = _SEND.replace("{fault}", FAULTS[fault])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split()[-1:] == ["AttemptAccepted"], done.stderr[-2000:]
