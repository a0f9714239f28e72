"""The sandbox's SMTP host, through smtplib."""

import smtplib

import pytest

from channels.sandbox import Credentials, Fault, Sandbox

from .clients import EMAIL, smtp_client
from .conftest import Events

FROM, TO = "billing@creditor.test", "ana@debtor.test"


def test_an_email_is_accepted_with_a_queue_id(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    """The reply to the body names the id under which the email is remembered, its headers decoded."""
    smtp.ehlo()
    smtp.mail(FROM)
    smtp.rcpt(TO)
    code, reply = smtp.data(EMAIL)
    [entry] = sandbox.accepted()
    assert (code, reply.decode()) == (250, f"2.0.0 Ok: queued as {entry['id']}")
    assert (entry["attempt"], entry["subject"], entry["message_id"]) == ("att-1", "Facture émise", "<m1@creditor.test>")
    assert (entry["to"], entry["from"], entry["text"].strip()) == (TO, FROM, "Bonjour")


def test_one_connection_carries_many_emails(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    """A kept connection serves one transaction after the other, refusals in between."""
    smtp.sendmail(FROM, [TO], EMAIL)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail(FROM, ["x@bounce.invalid"], EMAIL)
    smtp.sendmail(FROM, [TO], EMAIL)
    assert len({entry["id"] for entry in sandbox.accepted()}) == 2


def test_a_refused_recipient_does_not_stop_the_others(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    """Of two recipients the good one is served, and each has its own line."""
    assert list(smtp.sendmail(FROM, ["x@bounce.invalid", TO, "bo@debtor.test"], EMAIL)) == ["x@bounce.invalid"]
    assert [entry["to"] for entry in sandbox.accepted()] == [TO, "bo@debtor.test"]


@pytest.mark.parametrize(("kind", "code"), [("429", 450), ("503", 421), ("refuse", 550)])
def test_refusals_come_at_the_recipient(
    sandbox: Sandbox, smtp: smtplib.SMTP, events: Events, kind: str, code: int
) -> None:
    """Throttled, closing and unknown are said at RCPT, in SMTP's own codes, before any body is sent."""
    sandbox.fault(Fault(kind, times=1))  # type: ignore[arg-type]
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        smtp.sendmail(FROM, [TO], EMAIL)
    assert caught.value.recipients[TO][0] == code
    sandbox.close()
    assert [entry["event"] for entry in events()] == ["opened", "failed", "answered"]
    assert [entry["to"] for entry in events("failed")] == [TO]
    assert events("answered")[0]["status"] == code


@pytest.mark.parametrize(("kind", "accepted"), [("500", 0), ("accept_then_500", 1)])
def test_a_failure_comes_after_the_body(sandbox: Sandbox, smtp: smtplib.SMTP, kind: str, accepted: int) -> None:
    """A failing host says 451 once it has the body, whether it kept the email or not."""
    sandbox.fault(Fault(kind))  # type: ignore[arg-type]
    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail(FROM, [TO], EMAIL)
    assert caught.value.smtp_code == 451
    assert len(sandbox.accepted()) == accepted


def test_a_mailbox_can_be_down(smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    """A mailbox at down.invalid is a 451 and not accepted."""
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        smtp.sendmail(FROM, ["x@down.invalid"], EMAIL)
    assert sandbox.accepted() == []


@pytest.mark.parametrize(("kind", "accepted"), [("drop", 0), ("accept_then_drop", 1)])
def test_a_connection_can_break_after_the_body(
    sandbox: Sandbox, smtp: smtplib.SMTP, events: Events, kind: str, accepted: int
) -> None:
    """The connection closes without a reply, and the log tells whether the email was kept."""
    sandbox.fault(Fault(kind))  # type: ignore[arg-type]
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.sendmail(FROM, [TO], EMAIL)
    sandbox.close()
    assert [entry["event"] for entry in events()] == ["opened", "accepted" if accepted else "failed", "dropped"]


def test_a_host_can_hang_after_the_body(sandbox: Sandbox, events: Events) -> None:
    """A hanging host takes the body and says nothing; nothing is accepted."""
    sandbox.fault(Fault("hang"))
    client = smtp_client(sandbox.smtp_url, timeout=0.2)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.sendmail(FROM, [TO], EMAIL)
    sandbox.close()
    assert [entry["event"] for entry in events()] == ["opened", "failed", "dropped"]


def test_a_late_reply_is_an_accepted_email(sandbox: Sandbox, events: Events) -> None:
    """A client that gives up on a late host has sent its email all the same."""
    sandbox.fault(Fault("late", seconds=30))
    client = smtp_client(sandbox.smtp_url, timeout=0.2)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.sendmail(FROM, [TO], EMAIL)
    assert [entry["event"] for entry in events("opened", "accepted")] == ["opened", "accepted"]


def test_given_credentials_are_asked_for() -> None:
    """Where credentials are given, mail is refused until they have been said."""
    with Sandbox(credentials=Credentials(smtp=("user", "word"))) as sandbox, smtp_client(sandbox.smtp_url) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            client.sendmail(FROM, [TO], EMAIL)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("user", "wrong")
        client.login("user", "word")
        assert client.sendmail(FROM, [TO], EMAIL) == {}


def test_any_credentials_will_do(smtp: smtplib.SMTP) -> None:
    """Where none are given, any are accepted, as real configurations come with some."""
    smtp.login("anyone", "anything")
    assert smtp.sendmail(FROM, [TO], EMAIL) == {}
