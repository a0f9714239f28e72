"""Verdicts in words, and several of them as one."""

import statistics
from collections.abc import Sequence
from typing import Any

from tests.chaos.judge import Verdict


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Several runs as one: figures added up, kinds of kills and times of recovery side by side."""
    total: dict[str, Any] = {"seed": ", ".join(str(verdict.figures["seed"]) for verdict in verdicts)}
    for name, first in list(verdicts[0].figures.items())[1:]:
        values = [verdict.figures[name] for verdict in verdicts]
        if isinstance(first, dict):
            parts = sorted({part for value in values for part in value})
            empty: Any = [] if name == "recovery" else 0
            total[name] = {part: sum((value.get(part, empty) for value in values), empty) for part in parts}
        else:
            total[name] = sum(values)
    return Verdict([broken for verdict in verdicts for broken in verdict.broken], total)


def in_words(verdict: Verdict) -> str:
    """For a person: the figures, and each broken promise with its evidence."""
    figures = verdict.figures
    lines = [f"{name.replace('_', ' '):28} {value}" for name, value in figures.items() if name != "recovery"]
    lines.append(
        f"{'held, percent of messages':28} {100 * figures['held_for_operator'] / max(1, figures['messages']):.2f}"
    )
    lines += ["", f"{'seconds from the kill until':28} it is there: median, max    the next message: median, max"]
    for part, times in figures["recovery"].items():
        there = _spread([back for back, _ in times])
        lines.append(f"{part:28} {there:27} {_spread([accepts for _, accepts in times if accepts is not None])}")
    lines += ["", *(f"BROKEN {broken.promise}: {broken.evidence}" for broken in verdict.broken)]
    return "\n".join([*lines, "every promise held" if not verdict.broken else f"{len(verdict.broken)} broken"])


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}, {max(values):.1f}" if values else "-"
