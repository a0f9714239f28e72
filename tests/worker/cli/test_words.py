"""`relance preview`, `send-test`: what debtors read and hear, seen before one of them does."""

from collections.abc import Iterator
from datetime import date
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from channels.base import Accepted
from channels.sandbox import Credentials, Fault, Sandbox
from tests.conftest import ROOT, MakeApp
from tests.worker.config_copy import DEMO, Copy
from tests.worker.render_samples import plain
from tests.worker.rig import MORNING, outbox
from worker.app import Setup
from worker.cases import Cases
from worker.example import example_of
from worker.opening import prove
from worker.outcomes import record
from worker.sending import deliver
from worker.specimen import send_specimen

from .conftest import Relance

NOWHERE: dict[str, Any] = {"REDIS_URL": None, "BROKER_URL": None}
#: Accounts that would reach people: no base URL is set.
REAL = {"SENDGRID_API_KEY": "SG.x", "TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t"}
ME, MINE = "me@example.org", "+33639981299"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The providers, on sockets."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def accounts(sandbox: Sandbox) -> dict[str, Any]:
    """What makes the command use them, and no store."""
    return {**NOWHERE, **REAL, "TWILIO_BASE_URL": sandbox.twilio_url, "SENDGRID_BASE_URL": sandbox.sendgrid_url}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The shipped configuration, to change."""
    return Copy(tmp_path / "changed")


# ---- preview


def test_a_page_is_written_where_it_is_said(relance: Relance, tmp_path: Path) -> None:
    """Without a store; all strategies or one; its path is printed, or itself."""
    assert relance.says("preview", **NOWHERE) == "var/preview.html\n"
    whole = (tmp_path / "var" / "preview.html").read_text(encoding="utf-8")
    assert all(f'id="{chapter}"' in whole for chapter in ("b2b-business", "b2c-consumer", "public-public"))
    found = relance.json("preview", "b2c", "--locale", "en-GB", "--out", "pages/one.html", **NOWHERE)
    assert found == {"page": "pages/one.html", "strategies": ["b2c"], "config": found["config"]}
    one = (tmp_path / "pages" / "one.html").read_text(encoding="utf-8")
    assert one.startswith("<!doctype html>")
    assert "in en_GB" in one
    assert 'id="b2b-business"' not in one
    options = ("--due", "2026-03-31", "--creditor", "demo")
    assert "Mon 27 Apr 2026" in relance.says("preview", "b2b", "--out", "-", *options, **NOWHERE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("b2bb",), "'b2bb' is not known; known: b2b, b2c, direct_notice, public"),
        (("--creditor", "acme"), "'acme' is not known; known: demo"),
        (("--locale", "de_DE"), "'de_DE' is not a language there is wording for (expected one of: fr, en)"),
        (("--locale", "zz"), "'zz' is not a locale (expected one such as 'fr_FR')"),
        (("--out", "-", "--json"), "one of --json and --out - at a time: both print on standard output"),
        (("--out", "/proc/none/page.html"), "/proc/none/page.html: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_shown_is_named(relance: Relance, arguments: tuple[str, ...], says: str) -> None:
    """In one line, with what there is; exit code 1."""
    assert relance.refuses("preview", *arguments, **NOWHERE) == f"{says}\n"


# ---- send-test: it arrives, and nobody can take it for real


def test_an_email_arrives_marked_as_a_test(relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """Through the creditor's own provider, in the debtor's language; its links lead nowhere."""
    said = relance.says("send-test", "b2b", "formal_notice", "--to", ME, **accounts)
    (mail,) = sandbox.accepted()
    assert said == f"accepted by sendgrid as {mail['id']}: the provider took it; it has not arrived yet\n"
    assert (mail["channel"], mail["to"], mail["from"]) == ("email", ME, "compta@example.com")
    assert mail["subject"] == "[TEST] Mise en demeure : votre facture EXAMPLE-1"
    assert plain(mail["text"]).startswith(
        "Ceci est un test : vous ne devez rien et n’avez rien à faire.\n\nAtelier Démo\n"
    )
    assert "https://example.com/pay/EXAMPLE-1" in mail["text"]
    assert mail["attempt"].startswith("demo-test-")


def test_its_html_says_so_first_and_no_app_can_pay_it(relance: Relance, tmp_path: Path) -> None:
    """The sentence heads the HTML part; a code that a bank's app would read is left out, though a real one has it."""
    relance.says("send-test", "b2b", "first_reminder", "--to", ME, "--locale", "en_GB", **NOWHERE)
    (record,) = outbox(tmp_path)
    mail = message_from_bytes((tmp_path / "var" / "outbox" / record["file"]).read_bytes(), policy=default)
    html = mail.get_body(("html",))
    assert html is not None
    words = html.get_content()
    assert 0 < words.index("This is a test: you owe nothing") < words.index("Hello,")
    assert "cid:" not in words
    assert [part.get_content_type() for part in mail.walk() if part.get_content_maintype() == "image"] == []


