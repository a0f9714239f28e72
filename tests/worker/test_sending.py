"""reserve -> begin -> call -> record: never twice, never after a payment, never lost."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from threading import Barrier, Thread

import pytest

from tests.conftest import MakeApp
from worker.dunning.events import AttemptBegun
from worker.messages import prepare
from worker.providers import Providers
from worker.render import sms_segments
from worker.sending import START_WITHIN, deliver

from .config_copy import DEMO, Copy
from .payloads import fact
from .rig import MORNING, HookedCases, Rig, index_of, outbox


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def test_a_due_reminder_leaves_once(rig: Rig, tmp_path: Path) -> None:
    """The first reminder goes out by email, once, and the history says so."""
    case = rig.open()
    rig.settle(case)
    (sent,) = outbox(tmp_path)
    assert sent["channel"] == "email"
    assert rig.kinds(case) == ["CaseOpened", "AttemptReserved", "AttemptBegun", "AttemptAccepted"]
    assert not rig.in_flight(case)
    assert rig.next_look(case) is not None


def test_a_message_that_waited_for_its_worker_keeps_the_next_one_away(rig: Rig, tmp_path: Path) -> None:
    """Nobody worked for six days; the reminder leaves then, and the step whose day has come meanwhile waits its gap."""
    case = rig.open(debtor__phone="+33639980001")
    rig.reserve(case)
    rig.wait(timedelta(days=6))
    rig.deliver(case)
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1
    rig.wait(timedelta(days=3))
    rig.settle(case)
    assert [entry["channel"] for entry in outbox(tmp_path)] == ["email", "sms"]


def test_an_email_carries_the_code_that_pays_it(rig: Rig, tmp_path: Path) -> None:
    """The picture that the HTML asks for travels inside the message, and nothing else does."""
    rig.settle(rig.open())
    (sent,) = outbox(tmp_path)
    (file,) = tmp_path.rglob(Path(sent["file"]).name)
    mail = message_from_bytes(file.read_bytes(), policy=default)
    (image,) = (part for part in mail.walk() if part.get_content_maintype() == "image")
    page = mail.get_body(("html",))
    assert page is not None
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in page.get_content()
    assert image.get_content_disposition() == "inline"
    assert sent["attachments"] == ["qr.png"]


def test_an_sms_is_recorded_with_what_it_costs(rig: Rig, tmp_path: Path) -> None:
    """The history knows which words left, how they begin, how a person can name them, and the segments charged."""
    case = rig.open(debtor__email=..., debtor__phone="+33639980102")
    rig.settle(case)
    (sent,) = outbox(tmp_path)
    (begun,) = [event for event in rig.history(case) if isinstance(event, AttemptBegun)]
    assert begun.segments == sms_segments(sent["text"])[1]
    assert begun.segments > 0
    assert sent["text"].endswith(begun.reference)
    assert sent["text"].startswith(begun.words.rstrip("…"))


@pytest.mark.parametrize(
    ("redirect", "to"),
    [("email: staging@example.com", "staging@example.com"), ('phone: "+33639980199"', "ap@example.com")],
)
def test_while_staging_nothing_goes_to_the_debtor(make_app: MakeApp, tmp_path: Path, redirect: str, to: str) -> None:
    """A redirected channel goes to its redirect; one without goes to the outbox, whole, and reaches nobody."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", f"redirect_to: {{{redirect}}}")
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder, SMTP_URL="smtp://127.0.0.1:9"))
    case = rig.open()
    rig.reserve(case)
    rig.deliver(case)
    (tap,) = rig.providers.taps.values()
    assert [message.to for message in tap.messages] == [to]
    assert list(rig.providers.taps) == (["smtp"] if "email" in redirect else ["outbox"])


