"""The log tells the story without a name, an address or a number."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from channels.sandbox.faults import Fault
from channels.sandbox.sandbox import Sandbox
from tests.conftest import ROOT
from worker.embedded import Embedded

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
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.worker.rehearsal"],
            env=os.environ | variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
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
