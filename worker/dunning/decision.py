"""What can be decided about a case, as values; `ladder.py` decides, the scheduler carries out, `explain` prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from worker.dunning.contact import Calendar, Contact
from worker.dunning.model import Hold
from worker.dunning.strategy import Step

#: The scope of a pause that nobody placed by hand: nobody tells of payments, so nothing is claimed.
FEED = "feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a decision depends on besides the case: its debtor's holidays and contacts, and what is paused.

    `contacts` are the recent contacts of this debtor over all cases. `paused` are the scopes under the stop button that
    cover the case ("all", "creditor", "strategy:b2b", "channel:sms"), and FEED, which covers claims alone. `full` are
    channels whose workers are far behind. `turn`: until when the case stands in line behind others that are due.
    """

    calendar: Calendar
    contacts: Sequence[Contact] = ()
    paused: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()
    turn: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` (None: until a fact arrives)."""

    reason: str
    until: datetime | None = None
    step: str = ""


@dataclass(frozen=True, slots=True)
class PlaceHold:
    """The case cannot go on until somebody acts."""

    hold: Hold
    step: str = ""

    @property
    def reason(self) -> str:
        """Why."""
        return self.hold.reason


@dataclass(frozen=True, slots=True)
class HoldInvoices:
    """Some invoices are not fit to be asked for, or have been corrected: one hold for each, placed or lifted."""

    placed: tuple[Hold, ...]
    lifted: tuple[Hold, ...]
    reason: str = "invoice_defect"


@dataclass(frozen=True, slots=True)
class Lapse:
    """A hold is over; `outcome` says how, of what the debtor promised."""

    hold: Hold
    outcome: Literal["", "kept", "broken"] = ""

    @property
    def reason(self) -> str:
        """Which hold."""
        return f"{self.hold.reason} is over"


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more is owed."""

    reason: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """The ladder's end: somebody else takes the case."""

    step: Step
    anchor: str
    reason: str = "every step was taken and nothing answered"


@dataclass(frozen=True, slots=True)
class Skip:
    """The step does not apply to this case."""

    step: Step
    anchor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remind:
    """Reserve one attempt for each of `channels`, now.

    `plan` are all the channels of the run, `covers` the invoices it lists, `deadline` the date it asks payment by.
    """

    step: Step
    anchor: str
    covers: tuple[str, ...]
    deadline: date | None
    channels: tuple[str, ...]
    plan: tuple[str, ...]
    reason: str = "the step's day has come"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the provider about one attempt: whether it took it, or to drop it before it leaves."""

    attempt: int
    channel: str
    what: Literal["settle", "recall"]

    @property
    def reason(self) -> str:
        """Why."""
        return "a message may have gone" if self.what == "settle" else "a message is not to leave any more"


Decision = Ask | Wait | PlaceHold | HoldInvoices | Lapse | End | HandOver | Skip | Remind
