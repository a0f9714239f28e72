"""Email through SendGrid: the SDK's helpers write the request, our kept-alive connections carry it.

The SDK's own transport opens a connection per message, waits for ever, and keeps the headers of one call for the next.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

from pydantic import Field

from channels.base import (
    Accepted,
    Attachment,
    ChannelError,
    ConfigurationError,
    Found,
    Message,
    Sought,
    Unavailable,
    UnavailableWhy,
)
from channels.mime import mailbox, message_id
from channels.outcome import Word, failure, writing
from channels.settings import TimedSettings, Variable, base_url, belongs_to, demand

if TYPE_CHECKING:  # these and the SDK take their time to import; only who sends shall pay it
    from channels.http import Answer, Http

OWN_URL = "https://api.sendgrid.com"

STATUSES: dict[int, tuple[Word, str]] = {
    301: ("account", "another address answers; the base URL is wrong"),
    302: ("account", "another address answers; the base URL is wrong"),
    307: ("account", "another address answers; the base URL is wrong"),
    308: ("account", "another address answers; the base URL is wrong"),
    400: ("content", "the request is refused"),
    401: ("account", "the API key is refused"),
    403: ("account", "the sender is not verified, or the key may not send"),
    404: ("account", "no such address of the API"),
    405: ("content", "method not allowed"),
    406: ("content", "not acceptable"),
    408: ("uncertain", "the provider timed out on the request"),
    413: ("content", "larger than 30 MB"),
    415: ("content", "the request's type is refused"),
    429: ("throttle", "too many requests"),
    451: ("account", "the account lives in another region"),
}
#: 5xx and what nobody documented: the work may have been done before it failed.
OTHERWISE: tuple[Word, str] = ("uncertain", "an answer that does not tell whether it was taken")

_RECIPIENT = re.compile(r"personalizations\.\d+\.(to|cc|bcc)\b")


class SendgridEmail:
    """Sends one email to one recipient a request."""

    class Settings(TimedSettings):
        """The variables that hold the API key and, for the EU region or a sandbox, another base URL.

        `email_activity`: the account has SendGrid's Email Activity, so that it can be asked whether it took a message
        (six times a minute). `activity_days`: how many days back it reaches; additional history can be bought.
        """

        api_key_env: Variable = "SENDGRID_API_KEY"
        base_url_env: Variable = "SENDGRID_BASE_URL"
        email_activity: bool = False
        activity_days: int = Field(default=3, ge=1, le=30)

    channels: ClassVar[tuple[str, ...]] = ("email",)

    proves = False

    def __init__(self, http: "Http", url: str, key: str, settings: Settings) -> None:
        self._http = http
        self._url = f"{url}/v3/mail/send"
        self._activity = f"{url}/v3/messages"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.real = belongs_to(url, OWN_URL)
        self.bound = settings.bound
        self.finds = settings.email_activity
        self.reach = timedelta(days=settings.activity_days)

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """The variables it cannot work without."""
        return [settings.api_key_env]

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "SendgridEmail":
        """Raises ConfigurationError for a missing key, a malformed base URL, or an Email Activity there is not."""
        from channels.http import Http

        url = base_url(environ, settings.base_url_env, OWN_URL)
        if settings.email_activity and (urlsplit(url).hostname or "").startswith("api.eu."):
            raise ConfigurationError("email_activity: SendGrid keeps none in the EU region, so nothing would be found")
        http = Http(settings.connect_timeout, settings.read_timeout)
        return cls(http, url, demand(environ, settings.api_key_env), settings)

    def send(self, message: Message) -> Accepted:
        """Hand the email over; accepted under SendGrid's X-Message-Id."""
        with writing():
            body = json.dumps(_request(message)).encode()
        answer = self._http.request("POST", self._url, body, self._headers)
        if answer.status not in (200, 202):
            raise _failure(answer)
        return Accepted(answer.headers.get("X-Message-Id", "") or message_id(message))

    def find(self, sought: Sought) -> Found | None:
        """By the custom argument that went with it; the answer does not repeat it, so the filter is trusted.

        Whatever is no list is no answer: accounts without the add-on get a 400.
        """
        from channels.http import retry_after

        name, value = ("message", sought.message) if sought.any_try else ("attempt", sought.attempt)
        query = quote(f"unique_args['relance_{name}']=\"{value}\"", safe="")
        try:
            answer = self._http.request("GET", f"{self._activity}?limit=10&query={query}", None, self._headers)
        except ChannelError as error:  # a question may be asked again, whatever became of it
            raise Unavailable("down", error.code, "Email Activity cannot be read") from None
        if answer.status != 200:
            why: UnavailableWhy = "account" if answer.status in (400, 401, 403) else "down"
            raise Unavailable(why, str(answer.status), "Email Activity cannot be read", retry_after(answer.headers))
        try:
            ids = [str(each["msg_id"]).partition(".")[0] for each in json.loads(answer.body)["messages"]]
        except (ValueError, KeyError, TypeError):
            raise Unavailable("down", "nonsense", "an answer that is no list") from None
        return next((Found(each) for each in ids if each not in sought.known), None)


def _failure(answer: "Answer") -> ChannelError:
    from channels.http import retry_after

    word, title = STATUSES.get(answer.status, OTHERWISE)
    wait: timedelta | None = retry_after(answer.headers)
    if answer.status == 401 and "Maximum credits exceeded" in answer.text:
        word, title = "throttle", "the plan's emails are used up"
    elif answer.status == 400 and any(_RECIPIENT.match(field) for field in _fields(answer)):
        word, title = "address", "the recipient's address is refused"
    return failure(word, str(answer.status), title, wait)


def _fields(answer: "Answer") -> list[str]:
    """The parts of the request that the answer finds fault with; nothing else of its words is used."""
    try:
        return [str(error.get("field")) for error in json.loads(answer.body)["errors"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _request(message: Message) -> dict[str, Any]:
    """The mail/send request. Raises Rejected for an address that cannot be written."""
    from sendgrid.helpers import mail as sg

    mail = sg.Mail(
        from_email=sg.From(mailbox(message.sender, "content"), message.sender_name or None),
        subject=message.subject,
        plain_text_content=message.text,
        html_content=message.html or None,
    )
    mail.add_personalization(_personalization(message))
    mail.tracking_settings = sg.TrackingSettings(
        click_tracking=sg.ClickTracking(enable=False, enable_text=False), open_tracking=sg.OpenTracking(enable=False)
    )
    if message.reply_to:
        mail.reply_to = sg.ReplyTo(mailbox(message.reply_to, "content"))
    for attachment in message.attachments:
        mail.add_attachment(_attachment(attachment))
    request: dict[str, Any] = mail.get()
    return request


def _personalization(message: Message) -> Any:
    """Who it is for and whose attempt it is: SendGrid's receipts bring the custom arguments back."""
    from sendgrid.helpers import mail as sg

    person = sg.Personalization()
    person.add_to(sg.To(mailbox(message.to), message.to_name or None))
    own = {"Message-ID": message_id(message), "X-Relance-Attempt": message.attempt}
    for name, value in {**message.headers, **own}.items():
        person.add_header(sg.Header(name, value))
    person.add_custom_arg(sg.CustomArg("relance_attempt", message.attempt))
    person.add_custom_arg(sg.CustomArg("relance_message", message.id))
    return person


def _attachment(attachment: Attachment) -> Any:
    from sendgrid.helpers import mail as sg

    content = base64.b64encode(attachment.content).decode("ascii")
    disposition = "inline" if attachment.content_id else "attachment"
    return sg.Attachment(
        content, attachment.filename, attachment.content_type, disposition, attachment.content_id or None
    )
