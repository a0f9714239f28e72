"""Throw-away servers, sandbox providers and the processes of relance, in an environment of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

from worker.demo.story import CHANGES, ROOT
from worker.embedded import Embedded
from worker.processes import Stop, supervised


@contextmanager
def stage(folder: Path, log: Path | None = None, stop: Stop | None = None) -> Iterator[dict[str, str]]:
    """Servers and providers, which log to `sandbox.jsonl`; gives the environment to run in."""
    port = _free_port()
    own = {
        "RELANCE_CONFIG": str(_configured(folder / "config")),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WEB_PORT": str(port),
        "RELANCE_SECRET_KEY": token_hex(32),
        "SENDGRID_INBOUND_SECRET": token_hex(16),
    }
    servers = Embedded(folder)
    if stop:
        stop.kill_at_last(servers.kill)
    with servers as urls, _sandbox(log or folder / "sandbox.jsonl", own, stop) as providers:
        yield {
            **_clean(os.environ),
            **own,
            **providers,
            "REDIS_URL": urls.redis_url,
            "BROKER_URL": urls.broker_url,
        }


def _configured(folder: Path) -> Path:
    """A copy of the shipped configuration, with what the story changes in it."""
    shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("examples"))
    for name, old, new in CHANGES:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"config/{name} no longer says {old!r}, which the demo changes")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def running(
    environ: Mapping[str, str], log: IO[bytes], stop: Stop | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """`relance up` as long as this lasts, out of reach of a Ctrl-C, which is for us."""
    up = relance(environ, "up", "--skip-idle", stdout=log, stderr=log, start_new_session=True)
    try:
        yield up
    finally:
        _end(up, stop)


def _end(process: "subprocess.Popen[bytes]", stop: Stop | None) -> None:
    """Ask it to stop, and wait for it. Once we are told a second time, so is it, and nobody waits."""
    process.terminate()
    at_once = (stop or Stop()).at_once
    while process.poll() is None and not at_once.wait(0.05):
        pass
    if process.poll() is None:
        process.terminate()


def relance(environ: Mapping[str, str], *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    """One of its commands, which ends when we do."""
    command = [sys.executable, "-m", "worker.main", *arguments]
    return subprocess.Popen(command, env=supervised(environ), **options)  # noqa: S603  # our own command line


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's own accounts may reach the demo."""
    ours = ("TWILIO_", "SENDGRID_", "SMTP_", "REDIS_", "BROKER_", "PUBLIC_URL", "WEB_", "RELANCE_")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


@contextmanager
def _sandbox(log: Path, own: Mapping[str, str], stop: Stop | None) -> Iterator[dict[str, str]]:
    """The provider servers, in a process of their own."""
    doors = ("--public-url", own["PUBLIC_URL"], "--inbound-secret", own["SENDGRID_INBOUND_SECRET"])
    command = ("sandbox", "--log", str(log), *doors)
    process = relance(_clean(os.environ), *command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        urls = json.loads(process.stdout.readline())
        yield {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "sandbox",
            "TWILIO_BASE_URL": urls["twilio"],
            "SENDGRID_API_KEY": "SG.sandbox",
            "SENDGRID_BASE_URL": urls["sendgrid"],
            "SENDGRID_WEBHOOK_PUBLIC_KEY": _public_key(urls["sendgrid"]),
        }
    finally:
        _end(process, stop)
        if process.stdout:
            process.stdout.close()


def _public_key(sendgrid: str) -> str:
    from urllib3 import request

    key: str = request("GET", f"{sendgrid}/sandbox/public-key").json()["public_key"]
    return key
