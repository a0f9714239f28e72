"""What an HTML mail says, as text: line for line, and what it quotes marked with ">"."""

import re
from html.parser import HTMLParser

#: More than this is not looked at, in characters.
LOOKED_AT = 300_000
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "br",
        "dd",
        "div",
        "dt",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "table",
        "td",
        "tr",
        "ul",
    ]
)
_UNSEEN = frozenset(["script", "style", "template", "title"])


def html_text(html: str) -> str:
    """The text, a blank line for no more than one; never raises."""
    reader = _Reader(convert_charrefs=True)
    try:
        reader.feed(html[:LOOKED_AT])
        reader.close()
    except Exception:  # whatever strangers send: better what was read so far than nothing
        reader.lines.append("")
    lines = [re.sub(r"[ \t\r\f]+", " ", line).strip() for line in "".join(reader.lines).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.lines: list[str] = []
        self._unseen = 0
        self._quotes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._unseen = 0  # whatever the head left open
        elif tag in _UNSEEN:
            self._unseen += 1
        elif tag == "blockquote":
            self._quotes += 1
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.lines.append(" ".join(data.split("\n")))

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.lines.append("\n" + "> " * min(self._quotes, 5))
