"""Emails measured in a real browser, narrow as a phone and wide as a desk: nothing sticks out, all can be tapped."""

import base64
import html
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.browser import find_browser
from tests.worker.render_samples import (
    KINDS,
    LOCALES,
    PAGE,
    TONES,
    Contact,
    Creditor,
    case,
    credit_note,
    invoice,
    invoices,
    render,
)
from worker.dunning.model import DebtorKind
from worker.render import Wording, picture

WIDTHS = (320, 800)
COUNTS = (1, 2, 7)

#: Measures each page in a frame of each width, one after the other, and leaves the figures in the document.
MEASURE = """
<!doctype html><meta charset="utf-8"><body><script>
const found = [];
for (const [name, source] of Object.entries(PAGES)) for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 600; frame.style.border = 0;
  document.body.append(frame);
  const page = frame.contentDocument;
  page.open(); page.write(source); page.close();
  const boxes = [...page.querySelectorAll("body *")].map(element => [element, element.getBoundingClientRect()]);
  const out = boxes.filter(([, box]) => box.width && (box.right > width || box.left < 0));
  const size = selector => [...page.querySelectorAll(selector)].map(element => element.getBoundingClientRect());
  found.push({name, width, scroll: page.documentElement.scrollWidth,
    out: out.map(([element]) => element.className || element.tagName),
    buttons: size("a.button-link").map(box => [box.width, box.height]), links: size("a.tap").map(box => box.height),
    mode: page.compatMode, qr: size("img.qr").map(box => [box.width, box.height])});
  frame.remove();
}
document.body.innerHTML = ""; document.body.append(JSON.stringify(found));
</script>
"""


@dataclass(frozen=True)
class Measured:
    """What the browser says of one page at one width, in CSS pixels."""

    name: str
    width: int
    scroll: int
    out: list[str]
    buttons: list[tuple[float, float]]
    links: list[float]
    mode: str
    qr: list[tuple[float, float]]


def samples() -> Iterator[tuple[str, Wording]]:
    """Every notice in every language to every kind of debtor, of 1, 2 and 7 invoices, and of the hardest to set."""
    for notice, locale, kind in product(TONES, LOCALES, KINDS):
        for count in COUNTS:
            page = PAGE if count > 1 else ""
            wording = render(notice, of=case(kind, locale), lines=invoices(count), page_url=page)
            yield f"{notice} {locale} {kind} {count}", wording
        yield f"{notice} {locale} {kind} hard", hard(notice, locale, kind)


def hard(notice: str, locale: str, kind: DebtorKind) -> Wording:
    """Names that do not break, amounts of twelve digits, long links, a credit note, a part-payment."""
    lines = [
        invoice(
            nth,
            number=f"FACT{'X' * 56}{nth:03}",
            subject="Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
            amount=Decimal("999999999999.99"),
            stated=Decimal("123456789012.34"),
            payment_url="https://pay.example.com/" + "a" * 200,
            document_url="https://files.example.com/" + "b" * 200,
        )
        for nth in (1, 2)
    ]
    creditor = Creditor(
        name="Établissements" + "Sansespace" * 6,
        address="Lieu-dit " + "Trèslongnomdelieu" * 5 + "\n69001 Lyon",
        contact=Contact(name="Service" + "Comptabilité" * 5, email=f"{'compta' * 10}@{'atelier' * 8}.example"),
    )
    debtor = case(kind, locale, name="Wolfeschlegelsteinhausenbergerdorff" * 2)
    return render(notice, of=debtor, lines=[*lines, credit_note()], creditor=creditor, firmer=True, page_url=PAGE * 3)


def shown(wording: Wording) -> str:
    """The HTML with its picture in place, as a mail program shows it."""
    code = wording.payment_code
    if code is None:
        return wording.html
    return wording.html.replace(code.src, f"data:image/png;base64,{base64.b64encode(picture(code).content).decode()}")


@pytest.fixture(scope="module")
def browser() -> str:
    """The browser's command."""
    return find_browser()


@pytest.fixture(scope="module")
def measured(browser: str, tmp_path_factory: pytest.TempPathFactory) -> list[Measured]:
    """All samples at all widths, in one start of the browser."""
    pages = {name: shown(wording) for name, wording in samples()}
    return measure(browser, tmp_path_factory.mktemp("layout"), pages)


def measure(browser: str, folder: Path, pages: dict[str, str]) -> list[Measured]:
    """What the browser makes of each page at each width."""
    page = MEASURE.replace("PAGES", json.dumps(pages).replace("<", "\\u003c")).replace("WIDTHS", json.dumps(WIDTHS))
    (folder / "measure.html").write_text(page, encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "measure.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    figures: list[dict[str, Any]] = json.loads(html.unescape(re.sub(r"<[^>]*>", "", dom)))
    assert len(figures) == len(pages) * len(WIDTHS)
    return [Measured(**figure) for figure in figures]


def test_the_measure_itself_can_fail(browser: str, tmp_path: Path) -> None:
    """A page that is too wide is found out, and so is what makes it so."""
    pages = {"wide": "<!doctype html><body style='margin:0'><p class=wide style='width:500px'>x"}
    narrow, wide = measure(browser, tmp_path, pages)
    assert (narrow.scroll, narrow.out) == (500, ["wide"])
    assert (wide.scroll, wide.out) == (800, [])


def test_nothing_sticks_out(measured: list[Measured]) -> None:
    """No email has to be moved sideways, on a phone of 320 pixels or on a desk; no element reaches over the edge."""
    assert {(page.name, page.width, page.scroll, *page.out) for page in measured if page.scroll > page.width} == set()
    assert {(page.name, page.width, *page.out) for page in measured if page.out} == set()


def test_buttons_and_links_can_be_tapped(measured: list[Measured]) -> None:
    """The button is 44 pixels high at least and as wide as its panel on a phone; links in lists are 32 high."""
    buttons = [(page.width, *size) for page in measured for size in page.buttons]
    links = [height for page in measured for height in page.links]
    assert buttons
    assert links
    assert [size for size in buttons if size[2] < 44 or size[1] < (220 if size[0] == 320 else 120)] == []
    assert min(links) >= 32


def test_pages_are_set_by_the_standard(measured: list[Measured]) -> None:
    """Not in the quirks mode of pages without a doctype."""
    assert {page.mode for page in measured} == {"CSS1Compat"}


def test_the_code_is_large_enough_to_be_scanned(measured: list[Measured]) -> None:
    """160 pixels square, at any width."""
    sizes = {tuple(size) for page in measured for size in page.qr}
    assert sizes == {(160, 160)}
