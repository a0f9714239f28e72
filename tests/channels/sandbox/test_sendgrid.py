"""The sandbox's SendGrid, through SendGrid's own SDK."""

import re
import time
from typing import Any

import pytest
import requests
from python_http_client.exceptions import BadRequestsError, InternalServerError, TooManyRequestsError, UnauthorizedError
from sendgrid.helpers.mail import MailSettings, SandBoxMode

from channels.sandbox import Credentials, Fault, Sandbox

from .clients import mail, sendgrid_client


def test_an_email_is_accepted_as_by_sendgrid(sendgrid: Any, sandbox: Sandbox) -> None:
    """The answer is an empty 202 with an X-Message-Id of 22 characters, and the email is remembered under it."""
    answer = sendgrid.send(mail())
    [entry] = sandbox.accepted()
    assert (answer.status_code, answer.body) == (202, b"")
    assert re.fullmatch(r"[\w-]{22}", answer.headers["X-Message-Id"])
    assert (entry["id"], entry["attempt"]) == (answer.headers["X-Message-Id"], "att-1")
    assert (entry["to"], entry["from"]) == ("ana@debtor.test", "billing@creditor.test")
    assert (entry["subject"], entry["text"]) == ("Facture F-1", "Bonjour")


def test_a_refused_mailbox_is_named_by_its_field(sendgrid: Any, sandbox: Sandbox) -> None:
    """A mailbox at bounce.invalid is a 400 that points to the recipient, as the provider's own."""
    with pytest.raises(BadRequestsError) as caught:
        sendgrid.send(mail("x@bounce.invalid"))
    assert caught.value.to_dict["errors"][0]["field"] == "personalizations.0.to.0.email"
    assert sandbox.accepted() == []


def test_a_mailbox_can_be_down(sendgrid: Any, sandbox: Sandbox) -> None:
    """A mailbox at down.invalid answers 500 and is not accepted."""
    with pytest.raises(InternalServerError) as caught:
        sendgrid.send(mail("x@down.invalid"))
    assert caught.value.status_code == 500
    assert sandbox.accepted() == []


def test_too_many_requests_say_when_to_come_back(sendgrid: Any, sandbox: Sandbox) -> None:
    """A 429 carries X-RateLimit-Reset, in Unix seconds, as far ahead as ordered."""
    sandbox.fault(Fault("429", seconds=30))
    with pytest.raises(TooManyRequestsError) as caught:
        sendgrid.send(mail())
    assert 28 < int(caught.value.headers["X-RateLimit-Reset"]) - time.time() <= 31


def test_sendgrids_sandbox_mode_sends_nothing(sendgrid: Any, sandbox: Sandbox) -> None:
    """An email in SendGrid's own sandbox mode is answered 200 and not accepted."""
    whole = mail()
    whole.mail_settings = MailSettings(sandbox_mode=SandBoxMode(True))
    assert sendgrid.send(whole).status_code == 200
    assert sandbox.accepted() == []


@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"personalizations": ["x"]}', '{"from": 3}'])
def test_nonsense_is_a_bad_request(sandbox: Sandbox, body: str) -> None:
    """Whatever the body, the answer is SendGrid's error shape and the server goes on."""
    url, headers = f"{sandbox.sendgrid_url}/v3/mail/send", {"Authorization": "Bearer k"}
    answer = requests.post(url, data=body, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert set(answer.json()["errors"][0]) == {"message", "field", "help"}


def test_credentials_are_required(sandbox: Sandbox) -> None:
    """Without a bearer token the answer is 401."""
    assert requests.post(f"{sandbox.sendgrid_url}/v3/mail/send", json={}, timeout=5).status_code == 401


def test_only_a_given_key_is_let_in() -> None:
    """Where a key is given, another one is refused."""
    with Sandbox(credentials=Credentials(sendgrid="SG.right")) as sandbox:
        assert sendgrid_client(sandbox.sendgrid_url, key="SG.right").send(mail()).status_code == 202
        with pytest.raises(UnauthorizedError):
            sendgrid_client(sandbox.sendgrid_url, key="SG.wrong").send(mail())
