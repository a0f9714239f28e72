"""What debtors write: whose answer it is, what it is taken for, and what then leaves or does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from channels.base import Receipt, Reply
from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.answers import Answer
from worker.dunning.model import Case, attempt_id
from worker.inbound import answer, receive
from worker.operations import tasks
from worker.replies import listen
from worker.suppression import listed

from .config_copy import Copy
from .rig import MORNING, Rig, outbox

NUMBER, OURS = "+33639980101", "+33938000000"
SECRET = {"PUBLIC_URL": "https://relance.example", "RELANCE_SECRET_KEY": "k" * 32}


@pytest.fixture
def rig(make_app: MakeApp, tmp_path: Path) -> Rig:
    """A creditor whose SMS can be answered, and whose debtors have mailboxes of their own to answer to."""
    copy = Copy(tmp_path / "config")
    copy.edit("creditors/demo.yaml", "sender: AtelierDemo", f"sender: '{OURS}'")
    copy.edit(
        "creditors/demo.yaml",
        "sender_name: Atelier Démo",
        "sender_name: Atelier Démo\n  answers_at: answers.example.com",
    )
    copy.edit("strategies/b2b.yaml", "channel: email\n    tone: 1", "channels: [email, sms]\n    tone: 1")
    return Rig(make_app(at=MORNING, speed=1, config=copy.folder, **SECRET))


def written_to(rig: Rig, **changes: Any) -> Case:
    """A debtor who has had an email and an SMS."""
    case = rig.open(**{"debtor__phone": NUMBER, **changes})
    rig.settle(case)
    assert {line["channel"] for line in outbox(Path())} == {"email", "sms"}
    return rig.case(case.id)


def sms(text: str, **fields: Any) -> Reply:
    """An SMS to our number."""
    return Reply(**{"id": f"SM-{text}", "channel": "sms", "to": OURS, "sender": NUMBER, "text": text, **fields})


def email(rig: Rig, case: Case, text: str, **fields: Any) -> Reply:
    """An email to the case's own mailbox, from whoever."""
    assert rig.app.links
    to = rig.app.links.mailbox(case.id, "answers.example.com")
    return Reply(
        **{"id": f"<{len(text)}@x>", "channel": "email", "to": to, "sender": "x@y.example", "text": text, **fields}
    )


def kinds(rig: Rig, case: Case) -> list[str]:
    """What they were taken to have said."""
    return [said.kind for said in rig.case(case.id).said]


@pytest.mark.parametrize(
    ("text", "kind", "hold"),
    [
        ("C'est payé, merci", "already_paid", "already_paid"),
        ("Je vous règle le 10 avril", "promise", "promise"),
        ("Je conteste cette facture", "dispute", "dispute"),
        ("Le gérant est souffrant, je vois avec lui à son retour", "message", "message"),
        ("Je paierai le 25/12/2026", "message", "message"),
    ],
)
def test_what_they_text_is_the_answer_it_is(rig: Rig, text: str, kind: str, hold: str) -> None:
    """Few intents, where they are sure; a date too far away and all the rest are for a person."""
    case = written_to(rig)
    listen(rig.app, sms(text))
    found = rig.case(case.id).case_hold()
    assert (kinds(rig, case), found and found.reason) == ([kind], hold)
    assert bool(tasks(rig.app, ["demo"])) == (kind in ("dispute", "message"))


def test_a_reply_that_is_delivered_twice_is_one(rig: Rig) -> None:
    """By the provider's own id."""
    case = written_to(rig)
    for _ in range(2):
        listen(rig.app, sms("Je conteste cette facture"))
    assert kinds(rig, case) == ["dispute"]


@pytest.mark.parametrize(
    "reply", [sms("stop svp"), sms("Arrêt"), sms("whatever", keyword="STOP")], ids=["fr", "accent", "provider"]
)
def test_stop_takes_that_number_off_sms_and_start_puts_it_back(rig: Rig, reply: Reply) -> None:
    """For every case with that number; nothing else is held."""
    case = written_to(rig)
    listen(rig.app, reply)
    (entry,) = listed(rig.app, "demo")
    assert (entry.channel, entry.address, entry.why) == ("sms", NUMBER, "opted_out")
    after = rig.case(case.id)
    assert (list(dict(after.unusable)), after.case_hold()) == (["sms"], None)
    listen(rig.app, sms("START"))
    assert not listed(rig.app, "demo")
    assert not rig.case(case.id).unusable


def test_a_stop_that_is_delivered_again_after_start_is_known(rig: Rig) -> None:
    """The provider's repetition takes back nothing of what they have asked for since."""
    case = written_to(rig)
    listen(rig.app, sms("STOP"))
    listen(rig.app, sms("START"))
    listen(rig.app, sms("STOP"))
    assert not listed(rig.app, "demo")
    assert not rig.case(case.id).unusable
    listen(rig.app, sms("STOP", id="SM-another"))
    assert [entry.address for entry in listed(rig.app, "demo")] == [NUMBER]


