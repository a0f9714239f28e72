"""Faults to order, and which request meets which."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator
from pydantic.dataclasses import dataclass

from channels.sandbox.orders import ChannelName, Orders, Seconds, Share, Times, parse

Kind = Literal["429", "500", "503", "refuse", "hang", "drop", "accept_then_drop", "accept_then_500", "late"]
#: What a fault is about: a request to send, or one for a list of what was sent.
Target = Literal["send", "list"]

ACCEPTING: frozenset[Kind] = frozenset({"accept_then_drop", "accept_then_500", "late"})
SILENT: frozenset[Kind] = frozenset({"hang", "drop", "accept_then_drop"})


@dataclass(frozen=True, slots=True, config={"extra": "forbid"})
class Fault:
    """One way to misbehave.

    `on` says whether sends meet it or lists; `seconds` is the wait of "hang" (0: until the client leaves or the sandbox
    ends) and "late", and what "429" asks the client to wait (0: one second). The other fields are those of every order
    (`orders.Aimed`).
    Raises `pydantic.ValidationError` for an unknown kind, channel or a number out of range, and for a list that would
    accept something.
    """

    kind: Annotated[Kind, BeforeValidator(str)]  # YAML reads a bare 429 as a number
    channel: ChannelName | None = None
    to: str | None = None
    times: Times | None = None
    seconds: Seconds = 0.0
    every: Times = 1
    share: Share | None = None
    on: Target = "send"

    @model_validator(mode="after")
    def _lists_accept_nothing(self) -> "Fault":
        if self.on == "list" and self.kind.startswith("accept_"):
            raise ValueError(f"on: a list accepts nothing, so it cannot {self.kind}")
        return self

    @property
    def accepts(self) -> bool:
        """Is the message taken all the same?"""
        return self.kind in ACCEPTING

    @property
    def silent(self) -> bool:
        """Does the client go without an answer?"""
        return self.kind in SILENT

    @property
    def delay(self) -> float:
        """The seconds before a good answer."""
        return self.seconds if self.kind == "late" else 0.0


REFUSED, DOWN = Fault("refuse"), Fault("500")
TEST_DOMAINS = {"bounce.invalid": REFUSED, "down.invalid": DOWN}


def parse_faults(text: str | bytes) -> list[Fault]:
    """Read one fault or a list of them, in JSON or YAML; errors as `orders.parse`."""
    return parse(Fault, text)


def load_faults(path: Path) -> list[Fault]:
    """Read the faults ordered in a JSON or YAML file; errors as `orders.parse`."""
    return parse_faults(path.read_bytes())


class Faults:
    """The orders in force, those for sends and those for lists, each counted for itself."""

    def __init__(self, orders: Iterable[Fault] = (), seed: int = 0) -> None:
        self._orders: dict[Target, Orders[Fault]] = {"send": Orders(seed=seed), "list": Orders(seed=seed)}
        for fault in orders:
            self.order(fault)

    def order(self, fault: Fault) -> None:
        """Add a fault after those already ordered."""
        self._orders[fault.on].order(fault)

    def clear(self) -> None:
        """Forget every ordered fault; the test addresses stay."""
        for orders in self._orders.values():
            orders.clear()

    def on_send(self, channel: ChannelName, to: str, attempt: str = "") -> Fault | None:
        """The fault this message meets, one of its `times` used up, or the test address's own, or None."""
        return self._orders["send"].take(channel, to, attempt) or TEST_DOMAINS.get(to.rpartition("@")[2].lower())

    def on_list(self, channel: ChannelName, to: str, request: int) -> Fault | None:
        """The fault this request for a list meets, or None. It is picked by its number, having no attempt."""
        return self._orders["list"].take(channel, to, str(request))
