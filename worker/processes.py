"""Processes: a dramatiq worker, and the parent that starts children and starts them again when they die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from threading import Event, Thread
from types import FrameType

import structlog
from dramatiq import Worker

from worker.actors import declare
from worker.app import App
from worker.broker import SafeBroker
from worker.operations import remember_creditors
from worker.queues import FACTS, INBOUND, REMINDERS
from worker.store import until_it_answers

#: A worker that was told to stop finishes what it has begun within this long, in seconds.
STOP_WITHIN = 28.0
#: A child that dies is started again after this long; twice as long each time, up to the second figure.
RESTART_PAUSE, RESTART_PAUSE_MOST = 0.5, 10.0
#: A child that has lived so long may die anew without having waited for it.
LIVED = 30.0
#: Tells a child who its supervisor is, and how often it looks whether that one still lives, in seconds.
_PARENT, _PARENT_CHECK = "RELANCE_PARENT", 0.5

_log = structlog.get_logger("relance.processes")


def stop_on_signals(stop: Event) -> None:
    """SIGTERM and SIGINT ask to stop; the second one ends the process: what was begun is in the store."""

    def handle(_: int, __: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def supervised(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child that is to end when this process does, however that ends (`stop_with_parent`)."""
    return {**environ, _PARENT: str(os.getpid())}


def stop_with_parent() -> None:
    """A supervised process asks itself to stop when its supervisor is gone: one that was killed could not ask."""
    parent = os.environ.get(_PARENT, "")
    if parent:
        Thread(target=_outlive, args=(int(parent),), daemon=True).start()


def _outlive(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGTERM)


def run_worker(app: App, broker: SafeBroker, queues: Sequence[str], threads: int, stop: Event) -> None:
    """Work on these queues until `stop` is set, then finish or hand back what was fetched."""
    until_it_answers(lambda: remember_creditors(app))
    declare(app, broker)
    worker = Worker(broker, queues=set(queues), worker_threads=threads, worker_timeout=100)
    worker.start()
    _log.info("worker.started", queues=sorted(queues), threads=threads, config=app.config.digest)
    stop.wait()
    worker.stop(timeout=int(STOP_WITHIN * 1000))
    broker.close()
    _log.info("worker.stopped", queues=sorted(queues))


def worker_groups(app: App) -> dict[str, tuple[str, ...]]:
    """One process per channel, so that a slow provider fills nobody else's threads, and one for all that comes in."""
    return {"intake": (REMINDERS, FACTS, INBOUND)} | {channel: (channel,) for channel in app.config.channels}


class Supervisor:
    """Keeps children running: `relance` commands, by name. A child that dies is started again."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> None:
        self._commands = commands
        self._environ = supervised(environ)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def run(self, stop: Event) -> None:
        """Start all, watch them until `stop` is set, then stop them all and wait."""
        for name in self._commands:
            self._start(name)
        while not stop.wait(0.2):
            for name in self._commands:
                self._revive(name)
        self.stop()

    def stop(self) -> None:
        """Ask every child to stop and wait; kill what does not."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_WITHIN + 2
        for name, child in self._children.items():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("child.killed", child=name)
                child.kill()
                child.wait()

    def _start(self, name: str) -> None:
        self._children[name] = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "worker.main", *self._commands[name]],
            env=self._environ,
            start_new_session=True,  # a Ctrl-C reaches us alone; we ask the children in our own time
        )
        self._started[name] = time.monotonic()

    def _revive(self, name: str) -> None:
        child = self._children[name]
        if child.poll() is None:
            return
        lived = time.monotonic() - self._started[name]
        pause = RESTART_PAUSE if lived > LIVED else self._pauses.get(name, RESTART_PAUSE)
        if lived < pause:
            return
        _log.error("child.died", child=name, code=child.returncode)
        self._pauses[name] = min(RESTART_PAUSE_MOST, pause * 2)
        self._start(name)
