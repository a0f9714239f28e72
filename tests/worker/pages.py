"""A page of `relance preview`, read as a browser would: its sections, its frames, what it would fetch."""

from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser

#: Attributes by which a browser fetches something, or runs it, without being asked.
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "manifest", "xlink:href"}
VOID = {"meta", "br", "img", "input", "link", "base", "hr", "source", "wbr", "col"}

#: Strategy and kind of debtor, step, channel.
Place = tuple[str, str, str]


@dataclass
class Element:
    """A tag and its attributes."""

    tag: str
    attributes: dict[str, str]


@dataclass
class Page(HTMLParser):
    """What is on it. Texts are as they are read: entities resolved, blanks as they stand."""

    source: str
    elements: list[Element] = field(default_factory=list)
    texts: dict[Place, str] = field(default_factory=lambda: defaultdict(str))
    frames: dict[Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    classes: dict[str, dict[Place, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    variants: dict[Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    text: str = ""
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self._chapter = ""
        self.feed(self.source)
        assert not self._open, f"left open: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if element.attributes.get("class") == "strategy":
            self._chapter = element.attributes["id"]
        if tag not in VOID:
            self._open.append(element)
        if place := self.place:
            if tag == "iframe":
                self.frames[place].append(element.attributes["srcdoc"])
            self.variants[place] += element.attributes.get("data-variants", "").split()
            for name in element.attributes.get("class", "").split():
                self.classes[name][place].append("")

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop()
        assert opened.tag == tag, f"</{tag}> closes <{opened.tag}>"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1].tag in ("style", "script"):
            if self._open[-1].tag == "script":
                self.scripts.append(data)
            return
        self.text += data
        place = self.place
        if place is None:
            return
        self.texts[place] += data
        for element in self._open:
            for name in element.attributes.get("class", "").split():
                if self.classes[name][place]:
                    self.classes[name][place][-1] += data

    @property
    def place(self) -> Place | None:
        """Of which step and channel what is read now is."""
        for element in reversed(self._open):
            if "data-channel" in element.attributes:
                return self._chapter, element.attributes["data-step"], element.attributes["data-channel"]
        return None

    def fetches(self) -> list[str]:
        """Everything that would be loaded, frames included; pictures and scripts inside the page itself are not."""
        found = [what for frames in self.frames.values() for frame in frames for what in Page(frame).fetches()]
        for element in self.elements:
            style = element.attributes.get("style", "")
            loading = {name: value for name, value in element.attributes.items() if name in LOADING}
            if element.tag == "img" and loading.get("src", "").startswith("data:image/"):
                loading.pop("src")
            if element.tag in ("object", "embed", "link") or loading or "url(" in style or "@import" in style:
                found.append(f"<{element.tag} {element.attributes}>")
        return found
