"""The judge: reads the sandbox's log and a file of facts, and says which promises held.

    python tests/chaos/judge.py FOLDER

It imports nothing of ours, and of what relance says of itself it believes nothing that the provider's log can tell:
whether a message was accepted, how often and when is read there alone. In these runs each debtor has a number and a
mailbox of their own and no two steps share a channel, so a channel and an address are one message: (case, step,
channel).

promise       is broken when
============  =====================================================================================================
duplicate     a message was accepted more than once
loss          one was never accepted, and its case shows neither an end nor a named hold, nor that the provider refused
              the address; or a case says that it was; or a job that was taken left no trace
stranger      something was accepted for an address that nobody gave, or for another case's
after         a call began after the payment's commit, or was accepted later than one call's bound after it
limbo         a case ends the run without a next look, a named hold or an end
fold          a snapshot is not the fold of its history
held          with settling on, more than 2% of the messages wait for a person
stop          a process did not end when it was asked to, and had to be killed
aim           fewer than a third of the kills landed while the sandbox held an open request: the run proves too little
"""

import json
import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

#: What the two files are called.
LOG, FACTS = "sandbox.jsonl", "facts.json"
#: The share of messages that may wait for a person, once uncertain ones are settled, and of kills that must hit.
MOST_HELD, LEAST_AIMED = 0.02, 1 / 3
#: How the paths of requests to send end; what else is asked of a provider sends nothing.
SENDS = ("/Messages.json", "/Calls.json", "/mail/send")
#: The hold of a case that has been told everything excuses no silence.
DONE = "ladder_done"

