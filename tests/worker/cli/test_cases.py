"""`relance case`, `explain`, `approve`, `tasks`, `attempts`: one case at a time."""

from datetime import datetime, timedelta

import pytest

from channels.base import Uncertain
from tests.worker.payloads import fact
from tests.worker.rig import MORNING, Rig
from worker.dunning.model import Case

from .conftest import Relance

BY = ("--by", "A. Operator")


@pytest.fixture
def case(rig: Rig) -> Case:
    """A case whose first reminder went out this morning."""
    case = rig.open()
    rig.settle(case)
    return case


def at_formal_notice(rig: Rig) -> Case:
    """A case that waits for somebody to approve its formal notice."""
    due = {"invoices__0__issued_on": "2026-02-01", "invoices__0__due_on": "2026-03-01"}
    case = rig.open(**due, history={"last_step": "human_call", "on": "2026-03-24"})
    rig.settle(case)
    return case


def uncertain(rig: Rig) -> str:
    """The id of a message of which nobody knows whether it went."""
    rig.tap.answers = [Uncertain("timeout", "the answer never came")]
    case = rig.open()
    rig.settle(case)
    return f"{case.id}.1"


# ---- case


def test_the_list_says_where_each_case_stands(relance: Relance, case: Case) -> None:
    """Debtor, strategy, what is owed, the last step and the state, as text and as JSON."""
    expected = {
        "case": case.id,
        "debtor": "D-1",
        "strategy": "b2b",
        "owed": "1200.50 EUR",
        "last_step": "first_reminder",
        "state": "open",
    }
    assert relance.json("case", "list") == [expected]
    assert relance.says("case", "list").splitlines()[1] == "\t".join(expected.values())


def test_the_list_can_be_narrowed(relance: Relance, rig: Rig, case: Case) -> None:
    """By debtor and creditor; ended cases are shown on request."""
    assert relance.json("case", "list", "--debtor", "D-2") == []
    assert len(relance.json("case", "list", "--debtor", "D-1", "--creditor", "demo")) == 1
    rig.pay()
    rig.settle(case)
    assert relance.says("case", "list") == "There is no such case.\n"
    assert [found["state"] for found in relance.json("case", "list", "--ended")] == ["ended: paid"]


def test_a_creditor_nobody_configured_is_named(relance: Relance) -> None:
    """A typing error does not look like an empty list."""
    for command in (("case", "list"), ("tasks", "list")):
        assert "'dmo' is not known; known: demo" in relance.refuses(*command, "--creditor", "dmo")


def test_show_tells_the_whole_history(relance: Relance, case: Case) -> None:
    """Everything that happened, in order, at the debtor's time."""
    text = relance.says("case", "show", case.id)
    kinds = ["CaseOpened", "AttemptReserved", "AttemptBegun", "AttemptAccepted"]
    assert [line.split("\t")[1] for line in text.splitlines()[3:]] == kinds
    assert "Wed 2026-04-01 10:00 CEST" in text
    found = relance.json("case", "show", case.id)
    assert [event["type"] for event in found["history"]] == kinds
    assert found["case"]["debtor"]["name"] == "Exemple SARL"


@pytest.mark.parametrize("command", [("case", "show"), ("explain",), ("case", "release", *BY)])
@pytest.mark.parametrize("wrong", ["demo-zzzz", "zzzz", "-", "demo-", "é-1.1"])
def test_a_case_nobody_knows_is_named(relance: Relance, command: tuple[str, ...], wrong: str) -> None:
    """Exit code 1, and where the ids are."""
    assert relance.refuses(*command, "--", wrong) == f"there is no case {wrong!r} (see `relance case list`)\n"


