"""Verdicts in words, and several of them as one."""

import statistics
from collections.abc import Sequence
from typing import Any

from tests.chaos.judge import Verdict

#: Figures that say more as a share of another.
_SHARES = {
    "held_unexplained": "cases",
    "answers_lost": "accepted",
    "listed_late": "accepted",
    "without_receipt": "accepted",
    "kills_at_an_open_request": "kills",
}


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Several runs as one: figures added up, kinds of kills and times of recovery side by side, the slowest stop."""
    total: dict[str, Any] = {"seed": ", ".join(str(verdict.figures["seed"]) for verdict in verdicts)}
    for name in list(verdicts[0].figures)[1:]:
        total[name] = _together(name, [verdict.figures[name] for verdict in verdicts])
    return Verdict([broken for verdict in verdicts for broken in verdict.broken], total)


def _together(name: str, values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        parts = sorted({part for value in values for part in value})
        empty: Any = [] if name == "recovery" else 0
        return {part: sum((value.get(part, empty) for value in values), empty) for part in parts}
    return max(values) if name.startswith("slowest") else sum(values)


def in_words(verdict: Verdict) -> str:
    """For a person: the figures, and each broken promise with its evidence."""
    figures = verdict.figures
    lines = [f"{name.replace('_', ' '):28} {_value(figures, name)}" for name in figures if name != "recovery"]
    lines += ["", f"{'seconds from the kill until':28} it is there: median, max    the next message: median, max"]
    for part, times in figures["recovery"].items():
        there = _spread([back for back, _ in times])
        lines.append(f"{part:28} {there:27} {_spread([accepts for _, accepts in times if accepts is not None])}")
    lines += ["", *(f"BROKEN {broken.promise}: {broken.evidence}" for broken in verdict.broken)]
    return "\n".join([*lines, "every promise held" if not verdict.broken else f"{len(verdict.broken)} broken"])


def _value(figures: dict[str, Any], name: str) -> str:
    value = figures[name]
    if isinstance(value, dict):
        return ", ".join(f"{part} {count}" for part, count in value.items()) or "none"
    if name not in _SHARES:
        return str(value)
    whole = figures[_SHARES[name]]
    return f"{value} ({100 * value / max(1, sum(whole.values()) if isinstance(whole, dict) else whole):.2f} %)"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}, {max(values):.1f}" if values else "-"