def test_an_sms_arrives_marked_as_a_test(relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """A phone number, as it is dialled in the creditor's country, is sent an SMS; it may cost a segment more."""
    found = relance.json("send-test", "b2b", "sms_reminder", "--to", "06 39 98 12 99", **accounts)
    (sms,) = sandbox.accepted()
    assert (sms["channel"], sms["to"]) == ("sms", MINE)
    assert sms["text"].startswith("Ceci est un test : vous ne devez rien et n'avez rien à faire. Atelier Démo : ")
    assert "https://example.com/pay/EXAMPLE-1" in sms["text"]
    assert (found["outcome"], found["provider_id"], found["segments"]) == ("accepted", sms["id"], 2)


def test_a_call_is_asked_for_and_says_it_is_a_test(
    relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]
) -> None:
    """It bears its words, even where our own door could be asked for them: that one knows cases only."""
    options = ("--to", MINE, "--channel", "voice", "--locale", "en_GB")
    relance.says("send-test", "b2b", "call", *options, **accounts, PUBLIC_URL="https://relance.example")
    (call,) = sandbox.accepted()
    assert (call["channel"], call["to"]) == ("voice", MINE)
    assert call["text"].startswith("This is a test: you owe nothing, and there is nothing to do. Hello.")


def test_its_links_lead_nowhere(relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """Not to the page of a case, nor to an unsubscribe that would be somebody's."""
    links = {"PUBLIC_URL": "https://relance.example", "RELANCE_SECRET_KEY": "k" * 32}
    relance.says("send-test", "b2b", "sms_reminder", "--to", MINE, **accounts, **links)
    relance.says("send-test", "b2b", "first_reminder", "--to", "me@example.com", **accounts, **links)
    for sent in sandbox.accepted():
        assert "https://example.com/r/EXAMPLE" in sent["text"]
        assert "relance.example" not in str(sent)


def test_its_dates_are_about_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a month after the due date is sent as if that had been a month ago, not dated a month ahead."""
    monkeypatch.chdir(tmp_path)
    setup, today = Setup({"RELANCE_CONFIG": str(ROOT / "config")}), date(2026, 6, 10)
    found = send_specimen(setup, example_of(setup.config, "b2b", today), "formal_notice", "email", ME, today)
    (sent,) = outbox(tmp_path)
    assert (found.outcome, "Le 10 juin 2026" in sent["text"]) == ("accepted", True)


# ---- where it goes, and where it does not


def test_without_credentials_it_goes_to_the_outbox(relance: Relance, tmp_path: Path) -> None:
    """And it says why."""
    said = relance.says("send-test", "b2b", "courtesy", "--to", ME, **NOWHERE).splitlines()
    assert said[0].endswith(": written to a file, for nobody to get")
    assert said[1] == "  in var/outbox, because sendgrid lacks SENDGRID_API_KEY; smtp lacks SMTP_URL"
    (record,) = outbox(tmp_path)
    assert (record["to"], record["subject"][:7]) == (ME, "[TEST] ")


@pytest.mark.parametrize(
    ("fault", "outcome", "means"),
    [
        ("refuse", "rejected by sendgrid (400)", "nobody can be reached there"),
        ("429", "unavailable by sendgrid (429)", "too fast, or a quota is used up"),
        ("drop", "uncertain by sendgrid (", "it may have gone: look whether it arrives before trying again"),
    ],
)
def test_what_did_not_go_is_said(
    relance: Relance, sandbox: Sandbox, accounts: dict[str, Any], fault: Any, outcome: str, means: str
) -> None:
    """The provider's code, what it means, and exit code 1."""
    sandbox.fault(Fault(fault))
    result = relance("send-test", "b2b", "courtesy", "--to", ME, **accounts)
    assert result.exit_code == 1
    assert result.stdout.startswith(outcome)
    assert result.stdout.endswith(f": {means}\n")
    assert "@" not in result.stdout + result.stderr


def test_wrong_credentials_are_said(relance: Relance) -> None:
    """A person must act."""
    with Sandbox(credentials=Credentials(sendgrid="SG.other")) as strict:
        environ = {**NOWHERE, "SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": strict.sendgrid_url}
        result = relance("send-test", "b2b", "courtesy", "--to", ME, "--json", **environ)
    assert (result.exit_code, '"outcome": "unavailable"' in result.stdout) == (1, True)
    assert "credentials, permissions, sender or base URL are wrong" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("b2bb", "courtesy", "--to", ME), "'b2bb' is not known; known: b2b, b2c, direct_notice, public"),
        (("public", "curtsy", "--to", ME), "'curtsy' is not known; known: courtesy, first_reminder, second_reminder,"),
        (("b2b", "courtesy", "--to", ME, "--channel", "task"), "'task' is not known; known: email, sms, voice"),
        (("b2b", "courtesy", "--to", "me@"), "--to: not a mailbox"),
        (("b2b", "courtesy", "--to", "123"), "--to: not a phone number"),
        (("b2b", "courtesy", "--to", ME, "--channel", "sms"), "--to: not a phone number"),
        (("b2b", "handover", "--to", ME), "'handover' sends nothing to the debtor"),
    ],
)
def test_what_cannot_be_sent_is_named(relance: Relance, arguments: tuple[str, ...], says: str) -> None:
    """In one line; exit code 1; nothing was written."""
    assert relance.refuses("send-test", *arguments, **NOWHERE).startswith(says)
    assert not Path("var").exists()


