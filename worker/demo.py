"""`relance demo`: the whole thing on throw-away servers, against sandbox providers, on a clock that skips idle days.

Four kinds of processes: the servers, `relance up` (scheduler and workers), `relance watch`, which prints what the event
stream says and knows nothing of what is played, and this one, which plays the debtors and the operator.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import dramatiq
import typer

from worker.app import App, Rehearsal
from worker.clock import RehearsalClock
from worker.embedded import Embedded
from worker.processes import supervised
from worker.queues import FACTS
from worker.watch import entries

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "config" / "examples" / "reminders.jsonl"
#: When the rehearsal begins, and how fast it runs between the stretches it skips.
BEGINS, SPEED = "2026-03-23T08:00+01:00", 60.0
OPERATOR = "the demo's operator"
#: The demo gives up after this many seconds.
PATIENCE = 150


@dataclass(frozen=True, slots=True)
class Payment:
    """A debtor, the message after which they pay, and what."""

    debtor: str
    step: str
    channel: str
    invoice: str
    amount: str


#: What is played. Menuiserie des Halles never answers.
PAYMENTS = (
    Payment("C-1001", "first_reminder", "email", "F-2026-101", "480.00"),
    Payment("C-1003", "call", "voice", "F-2026-103", "725.50"),
    Payment("C-1004", "formal_notice", "email", "F-2026-104", "1190.00"),
    Payment("C-1005", "second_reminder", "email", "F-2026-105", "139.90"),
    Payment("C-1006", "first_reminder", "email", "F-2026-106", "900.00"),
    Payment("C-1006", "call", "voice", "F-2026-107", "310.00"),
)


def run_demo(log: Path | None = None) -> int:
    """Play it; returns the exit code of `relance watch`, which ends when every case has.

    `log` is where the sandbox writes what it was asked and accepted.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped then, too
    with tempfile.TemporaryDirectory(prefix="relance-") as name, stage(Path(name), log) as environ:
        app = App(environ, Rehearsal(datetime.fromisoformat(BEGINS), SPEED))
        with (Path(name) / "up.log").open("wb") as lines, running(environ, lines), playing(app):
            feed = _relance(environ, "enqueue", "--queue", str(EXAMPLES), stdout=lines)
            code = _show(environ)
            return feed.wait(10) or code


@contextmanager
def stage(folder: Path, log: Path | None = None) -> Iterator[dict[str, str]]:
    """Throw-away servers and sandbox providers, which log to `sandbox.jsonl`; gives the environment to run in."""
    with Embedded(folder) as urls, _sandbox(log or folder / "sandbox.jsonl") as providers:
        yield {
            **_clean(os.environ),
            **providers,
            "REDIS_URL": urls.redis_url,
            "BROKER_URL": urls.broker_url,
            "RELANCE_CONFIG": str(ROOT / "config"),
        }


@contextmanager
def running(environ: Mapping[str, str], log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """`relance up` as long as this lasts, out of reach of a Ctrl-C, which is for us."""
    up = _relance(environ, "up", "--skip-idle", stdout=log, stderr=log, start_new_session=True)
    try:
        yield up
    finally:
        up.terminate()
        up.wait(40)


def _show(environ: Mapping[str, str]) -> int:
    watch = _relance(environ, "watch", "--until-ended")
    try:
        return watch.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        typer.echo(f"the demo did not end within {PATIENCE} s", err=True)
        return 1
    finally:
        watch.terminate()
        watch.wait(10)


def _relance(environ: Mapping[str, str], *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "worker.main", *arguments]
    return subprocess.Popen(command, env=supervised(environ), **options)  # noqa: S603


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's own accounts may reach the demo."""
    ours = ("TWILIO_", "SENDGRID_", "SMTP_", "REDIS_", "BROKER_", "PUBLIC_URL", "RELANCE_")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


@contextmanager
def _sandbox(log: Path) -> Iterator[dict[str, str]]:
    """The provider servers, in a process of their own."""
    command = [sys.executable, "-m", "worker.main", "sandbox", "--log", str(log)]
    environ = supervised(_clean(os.environ))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, start_new_session=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        urls = json.loads(process.stdout.readline())
        yield {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "sandbox",
            "TWILIO_BASE_URL": urls["twilio"],
            "SENDGRID_API_KEY": "SG.sandbox",
            "SENDGRID_BASE_URL": urls["sendgrid"],
        }
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


@contextmanager
def playing(app: App) -> Iterator[None]:
    """The debtors and the operator act as long as this lasts; the parts are given back at its end."""
    stop = Event()
    thread = Thread(target=_play, args=(app, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        app.close()


def _play(app: App, stop: Event) -> None:
    """Pay and approve, as the events call for it."""
    names: dict[str, str] = {}
    reserved: dict[tuple[str, int], tuple[str, str]] = {}
    for entry in entries(app):
        if stop.is_set():
            return
        if entry is None:
            continue
        case_id, event = entry
        match event["type"]:
            case "CaseOpened":
                names[case_id] = event["debtor"]["id"]
            case "AttemptReserved":
                reserved[case_id, event["attempt"]] = (event["step"], event["channel"])
            case "AttemptAccepted":
                _pay(app, names[case_id], *reserved[case_id, event["attempt"]])
            case "HoldPlaced" if event["hold"]["reason"] == "approval_pending":
                _approve(app, case_id, event["hold"]["note"])


def _pay(app: App, debtor: str, step: str, channel: str) -> None:
    for payment in PAYMENTS:
        if (payment.debtor, payment.step, payment.channel) != (debtor, step, channel):
            continue
        job: dict[str, object] = {
            "type": "payment_received",
            "version": 1,
            "job_id": f"paid-{payment.invoice}",
            "creditor": "demo",
            "invoice": payment.invoice,
            "amount": payment.amount,
            "currency": "EUR",
            "reference": f"transfer {payment.invoice}",
            "means": "transfer",
        }
        app.broker.enqueue(
            dramatiq.Message(queue_name=FACTS, actor_name="payment_received", args=(), kwargs={"job": job}, options={})
        )


def _approve(app: App, case_id: str, step: str) -> None:
    """`relance approve`, while the clock stands still for the operator."""
    clock = app.clock
    if isinstance(clock, RehearsalClock):
        clock.hold(15)
    _relance(app.environ, "approve", case_id, step, "--by", OPERATOR, stdout=subprocess.DEVNULL).wait(15)
    if isinstance(clock, RehearsalClock):
        clock.unhold()
