"""Redis round trips a reminder: a pass of its own, in which every request of our processes is counted."""

import json
import os
import signal
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stage import Stage, until
from tests.bench.workloads import Whole
from worker.queues import FACTS, REMINDERS

#: As `up` starts them.
_COMMANDS = {"scheduler": ("scheduler",), "intake": ("worker", "--queues", f"{REMINDERS},{FACTS}")}


class Counted(Whole):
    """Intake, scheduler and one channel's worker, counting."""

    name = "counted"

    def __init__(self, at: Stage, channel: str) -> None:
        super().__init__(at)
        for name, command in {**_COMMANDS, channel: ("worker", "--queues", channel)}.items():
            self.start(name, "tests.bench.counting", str(self._file(name)), *command, **self.urls)

    def processes(self, channel: str) -> dict[str, list[int]]:
        """One each."""
        return {name: [program.pid] for name, program in self.programs.items()}

    def counts(self) -> Counter[str]:
        """What was asked so far, as "process server who"."""
        found: Counter[str] = Counter()
        for name, program in self.programs.items():
            path = self._file(name)
            path.unlink(missing_ok=True)
            os.kill(program.pid, signal.SIGUSR1)
            until(path.exists, f"the counts of {name}")
            found.update({f"{name} {key}": value for key, value in json.loads(path.read_text()).items()})
        return found

    def _file(self, name: str) -> Path:
        return self.stage.folder / f"counts-{name}.json"


@dataclass(frozen=True, slots=True)
class Trips:
    """Requests a reminder, by process, server and who asked: in a drain, and for one that comes by itself."""

    drained: dict[str, float]
    alone: dict[str, float]


def total(trips: dict[str, float], server: str = "") -> float:
    """All of them, or those to one server."""
    return round(sum(count for name, count in trips.items() if server in ("", name.split()[1])), 2)


def round_trips(at: Stage, channel: str, jobs: int, alone: int) -> Trips:
    """Neither idle polls nor connecting count: both go on, or happen once, whether there are reminders or not."""
    counted = Counted(at, channel)
    with ExitStack() as stack:
        stack.callback(counted.stop)
        counted.run(channel, 40)
        start = counted.counts()
        counted.run(channel, jobs)
        middle = counted.counts()
        for _ in range(alone):
            counted.run(channel, 1)
        end = counted.counts()
    return Trips(_each(middle - start, jobs), _each(end - middle, alone))


def _each(counts: Counter[str], jobs: int) -> dict[str, float]:
    kept = {name: count for name, count in counts.most_common() if name.split()[1] in ("store", "broker")}
    return {name: count / jobs for name, count in kept.items()}
