"""What an HTML mail says, line for line; what it quotes is marked with "> ".

The document is read piece by piece: the standard library's parser takes minutes over a hundred thousand tags that never
end, and raises over some that are none.
"""

import re
from html import unescape

#: Characters of a document, and of one tag, that are looked at; and how deep elements may be in elements.
LOOKED_AT, LONGEST_TAG, DEEPEST = 500_000, 2_000, 200

_TAG = re.compile(r"(/?)([a-zA-Z][a-zA-Z0-9]*)")
_ATTRIBUTES = re.compile(r"""\b(class|id|style)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.I)
_BLOCKS = {
    "address", "article", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main", "nav", "ol", "p", "pre", "section", "table",
    "td", "th", "tr", "ul",
}  # fmt: skip
_UNSEEN = {"head", "script", "style", "template", "title"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: What programs call the element around what they quote, or around the line above it.
_QUOTES = ("gmail_attr", "moz-cite-prefix", "protonmail_quote", "yahoo_quoted", "zmail_extra")
#: What programs put between an answer and the mail below it: all that follows is quoted.
_DIVIDER_IDS = ("divrplyfwdmsg", "appendonsend", "zwchr", "mail-editor-reference-message-container")
_OUTLOOK = re.compile(r"border:\s*none;\s*border-top:\s*solid #(?:[eb]1[eb]1[eb]1|b5c4df)", re.I)


class _Open:
    """An element that is open."""

    __slots__ = ("name", "quoted")

    def __init__(self, name: str, *, quoted: bool) -> None:
        self.name, self.quoted = name, quoted


class _Lines:
    """What a document shows, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._open: list[_Open] = []
        self._unseen = ""
        self._below = False  # below the divider
        self._was_quoted = False

    def start(self, tag: str, attributes: str) -> None:
        """A block begins a line."""
        if self._unseen:
            return
        if tag in _UNSEEN:
            self._unseen = tag
            return
        named = {name.lower(): value.strip("\"'") for name, value in _ATTRIBUTES.findall(attributes)}
        if tag == "br" or tag in _BLOCKS:
            self.end_line()
        if named.get("id", "").lower() in _DIVIDER_IDS or _OUTLOOK.search(named.get("style", "")):
            self.end_line()
            self._below = True
        if tag not in _VOID and len(self._open) < DEEPEST:
            self._open.append(_Open(tag, quoted=_is_quote(tag, named.get("class", ""))))

    def end(self, tag: str) -> None:
        """A block ends its line; what was left open inside ends with it."""
        if self._unseen:
            self._unseen = "" if tag == self._unseen else self._unseen
            return
        if tag in _BLOCKS:
            self.end_line()
        at = next((i for i in reversed(range(len(self._open))) if self._open[i].name == tag), None)
        if at is not None:
            del self._open[at:]
            if tag == "blockquote":  # what is typed below a quote is inside Gmail's frame of it, and no quote
                for each in self._open:
                    each.quoted = each.quoted and each.name == "blockquote"

    def say(self, data: str) -> None:
        """Words."""
        if self._unseen:
            return
        quoted = self._below or any(each.quoted for each in self._open)
        if quoted is not self._was_quoted:
            self.end_line()
            self._was_quoted = quoted
        self._line.append(data)

    def end_line(self) -> None:
        """What was said since the last end is a line; blanks and line ends inside mean nothing."""
        words = " ".join("".join(self._line).split())
        self._line.clear()
        if words:
            self.lines.append(f"> {words}" if self._was_quoted else words)


def _is_quote(tag: str, classes: str) -> bool:
    return tag == "blockquote" or any(each in _QUOTES or each.startswith("gmail_quote") for each in classes.split())


def html_text(document: str) -> str:
    """What a document shows, a line for each block; a quoted line begins with "> "."""
    lines = _Lines()
    first, *pieces = _without_comments(document[:LOOKED_AT]).split("<")
    lines.say(unescape(first))
    for piece in pieces:
        tag = _TAG.match(piece)
        if tag is None:  # a sign in a sentence, or a declaration
            lines.say(unescape("<" + piece) if piece[:1] not in ("!", "?") else piece.partition(">")[2])
            continue
        attributes, _, words = piece[tag.end() :].partition(">")
        if tag[1]:
            lines.end(tag[2].lower())
        else:
            lines.start(tag[2].lower(), attributes[:LONGEST_TAG])
        lines.say(unescape(words))
    lines.end_line()
    return "\n".join(lines.lines)


def _without_comments(document: str) -> str:
    """A comment that never ends hides nothing: words could be in it."""
    shown, at = list[str](), 0
    while (begin := document.find("<!--", at)) >= 0 and (end := document.find("-->", begin + 4)) >= 0:
        shown.append(document[at:begin])
        at = end + 3
    return "".join(shown) + document[at:]
