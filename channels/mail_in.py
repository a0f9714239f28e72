"""Mail that comes to us: what people answer, what became of a message (RFC 3464), who called it spam (RFC 5965).

Nothing in a mail is proven: not who wrote it, nor that a report is one. Attachments are not looked at.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message as Mail
from email.utils import getaddresses, parseaddr, parsedate_to_datetime
from io import BytesIO

from channels.base import Receipt, ReceiptWhat, Reply
from channels.html_text import html_text

#: How much of a mail is looked at, in bytes: what people write stands before what they attach; and how much of it is
#: kept, in characters.
LOOKED_AT, TEXT, SUBJECT = 4_000_000, 100_000, 500
_NAME = 320
# Python's own codecs that no mail is written in: slow over a large text, or a way to spell anything.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape"})

_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:out of (?:the )?office|automatic reply|auto(?:matic|mated)?[- ]?(?:reply|response)|automatische antwort"
    r"|réponse automatique|reponse automatique|message automatique|absence du bureau|absent du bureau|auto ?:)",
    re.I,
)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ATTEMPT = re.compile(r"^[ \t>]*X-Relance-Attempt:[ \t]*([\w.:+-]{3,200})[ \t]*\r?$", re.I | re.M)
_NOBODY = re.compile(
    r"user unknown|unknown user|no such (?:user|recipient|mailbox)"
    r"|(?:user|mailbox|address|account) (?:does not|doesn't) exist"
    r"|utilisateur inconnu|adresse inconnue|recipient not found",
    re.I,
)
_DELAYED = re.compile(r"delay|warning|not yet been delivered|retard", re.I)


class Unreadable(ValueError):
    """What came is no mail that can be read. The text says why and quotes nothing of it."""


def read_mail(raw: bytes, *, recipients: Sequence[str] = ()) -> Reply | Receipt | None:
    """A person's mail, or a report on a message of ours; None for a report on anything else, and for a read receipt.

    `recipients` are those of the envelope; without them the headers say who it was sent to. Raises Unreadable.
    """
    mail = _parse(raw[:LOOKED_AT])
    headers = _headers(mail)
    parts = list(_parts(mail))
    if _reports(headers, parts):
        return _receipt(headers, parts)
    return _reply(headers, _text(parts), recipients, raw)


def read_inbound_parse(body: bytes, content_type: str) -> Reply | Receipt | None:
    """The same of what SendGrid's Inbound Parse posts, sent raw or not. Raises Unreadable."""
    fields, files = _form(body, content_type)
    recipients = _strings(_object(fields, "envelope").get("to"))
    if "email" in fields:
        return read_mail(fields["email"], recipients=recipients)
    if not fields.keys() & {"headers", "text", "html"}:
        raise Unreadable("a form without any of the fields email, headers, text, html")
    said = _decoded(fields)
    headers = _headers(_parse(said.get("headers", "").encode()[:LOOKED_AT] + b"\n\n"))
    headers = {"from": said.get("from", ""), "to": said.get("to", ""), "subject": said.get("subject", ""), **headers}
    text = said.get("text", "") if said.get("text", "").strip() else html_text(said.get("html", ""))
    if _reports(headers, []):
        return _told_in_words(headers, "\n".join([text, *files]))
    return _reply(headers, text, recipients, body)


# ---- reading


def _parse(raw: bytes) -> Mail:
    if not raw.strip():
        raise Unreadable("empty")
    try:
        mail = message_from_bytes(raw, policy=policy.compat32)
    except Exception as error:  # the parser meets whatever strangers send
        raise Unreadable(f"not a mail ({type(error).__name__})") from None
    if not mail.keys():
        raise Unreadable("not a mail: no headers")
    return mail


def _headers(mail: Mail) -> dict[str, str]:
    """The first of each header, in lower case, decoded as far as that goes."""
    found: dict[str, str] = {}
    for name, value in mail.items():
        found.setdefault(name.lower(), _words(str(value)))
    return found


def _words(value: str) -> str:
    plain = value[:10_000].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    with suppress(ValueError, LookupError, AssertionError, MessageError):  # what claims to be encoded and is not
        plain = str(make_header(decode_header(plain)))
    return _storable(" ".join(plain.split()))


