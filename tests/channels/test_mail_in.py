"""Mail that comes in: whose words they are, whether a machine wrote them, and what a report says of which attempt."""

from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.base import Receipt, Reply
from channels.html_text import html_text
from channels.mail_in import Unreadable, read_mail
from channels.mail_text import LONGEST_TEXT
from channels.mime import compose
from channels.sendgrid_inbound import read_inbound_parse
from tests.channels.samples import EMAIL

ATTEMPT = EMAIL.attempt
RETURNED = compose(EMAIL)
HEADERS_ONLY = RETURNED.partition(b"\r\n\r\n")[0]


def mail(text: str = "Réglé hier.", **headers: str) -> bytes:
    """A person's mail; `from_` and the like become headers."""
    message = EmailMessage()
    for name, value in {"from_": "Nadia <nadia@client.example>", "to": "r+k7q2@parse.example", **headers}.items():
        message[name.strip("_").replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


def reply(raw: bytes) -> Reply:
    """What is read of it; it must be a reply."""
    found = read_mail(raw)
    assert isinstance(found, Reply)
    return found


def report(
    fields: str, kind: str = "delivery-status", returned: bytes = RETURNED, holds: str = "message/rfc822"
) -> bytes:
    """A report as Postfix writes it, on one of our messages."""
    lines = [
        "Return-Path: <>", "From: MAILER-DAEMON@mx.example", "Auto-Submitted: auto-replied",
        "Date: Thu, 16 Apr 2026 09:02:00 +0200", "Subject: Undelivered Mail Returned to Sender", "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind}; boundary="B"', "", "--B", "Content-Type: text/plain", "",
        "I'm sorry to have to inform you.", "", "--B", f"Content-Type: message/{kind}", "", fields, "",
        "--B", f"Content-Type: {holds}", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n" + returned + b"\r\n--B--\r\n"


def failed(status: str, action: str = "failed", diagnostic: str = "smtp; 550 no") -> str:
    """The fields of a delivery report."""
    recipient = f"Final-Recipient: rfc822; x@client.example\r\nAction: {action}\r\nStatus: {status}"
    return f"Reporting-MTA: dns; mx.example\r\n\r\n{recipient}\r\nDiagnostic-Code: {diagnostic}"


def test_a_persons_mail_is_a_reply() -> None:
    """Who, to which mailbox of ours, and all that was written; under its Message-ID, so that a repeat is seen."""
    found = reply(mail(message_id="<a1@client.example>", subject="Re: Facture échue"))
    assert found == Reply(
        id="<a1@client.example>", channel="email", to="r+k7q2@parse.example", sender="nadia@client.example",
        text="Réglé hier.", subject="Re: Facture échue",
    )  # fmt: skip


def test_a_mail_without_an_id_is_the_same_each_time() -> None:
    """A mail program that gives none does not make one answer two."""
    assert reply(mail()).id == reply(mail()).id != reply(mail("autre")).id


def test_the_envelope_says_which_mailbox() -> None:
    """Before the headers, which the writer chose; of several, the one with a token."""
    found = read_mail(mail(), recipients=["compta@atelier.example", "r+zz@parse.example"])
    assert isinstance(found, Reply)
    assert found.to == "r+zz@parse.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"auto_submitted": "auto-replied"}, {"auto_submitted": "auto-generated; x=y"}, {"precedence": "bulk"},
        {"precedence": "Auto_Reply"},
        {"x_autoreply": "yes"}, {"return_path": "<>"}, {"subject": "Out of Office: back on Monday"},
        {"subject": "Absence du bureau"},
        {"subject": "Réponse automatique : Facture"}, {"subject": "Automatic reply: Invoice"},
    ],
)  # fmt: skip
def test_what_a_machine_wrote_is_known(headers: dict[str, str]) -> None:
    """An out-of-office is no answer."""
    assert reply(mail(**headers)).automatic


@pytest.mark.parametrize(
    "headers",
    [
        {"auto_submitted": "no"},
        {"subject": "Re: Out of office"},
        {"x_auto_response_suppress": "All"},
        {"precedence": "normal"},
    ],
)
def test_what_a_person_wrote_is_not_taken_for_a_machines(headers: dict[str, str]) -> None:
    """An answer that is thrown away is worse than one too many; Exchange asks everybody not to answer by machine."""
    assert not reply(mail(**headers)).automatic


