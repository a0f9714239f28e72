"""What becomes of a message once it is accepted: reactions to order, and those of the test addresses."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from channels.sandbox.orders import ChannelName, Orders, Seconds, Share, Times, parse

Answerer = Literal[
    "human",
    "machine",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
    "fax",
    "unknown",
    "busy",
    "no-answer",
    "failed",
    "canceled",
]
#: Who leaves a call unanswered: the call's last status.
NOBODY: frozenset[Answerer] = frozenset({"busy", "no-answer", "failed", "canceled"})

#: The receipts of each channel, in their natural order. "blocked" is SendGrid's soft bounce.
RECEIPTS: dict[ChannelName, tuple[str, ...]] = {
    "sms": ("sent", "delivered", "undelivered", "failed"),
    "voice": ("initiated", "ringing", "answered", "completed"),
    "email": (
        "processed",
        "deferred",
        "delivered",
        "bounce",
        "blocked",
        "dropped",
        "open",
        "click",
        "spamreport",
        "unsubscribe",
    ),
}
#: The receipts that tell of a failure, and so carry a reaction's `details`.
FAILURES = frozenset({"undelivered", "failed", "deferred", "bounce", "blocked", "dropped"})


@dataclass(frozen=True, slots=True, config={"extra": "forbid"})
class Reaction:
    """What follows the acceptance of a message.

    `channel`, `to`, `times`, `every` and `share` are those of every order (`orders.Aimed`). `receipts` are posted in
    the order given, a word given twice twice, () not at all; None means what is usual. `details` go into those that
    tell of a failure (`{"ErrorCode": "30005"}`; "" takes a field away). They are posted before the create is answered
    (`early`), or `seconds` after it; until then a call waits in the provider's queue.

    Calls: `answer` says who picks up or why nobody does ("machine": what the detection asked for would call it),
    `keys` what is pressed, Gather by Gather ("": nothing; so after the last), `hangs_up` after how many documents.
    Raises `pydantic.ValidationError` for unknown words, and for receipts without the channel they belong to.
    """

    channel: ChannelName | None = None
    to: str | None = None
    times: Times | None = None
    every: Times = 1
    receipts: tuple[str, ...] | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    early: bool = False
    seconds: Seconds = 0.0
    answer: Answerer = "human"
    keys: tuple[Annotated[str, Field(pattern=r"^[0-9*#A-D]*$")], ...] = ()
    hangs_up: Annotated[int, Field(ge=1)] | None = None
    share: Share | None = None

    @model_validator(mode="after")
    def _words_are_known(self) -> "Reaction":
        if self.receipts and self.channel is None:
            raise ValueError("receipts: name the channel they belong to")
        known = RECEIPTS[self.channel] if self.channel else ()
        for word in self.receipts or ():
            if word not in known:
                raise ValueError(f"receipts: {word!r} is none of {self.channel}'s: {', '.join(known)}")
        return self

    def detailed(self, word: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a receipt with the details in, where it tells of a failure; a detail of "" takes one away."""
        details = self.details if word in FAILURES else {}
        whole = {**fields, **details}
        return {name: value for name, value in whole.items() if details.get(name) != ""}


def _undelivered(code: str) -> Reaction:
    return Reaction("sms", receipts=("sent", "undelivered"), details={"ErrorCode": code})


USUAL = Reaction()
TEST_DOMAINS = {
    "gone.invalid": Reaction("email", receipts=("processed", "bounce")),
    "full.invalid": Reaction("email", receipts=("processed", "blocked")),
    "spam.invalid": Reaction("email", receipts=("processed", "delivered", "spamreport")),
}
#: In a range that the French plan keeps for fiction. Calls are named after SIP's statuses, and 888 is voicemail.
TEST_NUMBERS = {
    ("sms", "+33639983003"): _undelivered("30003"),
    ("sms", "+33639983005"): _undelivered("30005"),
    ("voice", "+33639980486"): Reaction("voice", answer="busy"),
    ("voice", "+33639980480"): Reaction("voice", answer="no-answer"),
    ("voice", "+33639980888"): Reaction("voice", answer="machine"),
}


def parse_reactions(text: str | bytes) -> list[Reaction]:
    """Read one reaction or a list of them, in JSON or YAML; errors as `orders.parse`."""
    return parse(Reaction, text)


def load_reactions(path: Path) -> list[Reaction]:
    """Read the reactions ordered in a JSON or YAML file; errors as `orders.parse`."""
    return parse_reactions(path.read_bytes())


class Reactions(Orders[Reaction]):
    """The orders in force. The test addresses' own stay when they are cleared."""

    def of(self, channel: ChannelName, to: str, attempt: str = "") -> Reaction:
        """The reaction this message meets, else its test address's, else the usual one."""
        found = self.take(channel, to, attempt) or TEST_NUMBERS.get((channel, to))
        return found or TEST_DOMAINS.get(to.rpartition("@")[2].lower()) or USUAL
