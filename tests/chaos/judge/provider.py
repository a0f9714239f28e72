"""What the sandbox did, by its own log: a provider that does no wrong proves nothing."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.judge.reading import Broken, Line, Run, at, request

#: Of what was accepted, the share whose answer was lost, that lists showed late, that no receipt spoke of.
TENTH = 0.1
#: An entry is late in the lists from so many seconds on.
LATE = 30.0
#: The sandbox picks by a hash, so shares vary as draws do: a run may fall so many standard deviations short of a share,
#: which one in thirty thousand does. Of the 500 messages of a small run that leaves 23 where 50 are expected, of the
#: 5,000 of a full one 415 of 500: it tells a tenth from nothing in the one, and from a twelfth in the other.
SLACK = 4.0
#: The answers that are lost after the message was taken.
LOST = ("accept_then_drop", "accept_then_500")
#: What some must have met at least once, by the share of requests to send that do, or of what was accepted; what falls
#: to an order before it does not meet it, so these are a little less than what is ordered. Asked for only where so many
#: are expected that none at all is a matter of one run in a thousand: the rarest not of a small run.
FAULTS: Mapping[str, float] = {
    "accept_then_drop": 0.1, "accept_then_500": 0.025, "late": 0.05,
    "429": 0.035, "500": 0.02, "hang": 0.015, "refuse": 0.007,
}  # fmt: skip
RECEIPTS: Mapping[str, float] = {"before the answer": 0.13, "twice": 0.11, "in another order": 0.09}
EXPECTED = 7.0
#: In which order things happen to a message.
NATURAL = ("processed", "initiated", "ringing", "answered", "sent", "delivered", "completed")


@dataclass(frozen=True, slots=True)
class Done:
    """How many messages were accepted or failed, and of those how many met which fault; then, of those accepted, how
    many were listed late, had no receipt at all, or which kind of receipts.
    """

    sends: int
    accepted: int
    faults: Counter[str]
    listed_late: int
    silent: int
    receipts: Counter[str]

    @property
    def lost(self) -> int:
        """How many answers were lost."""
        return sum(self.faults[kind] for kind in LOST)


def done(run: Run) -> Done:
    """Count it all."""
    accepted, failed = list(run.lines("accepted")), list(run.lines("failed"))
    told = _told(run)
    faults = Counter(line["fault"] for line in [*accepted, *failed] if line["fault"])
    receipts = Counter(kind for line in accepted for kind in _kinds(run, line, told.get(line["id"], [])))
    return Done(
        sends=len(accepted) + len(failed),
        accepted=len(accepted),
        faults=faults,
        listed_late=sum(line["seconds"] >= LATE for line in run.lines("delayed")),
        silent=sum(line["id"] not in told for line in accepted),
        receipts=receipts,
    )


def _told(run: Run) -> dict[str, list[tuple[float, str]]]:
    """Of each message, by the provider's id, when which of its receipts was posted: the first try of each, in order."""
    found: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in sorted(run.lines("posted"), key=at):
        if line["number"] == 1 and line["what"] in ("receipt", "events"):
            said = line["said"] if line["what"] == "events" else [(line["id"], line["said"])]
            for message, word in said:
                found[message].append((at(line), word))
    return dict(found)


def _kinds(run: Run, line: Line, told: list[tuple[float, str]]) -> Iterator[str]:
    """Which kinds of receipts an accepted message had."""
    words = [word for _, word in told]
    once = list(dict.fromkeys(words))
    end = run.ends.get(request(line))
    if told and end and told[0][0] < at(end):
        yield "before the answer"
    if len(words) > len(once):
        yield "twice"
    if once != sorted(once, key=_place):
        yield "in another order"


def _place(word: str) -> int:
    return NATURAL.index(word) if word in NATURAL else len(NATURAL)


# ---- and is it enough


def too_kind(found: Done) -> Iterator[Broken]:
    """What the provider was to do wrong and did not."""
    counts = {"answers lost": found.lost, "listed 30 s late": found.listed_late, "without a receipt": found.silent}
    for what, count in counts.items():
        if count < _least(found.accepted):
            yield Broken("aim", f"{what}: {count} of {found.accepted} accepted messages, and it should be a tenth")
    for what, share in FAULTS.items():
        if not found.faults[what] and share * found.sends >= EXPECTED:
            yield Broken("aim", f"{what}: none of {found.sends} requests to send met it")
    for what, share in RECEIPTS.items():
        if not found.receipts[what] and share * found.accepted >= EXPECTED:
            yield Broken("aim", f"receipts {what}: none of {found.accepted} accepted messages had them")


def _least(accepted: int) -> float:
    """So many make a tenth, as far as chance goes."""
    return TENTH * accepted - SLACK * math.sqrt(TENTH * (1 - TENTH) * accepted)