@pytest.mark.parametrize(
    ("fields", "what", "code"),
    [
        (failed("5.1.1"), "hard", "5.1.1"), (failed("5.1.2"), "hard", "5.1.2"), (failed("5.1.10"), "hard", "5.1.10"),
        (failed("5.2.1"), "hard", "5.2.1"), (failed("5.2.2"), "soft", "5.2.2"), (failed("5.7.1"), "soft", "5.7.1"),
        (failed("4.4.7"), "soft", "4.4.7"), (failed("5.1.8"), "account", "5.1.8"),
        (failed("5.0.0", diagnostic="smtp; 550 5.1.1 unknown"), "hard", "5.1.1"),
        (failed("5.0.0", diagnostic="smtp; 550 User unknown"), "hard", "5.0.0"),
        (failed("5.0.0"), "soft", "5.0.0"), (failed("4.4.1", "delayed"), "deferred", "4.4.1"),
        (failed("2.0.0", "delivered"), "delivered", "2.0.0"), (failed("2.0.0", "relayed"), "delivered", "2.0.0"),
    ],
)  # fmt: skip
def test_a_delivery_report_is_a_receipt_of_our_attempt(fields: str, what: str, code: str) -> None:
    """Found by the header that the message bore, whether it came back whole or as headers alone."""
    for returned, holds in ((RETURNED, "message/rfc822"), (HEADERS_ONLY, "text/rfc822-headers")):
        found = read_mail(report(fields, returned=returned, holds=holds))
        assert isinstance(found, Receipt)
        assert (found.attempt, found.what, found.provider, found.code) == (ATTEMPT, what, "smtp", code)
        assert found.at is not None


def test_a_bounce_told_in_words_is_understood_too() -> None:
    """qmail and older Exims write no fields, and quote the message."""
    text = "Hi. This is the qmail-send program.\n550 5.1.1 <x>: no mailbox here\n--- Below this line is a copy.\n\n"
    found = read_mail(mail(text + HEADERS_ONLY.decode().replace("\r", ""), from_="MAILER-DAEMON@mx.example"))
    assert isinstance(found, Receipt)
    assert (found.attempt, found.what, found.code) == (ATTEMPT, "hard", "5.1.1")


def test_a_spam_report_is_a_complaint_and_not_spam_is_none() -> None:
    """RFC 5965: `abuse` is one; the others say nothing against us."""
    found = read_mail(report("Feedback-Type: abuse\r\nVersion: 1", "feedback-report"))
    assert isinstance(found, Receipt)
    assert (found.attempt, found.what) == (ATTEMPT, "complained")
    assert read_mail(report("Feedback-Type: not-spam\r\nVersion: 1", "feedback-report")) is None


def test_reports_on_what_is_not_ours_and_read_receipts_are_nothing() -> None:
    """A report is never a person's answer."""
    assert read_mail(report(failed("5.1.1"), returned=b"Subject: other\r\n\r\nx")) is None
    assert read_mail(report("Disposition: manual-action; displayed", "disposition-notification")) is None


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", "Réglé".encode("latin-1"), "Réglé"),
        ("text/plain; charset=utf-8", "Réglé".encode("latin-1"), "Réglé"),
        ("text/plain; charset=klingon", "Réglé".encode(), "Réglé"),
        ("text/plain; charset=unicode_escape", b"Oui \\ud800", "Oui \\ud800"),
        ("text/plain; charset=utf-7", b"Oui +2AA-", "Oui ?"),
        ("text/html", b"<style>p{}</style>Pay&eacute;<br>hier<blockquote>d&eacute;j&agrave; <b>pay</b></blockquote>",
         "Payé\nhier\n> déjà pay"),
        ("multipart/mixed; boundary=B", (b"--B\r\nContent-Type: text/plain\r\n\r\nOui\r\n--B\r\n"
         b"Content-Disposition: attachment\r\nContent-Type: text/plain\r\n\r\nnon\r\n--B--"), "Oui"),
        ("multipart/alternative; boundary=B", b"--B\r\nContent-Type: text/html\r\n\r\n<p>Oui", "Oui"),
        ("multipart/mixed", b"no boundary", "no boundary"),
        ("application/pdf", b"%PDF", ""),
    ],
)  # fmt: skip
def test_whatever_the_form_the_words_are_found(content_type: str, body: bytes, text: str) -> None:
    """Charsets that are wrong or unknown, HTML alone, attachments, parts that never end."""
    assert (
        reply(b"From: a@b.example\r\nContent-Type: " + content_type.encode() + b"\r\n\r\n" + body).text.strip() == text
    )


