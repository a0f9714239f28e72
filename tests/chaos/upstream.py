"""The billing system: opens the cases and tells of payments, each until it is taken, whatever is down meanwhile."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from threading import Event, Lock
from typing import Any

import dramatiq
import redis
import urllib3
from dramatiq.brokers.redis import RedisBroker

from tests.chaos.plan import Debtor, Plan
from tests.chaos.world import API_KEY, BEGINS, CREDITOR
from worker.queues import REMINDERS

#: How many requests it has under way at once, and how long it waits before it repeats one, in seconds.
_HANDS, _AGAIN = 6, 0.3
AMOUNT = "1200.50"
_DUE = date.fromisoformat(BEGINS[:10]) - timedelta(days=10)

Act = Callable[[], None]


def reminder(debtor: Debtor) -> dict[str, Any]:
    """The job that opens the case, without what the door says by itself."""
    return {
        "strategy": f"chaos_{debtor.order}",
        "debtor": {
            "id": debtor.name,
            "name": f"Exemple {debtor.number} SARL",
            "kind": "business",
            "email": debtor.email,
            "phone": debtor.phone,
        },
        "invoices": [
            {
                "number": debtor.invoice,
                "issued_on": (_DUE - timedelta(days=30)).isoformat(),
                "due_on": _DUE.isoformat(),
                "amount": AMOUNT,
                "currency": "EUR",
            }
        ],
    }


class Upstream:
    """Does what the plan says, when it says so. `taken` and `paid` are when (Unix time) each was answered."""

    def __init__(self, plan: Plan, url: str, broker_url: str) -> None:
        self.taken: dict[str, float] = {}
        self.paid: dict[str, float] = {}
        self._url = url
        self._http = urllib3.PoolManager(maxsize=_HANDS, timeout=10, retries=False)
        self._broker = RedisBroker(url=broker_url)
        self._lock, self._stop = Lock(), Event()
        acts: list[tuple[float, Act]] = []
        for debtor in plan.debtors:
            acts.append((debtor.opens, partial(self._open, debtor)))
            if debtor.pays is not None:
                acts.append((debtor.pays, partial(self._pay, debtor)))
        self._acts = sorted(acts, key=lambda act: act[0], reverse=True)

    def run(self, began: float) -> None:
        """Do all of it, and return when all was taken. `began`: by the monotonic clock. Raises what went wrong."""
        with ThreadPoolExecutor(_HANDS) as hands:
            for done in [hands.submit(self._work, began) for _ in range(_HANDS)]:
                done.result()

    def stop(self) -> None:
        """Do nothing more."""
        self._stop.set()

    def _work(self, began: float) -> None:
        while not self._stop.is_set():
            with self._lock:
                if not self._acts:
                    return
                at, act = self._acts.pop()
            if not self._stop.wait(max(0.0, began + at - time.monotonic())):
                act()

    def _open(self, debtor: Debtor) -> None:
        job = reminder(debtor)
        if debtor.queued:
            self._enqueue(f"open-{debtor.number}", job)
        else:
            self._post("/v1/reminders", f"open-{debtor.number}", job)
        self.taken[debtor.name] = time.time()

    def _pay(self, debtor: Debtor) -> None:
        """Nobody books a payment of an invoice before the invoice, whatever waits in the queue."""
        while debtor.name not in self.taken and not self._stop.wait(0.05):
            pass
        payment = {"invoice": debtor.invoice, "amount": AMOUNT, "currency": "EUR"}
        self._post("/v1/payments", f"pay-{debtor.number}", payment)
        self.paid[debtor.name] = time.time()

    def _post(self, path: str, key: str, body: dict[str, Any]) -> None:
        """The same request again and again, until it is answered with 200. Raises RuntimeError for a refusal."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": key, "Content-Type": "application/json"}
        while not self._stop.is_set():
            try:
                answer = self._http.request("POST", self._url + path, body=json.dumps(body), headers=headers)
            except urllib3.exceptions.HTTPError:
                self._stop.wait(_AGAIN)
                continue
            if answer.status == 200:
                return
            if answer.status < 500 and answer.status != 429:
                raise RuntimeError(f"{path} is answered with {answer.status}: {answer.data.decode()}")
            self._stop.wait(_AGAIN)

    def _enqueue(self, key: str, job: dict[str, Any]) -> None:
        """As a billing system that speaks dramatiq does: the same job again where nobody knows whether it was taken."""
        whole = {"type": "reminder_due", "version": 1, "job_id": key, "creditor": CREDITOR, **job}
        while not self._stop.is_set():
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name=REMINDERS, actor_name="reminder_due", args=(), kwargs={"job": whole}, options={}
            )
            try:
                self._broker.enqueue(message)
            except (redis.RedisError, dramatiq.errors.ConnectionError):
                self._stop.wait(_AGAIN)
                continue
            return
