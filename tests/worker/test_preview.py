"""The page of `relance preview`: everything a debtor could read or hear, and nothing that is fetched."""

import os
import re
import shutil
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from channels.base import Message
from channels.twiml import VOICES
from tests.channels.samples import EMAIL, PICTURE
from tests.conftest import ROOT
from tests.worker.config_copy import B2B, B2C, CHANNELS, DEMO, Copy
from tests.worker.pages import Page, Place
from worker.app import Setup
from worker.example import example_of
from worker.messages import prepare, wording_of
from worker.plan import stages
from worker.preview import chapters, page
from worker.preview.page import shown
from worker.render import Wording

DUE = date(2026, 3, 31)
LOCALES = ("fr_FR", "en_GB")
STRATEGIES = ("b2b", "b2c", "direct_notice", "public")


def setup(config: Path = ROOT / "config") -> Setup:
    """What is configured there, without credentials and without a store."""
    return Setup({"RELANCE_CONFIG": str(config)})


def source(of: Setup, strategy: str, locale: str | None = None) -> str:
    """The page of one strategy."""
    return page(of, chapters(of, [strategy], DUE, locale=locale))


@pytest.fixture(scope="module")
def shipped() -> Setup:
    """The configuration as it ships."""
    return setup()


@pytest.fixture(scope="module")
def pages(shipped: Setup) -> dict[tuple[str, str], Page]:
    """The page of every shipped strategy in every language."""
    return {(name, locale): Page(source(shipped, name, locale)) for name in STRATEGIES for locale in LOCALES}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The shipped configuration, to change."""
    return Copy(tmp_path / "config")


def sent(of: Setup, strategy: str, locale: str) -> Iterator[tuple[Place, Wording, Message | None]]:
    """Every message that could leave, made as the worker makes it: its place on the page, its words."""
    example = example_of(of.config, strategy, DUE, locale=locale)
    for stage in stages(example.strategy, example.case()):
        step, run = example.strategy.step(stage.rung.step), stage.case.run(stage.rung.step, stage.anchor)
        assert step is not None
        assert run is not None
        channels = {*step.channels, *example.strategy.contact.fallback} if step.channels else {"task"}
        for channel in channels:
            place = (f"{strategy}-{example.kind}", step.name, channel)
            if channel == "task":
                yield place, wording_of(of, stage.case, step, stage.anchor, channel, stage.at, example=True), None
            else:
                prepared = prepare(of, stage.case, run, channel, 1, stage.at, example=True)
                yield place, prepared.wording, prepared.message


def blank(text: str) -> str:
    """Without what a browser makes of line ends."""
    return " ".join(text.split())


# ---- what leads to the debtor's page


def test_links_to_a_debtors_page_lead_nowhere(copy: Copy) -> None:
    """It reads as it will, but nobody can press a link of the example into a case; without links nothing is said."""
    links = {"PUBLIC_URL": "https://relance.example", "RELANCE_SECRET_KEY": "k" * 32}
    for environ, count in ((links, 1), ({}, 0)):
        setup = Setup({"RELANCE_CONFIG": str(copy.folder), **environ})
        found = page(setup, chapters(setup, ["b2b"], DUE))
        assert (found.count("https://example.com/r/EXAMPLE") > 0) == bool(count)
        assert "relance.example/r/" not in found
        assert "Payer, répondre ou poser une question" in found or not count


# ---- everything is on it


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_step_can_be_read_on_every_channel(
    shipped: Setup, pages: dict[tuple[str, str], Page], strategy: str, locale: str
) -> None:
    """Own channels and fallbacks, word for word as the worker would send them, and nothing beside them."""
    found, places = pages[strategy, locale], set()
    for place, wording, message in sent(shipped, strategy, locale):
        places.add(place)
        assert blank(wording.text) in blank(found.texts[place])
        assert wording.subject in found.texts[place]
        if message is not None and message.channel == "email":
            assert f"{message.sender_name} <{message.sender}>" in found.texts[place]
            assert message.reply_to in found.texts[place]
            assert found.frames[place][0] == shown(message)
    assert {step.name for step in shipped.config.strategies[strategy].steps} == {step for _, step, _ in places}
    assert set(found.texts) == places


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_sms_costs_on_the_page_what_it_costs(
    shipped: Setup, pages: dict[tuple[str, str], Page], strategy: str, locale: str
) -> None:
    """Its sender, its characters, and the segments that the renderer counts."""
    found = pages[strategy, locale]
    for place, wording, message in sent(shipped, strategy, locale):
        if place[2] == "sms" and message:
            assert found.classes["segments"][place][0].split()[0] == str(wording.segments)
            assert found.classes["cost"][place][0].startswith(f"{len(wording.text)} characters, GSM-7, ")
            assert found.classes["sender"][place][0] == message.sender


def test_a_call_names_the_voice_that_speaks(pages: dict[tuple[str, str], Page], copy: Copy) -> None:
    """By language, or as the provider is set to."""
    place = ("b2b-business", "call", "voice")
    for locale in LOCALES:
        tag = locale.replace("_", "-")
        assert f"{VOICES[tag]} in {tag}" in pages["b2b", locale].texts[place]
    copy.edit(CHANNELS, "kind: twilio_voice", "kind: twilio_voice\n    voice: Polly.Remi-Neural")
    assert "Polly.Remi-Neural in fr-FR" in Page(source(setup(copy.folder), "b2b")).texts[place]


@pytest.mark.parametrize(("locale", "words"), [("fr_FR", "au plus tard le"), ("en_GB", "you will pay")])
def test_a_call_is_shown_place_by_place(pages: dict[tuple[str, str], Page], locale: str, words: str) -> None:
    """The greeting, the menu with its amount, the dates, and a date read back."""
    greeting, menu, dates, promised = pages["b2b", locale].classes["asks"]["b2b-business", "call", "voice"]
    assert "1234 euros 56" not in greeting
    assert "1234 euros 56" in menu
    assert all(f" {key}." in dates for key in "1239")
    assert words in promised


@pytest.mark.parametrize(("strategy", "kind"), [("b2b", "business"), ("b2c", "consumer"), ("public", "public")])
def test_the_letter_is_shown_as_the_debtor_reads_it(
    shipped: Setup, pages: dict[tuple[str, str], Page], strategy: str, kind: str
) -> None:
    """The formal notice apart from what the person who posts it must do."""
    found = pages[strategy, "fr_FR"]
    (email,) = [w for p, w, _ in sent(shipped, strategy, "fr_FR") if p[1:] == ("formal_notice", "email")]
    place = (f"{strategy}-{kind}", "formal_notice", "task")
    assert found.classes["letter"][place][0] == email.text
    assert "recommandée" in found.texts[place]


def test_several_invoices_and_a_broken_promise_have_their_words(pages: dict[tuple[str, str], Page]) -> None:
    """A list with a total and a credit note; the sentence that comes before a firmer message."""
    found = pages["b2b", "fr_FR"]
    alone, several, firmer = found.classes["bubble"]["b2b-business", "sms_reminder", "sms"]
    assert "Facture EXAMPLE-1 de" in alone
    assert "2 factures" in several
    assert "la date convenue est passée" in firmer
    assert len(found.classes["speech"]["b2b-business", "call", "voice"]) == 1  # it names no invoice
    assert "EXAMPLE-3" in found.frames["b2b-business", "first_reminder", "email"][1]


def test_each_channel_has_words_for_every_variant(pages: dict[tuple[str, str], Page], copy: Copy) -> None:
    """Whatever is chosen at the top, nothing is left blank; nor where each invoice has a case of its own."""
    copy.edit(B2C, "group_by: debtor", "group_by: invoice")
    for found in (*pages.values(), Page(source(setup(copy.folder), "b2c"))):
        for place, variants in found.variants.items():
            assert sorted(variants) == ["one", "promise", "several"], place


def test_the_days_are_those_of_the_ladder(pages: dict[tuple[str, str], Page]) -> None:
    """The same example as `relance ladder`; approval and what a step waits for are said."""
    text = blank(pages["direct_notice", "fr_FR"].text)
    assert "Formal notice" in text
    for words in ("Wed 1 Apr 2026", "Tue 14 Apr 2026", "a person approves it first", "handed over to: lawyer"):
        assert words in text
    assert "3 business days after the last deadline. Asks for payment by Mon 20 Apr 2026." in text


def test_a_kind_of_debtor_reads_what_is_written_for_it(copy: Copy) -> None:
    """A strategy for two kinds has a chapter for each."""
    copy.edit(B2C, "debtors: [consumer]", "debtors: [consumer, business]")
    found = Page(source(setup(copy.folder), "b2c"))
    consumer, business = (found.texts[f"b2c-{kind}", "formal_notice", "email"] for kind in ("consumer", "business"))
    assert "40 euros" in business
    assert "40 euros" not in consumer


# ---- what cannot be shown is said


def test_a_ladder_driven_by_jobs_has_no_days(copy: Copy) -> None:
    """Its steps are there in their order, and their words."""
    copy.edit(B2B, "driven_by: ladder", "driven_by: jobs")
    of = setup(copy.folder)
    found = Page(source(of, "b2b"))
    assert [element for element in found.elements if element.tag == "time"] == []
    steps = list(dict.fromkeys(step for _, step, _ in found.texts))
    assert steps == [step.name for step in of.config.strategies["b2b"].steps]
    assert "With the next job." in found.text
    assert all(text.strip() for text in found.texts.values())


def test_a_creditor_without_senders_is_said_to_have_none(copy: Copy) -> None:
    """No SMS and no call can leave; the emails are shown all the same."""
    text = (copy.folder / DEMO).read_text(encoding="utf-8")
    for old in ("sms:\n  sender: AtelierDemo\n", "voice:\n  caller_id: +33 9 48 00 00 00\n", "  business: b2b\n"):
        assert old in text
        text = text.replace(old, "")
    (copy.folder / DEMO).write_text(text.replace("  consumer: b2c\n", ""), encoding="utf-8")
    found = Page(source(setup(copy.folder), "b2b"))
    for step, channel in (("sms_reminder", "sms"), ("call", "voice")):
        assert "Atelier Démo has no sender for this channel" in found.texts["b2b-business", step, channel]
    assert "Facture EXAMPLE-1" in found.texts["b2b-business", "first_reminder", "email"]


# ---- it is safe, and opens anywhere


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_fetched(pages: dict[tuple[str, str], Page], strategy: str, locale: str) -> None:
    """No sheet, no picture, no script from elsewhere, on the page or in an email; and a policy that says so."""
    found = pages[strategy, locale]
    assert found.fetches() == []
    style = found.source.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    (script,) = found.scripts
    digest = b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = [e.attributes["content"] for e in found.elements if "http-equiv" in e.attributes]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; frame-src 'self'"
    )


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_email_can_do_nothing(pages: dict[tuple[str, str], Page], strategy: str, locale: str) -> None:
    """Its frame runs no script, opens no window, submits nothing; that its height is read is all that is allowed."""
    found = pages[strategy, locale]
    frames = [e.attributes for e in found.elements if e.tag == "iframe"]
    assert frames
    assert {(frame["sandbox"], frame.get("src")) for frame in frames} == {("allow-same-origin", None)}
    assert [script for each in found.frames.values() for frame in each for script in Page(frame).scripts] == []


def test_a_picture_of_an_email_is_in_the_page() -> None:
    """What travels as an attachment under a Content-ID is a data URI here; a link opens nothing."""
    html = f'<html><head></head><body><img src="cid:{PICTURE.content_id}"><a href="https://pay.example">x</a></body></html>'
    found = Page(shown(replace(EMAIL, html=html, attachments=(PICTURE,))))
    (picture,) = [e.attributes["src"] for e in found.elements if e.tag == "img"]
    assert picture.startswith("data:image/png;base64,iVBORw0KGgo")
    assert found.fetches() == []
    assert [e.attributes for e in found.elements if e.tag == "base"] == [{"target": "_blank"}]


def test_what_is_inserted_is_text(copy: Copy) -> None:
    """A creditor whose name is markup is shown by that name, on the page and in the frames."""
    name = "<script>alert(1)</script>"
    copy.edit(DEMO, "name: Atelier Démo", f"name: {name}")
    copy.edit(DEMO, "sender_name: Atelier Démo", f"sender_name: {name}")
    found = Page(source(setup(copy.folder), "b2b"))
    assert name in found.text
    assert all("alert" not in script for script in found.scripts)
    frame = Page(found.frames["b2b-business", "formal_notice", "email"][0])
    assert name in frame.text
    assert frame.scripts == []


class Watched:
    """A proxy that serves nothing and remembers who was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._socket.accept()
            with peer:
                line = peer.makefile("rb").readline().decode(errors="replace")
                if not line:
                    return
                self.asked.append(line.strip())

    def close(self) -> None:
        """Stop, with a connection that says nothing."""
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser here")
def test_a_browser_opens_it_from_a_file(shipped: Setup, tmp_path: Path) -> None:
    """The whole page stands, each email as high as it is, and nobody named in it is asked for anything."""
    path = tmp_path / "preview.html"
    path.write_text(source(shipped, "b2b"), encoding="utf-8")
    proxy = Watched()
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --enable-logging=stderr --dump-dom"
    command = ["chromium", *flags.split(), f"--user-data-dir={tmp_path}/profile", f"--proxy-server={proxy.url}"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    try:
        done = subprocess.run(
            [*command, "--virtual-time-budget=5000", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=False, env=environ,
        )  # fmt: skip
    finally:
        proxy.close()
    assert done.returncode == 0, done.stderr
    assert 'id="b2b-business-handover"' in done.stdout
    heights = {int(height) for height in re.findall(r'style="height: (\d+)px;"', done.stdout)}
    assert len(heights) > 1
    assert min(heights) > 500
    assert "Content Security Policy" not in done.stderr
    assert [line for line in proxy.asked if "example" in line] == []
