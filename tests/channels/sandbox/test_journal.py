"""The log a judge can rely on."""

import smtplib
import socket
import threading
import time
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
import requests

from channels.sandbox import Fault, Sandbox

from .clients import EMAIL, mail, read_log, sendgrid_client, smtp_client, twilio_client
from .conftest import Events

FORM = b"To=%2B33612345678&From=Creditor&Body=Bonjour"
HEAD = b"POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\nAuthorization: Basic QUMxOnRva2Vu\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(FORM) + FORM
FIELDS = {"provider", "channel", "request", "id", "attempt", "to", "from", "subject", "text", "message_id"}
FIELDS |= {"reply_to", "headers", "fault"}


def text(twilio: Any, body: str = "Bonjour") -> Any:
    return twilio.messages.create(to="+33612345678", from_="Creditor", body=body)


def test_acceptance_is_written_before_the_answer_leaves(sandbox: Sandbox, events: Events) -> None:
    """While a client still waits for its answer, the log already has the message."""
    sandbox.fault(Fault("late", seconds=5))
    client = socket.create_connection(("127.0.0.1", int(sandbox.twilio_url.rpartition(":")[2])))
    with client:
        client.sendall(REQUEST)
        while len(events()) < 2:
            time.sleep(0.01)
        assert [each["event"] for each in events()] == ["opened", "accepted"]
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


def test_a_request_is_told_from_beginning_to_end(sandbox: Sandbox, twilio: Any, events: Events) -> None:
    """Every request is opened, maybe accepted, and answered, under one number, with every promised field."""
    text(twilio)
    twilio.messages.list(limit=1)
    sandbox.close()
    assert [(each["event"], each["request"]) for each in events()] == [
        ("opened", 1),
        ("accepted", 1),
        ("answered", 1),
        ("opened", 2),
        ("listed", 2),
        ("answered", 2),
    ]
    assert set(events("accepted")[0]) - {"event", "at", "run"} == FIELDS
    assert [each["method"] for each in events("opened")] == ["POST", "GET"]


def test_every_providers_lines_have_the_same_fields(sandbox: Sandbox, sendgrid: Any, smtp: Any, events: Events) -> None:
    """An acceptance reads the same whoever the provider is."""
    sendgrid.send(mail())
    smtp.sendmail("billing@creditor.test", ["ana@debtor.test"], EMAIL)
    assert [set(each) - {"event", "at", "run"} for each in events("accepted")] == [FIELDS, FIELDS]


def test_a_client_that_dies_in_mid_request_is_told(sandbox: Sandbox, events: Events) -> None:
    """A request whose body never came is dropped, not accepted, and not forgotten."""
    with socket.create_connection(("127.0.0.1", int(sandbox.twilio_url.rpartition(":")[2]))) as client:
        client.sendall(REQUEST[:-3])
    with smtp_client(sandbox.smtp_url) as mailer:
        mailer.ehlo()
        mailer.mail("billing@creditor.test")
    sandbox.close()
    assert sorted(each["provider"] for each in events("dropped")) == ["smtp", "twilio"]
    assert events("accepted") == []


def test_concurrent_requests_do_not_mix(sandbox: Sandbox, events: Events) -> None:
    """Eight clients at once: every line is whole, every message there once, in the order of its time stamp."""

    def send(name: int) -> None:
        twilio = twilio_client(sandbox.twilio_url)
        for number in range(20):
            text(twilio, f"{name}-{number} " + "é" * 500)

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sandbox.close()
    wanted = {f"{name}-{number}" for name in range(8) for number in range(20)}
    assert sorted(each["text"].split()[0] for each in events("accepted")) == sorted(wanted)
    assert len({each["request"] for each in events("answered")}) == 160
    assert [each["at"] for each in events()] == sorted(each["at"] for each in events())


def test_runs_of_one_log_can_be_told_apart(log: Path) -> None:
    """A second sandbox appends to the first one's log under another run."""
    for _ in range(2):
        with Sandbox(log) as sandbox:
            text(twilio_client(sandbox.twilio_url))
    entries = read_log(log, "accepted")
    assert [each["request"] for each in entries] == [1, 1]
    assert len({each["run"] for each in entries}) == 2


def test_what_cannot_be_written_is_not_accepted() -> None:
    """Where the log cannot take the line, the client gets no answer that would say the message was taken."""
    with Sandbox(Path("/dev/full")) as sandbox:
        with pytest.raises(requests.ConnectionError):
            text(twilio_client(sandbox.twilio_url))
        with pytest.raises(RemoteDisconnected):
            sendgrid_client(sandbox.sendgrid_url).send(mail())
        with pytest.raises(smtplib.SMTPResponseException, match="451"), smtp_client(sandbox.smtp_url) as client:
            client.sendmail("billing@creditor.test", ["ana@debtor.test"], EMAIL)
        assert sandbox.accepted() == []