Facts = Mapping[str, Any]
Lines = Sequence[Mapping[str, Any]]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that did not hold, and what shows it."""

    promise: str
    evidence: str


@dataclass(slots=True)
class Verdict:
    """What was found. `figures` are for people; a run is good if nothing is broken."""

    broken: list[Broken] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def judge(log: Lines, facts: Facts) -> Verdict:
    """The verdict on one run."""
    accepted, cases = _accepted(log), {case["debtor"]: case for case in facts["cases"]}
    settled = [debtor for debtor in facts["debtors"] if debtor["taken"]]
    late = list(_late(accepted, settled, cases, facts["bound"]))
    hits = _hits(log, facts["kills"])
    held = sum(message["status"] == "uncertain" for case in cases.values() for message in case["messages"])
    expected = sum(len(debtor["to"]) for debtor in settled)
    found = [
        *_duplicates(accepted),
        *_strangers(log, facts, cases),
        *_losses(accepted, settled, cases),
        *_never_refused(log, cases.values()),
        *_payments(settled, cases),
        *(Broken("after", text) for text, within in late if not within),
        *_begun_after(cases.values()),
        *_limbo(cases.values(), facts["ladder_now"]),
        *(Broken("fold", case["case"]) for case in cases.values() if not case["folds"]),
        *_held_too_many(held, expected, facts),
        *(Broken("stop", line["child"]) for line in facts["unstopped"]),
        *_badly_aimed(hits),
    ]
    counts = Counter(broken.promise for broken in found)
    figures = {
        "seed": facts["seed"],
        "cases": len(cases),
        "messages": expected,
        "accepted": sum(len(lines) for lines in accepted.values()),
        "answers_lost": sum(line.get("fault") in ("accept_then_drop", "accept_then_500") for line in _all(accepted)),
        "duplicates": counts["duplicate"],
        "possible_copies": _count(cases.values(), "AttemptBegun", "possible_copy"),
        "reappeared": _count(cases.values(), "AttemptReappeared", "attempt"),
        "losses": counts["loss"],
        "held_for_operator": held,
        "paid": sum(bool(debtor["paid"]) for debtor in settled),
        "accepted_late_within_bound": sum(within for _, within in late),
        "died_by_themselves": sum(death.get("code") != -9 for death in facts["deaths"]),
        "kills": dict(Counter(kill["part"] for kill in facts["kills"])),
        "kills_at_an_open_request": sum(hits),
        "recovery": _recoveries(log, facts),
    }
    return Verdict(found, figures)


def _count(cases: Iterable[Facts], kind: str, having: str) -> int:
    """How many such events there are that bear that field."""
    return sum(event["type"] == kind and bool(event.get(having)) for case in cases for event in case["history"])


# ---- what was accepted


def _accepted(log: Lines) -> dict[Key, list[Mapping[str, Any]]]:
    """The acceptances of each message, oldest first."""
    found: defaultdict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for line in sorted((line for line in log if line["event"] == "accepted"), key=_at):
        found[line["channel"], line["to"]].append(line)
    return found


def _all(accepted: Mapping[Key, list[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    for lines in accepted.values():
        yield from lines


def _at(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["at"]).timestamp()


def _duplicates(accepted: Mapping[Key, list[Mapping[str, Any]]]) -> Iterator[Broken]:
    for (channel, to), lines in accepted.items():
        for line in lines[1:]:
            told = f"{channel} {to}: {lines[0]['attempt']} at {lines[0]['at']}, {line['attempt']} at {line['at']}"
            yield Broken("duplicate", told)


def _strangers(log: Lines, facts: Facts, cases: Mapping[str, Mapping[str, Any]]) -> Iterator[Broken]:
    """Every message goes to the debtor whose case it is of, and to nobody else."""
    owners = {(channel, to): d["name"] for d in facts["debtors"] for channel, to in d["to"].items()}
    for line in log:
        if line["event"] != "accepted":
            continue
        owner = owners.get((line["channel"], line["to"]))
        case = cases.get(owner, {}).get("case") if owner else None
        if case is None or line["attempt"].rpartition(".")[0] != case:
            yield Broken("stranger", f"{line['channel']} {line['to']}: {line['attempt']} at {line['at']}")


# ---- what was not


def _losses(
    accepted: Mapping[Key, list[Mapping[str, Any]]], debtors: Iterable[Facts], cases: Mapping[str, Facts]
) -> Iterator[Broken]:
    for debtor in debtors:
        case = cases.get(debtor["name"])
        if case is None:
            yield Broken("loss", f"{debtor['name']}: its job was taken, and there is no case")
            continue
        for channel, to in debtor["to"].items():
            went = (channel, to) in accepted
            said = {message["status"] for message in case["messages"] if message["channel"] == channel}
            if not went and said & {"accepted", "undelivered"}:
                yield Broken("loss", f"{case['case']} {channel}: it says that it went, and nobody accepted it")
            elif not went and not _excused(case, said):
                yield Broken("loss", f"{case['case']} {channel}: {case['state']}, {case['why']}, {sorted(said)}")


def _excused(case: Facts, said: set[str]) -> bool:
    """An end, a named hold that a person can see, or a provider that refused the address."""
    return bool(case["ended"]) or any(hold != DONE for hold in case["holds"]) or "rejected" in said


def _never_refused(log: Lines, cases: Iterable[Facts]) -> Iterator[Broken]:
    """A case that says "refused" is believed as often as the provider did refuse, channel by channel."""
    statuses = {(line["run"], line["request"]): line["status"] for line in log if line["event"] == "answered"}
    refusals = Counter(line["channel"] for line in _sends(log) if statuses.get((line["run"], line["request"])) == 400)
    said = Counter(m["channel"] for case in cases for m in case["messages"] if m["status"] == "rejected")
    for channel, count in said.items():
        if count > refusals[channel]:
            yield Broken("loss", f"{channel}: {count} are said to be refused, {refusals[channel]} were")


def _sends(log: Lines) -> Iterator[Mapping[str, Any]]:
    """The requests to send, as they were opened."""
    for line in log:
        if line["event"] == "opened" and line["path"].partition("?")[0].endswith(SENDS) and line["method"] == "POST":
            yield line


def _payments(debtors: Iterable[Facts], cases: Mapping[str, Facts]) -> Iterator[Broken]:
    """A payment that was answered with 200 is in the store."""
    for debtor in debtors:
        case = cases.get(debtor["name"])
        if debtor["paid"] and case and case["ended"] != "paid":
            yield Broken("loss", f"{case['case']}: its payment was taken, and it is {case['state']}")


# ---- after a payment


def _paid_at(debtor: Facts, case: Facts) -> float | None:
    """When the payment was committed: as the store says, and no later than its answer."""
    known = [event["committed"] for event in case["history"] if event["type"] == "PaymentReceived"]
    known += [debtor["paid"]] if debtor["paid"] else []
    return min(known, default=None)


def _late(
    accepted: Mapping[Key, list[Mapping[str, Any]]], debtors: Iterable[Facts], cases: Mapping[str, Facts], bound: float
) -> Iterator[tuple[str, bool]]:
    """What was accepted after the payment; and was it within one call's bound?"""
    for debtor in debtors:
        case = cases.get(debtor["name"])
        paid = _paid_at(debtor, case) if case else None
        if case is None or paid is None:
            continue
        for channel, to in debtor["to"].items():
            for line in accepted.get((channel, to), []):
                if (after := _at(line) - paid) > 0:
                    yield f"{case['case']} {channel}: accepted {after:.2f} s after the payment", after <= bound


