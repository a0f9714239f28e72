"""Where it happens: two servers that can be killed, the sandbox, and `relance up` with all its children."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import redis
import urllib3

from tests.bench import machine
from tests.chaos.plan import Part, Plan
from tests.chaos.world import BEGINS, TWILIO_TOKEN, write_config
from tests.worker.programs import environment, free_port, until
from worker.app import App, Rehearsal
from worker.embedded import Embedded
from worker.processes import supervised

DAY = 86_400
#: What tells a part's process from its siblings.
_COMMANDS: Mapping[Part, str] = {
    "sms": "--queues sms",
    "email": "--queues email",
    "voice": "--queues voice",
    "intake": "--queues reminders",
    "scheduler": "worker.main scheduler",
    "web": "worker.main web",
}
#: How long the sandbox takes over each answer, in seconds: requests are open for a while, as they are over there.
_LATENCY = 0.1


@dataclass(frozen=True, slots=True)
class Stopped:
    """How `relance up` ended when it was asked to (`asked`, Unix time): its exit code, and after how many seconds."""

    asked: float
    code: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """What is there. `log` is the sandbox's, `lines` those of all of relance's processes."""

    folder: Path
    log: Path
    lines: Path
    environ: Mapping[str, str]
    servers: Embedded
    up: "subprocess.Popen[bytes]"

    @property
    def public_url(self) -> str:
        """Where the web doors are."""
        return self.environ["PUBLIC_URL"]

    def pid(self, part: Part) -> int:
        """The part's process; 0 while there is none."""
        if part in ("cases", "broker"):
            return int((self.servers.folder / part / "pid").read_text())
        family = ((pid, machine.command_of(pid)) for pid in machine.family(self.up.pid)[1:])
        return next((pid for pid, line in family if _COMMANDS[part] in line), 0)

    def stop(self) -> Stopped:
        """Stop relance as an operator does. Nothing writes to the store any more."""
        asked, began = time.time(), time.monotonic()
        _end(self.up)
        return Stopped(asked, self.up.returncode, round(time.monotonic() - began, 2))

    def revive(self) -> None:
        """Start what is dead of the servers, each from its append-only file."""
        self.servers.start()


@contextmanager
def stage(folder: Path, plan: Plan) -> Iterator[Stage]:
    """All of it, for as long as this lasts, in an empty folder with a short path. Logs and servers' files stay."""
    ports = {"WEB_PORT": free_port(), "twilio": free_port(), "sendgrid": free_port()}
    with ExitStack() as stack:
        servers = Embedded(folder / "servers")
        urls = servers.start()
        stack.callback(servers.stop)
        environ = environment(
            RELANCE_CONFIG=str(write_config(folder / "config")),
            RELANCE_SECRET_KEY="chaos" * 8,
            WEB_PORT=str(ports["WEB_PORT"]),
            PUBLIC_URL=f"http://127.0.0.1:{ports['WEB_PORT']}",
            REDIS_URL=urls.redis_url,
            BROKER_URL=urls.broker_url,
            TWILIO_ACCOUNT_SID="AC" + "0" * 32,
            TWILIO_AUTH_TOKEN=TWILIO_TOKEN,
            TWILIO_BASE_URL=f"http://127.0.0.1:{ports['twilio']}",
            SENDGRID_API_KEY="SG.chaos",
            SENDGRID_BASE_URL=f"http://127.0.0.1:{ports['sendgrid']}",
        )
        log, lines = folder / "sandbox.jsonl", folder / "relance.jsonl"
        stack.enter_context(_sandbox(log, environ, ports, folder, plan.seed))
        environ["SENDGRID_WEBHOOK_PUBLIC_KEY"] = _order(environ["SENDGRID_BASE_URL"], plan)
        App(environ, clock(plan)).close()  # the first to ask for a rehearsal sets the store's clock
        up = stack.enter_context(_relance(lines, environ, folder))
        until(lambda: _answers(environ["PUBLIC_URL"]), 60)
        yield Stage(folder, log, lines, environ, servers, up)


def clock(plan: Plan) -> Rehearsal:
    """The ladder's clock: real leases and time-outs, and a day in some seconds."""
    return Rehearsal(datetime.fromisoformat(BEGINS), DAY / plan.scale.day)


@contextmanager
def _sandbox(
    log: Path, environ: Mapping[str, str], ports: Mapping[str, int], folder: Path, seed: int
) -> Iterator[None]:
    """The providers, in a process of their own that nobody kills."""
    options = {
        "log": log,
        "public-url": environ["PUBLIC_URL"],
        "latency": _LATENCY,
        "seed": seed,
        "twilio-port": ports["twilio"],
        "sendgrid-port": ports["sendgrid"],
    }
    command = [sys.executable, "-m", "worker.main", "sandbox", "--email-activity"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "sandbox.log").open("wb") as errors:
        process = subprocess.Popen(command, env=supervised(environ), cwd=folder, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout
        json.loads(process.stdout.readline())
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _order(url: str, plan: Plan) -> str:
    """Tell the sandbox what to do wrong and what to do afterwards; its public key."""
    for what, orders in (("faults", plan.faults), ("listings", plan.listings), ("reactions", plan.reactions)):
        answer = urllib3.request("POST", f"{url}/sandbox/{what}", body=json.dumps(orders))
        if answer.status != 201:
            raise RuntimeError(f"the sandbox does not take the {what}: {answer.data.decode()}")
    key: str = urllib3.request("GET", f"{url}/sandbox/public-key").json()["public_key"]
    return key


@contextmanager
def _relance(lines: Path, environ: Mapping[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`relance up`, as an operator runs it: its own supervisor starts again what is killed."""
    with lines.open("ab") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "worker.main", "up"],
            env=supervised(environ),
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield up
    finally:
        _end(up)


def _end(up: "subprocess.Popen[bytes]") -> None:
    if up.poll() is None:
        up.send_signal(signal.SIGTERM)
    try:
        up.wait(45)
    except subprocess.TimeoutExpired:
        machine.kill(machine.family(up.pid))
        up.wait()


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/healthz", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def queued(stage: Stage, *queues: str) -> int:
    """How many messages wait in these queues, fetched ones included. Raises redis errors."""
    with redis.Redis.from_url(stage.environ["BROKER_URL"]) as broker:
        found: list[Any] = [broker.hlen(f"dramatiq:{queue}.msgs") for queue in queues]
    return sum(found)


def kill(pid: int) -> None:
    """`kill -9`: nothing of it can react. Raises ProcessLookupError where there is no such process."""
    if pid <= 0:  # to the operating system that is a whole group, ours
        raise ProcessLookupError(pid)
    os.kill(pid, signal.SIGKILL)
