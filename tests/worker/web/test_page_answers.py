"""Each thing that can be said on the page: from the form to the next message that leaves, or does not."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from threading import Thread
from typing import Any

import pytest

from channels.base import Receipt
from tests.conftest import MakeApp
from tests.worker.rig import MORNING, NUMBER
from worker.dunning.answers import LONGEST
from worker.dunning.model import attempt_id
from worker.inbound import receive
from worker.operations import approve, release, tasks
from worker.suppression import add
from worker.web.page.form import CHOICES

from .served import Doors
from .visitor import Visitor, several, visiting

#: Undisturbed, the step after the first reminder goes by SMS on 7 April.
NEXT = date(2026, 4, 7)
Fields = dict[str, Any]

#: What holds until a person releases it.
TO_PEOPLE: list[tuple[str, Fields, str]] = [
    ("instalments", {"count": "3", "on": "2026-04-20", "text": "Trois fois, si possible."}, "instalments"),
    ("problem", {"reason": "dispute", "text": "Trois lampes cassées.\r\nVoir photos."}, "dispute"),
    ("problem", {"reason": "invoice_error"}, "invoice_defect"),
    ("mediation", {"text": "Je préfère un conciliateur."}, "mediation"),
    ("call_me", {"text": "06 39 98 00 00, le matin"}, "call_me"),
    ("message", {"text": "Je suis en congé jusqu’au 12."}, "message"),
]
#: What holds for a while: the last day on which nothing has left, and the first by which something has.
FOR_A_WHILE: list[tuple[str, Fields, date, date]] = [
    ("promise", {"on": "2026-04-15", "method": "transfer"}, date(2026, 4, 17), date(2026, 4, 20)),
    ("already_paid", {"method": "card", "text": "Virement du 31."}, date(2026, 4, 9), date(2026, 4, 10)),
    ("problem", {"reason": "not_received"}, date(2026, 4, 9), date(2026, 4, 10)),
    ("problem", {"reason": "terms_misunderstood"}, date(2026, 4, 9), date(2026, 4, 10)),
    ("problem", {"reason": "approval_circuit", "on": "2026-04-15"}, date(2026, 4, 17), date(2026, 4, 20)),
]
#: What changes nothing of when the next message leaves.
GOES_ON: list[tuple[str, Fields]] = [
    ("method", {"method": "cheque"}),
    ("wrong_person", {}),
    ("opt_out", {"channel": "email"}),
]


@pytest.fixture
def visitor(make_app: MakeApp) -> Iterator[Visitor]:
    """Somebody in front of the page, whose first reminder has left."""
    with visiting(make_app) as visitor:
        yield visitor


def accepted(visitor: Visitor, choice: str, fields: Fields) -> str:
    """Send it; led back to the page, which loads without posting again and thanks. Its text."""
    answer = visitor.send(choice, **fields)
    assert (answer.status, answer.headers["location"]) == (303, f"{visitor.token()}?done={choice}")
    before = visitor.rig.kinds(visitor.case)
    page = visitor.open(done=choice)
    assert visitor.rig.kinds(visitor.case) == before
    return page.text


def test_every_choice_is_tried_here() -> None:
    """No form of the page is without a test of what it leads to."""
    tried = {each[0] for each in (*TO_PEOPLE, *FOR_A_WHILE, *GOES_ON)}
    assert tried | {"refusal", "opt_in"} == set(CHOICES)


@pytest.mark.parametrize(("choice", "fields", "reason"), TO_PEOPLE)
def test_what_a_person_must_settle_holds_until_they_have(
    visitor: Visitor, choice: str, fields: Fields, reason: str
) -> None:
    """Nothing leaves for months; a person reads it, in the debtor's own words; once released the ladder goes on."""
    assert "Merci, c’est noté." in accepted(visitor, choice, fields)
    (hold,) = visitor.rig.case(visitor.case.id).holds
    assert hold.reason == reason
    (task,) = tasks(visitor.app, ["demo"])
    for line in str(fields.get("text", "")).splitlines():
        assert f"> {line}" in task.text
    assert visitor.on(date(2026, 6, 22)) == ["email"]
    release(visitor.app, visitor.case.id, None, "somebody")
    assert len(visitor.on(date(2026, 6, 23))) == 2


