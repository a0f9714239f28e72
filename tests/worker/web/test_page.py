"""The debtor's page: what it shows to whom, and that looking at it changes nothing."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import MakeApp
from tests.worker.payloads import fact, reminder
from tests.worker.rig import MORNING, NUMBER
from worker.embedded import Embedded
from worker.links import GOOD_FOR

from .served import FORM, Doors, opened
from .visitor import SECRET, Visitor, several, visiting

LINKS = {"PUBLIC_URL": "https://relance.example/here", "RELANCE_SECRET_KEY": SECRET}
#: What nobody but the debtor may read.
SECRETS = (NUMBER, "1 200,50", "Exemple", "ap@example.com", "facture", "IBAN")
#: What the page of `several` invoices says.
OWED = {
    "fr_FR": [
        "Total à régler 1 450,50 €", "Émise le 1er mars 2026, échéance le 31 mars 2026", "Avoir A-2026/001 -50,00 €",
        "Reste à régler : 300,00 € sur 800,00 €", "FR76", "Bonjour Exemple SARL,", "Je paierai",
    ],
    "en_GB": [
        "Total to pay €1,450.50", "Issued 1 March 2026, due 31 March 2026", "Credit note A-2026/001 -€50.00",
        "Left to pay: €300.00 of €800.00", "FR76", "Hello Exemple SARL,", "I will pay",
    ],
}  # fmt: skip


@pytest.fixture
def visitor(make_app: MakeApp) -> Iterator[Visitor]:
    """Somebody in front of a debtor's page."""
    with visiting(make_app) as visitor:
        yield visitor


@pytest.mark.parametrize(("locale", "words"), list(OWED.items()))
def test_it_shows_what_is_owed_and_since_when(make_app: MakeApp, locale: str, words: list[str]) -> None:
    """Each invoice, what is left of it, what is credited, the total, where to pay: in the debtor's language."""
    with visiting(make_app, invoices=several(), debtor__locale=locale) as visitor:
        page = visitor.open()
    text = page.text.replace("\u202f", " ").replace("\u00a0", " ")
    assert page.status == 200
    assert f'<html lang="{locale[:2]}">' in page.source
    assert [each for each in words if each not in text] == []
    assert "Rénovation <b>complète</b>" in text  # escaped
    assert 'href="https://pay.example/1"' in page.source
    assert 'src="data:image/png;base64,' in page.source


def test_it_keeps_to_itself(visitor: Visitor) -> None:
    """Nothing is fetched from elsewhere, stored by others, remembered by the browser, or told by the title."""
    for page in (visitor.open(), visitor.ask("GET", "/r/nonsense"), visitor.ask("GET", f"/u/{visitor.token('u')}")):
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "noindex" in page.headers["x-robots-tag"]
        assert "set-cookie" not in page.headers
        policy = page.headers["content-security-policy"]
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[\w+/=]+'; img-src data:; form-action 'self'; "
            r"frame-ancestors 'none'; base-uri 'none'",
            policy,
        )
        assert not re.search(r"<(script|link|iframe|object)|\son\w+=|style=|@import|url\(", page.source)
        title = re.search(r"<title>(.*?)</title>", page.source)
        assert title
        assert title[1] in ("Atelier Démo – votre espace", "Your page")


def test_a_consumers_name_is_not_on_it(make_app: MakeApp) -> None:
    """Whoever gets somebody else's message learns no name from it."""
    with visiting(make_app, debtor__kind="consumer", debtor__name="Camille Exemple") as visitor:
        assert "Camille" not in visitor.open().source


def test_looking_at_it_changes_nothing(visitor: Visitor) -> None:
    """A mail scanner follows every link, with GET and with HEAD."""
    doors, before = Doors(visitor.app, visitor.port), None
    for path in (f"/r/{visitor.token()}", f"/r/{visitor.token()}?done=promise", f"/u/{visitor.token('u')}"):
        for method in ("GET", "HEAD"):
            before = before or doors.kept()
            assert visitor.ask(method, path).status == 200
    assert doors.kept() == before


@pytest.mark.parametrize(
    "token", ["", "x", "demo-x.e0000000000.aaaaaaaaaaaaaaaa", "%00", "é" * 50, "a" * 4000, "../.."]
)
def test_a_link_that_is_none_says_nothing(visitor: Visitor, token: str) -> None:
    """A stranger who guesses does not learn whose page it could have been."""
    for path in ("/r/", "/u/"):
        page = visitor.ask("GET", path + token.replace("é", "%C3%A9"))
        assert page.status == 404
        assert "Atelier" not in page.source


def test_an_altered_link_is_none(visitor: Visitor) -> None:
    """No letter of it can be another: not the case, the channel, the day, the address or the signature."""
    token = visitor.token()
    for place in range(0, len(token), 3):
        other = token[:place] + ("b" if token[place] != "b" else "c") + token[place + 1 :]
        assert visitor.app.links
        assert visitor.ask("GET", f"/r/{other}").status in (404, 429)
    assert visitor.ask("GET", f"/r/{visitor.token('u')}").status == 404


