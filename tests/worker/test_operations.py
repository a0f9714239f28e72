"""What operators do is a commit like any other: told apart, written down, safe at the same time as everything else."""

from threading import Barrier, Thread

import pytest

from channels.base import Uncertain
from tests.conftest import MakeApp
from worker import operations
from worker.operations import NotPossible

from .payloads import fact
from .rig import MORNING, Rig


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def together(*work: object) -> None:
    """Do them at the same moment."""
    barrier = Barrier(len(work))

    def run(one: object) -> None:
        barrier.wait(10)
        assert callable(one)
        one()

    threads = [Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def test_an_approval_and_a_payment_at_once_are_both_kept(rig: Rig, make_app: MakeApp) -> None:
    """Neither writes over the other, however often they meet."""
    case = rig.open()
    other = make_app()
    together(
        lambda: operations.approve(other, case.id, "formal_notice", "A. Operator"),
        lambda: rig.pay(amount="200.50"),
    )
    assert set(rig.kinds(case)) >= {"ApprovalGiven", "PaymentReceived"}
    assert rig.case(case.id).owed() == 1000


def test_a_task_is_done_once(rig: Rig) -> None:
    """Whoever says so second is told that it is not on the list any more; the history has one word of it."""
    due = {"invoices__0__issued_on": "2026-02-01", "invoices__0__due_on": "2026-03-01"}
    case = rig.open(**due, history={"last_step": "human_call", "on": "2026-03-24"})
    operations.approve(rig.app, case.id, "formal_notice", "A. Operator")
    rig.settle(case)
    (task,) = operations.tasks(rig.app, ["demo"])
    operations.finish_task(rig.app, task.id, "A. Operator")
    with pytest.raises(NotPossible, match="there is no task"):
        operations.finish_task(rig.app, task.id, "B. Operator")
    assert rig.kinds(case).count("TaskDone") == 1


def test_a_message_settled_by_two_people_has_one_outcome(rig: Rig, make_app: MakeApp) -> None:
    """Who was first counts; the message is not sent again because the second one disagreed."""
    rig.tap.answers = [Uncertain("timeout", "the answer never came")]
    case = rig.open()
    rig.settle(case)
    other = make_app()
    answers: list[bool] = []
    together(
        lambda: answers.append(operations.settle(rig.app, f"{case.id}.1", went=True, by="A")),
        lambda: answers.append(operations.settle(other, f"{case.id}.1", went=True, by="B")),
    )
    assert sorted(answers) == [False, True]
    assert rig.kinds(case).count("AttemptAccepted") == 1


def test_a_release_wakes_the_case(rig: Rig) -> None:
    """What was held goes on at once, not at its next look in days."""
    case = rig.open()
    rig.take(fact("case_held", job_id="h", case=case.id, reason="manual"))
    rig.settle(case)
    assert rig.tap.messages == []
    assert operations.release(rig.app, case.id, None, "A. Operator") == ["manual"]
    rig.settle(case)
    assert len(rig.tap.messages) == 1
