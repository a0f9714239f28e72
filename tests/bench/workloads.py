"""What is timed: a number of jobs from the first one enqueued to the last one done, and the proof that all were."""

import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import dramatiq
import redis
from celery import Celery
from dramatiq.brokers.redis import RedisBroker

from tests.bench import machine
from tests.bench.peers import SENT
from tests.bench.stage import NUMBERS, BrokenPromise, Program, Stage, until
from worker.commit import Keys
from worker.queues import REMINDERS

PROCESSES, THREADS = 2, 8
CREDITOR = "demo"


def phone(number: int) -> str:
    """A mobile number nobody has: 06 39 98 and four digits are set aside for fiction (Arcep)."""
    return f"+3363998{number % NUMBERS:04d}"


def mailbox(number: int) -> str:
    """A mailbox nobody has."""
    return f"debtor-{number}@example.com"


def address(channel: str, number: int) -> str:
    """Where that debtor is reached on a channel."""
    return mailbox(number) if channel == "email" else phone(number)


@dataclass(frozen=True, slots=True)
class Run:
    """One timed drain: how many jobs, seconds, CPU seconds by process, and marks in between (seconds)."""

    jobs: int
    seconds: float
    cpu: dict[str, float]
    marks: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


class Workload(ABC):
    """Jobs that can be enqueued, and the processes that do them."""

    name: str
    sends = True

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.programs: dict[str, Program] = {}

    def start(self, name: str, *command: str, **environ: str) -> None:
        """Start one of its programs."""
        self.programs[name] = Program(self.stage, name, *command, **environ)

    def stop(self) -> None:
        """End them all."""
        for program in self.programs.values():
            program.stop()

    def pids(self) -> list[int]:
        """Every process of it."""
        return [pid for program in self.programs.values() for pid in program.pids()]

    def freeze(self) -> None:
        """Let it stand still."""
        machine.freeze(self.pids())

    def numbers(self, jobs: int) -> range:
        """Debtors nobody has used before, all with numbers of their own."""
        return self.stage.debtors.take(jobs)

    @abstractmethod
    def enqueue(self, channel: str, numbers: Sequence[int]) -> None:
        """Put one job for each debtor into the queue."""

    @abstractmethod
    def finished(self, channel: str, jobs: int) -> bool:
        """Are all done?"""

    def clear(self) -> None:
        """Before a run: forget what was done."""
        self.stage.provider.ask("clear")

    def processes(self, channel: str) -> dict[str, list[int]]:
        """Those that have a part in it, by name."""
        return {self.name: self.pids()}

    def marks(self, channel: str, began: float, jobs: int) -> dict[str, float]:
        """What else is known of the run that has just ended; `end` is when it did, if known better than by looking."""
        return {}

    @contextmanager
    def awake(self, channel: str) -> Iterator[None]:
        """Let its processes run as long as this lasts."""
        roots = [program.pid for program in self.programs.values()]
        machine.thaw([*roots, *(pid for group in self.processes(channel).values() for pid in group)])
        time.sleep(0.3)
        try:
            yield
        finally:
            self.freeze()

    def run(self, channel: str, jobs: int) -> Run:
        """Do so many jobs, and prove it. Raises BrokenPromise."""
        self.clear()
        numbers = self.numbers(jobs)
        groups = {**self.processes(channel), "provider": [self.stage.provider.pid]}
        groups |= {f"server {name}": [pid] for name, pid in self.stage.servers.items()}
        before = {name: machine.cpu_seconds(pids) for name, pids in groups.items()}
        began, clock = time.time(), time.monotonic()
        self.enqueue(channel, numbers)
        until(lambda: self.finished(channel, jobs), f"{jobs} jobs of {self.name} by {channel}", 120)
        seconds = time.monotonic() - clock
        cpu = {name: machine.cpu_seconds(pids) - before[name] for name, pids in groups.items()}
        marks = self.marks(channel, began, jobs)
        self.verify(channel, numbers)
        return Run(jobs, marks.get("end", seconds), cpu, marks)

    def verify(self, channel: str, numbers: Sequence[int]) -> None:
        """Exactly one acceptance for each debtor, and no other."""
        if not self.sends:
            return
        accepted = {name: len(times) for name, times in self.stage.provider.accepted().items()}
        wanted = dict.fromkeys((f"{channel} {address(channel, number)}" for number in numbers), 1)
        if accepted != wanted:
            lost = len(wanted.keys() - accepted.keys())
            twice = sum(times > 1 for times in accepted.values())
            raise BrokenPromise(f"{self.name} by {channel}: {lost} lost, {twice} sent more than once")


def message(actor: str, queue: str, *args: object, **kwargs: object) -> "dramatiq.Message[Any]":
    """One to put into a queue."""
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=args, kwargs=kwargs, options={})


class Dramatiq(Workload):
    """Stock dramatiq, by its own command. `bare`: an actor that does nothing, else one that makes the SDK's call."""

    def __init__(self, stage: Stage, *, bare: bool) -> None:
        super().__init__(stage)
        self.name = "bare" if bare else "sdk_only"
        self.sends = not bare
        self._queue = self.name
        url = stage.url("broker", 1)
        self._broker = RedisBroker(url=url)
        self.start(
            self.name,
            *("dramatiq", "tests.bench.peers.dramatiq_actors", "--queues", self._queue),
            *("--processes", str(PROCESSES), "--threads", str(THREADS)),
            PEER_BROKER_URL=url,
        )

    def enqueue(self, channel: str, numbers: Sequence[int]) -> None:
        """As `actor.send` does."""
        for number in numbers:
            if self.sends:
                self._broker.enqueue(message(f"send_{channel}", self._queue, address(channel, number)))
            else:
                self._broker.enqueue(message("nothing", self._queue, number))

    def finished(self, channel: str, jobs: int) -> bool:
        """Every message is acknowledged."""
        return not self._broker.client.exists(f"dramatiq:{self._queue}.msgs", f"dramatiq:{self._queue}.DQ.msgs")


