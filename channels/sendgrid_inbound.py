"""An email as SendGrid's Inbound Parse hands it over: a form with its pieces, or with all of it ("Send Raw")."""

import json
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from channels.base import Receipt, Reply
from channels.html_text import html_text
from channels.mail_in import Unreadable, headers_of, read_mail, reply
from channels.mail_report import is_bounce, told_in_words
from channels.mail_text import clean, cut, decode

#: Bytes of a field that are read (`email` is a whole mail), and parts of a form.
LONGEST_FIELD, MOST_FIELDS = 2_000_000, 1_000
#: Bytes of the files, all together, that a report is looked for in.
SEARCHED = 200_000
_FORM = "multipart/form-data"
_IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf")}
_FIELDS = frozenset(("headers", "envelope", "charsets", "to", "from", "subject", "text", "html", "email"))


def read_inbound_parse(body: bytes, content_type: str) -> Reply | Receipt | None:
    """What the mail in a form says, as `mail_in.read_mail` does; it was delivered to what the envelope says.

    Raises Unreadable.
    """
    fields, files = _form(body, content_type)
    recipients = _strings(_object(fields.get("envelope", b"")).get("to"))
    if fields.get("email", b"").strip():
        return read_mail(fields["email"], recipients=recipients)
    if not fields.keys() & {"headers", "from", "text", "html"}:
        raise Unreadable("no mail: the form has none of the fields that Inbound Parse sends")
    charsets = _object(fields.get("charsets", b""))
    words = {name: decode(value, str(charsets.get(name, "utf-8"))) for name, value in fields.items()}
    headers = headers_of(BytesHeaderParser(policy=compat32).parsebytes(fields.get("headers", b"")))
    for name in ("to", "from", "subject"):
        if words.get(name, "").strip():
            headers[name] = [" ".join(words[name].split())]
    text = clean(words.get("text", "")) or clean(html_text(words.get("html", "")))
    single = {name: values[0] for name, values in headers.items()}
    if is_bounce(single):
        return told_in_words(single, text.encode() + b"\n" + files)
    return reply(headers, text, recipients, fields.get("headers", b"") + text.encode())


def _form(body: bytes, content_type: str) -> tuple[dict[str, bytes], bytes]:
    """The fields of Inbound Parse in a form, each once, and what its first files begin with. Raises Unreadable."""
    found: dict[str, bytes] = {}
    files = b""
    count = 0

    def on_part(part: object) -> None:
        nonlocal count, files
        count += 1
        if count > MOST_FIELDS:
            raise Unreadable("no form of SendGrid's: it has too many fields")
        if isinstance(part, File):
            part.file_object.seek(0)
            files += part.file_object.read(max(0, SEARCHED - len(files))) + b"\n"
            part.close()
        elif isinstance(part, Field):
            name = (part.field_name or b"").decode("ascii", "replace")
            if name in _FIELDS and part.value:
                found.setdefault(name, part.value if name == "email" else cut(part.value, LONGEST_FIELD))

    try:
        kind, options = parse_options_header(content_type[:1000])
        if kind != _FORM.encode() or not options.get(b"boundary"):
            raise Unreadable("no form: its type is not multipart/form-data with a boundary")
        parser = FormParser(_FORM, on_part, on_part, boundary=options[b"boundary"], config=_IN_MEMORY)
        parser.write(body)
        parser.finalize()
    except Unreadable:
        raise
    except (FormParserError, ValueError) as error:
        raise Unreadable(f"no form: it cannot be parsed ({type(error).__name__})") from None
    return found, files


def _object(value: bytes) -> dict[str, Any]:
    """A JSON object; empty for what is none."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _strings(found: object) -> list[str]:
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
