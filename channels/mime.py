"""An email as it travels: one MIME text for whoever takes it, and an identity that is the same on every try."""

import hashlib
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from channels.base import Attachment, Message, Rejected, RejectedWhy
from channels.outcome import writing


def fingerprint(message: Message) -> str:
    """40 hexadecimal digits that stand for `message.id`, which may hold any character."""
    return hashlib.sha256(message.id.encode()).hexdigest()[:40]


def message_id(message: Message) -> str:
    """The Message-ID header, angle brackets included: the same on every try, so that a mailbox may drop a repeat.

    Raises Rejected("content") if the sender is no mailbox.
    """
    return f"<{fingerprint(message)}@{mailbox(message.sender, 'content').partition('@')[2]}>"


def mailbox(address: str, why: RejectedWhy = "address") -> str:
    """The address in ASCII, its domain in punycode.

    Raises Rejected(why) where ASCII cannot say it, or where it would break out of a header or a command.
    """
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode('ascii')}"
        Address(addr_spec=plain)
    except (UnicodeError, ValueError, IndexError, MessageError):
        plain = ""
    if not (plain and local and domain and plain.isascii() and plain.isprintable()) or set(plain) & set(" <>"):
        raise Rejected(why, "mailbox", "not a mailbox that can be written to")
    return plain


class _Policy(EmailPolicy):
    """Links stay whole: the standard library encodes a word that is longer than a line, and then nobody reads it."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower().startswith("list-"):
            return f"{name}: {value}\r\n".replace(", ", ",\r\n ").encode("ascii")
        return super().fold_binary(name, value)


def compose(message: Message) -> bytes:
    """The whole email: text, HTML with its pictures, attachments, and the headers that tell whose attempt it is.

    Lines end in CRLF. Raises Rejected for an address or a header that cannot be written.
    """
    with writing():
        mail = EmailMessage(policy=_Policy(linesep="\r\n"))
        for name, value in _headers(message).items():
            mail[name] = value
        _fill(mail, message)
        return mail.as_bytes()


def _headers(message: Message) -> dict[str, str | Address]:
    headers: dict[str, str | Address] = {
        "From": Address(message.sender_name, addr_spec=mailbox(message.sender, "content")),
        "To": Address(message.to_name, addr_spec=mailbox(message.to)),
        "Subject": message.subject,
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": message_id(message),
        "X-Relance-Attempt": message.attempt,
    }
    if message.reply_to:
        headers["Reply-To"] = Address(addr_spec=mailbox(message.reply_to, "content"))
    return headers | dict(message.headers)


def _fill(mail: EmailMessage, message: Message) -> None:
    mail.set_content(message.text, cte="quoted-printable")
    shown = [attachment for attachment in message.attachments if attachment.content_id and message.html]
    if message.html:
        mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        *_, html = mail.iter_parts()
        for attachment in shown:
            cid = f"<{attachment.content_id}>"
            html.add_related(attachment.content, **_labels(attachment), disposition="inline", cid=cid)
    for attachment in message.attachments:
        if attachment not in shown:
            mail.add_attachment(attachment.content, **_labels(attachment))


def _labels(attachment: Attachment) -> dict[str, Any]:
    main, _, sub = attachment.content_type.partition("/")
    return {"maintype": main, "subtype": sub, "filename": attachment.filename}
