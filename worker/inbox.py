"""What comes in from outside is handed in here and worked on later: the door that took it has nothing more to do.

A receipt is ids and words of ours, and goes into the queue. What a person wrote is kept in the store, and the queue
bears its id.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, cast

import dramatiq

from channels.base import Receipt, Reply
from worker.app import App
from worker.queues import INBOUND

#: How long what a person wrote waits to be worked on, and is kept after that.
KEPT = timedelta(days=30)
#: Bytes that are kept of a mail that could not be read.
LONGEST_ASIDE = 1_000_000


def hand_in_receipt(app: App, receipt: Receipt) -> None:
    """Queue it. Raises redis errors. May be repeated."""
    hand_in_receipts(app, [receipt])


def hand_in_receipts(app: App, receipts: Sequence[Receipt]) -> None:
    """Queue them all. Raises redis errors; then some of them may be queued, and all may be handed in again."""
    for receipt in receipts:
        fields = {name: value for name, value in asdict(receipt).items() if value}
        if receipt.at:
            fields["at"] = receipt.at.isoformat()
        app.broker.enqueue(_message(receipt=fields))


def hand_in_reply(app: App, reply: Reply) -> None:
    """Keep it in the store, then queue its id. Raises redis errors. May be repeated.

    Half a character, which a mail may claim to hold, is kept as a question mark.
    """
    name = blake2b(f"{reply.channel}|{reply.to}|{reply.id}".encode("utf-8", "replace"), digest_size=10).hexdigest()
    text = json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "replace")
    app.client.set(_key(name), text, ex=KEPT)
    app.broker.enqueue(_message(reply=name))


def hand_in_again(app: App, names: Sequence[str]) -> None:
    """Queue what is kept in the store under these names: what was heard of it before is not heard twice."""
    for name in names:
        app.broker.enqueue(_message(reply=name))


def hand_in_mail(app: App, found: Reply | Receipt | None) -> None:
    """What was read of a mail; nothing is fine too. Raises redis errors. May be repeated."""
    if isinstance(found, Reply):
        hand_in_reply(app, found)
    elif found:
        hand_in_receipt(app, found)


def set_aside_mail(app: App, raw: bytes, why: str) -> None:
    """Keep what could not be read, for a person: somebody may have written it. `why` is logged. Raises redis errors."""
    app.broker.rejected.add(raw[:LONGEST_ASIDE], why, INBOUND)


def read_receipt(fields: dict[str, Any]) -> Receipt:
    """What `hand_in_receipt` queued. Raises TypeError and ValueError for anything else."""
    at = fields.get("at")
    return Receipt(**{**fields, "at": datetime.fromisoformat(at) if at else None})


def read_reply(app: App, reply: str | dict[str, Any]) -> Reply:
    """What was handed in: by its id or, of one that was set aside, whole. Raises LookupError and TypeError."""
    if isinstance(reply, dict):
        return Reply(**reply)
    kept = cast("str | None", app.client.get(_key(reply)))
    if kept is None:
        raise LookupError("the reply is not kept any more")
    return Reply(**json.loads(kept))


def whole(reply: Reply) -> "dramatiq.Message[None]":
    """The queue's message with all of the reply in it, for the list of what could not be taken."""
    return _message(reply=asdict(reply))


def _key(name: str) -> str:
    return f"relance:inbox:{name}"


def _message(**fact: Any) -> "dramatiq.Message[None]":
    return dramatiq.Message(queue_name=INBOUND, actor_name="inbound", args=(), kwargs=fact, options={})
