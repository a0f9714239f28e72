"""What one run left, and what can be read in it without judging."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

#: What the two files are called.
LOG, FACTS = "sandbox.jsonl", "facts.json"
#: How the paths of requests to send end; what else is asked of a provider sends nothing.
SENDS = ("/Messages.json", "/Calls.json", "/mail/send")
#: The parts that send, each on the channel of its name.
SENDERS = ("sms", "email", "voice")

Facts = Mapping[str, Any]
Line = Mapping[str, Any]
#: A message: its channel and its address.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that did not hold, and what shows it."""

    promise: str
    evidence: str


@dataclass(frozen=True)
class Run:
    """The sandbox's log, its lines in any order, and the facts."""

    log: Sequence[Line]
    facts: Facts

    @cached_property
    def cases(self) -> dict[str, Facts]:
        """The cases by the name of their debtor."""
        return {case["debtor"]: case for case in self.facts["cases"]}

    @cached_property
    def taken(self) -> list[Facts]:
        """The debtors whose job relance has said to have taken."""
        return [debtor for debtor in self.facts["debtors"] if debtor["taken"]]

    def followed(self) -> Iterator[tuple[Facts, Facts]]:
        """Each of those debtors with their case, where there is one."""
        for debtor in self.taken:
            if (case := self.cases.get(debtor["name"])) is not None:
                yield debtor, case

    @cached_property
    def accepted(self) -> dict[Key, list[Line]]:
        """The acceptances of each message, oldest first."""
        found: defaultdict[Key, list[Line]] = defaultdict(list)
        for line in sorted(self.lines("accepted"), key=at):
            found[line["channel"], line["to"]].append(line)
        return dict(found)

    @cached_property
    def refused(self) -> set[Key]:
        """The messages whose address the provider refused, and said so."""
        ends = {each for each, line in self.ends.items() if line.get("status") == 400}
        found = (line for line in self.lines("failed") if line["fault"] == "refuse" and request(line) in ends)
        return {(line["channel"], line["to"]) for line in found}

    @cached_property
    def ends(self) -> dict[tuple[str, int], Line]:
        """How each request ended."""
        return {request(line): line for line in self.lines("answered", "dropped")}

    def sends(self) -> Iterator[Line]:
        """The requests to send, as they were opened."""
        for line in self.lines("opened"):
            if line["path"].partition("?")[0].endswith(SENDS) and line["method"] == "POST":
                yield line

    def lines(self, *events: str) -> Iterator[Line]:
        """The lines of these events."""
        return (line for line in self.log if line["event"] in events)


def at(line: Line) -> float:
    """When it was written (Unix time)."""
    return datetime.fromisoformat(line["at"]).timestamp()


def request(line: Line) -> tuple[str, int]:
    """Which request it is of, over all lives of the sandbox."""
    return line["run"], line["request"]


def keys(debtor: Facts) -> list[Key]:
    """The messages that a debtor is to get."""
    return list(debtor["to"].items())


def paid(debtor: Facts, case: Facts) -> bool:
    """Did it end because they paid? As the case says, and as whoever told relance of the payment does."""
    return case["ended"] == "paid" and bool(debtor["paid"])
