"""A wrong invoice from the job to upstream's ear: taken, held, told, corrected or let pass."""

import json
from datetime import datetime
from typing import Any, cast

import pytest

from tests.conftest import MakeApp
from worker import operations
from worker.commit import Keys
from worker.explain import explain
from worker.watch import Board, entries

from .payloads import fact, reminder
from .rig import ENQUEUED, MORNING, NUMBER, PARIS, Rig, invoice, stated


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def stream(rig: Rig) -> list[dict[str, Any]]:
    """What upstream reads: the events in the creditor's stream, each with its case."""
    read = cast("list[tuple[str, dict[str, str]]]", rig.app.client.xrange(Keys("demo").events))
    return [{"case": entry["case"], **json.loads(entry["event"])} for _, entry in read]


def two(**changes: Any) -> dict[str, Any]:
    """A job of the invoice of `payloads.reminder` and a sound one, both due yesterday."""
    job = reminder(**changes)
    return job | {"invoices": [*job["invoices"], invoice("SOUND", MORNING.date().replace(day=31, month=3))]}


def test_upstream_hears_which_invoice_is_wrong_and_why(rig: Rig) -> None:
    """The hold is in its stream with reason, number and names; the other invoice is asked for, and it alone."""
    case = rig.case(rig.take(two(invoices__0__due_on="2026-02-28")).cases[0])
    rig.settle(case)
    (hold,) = [event["hold"] for event in stream(rig) if event["type"] == "HoldPlaced"]
    assert {name: hold[name] for name in ("reason", "invoice", "note")} == {
        "reason": "invoice_defect", "invoice": NUMBER, "note": "due_before_issue",
    }  # fmt: skip
    (message,) = rig.tap.messages
    assert "SOUND" in message.text
    assert NUMBER not in message.text + message.html + message.subject


def test_explain_and_watch_say_it_in_words(rig: Rig) -> None:
    """Not the name of the rule, but what is wrong."""
    case = rig.open(invoices__0__amount="-1200.50")
    seen = rig.app.cases.see(case.id)
    assert seen
    before = explain(rig.app, seen, MORNING)
    words = "the invoice is wrong (its amount is zero or less)"
    assert (before.state, before.why) == ("due", f"at the next look, {NUMBER} is held: {words}")
    rig.settle(case)
    seen = rig.app.cases.see(case.id)
    assert seen
    found = explain(rig.app, seen, MORNING)
    assert (found.state, found.why) == ("held", f"held: {words}")
    assert found.not_sent == (f"{NUMBER}: held, {words}",)
    board, told = Board(), []
    for entry in entries(rig.app):
        if entry is None:
            break
        told.append(board.tell(entry.case_id, entry.event) or "")
    assert any(line.endswith(f"{NUMBER} held: {words}") for line in told)


def test_a_corrected_invoice_is_chased_from_the_first_reminder(rig: Rig) -> None:
    """The same number, newer books: the hold is over by itself, and upstream hears that too."""
    case = rig.open(invoices__0__outstanding="9999")
    rig.settle(case)
    assert rig.tap.messages == []
    rig.take(stated(12, "1200.50"))
    rig.settle(case)
    assert [run.step for run in rig.case(case.id).runs] == ["first_reminder"]
    assert [event["type"] for event in stream(rig) if event["type"].startswith("Hold")] == ["HoldPlaced", "HoldLapsed"]


def test_older_books_correct_nothing(rig: Rig) -> None:
    """A statement made before the wrong one and taken after it does not lift the hold."""
    case = rig.open(invoices__0__outstanding="9999")
    rig.settle(case)
    rig.take(stated(8, "1200.50"))
    rig.settle(case)
    assert rig.tap.messages == []


def test_an_operator_lets_it_pass_for_good(rig: Rig) -> None:
    """Released once, it is chased; the next statement with the same fault does not hold it again."""
    case = rig.open(invoices__0__number="DRAFT-7")
    rig.settle(case)
    operations.release(rig.app, case.id, "invoice_defect", "Sam")
    rig.settle(case)
    rig.take(stated(12, "1000", invoices__0__number="DRAFT-7"))
    rig.settle(case)
    assert [message.subject for message in rig.tap.messages] == ["Facture DRAFT-7, échue le 31 mars 2026"]
    assert rig.case(case.id).holds == ()


def test_a_message_that_waits_for_its_worker_does_not_leave_once_its_invoice_is_wrong(rig: Rig) -> None:
    """Reserved, then stated wrong: released, held; what is sound of it goes out instead."""
    case = rig.case(rig.take(two()).cases[0])
    rig.reserve(case)
    rig.take(stated(12, "9999"))
    rig.settle(case)
    (message,) = rig.tap.messages
    assert "SOUND" in message.text
    assert NUMBER not in message.text
    assert [hold.note for hold in rig.case(case.id).holds] == ["outstanding_above_amount"]


def test_a_reminder_of_nothing_is_not_dropped(rig: Rig) -> None:
    """Zero, and nothing said of what is outstanding: a case with a named hold. Settled: no case."""
    assert rig.take(reminder(job_id="a", invoices__0__amount="0", invoices__0__outstanding="0")).cases == ()
    case = rig.open(job_id="b", invoices__0__amount="0")
    rig.settle(case)
    assert rig.case(case.id).ended is None
    assert [hold.reason for hold in rig.case(case.id).holds] == ["invoice_defect"]


def test_closing_the_sound_one_does_not_end_the_case_of_a_wrong_one(rig: Rig) -> None:
    """Nobody knows what is owed on it: the case stays, held, until that one is closed too."""
    case = rig.case(rig.take(two(invoices__0__amount="0")).cases[0])
    rig.settle(case)
    for number in ("SOUND", NUMBER):
        assert rig.case(case.id).ended is None
        closed = fact("case_closed", job_id=f"c-{number[-3:]}", invoice=number, reason="cancelled")
        rig.take(closed, ENQUEUED.replace(hour=20))
        rig.settle(case)
    assert rig.case(case.id).ended


def test_a_date_that_is_corrected_but_still_to_come_is_waited_for_anew(rig: Rig) -> None:
    """Dated a year ahead by mistake, then in two weeks: the case is looked at in two weeks, not in a year."""
    dates = {"invoices__0__issued_on": "2027-04-15", "invoices__0__due_on": "2027-04-20"}
    case = rig.open(**dates)
    rig.settle(case)
    assert rig.next_look(case) == datetime(2027, 4, 14, tzinfo=PARIS)
    rig.take(stated(12, "1200.50", **{name: date.replace("2027", "2026") for name, date in dates.items()}))
    rig.settle(case)
    assert rig.next_look(case) == datetime(2026, 4, 14, tzinfo=PARIS)
    rig.jump(datetime(2026, 4, 14, 9, tzinfo=PARIS))
    rig.settle(case)
    assert rig.case(case.id).holds == ()
