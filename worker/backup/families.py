"""Every kind of key in the store, and what becomes of it in a backup. A new kind is a row; a test finds what has none.

==========  ==========================================================================================================
`how`       means
==========  ==========================================================================================================
with_case   in the case's own line, or beside it: read in the same moment as the case
rebuilt     in no line: what the cases' histories say, so that it agrees with them whenever each was read
at_once     whole, in the moment in which the creditor's cases were last read
piecemeal   whole, a little later and piece by piece: it may know of something newer
each        a key for each thing, found by going through the store's keys
stream      entry by entry, up to the moment in which the cases were last read
left_out    not at all; `why` says why
==========  ==========================================================================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "hash", "set", "zset", "list", "stream"]
How = Literal["with_case", "rebuilt", "at_once", "piecemeal", "each", "stream", "left_out"]


@dataclass(frozen=True, slots=True)
class Family:
    """Keys of one kind: what is behind `relance:{CREDITOR}:`, or `relance:`. One that ends with a colon is a prefix."""

    name: str
    kind: Kind
    how: How
    why: str = ""


#: Of each creditor.
CREDITORS: Sequence[Family] = (
    Family("case:", "string", "with_case"),
    Family("history:", "list", "with_case"),
    Family("contacts:", "zset", "with_case"),
    Family("agenda", "zset", "with_case"),
    Family("inflight", "zset", "with_case"),
    Family("cases", "zset", "rebuilt"),
    Family("groups", "hash", "rebuilt"),
    Family("invoices", "hash", "rebuilt"),
    Family("uncertain", "zset", "rebuilt"),
    Family("tasks", "hash", "rebuilt"),
    Family("early", "zset", "at_once"),
    Family("early:", "list", "at_once"),
    Family("calls", "zset", "at_once"),
    Family("counters", "hash", "at_once"),
    Family("feed", "zset", "at_once"),
    Family("paused", "hash", "at_once"),
    Family("restored", "hash", "at_once"),
    Family("suppressed", "hash", "piecemeal"),
    Family("phones", "hash", "piecemeal"),
    Family("job:", "string", "each"),
    Family("events", "stream", "stream"),
    Family("rate", "string", "left_out", "how much the doors have let pass in the last minute"),
    Family("forwarder", "string", "left_out", "who hands events on just now: it runs out by itself in half a minute"),
    Family("expected", "zset", "left_out", "when each next message is to go is said anew at the case's next look"),
    Family("ramp", "hash", "left_out", "whose turn it is after an outage: an import begins another line"),
    *(Family(name, "zset", "left_out", "the same") for name in ("line", "turns", "missed", "gone")),
    Family(
        "queued", "zset", "left_out", "what a provider keeps back for a while: once the pause ends, looks ask of it too"
    ),
    Family("silence", "string", "left_out", "since when the alarm rings"),
    Family("forgiven", "string", "left_out", "when a pause of everything ended: what was read in is paused"),
    Family("import", "set", "left_out", "what of a backup was read in so far; nobody uses it before all of it was"),
    Family("import:", "string", "left_out", "the same"),
)

#: Of the store as a whole.
STORE: Sequence[Family] = (
    Family("rejected", "hash", "piecemeal"),
    Family("paused", "hash", "piecemeal"),
    Family("resumed", "set", "piecemeal"),
    Family("creditors", "set", "piecemeal"),
    Family("inbox:", "string", "each"),
    Family("clock", "hash", "left_out", "the first line has it"),
    Family("clock:hold", "string", "left_out", "who holds a rehearsal's clock just now"),
    Family("clock:meetings", "zset", "left_out", "what those who watch a rehearsal wait for"),
    Family("import", "hash", "left_out", "which backup is being read in"),
    Family("server", "hash", "left_out", "which server this is: another one says so by itself"),
)


def family_of(name: str, families: Sequence[Family]) -> Family | None:
    """The family of a key, by what is behind its root; None for a kind that this version does not know."""
    exact = next((each for each in families if each.name == name), None)
    return exact or next((each for each in families if each.name.endswith(":") and name.startswith(each.name)), None)


def those(families: Sequence[Family], how: How) -> list[Family]:
    """The families of which that becomes in a backup."""
    return [each for each in families if each.how == how]
