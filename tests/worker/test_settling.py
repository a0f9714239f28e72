"""What may have gone is settled: adopted where the provider has it, sent again where it surely has not, else held."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from channels.base import Accepted, ChannelError, Receipt, Rejected, Unavailable, Uncertain
from channels.sandbox import Fault, Listing, Sandbox
from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.events import AttemptAccepted, AttemptBegun, AttemptSought, AttemptUnavailable, AttemptUnsettled
from worker.dunning.fold import fold
from worker.dunning.model import Case, Send, attempt_id
from worker.explain import explain
from worker.inbound import receive
from worker.operations import settle as settle_by_hand
from worker.outcomes import record

from .config_copy import B2B, CHANNELS, Copy
from .payloads import reminder
from .rig import MORNING, NUMBER, Crash, Later, Rig, outbox

PHONE = "+33639980001"
#: The third step of `b2b` is an SMS, the fourth a call: cases that people brought so far begin there.
TO_SMS: dict[str, Any] = {
    "history": {"last_step": "first_reminder", "on": "2026-03-25"},
    "invoices__0__due_on": "2026-03-20",
}
TO_CALL: dict[str, Any] = {
    "history": {"last_step": "sms_reminder", "on": "2026-03-25"},
    "invoices__0__due_on": "2026-03-20",
}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due; the outbox takes everything."""
    return Rig(make_app(at=MORNING, speed=1))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Providers that can be asked."""
    with Sandbox(log=tmp_path / "log") as sandbox:
        yield sandbox


@pytest.fixture
def twilio(make_app: MakeApp, sandbox: Sandbox) -> Rig:
    """The same morning, SMS and calls going to Twilio."""
    return Rig(make_app(at=MORNING, speed=1, **account(sandbox)))


def account(sandbox: Sandbox) -> dict[str, str]:
    """The variables of an account there."""
    return {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t", "TWILIO_BASE_URL": sandbox.twilio_url}


def die() -> None:
    """The process ends here."""
    raise Crash


def crash_after_the_call(rig: Rig, case: Case) -> None:
    """The message is taken, and its worker dies before it can say so; the lease runs out."""
    rig.reserve(case)
    rig.tap.after = die
    with pytest.raises(Crash):
        rig.deliver(case)
    rig.tap.after = lambda: None
    rig.wait(5 * MINUTE)


def last(rig: Rig, case: Case) -> Send:
    """The latest message."""
    return rig.case(case.id).runs[-1].sends[-1]


def of_kind(rig: Rig, case: Case, kind: type) -> list[Any]:
    """Its events of that kind."""
    return [event for event in rig.history(case) if isinstance(event, kind)]


# ---- it went


def test_a_message_whose_worker_died_is_adopted_from_the_providers_list(rig: Rig, tmp_path: Path) -> None:
    """It went, its worker died before saying so: the list has it, nobody is asked, and it is not sent again."""
    case = rig.open()
    crash_after_the_call(rig, case)
    rig.go_on(case)
    assert last(rig, case).status == "accepted"
    assert [event.by for event in of_kind(rig, case, AttemptAccepted)] == ["list"]
    assert len(outbox(tmp_path)) == 1
    assert rig.app.client.zcard(Keys("demo").uncertain) == 0


def test_an_sms_whose_answer_was_lost_is_found_by_its_reference(twilio: Rig, sandbox: Sandbox) -> None:
    """Taken, and the connection cut: after three minutes without a receipt Twilio is asked, and its id is ours."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    case = twilio.open(debtor__phone=PHONE, **TO_SMS)
    twilio.go_on(case)
    assert last(twilio, case).status == "uncertain"
    twilio.wait(4 * MINUTE)
    twilio.go_on(case)
    (taken,) = [each for each in sandbox.accepted() if each["channel"] == "sms"]
    assert (last(twilio, case).status, last(twilio, case).provider_id) == ("accepted", taken["id"])


