"""Figures out of measurements: medians, percentiles, ratios, and what we hold them against. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

#: What `var/bench.json` holds for SMS at its top, and for email and voice in objects of their own.
KEYS = (
    "bare_dramatiq_jobs_per_s",
    "sdk_only_jobs_per_s",
    "celery_jobs_per_s",
    "reminders_per_s",
    "ratio",
    "cpu_ms_per_reminder",
    "redis_round_trips_per_reminder",
    "bytes_per_case",
    "due_to_accepted_ms",
    "claim_ms",
    "recovery_s",
    "web",
    "paid_to_silence_ms",
)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least `share` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))  # rounded up
    return ordered[int(rank) - 1]


def spread(values: Sequence[float]) -> str:
    """The median, and between which values it lies."""
    return f"{median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to be: at least, or at most."""

    figure: str
    limit: float
    least: bool
    unit: str = ""

    def met(self, value: float) -> bool:
        """Is it?"""
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}{f' {self.unit}' if self.unit else ''}"


GOALS: Mapping[str, tuple[Goal, ...]] = {
    "sms": (
        Goal("ratio.bare", 0.08, least=True),
        Goal("ratio.sdk_only", 0.4, least=True),
        Goal("ratio.celery", 0.8, least=True),
        Goal("redis_round_trips_per_reminder", 12, least=False),
        Goal("bytes_per_case", 2500, least=False),
        Goal("due_to_accepted_ms.p50", 300, least=False, unit="ms"),
        Goal("recovery_s", 20, least=False, unit="s"),
        Goal("paid_to_silence_ms.max", 1000, least=False, unit="ms"),
        Goal("web.receipts_per_s", 500, least=True, unit="/s"),
        Goal("web.median_ms", 10, least=False, unit="ms"),
    ),
    "email": (
        Goal("ratio.sdk_only", 3, least=True),
        Goal("ratio.celery", 4, least=True),
        Goal("redis_round_trips_per_reminder", 12, least=False),
        Goal("due_to_accepted_ms.p50", 300, least=False, unit="ms"),
        Goal("recovery_s", 20, least=False, unit="s"),
    ),
    "voice": (
        Goal("redis_round_trips_per_reminder", 12, least=False),
        Goal("due_to_accepted_ms.p50", 300, least=False, unit="ms"),
        Goal("recovery_s", 20, least=False, unit="s"),
    ),
}


def find(figures: Mapping[str, Any], path: str) -> float | None:
    """The figure behind `a.b`; None where it was not measured."""
    value: Any = figures
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def verdicts(figures: Mapping[str, Any], channel: str) -> list[tuple[Goal, float, bool]]:
    """Each goal of a channel whose figure was measured, that figure, and whether it meets the goal."""
    measured = [(goal, find(figures, goal.figure)) for goal in GOALS[channel]]
    return [(goal, value, goal.met(value)) for goal, value in measured if value is not None]


def ratios(rates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Ours to each of the others, as the median of the ratios of each repetition: what disturbs one disturbs all."""
    ours = rates["relance"]
    return {
        name: round(median(a / b for a, b in zip(ours, others, strict=True)), 3)
        for name, others in rates.items()
        if name != "relance"
    }
