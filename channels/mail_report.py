"""What mail servers and mailbox providers report of an email of ours: a parsed report in, a receipt or nothing out.

A delivery status notification (RFC 3464), what qmail and older Exims write, a complaint (RFC 5965). Whose attempt it
is about says the header X-Relance-Attempt of the message that came back. Nothing that a server wrote is passed on but
its status: the rest quotes mailboxes.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime

from channels.base import Receipt, ReceiptWhat
from channels.mail_text import content

#: What an enhanced status of a failure (RFC 3463) means, the longest that fits; of what is not here nobody knows, and
#: it is `soft`, which may pass. Only what blames the mailbox or its domain is `hard`, since nothing goes there again.
#: 5.2.2 is a full mailbox, and 5.4 is about the way there. 5.4.1 is what Exchange Online says of a mailbox it does not
#: know, and of a domain that has just moved there; 5.4.4 is said of a domain that is gone, and of one whose name server
#: is away. 5.7.1 is a spam filter's no as well as that of a list for members; what Microsoft and Google add from 5.7.20
#: on is about us.
STATUSES: dict[str, ReceiptWhat] = {
    "5.1.0": "hard",
    "5.1.1": "hard",
    "5.1.2": "hard",
    "5.1.3": "hard",
    "5.1.6": "hard",
    "5.1.7": "account",
    "5.1.8": "account",
    "5.1.10": "hard",
    "5.2.1": "hard",
    "5.7.8": "account",
    "5.7.9": "account",
    **{f"5.7.{number}": "account" for number in (*range(20, 31), 57, 60, 64)},
    "5.7.5xx": "account",
    "5.7.6xx": "account",
    "5.7.7xx": "account",
}
#: What a report says was done with the message, where it was not refused.
ACTIONS: dict[str, ReceiptWhat] = {
    "delivered": "delivered",
    "relayed": "delivered",
    "expanded": "delivered",
    "delayed": "deferred",
}
#: What a person, or a program for them, made of the message.
COMPLAINTS: dict[str, ReceiptWhat] = {
    "abuse": "complained",
    "fraud": "complained",
    "opt-out": "unsubscribed",
    "opt-out-list": "unsubscribed",
}
#: Recipients of a report that are looked at; a message of ours has one.
MOST_RECIPIENTS = 20
#: Bytes of a part that are searched.
SEARCHED = 100_000

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_ATTEMPT = re.compile(rb"^X-Relance-Attempt:[ \t]*(?:\r?\n[ \t]+)?([A-Za-z0-9_.-]{1,200})[ \t]*\r?$", re.M | re.I)
#: What servers say in words of a mailbox that is none, where their status is a general one.
_NOBODY = re.compile(
    r"user unknown|unknown user|no such (?:user|recipient|mailbox)"
    r"|(?:user|mailbox|address|account) (?:does not|doesn't) exist"
    r"|utilisateur inconnu|adresse inconnue|recipient not found",
    re.I,
)
_DELAYED = re.compile(r"delay|warning|not yet been delivered|retard", re.I)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
#: The better news of several recipients: one whom it reached has it.
_BEST: tuple[ReceiptWhat, ...] = ("delivered", "deferred", "soft", "account", "hard")

_REPORTS = ("message/delivery-status", "message/global-delivery-status", "message/feedback-report")


def is_report(mail: "Message[str, str]", headers: Mapping[str, str]) -> bool:
    """Did a machine write it about another mail?"""
    return is_bounce(headers) or any(part.get_content_type() in _REPORTS for part in _parts(mail))


def is_bounce(headers: Mapping[str, str]) -> bool:
    """The same, by the headers alone."""
    return (
        headers.get("content-type", "").lower().startswith("multipart/report")
        or "x-failed-recipients" in headers
        or parseaddr(headers.get("from", "")[:300])[1].lower().startswith("mailer-daemon@")
    )


def read_report(mail: "Message[str, str]", headers: Mapping[str, str], raw: bytes) -> Receipt | None:
    """What it says of an attempt of ours; None where it says nothing, or of somebody else's mail."""
    attempt = _attempt(mail, raw)
    if not attempt:
        return None
    sent = headers.get("date", "")
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind in _REPORTS:
            read = _complaint if kind == "message/feedback-report" else _notified
            return read(attempt, _blocks(part), sent)
    if "disposition-notification" in headers.get("content-type", "").lower():
        return None  # it was read, or not; that says nothing
    return told_in_words(headers, raw)