@pytest.mark.parametrize(("choice", "fields", "silent", "again"), FOR_A_WHILE)
def test_what_holds_for_a_while_ends_by_itself(
    visitor: Visitor, choice: str, fields: Fields, silent: date, again: date
) -> None:
    """Nothing until then; unpaid, one message after it, and one alone."""
    assert "Merci, c’est noté." in accepted(visitor, choice, fields)
    assert visitor.on(silent) == ["email"]
    assert visitor.on(again) == ["email", "sms"]


def test_a_promise_that_is_broken_makes_the_next_step_firmer(visitor: Visitor) -> None:
    """And the means named is kept for whoever looks for the payment."""
    accepted(visitor, "promise", {"on": "2026-04-15", "method": "transfer"})
    visitor.on(date(2026, 4, 20))
    case = visitor.rig.case(visitor.case.id)
    assert [run.firmer for run in case.runs] == [False, True]
    assert case.promised_method == "transfer"


def test_a_promise_that_is_kept_ends_the_case(visitor: Visitor) -> None:
    """The page thanks; nothing else ever leaves."""
    accepted(visitor, "promise", {"on": "2026-04-15"})
    visitor.rig.pay()
    assert "Tout est réglé" in visitor.open().text
    assert visitor.on(date(2026, 7, 1)) == ["email"]
    assert visitor.rig.kinds(visitor.case)[-2:] == ["HoldLapsed", "CaseEnded"]


def test_what_was_already_paid_and_arrives_ends_the_case(visitor: Visitor) -> None:
    """No message between the word and the money."""
    accepted(visitor, "already_paid", {})
    visitor.rig.pay()
    assert visitor.on(date(2026, 7, 1)) == ["email"]


@pytest.mark.parametrize(("choice", "fields", "channels"), [(*each, channels) for each, channels in zip(
    GOES_ON, (["email", "sms"], ["email", "sms"], ["email", "sms"]), strict=True)])  # fmt: skip
def test_what_holds_nothing_lets_the_ladder_go_on(
    visitor: Visitor, choice: str, fields: Fields, channels: list[str]
) -> None:
    """The step after it leaves on its day, by a channel that may still be used."""
    visitor.send(choice, **fields)
    assert visitor.on(NEXT) == channels
    usable = {"method": {}, "wrong_person": {"email": "wrong_person, page"}, "opt_out": {"email": "opted_out, page"}}
    assert dict(visitor.rig.case(visitor.case.id).unusable) == usable[choice]


def test_a_refusal_leads_to_the_formal_notice_once_a_person_approves(visitor: Visitor) -> None:
    """No step in between; then that one."""
    assert "vous refusez de payer" in accepted(visitor, "refusal", {"text": "Non."})
    assert visitor.on(date(2026, 4, 10)) == ["email"]
    hold = visitor.rig.case(visitor.case.id).case_hold()
    assert hold
    assert (hold.reason, hold.note) == ("approval_pending", "formal_notice")
    approve(visitor.app, visitor.case.id, "formal_notice", "somebody")
    visitor.on(date(2026, 4, 13))
    assert visitor.rig.case(visitor.case.id).runs[-1].step == "formal_notice"


