"""`python -m tests.bench`: see README.md."""

import argparse
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from tests.bench import machine, profile, report
from tests.bench.measure import PARTS, WORKLOADS, Measurement, Sizes, figures, make
from tests.bench.stage import CHANNELS, BrokenPromise, Stage, stage
from tests.bench.workloads import PROCESSES, THREADS, Relance, Workload
from worker import logs

VAR = Path("var")


def _options() -> argparse.Namespace:
    sizes = Sizes()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast, and at what price.")
    parser.add_argument("--only", metavar="PARTS", help=f"of: {','.join((*WORKLOADS, *PARTS))} (default: all)")
    parser.add_argument("--channel", metavar="CHANNELS", help=f"of: {','.join(CHANNELS)} (default: all)")
    parser.add_argument("--count", type=int, default=sizes.jobs, help="jobs of a run (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=sizes.repeat, help="how often (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: var/bench.json, if all is run)")
    parser.add_argument(
        "--profile", action="store_true", help="sample our processes; writes var/profile-*.txt of the last run"
    )
    return parser.parse_args()


def _listed(value: str | None, known: Sequence[str]) -> list[str]:
    wanted = value.split(",") if value else list(known)
    if unknown := set(wanted) - set(known):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return wanted


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _watch(workload: Workload, channel: str) -> AbstractContextManager[object]:
    return profile.profiled(workload.processes(channel), VAR) if isinstance(workload, Relance) else nullcontext()


def _perform(at: Stage, measurement: Measurement, wanted: Sequence[str], *, profiled: bool) -> None:
    names = [name for name in WORKLOADS if name in wanted]
    if "relance" not in names and {"phases", "latency", "recovery", "payment"} & set(wanted):
        names.append("relance")
    with ExitStack() as stack:
        workloads = []
        for name in names:
            workloads.append(make(at, name))
            stack.callback(workloads[-1].stop)
        try:
            timed = [workload for workload in workloads if workload.name in wanted]
            measurement.time(timed, _watch if profiled else lambda *_: nullcontext())
            ours = next((workload for workload in workloads if isinstance(workload, Relance)), None)
            measurement.measure(wanted, ours)
        except BaseException:
            for program in (program for workload in workloads for program in workload.programs.values()):
                _say(f"--- the end of {program.log.name}:\n{program.log.read_text()[-2000:]}")
            raise


def main() -> int:
    """Measure what is asked for; 1 if a promise was broken."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped then, too
    logs.configure(level=logging.ERROR)
    wanted, channels = _listed(options.only, (*WORKLOADS, *PARTS)), _listed(options.channel, CHANNELS)
    for old in VAR.glob("profile-*.txt") if options.profile else ():
        old.unlink()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name,
        stage(Path(name)) as at,
    ):
        sizes = replace(Sizes(), jobs=options.count, repeat=options.repeat)
        measurement = Measurement(at, channels, sizes, _say)
        try:
            _perform(at, measurement, wanted, profiled=options.profile)
        except BrokenPromise as broken:
            _say(f"BROKEN: {broken}")
            return 1
    found = figures(measurement.results, channels)
    found["machine"] = machine.description() | {"processes": PROCESSES, "threads": THREADS}
    found["took_s"] = round(time.monotonic() - began)
    _say(report.itemised(measurement.results))
    _say(report.table(found, channels))
    if options.profile:
        _say("\n".join(profile.table(path) for path in sorted(VAR.glob("profile-*.txt"))))
    path = options.json or (VAR / "bench.json" if not (options.only or options.channel) else None)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")
        _say(f"\n{path}, after {found['took_s']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
