"""Is a file a whole backup, every line of it? Nothing is written before that is known."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from worker.backup.lines import FORMAT, BadLine, CaseLine, End, EventLine, Header, parse
from worker.codec import read_event
from worker.dunning.events import Event
from worker.dunning.fold import fold
from worker.dunning.model import Case

#: So many faults are named; a file with more is not worth listing.
MOST = 10


class Unfit(Exception):
    """The file, or the store, is not such that it could be read in; the text says why, where, and what was expected."""


@dataclass(slots=True)
class Checked:
    """A file of which every line is in order. `last`: the line that stands of each case; `strategies` of open ones."""

    header: Header
    last: dict[str, int] = field(default_factory=dict)
    strategies: set[str] = field(default_factory=set)


def check(lines: Iterable[bytes]) -> Checked:
    """Read it all. Raises Unfit, which names the lines."""
    work = _Check()
    for number, line in enumerate(lines, start=1):
        try:
            work.take(number, line)
        except BadLine as fault:
            work.problems.append(f"line {number}: {fault}")
            if number == 1 or len(work.problems) == MOST:
                break
    else:
        work.end()
    if work.problems or work.checked is None:
        raise Unfit("\n".join(work.problems or ["line 1: the file is empty; expected one that `relance export` wrote"]))
    return work.checked


class _Check:
    def __init__(self) -> None:
        self.checked: Checked | None = None
        self.problems: list[str] = []
        self._count = 0
        self._ended = False
        self._events: dict[str, tuple[int, int]] = {}

    def take(self, number: int, line: bytes) -> None:
        """One more line. Raises BadLine."""
        self._count = number
        if self._ended:
            raise BadLine("expected nothing behind the line `end`")
        if self.checked is None:
            self.checked = Checked(_header(line))
            return
        found = parse(line)
        if isinstance(found, Header):
            raise BadLine("line: expected one header, as the first line")
        if isinstance(found, End):
            self._ended = True
            if found.lines != number:
                raise BadLine(f"lines: {found.lines}, but this is line {number}: lines are missing, or were added")
            return
        self._check_creditor(found.creditor)
        if isinstance(found, EventLine):
            self._check_order(found)
        if isinstance(found, CaseLine):
            case, _ = read_case(found)
            self.checked.last[found.id] = number
            self.checked.strategies |= set() if case.ended else {case.strategy}

    def _check_creditor(self, creditor: str) -> None:
        header = self.checked.header if self.checked else None
        if header and creditor not in header.creditors and not (creditor == "" and header.whole):
            raise BadLine("creditor: expected one of those that the first line names")

    def _check_order(self, line: EventLine) -> None:
        at, _, number = line.id.partition("-")
        place = int(at), int(number)
        if place <= self._events.get(line.creditor, (0, 0)):
            raise BadLine("id: expected the creditor's events in the order of their ids")
        self._events[line.creditor] = place

    def end(self) -> None:
        """That was all."""
        if self._count and not self._ended:
            self.problems.append(
                f"line {self._count}: the file ends here, expected a last line `end`: it was cut, or is being written"
            )


def _header(line: bytes) -> Header:
    try:
        found = parse(line)
    except BadLine as fault:
        raise BadLine(f"{fault}; expected the first line of what `relance export` wrote") from None
    if not isinstance(found, Header):
        raise BadLine("line: expected 'export'; this is no file of `relance export`, or its beginning is missing")
    if found.format > FORMAT:
        raise BadLine(
            f"format: {found.format}, and this version reads up to {FORMAT}: read it with relance {found.relance}"
        )
    return found


def read_case(line: CaseLine) -> tuple[Case, list[Event]]:
    """The case that its history makes, and the events. Raises BadLine."""
    events = [_event(place, fields) for place, fields in enumerate(line.history)]
    try:
        case = fold(None, events)
    except (ValueError, KeyError) as error:
        raise BadLine(f"history: the events do not follow from each other ({type(error).__name__})") from None
    if (case.id, case.creditor) != (line.id, line.creditor) or not line.id.startswith(f"{line.creditor}-"):
        raise BadLine("id: expected that of the case which the history opens, of that creditor")
    return case, events


def _event(place: int, fields: dict[str, object]) -> Event:
    try:
        return read_event(fields)
    except KeyError:
        raise BadLine(f"history.{place}.type: expected a kind of event that this version knows") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise BadLine(f"history.{place}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
