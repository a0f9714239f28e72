"""A small rehearsal, as a program: scheduler and workers on what can go wrong, logging as in production.

Run by `test_logs.py` with the store's variables; the log goes to stderr.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread

import dramatiq

from channels.base import Receipt, Reply
from worker.app import App, Rehearsal
from worker.dunning.answers import Answer
from worker.dunning.model import Case
from worker.inbound import answer
from worker.inbox import hand_in_receipt, hand_in_reply
from worker.logs import configure
from worker.processes import run_worker
from worker.queues import FACTS, INBOUND, REMINDERS, send_message
from worker.scheduler import Scheduler

from .payloads import fact, reminder
from .rig import MORNING

#: Everything about people that goes in. None of it may come out in a log.
NAME, LOCAL, NATIONAL, SUBJECT = "Hermine Quatrefages", "hermine.quatrefages", "639980042", "Velours framboise"
SECRETS = (
    "hermine",
    "quatrefages",
    NATIONAL,
    "6 39 98 00 42",
    "velours",
    "framboise",
    "zephirin",
    "grandvoile",
    "cormoran",
)
#: Its events, of every kind of trouble: without one of them the search has not searched it.
EXPECTED = {
    "attempt.accepted", "attempt.rejected", "attempt.unavailable", "attempt.uncertain", "job.taken", "job.repeated",
    "job.rejected", "job.noted", "render.failed", "look.failed", "attempt.reserved", "receipt.arrived",
    "receipt.unmatched", "address.suppressed", "answer.received", "reply.understood", "reply.automatic", "task.opened",
}  # fmt: skip


def debtor(n: int, mailbox: str, **more: object) -> dict[str, object]:
    """The same person over and over, under another id and mailbox."""
    known = {"id": f"D-{n}", "name": NAME, "kind": "business", "email": mailbox, "phone": f"+33{NATIONAL}",
             "address": ["3 impasse du Cormoran", "75000 Paris"]}  # fmt: skip
    return known | more


def jobs() -> list[dict[str, object]]:
    """Good ones, bad ones, and those that run into every kind of trouble."""
    mailboxes = [f"{LOCAL}@{host}" for host in ("example.com", "bounce.invalid", "down.invalid", "hang.example.com")]
    good = [
        reminder(job_id=f"j-{n}", debtor=debtor(n, mailbox), invoices__0__number=f"F-{n}", invoices__0__subject=SUBJECT)
        for n, mailbox in enumerate(mailboxes)
    ]
    money = {"amount": "10.00", "currency": "EUR", "reference": NAME}
    return [
        *good,
        good[0],
        good[0] | {"job_id": "old", "as_of": "2026-03-01T00:00:00+00:00"},
        reminder(job_id="paid", debtor=debtor(6, mailboxes[0]), invoices__0__number="F-6"),
        reminder(job_id="sms", debtor=debtor(7, mailboxes[0], email=None), invoices__0__number="F-7"),
        reminder(job_id="broken", strategy="broken", debtor=debtor(9, mailboxes[0]), invoices__0__number="F-9"),
        reminder(job_id="mute", strategy="mute", debtor=debtor(8, mailboxes[0]), invoices__0__number="F-8"),
        reminder(job_id="bad-1", debtor__phone=f"+33 {NATIONAL} x"),
        reminder(job_id="bad-2", debtor__email=f"{LOCAL}@"),
        reminder(job_id="bad-3", debtor__name=f"{{{{ {NAME} }}}}"),
        reminder(job_id="bad-4", debtor__vat_number=NAME),
        reminder(job_id="bad-5") | {mailboxes[0]: 1},
        reminder(job_id="bad-6", creditor=NAME),
        reminder(job_id="bad-7", strategy=LOCAL),
        fact("payment_received", job_id="p-1", invoice="F-6", **money),
        fact("payment_failed", job_id="p-2", invoice="F-6", reason=f"refused by {NAME}", **money),
        fact("payment_received", job_id="p-3", invoice="F-6", means=NAME, **(money | {"currency": "USD"})),
    ]


def poison(app: App) -> None:
    """What is no job, with people's data in it."""
    broker = app.broker
    whole: dramatiq.Message[None] = dramatiq.Message(REMINDERS, "zephirin.grandvoile", (), {"job": {"name": NAME}}, {})
    broker.enqueue(whole)
    broker.enqueue(whole.copy(actor_name="reminder_due", queue_name="email"))
    broker.enqueue(dramatiq.Message("email", "send_email", (), {"attempt": f"{LOCAL}@example.com"}, {}))
    broker.enqueue(dramatiq.Message("email", "send_email", (NAME,), {LOCAL: NAME}, {}))
    broker.enqueue(send_message("sms", f"{NAME}.1", None))
    for number, data in enumerate((NAME.encode(), b'{"name": "' + NAME.encode() + b'"}', b"\xff" + NAME.encode())):
        broker.client.hset(f"dramatiq:{FACTS}.msgs", f"x-{number}", data)
        broker.client.rpush(f"dramatiq:{FACTS}", f"x-{number}")


