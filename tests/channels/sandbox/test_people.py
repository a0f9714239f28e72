"""People who write back."""

import json
from email import message_from_bytes, policy
from email.parser import HeaderParser
from typing import Any, cast

import pytest
import requests
from sendgrid.helpers.mail import Header

from channels.sandbox import Attachment, Credentials, Doors, Heard, Sandbox

from .clients import ACCOUNT, TOKEN, mail, smtp_client
from .conftest import Events
from .receiver import Got, Receiver

PERSON, NUMBER = "+33639981234", "+33939980000"
INBOUND = "/webhooks/sendgrid/inbound/s3cret"
REPLY_TO = "r+token@parse.creditor.test"


@pytest.fixture
def sandbox(sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    sandbox.report_to(Doors.under(receiver.url, "s3cret"))
    return sandbox


@pytest.fixture
def written(twilio: Any) -> None:
    """A reminder has been sent to the person."""
    twilio.messages.create(to=PERSON, from_=NUMBER, body="Bonjour")


def fields(got: Got) -> dict[str, bytes]:
    """The parts of a multipart form by name, as they came."""
    whole = f"Content-Type: {got.headers['Content-Type']}\r\n\r\n".encode() + got.body
    parts = message_from_bytes(whole, policy=policy.HTTP).iter_parts()
    return {part["Content-Disposition"].params["name"]: cast(bytes, part.get_payload(decode=True)) for part in parts}


def values(got: Got, charset: str = "utf-8") -> dict[str, str]:
    return {name: value.decode(charset) for name, value in fields(got).items()}


@pytest.mark.usefixtures("written")
def test_a_person_writes_an_sms(sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """It arrives at the door of inbound SMS, signed with the token of whom they answer, with Twilio's fields."""
    heard = sandbox.sms_from(PERSON, "Arrêt svp")
    [got] = receiver.wait(1, "/webhooks/twilio/sms")
    assert got.signed
    assert heard == Heard(204, "", got.form["MessageSid"])
    assert got.form == {
        **dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), heard.id),
        "SmsStatus": "received",
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "From": PERSON,
        "To": NUMBER,
        "Body": "Arrêt svp",
        "NumMedia": "0",
        "NumSegments": "1",
        "FromCountry": "FR",
    }
    [line] = events("posted")
    assert (line["what"], line["id"], line["said"], line["status"]) == ("sms", heard.id, "Arrêt svp", 204)


@pytest.mark.usefixtures("written")
def test_twilio_may_have_understood_it(sandbox: Sandbox, receiver: Receiver) -> None:
    """OptOutType comes with it where ordered; the same id again is the same message; and the answer is read."""
    receiver.answer = lambda _got: (200, "<Response><Message>Répondez STOP</Message></Response>")
    first = sandbox.sms_from(PERSON, "AIDE", opt_out="HELP", to="+33700000000", url=f"{receiver.url}/other")
    assert first.text == "Répondez STOP"
    assert sandbox.sms_from(PERSON, "AIDE", id=first.id).id == first.id
    other, again = receiver.wait(2)
    assert (other.path, other.form["OptOutType"], other.form["To"]) == ("/other", "HELP", "+33700000000")
    assert again.form["MessageSid"] == other.form["MessageSid"]


def test_who_cannot_be_answered_is_said(sandbox: Sandbox) -> None:
    """Nobody wrote, nobody's token, no door: each an error that says what is missing."""
    with pytest.raises(LookupError, match="nobody wrote an SMS"):
        sandbox.sms_from(PERSON, "?")
    with pytest.raises(LookupError, match="own token"):
        sandbox.sms_from(PERSON, "?", to=NUMBER)
    with pytest.raises(LookupError, match="no accepted email"):
        sandbox.mail_from("ana@debtor.test", "?")
    sandbox.report_to(Doors.under("http://127.0.0.1:1"))
    with pytest.raises(LookupError, match="no door"):
        sandbox.mail_from("ana@debtor.test", "?", to="x@creditor.test")


def test_given_credentials_sign_before_anybody_sent(receiver: Receiver) -> None:
    """Where the sandbox was given an account, a stranger can write first; where nobody listens, that is told."""
    with Sandbox(doors=Doors.under(receiver.url), credentials=Credentials(twilio=(ACCOUNT, TOKEN))) as sandbox:
        assert sandbox.sms_from(PERSON, "Qui ?", to=NUMBER).status == 204
        assert receiver.wait(1)[0].signed
        away = sandbox.sms_from(PERSON, "Qui ?", to=NUMBER, url="http://127.0.0.1:1/")
    assert away.status == 0
    assert away.error.startswith("NewConnectionError")


def reminded(sendgrid: Any) -> None:
    whole = mail()
    whole.reply_to = REPLY_TO
    person = whole.personalizations[0]
    person.add_header(Header("Message-ID", "<m1@creditor.test>"))
    person.add_header(Header("List-Unsubscribe", "<https://creditor.test/u/1>"))
    sendgrid.send(whole)


def test_an_accepted_email_keeps_its_headers(sendgrid: Any, sandbox: Sandbox) -> None:
    """Where to answer and how to unsubscribe is in the log, over SMTP as over SendGrid."""
    reminded(sendgrid)
    with smtp_client(sandbox.smtp_url) as client:
        head = f"Reply-To: {REPLY_TO}\r\nList-Unsubscribe: <https://creditor.test/u/1>\r\n\r\nBonjour"
        client.sendmail("billing@creditor.test", ["ana@debtor.test"], head)
    assert [each["reply_to"] for each in sandbox.accepted()] == [REPLY_TO, REPLY_TO]
    unsubscribe = [each["headers"]["List-Unsubscribe"] for each in sandbox.accepted()]
    assert unsubscribe == ["<https://creditor.test/u/1>"] * 2


