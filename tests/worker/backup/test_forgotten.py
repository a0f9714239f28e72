"""An older backup is read in: what was sent since is found where it was sent, and does not leave again."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Receipt, Unavailable
from channels.sandbox import Fault, Listing, Reaction, Sandbox
from tests.conftest import MakeApp
from tests.worker.config_copy import CHANNELS, Copy
from tests.worker.payloads import reminder
from tests.worker.rig import MORNING, Rig, outbox
from worker.dunning.events import AttemptFound, AttemptReleased, AttemptUncertain, CaseRestored, ReceiptArrived
from worker.dunning.model import Case, Send, attempt_id
from worker.inbound import receive
from worker.operations import settle, uncertain_attempts

from .kit import backup, go_back

PHONE = "+33639980001"
#: Cases that people brought so far begin with an SMS, or a call.
TO_SMS: dict[str, Any] = {
    "history": {"last_step": "first_reminder", "on": "2026-03-25"},
    "invoices__0__due_on": "2026-03-20",
    "debtor__phone": PHONE,
}
TO_CALL: dict[str, Any] = {**TO_SMS, "history": {"last_step": "sms_reminder", "on": "2026-03-25"}}
#: SendGrid can be asked, and its additional history was bought.
ACTIVITY = "kind: sendgrid_email\n    email_activity: true\n    activity_days: 30"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due; the outbox takes everything."""
    return Rig(make_app(at=MORNING, speed=1))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Providers that can be asked, but for the SMTP host."""
    with Sandbox(log=tmp_path / "log", email_activity=True) as sandbox:
        yield sandbox


@pytest.fixture
def providers(make_app: MakeApp, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Rig]:
    """The same morning, with these variables beside those of Twilio and SendGrid."""

    def make(edits: Sequence[tuple[str, str]] = (), **environ: str) -> Rig:
        copy = Copy(tmp_path_factory.mktemp("config"))
        for old, new in edits:
            copy.edit(CHANNELS, old, new)
        if not edits:
            copy.edit(CHANNELS, "kind: sendgrid_email", ACTIVITY)
        environ |= {
            "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
            "TWILIO_AUTH_TOKEN": "t",
            "TWILIO_BASE_URL": sandbox.twilio_url,
        }
        return Rig(make_app(at=MORNING, speed=1, config=copy.folder, **environ))

    return make


def sendgrid(sandbox: Sandbox) -> dict[str, str]:
    """The variables of an account there."""
    return {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": sandbox.sendgrid_url}


def last(rig: Rig, case: Case) -> Send:
    """The latest message."""
    return rig.case(case.id).runs[-1].sends[-1]


def of_kind(rig: Rig, case: Case, kind: type) -> list[Any]:
    """Its events of that kind."""
    return [event for event in rig.history(case) if isinstance(event, kind)]


# ---- its provider has it


@pytest.mark.parametrize(
    ("changes", "channel", "then"),
    [({"debtor__phone": PHONE}, "email", "sms"), (TO_SMS, "sms", "voice"), (TO_CALL, "voice", "email")],
    ids=["email", "sms", "call"],
)
def test_what_went_since_is_found_and_the_ladder_goes_on(
    providers: Callable[..., Rig], sandbox: Sandbox, changes: dict[str, Any], channel: str, then: str
) -> None:
    """SendGrid's activity, Twilio's lists: the message is adopted under the provider's id and does not leave a second
    time; the step after it comes on its day."""
    rig = providers(**sendgrid(sandbox))
    case = rig.open(**changes)
    older = backup(rig.app)
    rig.go_on(case)
    (went,) = sandbox.accepted()
    contacts = rig.contacts(case)
    rig.wait(2 * MINUTE)
    go_back(rig, older)
    rig.go_on(case)
    assert [each["channel"] for each in sandbox.accepted()] == [channel]
    (found,) = of_kind(rig, case, AttemptFound)
    assert went["id"].startswith(found.provider_id)
    assert (last(rig, case).status, rig.contacts(case)) == ("accepted", contacts)
    for _ in range(12):
        rig.wait(DAY)
        rig.go_on(case)
        if len(sandbox.accepted()) > 1:
            break
    assert [each["channel"] for each in sandbox.accepted()][:2] == [channel, then]


def test_nothing_leaves_while_the_list_cannot_be_read(providers: Callable[..., Rig], sandbox: Sandbox) -> None:
    """A list that is not read does not say that nothing went: it is asked again a minute later."""
    rig = providers()
    case = rig.open(**TO_SMS)
    older = backup(rig.app)
    rig.go_on(case)
    go_back(rig, older)
    rig.wait(11 * MINUTE)
    sandbox.fault(Fault("503", on="list", times=1))
    rig.go_on(case)
    assert len(sandbox.accepted()) == 1
    assert last(rig, case).status == "released"
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert len(sandbox.accepted()) == 1
    assert last(rig, case).status == "accepted"


def test_what_did_not_arrive_is_said_another_way(providers: Callable[..., Rig], sandbox: Sandbox) -> None:
    """The SMS went to a number that is none: it is found together with that, and the debtor is called."""
    rig = providers(PUBLIC_URL="http://127.0.0.1:9")  # where no receipt comes in
    sandbox.react(Reaction("sms", receipts=("undelivered",), details={"ErrorCode": "30005"}, early=True))
    case = rig.open(**TO_SMS)
    older = backup(rig.app)
    rig.go_on(case, 2)
    assert [each["channel"] for each in sandbox.accepted()] == ["sms"]
    go_back(rig, older)
    rig.go_on(case)
    assert of_kind(rig, case, AttemptFound)
    assert [event.what for event in of_kind(rig, case, ReceiptArrived)] == ["hard"]
    assert [each["channel"] for each in sandbox.accepted()].count("sms") == 1
    assert rig.case(case.id).runs[-1].channels != ("sms",)


def test_several_steps_that_are_forgotten_are_each_found(rig: Rig, tmp_path: Path) -> None:
    """A backup of a fortnight ago: every message since is found, one after another, and none leaves again."""
    case = rig.open(debtor__phone=PHONE)
    older = backup(rig.app)
    for _ in range(14):
        rig.go_on(case)
        rig.wait(DAY)
    went = [line["id"] for line in outbox(tmp_path)]
    assert len(went) > 2
    go_back(rig, older)
    for _ in range(30):
        rig.go_on(case)
        rig.wait(DAY)
    ids = [line["id"] for line in outbox(tmp_path)]
    assert len(of_kind(rig, case, AttemptFound)) == len(went)
    assert len(ids) == len(set(ids)) > len(went)


def test_a_try_that_is_known_is_not_taken_for_one_that_is_forgotten(rig: Rig, tmp_path: Path) -> None:
    """The mailbox was full, and that is in the backup: the message is tried once more when its time has come."""
    case = rig.open()
    rig.go_on(case)
    receive(rig.app, Receipt(attempt_id(case, 1), "soft", "sendgrid"))
    go_back(rig, backup(rig.app))
    rig.wait(DAY)
    rig.go_on(case)
    assert [line["attempt"] for line in outbox(tmp_path)] == [
        attempt_id(case, 1),
        attempt_id(case, last(rig, case).attempt),
    ]


def test_absence_from_a_list_counts_once_lists_have_had_their_time(
    providers: Callable[..., Rig], sandbox: Sandbox
) -> None:
    """Nothing had gone; Twilio's list may lag behind, so the SMS leaves ten minutes after the restore, and once."""
    rig = providers()
    case = rig.open(**TO_SMS)
    older = backup(rig.app)
    go_back(rig, older)
    rig.go_on(case)
    rig.wait(9 * MINUTE)
    rig.go_on(case)
    assert sandbox.accepted() == []
    assert len(of_kind(rig, case, AttemptReleased)) == 1
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert len(sandbox.accepted()) == 1