def test_staging_and_shadow_hold_for_tests_too(
    relance: Relance, sandbox: Sandbox, accounts: dict[str, Any], copy: Copy
) -> None:
    """`redirect_to` decides where it goes, or that nothing leaves; and the command says so."""
    environ = {**accounts, "RELANCE_CONFIG": str(copy.folder)}
    copy.edit(DEMO, "mode: live", "redirect_to: {email: staging@example.org}\nmode: live")
    said = relance.says("send-test", "b2b", "courtesy", "--to", ME, **environ)
    assert "the creditor is staging (redirect_to): it went to the address named there" in said
    assert [mail["to"] for mail in sandbox.accepted()] == ["staging@example.org"]
    found = relance.json("send-test", "b2b", "sms_reminder", "--to", MINE, **environ)
    assert found["notes"] == ["in var/outbox, because demo is staging, and redirect_to names no address for sms"]
    copy.edit(DEMO, "mode: live", "mode: shadow")
    found = relance.json("send-test", "b2b", "courtesy", "--to", ME, **environ)
    assert "in var/outbox, because demo is in shadow mode" in found["notes"]
    assert len(sandbox.accepted()) == 1


def test_a_rehearsals_store_reaches_nobody(relance: Relance, make_app: MakeApp, accounts: dict[str, Any]) -> None:
    """Exit code 2 before any call; a sandbox may be used, and without the store nothing is known of a rehearsal."""
    make_app(at=MORNING, speed=1)
    said = relance.refuses("send-test", "b2b", "courtesy", "--to", ME, code=2, **REAL)
    assert said == "sendgrid reaches real people, and the store held a rehearsal's clock\n"
    sandboxed = {name: value for name, value in accounts.items() if name not in NOWHERE}
    assert relance.says("send-test", "b2b", "courtesy", "--to", ME, **sandboxed).startswith("accepted by sendgrid")


def test_the_stop_button_is_for_debtors(relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """A test to an address of one's own leaves while all is paused, and says that it is."""
    sandboxed = {name: value for name, value in accounts.items() if name not in NOWHERE}
    relance.says("pause", "--channel", "email")
    found = relance.json("send-test", "b2b", "courtesy", "--to", ME, **sandboxed)
    assert found["notes"] == ["paused: channel:email; debtors get nothing, a test to yourself leaves all the same"]
    assert len(sandbox.accepted()) == 1


# ---- it is no case


def test_it_leaves_nothing_in_the_store_and_its_receipts_do_no_harm(
    relance: Relance, make_app: MakeApp, tmp_path: Path
) -> None:
    """Its attempt is of the usual shape and of no case: an outcome for it is known, a queue message set aside."""
    app = make_app()
    prove(app)  # as whoever sends does when it starts
    before = sorted(app.client.scan_iter())
    relance.says("send-test", "b2b", "courtesy", "--to", ME)
    (sent,) = outbox(tmp_path)
    assert sorted(app.client.scan_iter()) == before
    assert Cases(app.client).see(sent["attempt"].rpartition(".")[0]) is None
    assert record(app, sent["attempt"], Accepted("x"), MORNING) is False
    with pytest.raises(LookupError):
        deliver(app, sent["attempt"], None)
    assert sorted(app.client.scan_iter()) == before


def test_nothing_personal_is_logged(relance: Relance, sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """Standard error is silent, whatever became of it."""
    sandboxed = {name: value for name, value in accounts.items() if name not in NOWHERE}
    sandbox.fault(Fault("drop", times=1))
    for _ in range(2):
        result = relance("send-test", "b2b", "courtesy", "--to", ME, **sandboxed)
        assert (result.stderr, ME in result.stdout) == ("", False)
