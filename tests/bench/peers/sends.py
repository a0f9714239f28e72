"""The stock SDKs, as their own documentation has them used: one client a process, made when first needed."""

import logging
import os
from functools import cache
from typing import Any

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail
from twilio.rest import Client

logging.getLogger("twilio.http_client").setLevel(logging.WARNING)  # below, it prints numbers and headers


@cache
def twilio() -> Any:
    """Twilio's client over its own HTTP client."""
    client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    client.api.base_url = os.environ["TWILIO_BASE_URL"]
    return client


@cache
def sendgrid() -> Any:
    """SendGrid's client, which opens a connection for each mail."""
    return SendGridAPIClient(os.environ["SENDGRID_API_KEY"], host=os.environ["SENDGRID_BASE_URL"])


def sms(to: str, body: str) -> str:
    """Send a text; its sid."""
    return str(twilio().messages.create(to=to, from_="AtelierDemo", body=body).sid)


def call(to: str, words: str) -> str:
    """Place a call that says these words; its sid."""
    twiml = f'<Response><Say language="fr-FR">{words}</Say></Response>'
    return str(twilio().calls.create(to=to, from_="+33948000000", twiml=twiml, timeout=25).sid)


def email(to: str, subject: str, text: str, html: str) -> str:
    """Send a mail; its id."""
    mail = Mail("compta@example.com", to, subject, text, html)
    return str(sendgrid().send(mail).headers["X-Message-Id"])