def test_an_expired_link_says_whom_to_call(visitor: Visitor) -> None:
    """In real time, whatever the ladder's clock says; and nothing that a stranger may not read."""
    page = visitor.ask("GET", f"/r/{visitor.token(today=datetime.now(UTC).date() - GOOD_FOR - timedelta(days=1))}")
    assert page.status == 410
    assert "01 99 00 12 34" in page.text.replace("\u00a0", " ")
    assert [secret for secret in SECRETS if secret in page.text] == []


def test_a_link_to_an_address_since_corrected_opens_nothing(visitor: Visitor) -> None:
    """Whoever has the old mailbox may not be the debtor; the new one's link opens the page."""
    old = visitor.token()
    visitor.rig.take(reminder(job_id="j-9", as_of="2026-04-02T09:00:00+02:00", debtor__email="new@example.com"))
    visitor.case = visitor.rig.case(visitor.case.id)
    page = visitor.ask("GET", f"/r/{old}")
    assert page.status == 410
    assert [secret for secret in SECRETS if secret in page.text] == []
    assert visitor.open().status == 200


@pytest.mark.parametrize(
    ("job", "status", "words"),
    [
        (fact("payment_received", invoice=NUMBER, amount="1200.50", currency="EUR"), 200, "Merci !"),
        (fact("case_closed", reason="cancelled"), 410, "Il n’y a plus rien à faire ici"),
    ],
    ids=["paid", "closed"],
)
def test_a_case_that_is_over_shows_no_amount(visitor: Visitor, job: dict[str, str], status: int, words: str) -> None:
    """Paid: thanks, at once. Closed: a kind note. A form that was open is led back there, and changes nothing."""
    number = visitor.open().number
    visitor.rig.take({**job, **({} if "invoice" in job else {"case": visitor.case.id})})
    for _ in range(2):
        page = visitor.open()
        assert page.status == status
        assert words in page.text.replace("\u00a0", " ")
        assert [secret for secret in SECRETS if secret in page.text] == []
        before = visitor.rig.kinds(visitor.case)
        assert visitor.send("refusal", number=number).status == 303
        assert visitor.rig.kinds(visitor.case) == before
        visitor.rig.settle(visitor.case)


def test_without_a_key_or_an_address_there_is_no_page(make_app: MakeApp) -> None:
    """Nothing could be signed, or led to."""
    for environ in ({}, {"PUBLIC_URL": LINKS["PUBLIC_URL"]}, {"RELANCE_SECRET_KEY": SECRET}):
        with opened(make_app(**environ)) as doors:
            for path in ("/r/x", "/u/x"):
                assert [doors.ask(method, path).status for method in ("GET", "POST")] == [404, 404]


def test_a_store_that_is_away_is_said_kindly(tmp_path: Path, make_app: MakeApp) -> None:
    """503, in the reader's language, and nothing of a case."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(**LINKS, REDIS_URL=urls.redis_url, BROKER_URL=urls.broker_url)
        with visiting(make_app) as other:
            token, mailbox = other.token(), other.token("u")
    with opened(app) as doors:
        answer = doors.ask("GET", f"/r/{token}", headers={"Accept-Language": "fr-CH, en;q=0.5"})
        for method, path in (("POST", f"/r/{token}"), ("GET", f"/u/{mailbox}"), ("POST", f"/u/{mailbox}")):
            assert doors.ask(method, path, b"List-Unsubscribe=One-Click", FORM).status == 503
    assert answer.status == 503
    assert "Nous revenons tout de suite" in answer.body.decode()


def test_words_that_cannot_be_made_are_no_error_page(visitor: Visitor) -> None:
    """A strategy that left the configuration: come back later, and no trace of what is wrong."""
    object.__setattr__(visitor.app.config, "strategies", {})
    page = visitor.open()
    assert page.status == 503
    assert "Traceback" not in page.source
    assert NUMBER not in page.source


def test_who_asks_too_often_is_asked_to_wait(visitor: Visitor) -> None:
    """Of one link: thirty at once, then not before some seconds have passed; another link is not meant."""
    seen = [visitor.open().status for _ in range(31)]
    assert (seen[:30], seen[30]) == ([200] * 30, 429)
    page = visitor.open()
    assert int(page.headers["retry-after"]) >= 1
    assert NUMBER not in page.source
    assert visitor.open(channel="sms").status == 200


def test_the_clock_of_a_rehearsal_does_not_expire_links(visitor: Visitor) -> None:
    """Days of the ladder pass; the link is good for days of the calendar on the wall."""
    visitor.rig.jump(MORNING + timedelta(days=365))
    assert visitor.open().status == 200
