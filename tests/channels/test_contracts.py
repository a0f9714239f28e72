"""Every request of ours, as it left on the wire, against the providers' own OpenAPI files."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers

from channels import registry
from channels.base import Accepted, Message
from tests.channels.peers import Provider, Reply, Request
from tests.channels.samples import EMAIL, ILLUSTRATED, PDF, SMS, VOICE, contract, sendgrid, twilio
from tests.channels.samples import TWILIO as ACCOUNT

TWILIO = OpenAPI.from_dict(contract("twilio_api_v2010.messages_calls.prism.json"))
SENDGRID = OpenAPI.from_dict(contract("tsg_mail_v3.json"))
LONG = "Été à Orléans : nous n’avons rien reçu. " * 39

SMS_SHAPES = {
    "plain": replace(SMS, status_url=""),
    "accents and a report": SMS,
    "a service as sender": replace(SMS, sender="MG" + "0a" * 16),
    "a name that begins as a service does": replace(SMS, sender="MG Motors"),
    "a number as sender": replace(SMS, sender="+33162000000"),
    "long": replace(SMS, text=LONG[:1600]),
}
VOICE_SHAPES = {
    "asks us": VOICE,
    "bears its words": replace(VOICE, callback_url="", status_url=""),
    "bears its words, with a report": replace(VOICE, callback_url="", language="en-GB"),
    "long": replace(VOICE, callback_url="", text=LONG),
}
EMAIL_SHAPES = {
    "whole": replace(EMAIL, attachments=(PDF,)),
    "text alone": replace(EMAIL, html="", headers={}, reply_to="", to_name="", sender_name=""),
    "two files": replace(EMAIL, attachments=(PDF, PDF)),
    "a picture": ILLUSTRATED,
    "long": replace(EMAIL, text=LONG * 20, html=f"<p>{LONG * 20}</p>"),
    "a domain with an accent": replace(EMAIL, to="claire@société.test"),
}


@dataclass
class Seen:
    """A captured request in the words of openapi-core."""

    host_url: str
    path: str
    method: str
    body: bytes
    content_type: str
    parameters: RequestParameters


def seen(request: Request, host_url: str) -> Seen:
    """What the server was asked, as if it had been the provider."""
    url = urlsplit(request.path)
    query: Any = parse_qs(url.query)
    parameters = RequestParameters(query=query, header=Headers(list(request.headers.items())))
    content_type = str(request.headers["Content-Type"])
    return Seen(host_url, url.path, request.method.lower(), request.body, content_type, parameters)


def check_twilio(provider: Provider) -> None:
    """Raises OpenAPIError unless the last request is one that Twilio describes."""
    TWILIO.validate_request(seen(provider.last, "https://api.twilio.com"))


def check_sendgrid(provider: Provider) -> None:
    """Raises OpenAPIError unless the last request is one that SendGrid describes."""
    SENDGRID.validate_request(seen(provider.last, "https://api.sendgrid.com"))


@pytest.mark.parametrize("shape", SMS_SHAPES.values(), ids=SMS_SHAPES)
def test_sms_requests_are_twilios(provider: Provider, shape: Message) -> None:
    """Every shape of SMS is a request that Twilio's own description allows, with the fields that it names."""
    provider.reply = Reply(201, {"sid": "SM1"})
    twilio("twilio_sms", provider.url).send(shape)
    check_twilio(provider)
    form = parse_qs(provider.last.body.decode(), keep_blank_values=True)
    service = len(shape.sender) == len("MG") + 32
    sender = {"MessagingServiceSid" if service else "From": [shape.sender]}
    report = {"StatusCallback": [f"{shape.status_url}#rc=3&rp=all"]} if shape.status_url else {}
    assert form == {"To": [shape.to], "Body": [shape.text], "ValidityPeriod": ["3600"], **sender, **report}


@pytest.mark.parametrize("detection", [None, "Enable", "DetectMessageEnd"])
@pytest.mark.parametrize("shape", VOICE_SHAPES.values(), ids=VOICE_SHAPES)
def test_call_requests_are_twilios(provider: Provider, shape: Message, detection: str | None) -> None:
    """Every shape of call is a request that Twilio's own description allows: a URL or words, never both."""
    provider.reply = Reply(201, {"sid": "CA1"})
    twilio("twilio_voice", provider.url, machine_detection=detection).send(shape)
    check_twilio(provider)
    form = parse_qs(provider.last.body.decode())
    assert ("Url" in form, "Twiml" in form) == (bool(shape.callback_url), not shape.callback_url)
    assert form["Timeout"] == ["25"]
    assert form.get("MachineDetection") == ([detection] if detection else None)
    events = ["initiated", "ringing", "answered", "completed"]
    assert form.get("StatusCallbackEvent") == (events if shape.status_url else None)
    assert form.get("StatusCallback") == ([f"{shape.status_url}#rc=3&rp=all"] if shape.status_url else None)


@pytest.mark.parametrize("shape", EMAIL_SHAPES.values(), ids=EMAIL_SHAPES)
def test_email_requests_are_sendgrids(provider: Provider, shape: Message) -> None:
    """Every shape of email is a request that SendGrid's own description allows."""
    provider.reply = Reply(202, b"", {"X-Message-Id": "m1"})
    sendgrid(provider.url).send(shape)
    check_sendgrid(provider)


def send_for_nobody(url: str) -> Accepted:
    """An SMS on an account that has no sid."""
    environ = ACCOUNT | {"TWILIO_BASE_URL": url, "TWILIO_ACCOUNT_SID": "ACshort"}
    return registry.build("twilio_sms", registry.settings_for("twilio_sms", {}), environ).send(SMS)


@pytest.mark.parametrize(
    ("send", "check"),
    [
        (send_for_nobody, check_twilio),
        (lambda url: sendgrid(url).send(replace(EMAIL, text="")), check_sendgrid),
    ],
)
def test_the_check_itself_can_fail(
    provider: Provider, send: Callable[[str], object], check: Callable[[Provider], None]
) -> None:
    """A request that breaks the description is found out, so that the tests above mean something."""
    provider.reply = Reply(202, {"sid": "SM1"})
    send(provider.url)
    with pytest.raises(OpenAPIError):
        check(provider)
