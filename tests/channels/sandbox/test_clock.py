"""The provider's own clock."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
from python_http_client.exceptions import TooManyRequestsError

from channels.sandbox import Doors, Fault, Sandbox

from .clients import mail, read_log, sendgrid_client, twilio_client
from .receiver import Receiver

TO, FROM = "+33612345678", "Creditor"
HOUR = 3600


def ahead(at: datetime) -> timedelta:
    return at - datetime.now(UTC)


def about(found: timedelta, seconds: float) -> bool:
    """As far ahead as that, give or take what a slow machine needs."""
    return abs(found - timedelta(seconds=seconds)) < timedelta(seconds=60)


@pytest.mark.parametrize("offset", [0, HOUR, -HOUR])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/2010-04-01/Accounts/AC1/Messages.json", 201),
        ("GET", "/2010-04-01/Accounts/AC1/Messages.json", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/sandbox/accepted", 200),
        ("PUT", "/2010-04-01/Accounts/AC1/Messages.json", 501),
    ],
)
def test_every_answer_has_the_providers_date(offset: float, method: str, path: str, status: int) -> None:
    """Whatever is asked, the Date header says what time it is there."""
    with Sandbox(clock_offset=offset) as sandbox:
        form = {"To": TO, "From": FROM, "Body": "x"} if method == "POST" else None
        answer = requests.request(method, sandbox.twilio_url + path, data=form, auth=("AC1", "t"), timeout=5)
    assert answer.status_code == status
    assert about(ahead(parsedate_to_datetime(answer.headers["Date"])), offset)


def test_twilios_dates_are_the_providers(log: Path, receiver: Receiver) -> None:
    """Created and updated by its clock, a call's receipts too; the log keeps the real time."""
    with Sandbox(log, clock_offset=HOUR) as sandbox:
        twilio = twilio_client(sandbox.twilio_url)
        call = twilio.calls.create(to=TO, from_="+33123456789", twiml="<Response/>", status_callback=receiver.url)
        [got] = receiver.wait(1)
        ended = twilio.calls(call.sid).fetch()
        message = twilio.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url)
        receiver.wait(3)
        sent = twilio.messages(message.sid).fetch()
    dates = [call.date_created, ended.date_updated, ended.end_time, sent.date_created, sent.date_sent]
    assert all(about(ahead(each), HOUR) for each in [*dates, parsedate_to_datetime(got.form["Timestamp"])])
    assert all(about(ahead(datetime.fromisoformat(each["at"])), 0) for each in read_log(log))


def test_sendgrids_stamps_are_the_providers(receiver: Receiver) -> None:
    """The events', their signature's, the activity's, and the time to come back."""
    with Sandbox(clock_offset=HOUR, doors=Doors.under(receiver.url), email_activity=True) as sandbox:
        sendgrid = sendgrid_client(sandbox.sendgrid_url)
        sendgrid.send(mail())
        [got] = receiver.wait(1)
        listed = requests.get(f"{sandbox.sendgrid_url}/v3/messages", headers={"Authorization": "Bearer k"}, timeout=5)
        sandbox.fault(Fault("429", seconds=10))
        with pytest.raises(TooManyRequestsError) as caught:
            sendgrid.send(mail())
    stamps = [each["timestamp"] for each in got.events] + [
        int(got.headers["X-Twilio-Email-Event-Webhook-Timestamp"]),
        int(caught.value.headers["X-RateLimit-Reset"]),
        datetime.fromisoformat(listed.json()["messages"][0]["last_event_time"]).timestamp(),
    ]
    assert all(about(timedelta(seconds=each - time.time()), HOUR) for each in stamps)
