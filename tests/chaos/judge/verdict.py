"""The verdict on a run: all that the others find, and the figures."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.judge import cases, messages, processes, provider
from tests.chaos.judge.reading import FACTS, LOG, Broken, Facts, Line, Run


@dataclass(slots=True)
class Verdict:
    """What was found. `figures` are for people; a run is good if nothing is broken."""

    broken: list[Broken] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def judge(log: Sequence[Line], facts: Facts) -> Verdict:
    """The verdict on one run."""
    run = Run(log, facts)
    late, hits = list(messages.late(run)), processes.hit(run)
    held, done = cases.held(run), provider.done(run)
    broken = [
        *messages.duplicates(run),
        *messages.strangers(run),
        *messages.losses(run),
        *(Broken("after", text) for text, within in late if not within),
        *messages.begun_after(run),
        *cases.ends(run),
        *cases.limbo(run),
        *cases.unfolded(run),
        *cases.held_too_many(run, held),
        *processes.taken(run),
        *processes.never_back(run),
        *processes.not_stopped(run),
        *processes.badly_aimed(run, hits),
        *provider.too_kind(done),
    ]
    counts = Counter(each.promise for each in broken)
    figures = {
        "seed": facts["seed"],
        "cases": len(run.cases),
        "messages": sum(len(debtor["to"]) for debtor in run.taken),
        "accepted": done.accepted,
        "duplicates": counts["duplicate"],
        "possible_copies": _count(run, "AttemptBegun", "possible_copy"),
        "reappeared": _count(run, "AttemptReappeared", "attempt"),
        "losses": counts["loss"],
        "held_for_operator": held.cases,
        "held_by_reason": dict(held.reasons),
        "held_explained": dict(held.explained),
        "held_unexplained": held.unexplained,
        "paid": sum(bool(debtor["paid"]) for debtor in run.taken),
        "accepted_late_within_bound": sum(within for _, within in late),
        "answers_lost": done.lost,
        "listed_late": done.listed_late,
        "without_receipt": done.silent,
        "faults": dict(done.faults),
        "receipts": dict(done.receipts),
        "died_by_themselves": sum(death.get("code") != -9 for death in facts["deaths"]),
        "kills": dict(Counter(kill["part"] for kill in facts["kills"])),
        "kills_missed": len(facts["kills_missed"]),
        "kills_at_an_open_request": sum(hits),
        "recovery": processes.recoveries(run),
        "slowest_stop_s": facts["stopped"]["seconds"],
    }
    return Verdict(broken, figures)


def _count(run: Run, kind: str, having: str) -> int:
    """How many such events there are that bear that field."""
    events = (event for case in run.cases.values() for event in case["history"])
    return sum(event["type"] == kind and bool(event.get(having)) for event in events)


def judge_folder(folder: Path) -> Verdict:
    """The verdict on what a run left in its folder. Raises OSError and ValueError for what is no such folder."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return judge([json.loads(line) for line in lines], facts)


def as_json(verdict: Verdict) -> str:
    """The figures, and each broken promise with its evidence."""
    found = {"figures": verdict.figures, "broken": [[each.promise, each.evidence] for each in verdict.broken]}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
