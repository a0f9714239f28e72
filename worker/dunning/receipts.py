"""What a receipt changes. Receipts come late, twice and in any order; the end state is that of the good order.

Each word has a rank, and only a higher one than the last heard is an event. Of two that contradict each other the one
that a network would not take back wins: an SMS that was delivered was delivered; an email that was delivered to a
server may still bounce.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.dunning.model import Send
from worker.dunning.strategy import Step

#: The message did not arrive, and will not: another channel has to say it.
LOST = frozenset({"hard", "opted_out"})
#: It did not arrive, for a reason that may pass: it is tried once more, and then another channel says it.
MISSED = frozenset({"soft", "unanswered", "account"})
#: It did not arrive because of its words: stop the template, not the person.
REFUSED = frozenset({"content"})
#: Nobody got it, so it was no contact. A phone that rang in vain was one.
UNHEARD = LOST | REFUSED | {"soft", "account"}

_PHONE: Mapping[str, int] = {
    "taken": 1, "sent": 2, "deferred": 2, "answered": 3, "unanswered": 4, "soft": 5, "account": 5, "content": 5,
    "hard": 6, "opted_out": 6, "ended": 7, "machine": 8, "delivered": 9,
    "unsubscribed": 10, "complained": 11,
}  # fmt: skip
_EMAIL: Mapping[str, int] = {**_PHONE, "delivered": 3}

#: How long to wait before a message that reached nobody is tried once more (ladder time).
AGAIN, LATER = {"voice": timedelta(hours=3), "email": timedelta(hours=6)}, timedelta(hours=4)
#: How often a message is tried that did not arrive for a reason that may pass; a call has its step's own number.
TRIES = 2


def is_news(what: str, send: Send) -> bool:
    """Does it say more than what is known of that attempt? To a message that was refused, nothing does."""
    if send.status == "rejected":
        return False
    if send.recall == "done" and what in ("unanswered", "soft"):
        return False  # that is how it is told that we had it cancelled
    ranks = _EMAIL if send.channel == "email" else _PHONE
    if what == "taken":
        return not was_accepted(send)
    return ranks[what] > ranks.get(send.receipt, 0)


def is_forgotten(send: Send) -> bool:
    """Would a receipt be of a call that is forgotten, nobody having called as far as is known?"""
    return send.status in ("reserved", "released")


def was_accepted(send: Send) -> bool:
    """Has the provider, or a receipt, said before that it took the message?"""
    return bool(send.receipt) or send.status in ("accepted", "undelivered")


def again_at(what: str, send: Send, step: Step | None, now: datetime) -> datetime | None:
    """When the message is tried once more; None if it is not."""
    if what in REFUSED:
        return now  # as soon as the hold that this places is lifted
    most = step.attempts if step and send.channel == "voice" else TRIES
    return now + AGAIN.get(send.channel, LATER) if what in MISSED and missed(what, send) < most else None


def missed(what: str, send: Send) -> int:
    """How many attempts will have reached nobody, once that word is heard of the latest."""
    return earlier(send) + (what in MISSED)


def earlier(send: Send) -> int:
    """How many attempts before the latest reached nobody."""
    return send.missed - (send.receipt in MISSED)