def reminded(app: App) -> Case | None:
    """The case of the debtor who answers, once its message has left."""
    cases = [stored.case for stored in map(app.cases.load, app.cases.case_ids("demo")) if stored]
    case = next((case for case in cases if case.debtor.id == "D-0"), None)
    sends = [send for run in case.runs for send in run.sends] if case else []
    return case if any(send.status == "accepted" for send in sends) else None


def answers(app: App) -> None:
    """What providers report and the same person writes, by every way in."""
    case = reminded(app)
    assert case
    assert app.links
    mailbox, number = app.links.mailbox(case.id, "answers.example.com"), f"+33{NATIONAL}"
    text = f"Je conteste, {NAME}, {SUBJECT}. Rappelez le {number} ou {LOCAL}@example.com"
    for to, automatic in ((mailbox, False), (mailbox, True), ("r+nobody@answers.example.com", False)):
        mail = Reply(id=f"<{to}{automatic}>", channel="email", to=to, sender=f"{LOCAL}@example.com", text=text,
                     subject=NAME, automatic=automatic)  # fmt: skip
        hand_in_reply(app, mail)
    for words in ("STOP", text):
        hand_in_reply(app, Reply(id=words, channel="sms", to=NAME, sender=number, text=words))
    hand_in_receipt(app, Receipt(f"{case.id}.1", "hard", "sendgrid", "5.1.1"))
    hand_in_receipt(app, Receipt(f"{NAME}.1", "hard", "sendgrid", "5.1.1"))
    answer(app, case.id, Answer(kind="message", source="page", ref=NAME, text=text))


def broken_strategies(app: App) -> None:
    """One that cannot be worded, one that cannot be decided."""
    b2b = app.config.strategies["b2b"]
    broken = replace(b2b, name="broken", steps=(replace(b2b.steps[1], notice="no_such_notice"),))
    handover = replace(b2b.steps[-1], when=b2b.steps[1].when, approval=False, notice=NAME)
    mute = replace(b2b, name="mute", steps=(handover,))
    app.config = replace(app.config, strategies={**app.config.strategies, "broken": broken, "mute": mute})


def enqueue(app: App) -> None:
    """Everything, into the queues."""
    for job in jobs():
        kind = str(job["type"])
        queue = REMINDERS if kind == "reminder_due" else FACTS
        app.broker.enqueue(dramatiq.Message(queue, kind, (), {"job": job}, {}))
    poison(app)


def run(app: App, done: Callable[[], bool]) -> None:
    """Scheduler and workers until it is done."""
    stop, scheduler = Event(), Scheduler(app, app.broker)
    queues = (REMINDERS, FACTS, INBOUND, *app.config.channels)
    threads = [Thread(target=run_worker, args=(app, app.broker, queues, 4, stop)), Thread(target=scheduler.run)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 40
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    scheduler.stop.set()
    for thread in threads:
        thread.join()


def main() -> None:
    """Enqueue, run until nothing moves, say so."""
    configure(pretty=False, level=logging.DEBUG)
    app = App(os.environ, Rehearsal(MORNING, 1.0))
    broken_strategies(app)
    enqueue(app)
    quiet = Quiet(app)
    run(app, quiet)
    app.close()


class Quiet:
    """Has nothing been in the queues or in flight for a while, once the messages have left and been answered?"""

    def __init__(self, app: App) -> None:
        self._app, self._since, self._answered = app, time.monotonic(), False

    def __call__(self) -> bool:
        app = self._app
        busy = any(app.broker.waiting(REMINDERS, FACTS, INBOUND, *app.config.channels).values())
        if busy or app.cases.in_flight(app.config.creditors) or not (self._answered or reminded(app)):
            self._since = time.monotonic()
        if timedelta(seconds=time.monotonic() - self._since) <= timedelta(seconds=1):
            return False
        if self._answered:
            return True
        answers(app)
        self._answered, self._since = True, time.monotonic()
        return False


if __name__ == "__main__":
    main()