def form(fields: dict[str, bytes], boundary: str = "xYzZY") -> tuple[bytes, str]:
    """What SendGrid posts."""
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary.encode(), n.encode(), v)
        for n, v in fields.items()
    ]
    return b"".join(parts) + b"--%s--\r\n" % boundary.encode(), f"multipart/form-data; boundary={boundary}"


FIELDS = {
    "headers": b"Message-ID: <b2@client.example>\nX-Mailer: y\n", "from": b"Nadia <nadia@client.example>",
    "to": b"spoof@x.example",
    "subject": "Réglé".encode("latin-1"), "text": "Réglé hier".encode(),
    "charsets": b'{"subject": "iso-8859-1", "text": "UTF-8"}',
    "envelope": b'{"to": ["r+k7q2@parse.example"], "from": "nadia@client.example"}',
}  # fmt: skip


def test_inbound_parse_is_read_field_by_field_in_the_charset_of_each() -> None:
    """And the envelope says where it came to."""
    found = read_inbound_parse(*form(FIELDS))
    assert found == Reply(
        id="<b2@client.example>", channel="email", to="r+k7q2@parse.example", sender="nadia@client.example",
        text="Réglé hier", subject="Réglé",
    )  # fmt: skip


def test_inbound_parse_sent_raw_is_the_same_mail() -> None:
    """Whichever way the account is set up; a report in it is a report."""
    raw = read_inbound_parse(*form({"email": mail(message_id="<c@d.example>"), "envelope": FIELDS["envelope"]}))
    assert isinstance(raw, Reply)
    assert (raw.id, raw.text) == ("<c@d.example>", "Réglé hier.")
    assert isinstance(read_inbound_parse(*form({"email": report(failed("5.1.1"))})), Receipt)


@pytest.mark.parametrize("headers", [b"Auto-Submitted: auto-replied\n", b"Return-Path: <>\n"])
def test_inbound_parse_knows_machines(headers: bytes) -> None:
    """The headers are one of its fields."""
    found = read_inbound_parse(*form({**FIELDS, "headers": headers}))
    assert isinstance(found, Reply)
    assert found.automatic


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"", "multipart/form-data; boundary=x"), (b"a=b", "application/x-www-form-urlencoded"),
     (b"x", "multipart/form-data"), (b"x", ""),
     (b"rubbish", "multipart/form-data; boundary=x")],
)  # fmt: skip
def test_a_form_that_is_none_is_said_to_be_none(body: bytes, content_type: str) -> None:
    """With a reason, which quotes nothing of it."""
    with pytest.raises(Unreadable, match=r"form"):
        read_inbound_parse(body, content_type)


@pytest.mark.parametrize("raw", [b"", b" \n", b"\n\nno headers at all"])
def test_what_is_no_mail_is_unreadable(raw: bytes) -> None:
    """It is neither an answer nor a report."""
    with pytest.raises(Unreadable):
        read_mail(raw)


@given(
    st.binary(max_size=400)
    | st.builds(
        lambda h, b: h + b"\r\n\r\n" + b,
        st.sampled_from([HEADERS_ONLY, b"From: =?x?q?=\r\nTo: \xff<>"]),
        st.binary(max_size=200),
    )
)
@example(b'Subject: =?utf-8?b?/w=a?=\nDate: Mon, 99 Foo 2026\nContent-Type: multipart/report; boundary=""\n\nx')
@example(b"Content-Type: multipart/mixed; boundary=B\n\n" + b"--B\nContent-Type: multipart/mixed; boundary=B\n\n" * 400)
def test_any_bytes_are_a_mail_or_unreadable(raw: bytes) -> None:
    """Strangers write to this mailbox; nothing they send breaks it."""
    try:
        found = read_mail(raw)
        read_inbound_parse(*form({**FIELDS, "headers": raw, "charsets": raw[:50]}))
        read_inbound_parse(raw, "multipart/form-data; boundary=B")
    except Unreadable:
        return
    assert found is None or isinstance(found, Receipt | Reply)


@given(st.text(alphabet="<>/=\"'!-[]&;ap blockquotestyle\n", max_size=300))
def test_any_html_has_a_text(html: str) -> None:
    """Never raises, and nothing in it grows."""
    assert len(html_text(html)) <= 20 * len(html) + 20


def test_what_is_kept_is_bounded() -> None:
    """A mail of 30 MB is a mail of LONGEST_TEXT characters."""
    assert len(reply(mail() + b"x" * 30_000_000).text) == LONGEST_TEXT
