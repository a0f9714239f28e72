"""SendGrid's `POST /v3/mail/send` and `GET /v3/messages`, as far as a reminder needs them."""

import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from channels.sandbox import email_activity
from channels.sandbox.email_activity import EmailActivity
from channels.sandbox.event_webhook import EventWebhook
from channels.sandbox.faults import Fault
from channels.sandbox.journal import Exchange, Message
from channels.sandbox.orders import ChannelName
from channels.sandbox.outside import Aftermath, Outside
from channels.sandbox.provider import Answer, Look, Order, Request, json_answer
from channels.sandbox.reactions import USUAL, Reaction

SEND = "/v3/mail/send"
HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
WORDS = {"429": "too many requests", "500": "internal server error", "503": "service unavailable"}

Json = Mapping[str, Any]


def refusal(status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """SendGrid's error body, with one error in it."""
    anchor = field and f"{HELP}#message.{'.'.join(word for word in field.split('.') if not word.isdigit())}"
    return json_answer(status, {"errors": [{"message": message, "field": field, "help": anchor}]}, headers)


@dataclass(slots=True)
class _Events:
    """What the webhook tells of one email, and its activity follows."""

    webhook: EventWebhook
    activity: EmailActivity
    message: Message
    arguments: Mapping[str, str]
    _reaction: Reaction = field(default=USUAL)

    def begin(self, _exchange: Exchange, reaction: Reaction) -> None:
        """Learn which events there shall be."""
        self._reaction = reaction

    def play(self) -> None:
        """Tell the ordered events, or "processed" and "delivered"."""
        ordered = self._reaction.receipts
        words = ("processed", "delivered") if ordered is None else ordered
        for word in words:
            self.activity.saw(self.message, word)
        self.webhook.tell(self.message, self.arguments, words, self._reaction)


class SendGrid:
    """Mail Send and Email Activity. Any bearer token will do unless a key is given."""

    name = "sendgrid"

    def __init__(
        self, outside: Outside, events: EventWebhook, activity: EmailActivity, api_key: str | None = None
    ) -> None:
        self._outside, self._events, self._activity, self._api_key = outside, events, activity, api_key

    def channel(self, path: str) -> ChannelName:
        """Email, always."""
        return "email"

    def authenticate(self, request: Request) -> Answer | None:
        """401 without a bearer token, or with another than the given key."""
        if request.bearer is None:
            return refusal(401, "Permission denied, wrong credentials")
        if self._api_key not in (None, request.bearer):
            return refusal(401, "The provided authorization grant is invalid, expired, or revoked")
        return None

    def read(self, request: Request) -> Order | Look | Answer:
        """Understand one mail/send, or a question about those before it.

        The sandbox mode of mail/send answers 200 and sends nothing, as SendGrid's does.
        """
        if (request.method, request.url.path) == ("GET", email_activity.PATH):
            return self._activity.read(request)
        if request.url.path != SEND:
            return refusal(404, "Not Found")
        if request.method != "POST":
            return refusal(405, "method not allowed")
        mail = _parse(request.body)
        wrong = refusal(400, "Bad Request") if mail is None else _check(mail)
        if mail is None or wrong is not None:
            return wrong or refusal(400, "Bad Request")
        if mail.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            return Answer(200)
        return self._order(mail)

    def fail(self, fault: Fault, to: str) -> Answer:
        """The answer to an ordered fault; 429 says when to come back by X-RateLimit-Reset (Unix seconds)."""
        if fault.kind == "refuse" and fault.on == "list":
            return json_answer(403, {"errors": [{"field": None, "message": "access forbidden"}]})
        if fault.kind == "refuse":
            return refusal(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
        status = 500 if fault.accepts else int(fault.kind)
        return refusal(status, WORDS[str(status)], headers=self._pace(fault) if status == 429 else None)

    def invalid(self, errors: list[str]) -> Answer:
        """400, one error for each violation."""
        return json_answer(400, {"errors": [{"message": each, "field": None, "help": None} for each in errors]})

    def _pace(self, fault: Fault) -> dict[str, str]:
        reset = math.ceil(self._outside.clock.now().timestamp() + (fault.seconds or 1))
        return {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}

    def _order(self, mail: Json) -> Order:
        message_id = secrets.token_urlsafe(16)  # 22 characters, as SendGrid's
        people = [(person, recipient) for person in mail["personalizations"] for recipient in person["to"]]
        messages = tuple(_message(message_id, mail, person, recipient) for person, recipient in people)
        answer = Answer(202, headers={"X-Message-Id": message_id})
        sent = [(message, _arguments(mail, person)) for message, (person, _) in zip(messages, people, strict=True)]

        def keep(exchange: Exchange) -> None:
            for message, arguments in sent:
                self._activity.keep(message, arguments, exchange)

        if not self._events.listening:
            return Order(messages, answer, keep)
        told = [
            Aftermath(self._outside, message, _Events(self._events, self._activity, message, arguments))
            for message, arguments in sent
        ]
        return Order(messages, answer, keep, _each(told, Aftermath.before), _each(told, Aftermath.afterwards))


def _each(told: list[Aftermath], step: Callable[[Aftermath, Exchange], None]) -> Callable[[Exchange], None]:
    def run(exchange: Exchange) -> None:
        for each in told:
            step(each, exchange)

    return run


def _parse(body: bytes) -> Json | None:
    try:
        mail = json.loads(body)
    except ValueError:
        return None
    return mail if isinstance(mail, dict) else None


def _check(mail: Json) -> Answer | None:
    people = mail.get("personalizations")
    if not people:
        return refusal(400, "The personalizations field is required and must have at least one personalization.")
    if "@" not in mail.get("from", {}).get("email", ""):
        return refusal(400, "The from email does not contain a valid address.", "from.email")
    if not mail.get("content") and not mail.get("template_id"):
        return refusal(400, "Unless a valid template_id is provided, the content parameter is required.", "content")
    return _check_recipients(people)


def _check_recipients(people: list[Json]) -> Answer | None:
    for number, person in enumerate(people):
        if not person.get("to"):
            return refusal(
                400, "The to array is required for all personalization objects.", f"personalizations.{number}.to"
            )
        for place, recipient in enumerate(person["to"]):
            if "@" not in recipient.get("email", ""):
                field = f"personalizations.{number}.to.{place}.email"
                return refusal(400, "Does not contain a valid address.", field)
    return None


def _arguments(mail: Json, person: Json) -> dict[str, str]:
    return {**mail.get("custom_args", {}), **person.get("custom_args", {})}


def _message(message_id: str, mail: Json, person: Json, recipient: Json) -> Message:
    headers = {**mail.get("headers", {}), **person.get("headers", {})}
    arguments = _arguments(mail, person)
    parts = {part["type"]: part["value"] for part in mail.get("content", ())}
    return Message(
        channel="email",
        id=message_id,
        attempt=arguments.get("relance_attempt") or headers.get("X-Relance-Attempt", ""),
        to=recipient["email"],
        sender=mail["from"]["email"],
        subject=person.get("subject") or mail.get("subject", ""),
        text=parts.get("text/plain", ""),
        message_id=headers.get("Message-ID", ""),
        reply_to=mail.get("reply_to", {}).get("email", ""),
        headers=headers,
    )