def test_nobody_is_asked_before_a_receipt_had_its_time(twilio: Rig, sandbox: Sandbox, tmp_path: Path) -> None:
    """Three minutes are a receipt's: until then no list is read, and the case says when one will be."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    case = twilio.open(debtor__phone=PHONE, **TO_SMS)
    twilio.go_on(case)
    twilio.wait(2 * MINUTE)
    twilio.go_on(case)
    assert "GET" not in [each.get("method") for each in log_of(tmp_path)]
    seen = twilio.app.cases.see(case.id)
    assert seen is not None
    found = explain(twilio.app, seen, twilio.app.clock.now())
    assert (found.state, found.at) == ("held", last(twilio, case).settle_at)
    assert "its provider is asked then" in found.why


def log_of(folder: Path) -> list[dict[str, Any]]:
    """What the sandbox saw."""
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_it_is_looked_for_where_it_was_sent_to(twilio: Rig, sandbox: Sandbox) -> None:
    """Upstream corrected the number meanwhile: the list is asked for the old one, which the message went to."""
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    case = twilio.open(debtor__phone=PHONE, **TO_SMS)
    twilio.go_on(case)
    twilio.take(reminder(job_id="j-9", debtor__phone="+33639980009", as_of="2026-04-01T10:00:00+02:00"))
    twilio.wait(4 * MINUTE)
    twilio.go_on(case)
    assert last(twilio, case).status == "accepted"
    assert len(sandbox.accepted()) == 1


def test_a_call_is_found_by_who_called_whom_and_when(twilio: Rig, sandbox: Sandbox) -> None:
    """A list tells nothing else of a call; one that is accounted for, or that came before, is not it."""
    neighbour = twilio.open(job_id="n", debtor__id="D-2", invoices__0__number="F-2", debtor__phone=PHONE, **TO_CALL)
    twilio.go_on(neighbour)
    sandbox.fault(Fault("accept_then_drop", channel="voice", times=1))
    case = twilio.open(debtor__phone=PHONE, **TO_CALL)
    twilio.go_on(case)
    assert last(twilio, case).status == "uncertain"
    twilio.wait(4 * MINUTE)
    twilio.go_on(case)
    first, second = (each for each in sandbox.accepted() if each["channel"] == "voice")
    assert last(twilio, neighbour).provider_id == first["id"]
    assert last(twilio, case).provider_id == second["id"]


@pytest.mark.parametrize("wrong", [timedelta(minutes=2), timedelta(minutes=-2)], ids=["fast", "slow"])
def test_a_clock_that_is_set_right_after_a_lost_answer_doubles_nothing(
    twilio: Rig, sandbox: Sandbox, wrong: timedelta
) -> None:
    """Two minutes wrong when an SMS and a call went, right when they are looked for: the one is found by its reference;
    of the other a person is asked, since a call of about that time may be it.
    """
    right = twilio.app.clock
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    sandbox.fault(Fault("accept_then_drop", channel="voice", times=1))
    cases = [
        twilio.open(debtor__phone=PHONE, **TO_SMS),
        twilio.open(job_id="c", debtor__id="D-2", invoices__0__number="F-2", debtor__phone="+33639980002", **TO_CALL),
    ]
    twilio.app.clock = Later(right, wrong)
    for case in cases:
        twilio.go_on(case, 2)
    twilio.app.clock = right
    for wait in (6, 12, 3):
        twilio.wait(wait * MINUTE)
        for case in cases:
            twilio.go_on(case)
    assert [last(twilio, case).status for case in cases] == ["accepted", "uncertain"]
    assert [event.why for event in of_kind(twilio, cases[1], AttemptUnsettled)] == ["clocks"]
    assert sorted(each["channel"] for each in sandbox.accepted()) == ["sms", "voice"]


# ---- it surely did not


def test_what_never_went_is_sent_again_as_a_new_attempt(rig: Rig, tmp_path: Path) -> None:
    """The outbox's own file proves it: the same message, another attempt, once."""
    rig.tap.answers.append(Uncertain("RemoteDisconnected"))
    case = rig.open()
    rig.go_on(case)
    assert last(rig, case).status == "uncertain"
    rig.wait(4 * MINUTE)
    rig.go_on(case)
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert [line["attempt"] for line in outbox(tmp_path)] == [attempt_id(case, 2)]
    assert len({message.id for message in rig.tap.messages}) == 1
    assert len(rig.contacts(case)) == 1


