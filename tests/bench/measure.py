"""All measurements of one run, in order, and the figures that come of them."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench import moments, parts, payments, receipts
from tests.bench.figures import percentile, ratios
from tests.bench.stage import Stage
from tests.bench.trips import Trips, round_trips, total
from tests.bench.workloads import CeleryTasks, Dramatiq, Relance, Run, Workload

#: What is timed against each other, and what else is measured of ours.
WORKLOADS = ("bare", "sdk_only", "celery", "relance")
PARTS = ("phases", "trips", "bytes", "claim", "latency", "recovery", "provider", "web", "payment")
#: The names of the rates in `var/bench.json`.
RATES = {
    "bare": "bare_dramatiq_jobs_per_s",
    "sdk_only": "sdk_only_jobs_per_s",
    "celery": "celery_jobs_per_s",
    "relance": "reminders_per_s",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each. `jobs` are ours a run; the others do as many, but for those that are much faster or slower.

    No repetition begins after `patience` (seconds), the first two aside.
    """

    jobs: int = 500
    repeat: int = 4
    patience: float = 150.0
    warm: int = 40
    drained: int = 300
    alone: int = 10
    cases: int = 8
    claims: int = 50
    late: int = 60
    killed: int = 200
    requests: int = 2000
    receipts: int = 3000

    def of(self, workload: str, channel: str) -> int:
        """Jobs of a run: those that take a handshake each take about fifty times as long as those that do nothing."""
        if workload == "bare":
            return self.jobs * 4
        if channel == "email" and workload != "relance":
            return max(1, self.jobs // 8)
        return self.jobs


@dataclass(slots=True)
class Results:
    """Everything found, by channel where it differs."""

    runs: dict[str, dict[str, list[Run]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    trips: dict[str, Trips] = field(default_factory=dict)
    bytes: dict[str, dict[str, int]] = field(default_factory=dict)
    shared_bytes: dict[str, int] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)
    late: dict[str, list[float]] = field(default_factory=dict)
    recoveries: dict[str, moments.Recovery] = field(default_factory=dict)
    provider: float = 0.0
    payments: list[float] = field(default_factory=list)
    web: receipts.Answers | None = None


Watch = Callable[[Workload, str], AbstractContextManager[object]]


def make(at: Stage, name: str) -> Workload:
    """Start the processes of a workload."""
    match name:
        case "celery":
            return CeleryTasks(at)
        case "relance":
            return Relance(at)
    return Dramatiq(at, bare=name == "bare")


class Measurement:
    """One run over some channels; `say` is told what goes on."""

    def __init__(self, at: Stage, channels: Sequence[str], sizes: Sizes, say: Callable[[str], None]) -> None:
        self.at, self.channels, self.sizes, self.say = at, channels, sizes, say
        self.results = Results()
        self._troubles: Counter[str] = Counter()

    def time(self, workloads: Sequence[Workload], watch: Watch = lambda _workload, _channel: nullcontext()) -> None:
        """Let them take turns, so that what disturbs the machine disturbs all alike.

        On a machine that others use heavily the last repetitions are left out.
        """
        end = time.monotonic() + self.sizes.patience
        for workload in workloads:
            for channel in self.channels:
                workload.run(channel, self.sizes.warm)
            workload.freeze()
        for turn in range(self.sizes.repeat):
            if turn >= 2 and time.monotonic() > end:
                self.say(f"{turn} repetitions are enough on a machine as slow as this")
                return
            for channel in self.channels:
                for workload in workloads:
                    with workload.awake(channel), watch(workload, channel):
                        run = workload.run(channel, self.sizes.of(workload.name, channel))
                    self.results.runs[channel][workload.name].append(run)
                    self.say(f"{turn + 1}/{self.sizes.repeat} {channel:6}{workload.name:9}{run.rate:7,.0f}/s")
                    self._tell_troubles(workload)

    def _tell_troubles(self, workload: Workload) -> None:
        if isinstance(workload, Relance) and (news := (troubles := workload.troubles()) - self._troubles):
            self.say("    in its log: " + ", ".join(f"{event} {count}" for event, count in news.items()))
            self._troubles = troubles

    def measure(self, wanted: Sequence[str], ours: Relance | None) -> None:
        """The other parts. What leaves messages of unknown fate behind comes last."""
        if "provider" in wanted:
            self.results.provider = parts.provider_rate(self.at, self.sizes.requests)
        if "web" in wanted:
            self.say("receipts at the web doors")
            self.results.web = receipts.answers(self.at, self.sizes.receipts)
        for channel in self.channels:
            self._measure(channel, wanted, ours)
        if "payment" in wanted and ours:
            self.say("payments")
            self.results.payments = payments.stopped(self.at, ours, self.channels[0], self.sizes.late)
        if "claim" in wanted:
            self._claims()
        if "bytes" in wanted:
            self.results.shared_bytes |= parts.bytes_of_indexes(self.at)
        if "recovery" in wanted and ours:
            for channel in self.channels:
                self.say(f"recovery, {channel}")
                self.results.recoveries[channel] = moments.recover(self.at, ours, channel, self.sizes.killed)

    def _measure(self, channel: str, wanted: Sequence[str], ours: Relance | None) -> None:
        results, sizes = self.results, self.sizes
        if "phases" in wanted and ours:
            self.say(f"phases, {channel}")
            results.phases[channel] = moments.phases(self.at, ours, channel, sizes.jobs)
        if "trips" in wanted:
            self.say(f"round trips, {channel}")
            results.trips[channel] = round_trips(self.at, channel, sizes.drained, sizes.alone)
        if "bytes" in wanted:
            results.bytes[channel] = parts.bytes_of_a_case(self.at, channel, sizes.cases)
        if "latency" in wanted and ours:
            self.say(f"latency, {channel}")
            results.late[channel] = moments.latencies(self.at, ours, channel, sizes.late)

    def _claims(self) -> None:
        for name, scheduled in (("1k", 1_000), ("1M", 1_000_000)):
            self.say(f"claims at {name}")
            self.results.claims[name], entry = parts.claims(self.at, scheduled, self.sizes.claims)
            self.results.shared_bytes["agenda"] = round(entry)


def figures(results: Results, channels: Sequence[str]) -> dict[str, Any]:
    """What `var/bench.json` holds: SMS at the top, the other channels in objects of their own."""
    found = {channel: _of(results, channel) for channel in channels}
    top = found.pop("sms", {})
    if results.claims:
        top["claim_ms"] = results.claims
    if results.provider:
        top["provider_requests_per_s"] = round(results.provider)
    if results.payments:
        paid = results.payments
        top["paid_to_silence_ms"] = {"p50": round(percentile(paid, 0.5)), "max": round(max(paid))}
    if results.web:
        top["web"] = {"receipts_per_s": round(results.web.rate), "median_ms": round(results.web.median_ms, 2)}
    return {**top, **found}


def _of(results: Results, channel: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    runs = results.runs.get(channel, {})
    rates = {name: [run.rate for run in each] for name, each in runs.items()}
    for name, each in rates.items():
        found[RATES[name]] = round(median(each), 1)
    found["spread"] = {name: [round(min(each), 1), round(max(each), 1)] for name, each in rates.items()}
    if "relance" in rates:
        found["ratio"] = ratios(rates)
        found |= _cpu(runs["relance"], channel)
    found |= _parts(results, channel)
    return found


def _cpu(runs: Sequence[Run], channel: str) -> dict[str, Any]:
    each = {who: round(median(run.cpu[who] * 1000 / run.jobs for run in runs), 2) for who in runs[0].cpu}
    ours = ("intake", "scheduler", channel)
    whole = median(sum(run.cpu[who] for who in ours) * 1000 / run.jobs for run in runs)
    return {"cpu_ms_per_reminder": round(whole, 2), "cpu_ms": each}


def _parts(results: Results, channel: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if channel in results.phases:
        intake, chase = results.phases[channel]
        found["phases"] = {"intake_jobs_per_s": round(intake, 1), "chase_reminders_per_s": round(chase, 1)}
    if channel in results.trips:
        drained, alone = results.trips[channel].drained, results.trips[channel].alone
        found["redis_round_trips_per_reminder"] = total(drained)
        servers = {server: total(drained, server) for server in ("store", "broker")}
        found["redis_round_trips"] = {**servers, "alone": total(alone)}
    if channel in results.bytes:
        weights = {**results.bytes[channel], **results.shared_bytes}
        found["bytes_per_case"] = sum(weights.values())
        found["bytes"] = weights
    if channel in results.late:
        late = results.late[channel]
        found["due_to_accepted_ms"] = {"p50": round(percentile(late, 0.5)), "p99": round(percentile(late, 0.99))}
    if channel in results.recoveries:
        recovery = results.recoveries[channel]
        found["recovery_s"] = round(recovery.seconds, 1)
        found["recovery"] = {"in_hand": recovery.in_hand, "uncertain": recovery.uncertain}
    return found
