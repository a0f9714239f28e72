"""A payment, a hold or a closure reaches into the provider: what has not left yet does not leave."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Receipt, Unavailable
from channels.sandbox import Fault, Reaction, Sandbox
from tests.channels.sandbox.clients import twilio_client
from tests.conftest import MakeApp
from worker.asking import AGAIN
from worker.commit import Keys
from worker.dunning.events import AttemptRecalled, RecallRefused
from worker.dunning.model import Case, attempt_id
from worker.inbound import receive
from worker.operations import pause, resume

from .config_copy import CHANNELS, Copy
from .payloads import fact
from .programs import until
from .rig import MORNING, Rig
from .test_settling import PHONE, TO_CALL, TO_SMS, account, of_kind

#: What stops the ladder, and the fields of the job that says so.
STOPS: dict[str, dict[str, Any]] = {
    "payment_received": {"invoice": "F-2026/001", "amount": "1200.50", "currency": "EUR"},
    "case_held": {"reason": "dispute", "invoice": "F-2026/001"},
    "case_closed": {"reason": "cancelled", "invoice": "F-2026/001"},
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A provider whose queue of calls is long."""
    with Sandbox(reactions=[Reaction(channel="voice", seconds=600)]) as sandbox:
        yield sandbox


@pytest.fixture
def rig(make_app: MakeApp, sandbox: Sandbox) -> Rig:
    """A morning; calls go to that provider, and report to a door that nobody serves."""
    return Rig(make_app(at=MORNING, speed=1, PUBLIC_URL="http://127.0.0.1:9", **account(sandbox)))


def queued(rig: Rig, sandbox: Sandbox) -> Case:
    """A case whose call waits in the provider's queue."""
    case = rig.open(debtor__phone=PHONE, **TO_CALL)
    rig.go_on(case)
    assert status_of(rig, case, sandbox) == "queued"
    return case


def status_of(rig: Rig, case: Case, sandbox: Sandbox) -> str:
    """What the provider says of the latest call."""
    calls = twilio_client(sandbox.twilio_url).calls
    return str(calls(rig.case(case.id).runs[-1].sends[-1].provider_id).fetch().status)


@pytest.mark.parametrize("kind", STOPS)
def test_a_call_that_waits_at_the_provider_is_cancelled(rig: Rig, sandbox: Sandbox, kind: str) -> None:
    """Paid, held or closed: the phone does not ring, and it was no contact."""
    case = queued(rig, sandbox)
    rig.take(fact(kind, job_id="stop", **STOPS[kind]), MORNING)
    rig.go_on(case)
    assert status_of(rig, case, sandbox) == "canceled"
    assert len(of_kind(rig, case, AttemptRecalled)) == 1
    assert all(contact.endswith("|by_hand") for contact in rig.contacts(case))
    receive(rig.app, Receipt(attempt_id(case, 1), "unanswered", "twilio", "canceled"))
    assert rig.case(case.id).runs[-1].sends[-1].missed == 0


def test_what_was_called_back_goes_once_the_case_may_be_chased_again(rig: Rig, sandbox: Sandbox) -> None:
    """A hold that is lifted lets the call be placed anew; nothing is skipped because it was cancelled."""
    case = queued(rig, sandbox)
    rig.take(fact("case_held", job_id="stop", case=case.id, reason="manual"), MORNING)
    rig.go_on(case)
    rig.take(fact("case_released", job_id="go", case=case.id, reason="manual"), MORNING)
    rig.go_on(case)
    assert len(sandbox.accepted()) == 2
    assert status_of(rig, case, sandbox) == "queued"


def test_a_repeat_whose_first_answer_was_lost_is_a_cancelled_call_too(rig: Rig, sandbox: Sandbox) -> None:
    """The worker dies after the provider cancelled: asked again, it is known to be cancelled."""
    case = queued(rig, sandbox)
    sid = rig.case(case.id).runs[-1].sends[-1].provider_id
    assert rig.providers.get("twilio_voice").recall(sid)
    assert rig.providers.get("twilio_voice").recall(sid)


def test_a_call_that_is_over_is_too_late(make_app: MakeApp) -> None:
    """Its receipts being late, the provider is asked, and says no; the message stands as it was."""
    with Sandbox() as sandbox:
        rig = Rig(make_app(at=MORNING, speed=1, PUBLIC_URL="http://127.0.0.1:9", **account(sandbox)))
        case = rig.open(debtor__phone=PHONE, **TO_CALL)
        rig.go_on(case)
        until(lambda: status_of(rig, case, sandbox) == "completed")
        rig.pay()
        rig.go_on(case)
        assert len(of_kind(rig, case, RecallRefused)) == 1
        assert rig.case(case.id).runs[-1].sends[-1].status == "accepted"


def test_what_is_known_to_have_left_is_not_called_back(rig: Rig, sandbox: Sandbox) -> None:
    """A receipt says that somebody picked up: nobody asks the provider for anything."""
    case = queued(rig, sandbox)
    receive(rig.app, Receipt(attempt_id(case, 1), "answered", "twilio", "in-progress"))
    rig.pay()
    rig.go_on(case)
    assert status_of(rig, case, sandbox) == "queued"
    assert not of_kind(rig, case, RecallRefused)


