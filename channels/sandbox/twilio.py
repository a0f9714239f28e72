"""Twilio's Messages and Calls: create, fetch one, list newest first."""

import re
import threading
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree

from channels.sandbox.call import Call
from channels.sandbox.faults import ChannelName, Fault
from channels.sandbox.journal import Message
from channels.sandbox.outside import Aftermath, Outside
from channels.sandbox.provider import Answer, Order, Request, json_answer
from channels.sandbox.sms_receipts import SmsReceipts
from channels.sandbox.twilio_resources import Form, Resource, error, new_sid, page, resource
from channels.sandbox.twiml import words

PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/(?P<folder>Messages|Calls)(/(?P<sid>\w+))?\.json")
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
FAILURES = {
    "429": (20429, "Too Many Requests"),
    "500": (20500, "Internal Server Error"),
    "503": (20503, "Service Unavailable"),
}


class Twilio:
    """Messages and Calls of any number of accounts. Any Basic credentials will do unless a pair is given."""

    name = "twilio"

    def __init__(self, outside: Outside, credentials: tuple[str, str] | None = None) -> None:
        self._outside, self._credentials = outside, credentials
        self._lock = threading.Lock()
        self._kept: dict[ChannelName, dict[str, Resource]] = {"sms": {}, "voice": {}}
        self._seen: dict[str, tuple[str, str]] = {}

    def channel(self, path: str) -> ChannelName:
        """Voice for calls, SMS for anything else."""
        return "voice" if "/Calls" in path else "sms"

    def authenticate(self, request: Request) -> Answer | None:
        """401 without Basic credentials, or with others than the given pair."""
        known = request.basic is not None and self._credentials in (None, request.basic)
        return None if known else error(401, 20003, "Authenticate")

    def read(self, request: Request) -> Order | Answer:
        """Understand a create, a fetch or a list."""
        path = PATH.fullmatch(request.url.path)
        if path is None:
            return _missing(request)
        channel = self.channel(request.url.path)
        match request.method, path["sid"]:
            case "POST", None:
                return self._create(channel, path["account"], request)
            case "GET", None:
                return self._list(channel, path["account"], request)
            case "GET", sid:
                found = self._kept[channel].get(sid)
                return json_answer(200, found) if found else _missing(request)
        return error(405, 20004, "Method not allowed")

    def fail(self, fault: Fault, message: Message) -> Answer:
        """The answer to an ordered fault; 429 says when to come back by Retry-After (seconds)."""
        if fault.kind == "refuse":
            return error(400, 21211, f"The 'To' number {message.to} is not a valid phone number.")
        kind = "500" if fault.accepts else fault.kind
        headers = {"Retry-After": f"{fault.seconds or 1:g}"} if kind == "429" else None
        return error(int(kind), *FAILURES[kind], headers)

    def invalid(self, errors: list[str]) -> Answer:
        """400 with the violations in the message."""
        return error(400, 20001, "; ".join(errors))

    def account_of(self, sender: str) -> tuple[str, str]:
        """Account and token of whoever last sent from this number, else last sent at all, else those given.

        Raises `LookupError` where nobody has sent yet.
        """
        with self._lock:
            found = self._seen.get(sender) or self._seen.get("") or self._credentials
        if found is None:
            raise LookupError("nobody has sent anything yet: an answer is signed with the sender's own token")
        return found

    def _list(self, channel: ChannelName, account: str, request: Request) -> Answer:
        with self._lock:
            kept = list(self._kept[channel].values())
        newest_first = (each for each in reversed(kept) if each["account_sid"] == account)
        return page(channel, request.url.path, _form(request.url.query), newest_first)

    def _create(self, channel: ChannelName, account: str, request: Request) -> Order | Answer:
        form = _form(request.body.decode())
        wrong = _check(channel, form)
        if wrong is not None:
            return wrong
        made = resource(channel, account, new_sid(channel), form)
        message = _message(channel, made["sid"], form)

        def keep() -> None:
            with self._lock:
                self._kept[channel][made["sid"]] = made
                if request.basic is not None:
                    self._seen[message.sender] = self._seen[""] = (account, request.basic[1])

        aftermath = self._aftermath(message, made, form, request)
        if aftermath is None:
            return Order((message,), json_answer(201, made), keep)
        return Order((message,), json_answer(201, made), keep, aftermath.before, aftermath.afterwards)

    def _aftermath(self, message: Message, made: Resource, form: Form, request: Request) -> Aftermath | None:
        """What follows, where the request gave an address for it: the call's words, the receipts."""
        token = request.basic[1] if request.basic else ""
        if message.channel == "voice" and (form.get("StatusCallback") or (form.get("Url") and "Twiml" not in form)):
            asked = parse_qs(request.body.decode()).get("StatusCallbackEvent", ["completed"])
            events = tuple(event for each in asked for event in each.split())
            return Aftermath(self._outside, message, Call(self._outside, made, form, events, token).play)
        if message.channel == "sms" and form.get("StatusCallback"):
            return Aftermath(self._outside, message, SmsReceipts(self._outside, made, form, token).play)
        return None


def _form(text: str) -> Form:
    return dict(parse_qsl(text, keep_blank_values=True))


def _missing(request: Request) -> Answer:
    return error(404, 20404, f"The requested resource {request.url.path} was not found")


def _check(channel: ChannelName, form: Form) -> Answer | None:
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
    return None


def _message(channel: ChannelName, sid: str, form: Form) -> Message:
    return Message(
        channel=channel,
        id=sid,
        attempt=_attempt(form.get("StatusCallback") or form.get("Url") or ""),
        to=form["To"],
        sender=form.get("From") or form.get("MessagingServiceSid", ""),
        subject="",
        text=form.get("Body", "") if channel == "sms" else _said(form.get("Twiml", "")),
    )


def _attempt(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _said(twiml: str) -> str:
    try:
        return words(twiml) if twiml else ""
    except ElementTree.ParseError:
        return ""  # Twilio takes such a call too, and finds out (error 12100) once somebody has picked up
