"""The debtor's page in a real browser: by keyboard alone, on a narrow phone, by day and by night, for everybody."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import find_browser
from tests.conftest import ROOT, MakeApp
from tests.worker.payloads import fact, reminder
from worker.links import GOOD_FOR

from .visitor import Visitor, several, visiting

#: Where what the browser showed is kept, to be looked at; git ignores it.
PICTURES = ROOT / "var" / "screenshots"
WIDTHS = (320, 1280)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
LOCALES = ("fr_FR", "en_GB")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, its dates written the American way whatever this machine speaks."""
    command = find_browser()
    with sync_playwright() as driver:
        environ: dict[str, str | float | bool] = {**os.environ, "LANGUAGE": "en_US", "LANG": "en_US.UTF-8"}
        running = driver.chromium.launch(executable_path=command, args=["--no-sandbox"], env=environ)
        yield running
        running.close()


@contextmanager
def tab(browser: Browser, *, script: bool = False) -> Iterator[Page]:
    """A page of a browser that runs no script of the page's, and fails at whatever its policy forbids."""
    context = browser.new_context(java_script_enabled=script, viewport={"width": 320, "height": 640})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if not ours(request.url) else None)
    yield page
    context.close()
    assert [line for line in said if "favicon" not in line and "Failed to load resource" not in line] == []


def ours(url: str) -> bool:
    """Is it asked of our own doors, or inside the page?"""
    return url.startswith(("http://127.0.0.1:", "data:"))


# ---- what it looks like


def states(visitor: Visitor) -> Iterator[tuple[str, str]]:
    """Each kind of page and its address, in an order in which the case can come to it."""
    base, links = visitor.base, visitor.app.links
    assert links
    yield "open", f"{base}/r/{visitor.token()}"
    visitor.send("problem", reason="dispute", invoices=[several()[1]["number"]], text="Trois lampes.")
    visitor.send("promise", on="2026-04-15", method="transfer")
    visitor.send("opt_out", channel="sms")
    visitor.send("message", text="Bonjour")
    yield "said", f"{base}/r/{visitor.token()}?done=message"
    yield "unsubscribe", f"{base}/u/{visitor.token('u')}"
    yield "unknown", f"{base}/r/nothing"
    long_ago = datetime.now(UTC).date() - GOOD_FOR - timedelta(days=1)
    yield "expired", f"{base}/r/{visitor.token(today=long_ago)}"
    old = visitor.token(channel="email")
    visitor.rig.take(
        reminder(
            job_id="j-9", as_of="2026-04-02T09:00:00+02:00", debtor__email="new@example.com", invoices=several(),
            debtor__locale=visitor.case.debtor.locale,
        )
    )  # fmt: skip
    visitor.case = visitor.rig.case(visitor.case.id)
    yield "moved", f"{base}/r/{old}"
    visitor.send("wrong_person")
    yield "wrong", f"{base}/r/{visitor.token()}"
    visitor.rig.take(fact("case_closed", case=visitor.case.id, reason="cancelled"))
    yield "closed", f"{base}/r/{visitor.token(channel='voice')}"


