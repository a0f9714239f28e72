"""Processes: a dramatiq worker, and the parent that starts children and starts them again when they die."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

import structlog
from dramatiq import Worker

from worker.actors import declare
from worker.app import App
from worker.broker import SafeBroker
from worker.operations import remember_creditors
from worker.queues import FACTS, INBOUND, REMINDERS
from worker.store import until_it_answers
from worker.stuck import STUCK_AFTER, Unfinished

#: A process that was told to stop has ended within this long, whatever hangs, in seconds.
STOP_WITHIN = 26.0
#: What of that a worker keeps for handing back what it has not begun; the calls under way have the rest.
HANDING_BACK = 4.0
#: One that has children has a little longer. The last part is for the embedded servers, which are stopped after the
#: children: those that have not ended when it begins are killed.
PARENT_WITHIN, SERVERS_HAVE = 29.5, 2.5
#: A parent that is told a second time has killed its children, and has ended, within this long.
AT_ONCE = 2.0
#: A child that dies is started again after this long; twice as long each time, up to the second figure.
RESTART_PAUSE, RESTART_PAUSE_MOST = 0.5, 10.0
#: A child that has lived so long may die anew without having waited for it.
LIVED = 30.0
#: Tells a child who its supervisor is, and how often it looks whether that one still lives, in seconds.
_PARENT, _PARENT_CHECK = "RELANCE_PARENT", 0.5

_log = structlog.get_logger("relance.processes")


class Stop(Event):
    """Set when a process that has children is asked to stop; `at_once` when it is asked a second time.

    It ends `within` so many seconds, whatever hangs: `kill_at_last` is given what ends whoever would be left behind.
    """

    def __init__(self, within: float = PARENT_WITHIN) -> None:
        super().__init__()
        self.at_once = Event()
        self.within = within
        self._asked_at = 0.0
        self._killers: list[Callable[[], None]] = []

    def set(self) -> None:
        """It is asked: from now on the time runs."""
        self._asked_at = time.monotonic()
        super().set()

    def left(self) -> float:
        """How many seconds the children still have, once it was asked."""
        return self._asked_at + self.within - SERVERS_HAVE - time.monotonic()

    def kill_at_last(self, kill: Callable[[], None]) -> None:
        """Should this process have to end before its children, this ends them. Who is given last is called first."""
        self._killers.insert(0, kill)

    def leave_nothing(self) -> None:
        """End whoever is left."""
        for kill in self._killers:
            kill()


def stop_on_signals(stop: Event, within: float = STOP_WITHIN) -> None:
    """SIGTERM and SIGINT ask to stop; the process then ends by itself, or is ended when so many seconds are over.

    The second one ends it now: what was begun is in the store. Who has children (`Stop`) has a time of its own, and is
    given a moment to end them first. All this is done on a thread of its own, by whatever the others are held up.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the number alone, written to the pipe, is what counts
    Thread(target=_heed, args=(reader, stop, stop.within if isinstance(stop, Stop) else within), daemon=True).start()


def _heed(signals: int, stop: Event, within: float) -> None:
    os.read(signals, 1)
    _log.info("process.stopping")
    stop.set()
    asked_again = _asked(signals, within)
    try:
        if isinstance(stop, Stop):
            if asked_again:
                stop.at_once.set()
                _asked(signals, AT_ONCE)
            stop.leave_nothing()
        _log.warning("process.cut_off", asked_again=asked_again)
    finally:
        os._exit(1)


def _asked(signals: int, within: float) -> bool:
    """Does another signal come within so many seconds?"""
    return bool(select.select([signals], [], [], within)[0] and os.read(signals, 1))


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


def run_worker(
    app: App,
    broker: SafeBroker,
    queues: Sequence[str],
    threads: int,
    stop: Event,
    within: float = STOP_WITHIN,
    *,
    stuck_after: float = STUCK_AFTER,
) -> None:
    """Work on these queues until `stop` is set, then finish or hand back what was fetched, within so many seconds.

    A call that takes longer than that is cut off by the end of the process: its attempt stays `sending`, and its
    message comes back to another worker, which leaves it alone.
    """
    until_it_answers(lambda: remember_creditors(app))
    declare(app, broker)
    worker = Worker(broker, queues=set(queues), worker_threads=threads, worker_timeout=100)
    worker.start()
    Thread(target=Unfinished(broker, queues, stuck_after).watch, args=(stop,), daemon=True).start()
    _log.info("worker.started", queues=sorted(queues), threads=threads, config=app.config.digest)
    stop.wait()
    worker.stop(timeout=int(max(0.0, within - HANDING_BACK) * 1000))
    unfinished = sum(len(messages) for messages in broker.in_hand.values())
    if unfinished:
        _log.warning("worker.cut_off", queues=sorted(queues), messages=unfinished)
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

    def run(self, stop: Stop) -> None:
        """Start all, watch them until `stop` is set, then stop them all and wait."""
        stop.kill_at_last(self.kill)
        for name in self._commands:
            self._start(name)
        while not stop.wait(0.2):
            for name in self._commands:
                self._revive(name)
        self._stop(stop)

    def _stop(self, stop: Stop) -> None:
        """Ask every child to stop and wait; kill what does not in time, or what is left when it is to be `at_once`."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        while self._living() and stop.left() > 0 and not stop.at_once.wait(0.05):
            pass
        self.kill()
        for child in self._children.values():
            child.wait()

    def kill(self) -> None:
        """Kill what lives."""
        for name, child in self._living().items():
            _log.error("child.killed", child=name)
            child.kill()

    def _living(self) -> "dict[str, subprocess.Popen[bytes]]":
        return {name: child for name, child in self._children.items() if child.poll() is None}

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
