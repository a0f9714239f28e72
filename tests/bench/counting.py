"""`relance` with every request to Redis counted: `python -m tests.bench.counting FILE worker --queues sms`.

A request is one write to a client's socket; a pipeline is one. SIGUSR1 writes the counts so far to FILE. Each is named
by its server, by who asked, and by whether it came of idling: a fetch that found the queue empty, a beat of the
scheduler that found nothing due. Connecting is named as such.
"""

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import redis.connection
from dramatiq.brokers.redis import RedisBroker

from worker.scheduler import Scheduler

ROOT = str(Path(__file__).parents[2])


class Counts:
    """Requests by name. What a thread asks within `judged` is named once it is known whether anything came of it."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._lock = threading.RLock()  # the signal's handler may come upon the main thread in here
        self._local = threading.local()

    def add(self, name: str) -> None:
        """One more."""
        pending: list[str] | None = getattr(self._local, "pending", None)
        if pending is not None:
            pending.append(name)
            return
        with self._lock:
            self._found[name] += 1

    def judged(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work; its requests are idle ones if its result is empty."""

        def judge(*args: Any, **kwargs: Any) -> Any:
            pending: list[str] = []
            self._local.pending = pending
            try:
                result = work(*args, **kwargs)
            finally:
                self._local.pending = None
            with self._lock:
                self._found.update(pending if result else (f"idle {name}" for name in pending))
            return result

        return judge

    def dump(self, path: Path) -> None:
        """Write them all, whole or not at all."""
        with self._lock:
            text = json.dumps(self._found)
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)


def _name(connection: Any) -> str:
    """Which server, and who of ours asked for what."""
    server = "broker" if "broker" in str(getattr(connection, "path", "")) else "store"
    return f"{server} {_asker(sys._getframe(2))}"


def _asker(frame: FrameType | None) -> str:
    names: list[str] = []
    command = ""
    while frame is not None and len(names) < 2:
        code = frame.f_code
        if code.co_name == "on_connect":
            return "connect"
        if code.co_name == "do_dispatch":
            command = str(frame.f_locals.get("command", ""))
        if code.co_filename.startswith(f"{ROOT}/worker/") and "<lambda>" not in code.co_qualname:
            names.append(code.co_qualname)
        frame = frame.f_back
    return " < ".join([command, *names] if command else names) or "dramatiq"


def count(counts: Counts) -> None:
    """Have every connection of this process counted.

    The three methods are replaced on purpose: what is counted is the production code as it stands, which has no hook.
    """
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        counts.add(_name(self))
        return send(self, command, *args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py has no types there

    redis.connection.AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
    Scheduler.tick = counts.judged(Scheduler.tick)  # type: ignore[method-assign]
    dispatch = RedisBroker._dispatch

    def dispatched(self: RedisBroker, command: str) -> Callable[..., Any]:
        work: Callable[..., Any] = dispatch(self, command)  # type: ignore[no-untyped-call]  # nor has dramatiq
        return counts.judged(work) if command == "fetch" else work

    RedisBroker._dispatch = dispatched  # type: ignore[method-assign]


def main() -> None:
    """Count, and be `relance`."""
    path, counts = Path(sys.argv[1]), Counts()
    count(counts)
    signal.signal(signal.SIGUSR1, lambda *_: counts.dump(path))
    sys.argv[:2] = ["relance"]
    from worker.main import main as relance

    relance()


if __name__ == "__main__":
    main()