@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_fits_a_phone_and_is_for_everybody(make_app: MakeApp, browser: Browser, locale: str) -> None:
    """Nothing is wider than 320 pixels; axe-core finds nothing, day or night, with all forms open; each is pictured."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    seen = 0
    with visiting(make_app, invoices=several(), debtor__locale=locale) as visitor, tab(browser, script=True) as page:
        for name, url in states(visitor):
            page.goto(url)
            look(page, f"{name}-{locale}")
            if name == "open":
                page.goto(url)
                page.evaluate("for (const each of document.forms) each.noValidate = true")
                page.locator("#problem > summary").press("Enter")
                page.locator("#problem button").press("Enter")
                page.wait_for_selector(".alert")
                look(page, f"mistake-{locale}")
            seen += 1
    assert seen == 8


def look(page: Page, name: str) -> None:
    """Measure it, let axe-core read it, and keep a picture: at each width, by day and by night."""
    page.evaluate("for (const each of document.querySelectorAll('details')) { each.name = ''; each.open = true }")
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            where = f"{name}-{width}-{scheme}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, where
            found = Axe().run(page, options=RULES).response["violations"]
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], where
            page.screenshot(path=PICTURES / f"{where}.png", full_page=True)


def test_the_look_itself_can_fail(browser: Browser) -> None:
    """A page with a field that has no name, and one that is too wide, are found out."""
    with tab(browser, script=True) as page:
        page.set_content("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><input></main>")
        with pytest.raises(AssertionError, match="label"):
            look(page, "never")
        page.set_content("<!doctype html><html lang=en><title>x</title><main style='width:500px'><h1>x</h1></main>")
        with pytest.raises(AssertionError, match="320"):
            look(page, "never")


def test_what_can_be_tapped_is_large_enough(make_app: MakeApp, browser: Browser) -> None:
    """Buttons, headings that open, fields and boxes with their words: 44 pixels high at least on a phone."""
    with visiting(make_app, invoices=several()) as visitor, tab(browser, script=True) as page:
        page.goto(f"{visitor.base}/r/{visitor.token()}")
        page.evaluate("for (const each of document.querySelectorAll('details')) { each.name = ''; each.open = true }")
        boxes = page.locator("button, .button, summary, select, textarea, input[type=date], .pick").all()
        heights = [box["height"] for each in boxes if (box := each.bounding_box())]
    assert len(heights) > 40
    assert min(heights) >= 44


# ---- by keyboard alone


def reach(page: Page, selector: str) -> None:
    """Press Tab until that is where the focus is."""
    for _ in range(100):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {selector}")


#: Of each choice: which fields are reached, in order, and which keys are pressed there.
TYPED: dict[str, list[tuple[str, str]]] = {
    "promise": [("#promise-on", "04152026"), ("#promise-method", "Vir")],
    "already_paid": [("#already_paid [name=invoices]", " "), ("#already_paid-text", "Viré le 31.")],
    "instalments": [("#instalments-count", "3"), ("#instalments-on", "04202026"), ("#instalments-text", "Merci.")],
    "problem": [("#problem [name=reason]", " "), ("#problem [name=invoices]", " "), ("#problem-text", "Rien reçu.")],
    "method": [("#method-method", "Ch")],
    "mediation": [("#mediation-text", "Un conciliateur.")],
    "refusal": [("#refusal-text", "Non.")],
    "message": [("#message-text", "Bonjour")],
    "call_me": [("#call_me-text", "Le matin")],
    "wrong_person": [],
}


@pytest.mark.parametrize("choice", TYPED)
def test_a_keyboard_is_enough(make_app: MakeApp, browser: Browser, choice: str) -> None:
    """Tab, Enter, Space and typing: opened, filled in, sent; the focus is on the thanks. No script runs."""
    with visiting(make_app, invoices=several()) as visitor, tab(browser) as page:
        page.goto(f"{visitor.base}/r/{visitor.token()}")
        reach(page, f"#{choice} > summary")
        page.keyboard.press("Enter")
        for selector, keys in TYPED[choice]:
            reach(page, selector)
            page.keyboard.type(keys)
        reach(page, f"#{choice} button")
        page.keyboard.press("Enter")
        page.wait_for_url("**?done=*")
        said = visitor.rig.case(visitor.case.id).said[-1]
        assert page.evaluate("document.activeElement.className") == ("" if choice == "wrong_person" else "card done")
    assert said.kind == ("not_received" if choice == "problem" else choice)
    expected = {
        "promise": (date(2026, 4, 15), 0, "transfer", ()),
        "already_paid": (None, 0, "", ("F-2026/001",)),
        "instalments": (date(2026, 4, 20), 3, "", ()),
        "problem": (None, 0, "", ("F-2026/001",)),
        "method": (None, 0, "cheque", ()),
    }.get(choice, (None, 0, "", ()))
    assert (said.on, said.count, said.method, said.invoices) == expected


def test_a_channel_is_switched_by_keyboard(make_app: MakeApp, browser: Browser) -> None:
    """Off, and on again."""
    with visiting(make_app) as visitor, tab(browser) as page:
        page.goto(f"{visitor.base}/r/{visitor.token()}")
        for words in ("Ne plus recevoir de SMS", "Recevoir à nouveau des SMS"):
            page.get_by_role("button", name=words).wait_for()
            reach(page, "button[value=sms]")
            page.keyboard.press("Space")
            page.get_by_text("Vos préférences sont à jour.").wait_for()
        assert visitor.said() == ["opt_out", "opt_in"]


def test_unsubscribing_takes_one_key(make_app: MakeApp, browser: Browser) -> None:
    """Open the link, Tab, Enter."""
    with visiting(make_app) as visitor, tab(browser) as page:
        page.goto(f"{visitor.base}/u/{visitor.token('u')}")
        reach(page, "button")
        page.keyboard.press("Enter")
        page.get_by_text("Vous ne recevrez plus de courriels").wait_for()
        assert visitor.said() == ["opt_out"]


def test_a_mistake_is_where_the_focus_goes(make_app: MakeApp, browser: Browser) -> None:
    """The summary has it; the link in it leads to the field; what was typed is still there."""
    with visiting(make_app) as visitor, tab(browser) as page:
        page.goto(f"{visitor.base}/r/{visitor.token()}")
        page.evaluate("for (const each of document.forms) each.noValidate = true")
        reach(page, "#promise > summary")
        page.keyboard.press("Enter")
        reach(page, "#promise-on")
        page.keyboard.type("12312026")
        reach(page, "#promise button")
        page.keyboard.press("Enter")
        page.wait_for_selector(".alert")
        assert page.evaluate("document.activeElement.className") == "card alert"
        reach(page, ".alert a")
        page.keyboard.press("Enter")
        reach(page, "#promise-on")
        assert page.input_value("#promise-on") == "2026-12-31"
        assert visitor.said() == []


def test_loading_the_page_again_posts_nothing(make_app: MakeApp, browser: Browser) -> None:
    """Nor does going back and forth."""
    with visiting(make_app) as visitor, tab(browser) as page:
        page.goto(f"{visitor.base}/r/{visitor.token()}")
        reach(page, "#wrong_person > summary")
        reach(page, "#refusal > summary")
        page.keyboard.press("Enter")
        reach(page, "#refusal button")
        page.keyboard.press("Enter")
        page.wait_for_url("**?done=refusal")
        before = visitor.rig.kinds(visitor.case)
        page.reload()
        page.go_back()
        page.go_forward()
        page.reload()
        assert visitor.rig.kinds(visitor.case) == before
