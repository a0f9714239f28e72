"""What goes into dramatiq's queues: ids, never personal data, once a case is open."""

from datetime import datetime
from typing import Protocol

import dramatiq

#: Jobs from upstream, and all other types, which are drained first.
REMINDERS, FACTS = "reminders", "facts"
#: What providers report and debtors write.
INBOUND = "inbound"


class Queues(Protocol):
    """The part of the broker that those who enqueue need."""

    def enqueue(self, message: "dramatiq.Message[None]") -> object:
        """Put a message into its queue."""
        ...

    def waiting(self, *queues: str) -> dict[str, int]:
        """How many messages are in each, fetched ones included."""
        ...


def send_message(channel: str, attempt: str, at: datetime | None) -> "dramatiq.Message[None]":
    """Ask the channel's workers to send an attempt. `at`: the ladder time it was decided for, in a rehearsal."""
    kwargs = {"attempt": attempt} | ({"at": at.isoformat()} if at else {})
    return dramatiq.Message(queue_name=channel, actor_name=f"send_{channel}", args=(), kwargs=kwargs, options={})


def ask_message(channel: str, what: str, attempt: str) -> "dramatiq.Message[None]":
    """Have the channel's workers ask the provider about an attempt: they have its credentials."""
    kwargs = {"attempt": attempt, "what": what}
    return dramatiq.Message(queue_name=channel, actor_name=f"ask_{channel}", args=(), kwargs=kwargs, options={})
