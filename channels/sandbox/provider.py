"""What an HTTP provider is to the sandbox: it reads a request, and says what its answers look like."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message as Headers
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from channels.sandbox.faults import Fault
from channels.sandbox.journal import Exchange, Message
from channels.sandbox.orders import ChannelName


@dataclass(frozen=True)
class Request:
    """One HTTP request, whole. `target` is the path with its query."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @cached_property
    def url(self) -> SplitResult:
        """The target, split."""
        return urlsplit(self.target)

    @cached_property
    def basic(self) -> tuple[str, str] | None:
        """User and password of Basic authentication, or None."""
        scheme, _, word = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(word, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (user, password) if user and colon else None

    @cached_property
    def bearer(self) -> str | None:
        """The bearer token, or None."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer whose body is JSON."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


def nothing(_exchange: Exchange) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """A request to send: what would be accepted, the answer to that, and what acceptance entails.

    `keep` and then `before` run once the acceptance is logged and before the answer; `afterwards` once the request is
    over, answered or not. Receipts belong in the last two (`Aftermath`).
    """

    messages: tuple[Message, ...]
    answer: Answer
    keep: Callable[[Exchange], None] = nothing
    before: Callable[[Exchange], None] = nothing
    afterwards: Callable[[Exchange], None] = nothing


@dataclass(frozen=True, slots=True)
class Look:
    """A request for a list of what was accepted, the answer to it, and how many are in that.

    `asked` is what the log tells of it: `to` and `from`, "" for any, and the `query` as it came.
    """

    channel: ChannelName
    asked: Mapping[str, str]
    answer: Answer
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change what was accepted. `make` does so, writes it down first, and answers."""

    make: Callable[[Exchange], Answer]


class Provider(Protocol):
    """One provider's HTTP interface."""

    name: str

    def channel(self, path: str) -> ChannelName:
        """Which channel a path serves."""
        ...

    def authenticate(self, request: Request) -> Answer | None:
        """The provider's refusal of these credentials, or None when they will do."""
        ...

    def read(self, request: Request) -> Order | Look | Change | Answer:
        """Understand a request: to send, to list, to change; or the answer to anything else, refusals included."""
        ...

    def fail(self, fault: Fault, to: str) -> Answer:
        """The provider's own words for a fault that answers; `to` is the address that met it."""
        ...

    def invalid(self, errors: list[str]) -> Answer:
        """The provider's own words for a request that breaks its contract."""
        ...
