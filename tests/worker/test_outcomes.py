"""What became of a call: a fact, stored on whatever is there, never decided again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Accepted, ConfigurationError, Message, Rejected, Unavailable, Uncertain
from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.model import Case
from worker.outcomes import record
from worker.sending import deliver

from .payloads import fact
from .rig import MORNING, Rig, invoice, outbox

PHONE = "+33639980001"


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def uncertain_ones(rig: Rig) -> list[str]:
    """What `status` counts."""
    members: Any = rig.app.client.zrange(Keys("demo").uncertain, 0, -1)
    return list(members)


def answered(rig: Rig, *answers: Rejected | Unavailable | Uncertain) -> Case:
    """A case whose first tries at the outbox are answered so."""
    rig.tap.answers.extend(answers)
    return rig.open(debtor__phone=PHONE)


def test_a_rejected_email_becomes_an_sms_at_once(rig: Rig, tmp_path: Path) -> None:
    """An address nobody can be reached at costs no time: the SMS leaves within the same step, on the same day."""
    case = rig.open(debtor__email="nobody@bounce.invalid", debtor__phone=PHONE)
    rig.settle(case)
    (sent,) = outbox(tmp_path)
    assert sent["channel"] == "sms"
    assert dict(rig.case(case.id).unusable) == {"email": "550"}
    assert [contact.rpartition("|")[2] for contact in rig.contacts(case)] == ["sms"]


def test_refused_content_holds_the_case_and_not_the_address(rig: Rig, tmp_path: Path) -> None:
    """A wording the provider refuses is ours to mend: hold `error`, no other channel gets it, the address stays."""
    case = answered(rig, Rejected("content", "21617"))
    rig.settle(case)
    (hold,) = rig.case(case.id).holds
    assert (hold.reason, rig.case(case.id).unusable) == ("error", ())
    assert outbox(tmp_path) == []


def test_unavailable_is_tried_again_after_a_backoff(rig: Rig, tmp_path: Path) -> None:
    """Surely not sent: the same message goes again a minute later, then five; a failed try is no contact."""
    case = answered(rig, Unavailable("down", "503"), Unavailable("down", "503"))
    for wait in (1, 5):
        rig.settle(case)
        assert (outbox(tmp_path), rig.contacts(case)) == ([], [])
        look = rig.next_look(case)
        assert look is not None
        assert timedelta(minutes=wait - 0.1) < look - rig.app.clock.now() <= timedelta(minutes=wait)
        rig.jump(look)
    rig.settle(case)
    (sent,) = outbox(tmp_path)
    assert {message.id for message in rig.tap.messages} == {sent["id"]}
    assert len({message.attempt for message in rig.tap.messages}) == 3


def test_a_provider_that_asks_for_more_time_gets_it(rig: Rig) -> None:
    """`retry_after` longer than our own wait is heeded."""
    case = answered(rig, Unavailable("throttle", "429", retry_after=timedelta(minutes=20)))
    rig.settle(case)
    look = rig.next_look(case)
    assert look is not None
    assert look - MORNING >= timedelta(minutes=20)


def test_the_next_provider_is_tried_at_once(make_app: MakeApp, tmp_path: Path) -> None:
    """With two providers the second takes the message at once when the first is unavailable."""
    environ = {"SENDGRID_API_KEY": "x", "SENDGRID_BASE_URL": "http://127.0.0.1:9", "SMTP_URL": "smtp://127.0.0.1:9"}
    rig = Rig(make_app(at=MORNING, speed=1, **environ))
    assert rig.app.providers.route("demo", "email").providers == ("sendgrid", "smtp")
    case = rig.open()
    for _ in range(2):
        rig.tick()
        rig.deliver(case)
    assert [(name, len(tap.messages)) for name, tap in rig.providers.taps.items()] == [("sendgrid", 1), ("smtp", 1)]
    look = rig.next_look(case)
    assert look is not None
    assert look - MORNING >= timedelta(seconds=59)


def test_a_message_given_back_goes_to_the_preferred_provider_again(make_app: MakeApp) -> None:
    """Nobody has called the first provider: its turn is not over."""
    environ = {"SENDGRID_API_KEY": "x", "SENDGRID_BASE_URL": "http://127.0.0.1:9", "SMTP_URL": "smtp://127.0.0.1:9"}
    rig = Rig(make_app(at=MORNING, speed=1, **environ))
    case = rig.open()
    rig.reserve(case)
    rig.app.client.hset(Keys("demo").paused, "all", "now")
    rig.deliver(case)
    rig.app.client.delete(Keys("demo").paused)
    rig.reserve(case)
    rig.deliver(case)
    assert [name for name, tap in rig.providers.taps.items() if tap.messages] == ["sendgrid"]


def test_uncertain_is_held_counted_and_never_sent_again(rig: Rig) -> None:
    """It may have gone: nothing more leaves for that case, however much time passes, until somebody settles it."""
    case = answered(rig, Uncertain("timeout"))
    rig.settle(case)
    rig.jump(MORNING + timedelta(days=40))
    rig.settle(case)
    assert len(rig.tap.messages) == 1
    assert uncertain_ones(rig) == [f"{case.id}.1"]
    assert rig.kinds(case)[-1] == "AttemptUncertain"
    assert len(rig.contacts(case)) == 1


@pytest.mark.parametrize(
    ("word", "kind"),
    [(Accepted("SM1"), "AttemptAccepted"), (Unavailable("down", "lost"), "AttemptUnavailable")],
)
def test_an_uncertain_message_is_settled_by_a_later_word(rig: Rig, word: Accepted | Unavailable, kind: str) -> None:
    """A receipt or a person settles it, once; the case goes on and it is counted no more."""
    case = answered(rig, Uncertain("timeout"))
    rig.settle(case)
    assert record(rig.app, f"{case.id}.1", word, rig.app.clock.now())
    assert not record(rig.app, f"{case.id}.1", Rejected("address", "late"), rig.app.clock.now())
    assert uncertain_ones(rig) == []
    assert rig.kinds(case)[-1] == kind
    assert rig.next_look(case) is not None


def test_what_a_provider_took_is_not_sent_again_by_a_store_that_forgot_the_call(rig: Rig, tmp_path: Path) -> None:
    """A replica without `begin` took over during the call: there it is reserved still, and its worker knows better."""
    case = rig.open()
    rig.reserve(case)
    keys, client = (Keys("demo").case(case.id), Keys("demo").history(case.id)), rig.app.client
    for key in keys:
        client.copy(key, f"{key}:copied")
    rig.tap.after = lambda: [client.copy(f"{key}:copied", key, replace=True) for key in keys]
    rig.deliver(case)
    rig.tap.after = lambda: None
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1
    assert rig.kinds(case) == ["CaseOpened", "AttemptReserved", "AttemptFound"]
    (send,) = rig.case(case.id).runs[0].sends
    assert (send.status, send.provider) == ("accepted", "outbox")


def test_a_receipt_before_the_record_is_not_undone(rig: Rig) -> None:
    """A receipt that overtakes the actor's own word stands, whatever the actor says after it."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.tap.before = lambda: record(rig.app, attempt, Accepted("by-receipt"), rig.app.clock.now())
    rig.tap.answers.append(Uncertain("timeout"))
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-1] == "AttemptAccepted"
    assert uncertain_ones(rig) == []
    (run,) = rig.case(case.id).runs
    assert run.sends[0].provider_id == "by-receipt"


