"""`relance inbound-mail`, as a mail server calls it."""

from pathlib import Path

from channels.mail_in import read_mail
from tests.channels.test_mail_in import ATTEMPT, failed, mail, report
from tests.conftest import MakeApp
from tests.worker.cli.conftest import Relance
from worker.queues import INBOUND


def waiting(make_app: MakeApp) -> int:
    """How much has been handed in."""
    return int(make_app().broker.client.llen(f"dramatiq:{INBOUND}"))


def test_an_answer_and_a_bounce_are_taken(relance: Relance, make_app: MakeApp) -> None:
    """The mail server hears 0 once they are kept, and forgets them."""
    assert relance.says("inbound-mail", stdin=mail()) == "taken: a reply\n"
    assert (
        relance.says("inbound-mail", "--to", "r+a@b.example", stdin=report(failed("5.1.1")))
        == f"taken: hard, {ATTEMPT}\n"
    )
    assert waiting(make_app) == 2


def test_what_is_nothing_is_dropped_and_never_sent_back(relance: Relance, make_app: MakeApp) -> None:
    """Bounces of bounces begin so: what is empty, or not about us, ends here."""
    assert "nothing" in relance.says("inbound-mail", stdin=b"")
    assert "nothing" in relance.says("inbound-mail", stdin=report(failed("5.1.1"), returned=b"Subject: x\r\n\r\n"))
    assert waiting(make_app) == 0
    assert list(make_app().broker.rejected.all()) == []


def test_what_cannot_be_read_is_kept_for_a_person(relance: Relance, make_app: MakeApp) -> None:
    """Somebody may have written it: the mail server hears 0, and the list of what could not be taken has it."""
    assert "set aside: no mail" in relance.says("inbound-mail", stdin=b"R\xe9gl\xe9 hier.")
    (kept,) = make_app().broker.rejected.all()
    assert (kept.payload, kept.queue) == (b"R\xe9gl\xe9 hier.", INBOUND)
    assert "hier" in relance.says("rejected", "show", kept.id)
    assert waiting(make_app) == 0


def test_every_mail_of_a_mailbox_file_is_taken(relance: Relance, make_app: MakeApp, tmp_path: Path) -> None:
    """One after the other, a broken one among them; the same file again is the same mails."""
    box = tmp_path / "box"
    mails = (mail(message_id="<1@x.example>"), b"no headers", report(failed("5.1.1")))
    box.write_bytes(b"".join(b"From x Thu Apr 16 09:02:00 2026\n" + each.replace(b"\r", b"") + b"\n" for each in mails))
    said = relance.says("inbound-mail", "--mbox", str(box)).splitlines()
    assert [line.partition(":")[0] for line in said] == ["taken", "set aside", "taken"]
    relance.says("inbound-mail", "--mbox", str(box))
    assert waiting(make_app) == 4
    assert len(make_app().client.keys("relance:inbox:*")) == 1
    assert len(list(make_app().broker.rejected.all())) == 1


def test_a_mail_that_cannot_be_kept_now_stays_with_the_mail_server(relance: Relance) -> None:
    """No store, or a broken configuration: 75, and nothing of the mail in what is said."""
    nowhere = "redis://127.0.0.1:1/0"
    away = relance.refuses("inbound-mail", stdin=mail(), code=75, REDIS_URL=nowhere, BROKER_URL=nowhere)
    broken = relance.refuses("inbound-mail", stdin=mail(), code=75, RELANCE_CONFIG="/nowhere")
    assert "not now" in away
    assert "not now" in broken
    assert "client.example" not in away + broken


def test_a_large_mail_is_read_to_its_end(relance: Relance) -> None:
    """A pipe that closes early is a failure to the mail server; what is looked at is enough."""
    raw = mail() + b"x" * 9_000_000
    assert read_mail(raw) is not None
    assert relance.says("inbound-mail", stdin=raw) == "taken: a reply\n"
