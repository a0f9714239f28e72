"""Twilio's Messages and Calls: create, fetch one, list newest first, cancel or end one."""

import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree

from channels.sandbox.call import Call
from channels.sandbox.faults import Fault
from channels.sandbox.journal import Exchange, Message
from channels.sandbox.orders import ChannelName
from channels.sandbox.outside import Aftermath, Outside
from channels.sandbox.provider import Answer, Change, Look, Order, Request, json_answer, nothing
from channels.sandbox.sms_receipts import SmsReceipts
from channels.sandbox.twilio_resources import Form, error, new_sid, page, resource
from channels.sandbox.twilio_rules import refused, scheduled, send_at
from channels.sandbox.twiml import words

PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/(?P<folder>Messages|Calls)(/(?P<sid>\w+))?\.json")
FAILURES = {
    "429": (20429, "Too Many Requests"),
    "500": (20500, "Internal Server Error"),
    "503": (20503, "Service Unavailable"),
}
#: What a resource can be told to become.
CHANGES: dict[ChannelName, tuple[str, ...]] = {"sms": ("canceled",), "voice": ("canceled", "completed")}

Story = SmsReceipts | Call


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was accepted, and from when on the lists show it (monotonic)."""

    story: Story
    listed: float


class Twilio:
    """Messages and Calls of any number of accounts. Any Basic credentials will do unless a pair is given."""

    name = "twilio"

    def __init__(self, outside: Outside, credentials: tuple[str, str] | None = None) -> None:
        self._outside, self._credentials = outside, credentials
        self._lock = threading.Lock()
        self._kept: dict[ChannelName, dict[str, _Kept]] = {"sms": {}, "voice": {}}
        self._seen: dict[str, tuple[str, str]] = {}

    def channel(self, path: str) -> ChannelName:
        """Voice for calls, SMS for anything else."""
        return "voice" if "/Calls" in path else "sms"

    def authenticate(self, request: Request) -> Answer | None:
        """401 without Basic credentials, or with others than the given pair."""
        known = request.basic is not None and self._credentials in (None, request.basic)
        return None if known else error(401, 20003, "Authenticate")

    def read(self, request: Request) -> Order | Look | Change | Answer:
        """Understand a create, a fetch, a list or an update."""
        path = PATH.fullmatch(request.url.path)
        if path is None:
            return _missing(request)
        channel = self.channel(request.url.path)
        match request.method, path["sid"]:
            case "POST", None:
                return self._create(channel, path["account"], request)
            case "GET", None:
                return self._list(channel, path["account"], request)
            case "GET", sid if found := self._kept[channel].get(sid):
                return json_answer(200, found.story.made)
            case "POST", sid if found := self._kept[channel].get(sid):
                return _change(channel, found.story, _form(request.body.decode()))
            case "GET" | "POST", _:
                return _missing(request)
        return error(405, 20004, "Method not allowed")

    def fail(self, fault: Fault, to: str) -> Answer:
        """The answer to an ordered fault; 429 says when to come back by Retry-After (seconds)."""
        if fault.kind == "refuse" and fault.on == "list":
            return error(403, 20403, "Forbidden")
        if fault.kind == "refuse":
            return error(400, 21211, f"The 'To' number {to} is not a valid phone number.")
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

    def _list(self, channel: ChannelName, account: str, request: Request) -> Look:
        query, now = _form(request.url.query), time.monotonic()
        with self._lock:
            kept = list(self._kept[channel].values())
        shown = (each.story.made for each in reversed(kept) if each.listed <= now)
        found = page(channel, request.url.path, query, (each for each in shown if each["account_sid"] == account))
        asked = {"to": query.get("To", ""), "from": query.get("From", ""), "query": request.url.query}
        return Look(channel, asked, *found)

    def _create(self, channel: ChannelName, account: str, request: Request) -> Order | Answer:
        form, now = _form(request.body.decode()), self._outside.clock.now()
        wrong = refused(channel, form, now)
        if wrong is not None:
            return wrong
        story = self._story(channel, account, request)
        answer = json_answer(201, story.made)
        wait = (send_at(form) - now).total_seconds() if scheduled(channel, form) else 0.0
        told = Aftermath(self._outside, story.message, story, wait) if _has_more_to_tell(channel, form) else None

        def afterwards(exchange: Exchange) -> None:
            if isinstance(story, SmsReceipts) and wait:
                self._outside.background.soon(story.leave, wait)
            if told is not None:
                told.afterwards(exchange)

        def keep(exchange: Exchange) -> None:
            self._keep(story, account, request, exchange)

        return Order((story.message,), answer, keep, told.before if told else nothing, afterwards)

    def _keep(self, story: Story, account: str, request: Request, exchange: Exchange) -> None:
        message = story.message
        delay = self._outside.listings.delay(message, exchange)
        with self._lock:
            self._kept[message.channel][message.id] = _Kept(story, time.monotonic() + delay)
            if request.basic is not None:
                self._seen[message.sender] = self._seen[""] = (account, request.basic[1])

    def _story(self, channel: ChannelName, account: str, request: Request) -> Story:
        form, token = _form(request.body.decode()), request.basic[1] if request.basic else ""
        made = resource(channel, account, new_sid(channel), form, self._outside.clock.now())
        message = _message(channel, made["sid"], form)
        if channel == "sms":
            return SmsReceipts(self._outside, message, made, form, token)
        asked = parse_qs(request.body.decode()).get("StatusCallbackEvent", ["completed"])
        events = tuple(event for each in asked for event in each.split())
        return Call(self._outside, message, made, form, events, token)


def _has_more_to_tell(channel: ChannelName, form: Form) -> bool:
    """Did the request give an address for what follows: the call's words, the receipts?"""
    fetches = channel == "voice" and bool(form.get("Url")) and "Twiml" not in form
    return bool(form.get("StatusCallback")) or fetches


def _change(channel: ChannelName, story: Story, form: Form) -> Change | Answer:
    status = form.get("Status", "")
    if set(form) != {"Status"} or status not in CHANGES[channel]:
        return error(400, 20001, f"the sandbox changes a Status alone, to {' or '.join(CHANGES[channel])}")
    return Change(lambda exchange: story.change(exchange, status))


def _form(text: str) -> Form:
    return dict(parse_qsl(text, keep_blank_values=True))


def _missing(request: Request) -> Answer:
    return error(404, 20404, f"The requested resource {request.url.path} was not found")


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
