"""The sandbox as its users meet it: through the official SDKs and smtplib."""

import smtplib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from channels.sandbox import Sandbox

from .clients import read_log, sendgrid_client, smtp_client, twilio_client
from .receiver import Receiver

Events = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.jsonl"


@pytest.fixture
def sandbox(log: Path) -> Iterator[Sandbox]:
    with Sandbox(log) as sandbox:
        yield sandbox


@pytest.fixture
def events(log: Path) -> Events:
    """Read the log back. "answered" is written after the answer: close the sandbox first where that one matters."""
    return partial(read_log, log)


@pytest.fixture
def twilio(sandbox: Sandbox) -> Any:
    return twilio_client(sandbox.twilio_url)


@pytest.fixture
def sendgrid(sandbox: Sandbox) -> Any:
    return sendgrid_client(sandbox.sendgrid_url)


@pytest.fixture
def smtp(sandbox: Sandbox) -> Iterator[smtplib.SMTP]:
    client = smtp_client(sandbox.smtp_url)
    yield client
    client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()
