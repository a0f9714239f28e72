"""Faults to order, and which request meets which."""

import threading
from collections.abc import Iterable
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

Kind = Literal["429", "500", "503", "refuse", "hang", "drop", "accept_then_drop", "accept_then_500", "late"]
ChannelName = Literal["email", "sms", "voice"]

ACCEPTING: frozenset[Kind] = frozenset({"accept_then_drop", "accept_then_500", "late"})
SILENT: frozenset[Kind] = frozenset({"hang", "drop", "accept_then_drop"})


@dataclass(frozen=True, slots=True, config={"extra": "forbid"})
class Fault:
    """One way to misbehave.

    `channel` and `to` narrow it (`to` is a glob over the address, case ignored; None means any). `times` is how many
    messages meet it before it is used up (None: all). `seconds` is the wait of "hang" (0: until the client leaves or
    the sandbox ends) and "late", and what "429" asks the client to wait (0: one second).
    Raises `pydantic.ValidationError` for an unknown kind, channel or a negative number.
    """

    kind: Annotated[Kind, BeforeValidator(str)]  # YAML reads a bare 429 as a number
    channel: ChannelName | None = None
    to: str | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0

    @property
    def accepts(self) -> bool:
        """Is the message taken all the same?"""
        return self.kind in ACCEPTING

    @property
    def silent(self) -> bool:
        """Does the client go without an answer?"""
        return self.kind in SILENT

    def meets(self, channel: ChannelName, to: str) -> bool:
        """Is this fault meant for a message of that channel to that address?"""
        return self.channel in (None, channel) and (self.to is None or fnmatchcase(to.lower(), self.to.lower()))


REFUSED, DOWN = Fault("refuse"), Fault("500")
TEST_DOMAINS = {"bounce.invalid": REFUSED, "down.invalid": DOWN}


def parse_faults(text: str | bytes) -> list[Fault]:
    """Read one fault or a list of them, in JSON or YAML. Raises `ValueError` or `yaml.YAMLError` for anything else."""
    found = yaml.safe_load(text) or []
    return TypeAdapter(list[Fault]).validate_python(found if isinstance(found, list) else [found])


def load_faults(path: Path) -> list[Fault]:
    """Read the faults ordered in a JSON or YAML file; errors as `parse_faults`."""
    return parse_faults(path.read_bytes())


class Faults:
    """The orders in force, shared by every server thread. The first that meets a message wins."""

    def __init__(self, orders: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._orders: list[_Order] = [_Order(fault, fault.times) for fault in orders]

    def order(self, fault: Fault) -> None:
        """Add a fault after those already ordered."""
        with self._lock:
            self._orders.append(_Order(fault, fault.times))

    def clear(self) -> None:
        """Forget every ordered fault; the test addresses stay."""
        with self._lock:
            self._orders.clear()

    def take(self, channel: ChannelName, to: str) -> Fault | None:
        """Return the fault this message meets, one of its `times` used up, or the test address's own, or None."""
        with self._lock:
            order = next((order for order in self._orders if order.meets(channel, to)), None)
            if order is None:
                return TEST_DOMAINS.get(to.rpartition("@")[2].lower())
            order.use()
            return order.fault


@dataclass(slots=True)
class _Order:
    fault: Fault
    left: int | None = field(default=None)

    def meets(self, channel: ChannelName, to: str) -> bool:
        return self.left != 0 and self.fault.meets(channel, to)

    def use(self) -> None:
        if self.left is not None:
            self.left -= 1
