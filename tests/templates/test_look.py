"""The colours of an email: readable by day, by night, and where a mail program turns them round by itself."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from tests.worker.render_samples import LOCALES, PAGE, TONES, case, credit_note, invoice, invoices, render

VOID = {"meta", "br", "img"}
#: Least contrast of text (WCAG 2.2, 1.4.3).
READABLE = 4.5

Look = dict[str, str]


@dataclass
class Element:
    """An element that is open: its classes, and what it declares by day and by night."""

    tag: str
    classes: set[str]
    attrs: dict[str, str]
    day: Look
    night: Look = field(default_factory=dict)


def declarations(css: str) -> Look:
    """Property -> value, the last one of each."""
    pairs = (part.partition(":") for part in css.split(";") if ":" in part)
    return {name.strip(): value.replace("!important", "").strip() for name, _, value in pairs}


def night_rules(html: str) -> list[tuple[str, Look]]:
    """Selector and declarations of each dark rule, in order. Every one is important: it must beat the inline styles."""
    (dark,) = re.findall(r"@media \(prefers-color-scheme: dark\) \{((?:[^{}]*\{[^{}]*\})*)", html)
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", dark)
    assert all(part.count("!important") == part.count(":") for _, part in rules)
    return [(selector.strip(), declarations(part)) for names, part in rules for selector in names.split(",")]


class Page(HTMLParser):
    """Every visible text with the colours it has by day and by night, and the elements that declare them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._night = night_rules(html)
        self._open: list[Element] = []
        self.texts: list[tuple[str, list[Element]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open it, unless it is never closed."""
        if tag in VOID:
            return
        named = {name: value or "" for name, value in attrs}
        element = Element(tag, set(named.get("class", "").split()), named, declarations(named.get("style", "")))
        for selector, look in self._night:
            if selector == tag or selector.removeprefix(".") in element.classes:
                element.night |= look
        self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        self._open.pop()

    def handle_data(self, data: str) -> None:
        """A text that is shown."""
        hidden = any(e.tag in ("head", "style") or e.day.get("display") == "none" for e in self._open)
        if data.strip() and not hidden:
            self.texts.append((data.strip(), [e for e in self._open if e.tag not in ("html", "body")]))


def nearest(path: list[Element], name: str, *, night: bool) -> tuple[int, str]:
    """How deep the innermost declaration of that property is, and its value."""
    for depth in range(len(path) - 1, -1, -1):
        found = (path[depth].day | path[depth].night if night else path[depth].day).get(name)
        if found:
            return depth, found
    raise AssertionError(f"no {name} but the body's, which some programs drop")


def luminance(colour: str) -> float:
    """Of #rrggbb, as WCAG defines it."""
    assert re.fullmatch(r"#[0-9a-f]{6}", colour), colour
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Between 1 and 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def pages() -> list[Page]:
    """Every notice in every language, with everything that can be shown."""
    lines = [invoice(1, document_url="https://files.example.com/1", stated=300), *invoices(2)[1:], credit_note()]
    shared = [invoice(payment_url="https://pay.example.com/1")]
    return [
        Page(render(notice, of=case("consumer", locale), lines=listed, page_url=PAGE).html)
        for notice in TONES
        for locale in LOCALES
        for listed in (lines, shared)
    ]


def test_contrast_is_measured_as_it_is_defined() -> None:
    """Black on white is 21, a colour on itself 1, and grey #767676 on white is known to be just enough."""
    assert (contrast("#000000", "#ffffff"), contrast("#336699", "#336699")) == (21, 1)
    assert READABLE < contrast("#767676", "#ffffff") < 4.6


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
def test_every_text_can_be_read(night: bool) -> None:
    """Each text against the background it stands on: 4.5 to 1 at least, in the light look and in the dark one.

    Both are declared by elements of ours inside the body, so that a program that turns colours round turns both.
    """
    seen = {
        (nearest(path, "color", night=night)[1], nearest(path, "background-color", night=night)[1])
        for page in pages()
        for _, path in page.texts
    }
    assert len(seen) >= 5
    assert {pair: round(contrast(*pair), 1) for pair in seen if contrast(*pair) < READABLE} == {}


def test_by_night_every_surface_is_dark() -> None:
    """No background keeps its colour of the day: a single one left light would glare."""
    for page in pages():
        for _, path in page.texts:
            _, background = nearest(path, "background-color", night=True)
            assert luminance(background) < 0.2


def test_outlook_is_told_in_attributes_too() -> None:
    """A cell with a background has the same as `bgcolor`; a table that is no table of data says so."""
    for notice in TONES:
        html = render(notice).html
        for table in re.findall(r"<table[^>]*>", html):
            assert 'role="presentation"' in table
        painted = [tag for tag in re.findall(r"<t[^>]*>", html) if "background-color" in tag]
        assert len(painted) > 4
        for tag in painted:
            colour = re.search(r"background-color: (#\w+)", tag)
            assert colour is not None
            assert f'bgcolor="{colour[1]}"' in tag


def test_neither_look_is_forced() -> None:
    """The mail says that it has both, in the head and in its style; no colour is pure black."""
    html = render("nudge").html
    for name in ("color-scheme", "supported-color-schemes"):
        assert f'<meta name="{name}" content="light dark">' in html
    assert not re.search(r"#000(?:000)?\b|\bblack\b", html)