def _begun_after(cases: Iterable[Facts]) -> Iterator[Broken]:
    """A history is in the order of its commits: what stands behind the payment was committed behind it."""
    for case in cases:
        paid = False
        for event in case["history"]:
            paid = paid or event["type"] == "PaymentReceived"
            if paid and event["type"] == "AttemptBegun":
                yield Broken("after", f"{case['case']}: attempt {event['attempt']} began after the payment")


# ---- how it ended


def _limbo(cases: Iterable[Facts], now: str) -> Iterator[Broken]:
    for case in cases:
        coming = case["at"] and datetime.fromisoformat(case["at"]) > datetime.fromisoformat(now)
        if not (case["ended"] or case["holds"] or coming):
            yield Broken("limbo", f"{case['case']}: {case['state']}, {case['why']}")


def _held_too_many(held: int, expected: int, facts: Facts) -> Iterator[Broken]:
    if facts["settles"] and held > MOST_HELD * expected:
        yield Broken("held", f"{held} of {expected} messages wait for a person")


# ---- the kills


def _hits(log: Lines, kills: Iterable[Facts]) -> list[bool]:
    """Of each kill: did the sandbox hold a request open? Of a channel's worker: one of that channel?"""
    spans = _spans(log)
    return [
        any(
            began < kill["at"] < ended
            for channel, began, ended in spans
            if kill["part"] not in ("sms", "email", "voice") or kill["part"] == channel
        )
        for kill in kills
    ]


def _spans(log: Lines) -> list[tuple[str, float, float]]:
    """From when to when each request to send was open, by channel."""
    ends = {(line["run"], line["request"]): _at(line) for line in log if line["event"] in ("answered", "dropped")}
    return [
        (line["channel"], _at(line), ends.get((line["run"], line["request"]), float("inf"))) for line in _sends(log)
    ]


def _badly_aimed(hits: Sequence[bool]) -> Iterator[Broken]:
    if hits and sum(hits) < LEAST_AIMED * len(hits):
        yield Broken("aim", f"{sum(hits)} of {len(hits)} kills landed while a request was open")


def _recoveries(log: Lines, facts: Facts) -> dict[str, list[tuple[float, float | None]]]:
    """By part, for each kill, in seconds: until it was there again, until the next message was accepted after that.

    Of a channel's worker that is the channel's next one. A kill after which there was nothing to come back is left out.
    """
    found: defaultdict[str, list[tuple[float, float | None]]] = defaultdict(list)
    for kill in facts["kills"]:
        part, at = kill["part"], kill["at"]
        starts = sorted(start["at"] for start in facts["started"] if start["part"] == part)
        times = sorted(_at(line) for line in log if line["event"] == "accepted" and _concerns(part, line["channel"]))
        if (back := _next(starts, at)) is not None:
            accepts = _next(times, back)
            found[part].append((round(back - at, 2), None if accepts is None else round(accepts - at, 2)))
    return dict(found)


def _concerns(part: str, channel: str) -> bool:
    return part not in ("sms", "email", "voice") or part == channel


def _next(times: Sequence[float], at: float) -> float | None:
    place = bisect_left(times, at)
    return times[place] if place < len(times) else None


# ---- from files


def judge_folder(folder: Path) -> Verdict:
    """The verdict on what a run left in its folder. Raises OSError and ValueError for what is no such folder."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return judge([json.loads(line) for line in lines], facts)


def main(folder: str) -> int:
    """Judge what a run left in its folder, and print the verdict as JSON; 1 if a promise was broken."""
    verdict = judge_folder(Path(folder))
    sys.stdout.write(as_json(verdict))
    return 1 if verdict.broken else 0


def as_json(verdict: Verdict) -> str:
    """The figures, and each broken promise with its evidence."""
    found = {"figures": verdict.figures, "broken": [[each.promise, each.evidence] for each in verdict.broken]}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