def test_an_sms_that_has_left_stays_as_it_is(make_app: MakeApp) -> None:
    """Twilio cancels scheduled messages alone: the SMS went, and stays a contact."""
    with Sandbox() as sandbox:
        rig = Rig(make_app(at=MORNING, speed=1, **account(sandbox)))
        case = rig.open(debtor__phone=PHONE, **TO_SMS)
        rig.go_on(case)
        rig.pay()
        rig.go_on(case)
        assert len(of_kind(rig, case, RecallRefused)) == 1
        assert len(rig.contacts(case)) == 2  # with the one that people made


def test_a_provider_that_is_down_is_told_again(rig: Rig, sandbox: Sandbox, make_app: MakeApp) -> None:
    """Cancelling fails while it is away, and works when it is back: the case has its next look meanwhile."""
    case = queued(rig, sandbox)
    away = Rig(
        make_app(PUBLIC_URL="http://127.0.0.1:9", **account(sandbox) | {"TWILIO_BASE_URL": "http://127.0.0.1:9"})
    )
    rig.pay()
    rig.tick()
    away.ask(case)  # what the scheduler put into the queue
    look = rig.next_look(case)
    assert look is not None
    assert look - rig.app.clock.now() <= timedelta(seconds=11)
    rig.wait(timedelta(seconds=12))
    rig.go_on(case)
    assert status_of(rig, case, sandbox) == "canceled"


def test_a_provider_that_keeps_nothing_back_is_not_asked(make_app: MakeApp, tmp_path: Path) -> None:
    """The outbox has no queue: one line in the history says that it was too late, and that is all."""
    copy = Copy(tmp_path / "config")
    copy.edit(CHANNELS, "providers: [twilio_sms]", "providers: [outbox]")
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    rig.pay()
    rig.go_on(case)
    assert len(of_kind(rig, case, RecallRefused)) == 1
    assert rig.app.client.zcard(Keys("demo").in_flight) == 0


def test_a_pause_of_everything_does_not_keep_a_payment_from_the_provider(rig: Rig, sandbox: Sandbox) -> None:
    """The stop button keeps what is here from leaving; what waits at the provider is called back all the same."""
    case = queued(rig, sandbox)
    pause(rig.app, ["demo"], "all", everywhere=True)
    rig.pay()
    rig.wait(AGAIN)
    rig.go_on(case)
    assert status_of(rig, case, sandbox) == "canceled"
    assert rig.case(case.id).ended is None
    assert rig.app.client.zcard(Keys("demo").queued) == 0
    resume(rig.app, ["demo"], "all", everywhere=True)
    rig.go_on(case)
    assert rig.case(case.id).ended


def rig_that_calls(make_app: MakeApp, sandbox: Sandbox, tmp_path: Path, channels: str) -> Rig:
    """As `rig`, its call's step going out on other channels too."""
    copy = Copy(tmp_path / "config")
    copy.edit("strategies/b2b.yaml", "channel: voice", f"channels: {channels}")
    return Rig(make_app(at=MORNING, speed=1, config=copy.folder, PUBLIC_URL="http://127.0.0.1:9", **account(sandbox)))


def test_a_doubt_does_not_keep_a_call_from_being_called_back(
    make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    """An SMS of the same step is in doubt, and its list cannot be read for hours: the phone does not ring meanwhile."""
    rig = rig_that_calls(make_app, sandbox, tmp_path, "[sms, voice]")
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    sandbox.fault(Fault("500", channel="sms", on="list"))
    case = rig.open(debtor__phone=PHONE, **TO_CALL)
    rig.go_on(case)
    rig.wait(timedelta(minutes=4))
    rig.go_on(case)
    rig.pay()
    rig.go_on(case)
    (called_back,) = of_kind(rig, case, AttemptRecalled)
    statuses = {send.channel: send.status for send in rig.case(case.id).runs[-1].sends}
    assert (called_back.attempt, statuses["sms"]) == (2, "uncertain")


def test_a_call_of_a_step_begun_days_ago_is_called_back_too(
    make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It counts how long the call has waited, not since when its step is being said by other channels."""
    rig = rig_that_calls(make_app, sandbox, tmp_path, "[email, voice]")
    later = Unavailable("throttle", "429", retry_after=timedelta(hours=23))
    rig.providers.get("twilio_voice").answers += [later]
    case = rig.open(debtor__phone=PHONE, **TO_CALL)
    rig.go_on(case)
    for _ in range(9):
        rig.wait(timedelta(hours=3))
        rig.go_on(case)
    rig.pay()
    rig.go_on(case)
    assert len(of_kind(rig, case, AttemptRecalled)) == 1


def test_a_scheduled_sms_is_cancelled(rig: Rig, sandbox: Sandbox) -> None:
    """One that a person scheduled, or a later version of ours: while it waits there it can be kept from leaving."""
    to_come = datetime.now(UTC) + timedelta(hours=1)
    fields = {"messaging_service_sid": "MG" + "0" * 32, "send_at": to_come, "schedule_type": "fixed"}
    made = twilio_client(sandbox.twilio_url).messages.create(to=PHONE, body="Bonjour", **fields)
    assert rig.providers.get("twilio_sms").recall(made.sid)
    assert twilio_client(sandbox.twilio_url).messages(made.sid).fetch().status == "canceled"
