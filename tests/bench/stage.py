"""Where everything is measured: the servers, the provider, one environment for all processes, and the processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import redis

from tests.bench import machine
from tests.certificate import write_certificate
from worker.embedded import Embedded, Urls

ROOT = Path(__file__).parents[2]
CHANNELS = ("sms", "email", "voice")
_OURS = ("TWILIO_", "SENDGRID_", "SMTP_", "REDIS_", "BROKER_", "PUBLIC_", "RELANCE_", "CELERY_", "PEER_", "dramatiq_")

#: Due at once, at any hour, as often as one likes. All else is as shipped.
_STRATEGY = """\
name: {name}
debtors: [business]
driven_by: ladder
contact:
  window: {{days: mon-sun, hours: ["00:00-23:59"], holidays: true}}
  min_gap: 3d
  late_after: 60d
  fallback: []
ladder:
"""
_STEP = """\
  - name: step_{step}
    when: due + {day}d
    channel: {channel}
    notice: {notice}
    tone: {tone}
    deadline: 3d
"""
#: The notice of each channel, and its tone, as the shipped strategy for businesses has them.
_NOTICES = {"sms": ("nudge", 2), "email": ("first_reminder", 1), "voice": ("call", 2)}
#: How many steps the longer ladders have.
LADDER_STEPS = 4


#: How many phone numbers there are to give out.
NUMBERS = 10_000


class BrokenPromise(Exception):
    """Something was lost, or sent twice: figures of such a run mean nothing."""


class Provider:
    """The program of `provider.py`."""

    def __init__(self, pair: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.provider", str(pair)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.pid = self._process.pid
        self.url = f"https://127.0.0.1:{self._read()}"

    def ask(self, line: str) -> Any:
        """Tell it something; its answer."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def count(self) -> int:
        """How many messages it accepted since it was cleared."""
        return int(self.ask("count"))

    def accepted(self) -> dict[str, list[float]]:
        """When (Unix time), by "channel address"."""
        return dict(self.ask("report"))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


class Debtors:
    """Gives out debtors by number, each once; those of one run all have a phone number of their own."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> range:
        """So many of them."""
        if self._next % NUMBERS + count > NUMBERS:
            self._next += NUMBERS - self._next % NUMBERS
        first = self._next
        self._next += count
        return range(first, first + count)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the workloads share. `environ` is for every process of every workload."""

    folder: Path
    provider: Provider
    environ: Mapping[str, str]
    urls: Urls
    store: "redis.Redis"
    broker: "redis.Redis"
    servers: Mapping[str, int]
    debtors: Debtors = field(default_factory=Debtors)

    def url(self, server: str, database: int) -> str:
        """A database of one of the servers, `cases` or `broker`."""
        return f"unix://{self.folder / 'servers' / server}.sock?db={database}"


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Servers and provider for as long as this lasts, in an empty folder with a short path."""
    with ExitStack() as stack:
        public = write_certificate(folder / "pair.pem")
        # The usual authorities stay in it: reading all of them is what a new TLS context costs in production too.
        (folder / "bundle.pem").write_bytes(Path(certifi.where()).read_bytes() + public)
        write_config(folder / "config")
        urls = stack.enter_context(Embedded(folder / "servers"))
        provider = Provider(folder / "pair.pem")
        stack.callback(provider.close)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
            "PYTHONPATH": str(ROOT),
            "SSL_CERT_FILE": str(folder / "bundle.pem"),
            "REQUESTS_CA_BUNDLE": str(folder / "bundle.pem"),
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "bench",
            "TWILIO_BASE_URL": provider.url,
            "SENDGRID_API_KEY": "SG.bench",
            "SENDGRID_BASE_URL": provider.url,
            "RELANCE_CONFIG": str(folder / "config"),
        }
        os.environ["SSL_CERT_FILE"] = str(folder / "bundle.pem")  # some of it is sent from this very process
        store, broker = (redis.Redis.from_url(url, decode_responses=True) for url in (urls.redis_url, urls.broker_url))
        stack.callback(store.close)
        stack.callback(broker.close)
        servers = {name: int((folder / "servers" / name / "pid").read_text()) for name in ("cases", "broker")}
        yield Stage(folder, provider, environ, urls, store, broker, servers)


def write_config(folder: Path) -> None:
    """The shipped configuration, with two strategies for each channel: one step, due at once, and a ladder."""
    shutil.copytree(ROOT / "config", folder)
    for channel in CHANNELS:
        _write_strategy(folder / "strategies" / f"bench_{channel}.yaml", channel, 1)
        _write_strategy(folder / "strategies" / f"bench_{channel}_ladder.yaml", channel, LADDER_STEPS)


def _write_strategy(path: Path, channel: str, steps: int) -> None:
    notice, tone = _NOTICES[channel]
    head = _STRATEGY.format(name=path.stem)
    ladder = [
        _STEP.format(step=step, day=1 + 5 * step, channel=channel, notice=notice, tone=tone) for step in range(steps)
    ]
    path.write_text(head + "".join(ladder), encoding="utf-8")


class Program:
    """A command and all it starts, until `stop`; its output goes to a file in the stage's folder."""

    def __init__(self, stage: Stage, name: str, *command: str, **environ: str) -> None:
        self.name = name
        self.log = stage.folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**stage.environ, **environ},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        return machine.family(self.pid)

    def stop(self) -> None:
        """Ask it to end; kill what is left of it."""
        pids = self.pids()
        machine.thaw(pids)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            machine.kill(pids)
            self._process.wait()


def until(condition: Callable[[], object], what: str, seconds: float = 60.0, pause: float = 0.01) -> None:
    """Wait for it. Raises BrokenPromise when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BrokenPromise(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
