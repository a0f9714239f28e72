"""What Twilio reports of messages and calls, and what people text back, in our words.

A form is given as one value a field. None is whatever says nothing of a message of ours. No number, and no text of
Twilio's, goes into a receipt: a code is a number of Twilio's or one of the words below.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, cast

from channels.base import Receipt, ReceiptWhat, Reply
from channels.twilio_errors import undelivered

Form = Mapping[str, str]

#: A message's status; None: its error code says.
MESSAGES: dict[str, ReceiptWhat | None] = {
    "accepted": "taken",
    "scheduled": "taken",
    "queued": "taken",
    "sending": "taken",
    "sent": "sent",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "delivered",
    "undelivered": None,
    "failed": None,
    "canceled": None,
}
#: A call's status.
CALLS: dict[str, ReceiptWhat] = {
    "queued": "taken",
    "initiated": "taken",
    "ringing": "taken",
    "in-progress": "answered",
    "completed": "ended",
    "busy": "unanswered",
    "no-answer": "unanswered",
    "failed": "unanswered",
    "canceled": "unanswered",
}
#: Who answered; an unknown is somebody until they press nothing.
ANSWERED_BY: dict[str, ReceiptWhat] = {
    "human": "answered",
    "unknown": "answered",
    "machine_start": "machine",
    "machine_end_beep": "machine",
    "machine_end_silence": "machine",
    "machine_end_other": "machine",
    "fax": "machine",
}
#: What the telephone network says of a number that is none: gone, incomplete, nowhere. Not 404, with which networks
#: also say that they know no way there just now.
_NO_NUMBER = {"410", "484", "604"}

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_CODE = re.compile(r"[1-9][0-9]{4}")
#: Twilio's longest message has 1,600 characters, and what it puts together from parts hardly more.
_LONGEST = 10_000


def sms_receipt(attempt: str, form: Form) -> Receipt | None:
    """What a message's status says of that attempt."""
    status = form.get("MessageStatus") or form.get("SmsStatus", "")
    if status not in MESSAGES:
        return None
    what, error = MESSAGES[status], _error(form)
    code = error if what is None and error else status
    return _receipt(attempt, what or undelivered(error), code, form, "MessageSid", "SmsSid")


def call_receipt(attempt: str, form: Form) -> Receipt | None:
    """What a call's status says of that attempt: a number that is none is never called again."""
    status = form.get("CallStatus", "")
    if status not in CALLS:
        return None
    what, code = CALLS[status], status
    if status == "completed" and ANSWERED_BY.get(answered_by := form.get("AnsweredBy", "")) == "machine":
        what, code = "machine", answered_by
    elif status == "failed":
        what, code = _failed(form)
    return _receipt(attempt, what, code, form, "CallSid")


def machine_receipt(attempt: str, form: Form) -> Receipt | None:
    """What the detection of voicemails found, once the call had been answered."""
    answered_by = form.get("AnsweredBy", "")
    what = ANSWERED_BY.get(answered_by)
    return _receipt(attempt, what, answered_by, form, "CallSid") if what else None


def sms_reply(form: Form) -> Reply | None:
    """What somebody texted. `keyword` where Twilio understood it as one and has answered it."""
    sid, sender = _sid(form, "MessageSid", "SmsSid"), form.get("From", "")
    if not sid or not sender:
        return None
    keyword = form.get("OptOutType", "").upper()
    return Reply(
        id=sid,
        channel="sms",
        to=form.get("To", "")[:100],
        sender=sender[:100],
        text=form.get("Body", "")[:_LONGEST],
        keyword=cast(Literal["", "STOP", "START", "HELP"], keyword if keyword in ("STOP", "START", "HELP") else ""),
    )


def _failed(form: Form) -> tuple[ReceiptWhat, str]:
    """Why a call could not be placed."""
    answer = form.get("SipResponseCode", "")
    if answer in _NO_NUMBER:
        return "hard", f"sip {answer}"
    error = _error(form)
    meaning = undelivered(error)
    return ("unanswered" if meaning == "soft" else meaning), error or "failed"


def _receipt(attempt: str, what: ReceiptWhat, code: str, form: Form, *ids: str) -> Receipt:
    return Receipt(attempt, what, "twilio", code, _sid(form, *ids), _at(form))


def _error(form: Form) -> str:
    code = form.get("ErrorCode", "")
    return code if _CODE.fullmatch(code) else ""


def _sid(form: Form, *names: str) -> str:
    return next((form[name] for name in names if _SID.fullmatch(form.get(name, ""))), "")


def _at(form: Form) -> datetime | None:
    """A call's status says when; a message's does not."""
    try:
        at = parsedate_to_datetime(form.get("Timestamp", "")[:60])
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None