def test_a_channel_is_switched_off_and_on(visitor: Visitor) -> None:
    """Off: nothing by it, the page offers to switch it on again; on: it is used as before."""
    assert "Recevoir à nouveau des SMS" in accepted(visitor, "opt_out", {"channel": "sms"})
    assert visitor.on(NEXT) == ["email", "email"]
    assert "Ne plus recevoir de SMS" in accepted(visitor, "opt_in", {"channel": "sms"})
    assert visitor.rig.case(visitor.case.id).unusable == ()
    visitor.on(date(2026, 4, 13))
    assert visitor.on(date(2026, 4, 16))[2:] == ["voice", "email", "sms"]
    assert accepted(visitor, "opt_out", {"channel": "sms"})
    assert dict(visitor.rig.case(visitor.case.id).unusable) == {"sms": "opted_out, page"}


@pytest.mark.parametrize("why", ["bounced", "complained", "suppressed"])
def test_only_what_the_debtor_switched_off_can_be_switched_on(visitor: Visitor, why: str) -> None:
    """A mailbox that bounced, or that is on the list for another reason, is not brought back by a form."""
    if why == "suppressed":
        add(visitor.app, "demo", "email", "ap@example.com", why="imported", by="operator")
    else:
        what: Any = {"bounced": "hard", "complained": "complained"}[why]
        receive(visitor.app, Receipt(attempt_id(visitor.case, 1), what, "sendgrid", "550"))
    assert "Recevoir à nouveau des courriels" not in visitor.open().text
    before = visitor.rig.kinds(visitor.case)
    assert visitor.send("opt_in", channel="email").status == 303
    assert visitor.rig.kinds(visitor.case) == before


def test_whoever_is_somebody_else_sees_nothing_any_more(visitor: Visitor) -> None:
    """Thanks, and no amount, on that address's page; on the debtor's other one it is as before."""
    visitor.send("wrong_person")
    page = visitor.open()
    assert page.status == 200
    assert "Merci de nous l’avoir dit" in page.text
    assert NUMBER not in page.source
    assert visitor.open(channel="sms").text.count(NUMBER)
    before = visitor.rig.kinds(visitor.case)
    assert visitor.send("opt_in", number="any", channel="email").status == 303
    assert visitor.rig.kinds(visitor.case) == before


def test_a_wrong_number_is_wrong_for_calls_and_for_sms(make_app: MakeApp) -> None:
    """One number, two channels: neither is used any more."""
    with visiting(make_app) as visitor:
        visitor.channel = "sms"
        visitor.send("wrong_person")
        assert set(dict(visitor.rig.case(visitor.case.id).unusable)) == {"sms", "voice"}
        assert "Merci de nous l’avoir dit" in visitor.open(channel="voice").text


def test_what_is_said_of_one_invoice_holds_that_one(make_app: MakeApp) -> None:
    """The other goes on being asked for."""
    with visiting(make_app, invoices=several()) as visitor:
        page = accepted(visitor, "problem", {"reason": "dispute", "invoices": ["F-2026/002"]})
        assert "vous n’êtes pas d’accord (F-2026/002)." in page
        assert [(hold.reason, hold.invoice) for hold in visitor.rig.case(visitor.case.id).holds] == [
            ("dispute", "F-2026/002")
        ]
        assert visitor.on(NEXT) == ["email", "sms"]


def test_what_was_said_is_told_back(visitor: Visitor) -> None:
    """By whichever way, with its day; the newest first; a link that thanks for what was not said thanks for nothing."""
    page = visitor.open(done="promise")
    assert page.status == 200
    assert "Ce que vous nous avez dit" not in page.text
    assert "Merci, c’est noté" not in page.text
    accepted(visitor, "method", {"method": "transfer"})
    text = accepted(visitor, "promise", {"on": "2026-04-15", "method": "card"}).replace("\u00a0", " ")
    assert "Le 1er avril 2026 : vous paierez le mercredi 15 avril 2026 par carte." in text
    assert text.index("15 avril") < text.index("par virement.")


# ---- the form


