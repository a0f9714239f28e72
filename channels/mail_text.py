"""The words of an email: which of its parts a person wrote, decoded whatever their labels say.

Quoted lines begin with "> ", in HTML too, so that whoever reads on can tell them from what was written now.
"""

import codecs
import re
from collections.abc import Callable, Iterable
from email.errors import MessageError
from email.header import decode_header
from email.message import Message

from channels.html_text import html_text

#: Characters of a text that are kept, and bytes of a part that are decoded.
LONGEST_TEXT, LONGEST_PART = 100_000, 2_000_000
#: How deep parts may be in parts.
DEEPEST = 20
#: Characters of a header that are decoded.
LONGEST_HEADER = 2_000

#: Charsets that people's programs write; Python knows others, which are slow, or no charsets at all.
_CHARSETS = re.compile(
    r"utf-(?:7|8|16|16-[bl]e|32)|iso8859-\d+|cp(?:125\d|437|850|932|949)|koi8-[ru]|gb2312|gbk|gb18030|big5|"
    r"euc_(?:jp|kr)|shift_jis|iso2022_(?:jp|kr)|mac-roman|ascii|utf-8-sig"
)
#: What Latin labels are put on, whatever is inside.
_LATIN = {"", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-8", "utf-8-sig"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


def decode(data: bytes, charset: str) -> str:
    """The text, as the label says unless the bytes say otherwise: many a Windows text is called ISO, or UTF-8."""
    name = _known(charset)
    latin = name if name == "iso8859-15" else "cp1252"
    for each in ("utf-8", latin) if name in _LATIN else (name, "utf-8", "cp1252"):
        try:
            return data.decode(each)
        except UnicodeError:
            continue
    return data.decode("cp1252", "replace")


def _known(charset: str) -> str:
    try:
        name = codecs.lookup(charset[:40].strip(" \"'")).name
    except (LookupError, ValueError):
        return ""
    return name if _CHARSETS.fullmatch(name) else ""


def clean(text: str, most: int = LONGEST_TEXT) -> str:
    """So much of a text, in lines that end in \\n, without what no person types and no store takes."""
    text = text[: 2 * most].replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text).encode("utf-8", "replace").decode()
    return _BLANK_LINES.sub("\n\n", text).strip()[:most]


def header_text(value: str) -> str:
    """A header as it is read: encoded words decoded, in one line."""
    try:
        words = decode_header(value[:LONGEST_HEADER])
    except (ValueError, MessageError):  # its base64 is broken
        words = [(value[:LONGEST_HEADER], None)]
    whole = "".join(_word(word, charset) for word, charset in words)
    return " ".join(clean(whole, LONGEST_HEADER).split())


def _word(word: str | bytes, charset: str | None) -> str:
    return word if isinstance(word, str) else decode(word, charset or "")


def text_of(mail: "Message[str, str]") -> str:
    """What its parts say to a reader: plain text where there is some, else what the HTML shows. May be empty."""
    return clean(_text(mail, 0))


def _text(part: "Message[str, str]", depth: int) -> str:
    kind = part.get_content_type()
    if part.is_multipart():
        inside = [each for each in part.get_payload() if isinstance(each, Message)]
        if depth >= DEEPEST or kind.startswith("message/"):
            return ""
        if kind == "multipart/alternative":
            inside.sort(key=_is_plain, reverse=True)
        texts = (_text(each, depth + 1) for each in inside)
        if kind in ("multipart/alternative", "multipart/related"):
            return next((text for text in texts if text.strip()), "")
        return _joined(texts)
    if kind.startswith("multipart/"):  # it has no parts after all: better all of it than nothing
        kind = "text/plain"
    if kind not in _READERS or part.get_filename() or part.get_content_disposition() == "attachment":
        return ""
    return _READERS[kind](decode(content(part), part.get_content_charset() or ""))


def _is_plain(part: "Message[str, str]") -> bool:
    return part.get_content_type() == "text/plain"


def _joined(texts: Iterable[str]) -> str:
    found, length = list[str](), 0
    for text in texts:
        if text.strip() and length < LONGEST_TEXT:
            found.append(text)
            length += len(text)
    return "\n".join(found)


def content(part: "Message[str, str]") -> bytes:
    """What a part holds, decoded from its transfer encoding; nothing of one that has parts."""
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError):
        found = None
    data = found if isinstance(found, bytes) else b""
    return cut(data, LONGEST_PART)


def cut(data: bytes, most: int) -> bytes:
    """So many bytes, or up to three less: half a character would make all of it look like another charset."""
    if len(data) <= most:
        return data
    return data[: next((at for at in range(most, most - 4, -1) if not 0x80 <= data[at] < 0xC0), most)]


_READERS: dict[str, Callable[[str], str]] = {"text/plain": str, "text/html": html_text}
