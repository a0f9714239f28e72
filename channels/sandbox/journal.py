"""What the sandbox remembers and writes down: one JSON line per fact, in the order things happened."""

import itertools
import json
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from channels.sandbox.faults import Fault
from channels.sandbox.orders import ChannelName

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one address, as the provider understood it. `id` is the provider's own; `attempt` the sender's.

    `headers` are an email's.
    """

    channel: ChannelName
    id: str
    attempt: str
    to: str
    sender: str
    subject: str
    text: str
    message_id: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> Entry:
        """Its fields as the log names them."""
        fields = asdict(self)
        return {("from" if name == "sender" else name): value for name, value in fields.items()}


class Journal:
    """The log and the memory of all three servers.

    A line is written by one call, without a buffer of ours, so a killed sandbox loses none that was begun. Every line
    carries `run` (one life of a sandbox), since a log may be appended to by many.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._accepted: list[Entry] = []
        self._run = secrets.token_hex(4)
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, event: str, **fields: Any) -> Entry:
        """Append one fact, stamped with the real time, and return it. Raises `OSError` when the disk refuses."""
        with self._lock:
            entry = {"event": event, "at": datetime.now(UTC).isoformat(), "run": self._run, **fields}
            if self._file is not None:
                os.write(self._file, json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            if event == "accepted":
                self._accepted.append(entry)
        return entry

    def open(self, provider: str, channel: ChannelName, **fields: Any) -> "Exchange":
        """Begin a request: numbers it and writes "opened"."""
        exchange = self.begin(provider, channel)
        exchange.write("opened", **fields)
        return exchange

    def begin(self, provider: str, channel: ChannelName) -> "Exchange":
        """Begin what the sandbox does of its own accord; numbers it."""
        return Exchange(self, provider, channel, next(self._numbers))

    def accepted(self) -> list[Entry]:
        """Every "accepted" entry of this run, oldest first."""
        with self._lock:
            return list(self._accepted)

    def close(self) -> None:
        """Close the file; what is written afterwards stays in memory only."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None


class Exchange:
    """One request from its first byte to its end."""

    def __init__(self, journal: Journal, provider: str, channel: ChannelName, number: int) -> None:
        self._journal = journal
        self._fields: Entry = {"provider": provider, "channel": channel, "request": number}

    @property
    def number(self) -> int:
        """The request's own number."""
        return int(self._fields["request"])

    def write(self, event: str, **fields: Any) -> None:
        """Append a fact of this request."""
        self._journal.write(event, **{**self._fields, **fields})

    def decide(self, message: Message, fault: Fault | None) -> None:
        """Take a message, or not, as the fault has it; to be called before the first byte of the answer leaves."""
        if fault is None or fault.accepts:
            self.write("accepted", **message.fields(), fault=fault and fault.kind)
        else:
            self.failed(message.to, message.attempt, fault)

    def failed(self, to: str, attempt: str, fault: Fault) -> None:
        """A message to that address met a fault and is not taken; called as `decide` is."""
        self.write("failed", attempt=attempt, to=to, fault=fault.kind)

    def delayed(self, message: Message, seconds: float) -> None:
        """What was taken appears in lists only so much later."""
        self.write("delayed", id=message.id, attempt=message.attempt, seconds=seconds)

    def listed(self, asked: Mapping[str, str], count: int | None, fault: Fault | None) -> None:
        """A list was asked for; `count` is how many it holds, or None where a fault kept it from being made."""
        self.write("listed", **asked, count=count, fault=fault and fault.kind)

    def answered(self, status: int) -> None:
        """The whole answer was handed to the network."""
        self.write("answered", status=status)

    def dropped(self, why: str) -> None:
        """The request ended without an answer."""
        self.write("dropped", why=why)
