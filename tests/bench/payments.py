"""From a payment that upstream enqueues to the moment from which no message about it begins any more."""

import json
import time
from typing import cast

from tests.bench.moments import open_cases
from tests.bench.parts import app_on
from tests.bench.stage import BrokenPromise, Stage, until
from tests.bench.workloads import CREDITOR, Relance, message, reminder_due
from worker.operations import resume
from worker.queues import FACTS

#: Between two payments, in seconds.
EVERY = 0.1


def stopped(at: Stage, ours: Relance, channel: str, count: int) -> list[float]:
    """Milliseconds from enqueueing a payment to its commit, of cases that stand by, one payment after another.

    Once it is committed no call to a provider begins. Raises BrokenPromise if a message leaves all the same.
    """
    ours.clear()
    numbers = ours.numbers(count)
    told: dict[str, float] = {}
    with app_on(at, 0) as app, ours.awake(channel):
        open_cases(app, ours, channel, numbers)
        began = time.time()
        for number in numbers:
            (invoice,) = reminder_due(channel, number)["invoices"]
            job = {
                "type": "payment_received",
                "version": 1,
                "job_id": f"paid-{invoice['number']}",
                "creditor": CREDITOR,
                "invoice": invoice["number"],
                "amount": invoice["amount"],
                "currency": invoice["currency"],
            }
            told[invoice["number"]] = time.time()
            ours.broker.enqueue(message("payment_received", FACTS, job=job))
            time.sleep(EVERY)
        until(lambda: len(_committed(at, ours, began)) == count, f"{count} payments", 60)
        resume(app, [CREDITOR], "creditor", everywhere=False)
        until(
            lambda: not at.store.zcard(ours.keys.agenda) and not at.store.exists(ours.keys.in_flight), "all cases ended"
        )
    if at.provider.count():
        raise BrokenPromise(f"{at.provider.count()} reminders left after their invoice was paid")
    return [(moment - told[number]) * 1000 for number, moment in _committed(at, ours, began).items()]


def _committed(at: Stage, ours: Relance, began: float) -> dict[str, float]:
    """When each invoice's payment was committed, by the event stream's own clock (Unix time)."""
    found: dict[str, float] = {}
    entries = cast("list[tuple[str, dict[str, str]]]", at.store.xrange(ours.keys.events, int(began * 1000)))
    for entry, fields in entries:
        event = json.loads(fields["event"])
        if event["type"] == "PaymentReceived":
            found[event["parts"][0]["invoice"]] = int(entry.partition("-")[0]) / 1000
    return found
