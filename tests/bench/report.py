"""The figures as a table, each beside what it is to be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.bench.figures import find, verdicts
from tests.bench.measure import RATES, Results
from tests.bench.trips import Trips

_LINES = (
    ("cpu_ms_per_reminder", "CPU, ms a reminder"),
    ("redis_round_trips_per_reminder", "Redis round trips a reminder"),
    ("redis_round_trips.store", "  to the store"),
    ("redis_round_trips.broker", "  to the broker"),
    ("redis_round_trips.alone", "  of one that comes by itself"),
    ("bytes_per_case", "bytes a case"),
    ("due_to_accepted_ms.p50", "due to accepted, ms, p50"),
    ("due_to_accepted_ms.p99", "due to accepted, ms, p99"),
    ("paid_to_silence_ms.p50", "paid to no message, ms, p50"),
    ("paid_to_silence_ms.max", "paid to no message, ms, worst"),
    ("recovery_s", "recovery after kill -9, s"),
    ("recovery.in_hand", "  messages in hand"),
    ("recovery.uncertain", "  calls of unknown fate"),
    ("web.receipts_per_s", "web: signed receipts a second"),
    ("web.median_ms", "web: median answer ms"),
    ("phases.intake_jobs_per_s", "jobs to cases, /s"),
    ("phases.chase_reminders_per_s", "due to recorded, /s"),
)
_WIDTH = 34


def table(figures: Mapping[str, Any], channels: Sequence[str]) -> str:
    """Everything measured, a channel after the other."""
    lines: list[str] = []
    for channel in channels:
        of = figures if channel == "sms" else figures[channel]
        lines += ["", channel, *_rates(of), *_rest(of), *_goals(of, channel)]
    for name, value in figures.get("claim_ms", {}).items():
        lines.append(f"{f'claim of 100 due at {name}, ms':{_WIDTH}}{value:12,.2f}")
    if "provider_requests_per_s" in figures:
        lines.append(f"{'the provider itself, requests/s':{_WIDTH}}{figures['provider_requests_per_s']:12,.0f}")
    return "\n".join(lines)


def _rates(of: Mapping[str, Any]) -> Iterator[str]:
    for name, key in RATES.items():
        if key in of:
            low, high = of["spread"][name]
            ratio = of.get("ratio", {}).get(name)
            times = f"   ours is {ratio:g} of it" if ratio else ""
            yield f"  {f'{name}, /s':{_WIDTH - 2}}{of[key]:12,.1f}  ({low:,.0f} - {high:,.0f}){times}"


def _rest(of: Mapping[str, Any]) -> Iterator[str]:
    for path, label in _LINES:
        if (value := find(of, path)) is not None:
            yield f"  {label:{_WIDTH - 2}}{value:12,.2f}"
    for group in ("cpu_ms", "bytes"):
        if group in of:
            yield f"  {group}: " + ", ".join(f"{name} {value:g}" for name, value in of[group].items())


def _goals(of: Mapping[str, Any], channel: str) -> Iterator[str]:
    for goal, value, met in verdicts(of, channel):
        yield f"  {'met    ' if met else 'NOT MET'}  {goal.figure} {goal} ({value:g})"


def itemised(results: Results) -> str:
    """Who asked Redis for what, for one reminder."""
    return "\n".join(line for channel, trips in results.trips.items() for line in _trips(channel, trips))


def _trips(channel: str, trips: Trips) -> Iterator[str]:
    yield f"\nround trips a reminder, {channel}: in a drain, alone"
    for name in dict.fromkeys([*trips.drained, *trips.alone]):
        yield f"  {trips.drained.get(name, 0):6.2f} {trips.alone.get(name, 0):6.2f}  {name}"
