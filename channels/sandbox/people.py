"""People who write back, by SMS and by email, as their providers would pass it on."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from typing import Literal
from xml.etree import ElementTree

import urllib3
from pydantic.dataclasses import dataclass

from channels.sandbox.journal import Entry
from channels.sandbox.outside import Outside
from channels.sandbox.poster import Post, Reply, Rules
from channels.sandbox.twilio_resources import API, new_sid, segments
from channels.sandbox.twilio_webhooks import call_back

#: Inbound Parse gives up at a 4xx and repeats for days at a 5xx; here it repeats for seconds.
PARSE_RULES = Rules(frozenset({"ct", "rt", "5xx"}), (0.1, 0.2, 0.5, 1))


@dataclass(frozen=True, slots=True, kw_only=True, config={"extra": "forbid"})
class Sms:
    """An SMS from a person. `to` is who last wrote to them unless given; `url` the door unless given.

    `opt_out` is what Twilio's Advanced Opt-Out adds. `id` is the MessageSid: the same again is a repeat.
    """

    sender: str
    body: str
    to: str = ""
    opt_out: Literal["STOP", "START", "HELP"] | None = None
    id: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that comes with an email."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True, config={"extra": "forbid"})
class Mail:
    """An email from a person, in answer to one that was accepted.

    `answering` is its id, attempt or Message-ID; by default it is the last one `sender` got. `to` and `subject` follow
    from it, and its text is quoted below `text` where `quote`. `headers` are added or replace ours. Text and HTML
    travel in `charset`. `id` is the Message-ID: the same again is a repeat.
    """

    sender: str
    text: str
    html: str = ""
    answering: str = ""
    to: str = ""
    subject: str = ""
    quote: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    charset: str = "utf-8"
    attachments: tuple[Attachment, ...] = ()
    id: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of it: the answer's status (0: none came, and `error`), its text, and the id of what was written."""

    status: int
    text: str
    id: str
    error: str = ""


class People:
    """Posts at once and returns when it is answered. `account_of` gives account and token by the number written to."""

    def __init__(self, outside: Outside, account_of: Callable[[str], tuple[str, str]]) -> None:
        self._outside, self._account_of = outside, account_of

    def sms(self, sms: Sms) -> Heard:
        """Pass an SMS on, signed. `text` of the answer is the words of its <Message>s.

        Raises `LookupError` where there is no door, no sender to answer, or nobody whose token could sign.
        """
        url, to, sid = _door(sms.url or self._outside.doors.sms), sms.to or self._wrote(sms.sender), sms.id
        account, token = self._account_of(to)
        sid = sid or new_sid("sms")
        fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "SmsStatus": "received"}
        fields |= {"AccountSid": account, "ApiVersion": API[1:], "From": sms.sender, "To": to, "Body": sms.body}
        fields |= {"NumMedia": "0", "NumSegments": str(segments(sms.body))}
        fields |= {"FromCountry": "FR" if sms.sender.startswith("+33") else ""}
        fields |= {"OptOutType": sms.opt_out} if sms.opt_out else {}
        told = self._told("twilio", "sms", {"what": "sms", "id": sid, "url": url, "said": sms.body})
        reply = call_back(self._outside.poster, url, token, fields, told=told)
        return Heard(reply.status, _answered(reply.body), sid, reply.error)

    def mail(self, mail: Mail) -> Heard:
        """Pass an email on, as Inbound Parse would.

        Raises `LookupError` where there is no door, or no email to answer and no `to`.
        """
        url = _door(mail.url or self._outside.doors.mail)
        letter = _letter(mail, self._answered(mail))
        body, content_type = urllib3.encode_multipart_formdata(_form(mail, letter))
        told = self._told(
            "sendgrid", "email", {"what": "mail", "id": letter["Message-ID"], "url": url, "said": mail.text}
        )
        reply = self._outside.poster.post(Post(url, body, {"Content-Type": content_type}), PARSE_RULES, told)
        return Heard(reply.status, reply.body.decode(errors="replace"), letter["Message-ID"], reply.error)

    def _told(
        self, provider: str, channel: Literal["sms", "email"], line: Mapping[str, str]
    ) -> Callable[[int, Reply], None]:
        exchange = self._outside.journal.begin(provider, channel)
        return lambda number, reply: exchange.write("posted", **line, number=number, **reply.fields)

    def _wrote(self, person: str) -> str:
        theirs = (each for each in reversed(self._outside.journal.accepted()) if each["to"] == person)
        found = next((each["from"] for each in theirs if each["channel"] == "sms"), None)
        if found is None:
            raise LookupError(f"nobody wrote an SMS to {person}: say to whom it goes")
        return str(found)

    def _answered(self, mail: Mail) -> Entry:
        """The accepted email it answers, or nothing where it says itself where it goes."""
        emails = [each for each in self._outside.journal.accepted() if each["channel"] == "email"]
        for each in reversed(emails):
            names = (each["id"], each["attempt"], each["message_id"])
            if mail.answering in names if mail.answering else each["to"] == mail.sender:
                return each
        if mail.answering or not mail.to:
            raise LookupError(f"no accepted email is {mail.answering or 'to ' + mail.sender!r}")
        return {}