def test_an_email_that_another_provider_took_is_not_sent_by_the_first(
    providers: Callable[..., Rig], sandbox: Sandbox
) -> None:
    """SendGrid was down, the SMTP host took it; of that nobody can tell, so a person is asked."""
    rig = providers(**sendgrid(sandbox), SMTP_URL=sandbox.smtp_url)
    case = rig.open()
    older = backup(rig.app)
    sandbox.fault(Fault("429", channel="email", times=1))
    rig.go_on(case)
    assert [each["provider"] for each in sandbox.accepted()] == ["smtp"]
    go_back(rig, older)
    rig.wait(11 * MINUTE)
    rig.go_on(case)
    assert last(rig, case).status == "uncertain"
    assert len(sandbox.accepted()) == 1


# ---- nobody can tell


@pytest.mark.parametrize("went", [True, False], ids=["went", "not sent"])
def test_where_there_is_no_list_a_person_is_asked(providers: Callable[..., Rig], sandbox: Sandbox, went: bool) -> None:
    """An SMTP host keeps no list. What the person says is heard: the ladder goes on, or the message leaves at last; of
    that message nobody is asked again."""
    rig = providers(SMTP_URL=sandbox.smtp_url)
    case = rig.open()
    older = backup(rig.app)
    if went:
        rig.go_on(case)
    go_back(rig, older)
    rig.wait(11 * MINUTE)
    rig.go_on(case)
    (doubt,) = of_kind(rig, case, AttemptUncertain)
    assert (doubt.code, doubt.settle_at) == ("restored", None)
    rig.wait(DAY)
    rig.go_on(case)
    assert len(sandbox.accepted()) == went
    assert settle(rig.app, attempt_id(case, doubt.attempt), went=went, by="ana")
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert (last(rig, case).status, len(sandbox.accepted())) == ("accepted", 1)
    assert uncertain_attempts(rig.app) == []
    assert rig.next_look(case)