def test_an_absence_counts_once_it_was_seen_twice_the_second_time_long_after_the_call(
    twilio: Rig, sandbox: Sandbox
) -> None:
    """Lists lag behind: not in it after three minutes is no proof; nor a minute before ten past the call's bound."""
    sandbox.fault(Fault("drop", channel="sms", times=1))
    case = twilio.open(debtor__phone=PHONE, **TO_SMS)
    twilio.go_on(case)
    twilio.wait(4 * MINUTE)
    twilio.go_on(case)
    (sought,) = of_kind(twilio, case, AttemptSought)
    begun = last(twilio, case).begun
    assert begun is not None
    assert last(twilio, case).status == "uncertain"
    twilio.wait(5 * MINUTE)
    twilio.go_on(case)
    assert len(of_kind(twilio, case, AttemptSought)) == 1
    assert sandbox.accepted() == []
    twilio.wait(2 * MINUTE)
    twilio.go_on(case)
    (unavailable,) = of_kind(twilio, case, AttemptUnavailable)
    assert (unavailable.by, unavailable.code, unavailable.possible_copy) == ("list", "absent", False)
    assert unavailable.at - sought.at >= 6 * MINUTE
    twilio.wait(2 * MINUTE)
    twilio.go_on(case)
    assert [each["attempt"] for each in sandbox.accepted()] == [""]  # no PUBLIC_URL, so no address that bears it
    assert last(twilio, case).attempt == 2


# ---- nobody can tell