def _door(url: str | None) -> str:
    if not url:
        raise LookupError("there is no door to post to: give one, or doors to the sandbox")
    return url


def _answered(body: bytes) -> str:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - from our own doors on loopback
    except ElementTree.ParseError:
        return ""
    return " ".join(" ".join("".join(each.itertext()).split()) for each in root.iter("Message"))


def _letter(mail: Mail, answered: Entry) -> EmailMessage:
    letter = EmailMessage(policy=SMTP)
    subject = answered.get("subject", "")
    ours = {
        "From": mail.sender,
        "To": mail.to or answered.get("reply_to") or answered.get("from", ""),
        "Subject": mail.subject or (f"Re: {subject}" if subject else ""),
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": mail.id or make_msgid(secrets.token_hex(4), "debtor.invalid"),
        "In-Reply-To": answered.get("message_id", ""),
        "References": answered.get("message_id", ""),
    }
    for name, value in {**ours, **mail.headers}.items():
        if value:
            letter[name] = value
    letter.set_content(_quoting(mail, answered))
    return letter


def _quoting(mail: Mail, answered: Entry) -> str:
    if not (mail.quote and answered):
        return mail.text
    when = datetime.fromisoformat(answered["at"]).strftime("%d/%m/%Y à %H:%M")
    quoted = "\n".join(f"> {line}".rstrip() for line in answered["text"].splitlines())
    return f"{mail.text}\n\nLe {when}, {answered['from']} a écrit :\n{quoted}\n"


def _form(mail: Mail, letter: EmailMessage) -> list[tuple[str, str | bytes | tuple[str, bytes, str]]]:
    """The fields of Inbound Parse, text and HTML in the mail's own charset."""
    sender, to = parseaddr(mail.sender)[1], parseaddr(letter["To"])[1]
    charsets = {"to": "UTF-8", "from": "UTF-8", "subject": "UTF-8", "text": mail.charset, "html": mail.charset}
    named = {f"attachment{number}": each for number, each in enumerate(mail.attachments, 1)}
    info = {
        name: {"filename": each.filename, "name": each.filename, "type": each.content_type}
        for name, each in named.items()
    }
    return [
        ("headers", "".join(f"{name}: {value}\n" for name, value in _headers(letter))),
        ("dkim", f"{{@{sender.rpartition('@')[2]} : pass}}"),
        ("content-ids", "{}"),
        ("to", str(letter["To"])),
        ("from", mail.sender),
        ("subject", str(letter["Subject"] or "")),
        ("text", letter.get_content().replace("\r\n", "\n").encode(mail.charset)),
        *([("html", mail.html.encode(mail.charset))] if mail.html else []),
        ("sender_ip", "192.0.2.1"),
        ("envelope", json.dumps({"to": [to], "from": sender})),
        ("attachments", str(len(named))),
        *([("attachment-info", json.dumps(info))] if info else []),
        ("charsets", json.dumps(charsets)),
        ("SPF", "pass"),
        ("spam_score", "0.1"),
        ("spam_report", "Spam detection software found nothing."),
        *[(name, (each.filename, each.content, each.content_type)) for name, each in named.items()],
    ]


def _headers(letter: EmailMessage) -> list[tuple[str, str]]:
    """As they travelled: encoded words and all."""
    raw = letter.as_bytes().partition(b"\r\n\r\n")[0].decode()
    unfolded = raw.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in unfolded)]
