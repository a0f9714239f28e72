"""An email that comes in: what a person wrote, or what became of a message of ours. Bytes in, a value out.

It is read by the standard library's oldest rules (compat32), since those of today raise on headers that people's
programs and strangers write. Nothing here takes long, whatever is sent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from hashlib import sha256

from channels.base import Receipt, Reply
from channels.mail_report import is_report, read_report
from channels.mail_text import clean, decode, header_text, text_of

#: Bytes of a mail that are read: more than mail hosts pass on.
LOOKED_AT = 40_000_000
#: Parts of parts, and bytes of a header that says what a part is; what has more is read as one flat text.
MOST_PARTS, LONGEST_LABEL = 200, 3_000
#: Headers, and characters of each, that are looked at.
MOST_HEADERS, LONGEST_HEADER = 500, 8_000
#: Characters of an address (RFC 5321), and of a Message-ID.
LONGEST_ADDRESS, LONGEST_ID = 320, 300

#: Where a mail may say whom it was for, the best first.
_RECIPIENTS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
#: What a mail has, at least one of them.
_ANY = frozenset(("from", "to", "subject", "date", "message-id", "received"))
_PRECEDENCE = frozenset(("bulk", "auto_reply", "junk", "list"))
_MACHINES = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply")
#: How programs that say nothing in headers begin the subject of what they write by themselves.
_SUBJECTS = re.compile(
    r"(?:out of (?:the )?office|automatic reply|auto(?:matic)?[- ]?(?:reply|response)|réponse automatique|"
    r"absence du bureau|(?:message|notification|avis) d['’ ]absence|absent du bureau|"
    r"undeliver(?:able|ed)|mail delivery (?:failed|failure)|delivery status notification)(?![^\W_])",
    re.IGNORECASE,
)
_LABEL = re.compile(rb"^content-(?:type|disposition):[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
_NESTING = re.compile(rb"content-type:\s*(?:multipart|message)/", re.IGNORECASE)

Headers = Mapping[str, Sequence[str]]


class Unreadable(ValueError):
    """It is no mail, or no form with one in it; the text says why, and quotes nothing."""


def read_mail(raw: bytes, *, recipients: Sequence[str] = ()) -> Reply | Receipt | None:
    """What a mail says: a person's answer, what became of an attempt of ours, or nothing that is ours to know.

    `recipients`: the mailboxes it was delivered to, where the mail host says so. Raises Unreadable.
    """
    raw = raw[:LOOKED_AT].lstrip(b"\r\n")
    flat = _twisted(raw)
    mail = BytesParser(policy=compat32).parsebytes(raw, headersonly=flat)
    headers = headers_of(mail)
    if not headers.keys() & _ANY:
        raise Unreadable("no mail: it has none of the headers that a mail has")
    single = {name: values[0] for name, values in headers.items()}
    if is_report(mail, single):
        return read_report(mail, single, raw)
    text = clean(decode(raw.partition(b"\n\r\n" if b"\r\n\r\n" in raw else b"\n\n")[2], "")) if flat else text_of(mail)
    return reply(headers, text, recipients, raw)


def reply(headers: Headers, text: str, recipients: Sequence[str], raw: bytes) -> Reply:
    """The answer of a mail with these headers; `raw` is what stands for it where it has no id of its own."""
    first = {name: values[0] for name, values in headers.items()}
    found = clean(first.get("message-id", ""), LONGEST_ID)
    return Reply(
        id=found.split()[0] if found else f"sha256:{sha256(raw).hexdigest()}",
        channel="email",
        to=_recipient(headers, recipients),
        sender=next(_addresses(headers.get("from", ())), ""),
        text=text,
        subject=header_text(first.get("subject", "")),
        automatic=is_automatic(first),
    )


def headers_of(mail: "Message[str, str]") -> dict[str, list[str]]:
    """The headers as they travelled, in small letters, in order; so many, and so much of each."""
    found: dict[str, list[str]] = {}
    for number, (name, value) in enumerate(mail.raw_items()):
        if number == MOST_HEADERS:
            break
        plain = decode(str(value)[:LONGEST_HEADER].encode("utf-8", "surrogateescape"), "")
        found.setdefault(name.lower(), []).append(" ".join(plain.split()))
    return found


def is_automatic(headers: Mapping[str, str]) -> bool:
    """Did a machine write it (RFC 3834)? X-Auto-Response-Suppress alone does not say so: Outlook sets it for people."""
    submitted = re.split(r"[;(\s]", headers.get("auto-submitted", "").strip().lower())[0]
    return (
        submitted not in ("", "no")
        or headers.get("precedence", "").strip().lower() in _PRECEDENCE
        or any(headers.get(name, "no").strip().lower() not in ("no", "") for name in _MACHINES)
        or headers.get("return-path", "").strip() == "<>"
        or _SUBJECTS.match(header_text(headers.get("subject", ""))) is not None
    )


def _recipient(headers: Headers, envelope: Sequence[str]) -> str:
    """As the envelope says, else the headers: the first that looks like a case's own mailbox, else the first."""
    found = [good for each in envelope if (good := _address(each))]
    found = found or [address for name in _RECIPIENTS for address in _addresses(headers.get(name, ()))]
    return next((each for each in found if each.lower().startswith("r+")), found[0] if found else "")


def _addresses(values: Sequence[str]) -> Iterator[str]:
    try:
        found = getaddresses([value[:LONGEST_HEADER] for value in values[:10]])
    except (ValueError, IndexError, RecursionError):  # brackets in brackets
        found = []
    for _, address in found:
        if good := _address(address):
            yield good


def _address(value: str) -> str:
    """A mailbox without its name and its brackets; empty for what is none."""
    found = value.strip().removeprefix("<").removesuffix(">")
    good = len(found) <= LONGEST_ADDRESS and "@" in found and found.isprintable() and " " not in found
    return found if good else ""


def _twisted(raw: bytes) -> bool:
    """Would the parser take long over it? No program of a person's writes so; it costs squares of what is below."""
    labels = 0
    for found in _LABEL.finditer(raw):
        labels += _NESTING.match(found[0]) is not None
        if labels > MOST_PARTS or len(found[0]) > LONGEST_LABEL:
            return True
    return False
