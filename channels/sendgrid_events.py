"""What SendGrid's events say of an email, in our words: one event, as JSON gives it, in; a receipt or nothing out.

Nothing of `reason` and `response` is passed on: they quote mailboxes. A code is an SMTP status or a word of ours.
Opens and clicks say nothing: mail programs and scanners do both.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from channels.base import Receipt, ReceiptWhat

#: Events that need no further look.
EVENTS: dict[str, ReceiptWhat] = {
    "processed": "taken",
    "deferred": "deferred",
    "delivered": "delivered",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
#: Why it never left, by how the reason begins; SendGrid's own suppressions among them. Somebody who had reported an
#: earlier message as spam did not get this one, and wants none.
DROPPED: dict[str, ReceiptWhat] = {
    "bounced address": "hard",
    "invalid smtpapi header": "content",
    "invalid": "hard",
    "unsubscribed address": "opted_out",
    "group unsubscribe": "opted_out",
    "spam reporting address": "opted_out",
    "spam content": "content",
    "recipient list over package quota": "account",
}
#: How SendGrid classifies a bounce; what is not here is told by its type and status.
CLASSES: dict[str, ReceiptWhat] = {
    "invalid address": "hard",
    "content": "content",
    "reputation": "account",
    "technical failure": "soft",
    "frequency or volume too high": "soft",
}

_ATTEMPT = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MESSAGE = re.compile(r"[A-Za-z0-9_-]{1,100}")
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
#: Enhanced status codes (RFC 3463) of an address that is none: mailbox, system or syntax; moved; no mail server.
_NO_ADDRESS = {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}


def event_receipt(event: Mapping[str, object]) -> Receipt | None:
    """What an event says of an attempt of ours; None where it says nothing, or of somebody else's message."""
    attempt = _text(event, "relance_attempt")
    meaning = _meaning(event)
    if meaning is None or not _ATTEMPT.fullmatch(attempt):
        return None
    what, code = meaning
    return Receipt(attempt, what, "sendgrid", code, _message(event), _at(event))


def _meaning(event: Mapping[str, object]) -> tuple[ReceiptWhat, str] | None:
    name = _text(event, "event")
    if name == "bounce":
        return _bounce(event)
    if name == "dropped":
        return _dropped(_text(event, "reason").lower())
    what = EVENTS.get(name)
    return (what, name) if what else None


def _bounce(event: Mapping[str, object]) -> tuple[ReceiptWhat, str]:
    """SendGrid never writes again to what it calls `bounce`; `blocked` and `expired` may pass."""
    kind, named = _text(event, "type").lower(), _text(event, "bounce_classification").lower()
    status = _text(event, "status")
    code = status if _STATUS.fullmatch(status) else _word(named if named in CLASSES else kind)
    gone = kind == "bounce" or status in _NO_ADDRESS
    return CLASSES.get(named, "hard" if gone else "soft"), code


def _dropped(reason: str) -> tuple[ReceiptWhat, str]:
    found = next((known for known in DROPPED if reason.startswith(known)), "")
    return DROPPED.get(found, "soft"), _word(found or "dropped")


def _word(text: str) -> str:
    """A word of SendGrid's lists as a code."""
    known = text in CLASSES or text in DROPPED or text in ("bounce", "blocked", "expired", "dropped")
    return text.replace(" ", "_") if known else "bounce"


def _text(event: Mapping[str, object], key: str) -> str:
    value = event.get(key)
    return value.strip() if isinstance(value, str) else ""


def _message(event: Mapping[str, object]) -> str:
    """The id that SendGrid gave when it took the message: what comes before the first dot."""
    found = _text(event, "sg_message_id").partition(".")[0]
    return found if _MESSAGE.fullmatch(found) else ""


def _at(event: Mapping[str, object]) -> datetime | None:
    value = event.get("timestamp")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**33:
        return None
    return datetime.fromtimestamp(value, UTC)