def test_release_lifts_the_holds_of_one_reason(relance: Relance, rig: Rig, case: Case) -> None:
    """The others stand; who did it is in the history."""
    for number, reason in enumerate(("dispute", "manual")):
        rig.take(fact("case_held", job_id=f"h-{number}", case=case.id, reason=reason))
    assert relance.json("case", "release", case.id, "--reason", "manual", *BY)["released"] == ["manual"]
    assert [hold.reason for hold in rig.case(case.id).holds] == ["dispute"]
    assert relance.json("case", "show", case.id)["history"][-1]["by"] == "A. Operator"


def test_release_says_when_there_is_nothing_to_lift(relance: Relance, case: Case) -> None:
    """A typing error in the reason does not look like success."""
    assert "has no hold 'manuel'" in relance.refuses("case", "release", case.id, "--reason", "manuel", *BY)
    assert "has no hold (see" in relance.refuses("case", "release", case.id, *BY)


# ---- explain and approve


def test_explain_says_what_is_next_and_when(relance: Relance, case: Case) -> None:
    """The next step, its moment on the debtor's wall, and why not yet."""
    text = relance.says("explain", case.id)
    assert text.splitlines() == [
        f"{case.id}: waiting, 1200.50 EUR owed",
        "  why:  its day has not come",
        "  next: sms_reminder",
        "  when: Tue 2026-04-07 09:00 CEST, as things stand",
    ]
    found = relance.json("explain", case.id)
    assert datetime.fromisoformat(found["at"]) == MORNING.replace(day=7, hour=9)


def test_explain_agrees_with_what_then_happens(relance: Relance, rig: Rig, case: Case) -> None:
    """Nothing goes out before the moment it names, and something does then."""
    at = datetime.fromisoformat(relance.json("explain", case.id)["at"])
    rig.jump(at - timedelta(minutes=5))
    rig.settle(case)
    assert rig.kinds(case)[-1] == "AttemptAccepted"
    before = len(rig.kinds(case))
    rig.jump(at)
    rig.settle(case)
    assert len(rig.kinds(case)) > before


def test_a_step_goes_out_once_a_person_approved_it(relance: Relance, rig: Rig) -> None:
    """Until then explain says what is waited for; the history says who agreed."""
    case = at_formal_notice(rig)
    found = relance.json("explain", case.id)
    assert (found["state"], found["next"]) == ("held", "formal_notice")
    assert found["why"].startswith("held: a person must approve the step")
    assert rig.tap.messages == []
    assert relance.says("approve", case.id, "formal_notice", *BY) == "formal_notice approved by A. Operator\n"
    rig.settle(case)
    assert [event.by for event in rig.history(case) if hasattr(event, "step") and hasattr(event, "by")] == [
        "A. Operator"
    ]
    assert [message.channel for message in rig.tap.messages] == ["email"]


def test_approve_says_which_steps_ask_for_it(relance: Relance, case: Case) -> None:
    """A step that asks for nobody's word cannot be approved by mistake."""
    for wrong in ("first_reminder", "formal", ""):
        said = relance.refuses("approve", case.id, wrong, *BY)
        assert "is not a step that needs approval (those are: formal_notice, handover)" in said


def test_an_ended_case_needs_no_approval(relance: Relance, rig: Rig, case: Case) -> None:
    """It says why the case ended instead."""
    rig.pay()
    rig.settle(case)
    assert relance.refuses("approve", case.id, "formal_notice", *BY) == "the case has ended: paid\n"


def test_whoever_acts_is_named(relance: Relance, rig: Rig, case: Case) -> None:
    """Without --by nothing is done, unless the environment says who it is."""
    assert "--by" in relance.refuses("approve", case.id, "formal_notice", code=2, RELANCE_OPERATOR=None)
    done = relance.json("approve", case.id, "formal_notice", RELANCE_OPERATOR="B. Operator")
    assert done == {"case": case.id, "step": "formal_notice", "by": "B. Operator"}
    assert dict(rig.case(case.id).approved) == {"formal_notice": "B. Operator"}


# ---- tasks


