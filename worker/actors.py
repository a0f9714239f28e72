"""The actors: thin doors between dramatiq's queues and the work, declared on the broker they are given."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dramatiq
from dramatiq.middleware import CurrentMessage

from worker.app import App
from worker.broker import SafeBroker
from worker.inbound import receive
from worker.inbox import read_receipt, read_reply
from worker.intake import take, tell_of_refusal
from worker.jobs import SCHEMAS, BadJob
from worker.queues import FACTS, INBOUND, REMINDERS
from worker.replies import listen
from worker.sending import deliver
from worker.settling import recall, settle
from worker.store import until_it_answers

#: Facts are drained first: a payment in the queue stops the reminders behind it.
FACT_PRIORITY, REMINDER_PRIORITY = 0, 10


def declare(app: App, broker: SafeBroker) -> None:
    """Declare every actor: one per type of job, one per channel. What is tried again is the case, never an actor."""
    for kind in SCHEMAS:
        reminder = kind == "reminder_due"
        dramatiq.actor(
            actor_name=kind,
            queue_name=REMINDERS if reminder else FACTS,
            priority=REMINDER_PRIORITY if reminder else FACT_PRIORITY,
            broker=broker,
        )(_job_actor(app, broker, kind))
    dramatiq.actor(actor_name="inbound", queue_name=INBOUND, priority=FACT_PRIORITY, broker=broker)(_inbound_actor(app))
    for channel in app.config.channels:
        dramatiq.actor(actor_name=f"send_{channel}", queue_name=channel, broker=broker)(_send_actor(app))
        dramatiq.actor(actor_name=f"ask_{channel}", queue_name=channel, broker=broker)(_ask_actor(app))


def _job_actor(app: App, broker: SafeBroker, kind: str) -> Callable[..., None]:
    def accept(*args: Any, job: Any = None, **unknown: Any) -> None:
        message = CurrentMessage.get_current_message()
        if message is None:
            raise RuntimeError("an actor runs in a worker")
        enqueued = datetime.fromtimestamp(message.message_timestamp / 1000, UTC)
        try:
            if args or unknown:
                raise BadJob(["expected exactly kwargs={'job': {...}}"])
            until_it_answers(lambda: take(app, job, enqueued_at=enqueued, expected=kind))
        except BadJob as error:
            payload, problems = message.encode(), error.problems
            kept = until_it_answers(lambda: broker.rejected.add(payload, "; ".join(problems), message.queue_name))
            until_it_answers(lambda: tell_of_refusal(app, job, problems, kept))

    return accept


def _inbound_actor(app: App) -> Callable[..., None]:
    def inbound(receipt: dict[str, Any] | None = None, reply: str | dict[str, Any] | None = None) -> None:
        if receipt is not None:
            report = read_receipt(receipt)
            until_it_answers(lambda: receive(app, report))
        if reply is not None:
            until_it_answers(lambda: listen(app, read_reply(app, reply)))

    return inbound


def _send_actor(app: App) -> Callable[..., None]:
    def send(attempt: str, at: str | None = None) -> None:
        when = datetime.fromisoformat(at) if at else None
        until_it_answers(lambda: deliver(app, attempt, when))

    return send


def _ask_actor(app: App) -> Callable[..., None]:
    def ask(attempt: str, what: str) -> None:
        work = {"settle": settle, "recall": recall}[what]
        until_it_answers(lambda: work(app, attempt))

    return ask