def told_in_words(headers: Mapping[str, str], data: bytes) -> Receipt | None:
    """What a report without a part for machines says before the message that it returns."""
    attempt = _ATTEMPT.search(data)
    if attempt is None:
        return None
    words = data[: attempt.start()][:SEARCHED].decode("ascii", "replace")
    what, code = _failed("", words)
    if _DELAYED.search(headers.get("subject", "")):
        what = "deferred"
    return Receipt(attempt[1].decode(), what, "smtp", code, at=_moment(headers.get("date", "")))


def _parts(mail: "Message[str, str]") -> Iterator["Message[str, str]"]:
    """Its parts, those of a mail within it left out: a person may pass a report on."""
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        yield part
        inside = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inside, list):
            waiting += reversed([each for each in inside if isinstance(each, Message)])


def _attempt(mail: "Message[str, str]", raw: bytes) -> str:
    """Of the message that came back: whole, or its headers, encoded for travel or not."""
    for part in _parts(mail):
        for inside in _inside(part):
            if found := _NAME.fullmatch(str(inside.get("X-Relance-Attempt", "")).strip()):
                return found[0]
    for data in [*(content(part)[:SEARCHED] for part in _parts(mail)), raw]:
        if line := _ATTEMPT.search(data):
            return line[1].decode()
    return ""


def _inside(part: "Message[str, str]") -> list["Message[str, str]"]:
    """The mail in a part, or the blocks of a report; so many of them."""
    inside = part.get_payload()
    found = inside[: MOST_RECIPIENTS + 1] if isinstance(inside, list) else []
    return [each for each in found if isinstance(each, Message)]


def _blocks(part: "Message[str, str]") -> list[dict[str, str]]:
    """The fields of a report, in blocks: of the whole first, then of each recipient. Names in small letters."""
    return [
        {name.lower(): " ".join(str(value).split()) for name, value in block.raw_items()} for block in _inside(part)
    ]


def _complaint(attempt: str, blocks: list[dict[str, str]], sent: str) -> Receipt | None:
    fields = blocks[0] if blocks else {}
    kind = fields.get("feedback-type", "").lower()
    what = COMPLAINTS.get(kind)
    at = _moment(fields.get("arrival-date") or fields.get("received-date") or sent)
    return Receipt(attempt, what, "smtp", kind, at=at) if what else None


def _notified(attempt: str, blocks: list[dict[str, str]], sent: str) -> Receipt | None:
    found = [(*done, block) for block in blocks if (done := _done(block))]
    if not found:
        return None
    what, code, block = min(found, key=lambda each: _BEST.index(each[0]))
    return Receipt(attempt, what, "smtp", code, at=_moment(block.get("last-attempt-date") or sent))


def _done(block: Mapping[str, str]) -> tuple[ReceiptWhat, str] | None:
    """What became of it for one recipient, and the status."""
    action = block.get("action", "").partition(" ")[0].lower()
    if action == "failed":
        return _failed(block.get("status", ""), block.get("diagnostic-code", ""))
    what = ACTIONS.get(action)
    status = _STATUS.search(block.get("status", ""))
    return (what, status[1] if status else action) if what else None


def _failed(status: str, words: str) -> tuple[ReceiptWhat, str]:
    """What a failure with that status means; where it is a general one, the server's own words may have a better."""
    said = [found[1] for text in (status, words) for found in _STATUS.finditer(text[:SEARCHED])]
    told = next((each for each in said if not each.endswith(".0.0")), said[0] if said else "failed")
    nobody = not told[-1].isdecimal() or told == "5.0.0"
    return ("hard" if nobody and _NOBODY.search(words[:SEARCHED]) else _meaning(told)), told


def _meaning(status: str) -> ReceiptWhat:
    head, _, detail = status.rpartition(".")
    family = f"{head}.{detail[0]}xx" if len(detail) == 3 else ""
    return STATUSES.get(status) or STATUSES.get(family, "soft")


def _moment(date: str) -> datetime | None:
    """A date as mail writes it; None for one that is none, or that nobody can have meant."""
    try:
        found = parsedate_to_datetime(date[:100])
        at = found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if at and 2000 <= at.year < 2100 else None