def test_the_same_form_twice_is_one_answer(visitor: Visitor) -> None:
    """Pressed twice, sent again by going back: nothing changes. Changed before it is sent again, it counts again."""
    number = visitor.open().number
    visitor.send("promise", number, on="2026-04-15")
    before = visitor.rig.kinds(visitor.case)
    assert visitor.send("promise", number, on="2026-04-15").status == 303
    assert visitor.rig.kinds(visitor.case) == before
    visitor.send("promise", number, on="2026-04-16")
    assert visitor.rig.case(visitor.case.id).said[-1].on == date(2026, 4, 16)


def test_many_at_once_are_one(visitor: Visitor) -> None:
    """Eight identical posts at the same moment."""
    number = visitor.open().number
    posts = [Thread(target=visitor.send, args=("message", number), kwargs={"text": "Bonjour"}) for _ in range(8)]
    for each in posts:
        each.start()
    for each in posts:
        each.join()
    assert visitor.said() == ["message"]
    assert len(tasks(visitor.app, ["demo"])) == 1


#: Choice, fields, which of them are said to be wrong.
MISTAKEN: list[tuple[str, Fields, list[str]]] = [
    ("promise", {}, ["on"]),
    ("promise", {"on": "demain"}, ["on"]),
    ("promise", {"on": "2026-02-30"}, ["on"]),
    ("promise", {"on": "2026-03-31"}, ["on"]),
    ("promise", {"on": "2026-05-02"}, ["on"]),
    ("promise", {"on": "2026-04-15", "method": "gold"}, ["method"]),
    ("instalments", {"count": "7", "on": "2026-04-15"}, ["count"]),
    ("instalments", {"count": "1", "on": "2026-04-15"}, ["count"]),
    ("instalments", {"count": "-2", "on": ""}, ["count", "on"]),
    ("instalments", {"count": "2", "on": "2026-05-02"}, ["on"]),
    ("problem", {}, ["reason"]),
    ("problem", {"reason": "weather"}, ["reason"]),
    ("problem", {"reason": "approval_circuit", "on": "2027-01-01"}, ["on"]),
    ("method", {}, ["method"]),
    ("message", {"text": "  \r\n "}, ["text"]),
    ("message", {"text": "é" * (LONGEST + 1)}, ["text"]),
]


@pytest.mark.parametrize(("choice", "fields", "wrong"), MISTAKEN)
def test_a_mistake_is_said_beside_its_field_and_nothing_is_lost(
    make_app: MakeApp, choice: str, fields: Fields, wrong: list[str]
) -> None:
    """422, the form open, each wrong field named in the summary and beside it, what was typed still there."""
    with visiting(make_app, invoices=several()) as visitor:
        before = Doors(visitor.app, visitor.port).kept()
        page = visitor.send(choice, **fields)
        assert Doors(visitor.app, visitor.port).kept() == before
    assert page.status == 422
    assert re.search(rf'<details name="answer" id="{choice}" open>', page.source)
    assert re.findall(r'<li><a href="#([^"]+)"', page.source) == [f"{choice}-{name}" for name in wrong]
    for name in wrong:
        assert f'id="{choice}-{name}-problem"' in page.source
        assert re.search(rf'id="{choice}-{name}"[^>]* aria-describedby="[^"]*{choice}-{name}-problem"', page.source)
    assert page.source.count('aria-invalid="true"') == len(wrong)
    assert str(fields.get("text", "")).strip() in page.text
    assert "<title>Erreur" in page.source


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        ("problem", {"reason": "dispute", "invoices": ["F-9"]}),
        ("already_paid", {"invoices": ["F-2026/002", "A-2026/001"]}),
        ("opt_out", {"channel": "task"}),
        ("opt_in", {}),
        ("pardon", {}),
    ],
)
def test_what_nobody_could_have_chosen_is_no_form(make_app: MakeApp, choice: str, fields: Fields) -> None:
    """An invoice of somebody else's, a credit note, a channel that is none: refused, and nothing changes."""
    with visiting(make_app, invoices=several()) as visitor:
        before = visitor.rig.kinds(visitor.case)
        assert visitor.send(choice, **fields).status == 403
        assert visitor.rig.kinds(visitor.case) == before