def test_two_workers_send_one_attempt_once(rig: Rig, make_app: MakeApp, tmp_path: Path) -> None:
    """However many workers are given the same attempt, the provider is called once."""
    case = rig.open()
    attempt = rig.reserve(case)
    others = [Rig(make_app()) for _ in range(3)]
    start = Barrier(4)

    def work(one: Rig) -> None:
        start.wait()
        deliver(one.app, attempt, None)

    threads = [Thread(target=work, args=(one,)) for one in (rig, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox(tmp_path)) == 1
    assert rig.kinds(case).count("AttemptBegun") == 1


def test_a_queue_message_that_comes_again_does_no_harm(rig: Rig, tmp_path: Path) -> None:
    """The same queue message, late or repeated, sends nothing."""
    case = rig.open()
    attempt = rig.reserve(case)
    for _ in range(3):
        deliver(rig.app, attempt, None)
    assert len(outbox(tmp_path)) == 1


# ---- a payment at each point


def _paid_before_reserve(rig: Rig, _: Callable[[], object]) -> None:
    rig.pay()


def _paid_after_reserve(rig: Rig, reserve: Callable[[], object]) -> None:
    reserve()
    rig.pay()


def _paid_after_render(rig: Rig, reserve: Callable[[], object]) -> None:
    reserve()
    rig.providers.got = rig.pay


def _paid_after_begin(rig: Rig, reserve: Callable[[], object]) -> None:
    reserve()
    rig.tap.before = rig.pay


def _paid_after_call(rig: Rig, reserve: Callable[[], object]) -> None:
    reserve()
    rig.tap.after = rig.pay


@pytest.mark.parametrize(
    ("paid", "sent"),
    [
        (_paid_before_reserve, 0),
        (_paid_after_reserve, 0),
        (_paid_after_render, 0),
        (_paid_after_begin, 1),
        (_paid_after_call, 1),
    ],
)
def test_no_call_begins_after_a_payment(
    rig: Rig, tmp_path: Path, paid: Callable[[Rig, Callable[[], object]], None], sent: int
) -> None:
    """Wherever a payment lands, what begins after it sends nothing; what had begun is counted, and the case ends."""
    case = rig.open()
    rig.tap.messages.clear()
    paid(rig, lambda: rig.reserve(case))
    rig.settle(case)
    kinds = rig.kinds(case)
    assert len(outbox(tmp_path)) == len(rig.tap.messages) == sent
    assert kinds.count("AttemptAccepted") == sent
    if sent:
        assert index_of(kinds, "AttemptBegun") < index_of(kinds, "PaymentReceived")
    assert rig.case(case.id).ended is not None
    assert not rig.in_flight(case)
    assert rig.next_look(case) is None


@pytest.mark.parametrize(
    "job",
    [
        fact("case_held", reason="dispute", invoice="F-2026/001"),
        fact("case_closed", reason="cancelled", invoice="F-2026/001"),
    ],
)
def test_no_call_begins_after_a_hold_or_a_stop(rig: Rig, tmp_path: Path, job: dict[str, object]) -> None:
    """A hold or a closure between rendering and the last look stops the message."""
    case = rig.open()
    rig.reserve(case)
    rig.providers.got = lambda: rig.take(job)
    rig.settle(case)
    assert outbox(tmp_path) == []
    assert "AttemptReleased" in rig.kinds(case)


def test_payments_and_workers_at_once(rig: Rig, make_app: MakeApp, tmp_path: Path) -> None:
    """Twenty cases sent and paid by threads at the same time: no call begins after its payment."""
    cases = [rig.open(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(20)]
    rig.tick()
    attempts = [rig.reserved(case)[0] for case in cases]
    payer = Rig(make_app())

    def pay_all() -> None:
        for n in reversed(range(20)):
            payer.pay(job_id=f"p-{n}", invoice=f"F-{n}")

    paying = Thread(target=pay_all)
    paying.start()
    for attempt in attempts:
        deliver(rig.app, attempt, None)
    paying.join()
    sent = {line["attempt"] for line in outbox(tmp_path)}
    for case, attempt in zip(cases, attempts, strict=True):
        kinds = rig.kinds(case)
        begun_first = index_of(kinds, "AttemptBegun") < index_of(kinds, "PaymentReceived")
        assert (attempt in sent) == begun_first == ("AttemptAccepted" in kinds)


def test_a_call_that_would_start_late_does_not_start(rig: Rig, tmp_path: Path) -> None:
    """More than two seconds after the last look its word is old: nothing leaves, and it is tried again."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.cases = HookedCases(rig.app.client, lambda: time.sleep(START_WITHIN + 0.05))
    deliver(rig.app, attempt, None)
    assert outbox(tmp_path) == []
    assert rig.kinds(case)[-2:] == ["AttemptBegun", "AttemptUnavailable"]
    assert rig.next_look(case) is not None


# ---- the stop button


@pytest.mark.parametrize("scope", ["all", "creditor", "strategy:b2b", "channel:email"])
def test_a_pause_between_render_and_begin_stops_the_message(rig: Rig, tmp_path: Path, scope: str) -> None:
    """From the next `begin` on nothing goes out; when the pause is over, the message does."""
    case = rig.open()
    attempt = rig.reserve(case)
    paused = rig.app.cases.client
    rig.providers.got = lambda: paused.hset("relance:{demo}:paused", scope, "now")
    deliver(rig.app, attempt, None)
    assert outbox(tmp_path) == []
    assert rig.reserved(case) == []
    assert rig.contacts(case) == []
    rig.providers.got = lambda: None
    rig.settle(case)
    assert outbox(tmp_path) == []
    paused.delete("relance:{demo}:paused")
    rig.jump(MORNING + timedelta(minutes=6))
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1


# ---- another configuration


def test_a_config_change_releases_the_message_and_waits(rig: Rig, tmp_path: Path) -> None:
    """What was reserved under another configuration is released, looked at again later, and not in a busy loop."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.config = replace(rig.app.config, digest="another")
    deliver(rig.app, attempt, None)
    assert outbox(tmp_path) == []
    assert rig.kinds(case)[-1] == "AttemptReleased"
    look = rig.next_look(case)
    assert look is not None
    assert look >= MORNING + timedelta(seconds=59)
    rig.jump(MORNING + timedelta(minutes=2))
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1


def test_a_step_that_is_gone_waits_for_the_new_configuration(rig: Rig) -> None:
    """A worker that already reads a configuration without the step leaves the case alone for a while."""
    case = rig.open()
    attempt = rig.reserve(case)
    b2b = rig.app.config.strategies["b2b"]
    steps = tuple(step for step in b2b.steps if step.name != "first_reminder")
    rig.app.config = replace(rig.app.config, digest="another", strategies={"b2b": replace(b2b, steps=steps)})
    deliver(rig.app, attempt, None)
    look = rig.next_look(case)
    assert look is not None
    assert look >= MORNING + timedelta(seconds=59)


def test_a_creditor_that_is_gone_is_no_failure_of_the_message(rig: Rig) -> None:
    """Nor does a worker whose configuration has lost the creditor ask who would carry it."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.config = replace(rig.app.config, digest="another", creditors={})
    rig.app.providers = Providers(rig.app.config, rig.app.environ)
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-1] == "AttemptReleased"


def test_a_strategy_that_is_gone_is_no_failure_of_the_message(rig: Rig) -> None:
    """A worker whose configuration has lost the strategy gives the message back and counts no failure."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.config = replace(rig.app.config, digest="another", strategies={})
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-1] == "AttemptReleased"


def test_a_task_says_that_it_is_in_the_creditors_language(make_app: MakeApp) -> None:
    """A French creditor's English debtor: the email is marked as English, the task as French."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open(debtor__locale="en_GB")
    rig.settle(case)
    ((run, number),) = [(run, send.attempt) for run in rig.case(case.id).runs for send in run.sends]
    said = {c: prepare(rig.app, case, run, c, number, MORNING).message.language for c in ("email", "task")}
    assert said == {"email": "en-GB", "task": "fr-FR"}
