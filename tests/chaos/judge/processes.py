"""The kills: done, well aimed, recovered from; and the stop at the end."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.chaos.judge.reading import SENDERS, Broken, Facts, Run, at, request

#: The share of kills that must land while a request is open.
LEAST_AIMED = 1 / 3
#: Asked to stop, relance has stopped in less than so many seconds.
STOPS_WITHIN = 30.0


def taken(run: Run) -> Iterator[Broken]:
    """Whatever was down meanwhile, upstream got through in the end."""
    for debtor in run.facts["debtors"]:
        if not debtor["taken"]:
            yield Broken("taken", f"{debtor['name']}: its job was never taken")
        elif debtor["pays"] and not debtor["paid"]:
            yield Broken("taken", f"{debtor['name']}: its payment was never taken")


def never_back(run: Run) -> Iterator[Broken]:
    """What was killed and nobody started again."""
    for kill in run.facts["kills"]:
        if _back(run, kill) is None:
            yield Broken("back", f"{kill['part']}: killed at {kill['at']:.2f}, and not there again")


def not_stopped(run: Run) -> Iterator[Broken]:
    """Nothing but the end of a run asks anybody to stop, so whatever is cut off in it is cut off there."""
    for line in run.facts["cut_off"]:
        told = ", ".join(f"{name} {line[name]}" for name in ("child", "queues", "messages") if name in line)
        yield Broken("stop", f"{line['event']} {told}".strip())
    code, seconds = run.facts["stopped"]["code"], run.facts["stopped"]["seconds"]
    if code:
        yield Broken("stop", f"`relance up` ended with {code}")
    if seconds >= STOPS_WITHIN:
        yield Broken("stop", f"`relance up` took {seconds:.1f} s")


# ---- aim


def badly_aimed(run: Run, hits: Sequence[bool]) -> Iterator[Broken]:
    """Every kill of the plan was done, and a third of them hit.

    None may be missing: each waits for its part several times longer than any part is to be away.
    """
    done, planned = len(hits), run.facts["kills_planned"]
    if done < max(1, planned):
        missed = [kill["part"] for kill in run.facts["kills_missed"]]
        yield Broken("aim", f"{done} of {planned} kills were done; not there to be killed: {missed}")
    if sum(hits) < LEAST_AIMED * done:
        yield Broken("aim", f"{sum(hits)} of {done} kills landed while a request was open")


def hit(run: Run) -> list[bool]:
    """Of each kill: did the sandbox hold a request open? Of a channel's worker: one of that channel?"""
    spans = [(line["channel"], at(line), _ended(run, line)) for line in run.sends()]
    return [
        any(began < kill["at"] < ended for channel, began, ended in spans if _concerns(kill["part"], channel))
        for kill in run.facts["kills"]
    ]


def _ended(run: Run, line: Facts) -> float:
    end = run.ends.get(request(line))
    return at(end) if end else float("inf")


def _concerns(part: str, channel: str) -> bool:
    return part not in SENDERS or part == channel


# ---- recovery


def recoveries(run: Run) -> dict[str, list[tuple[float, float | None]]]:
    """By part, for each kill, in seconds: until it was there again, until the next message was accepted after that.

    Of a channel's worker that is the channel's next one.
    """
    found: defaultdict[str, list[tuple[float, float | None]]] = defaultdict(list)
    for kill in run.facts["kills"]:
        if (back := _back(run, kill)) is not None:
            accepted = (line for line in run.lines("accepted") if _concerns(kill["part"], line["channel"]))
            accepts = _next(sorted(at(line) for line in accepted), back)
            after = None if accepts is None else round(accepts - kill["at"], 2)
            found[kill["part"]].append((round(back - kill["at"], 2), after))
    return dict(found)


def _back(run: Run, kill: Facts) -> float | None:
    """When the part was there again after that kill."""
    starts = sorted(start["at"] for start in run.facts["started"] if start["part"] == kill["part"])
    return _next(starts, kill["at"])


def _next(times: Sequence[float], moment: float) -> float | None:
    place = bisect_left(times, moment)
    return times[place] if place < len(times) else None
