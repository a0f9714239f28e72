"""SendGrid's `POST /v3/mail/send`, as far as a reminder needs it."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from channels.sandbox.event_webhook import EventWebhook
from channels.sandbox.faults import ChannelName, Fault
from channels.sandbox.journal import Exchange, Message
from channels.sandbox.outside import Aftermath, Outside
from channels.sandbox.provider import Answer, Order, Request, json_answer

SEND = "/v3/mail/send"
HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
WORDS = {"429": "too many requests", "500": "internal server error", "503": "service unavailable"}

Json = Mapping[str, Any]


def refusal(status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """SendGrid's error body, with one error in it."""
    anchor = field and f"{HELP}#message.{'.'.join(word for word in field.split('.') if not word.isdigit())}"
    return json_answer(status, {"errors": [{"message": message, "field": field, "help": anchor}]}, headers)


class SendGrid:
    """Mail Send. Any bearer token will do unless a key is given."""

    name = "sendgrid"

    def __init__(self, outside: Outside, events: EventWebhook, api_key: str | None = None) -> None:
        self._outside, self._events, self._api_key = outside, events, api_key

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

    def read(self, request: Request) -> Order | Answer:
        """Understand one mail/send; its sandbox mode answers 200 and sends nothing, as SendGrid's does."""
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

    def fail(self, fault: Fault, message: Message) -> Answer:
        """The answer to an ordered fault; 429 says when to come back by X-RateLimit-Reset (Unix seconds)."""
        if fault.kind == "refuse":
            return refusal(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
        status = 500 if fault.accepts else int(fault.kind)
        headers = _pace(fault.seconds or 1) if status == 429 else None
        return refusal(status, WORDS[str(status)], headers=headers)

    def invalid(self, errors: list[str]) -> Answer:
        """400, one error for each violation."""
        return json_answer(400, {"errors": [{"message": each, "field": None, "help": None} for each in errors]})

    def _order(self, mail: Json) -> Order:
        message_id = secrets.token_urlsafe(16)  # 22 characters, as SendGrid's
        people = [(person, recipient) for person in mail["personalizations"] for recipient in person["to"]]
        messages = tuple(_message(message_id, mail, person, recipient) for person, recipient in people)
        answer = Answer(202, headers={"X-Message-Id": message_id})
        if not self._events.listening:
            return Order(messages, answer)
        told = [self._aftermath(message, mail, person) for message, (person, _) in zip(messages, people, strict=True)]
        return Order(
            messages, answer, before=_each(told, Aftermath.before), afterwards=_each(told, Aftermath.afterwards)
        )

    def _aftermath(self, message: Message, mail: Json, person: Json) -> Aftermath:
        arguments = _arguments(mail, person)
        return Aftermath(self._outside, message, lambda _, reaction: self._events.play(message, arguments, reaction))


def _each(told: list[Aftermath], step: Callable[[Aftermath, Exchange], None]) -> Callable[[Exchange], None]:
    def run(exchange: Exchange) -> None:
        for each in told:
            step(each, exchange)

    return run


def _pace(seconds: float) -> dict[str, str]:
    reset = str(int(time.time() + seconds + 0.999))
    return {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}


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