def test_stop_from_a_number_nobody_knows_is_heeded_all_the_same(rig: Rig) -> None:
    """It is on the list of whoever writes from that number, for the case that may come."""
    listen(rig.app, sms("STOP", sender="+33639980199"))
    assert [entry.address for entry in listed(rig.app, "demo")] == ["+33639980199"]


def test_an_email_is_found_by_the_mailbox_it_came_to(rig: Rig) -> None:
    """Whoever it says it is from. The quoted reminder is not taken for their own words."""
    case = written_to(rig)
    quoted = (
        "Virement fait ce matin.\n\nLe 1 avril 2026 à 09:00, Atelier Démo a écrit :\n> Une question ? Un litige ?\n"
    )
    listen(rig.app, email(rig, case, quoted))
    assert kinds(rig, case) == ["already_paid"]


@pytest.mark.parametrize("to", ["r+demo-x.aaaa@answers.example.com", "compta@example.com", "", "r+@x"])
def test_an_email_to_another_mailbox_is_kept_for_a_person(rig: Rig, to: str) -> None:
    """A token that was made up moves no case; what was written is not lost."""
    case = written_to(rig)
    before = rig.kinds(case)
    listen(rig.app, email(rig, case, "Je conteste", to=to))
    assert rig.kinds(case) == before
    (kept,) = rig.app.broker.rejected.all()
    assert b"Je conteste" in kept.payload


def test_an_out_of_office_reply_is_none(rig: Rig) -> None:
    """With the header, and without."""
    case = written_to(rig)
    listen(rig.app, email(rig, case, "Je suis absent jusqu'au 10.", automatic=True))
    assert not kinds(rig, case)


def test_an_email_without_a_word_is_for_a_person(rig: Rig) -> None:
    """It may have carried a proof of payment."""
    case = written_to(rig)
    listen(rig.app, email(rig, case, "\n\n> Bonjour,\n"))
    assert kinds(rig, case) == ["message"]


def test_help_is_answered_once_and_holds_nothing(rig: Rig) -> None:
    """Unless the provider has answered it already."""
    case = written_to(rig)
    listen(rig.app, sms("HELP", keyword="HELP"))
    assert not kinds(rig, case)
    listen(rig.app, sms("aide"))
    after = rig.case(case.id)
    assert ([said.kind for said in after.said], [errand.kind for errand in after.errands]) == (["help"], ["help"])
    assert after.case_hold() is None


@pytest.mark.parametrize("why", ["hard", "complained"])
def test_start_brings_back_what_they_stopped_and_nothing_else(rig: Rig, why: Any) -> None:
    """A mailbox that bounced, or that called us spam, stays off: also where they unsubscribed on top of it."""
    case = written_to(rig)
    receive(rig.app, Receipt(_attempt(case, "email"), why, "sendgrid"))
    answer(rig.app, case.id, Answer(kind="opt_out", source="email", ref="one click", channels=("email",)))
    listen(rig.app, email(rig, case, "START"))
    answer(rig.app, case.id, Answer(kind="opt_in", source="page", ref="a form", channels=("email",)))
    assert list(dict(rig.case(case.id).unusable)) == ["email"]
    assert [(entry.channel, entry.why) for entry in listed(rig.app, "demo")] == [
        ("email", {"hard": "bounced"}.get(why, why))
    ]


def test_start_from_somebody_else_s_number_brings_nothing_back(rig: Rig) -> None:
    """Who told us that they are not the debtor has not become the debtor by a word."""
    case = written_to(rig)
    answer(rig.app, case.id, Answer(kind="wrong_person", source="call", ref="8", channels=("voice",)))
    listen(rig.app, sms("START"))
    assert {"sms", "voice"} <= set(dict(rig.case(case.id).unusable))


def test_stop_from_a_number_since_corrected_is_not_about_the_new_one(rig: Rig) -> None:
    """The old number is off; the debtor has said nothing."""
    case = written_to(rig)
    written_to(rig, debtor__phone="+33639980155", job_id="2", as_of="2026-03-31T12:00:00+02:00")
    listen(rig.app, sms("STOP"))
    assert [entry.address for entry in listed(rig.app, "demo")] == [NUMBER]
    assert not rig.case(case.id).unusable


def test_stop_is_on_the_list_whatever_becomes_of_the_case(rig: Rig) -> None:
    """Its strategy was taken out of the configuration: the answer is set aside, the number is off."""
    written_to(rig)
    rig.app.config = replace(rig.app.config, strategies={})
    with pytest.raises(LookupError):
        listen(rig.app, sms("STOP"))
    assert [entry.address for entry in listed(rig.app, "demo")] == [NUMBER]


def _attempt(case: Case, channel: str) -> str:
    send = case.runs[0].send(channel)
    assert send
    return attempt_id(case, send.attempt)


def test_an_answer_to_a_name_is_of_nobody(make_app: MakeApp) -> None:
    """An SMS that came from a name cannot be answered: no number is kept for it."""
    rig = Rig(make_app(at=MORNING, speed=1))
    rig.settle(rig.open(debtor__phone=NUMBER, debtor__email=None))
    assert [line["channel"] for line in outbox(Path())] == ["sms"]
    assert not rig.app.client.exists(Keys("demo").phones)