def test_a_person_answers_an_email(sendgrid: Any, sandbox: Sandbox, receiver: Receiver, events: Events) -> None:
    """Inbound Parse's form, to the Reply-To of what is answered, threaded and quoted below."""
    reminded(sendgrid)
    heard = sandbox.mail_from("ana@debtor.test", "J'ai déjà payé.")
    [got] = receiver.wait(1, INBOUND)
    form = values(got)
    assert set(form) >= {"headers", "dkim", "to", "from", "subject", "text", "sender_ip", "SPF", "spam_score"}
    assert json.loads(form["envelope"]) == {"to": [REPLY_TO], "from": "ana@debtor.test"}
    assert (form["to"], form["from"], form["subject"]) == (REPLY_TO, "ana@debtor.test", "Re: Facture F-1")
    assert (form["attachments"], json.loads(form["charsets"])["text"]) == ("0", "utf-8")
    text, _, quoted = form["text"].partition("\n\nLe ")
    assert text == "J'ai déjà payé."
    assert quoted.endswith("billing@creditor.test a écrit :\n> Bonjour\n")
    headers = HeaderParser().parsestr(form["headers"])
    assert (headers["Message-ID"], headers["In-Reply-To"]) == (heard.id, "<m1@creditor.test>")
    assert headers["References"] == "<m1@creditor.test>"
    [line] = [each for each in events("posted") if each["what"] == "mail"]
    assert (line["id"], line["said"], line["status"], heard.status) == (heard.id, "J'ai déjà payé.", 204, 204)


def test_an_answer_can_be_anything(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """Another charset, HTML, files, headers of a machine, another sender, an id of its own, no quoting."""
    reminded(sendgrid)
    attempt = sandbox.accepted()[0]["attempt"]
    heard = sandbox.mail_from(
        "robot@elsewhere.test",
        "Absent jusqu'au 3 août, à bientôt",
        html="<p>été</p>",
        answering=attempt,
        subject="Réponse automatique",
        charset="iso-8859-1",
        quote=False,
        headers={"Auto-Submitted": "auto-replied"},
        attachments=(Attachment("reçu.pdf", "application/pdf", b"%PDF"),),
        id="<own@elsewhere.test>",
    )
    [got] = receiver.wait(1, INBOUND)
    form = values(got, "iso-8859-1")
    assert (form["text"], form["html"]) == ("Absent jusqu'au 3 août, à bientôt\n", "<p>été</p>")
    assert fields(got)["subject"].decode() == "Réponse automatique"
    headers = HeaderParser().parsestr(form["headers"])
    assert (headers["Auto-Submitted"], headers["Message-ID"]) == ("auto-replied", "<own@elsewhere.test>")
    assert heard.id == "<own@elsewhere.test>"
    assert form["attachments"] == "1"
    assert json.loads(form["attachment-info"])["attachment1"]["type"] == "application/pdf"
    assert fields(got)["attachment1"] == b"%PDF"


def test_mail_is_repeated_while_the_door_is_down(sendgrid: Any, sandbox: Sandbox, receiver: Receiver) -> None:
    """A 503 brings the same mail again, a 403 does not."""
    reminded(sendgrid)
    answers = iter([(503, ""), (204, ""), (403, "")])
    receiver.answer = lambda got: next(answers) if "inbound" in got.path else (204, "")
    assert sandbox.mail_from("ana@debtor.test", "Bonjour").status == 204
    assert len({each.body for each in receiver.wait(2, INBOUND)}) == 1
    assert sandbox.mail_from("ana@debtor.test", "Bonjour").status == 403
    receiver.wait(3, INBOUND)


def test_all_of_it_can_be_driven_from_another_process(
    sandbox: Sandbox, twilio: Any, sendgrid: Any, receiver: Receiver
) -> None:
    """The control paths order reactions, move the doors and have people write; nonsense is a 400 that says why."""
    control = f"{sandbox.twilio_url}/sandbox"
    moved = {"public_url": f"{receiver.url}/moved/", "inbound_secret": "other"}
    assert requests.post(f"{control}/doors", json=moved, timeout=5).status_code == 204
    order: Any = {"channel": "sms", "to": PERSON, "receipts": ["failed"]}
    assert requests.post(f"{control}/reactions", json=order, timeout=5).json() == {"ordered": 1}
    twilio.messages.create(to=PERSON, from_=NUMBER, body="x", status_callback=f"{receiver.url}/status")
    assert receiver.wait(1, "/status")[0].form["MessageStatus"] == "failed"
    assert requests.delete(f"{control}/reactions", timeout=5).status_code == 204
    sms = requests.post(f"{control}/sms", json={"sender": PERSON, "body": "STOP"}, timeout=5).json()
    assert (sms["status"], receiver.wait(1, "/moved/webhooks/twilio/sms")[0].form["MessageSid"]) == (204, sms["id"])
    reminded(sendgrid)
    receiver.wait(1, "/moved/webhooks/sendgrid/events")
    answer: Any = {"sender": "ana@debtor.test", "text": "Bonjour", "headers": {"X-Autoreply": "yes"}}
    assert requests.post(f"{control}/mail", json=answer, timeout=5).json()["status"] == 204
    receiver.wait(1, "/moved/webhooks/sendgrid/inbound/other")
    for path, nonsense in [("sms", {"body": "?"}), ("mail", {"sender": "x"}), ("doors", {"public": "x"})]:
        refused = requests.post(f"{control}/{path}", json=nonsense, timeout=5)
        assert (refused.status_code, set(refused.json())) == (400, {"error"})
    assert requests.post(f"{control}/reactions", json={"answer": "?"}, timeout=5).status_code == 400