def test_the_limits_are_those_of_the_strategy(visitor: Visitor) -> None:
    """The first day and the last, the most instalments: in the fields, and in words."""
    page = visitor.open().source
    assert page.count('min="2026-04-01" max="2026-05-01"') == 3
    assert re.findall(r'<option value="(\d)">', page) == ["2", "3", "4", "5", "6"]
    words = visitor.send("promise", on="2027-01-01").text.replace("\u00a0", " ")
    assert words.count("Choisissez une date du 1er avril 2026 au 1er mai 2026.") == 2


def test_a_day_is_read_as_people_write_it(visitor: Visitor) -> None:
    """A browser without a field for dates sends what was typed."""
    visitor.send("promise", on="15/4/2026")
    assert visitor.rig.case(visitor.case.id).said[-1].on == date(2026, 4, 15)


def test_what_is_written_is_kept_in_lines_without_what_a_screen_should_not_get(visitor: Visitor) -> None:
    """Two lines stay two; control characters go; at the most characters it still fits."""
    visitor.send("message", text="Bonjour\x00\x1b[31m,\r\nà demain" + "." * (LONGEST - 24))
    (heard,) = [event for event in visitor.rig.history(visitor.case) if type(event).__name__ == "AnswerReceived"]
    text = heard.answer.text  # type: ignore[attr-defined]  # it is an AnswerReceived
    assert text.startswith("Bonjour[31m,\nà demain.")


# ---- who may send it


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("purpose", ["r", "u"])
def test_another_sites_form_is_refused(visitor: Visitor, headers: dict[str, str], purpose: str) -> None:
    """Even one that has the link and a number."""
    body = f"number={visitor.open().number}&answer=refusal&List-Unsubscribe=One-Click".encode()
    before = Doors(visitor.app, visitor.port).kept()
    assert visitor.post(f"/{purpose}/{visitor.token(purpose)}", body, **headers).status == 403
    assert Doors(visitor.app, visitor.port).kept() == before


def test_browsers_own_forms_are_taken(visitor: Visitor) -> None:
    """Whatever they say of where they come from: nothing, our own address, or "null", as a page without referrer is."""
    ways = ({"Origin": visitor.base}, {"Origin": "null"}, {"Origin": "null", "Sec_Fetch_Site": ""})
    for way in ways:
        body = f"number={visitor.open().number}&answer=method&method=card".encode()
        assert visitor.post(f"/r/{visitor.token()}", body, **way).status == 303
    assert visitor.said() == ["method"] * 3


def test_a_number_of_another_page_is_none(visitor: Visitor) -> None:
    """Nor is one made up, or none at all."""
    other = visitor.open(channel="sms").number
    before = Doors(visitor.app, visitor.port).kept()
    for number in (other, "x", "1.aaaaaaaaaaaaa", "é", "."):
        page = visitor.send("refusal", number)
        assert page.status == 403
        assert "Votre réponse n’a pas pu être enregistrée" in page.text or "could not be stored" in page.text
    assert visitor.post(f"/r/{visitor.token()}", b"answer=refusal").status == 403
    assert Doors(visitor.app, visitor.port).kept() == before


def test_an_answer_at_the_last_moment_counts(visitor: Visitor) -> None:
    """The next message is reserved already: what was said before it began keeps it back."""
    visitor.rig.jump(MORNING + timedelta(days=6, hours=1))
    (attempt,) = [visitor.rig.reserve(visitor.case)]
    accepted(visitor, "problem", {"reason": "dispute"})
    visitor.rig.deliver(visitor.case)
    visitor.rig.settle(visitor.case)
    assert attempt.endswith(".2")
    assert visitor.on(date(2026, 5, 4)) == ["email"]