def test_an_outcome_is_stored_on_whatever_version_is_there(rig: Rig) -> None:
    """Facts that arrive during the call do not cost its outcome."""
    case = rig.open()
    rig.reserve(case)

    def meanwhile() -> None:
        rig.take(fact("case_held", job_id="h", reason="manual", invoice="F-2026/001"))
        rig.open(job_id="more", invoices=[invoice("F-2", MORNING.date())])

    rig.tap.after = meanwhile
    rig.deliver(case)
    assert rig.kinds(case)[-1] == "AttemptAccepted"


def test_the_outcome_is_stored_even_if_nothing_can_be_decided(rig: Rig) -> None:
    """A configuration that lost the case's strategy during the call does not lose what the provider said."""
    case = rig.open()
    attempt = rig.reserve(case)

    def gone() -> None:
        rig.app.config = type(rig.app.config)(
            creditors=rig.app.config.creditors,
            strategies={},
            channels=rig.app.config.channels,
            providers=rig.app.config.providers,
            digest="another",
            folder=rig.app.config.folder,
        )

    rig.tap.after = gone
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-1] == "AttemptAccepted"
    assert rig.next_look(case) is not None


def test_a_task_for_a_debt_paid_meanwhile_is_accepted_and_not_opened(rig: Rig) -> None:
    """A payment between begin and record of a letter leaves no letter to write, and no call in doubt."""
    due = MORNING.date() - timedelta(days=15)
    case = rig.open(invoices__0__due_on=due.isoformat(), invoices__0__issued_on="2026-03-01", debtor__phone=PHONE)
    for _ in range(12):
        rig.settle(case, 2)
        look = rig.next_look(case)
        if rig.app.client.hlen(Keys("demo").tasks) or look is None:
            break
        rig.providers.get("task")
        rig.providers.taps["task"].before = rig.pay
        rig.jump(look)
    assert rig.app.client.hlen(Keys("demo").tasks) == 0
    assert "AttemptUncertain" not in rig.kinds(case)
    assert [s.status for run in rig.case(case.id).runs for s in run.sends if s.channel == "task"] == ["accepted"]


def test_a_provider_that_breaks_is_uncertain(rig: Rig) -> None:
    """An adapter that raises what it should not may have sent: uncertain at once, not when a lease runs out."""
    case = rig.open()

    def broken() -> Message:
        raise ConfigurationError("a fault of ours")

    rig.tap.before = broken
    rig.settle(case)
    assert rig.kinds(case)[-1] == "AttemptUncertain"
    assert uncertain_ones(rig) == [f"{case.id}.1"]


def test_a_task_is_not_opened_for_a_case_that_ended_meanwhile(rig: Rig) -> None:
    """Closed by upstream while the task was on its way: nobody is told to call."""
    case = rig.open(invoices__0__due_on="2026-03-10", history={"last_step": "second_call", "on": "2026-03-30"})
    rig.tick()
    rig.jump(MORNING + timedelta(days=9))
    attempt = rig.reserve(case)
    rig.providers.get("task").before = lambda: rig.take(fact("case_closed", case=case.id, reason="insolvency"))
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-1] == "AttemptAccepted"
    assert "TaskOpened" not in rig.kinds(case)
    assert rig.app.client.hlen(Keys("demo").tasks) == 0