def _storable(text: str) -> str:
    """Without what no UTF-8 can say: some charsets spell halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _parts(mail: Mail) -> Iterator[Mail]:
    """Every part with what it holds; the parts of a mail inside a mail come with it."""
    waiting = [mail]
    while waiting and len(waiting) < 1000:
        part = waiting.pop(0)
        yield part
        payload = part.get_payload()
        waiting += [inner for inner in payload if isinstance(inner, Mail)] if isinstance(payload, list) else []


def _text(parts: Sequence[Mail]) -> str:
    """What it says: the plain parts, else the HTML; neither attachments nor mails inside."""
    inside = {id(inner) for part in parts if part.get_content_maintype() == "message" for inner in part.walk()}
    shown = [part for part in parts if id(part) not in inside and part.get_content_disposition() != "attachment"]
    plain = [_content(part) for part in shown if part.get_content_type() == "text/plain"]
    if "".join(plain).strip():
        return "\n".join(plain)
    return "\n".join(html_text(_content(part)) for part in shown if part.get_content_type() == "text/html")


def _content(part: Mail) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_param("charset")
    return _in(data, charset if isinstance(charset, str) else "utf-8")


def _in(data: bytes, charset: str) -> str:
    """The text in that charset, or in whichever fits."""
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name.replace("_", "-") not in _NO_CHARSETS:
                return _storable(data.decode(name))
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


# ---- a person's mail


def _reply(headers: Mapping[str, str], text: str, recipients: Sequence[str], raw: bytes) -> Reply:
    return Reply(
        id=headers.get("message-id", "")[:_NAME] or f"sha256:{hashlib.sha256(raw).hexdigest()}",
        channel="email",
        to=_to(headers, recipients),
        sender=parseaddr(headers.get("from", ""))[1][:_NAME],
        text=text[:TEXT],
        subject=headers.get("subject", "")[:SUBJECT],
        automatic=_automatic(headers),
    )


def _to(headers: Mapping[str, str], recipients: Sequence[str]) -> str:
    """The mailbox of ours: one with a token (`r+...@`) where there is one, else the first."""
    named = [headers.get(name, "") for name in ("delivered-to", "x-original-to", "to", "cc")]
    found = [address for _, address in getaddresses([*recipients] or named) if "@" in address]
    return next((address for address in found if "+" in address), found[0] if found else "")[:_NAME]


def _automatic(headers: Mapping[str, str]) -> bool:
    """Did a machine write it? RFC 3834, and what was used before it."""
    submitted = headers.get("auto-submitted", "no").partition(";")[0].strip().lower()
    return (
        submitted != "no"
        or headers.get("precedence", "").lower() in ("bulk", "auto_reply", "junk")
        or not headers.keys().isdisjoint(("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply"))
        or headers.get("return-path", "").replace(" ", "") == "<>"
        or _AUTOMATIC_SUBJECT.match(headers.get("subject", "")) is not None
    )


# ---- reports


def _reports(headers: Mapping[str, str], parts: Sequence[Mail]) -> bool:
    sender = parseaddr(headers.get("from", ""))[1].lower()
    return (
        headers.get("content-type", "").lower().startswith("multipart/report")
        or "x-failed-recipients" in headers
        or sender.startswith("mailer-daemon@")
        or any(part.get_content_type() in ("message/delivery-status", "message/feedback-report") for part in parts[:20])
    )


def _receipt(headers: Mapping[str, str], parts: Sequence[Mail]) -> Receipt | None:
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            return _of_delivery(headers, parts, _blocks(part))
        if part.get_content_type() == "message/feedback-report":
            kind = next((block["feedback-type"] for block in _blocks(part) if "feedback-type" in block), "")
            return _made(headers, parts, "complained", kind) if kind.lower() in ("abuse", "fraud") else None
    if "disposition-notification" in headers.get("content-type", "").lower():
        return None
    return _told_in_words(headers, _everything(parts))


def _blocks(part: Mail) -> list[dict[str, str]]:
    """The fields of a report, block by block."""
    payload = part.get_payload()
    if isinstance(payload, list):
        inner = [one for one in payload if isinstance(one, Mail)]
        return [_headers(one) for one in inner] + [_fields(str(one.get_payload())) for one in inner]
    return [_fields(_content(part))]


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text[:10_000].splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def _of_delivery(headers: Mapping[str, str], parts: Sequence[Mail], blocks: list[dict[str, str]]) -> Receipt | None:
    told = next((block for block in blocks if "action" in block or "status" in block), None)
    if told is None:
        return _told_in_words(headers, _everything(parts))
    said, why = _status(told.get("status", "")), told.get("diagnostic-code", "")
    code = _status(why) or said if said.endswith(".0.0") else said
    action = told.get("action", "failed").lower()
    if action in ("delivered", "relayed", "expanded"):
        return _made(headers, parts, "delivered", code)
    return _made(headers, parts, "deferred" if action == "delayed" else _failed(code, why), code)


def _failed(code: str, why: str) -> ReceiptWhat:
    """5.1.x and 5.2.1 are about the address, 5.1.7 and 5.1.8 about the sender; all else may pass."""
    if code in ("5.1.7", "5.1.8"):
        return "account"
    if code.startswith("5.1.") or code == "5.2.1" or (code in ("", "5.0.0") and _NOBODY.search(why)):
        return "hard"
    return "soft"


def _status(text: str) -> str:
    found = _STATUS.search(text)
    return found[1] if found else ""


def _told_in_words(headers: Mapping[str, str], text: str) -> Receipt | None:
    """A report that no field tells: qmail's, older Exim's."""
    attempt = _ATTEMPT.search(text)
    if not attempt:
        return None
    said = text[: attempt.start()]
    delayed = _DELAYED.search(headers.get("subject", "")) is not None
    code = _status(said)
    what: ReceiptWhat = "deferred" if delayed else _failed(code, said)
    return Receipt(attempt[1], what, "smtp", code, at=_at(headers))


def _made(headers: Mapping[str, str], parts: Sequence[Mail], what: ReceiptWhat, code: str) -> Receipt | None:
    attempt = _ATTEMPT.search(_everything(parts))
    return Receipt(attempt[1], what, "smtp", code, at=_at(headers)) if attempt else None


def _everything(parts: Sequence[Mail]) -> str:
    """The text of every part, and the headers of the mails inside."""
    inner = ["\n".join(f"{name}: {value}" for name, value in part.items()) for part in parts[1:]]
    leaves = [_content(part)[:TEXT] for part in parts if not part.is_multipart()]
    return "\n".join(leaves + inner)


def _at(headers: Mapping[str, str]) -> datetime | None:
    try:
        at = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else None


# ---- SendGrid's form


def _form(body: bytes, content_type: str) -> tuple[dict[str, bytes], list[str]]:
    """The fields as bytes, and the small files as text."""
    from python_multipart import FormParser
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    fields: dict[str, bytes] = {}
    files: list[str] = []

    def on_field(field: object) -> None:
        name, value = getattr(field, "field_name", None) or b"", getattr(field, "value", None) or b""
        fields.setdefault(name.decode("utf-8", "replace"), value)

    def on_file(file: object) -> None:
        held = getattr(file, "file_object", None) or BytesIO()
        held.seek(0)
        files.append(held.read(TEXT).decode("utf-8", "replace"))

    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Unreadable("expected multipart/form-data with a boundary")
    in_memory = {"MAX_MEMORY_FILE_SIZE": float("inf")}  # a debtor's attachments are not written to disk
    try:
        parser = FormParser("multipart/form-data", on_field, on_file, boundary=boundary, config=in_memory)
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeError, ValueError) as error:
        raise Unreadable(f"not a form ({type(error).__name__})") from None
    return fields, files


def _decoded(fields: Mapping[str, bytes]) -> dict[str, str]:
    """Each field in the charset that `charsets` gives it: they may differ."""
    charsets = _object(fields, "charsets")
    return {name: _in(value[:LOOKED_AT], str(charsets.get(name, "utf-8"))) for name, value in fields.items()}


def _object(fields: Mapping[str, bytes], name: str) -> dict[str, object]:
    try:
        found = json.loads(fields.get(name, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _strings(found: object) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