@pytest.fixture
def mail(make_app: MakeApp, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Email by SMTP, which has no list; sent again after an hour."""
    copy = Copy(tmp_path_factory.mktemp("config"))
    copy.edit(CHANNELS, "providers: [sendgrid, smtp]", "providers: [smtp]\n    on_uncertain: resend_after 1h")
    return Rig(make_app(at=MORNING, speed=1, config=copy.folder, SMTP_URL=sandbox.smtp_url))


def test_where_nobody_can_tell_it_is_held_with_an_event(make_app: MakeApp, sandbox: Sandbox) -> None:
    """SMTP broke off after the body: no list to read. The case is held for a person, and its stream says so."""
    rig = Rig(make_app(at=MORNING, speed=1, SMTP_URL=sandbox.smtp_url))
    sandbox.fault(Fault("accept_then_drop", channel="email", times=1))
    case = rig.open()
    rig.go_on(case)
    rig.wait(4 * MINUTE)
    rig.go_on(case)
    (unsettled,) = of_kind(rig, case, AttemptUnsettled)
    assert (unsettled.why, unsettled.settle_at) == ("no_list", None)
    rig.wait(timedelta(days=30))
    rig.go_on(case)
    assert len(sandbox.accepted()) == 1
    assert rig.next_look(case) is None
    assert rig.app.client.zcard(Keys("demo").uncertain) == 1
    assert settle_by_hand(rig.app, attempt_id(case, 1), went=True, by="ana")
    assert last(rig, case).status == "accepted"


def test_what_is_sent_again_all_the_same_is_a_possible_copy_and_counted(mail: Rig, sandbox: Sandbox) -> None:
    """`resend_after 1h`: not before, and then it is named as what it may be; the Message-ID is the same."""
    sandbox.fault(Fault("accept_then_drop", channel="email", times=1))
    case = mail.open()
    mail.go_on(case)
    mail.wait(timedelta(minutes=55))
    mail.go_on(case)
    assert len(sandbox.accepted()) == 1
    mail.wait(6 * MINUTE)
    mail.go_on(case)
    mail.wait(2 * MINUTE)
    mail.go_on(case)
    first, second = sandbox.accepted()
    assert first["message_id"] == second["message_id"]
    assert [event.possible_copy for event in of_kind(mail, case, AttemptUnavailable)] == [True]
    assert [getattr(event, "possible_copy", None) for event in mail.history(case)].count(True) == 2
    assert mail.app.client.hget(Keys("demo").counters, "possible_copies") == "1"


@pytest.fixture
def short(make_app: MakeApp, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Rig]:
    """An account at Twilio that keeps its records for three days."""

    def make(rules: str = "") -> Rig:
        copy = Copy(tmp_path_factory.mktemp("config"))
        copy.edit(CHANNELS, "kind: twilio_sms", "kind: twilio_sms\n    list_days: 3")
        copy.edit(CHANNELS, "providers: [twilio_sms]", f"providers: [twilio_sms]{rules}")
        return Rig(make_app(at=MORNING, speed=1, config=copy.folder, **account(sandbox)))

    return make


def lost_for(rig: Rig, days: int) -> Case:
    """An SMS whose answer was lost, and nobody ran for so many days; then everybody goes on for a while."""
    case = rig.open(debtor__phone=PHONE, **TO_SMS)
    rig.go_on(case)
    assert last(rig, case).status == "uncertain"
    rig.wait(timedelta(days=days))
    for _ in range(4):
        rig.go_on(case)
        rig.wait(2 * MINUTE)
    return case


def test_what_is_older_than_the_list_is_held_and_not_taken_for_not_sent(
    short: Callable[..., Rig], sandbox: Sandbox
) -> None:
    """It went six days ago, and its record is gone from a list of three: a person is asked, and nothing leaves."""
    rig = short()
    sandbox.fault(Fault("accept_then_drop", channel="sms", times=1))
    sandbox.list_late(Listing(channel="sms", seconds=10**6))
    case = lost_for(rig, 6)
    (unsettled,) = of_kind(rig, case, AttemptUnsettled)
    assert (unsettled.why, unsettled.settle_at) == ("too_old", None)
    assert of_kind(rig, case, AttemptUnavailable) == []
    assert len(sandbox.accepted()) == 1


def test_what_is_older_than_the_list_may_be_sent_as_a_possible_copy(
    short: Callable[..., Rig], sandbox: Sandbox
) -> None:
    """`resend_after` is what is done where nobody can tell, and it is named as what it may be."""
    rig = short("\n    on_uncertain: resend_after 1h")
    sandbox.fault(Fault("drop", channel="sms", times=1))
    case = lost_for(rig, 6)
    assert [(event.by, event.possible_copy) for event in of_kind(rig, case, AttemptUnavailable)] == [
        ("resend_after", True)
    ]
    assert len(sandbox.accepted()) == 1


@pytest.mark.parametrize(
    ("fault", "days", "by"),
    [("accept_then_drop", 6, "list"), ("accept_then_drop", 2, "list"), ("drop", 2, "")],
    ids=["there though old", "there", "absent from where it would be"],
)
def test_a_list_is_believed_as_far_as_it_reaches(
    short: Callable[..., Rig], sandbox: Sandbox, fault: Any, days: int, by: str
) -> None:
    """What it has is adopted, however old; what it would have and has not is sent, once."""
    rig = short()
    sandbox.fault(Fault(fault, channel="sms", times=1))
    case = lost_for(rig, days)
    assert [event.by for event in of_kind(rig, case, AttemptAccepted)][:1] == [by]
    assert len([each for each in sandbox.accepted() if each["channel"] == "sms"]) == 1


# ---- a try that was given up went after all


@pytest.fixture
def given_up(rig: Rig) -> Case:
    """A case whose only try was uncertain, and which a person said had not gone."""
    rig.tap.answers.append(Uncertain("timeout"))
    case = rig.open()
    rig.go_on(case)
    assert settle_by_hand(rig.app, attempt_id(case, 1), went=False, by="ana")
    return case


def late_receipt(case: Case) -> Receipt:
    """The first try arrived."""
    return Receipt(attempt_id(case, 1), "delivered", "sendgrid", "", "sg-1")


@pytest.mark.parametrize("reserved", [False, True], ids=["not yet decided again", "reserved again"])
def test_a_try_that_reappears_before_it_was_made_good_is_not_repeated(
    rig: Rig, given_up: Case, tmp_path: Path, reserved: bool
) -> None:
    """Its receipt comes late: nobody has called again, so the reservation is given back and nothing more leaves."""
    rig.wait(2 * MINUTE)
    if reserved:
        rig.reserve(given_up)
    else:
        rig.tap.before = lambda: pytest.fail("called again")
    assert receive(rig.app, late_receipt(given_up))
    assert not receive(rig.app, late_receipt(given_up))
    rig.go_on(given_up)
    send = last(rig, given_up)
    assert (send.status, send.attempt, send.receipt, send.provider_id) == ("accepted", 1, "delivered", "sg-1")
    assert outbox(tmp_path) == []
    assert len(rig.contacts(given_up)) == 1


def test_a_try_that_reappears_after_it_was_made_good_is_told_and_counted(rig: Rig, given_up: Case) -> None:
    """The debtor got it twice: said aloud, once, and counted."""
    rig.wait(2 * MINUTE)
    rig.go_on(given_up)
    with structlog.testing.capture_logs() as logged:
        receive(rig.app, late_receipt(given_up))
        receive(rig.app, late_receipt(given_up))
    assert [line["event"] for line in logged].count("message.repeated") == 1
    assert rig.app.client.hget(Keys("demo").counters, "copies") == "1"
    assert last(rig, given_up).copies == 1


def gone(rig: Rig, case: Case) -> tuple[str, int, int]:
    """How the message stands, by which attempt, and how often the debtor got it besides."""
    send = last(rig, case)
    return send.status, send.attempt, send.copies


@pytest.mark.parametrize(
    "answer", [Unavailable("throttle", "429"), Uncertain("ReadTimeout"), Rejected("address", "550")]
)
def test_a_try_that_reappears_while_another_is_under_way_is_the_last(
    rig: Rig, given_up: Case, tmp_path: Path, answer: ChannelError
) -> None:
    """The second does not arrive: the first is what was said. No third goes, and nobody is told of a copy."""
    rig.wait(2 * MINUTE)
    rig.reserve(given_up)
    rig.tap.answers.append(answer)
    rig.tap.before = lambda: receive(rig.app, late_receipt(given_up))
    with structlog.testing.capture_logs() as logged:
        rig.deliver(given_up)
        rig.tap.before = lambda: pytest.fail("called again")
        for _ in range(4):
            rig.wait(timedelta(minutes=40))
            rig.go_on(given_up)
    assert gone(rig, given_up) == ("accepted", 1, 0)
    assert outbox(tmp_path) == []
    assert len(rig.contacts(given_up)) == 1
    assert "message.repeated" not in [line["event"] for line in logged]
    assert fold(None, rig.history(given_up)) == rig.case(given_up.id)


def test_a_try_that_reappears_while_another_is_under_way_is_a_copy_once_that_went(rig: Rig, given_up: Case) -> None:
    """The second answers that it was taken, after the receipt of the first: only then was it said twice."""
    rig.wait(2 * MINUTE)
    rig.reserve(given_up)
    rig.tap.before = lambda: receive(rig.app, late_receipt(given_up))
    with structlog.testing.capture_logs() as logged:
        rig.tap.after = lambda: logged.append({"event": "taken"})
        rig.deliver(given_up)
    told = [line["event"] for line in logged if line["event"] in ("taken", "message.repeated")]
    assert told == ["taken", "message.repeated"]
    assert gone(rig, given_up) == ("accepted", 1, 1)
    assert rig.app.client.hget(Keys("demo").counters, "copies") == "1"
    assert fold(None, rig.history(given_up)) == rig.case(given_up.id)


def test_a_try_that_reappears_ends_the_doubt_about_the_one_after_it(mail: Rig, sandbox: Sandbox) -> None:
    """SMTP lost two answers, and `resend_after` would send a third: the receipt of the first says enough."""
    sandbox.fault(Fault("accept_then_drop", channel="email", times=2))
    case = mail.open()
    mail.go_on(case)
    for minutes in (62, 2):
        mail.wait(minutes * MINUTE)
        mail.go_on(case)
    assert (len(sandbox.accepted()), last(mail, case).status) == (2, "uncertain")
    assert receive(mail.app, late_receipt(case))
    assert mail.app.client.zcard(Keys("demo").uncertain) == 0
    for _ in range(3):
        mail.wait(62 * MINUTE)
        mail.go_on(case)
    assert len(sandbox.accepted()) == 2
    assert gone(mail, case) == ("accepted", 1, 0)
    assert receive(mail.app, replace(late_receipt(case), attempt=attempt_id(case, 2)))
    assert gone(mail, case) == ("accepted", 1, 1)


@pytest.mark.parametrize("meanwhile", ["nothing", "reserved again", "sent again"])
def test_a_worker_that_returns_after_its_try_was_given_up_is_heard(rig: Rig, tmp_path: Path, meanwhile: str) -> None:
    """Cut off from the store with the provider's yes in hand, while a person said that it had not gone."""
    case = rig.open()
    crash_after_the_call(rig, case)
    rig.tick()
    assert settle_by_hand(rig.app, attempt_id(case, 1), went=False, by="ana")
    rig.wait(2 * MINUTE)
    if meanwhile != "nothing":
        rig.reserve(case)
    if meanwhile == "sent again":
        rig.deliver(case)
    with structlog.testing.capture_logs() as logged:
        assert record(rig.app, attempt_id(case, 1), Accepted("P-1"), rig.app.clock.now())
        assert not record(rig.app, attempt_id(case, 1), Accepted("P-1"), rig.app.clock.now())
    rig.go_on(case)
    twice = meanwhile == "sent again"
    assert len(outbox(tmp_path)) == 1 + twice
    assert gone(rig, case) == ("accepted", 1 + twice, twice)
    assert [line["event"] for line in logged].count("message.repeated") == twice
    assert (last(rig, case).provider, last(rig, case).provider_id == "P-1") == ("outbox", not twice)
    assert len(rig.contacts(case)) == 1
    assert fold(None, rig.history(case)) == rig.case(case.id)


def test_a_task_that_was_given_up_was_not_opened_whoever_returns(make_app: MakeApp, tmp_path: Path) -> None:
    """What a person is to do is written down nowhere but here: it is opened by the try that stands."""
    copy = Copy(tmp_path / "config")
    for _ in range(2):  # the courtesy, and the first reminder
        copy.edit(B2B, "channel: email", "channel: task")
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    case = rig.open()
    rig.providers.get("task").answers.append(Uncertain("lost"))
    rig.go_on(case)
    assert settle_by_hand(rig.app, attempt_id(case, 1), went=False, by="ana")
    assert not record(rig.app, attempt_id(case, 1), Accepted("t"), rig.app.clock.now())
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert rig.case(case.id).tasks == (attempt_id(case, 2),)


def test_a_receipt_that_is_repeated_is_no_copy(twilio: Rig) -> None:
    """A call that had been given up rang in vain, and is made again: what was said of the first says no more."""
    case = twilio.open(debtor__phone=PHONE, **TO_CALL)
    twilio.providers.get("twilio_voice").answers.append(Uncertain("timeout"))
    twilio.go_on(case)
    assert settle_by_hand(twilio.app, attempt_id(case, 1), went=False, by="ana")
    rang = Receipt(attempt_id(case, 1), "unanswered", "twilio", "no-answer", "CA" + "1" * 32)
    assert receive(twilio.app, rang)
    for _ in range(4):
        twilio.wait(timedelta(hours=1))
        twilio.tick()
    (again,) = twilio.reserved(case)
    with structlog.testing.capture_logs() as logged:
        assert not receive(twilio.app, rang)
        assert twilio.reserved(case) == [again]
        twilio.deliver(case)
        assert not receive(twilio.app, rang)
    assert gone(twilio, case) == ("accepted", 2, 0)
    assert "message.repeated" not in [line["event"] for line in logged]


def test_a_possible_copy_stays_one_until_it_went(mail: Rig, sandbox: Sandbox) -> None:
    """The resend is turned away once: the one that goes in its place is as much a possible copy."""
    sandbox.fault(Fault("accept_then_drop", channel="email", times=1))
    case = mail.open()
    mail.go_on(case)
    mail.wait(62 * MINUTE)
    mail.go_on(case)
    mail.providers.get("smtp").answers.append(Unavailable("down", "451"))
    for _ in range(2):
        mail.wait(6 * MINUTE)
        mail.go_on(case)
    assert [event.possible_copy for event in of_kind(mail, case, AttemptBegun)] == [False, True, True]
    assert (len(sandbox.accepted()), last(mail, case).possible_copy) == (2, False)


def test_the_last_look_and_a_late_receipt_do_not_both_win(rig: Rig, given_up: Case, tmp_path: Path) -> None:
    """The receipt arrives between rendering and `begin`: the version has moved, and nothing is called."""
    rig.wait(2 * MINUTE)
    rig.reserve(given_up)
    rig.providers.got = lambda: receive(rig.app, late_receipt(given_up))
    rig.deliver(given_up)
    assert outbox(tmp_path) == []
    assert last(rig, given_up).attempt == 1


def test_a_case_paid_meanwhile_is_settled_all_the_same(rig: Rig) -> None:
    """Paid while a message was in doubt: the list is read, so that nobody has to look at it by hand."""
    case = rig.open()
    crash_after_the_call(rig, case)
    rig.tick()
    rig.pay()
    rig.go_on(case)
    assert rig.case(case.id).ended
    assert last(rig, case).status == "accepted"
    assert rig.app.client.zcard(Keys("demo").uncertain) == 0
    assert rig.case(case.id).invoice(NUMBER)
