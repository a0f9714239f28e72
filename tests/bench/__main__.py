"""`python -m tests.bench`: see README.md."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench import machine, profile
from tests.bench.stage import CHANNELS, Stage, stage
from tests.bench.workloads import CeleryTasks, Dramatiq, Relance, Run, Workload

WORKLOADS = ("bare", "sdk_only", "celery", "relance")
VAR = Path("var")


def _make(at: Stage, name: str) -> Workload:
    match name:
        case "celery":
            return CeleryTasks(at)
        case "relance":
            return Relance(at)
    return Dramatiq(at, bare=name == "bare")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast, and at what price.")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="of: %(default)s")
    parser.add_argument("--channel", default=",".join(CHANNELS), help="of: %(default)s")
    parser.add_argument("--count", type=int, default=800, help="jobs of a run (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="how often (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="sample our processes; writes var/profile-*.txt")
    return parser.parse_args()


def _show(channel: str, name: str, run: Run) -> None:
    cpu = "  ".join(f"{who} {seconds * 1000 / run.jobs:.2f}" for who, seconds in run.cpu.items())
    marks = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in run.marks.items())
    print(f"{channel:6}{name:10}{run.rate:8.0f}/s  cpu ms: {cpu}  {marks}", flush=True)  # noqa: T201


def _measure(workloads: Sequence[Workload], options: argparse.Namespace) -> None:
    channels = options.channel.split(",")
    for workload in workloads:
        for channel in channels:
            workload.run(channel, 40)
        machine.freeze(workload.program.pids())
    for _ in range(options.repeat):
        for channel in channels:
            for workload in workloads:
                with workload.awake(channel), ExitStack() as stack:
                    if options.profile:
                        stack.enter_context(profile.profiled(workload.processes(channel), VAR))
                    _show(channel, workload.name, workload.run(channel, options.count))


def main() -> int:
    """Run what is asked for."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name,
        stage(Path(name)) as at,
        ExitStack() as stack,
    ):
        workloads = [_make(at, name) for name in options.only.split(",")]
        for workload in workloads:
            stack.callback(workload.program.stop)
        try:
            _measure(workloads, options)
        except BaseException:
            for workload in workloads:
                print(f"--- {workload.program.log.read_text()[-2000:]}", file=sys.stderr)  # noqa: T201
            raise
        if options.profile:
            for path in sorted(VAR.glob("profile-*.txt")):
                print(profile.table(path))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