def test_a_task_is_listed_until_it_is_done(relance: Relance, rig: Rig) -> None:
    """The letter of the formal notice is a person's, who can read it; done, it leaves the list, and the history says
    who did it."""
    case = at_formal_notice(rig)
    relance.says("approve", case.id, "formal_notice", *BY)
    rig.settle(case)
    (task,) = relance.json("tasks", "list", "--creditor", "demo")
    assert (task["case"], task["kind"]) == (case.id, "formal_notice")
    assert "Exemple SARL" in task["title"]
    assert task["text"]
    assert task["id"] in relance.says("tasks", "list")
    assert relance.says("tasks", "show", task["id"]) == f"{task['title']}\n\n{task['text']}\n"
    assert relance.json("tasks", "show", task["id"]) == task
    assert relance.says("tasks", "done", task["id"], *BY) == "done\n"
    assert relance.says("tasks", "list") == "There is nothing to do.\n"
    assert rig.kinds(case)[-1] == "TaskDone"
    assert "there is no task" in relance.refuses("tasks", "done", task["id"], *BY)


@pytest.mark.parametrize("wrong", ["", "x", "demo-zzz.1", "."])
def test_a_task_nobody_opened_is_named(relance: Relance, wrong: str) -> None:
    """Exit code 1, and where the ids are."""
    for command in (("done", *BY), ("show",)):
        assert f"there is no task {wrong!r}" in relance.refuses("tasks", *command, "--", wrong)


# ---- uncertain attempts


def test_an_uncertain_message_waits_for_a_person(relance: Relance, rig: Rig) -> None:
    """It is listed, and explain says that it may have gone and what to do."""
    attempt = uncertain(rig)
    (entry,) = relance.json("attempts", "uncertain", "list")
    assert entry["attempt"] == attempt
    assert attempt in relance.says("attempts", "uncertain", "list")
    text = relance.says("explain", attempt.rpartition(".")[0])
    assert "settle it with `relance attempts uncertain settle`" in text
    assert f"not sent: first_reminder, email: may have gone (timeout) [{attempt}]" in text


def test_one_that_went_is_not_sent_again(relance: Relance, rig: Rig) -> None:
    """Settled as gone, it counts as accepted, with the name of who found out."""
    attempt = uncertain(rig)
    case = rig.case(attempt.rpartition(".")[0])
    assert relance.json("attempts", "uncertain", "settle", attempt, "--went", *BY)["went"] is True
    rig.settle(case)
    assert len(rig.tap.messages) == 1
    accepted = rig.history(case)[-1]
    assert getattr(accepted, "by", "") == "A. Operator"
    assert relance.says("attempts", "uncertain", "list") == "There is no uncertain message.\n"


def test_one_that_did_not_go_is_sent_again(relance: Relance, rig: Rig) -> None:
    """Settled as not sent, the step is tried anew, by another attempt of the same message."""
    attempt = uncertain(rig)
    case = rig.case(attempt.rpartition(".")[0])
    assert relance.says("attempts", "uncertain", "settle", attempt, "--not-sent", *BY) == "settled\n"
    rig.jump(MORNING + timedelta(minutes=30))
    rig.settle(case)
    first, second = rig.tap.messages
    assert first.id == second.id
    assert first.attempt != second.attempt


@pytest.mark.parametrize("wrong", ["", "x", "demo-zzz.1", "demo-zzz", "a.b.c"])
def test_what_is_not_uncertain_cannot_be_settled(relance: Relance, wrong: str) -> None:
    """Exit code 1, and where the ids are."""
    said = relance.refuses("attempts", "uncertain", "settle", "--went", *BY, "--", wrong)
    assert said == f"{wrong!r} is not an uncertain attempt (see `relance attempts uncertain list`)\n"


def test_what_was_accepted_cannot_be_settled(relance: Relance, rig: Rig, case: Case) -> None:
    """Nobody can make a message that surely went be sent again."""
    relance.refuses("attempts", "uncertain", "settle", f"{case.id}.1", "--not-sent", *BY)
    rig.settle(case)
    assert len(rig.tap.messages) == 1