#: Email Activity of three days, which is what SendGrid's plans have at least; records at Twilio that are kept as long.
SHORT = [
    ("kind: sendgrid_email", "kind: sendgrid_email\n    email_activity: true"),
    ("kind: twilio_sms", "kind: twilio_sms\n    list_days: 3"),
    ("kind: twilio_voice", "kind: twilio_voice\n    list_days: 3"),
]


@pytest.mark.parametrize("changes", [{}, TO_SMS, TO_CALL], ids=["email", "sms", "call"])
def test_a_backup_that_is_older_than_the_list_is_asked_of_a_person(
    providers: Callable[..., Rig], sandbox: Sandbox, changes: dict[str, Any]
) -> None:
    """It went six days ago, soon after the backup, and is gone from a list of three days: it does not go twice."""
    rig = providers(SHORT, **sendgrid(sandbox))
    sandbox.list_late(Listing(seconds=10**6))
    case = rig.open(**changes)
    older = backup(rig.app)
    rig.go_on(case)
    assert len(sandbox.accepted()) == 1
    rig.wait(6 * DAY)
    go_back(rig, older)
    for _ in range(3):
        rig.wait(11 * MINUTE)
        rig.go_on(case)
    assert len(sandbox.accepted()) == 1
    (doubt,) = of_kind(rig, case, AttemptUncertain)
    assert (doubt.code, doubt.settle_at) == ("restored", None)
    assert settle(rig.app, attempt_id(case, doubt.attempt), went=True, by="ana")
    assert last(rig, case).status == "accepted"


def test_a_backup_within_the_lists_reach_asks_nobody(providers: Callable[..., Rig], sandbox: Sandbox) -> None:
    """Two days old, and the list of three has nothing: the email leaves, once."""
    rig = providers(SHORT, **sendgrid(sandbox))
    case = rig.open()
    older = backup(rig.app)
    rig.wait(2 * DAY)
    go_back(rig, older)
    rig.wait(11 * MINUTE)
    rig.go_on(case)
    assert of_kind(rig, case, AttemptUncertain) == []
    assert len(sandbox.accepted()) == 1


def test_of_what_cannot_have_gone_nobody_is_asked(providers: Callable[..., Rig], sandbox: Sandbox) -> None:
    """An invoice that was not late yet when the store was restored: its reminder leaves on its day, by SMTP."""
    rig = providers(SMTP_URL=sandbox.smtp_url)
    case = rig.open(invoices__0__due_on="2026-04-10", history={"last_step": "courtesy", "on": "2026-03-30"})
    go_back(rig, backup(rig.app))
    for _ in range(13):
        rig.wait(DAY)
        rig.go_on(case)
    assert [each["channel"] for each in sandbox.accepted()] == ["email"]
    assert [run.step for run in rig.case(case.id).runs] == ["courtesy", "first_reminder"]
    assert of_kind(rig, case, AttemptUncertain) == []


