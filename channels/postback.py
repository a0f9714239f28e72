"""Any other provider: the message as JSON, POSTed to a URL, where a few lines of somebody's code hand it on.

The body is an object with the fields of `Message` and `version` 1; attachments are in base64, and those with a
`content_id` are shown inside the HTML, which asks for them as `cid:`. The header
`Idempotency-Key` is the same on every try of a message. With a signing secret, the body is signed (`signature.py`).
"""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from channels.base import Accepted, Attachment, ConfigurationError, Message
from channels.mime import fingerprint
from channels.outcome import Word, failure, writing
from channels.settings import TimedSettings, Variable, demand, http_url, is_loopback
from channels.signature import signed

if TYPE_CHECKING:  # takes its time to import; only who sends shall pay it
    from channels.http import Answer, Http

Meaning = Word | Literal["accepted"]

#: What an answer means where the settings say nothing else. 404 and 410 blame the address of the endpoint, not the
#: debtor's: one URL serves them all. 409 is what a receiver may say to a key it has seen: perhaps it has the message.
STATUSES: dict[int, Meaning] = {
    301: "account",
    302: "account",
    307: "account",
    308: "account",
    401: "account",
    403: "account",
    404: "account",
    405: "account",
    408: "uncertain",
    409: "uncertain",
    410: "account",
    423: "down",
    425: "down",
    429: "throttle",
}


class Postback:
    """Takes any channel. A 2xx is an acceptance; an `id` in its JSON is kept as the provider's own."""

    class Settings(TimedSettings):
        """`url`, or `url_env`, the variable that holds it. `header_envs` maps a header to the variable of its value.

        `signing_secret_env` names the variable of the HMAC secret. `statuses` gives a status another meaning
        ("accepted", "address", "opted_out", "content", "throttle", "account", "down" or "uncertain").
        """

        url: str = ""
        url_env: Variable = ""
        header_envs: dict[str, Variable] = Field(default_factory=dict)
        signing_secret_env: Variable = ""
        statuses: dict[int, Meaning] = Field(default_factory=dict)

        @model_validator(mode="after")
        def _one_url(self) -> "Postback.Settings":
            if bool(self.url) == bool(self.url_env):
                raise ValueError("expected either url or url_env")
            return self

    channels: ClassVar[tuple[str, ...]] = ("email", "sms", "voice", "task")

    def __init__(self, http: "Http", url: str, settings: Settings, headers: Mapping[str, str], key: str = "") -> None:
        self._http = http
        self._url = url
        self._headers = {**headers, "Content-Type": "application/json"}
        self._statuses = STATUSES | settings.statuses
        self._key = key
        self.real = not is_loopback(urlsplit(url).hostname or "")
        self.bound = settings.bound

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """The variables it cannot work without."""
        names = [settings.url_env, *settings.header_envs.values(), settings.signing_secret_env]
        return [name for name in names if name]

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "Postback":
        """Raises ConfigurationError for a missing variable, a malformed URL, or a header that cannot be sent."""
        from channels.http import Http

        source = settings.url_env or "url"
        url = http_url(settings.url or demand(environ, settings.url_env), source)
        headers = {name: _header(environ, name, variable) for name, variable in settings.header_envs.items()}
        key = demand(environ, settings.signing_secret_env) if settings.signing_secret_env else ""
        return cls(Http(settings.connect_timeout, settings.read_timeout), url, settings, headers, key)

    def send(self, message: Message) -> Accepted:
        """POST the message. Accepted under the answer's `id`, or our own attempt where it gives none."""
        from channels.http import retry_after

        with writing():
            body = json.dumps(_document(message)).encode()
            headers = self._sealed(message, body)
        answer = self._http.request("POST", self._url, body, headers)
        word = self._meaning(answer.status)
        if word != "accepted":
            wait: timedelta | None = retry_after(answer.headers)
            raise failure(word, str(answer.status), "the receiver's answer", wait)
        return Accepted(_id(answer) or message.attempt)

    def _sealed(self, message: Message, body: bytes) -> dict[str, str]:
        headers = {**self._headers, "Idempotency-Key": fingerprint(message)}
        return headers | signed(self._key, body, time.time()) if self._key else headers

    def _meaning(self, status: int) -> Meaning:
        if status in self._statuses:
            return self._statuses[status]
        families: dict[int, Meaning] = {2: "accepted", 4: "content"}
        return families.get(status // 100, "uncertain")


def _header(environ: Mapping[str, str], name: str, variable: str) -> str:
    value = demand(environ, variable)
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(f"{variable}: the header {name} takes printable ASCII")
    return value


def _document(message: Message) -> dict[str, Any]:
    document = {field.name: getattr(message, field.name) for field in fields(message)}
    files = [_file(attachment) for attachment in message.attachments]
    return {"version": 1, **document, "headers": dict(message.headers), "attachments": files}


def _file(attachment: Attachment) -> dict[str, str]:
    content = base64.b64encode(attachment.content).decode("ascii")
    return {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "content": content,
        "content_id": attachment.content_id,
    }


def _id(answer: "Answer") -> str:
    try:
        found = json.loads(answer.body)["id"]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return str(found)[:100] if isinstance(found, str | int) else ""