class CeleryTasks(Workload):
    """The hand-written worker."""

    name = "celery"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        path = stage.folder / "servers" / "broker.sock"
        broker, store = f"redis+socket://{path}?virtual_host=2", stage.url("cases", 2)
        self._app = Celery(broker=broker)
        self._store = redis.Redis.from_url(store)
        self.start(
            self.name,
            *("celery", "--app", "tests.bench.peers.celery_tasks", "worker"),
            *("--concurrency", str(PROCESSES), "--loglevel", "WARNING"),
            PEER_BROKER_URL=broker,
            PEER_STORE_URL=store,
        )

    def enqueue(self, channel: str, numbers: Sequence[int]) -> None:
        """As `task.delay` does."""
        for number in numbers:
            self._app.send_task(f"tests.bench.peers.celery_tasks.send_{channel}", [_invoice(number)])

    def finished(self, channel: str, jobs: int) -> bool:
        """So many are noted as sent."""
        return int(self._store.hlen(SENT)) == jobs

    def clear(self) -> None:
        """And forget which were sent."""
        super().clear()
        self._store.delete(SENT)


def _invoice(number: int) -> dict[str, Any]:
    return {
        "number": f"F-{number:06d}",
        "name": f"Exemple {number} SARL",
        "amount": "1 200,50",
        "issued_on": "2 mars 2026",
        "due_on": "1er avril 2026",
        "phone": phone(number),
        "email": mailbox(number),
    }


def reminder_due(channel: str, number: int) -> dict[str, Any]:
    """The job upstream enqueues: an invoice ten days late."""
    due = datetime.now(UTC).date() - timedelta(days=10)
    return {
        "type": "reminder_due",
        "version": 1,
        "job_id": f"{channel}-{number}",
        "creditor": CREDITOR,
        "strategy": f"bench_{channel}",
        "debtor": {
            "id": f"{channel}-{number}",
            "name": f"Exemple {number} SARL",
            "kind": "business",
            "email": mailbox(number),
            "phone": phone(number),
        },
        "invoices": [_claim(f"{channel}-{number}", due)],
    }


def _claim(number: str, due: date) -> dict[str, str]:
    issued = due - timedelta(days=30)
    amounts = {"amount": "1200.50", "currency": "EUR"}
    return {"number": number, "issued_on": issued.isoformat(), "due_on": due.isoformat(), **amounts}


class Whole(Workload):
    """Job, case, decision, reservation, message, call, record: what the processes of relance do together."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.urls = {"REDIS_URL": stage.urls.redis_url, "BROKER_URL": stage.urls.broker_url}
        self.keys = Keys(CREDITOR)
        self.broker = RedisBroker(url=stage.urls.broker_url)

    def enqueue(self, channel: str, numbers: Sequence[int]) -> None:
        """As upstream does."""
        for number in numbers:
            self.broker.enqueue(message("reminder_due", REMINDERS, job=reminder_due(channel, number)))

    def finished(self, channel: str, jobs: int) -> bool:
        """Nothing waits, nothing is under way, and so many were accepted."""
        if not self.drained(REMINDERS, channel):
            return False
        if self.stage.store.exists(self.keys.in_flight):
            return False
        return self.stage.provider.count() >= jobs

    def drained(self, *queues: str) -> bool:
        """Are these queues empty, and all that was fetched from them acknowledged?"""
        return not self.stage.broker.exists(*(f"dramatiq:{queue}.msgs" for queue in queues))

    def marks(self, channel: str, began: float, jobs: int) -> dict[str, float]:
        """When the last case was open, and when the last outcome was committed, by the event stream."""
        opened, recorded = 0, 0
        last = {"CaseOpened": began, "AttemptAccepted": began}
        entries = cast("list[tuple[str, dict[str, str]]]", self.stage.store.xrange(self.keys.events, int(began * 1000)))
        for entry, fields in entries:
            kind = next((name for name in last if f'"{name}"' in fields["event"][:60]), "")
            if kind:
                opened += kind == "CaseOpened"
                recorded += kind == "AttemptAccepted"
                last[kind] = max(last[kind], int(entry.partition("-")[0]) / 1000)
        if (opened, recorded) != (jobs, jobs):
            raise BrokenPromise(f"{jobs} jobs, {opened} cases opened, {recorded} outcomes recorded")
        return {"opened": last["CaseOpened"] - began, "end": last["AttemptAccepted"] - began}


class Relance(Whole):
    """`relance up`, with as many processes that send as the others have; the workers of other channels stand still."""

    name = "relance"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.start(self.name, "worker.main", "up", "--processes", str(PROCESSES), **self.urls)

    def processes(self, channel: str) -> dict[str, list[int]]:
        """By what each does."""
        marks = {
            "scheduler": "worker.main scheduler",
            "intake": f"--queues {REMINDERS}",
            channel: f"--queues {channel}",
        }
        lines = {pid: machine.command_of(pid) for pid in self.pids()}
        return {name: [pid for pid, line in lines.items() if mark in line] for name, mark in marks.items()}

    def troubles(self) -> Counter[str]:
        """The warnings and errors in the log so far, by event."""
        lines = self.programs[self.name].log.read_text().splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{") and '"level": "info"' not in line)
        return Counter(line["event"] for line in found)