# ---- what was under way, what was not there yet


def test_a_reservation_is_given_back(rig: Rig, tmp_path: Path) -> None:
    """Reserved when the backup was made, and sent since: given back, reserved anew, found."""
    case = rig.open()
    rig.reserve(case)
    older = backup(rig.app)
    rig.deliver(case)
    done = go_back(rig, older)
    assert (done.open, done.uncertain) == (1, 0)
    assert rig.reserved(case) == []
    rig.go_on(case)
    assert len(outbox(tmp_path)) == 1
    assert of_kind(rig, case, AttemptFound)


def test_a_call_that_was_under_way_is_asked_about_like_one_whose_worker_died(rig: Rig, tmp_path: Path) -> None:
    """`sending` in the backup: uncertain once its lease has run out, and adopted from the list."""
    case, older = rig.open(), list[str]()
    rig.tap.before = lambda: older.extend([] if older else backup(rig.app))
    rig.go_on(case)
    done = go_back(rig, older)
    assert done.uncertain == 1
    assert rig.in_flight(case)
    rig.go_on(case)
    assert last(rig, case).status == "sending"
    rig.wait(5 * MINUTE)
    rig.go_on(case)
    assert (last(rig, case).status, last(rig, case).attempt) == ("accepted", 1)
    assert len(outbox(tmp_path)) == 1


def test_a_try_that_did_not_go_says_nothing_of_the_one_after_it(rig: Rig, tmp_path: Path) -> None:
    """Under way in the backup, it failed, and the next try went: no list has the first, and no third leaves."""
    case, older = rig.open(), list[str]()
    rig.tap.before = lambda: older.extend([] if older else backup(rig.app))
    rig.tap.answers = [Unavailable("down", "503")]
    rig.go_on(case)
    rig.wait(2 * MINUTE)
    rig.go_on(case)
    assert [line["attempt"] for line in outbox(tmp_path)] == [attempt_id(case, 2)]
    go_back(rig, older)
    for _ in range(4):
        rig.wait(5 * MINUTE)
        rig.go_on(case)
    assert len(outbox(tmp_path)) == 1
    assert of_kind(rig, case, AttemptFound)


def test_a_number_that_was_given_to_a_try_is_not_given_again(rig: Rig) -> None:
    """A bounce of a message that is forgotten would else be held against another."""
    case = rig.open(**TO_SMS)
    older = backup(rig.app)
    rig.go_on(case)
    go_back(rig, older)
    rig.go_on(case)
    assert last(rig, case).attempt > 1000
    assert not receive(rig.app, Receipt(attempt_id(case, 1), "hard", "twilio", "30003"))
    assert last(rig, case).status == "accepted"


def test_a_case_that_was_opened_since_is_asked_about_too(rig: Rig, tmp_path: Path) -> None:
    """The job that opened it comes again: it is the same case, and what it sent is found."""
    rig.open(job_id="other", debtor__id="D-2", invoices__0__number="F-2", invoices__0__due_on="2026-05-01")
    older = backup(rig.app)
    case = rig.open()
    rig.go_on(case)
    go_back(rig, older)
    assert not rig.take(reminder()).repeated
    assert of_kind(rig, case, CaseRestored)
    rig.go_on(case)
    assert len(outbox(tmp_path)) == 1
    dates = {"invoices__0__issued_on": "2026-04-20", "invoices__0__due_on": "2026-05-20"}
    later = rig.open(job_id="l", debtor__id="D-3", invoices__0__number="F-3", **dates)
    assert not of_kind(rig, later, CaseRestored)


def test_a_job_that_was_taken_before_the_backup_is_not_taken_twice(rig: Rig) -> None:
    """Upstream sends everything again: what the backup knows is a repeat, what it lacks is taken."""
    case = rig.open()
    rig.pay("100.00", job_id="before")
    older = backup(rig.app)
    rig.pay("200.00", job_id="since", as_of="2026-03-31T13:00:00+02:00")
    go_back(rig, older)
    assert rig.pay("100.00", job_id="before").repeated
    assert not rig.pay("200.00", job_id="since", as_of="2026-03-31T13:00:00+02:00").repeated
    assert [str(each.amount) for each in rig.case(case.id).invoices[0].movements] == ["100.00", "200.00"]
