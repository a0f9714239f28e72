"""Clients as their makers ship them, pointed at the sandbox."""

import json
import smtplib
from pathlib import Path
from typing import Any

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Content, CustomArg, From, Mail, Personalization, To
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

ACCOUNT, TOKEN = "AC" + "0123456789abcdef" * 2, "a-token"


def read_log(path: Path, *names: str) -> list[dict[str, Any]]:
    """Read a log back: all of it, or the entries of some events."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [entry for entry in entries if not names or entry["event"] in names]


def twilio_client(url: str, timeout: float = 5, token: str = TOKEN) -> Any:
    client = Client(ACCOUNT, token, http_client=TwilioHttpClient(timeout=timeout), environment={"_": ""})
    client.api.base_url = url
    return client


def sendgrid_client(url: str, timeout: float = 5, key: str = "SG.key") -> Any:
    client = SendGridAPIClient(key, host=url)
    client.client.timeout = timeout
    return client


def smtp_client(url: str, timeout: float = 5) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", int(url.rpartition(":")[2]), timeout=timeout)


def mail(to: str = "ana@debtor.test", attempt: str = "att-1") -> Any:
    """An email as our adapter will build it: the attempt in the personalization's custom_args."""
    whole = Mail(from_email=From("billing@creditor.test"), subject="Facture F-1")
    person = Personalization()
    person.add_to(To(to))
    person.add_custom_arg(CustomArg("relance_attempt", attempt))
    whole.add_personalization(person)
    whole.add_content(Content("text/plain", "Bonjour"))
    whole.add_content(Content("text/html", "<p>Bonjour</p>"))
    return whole


EMAIL = "\r\n".join(
    [
        "Subject: Facture =?utf-8?q?=C3=A9mise?=",
        "X-Relance-Attempt: att-1",
        "Message-ID: <m1@creditor.test>",
        "",
        "Bonjour",
    ]
)
