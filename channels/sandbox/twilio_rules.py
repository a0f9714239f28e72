"""What Twilio refuses of a create, each with its error."""

import re
from datetime import UTC, datetime

from channels.sandbox.orders import ChannelName
from channels.sandbox.provider import Answer
from channels.sandbox.twilio_resources import Form, error

ADDRESS = re.compile(r"\+[1-9]\d{6,14}|[a-z]+:.+")

#: The numbers Twilio itself reserves for tests, and the error each one earns as To.
BAD_TO: dict[ChannelName, dict[str, tuple[int, str]]] = {
    "sms": {
        "+15005550001": (21211, "Invalid 'To' Phone Number"),
        "+15005550002": (21612, "The 'To' phone number is not currently reachable via SMS"),
        "+15005550003": (21408, "Permission to send an SMS has not been enabled for this region"),
        "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
        "+15005550009": (21614, "'To' number is not a valid mobile number"),
    },
    "voice": {
        "+15005550001": (21211, "Invalid 'To' Phone Number"),
        "+15005550002": (21214, "'To' phone number cannot be reached"),
        "+15005550003": (21215, "Account not authorized to call this region"),
        "+15005550004": (13225, "This phone number is blocked"),
    },
}
BAD_FROM: dict[str, tuple[int, str]] = {
    "+15005550001": (21212, "Invalid 'From' Phone Number"),
    "+15005550007": (21606, "The 'From' phone number is not owned by this account or not able to send"),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
#: What a create cannot do without: any one of the fields, or this error.
REQUIRED: dict[ChannelName, list[tuple[tuple[str, ...], int, str]]] = {
    "sms": [
        (("To",), 21604, "A 'To' phone number is required."),
        (("From", "MessagingServiceSid"), 21603, "A 'From' phone number is required."),
        (("Body", "MediaUrl", "ContentSid"), 21602, "Message body is required."),
    ],
    "voice": [
        (("To",), 21201, "No 'To' number is specified"),
        (("From",), 21213, "Caller phone number is required"),
        (("Url", "Twiml", "ApplicationSid"), 21205, "Url parameter is required."),
    ],
}
NO_SERVICE = (35118, "MessagingServiceSid is required to schedule a message")
NO_TIME = (35111, "SendAt timestamp is missing")
BAD_TIME = (35115, "Scheduling does not support this timestamp")


def refused(channel: ChannelName, form: Form, now: datetime) -> Answer | None:
    """The error that a create with this form earns at this time of the provider's, or None."""
    for fields, code, text in REQUIRED[channel]:
        if not any(form.get(field) for field in fields):
            return error(400, code, text)
    bad = BAD_TO[channel].get(form["To"]) or BAD_FROM.get(form.get("From", ""))
    if bad is not None:
        return error(400, *bad)
    if not ADDRESS.fullmatch(form["To"]):
        return error(400, 21211, f"The 'To' number {form['To']} is not a valid phone number.")
    if len(form.get("Body", "")) > 1600:
        return error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    return _badly_timed(form, now) if scheduled(channel, form) else None


def scheduled(channel: ChannelName, form: Form) -> bool:
    """Shall it leave at a time of its own?"""
    return channel == "sms" and form.get("ScheduleType") == "fixed"


def send_at(form: Form) -> datetime:
    """When a scheduled message shall leave. Raises `ValueError` for what is no time in ISO 8601."""
    at = datetime.fromisoformat(form["SendAt"])
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _badly_timed(form: Form, now: datetime) -> Answer | None:
    if not form.get("MessagingServiceSid"):
        return error(400, *NO_SERVICE)
    if not form.get("SendAt"):
        return error(400, *NO_TIME)
    try:
        return None if send_at(form) > now else error(400, *BAD_TIME)
    except ValueError:
        return error(400, *BAD_TIME)
